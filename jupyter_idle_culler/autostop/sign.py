"""The sign of life that autostop puts upon its machine: the tag that the extension writes too.

See `aws.sign_of_life`, whose form this is.
"""

from __future__ import annotations

from typing import Any, Dict

from ..core.model import Verdict
from . import instance, memory

_AGAIN_SECONDS, _RETRY_SECONDS = 840.0, 300.0
"""A sign of idleness counts for 20 minutes: looks that are a quarter of an hour apart keep it."""
_QUIET_SECONDS = 600.0
"""A pause that is shorter counts as work: the tag does not turn with each cell."""


def show(path: str, kept: Dict[str, Any], verdict: Verdict, idle: float, now: float) -> str:
    """Say from outside how this machine stands, where that is due; return what is wrong with it.

    ``path`` leads to the metadata file, ``idle`` is in seconds. What ends an idleness that was told
    is told at once, for a scheduled stop might end it; all else with the next renewal.
    """
    told, again = kept.get("sign", ("", 0))
    said = "working" if idle < _QUIET_SECONDS else f"idle {idle // 60:.0f}"
    if verdict is Verdict.UNKNOWN:
        said = "unknown"
    if now < again and (told[:4] != "idle" or told[:4] == said[:4]):
        return ""
    try:
        me = instance.target(path)
        tag = {"Key": "idle-culler:sign-of-life", "Value": f"{memory.stamp()} {said}"}
        instance.client(me).add_tags(ResourceArn=me.arn, Tags=[tag])
        kept["sign"] = said, now + _AGAIN_SECONDS
    except Exception as error:  # whatever boto3 raises: told, and tried again
        kept["sign"] = told, now + _RETRY_SECONDS
        return f"; no sign of life: {error!r}"
    return ""
