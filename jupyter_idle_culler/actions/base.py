"""What every action is, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ..core.model import Decision


@dataclass(frozen=True)
class Outcome:
    """What became of an action: done or not, and a sentence for people that says what happened.

    ``withdrawn``: nothing was done because new evidence came in between; that is no failure.
    ``retry_in_seconds``: when to try again after a failure (None: the usual growing pauses).
    ``mend`` says what would mend a failure (empty: nobody knows).
    ``again_in_seconds``: what was done is looked after then, where its effect has not come (None:
    never).
    """

    ok: bool
    detail: str
    withdrawn: bool = False
    retry_in_seconds: float | None = None
    mend: str = ""
    again_in_seconds: float | None = None


StillWanted = Callable[[], Awaitable[bool]]
"""Looks again: is what was decided still wanted?"""


class ActionRunner(Protocol):
    """Carries out one kind of decision. For what it can foresee it answers with a failed outcome.

    An exception is treated by the culler as a failed outcome.
    """

    name: str

    async def apply(self, decision: Decision) -> Outcome: ...


@runtime_checkable
class SlowRunner(ActionRunner, Protocol):
    """One that may take a while before the step that cannot be taken back: it asks before that."""

    async def apply_while(self, decision: Decision, still_wanted: StillWanted) -> Outcome: ...
