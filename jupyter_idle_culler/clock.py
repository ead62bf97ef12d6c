"""Seconds that pass only while this machine is awake, and their wall-clock times for people."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

TOLERANCE_SECONDS = 30.0
_MOST_SHIFTS = 1000


def _elapsed() -> float:
    """Return seconds that run during a suspend too, where this system offers such a clock."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


def _utc() -> datetime:
    return datetime.now(timezone.utc)


class AwakeClock:
    """A clock that never jumps, never runs backwards and stands still during sleep.

    `time.monotonic` already stands still in a suspend on Linux and macOS. It runs on while a
    virtual machine is paused, a container frozen, a process stopped, and on Windows in any sleep.
    So who waits says when it will be back (`expect`); the first call of `now` that comes more than
    ``tolerance_seconds`` after that leaves out all the time since the call before it, for when it
    fell asleep is not known. An event loop that was only blocked looks the same. Both err on the
    side of keeping.

    Safe to call from any thread. ``monotonic``, ``elapsed`` (runs during a suspend) and ``utc`` are
    the system's clocks, given so that tests can move them.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        elapsed: Callable[[], float] = _elapsed,
        utc: Callable[[], datetime] = _utc,
        tolerance_seconds: float = TOLERANCE_SECONDS,
    ) -> None:
        self._monotonic = monotonic
        self._elapsed = elapsed
        self._utc = utc
        self._tolerance = tolerance_seconds
        self._lock = threading.Lock()
        self._last = self._instant = monotonic()
        self._due: float | None = None
        self._offset = 0.0
        # From which instant on, by how much the elapsed clock is ahead of this one; and the same
        # for the monotonic clock. Both only ever change at a sleep.
        self._from = [float("-inf")]
        self._ahead = [elapsed() - self._last]
        self._offsets = [0.0]

    def now(self) -> float:
        """Return the instant, in seconds since some moment in the past."""
        with self._lock:
            return self._read()

    def expect(self, seconds: float) -> None:
        """Announce that the caller will be back, and ask for the time, within so many seconds.

        Each call replaces the one before. Until the first one no sleep is noticed.
        """
        with self._lock:
            self._read()
            self._due = self._last + max(seconds, 0.0)

    @property
    def slept_seconds(self) -> float:
        """How much was left out so far."""
        return self._offset

    def from_monotonic(self, instant: float) -> float:
        """Return the instant on this clock that `time.monotonic` called so; now at the latest."""
        with self._lock:
            now = self._read()
            upper = now
            for start, offset in zip(reversed(self._from), reversed(self._offsets), strict=True):
                if instant - offset >= start:
                    return min(instant - offset, upper)
                upper = start  # it lies before that sleep's end, or inside the sleep
            return upper

    def utc_now(self) -> datetime:
        """Return the wall clock's time, for people and records only."""
        return self._utc()

    def to_utc(self, instant: float) -> datetime:
        """Return an instant as the wall clock, as it stands now, would have shown or will show it.

        A wall clock that was stepped shows right; a sleep between then and now is counted in.
        """
        return self.calendar()(instant)

    def calendar(self) -> Callable[[float], datetime]:
        """Return `to_utc` for many instants, all by one reading of the clocks."""
        with self._lock:
            now = self._read() + self._ahead[-1]
            starts, aheads = tuple(self._from), tuple(self._ahead)
        utc = self._utc()

        def to_utc(instant: float) -> datetime:
            ahead = aheads[bisect_right(starts, instant) - 1]
            return utc - timedelta(seconds=now - (instant + ahead))

        return to_utc

    def _read(self) -> float:
        raw = self._monotonic()
        if self._due is not None and raw - self._due > self._tolerance:
            excess = raw - self._last
            if excess > self._tolerance:
                self._offset += excess
                self._due = raw
        self._last = raw
        # Rounding must not make it run backwards by the last bit.
        instant = self._instant = max(raw - self._offset, self._instant)
        ahead = self._elapsed() - instant
        if ahead - self._ahead[-1] > 1.0:
            self._from.append(instant)
            self._ahead.append(ahead)
            self._offsets.append(self._offset)
            del self._from[1:-_MOST_SHIFTS], self._ahead[1:-_MOST_SHIFTS]
            del self._offsets[1:-_MOST_SHIFTS]
        return instant
