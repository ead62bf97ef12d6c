"""The host's end: warn, let the warning stand its time, then stop.

Apart from the rest of the decision because autostop, which knows one piece of evidence about one
machine, decides by it too.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Optional

from .duration import duration
from .model import Action, Mark, Verdict, Warned


class HostVerdict(NamedTuple):
    """What is to be done about the host: see `Decision`; and the warning that stands from now."""

    action: Action
    verdict: Verdict
    reason: str
    deadline: Optional[float]
    look_at: Optional[float]
    warned: Optional[Warned]


def decide_host(
    evidence: Mark,
    why_unknown: Optional[str],
    timeout: float,
    warning: float,
    warned: Optional[Warned],
    now: float,
) -> HostVerdict:
    """Decide by the newest evidence, what cannot be seen, and the warning that stands.

    ``timeout`` (``math.inf``: never) and ``warning`` are seconds; a warning stands for at most half
    the timeout. Instants are of the clock of ``now``.
    """
    warning = min(warning, timeout / 2)
    action, verdict, deadline, standing = Action.KEEP, Verdict.IDLE, None, None
    look_at = None if timeout == math.inf else now + timeout - warning
    idle = "idle for {}".format(duration(now - evidence.at))
    if evidence.at >= now:
        verdict, reason = Verdict.ACTIVE, evidence.detail
    elif why_unknown is not None:
        verdict, reason = Verdict.UNKNOWN, "kept, because it cannot be seen: " + why_unknown
    elif timeout == math.inf:
        reason = idle + "; never stopped"
    else:
        reason = "{} of {}".format(idle, duration(timeout))
        # The server's start counts as evidence, so the startup grace (at most half the timeout) is
        # kept by this already.
        deadline = evidence.at + timeout
        look_at = deadline - warning
        if warned is not None and warned.evidence_at == evidence.at and now >= look_at:
            standing = warned
            deadline = look_at = max(deadline, warned.since + warning)
            if now >= deadline:
                action = Action.STOP
        elif now >= look_at:
            action, standing = Action.WARN, Warned(now, evidence.at)
            deadline = look_at = max(deadline, now + warning)
    if warned is not None and standing is None:
        action = Action.CANCEL_WARNING
    return HostVerdict(action, verdict, reason, deadline, look_at, standing)
