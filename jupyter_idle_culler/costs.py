"""What this machine's idle time costs, and what stops of ours have saved: compute only."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import date, datetime

from . import status as shapes
from .clock import AwakeClock
from .core.model import Verdict
from .culler import Looked
from .journal.journal import Journal
from .journal.past import counts_as_idle_from, read_past

_HOUR = 3600.0


@dataclass
class Costs:
    """Counts idle seconds from look to look, in memory, and reads the past once.

    ``hourly_price`` is what the machine costs an hour. ``problem`` says why the past could not be
    read (None: it could). The day is the server's local one.
    """

    hourly_price: float
    clock: AwakeClock
    journal: Journal
    log: logging.Logger
    problem: str | None = None
    _day: date | None = None
    _idle_seconds: float = 0.0
    _saved_seconds: float = 0.0
    _counted_until: float = float("-inf")
    _last: Looked | None = None
    _reading: asyncio.Task[None] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Begin to count, and read the past in a thread meanwhile."""
        self._counted_until = self.clock.now()
        self._reading = asyncio.create_task(self._read(), name="idle-culler costs")

    async def close(self) -> None:
        """Wait for nothing any more."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def looked(self, looked: Looked) -> None:
        """Count what was idle since the look before."""
        self._turn_the_day()
        self._idle_seconds += self._idle_since_counted(looked, looked.at)
        host = looked.decisions[-1]
        if host.verdict is not Verdict.IDLE or self._is_idle(looked, looked.at):
            self._counted_until = looked.at
        self._last = looked

    def shown(self) -> shapes.Costs:
        """Return the figures up to now."""
        self._turn_the_day()
        idle = self._idle_seconds
        if self._last is not None:
            idle += self._idle_since_counted(self._last, self.clock.now())
        return shapes.Costs(
            hourly_price=self.hourly_price,
            idle_today_seconds=idle,
            idle_today_cost=idle / _HOUR * self.hourly_price,
            saved_seconds=self._saved_seconds,
            saved_cost=self._saved_seconds / _HOUR * self.hourly_price,
        )

    async def _read(self) -> None:
        now = self.clock.utc_now()
        midnight, day = _midnight(now), _local(now).date()
        try:
            past = await asyncio.to_thread(
                read_past, self.journal.path, self.journal.run, midnight, now
            )
        except (OSError, ValueError, LookupError, TypeError) as error:
            reason = getattr(error, "strerror", None) or error
            self.problem = f"what was before is not counted: {self.journal.path}: {reason}"
            self.log.warning("Idle culler: %s.", self.problem)
            return
        self._turn_the_day()
        if day == self._day:
            self._idle_seconds += past.idle_seconds
        self._saved_seconds = past.saved_seconds

    def _turn_the_day(self) -> None:
        today = _local(self.clock.utc_now()).date()
        if today != self._day:
            self._day, self._idle_seconds = today, 0.0

    @staticmethod
    def _is_idle(looked: Looked, now: float) -> bool:
        host = looked.decisions[-1]
        least = counts_as_idle_from(looked.policy)
        return host.verdict is Verdict.IDLE and now - host.evidence_at >= least

    def _idle_since_counted(self, looked: Looked, now: float) -> float:
        if not self._is_idle(looked, now):
            return 0.0
        idle = now - max(looked.decisions[-1].evidence_at, self._counted_until)
        utc = self.clock.utc_now()
        return max(0.0, min(idle, (utc - _midnight(utc)).total_seconds()))


def _local(utc: datetime) -> datetime:
    return utc.astimezone()


def _midnight(utc: datetime) -> datetime:
    day = _local(utc).date()
    # Without a zone first: the rules of the place then say what its midnight was that day.
    return datetime(day.year, day.month, day.day).astimezone()
