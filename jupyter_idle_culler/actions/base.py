"""What every action is, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..core.model import Decision


@dataclass(frozen=True)
class Outcome:
    """What became of an action: done or not, and a sentence for people that says what happened.

    ``withdrawn``: nothing was done because new evidence came in between; that is no failure.
    ``retry_in_seconds``: when to try again after a failure (None: the usual growing pauses).
    ``mend`` says what would mend a failure (empty: nobody knows).
    """

    ok: bool
    detail: str
    withdrawn: bool = False
    retry_in_seconds: float | None = None
    mend: str = ""


class ActionRunner(Protocol):
    """Carries out one kind of decision. For what it can foresee it answers with a failed outcome.

    An exception is treated by the culler as a failed outcome.
    """

    name: str

    async def apply(self, decision: Decision) -> Outcome: ...
