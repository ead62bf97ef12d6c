"""What one run leaves for the next, in one small file.

Missing, empty, damaged or from another boot: everything starts afresh, as if the server had
started right now. So nothing is ever stopped because of what the file says and is not so any more.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, Dict, List, Optional, Set, Tuple

Evidence = List[Tuple[str, Optional[float]]]
"""What speaks against a stop, in words, and when it was (monotonic seconds; None: it is now)."""

_GAP_SECONDS, _LONGEST_USUAL_SECONDS = 900.0, 86400.0
"""What happened in so long a time without a look is not known, unless looks are always so rare."""
_BOOT = "/proc/sys/kernel/random/boot_id"


def load(path: str) -> Dict[str, Any]:
    """Return what the last run of this boot left, or what a first run starts from."""
    fresh = {"form": 1, "boot": ""}
    try:
        with open(_BOOT, encoding="ascii") as stream:
            fresh["boot"] = stream.read()
        with open(path, encoding="utf-8") as stream:
            kept: Dict[str, Any] = json.load(stream)
        if {**kept, **fresh} == kept:
            return kept
    except (OSError, ValueError, TypeError, RecursionError):
        pass
    return dict(fresh)


def save(path: str, kept: Dict[str, Any]) -> None:
    """Keep it: whole or not at all. Raises: OSError."""
    written = path + ".new"
    with open(written, "w", encoding="utf-8") as stream:
        json.dump(kept, stream)
    os.replace(written, path)


def moved(kept: Dict[str, Any], what: str, seen: Dict[str, Any]) -> Set[str]:
    """Return what is not as it was in the look before, what is new included; and remember it."""
    before, kept[what] = kept.get(what, {}), seen
    return {key for key in seen if before.get(key) != seen[key]}


def stamp() -> str:
    """Return the time, as the log and the sign of life have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def missed(kept: Dict[str, Any], now: float) -> bool:
    """Tell whether no look was made for longer than is usual here; and remember this one."""
    since = now - kept.get("looked", now)
    kept["looked"] = now
    if since <= max(_GAP_SECONDS, 1.5 * kept.get("usual", 0)):
        return False
    kept["usual"] = min(since, _LONGEST_USUAL_SECONDS)
    return True
