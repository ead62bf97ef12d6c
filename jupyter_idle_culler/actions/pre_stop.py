"""What must succeed before a stop: ``pre_stop_command``, tried again with growing pauses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from .base import Outcome

MOST_FAILURES = 3
FIRST_PAUSE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 3600.0


class Command(Protocol):
    """What is run before a stop."""

    async def run(self) -> Outcome: ...


@dataclass(frozen=True)
class PreStopOutcome:
    """Whether the stop may go on.

    ``ok``: go on. ``gave_up``: the command has failed three times or more, and ``pre_stop_failure``
    has decided. ``retry_in_seconds``: when to run it again (None: not needed, ``ok`` is True).
    """

    ok: bool
    gave_up: bool
    retry_in_seconds: float | None
    detail: str


class PreStop:
    """Runs the command before each attempt to stop, and counts its failures.

    ``failure`` decides after three of them: ``stop`` goes on without it; ``keep`` keeps the host,
    and the command is still tried again once in a while, for what was in its way may be mended.
    """

    def __init__(self, command: Command | None, failure: Literal["keep", "stop"] = "keep") -> None:
        self._command = command
        self._failure = failure
        self.failures = 0

    def reset(self) -> None:
        """Forget the failures: the stop they belonged to was cancelled."""
        self.failures = 0

    async def run(self) -> PreStopOutcome:
        """Run the command once (where there is one) and say whether the stop may go on."""
        if self._command is None:
            return PreStopOutcome(True, False, None, "no pre_stop_command is set")
        outcome = await self._command.run()
        if outcome.ok:
            self.failures = 0
            return PreStopOutcome(True, False, None, outcome.detail)
        self.failures += 1
        count = f"{outcome.detail} (failure {self.failures} of {MOST_FAILURES})"
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** (self.failures - 1), LONGEST_PAUSE_SECONDS)
        if self.failures < MOST_FAILURES:
            return PreStopOutcome(False, False, pause, count)
        if self._failure == "stop":
            return PreStopOutcome(
                True, True, None, f"{outcome.detail}; stopped all the same (pre_stop_failure)"
            )
        return PreStopOutcome(
            False, True, pause, f"{outcome.detail}; kept after {self.failures} failures"
        )
