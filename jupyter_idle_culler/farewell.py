"""Around a host stop: the pages are asked to save, and a record is left for the next start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .clock import AwakeClock
from .core.model import Decision, Kind
from .ended import EndedLately
from .last_stop import LastStops
from .pages import Pages, Saves
from .status import LastStop


@dataclass
class Farewell:
    """Takes leave of people before the host goes.

    ``expect_own_saves`` is called before the pages are asked to save: what they save then is
    nobody's work. ``stop_action`` is the resolved one.
    """

    pages: Pages
    record: LastStops
    ended: EndedLately
    expect_own_saves: Callable[[], None]
    clock: AwakeClock
    stop_action: str

    def stop_is_near(self) -> None:
        """Get ready for a stop that is about to be announced, which asks the pages to save."""
        self.ended.stop_is_near()
        self.expect_own_saves()
        self.pages.ask()

    async def write(self, decision: Decision, saves: Saves, asked_by: str | None) -> None:
        """Leave the record of a stop, just before it; ``asked_by`` None: idleness.

        What was ended since the last evidence has gone for the same idleness.
        """
        clock = self.clock
        since = clock.to_utc(decision.evidence_at)
        idle = max(0.0, clock.now() - decision.evidence_at)
        await self.record.write(
            LastStop(
                at=clock.utc_now(),
                reason=decision.reason,
                evidence=decision.evidence,
                idle_seconds=idle if asked_by is None else None,
                asked_by=asked_by,
                stop_action=self.stop_action,
                saved_documents=saves.saved,
                unsaved_documents=saves.failed,
                silent_pages=saves.silent,
                kernels=self.ended.shut_down(Kind.KERNEL, since),
                terminals=self.ended.shut_down(Kind.TERMINAL, since),
            )
        )
