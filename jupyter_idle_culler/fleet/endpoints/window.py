"""Which time is looked at, and in periods of which length."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

MOST_PERIODS = 190
"""500 queries of so many periods stay below the 100,800 points that one answer may have."""

_LENGTHS = (300, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
"""Each is kept for as long as 190 of it reach back: 300 s for 63 days, 3600 s for 455 days."""

_DELAY = timedelta(minutes=10)
"""So late may a metric be in CloudWatch; a period that began later proves nothing yet."""

_LATEST_SECONDS, _LATEST_PERIODS = 300, 7


@dataclass(frozen=True)
class Window:
    """The time from ``start`` to ``now`` in periods; the last ``idle`` of it must be silent."""

    now: datetime
    idle: timedelta
    period_seconds: int
    periods: int = MOST_PERIODS

    @classmethod
    def of(cls, now: datetime, idle: timedelta, grace: timedelta = timedelta()) -> Window:
        """Return the window that reaches back over the idle time and a grace before it.

        Periods are an hour for the defaults (24 and 72 hours), and reach back eight days then.
        """
        wanted = (idle + grace).total_seconds() / (MOST_PERIODS - 2)
        longest = max(wanted, min(idle.total_seconds() / 24, 3600))
        fitting = [length for length in _LENGTHS if length >= wanted]
        # An idle time of an hour or two is not looked at by the hour.
        period = next((s for s in reversed(fitting) if s <= longest), (fitting or [86400])[0])
        return cls(now, idle, period)

    @classmethod
    def latest(cls, now: datetime) -> Window:
        """Return the last half hour: what comes all the time has come in it.

        Of a period of an hour or a day the first minute is enough to be published; what stopped
        after it is seen only here.
        """
        return cls(now, timedelta(minutes=30), _LATEST_SECONDS, _LATEST_PERIODS)

    @property
    def start(self) -> datetime:
        """When the first period begins."""
        return _instant(self.period_of(self.now) - (self.periods - 1) * self.period_seconds)

    @property
    def since(self) -> datetime:
        """When the idle time begins."""
        return self.now - self.idle

    @property
    def peak_seconds(self) -> int:
        """The length of the periods that peaks are asked in: about a quarter of the idle time."""
        quarter = self.idle.total_seconds() / 4 / self.period_seconds
        return self.period_seconds * max(1, math.floor(quarter))

    def period_of(self, moment: datetime) -> int:
        """Return the period that an instant is in, by the second that it begins with."""
        seconds = int(moment.timestamp())
        return seconds - seconds % self.period_seconds

    def ended(self, period: int) -> datetime:
        """Return when a period ends, or now where it has not."""
        return min(_instant(period + self.period_seconds), self.now)

    def proving(self, since: datetime) -> range:
        """Return the periods that must have metrics to prove that they came since then.

        The last may still run: what came at its beginning is there by now.
        """
        first = self.period_of(max(since, self.start))
        return range(first, self.period_of(self.now - _DELAY) + 1, self.period_seconds)


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
