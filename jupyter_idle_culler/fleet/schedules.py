"""Schedules: when a notebook instance should be on, in a time zone, with weekdays and holidays.

A window begins and ends by the wall clock of its zone. A time that daylight saving skips is taken
by the offset before the change; of a time that comes twice the first begins a window and the
second ends one: nothing stops early.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

from .events import EventError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EXAMPLE = {
    "office-hours": {
        "time_zone": "Europe/Berlin",
        "days": "mon-fri",
        "start": "07:00",
        "stop": "21:00",
    }
}
_FIELDS = {"time_zone", "days", "start", "stop", "holidays", "hard_stop"}
_LOOK_BACK_DAYS = 400
"""A schedule whose last window ended before that counts as one that never had any."""

_CHAINED = 4
"""So many of its last windows may be one with those of other schedules."""


@dataclass(frozen=True)
class Window:
    """A time in which an instance should be on: from ``start`` until just before ``end``, UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class Schedule:
    """On from ``start`` to ``stop`` (minutes of the day) on ``days`` (0: Monday).

    ``stop`` not after ``start``: the next day. A window that would begin on a holiday is left out.
    ``hard_stop``: minutes of the day from which, after a window, even work is stopped; None: never.
    """

    name: str
    zone: ZoneInfo
    days: frozenset[int]
    start: int
    stop: int
    holidays: frozenset[date] = frozenset()
    hard_stop: int | None = None

    def windows(self, first: date, last: date) -> list[Window]:
        """Return the windows that begin on these days, in order."""
        found = []
        for number in range((last - first).days + 1):
            day = first + timedelta(days=number)
            if day.weekday() in self.days and day not in self.holidays:
                end_day = day + timedelta(days=self.stop <= self.start)
                window = Window(
                    _instant(day, self.start, self.zone),
                    _instant(end_day, self.stop, self.zone, last=True),
                )
                if window.end > window.start:
                    found.append(window)
        return found

    def moment(self, now: datetime) -> Moment:
        """Say how this schedule stands now."""
        today = now.astimezone(self.zone).date()
        for back in (2, _LOOK_BACK_DAYS):
            begun = [
                window
                for window in self.windows(today - timedelta(days=back), today + timedelta(days=1))
                if window.start <= now
            ]
            on = [window for window in begun if now < window.end]
            if on:
                latest = max(on, key=lambda window: window.start)
                return Moment(latest, None, False, _apart(begun[-_CHAINED:]))
            if begun:
                ended = max(window.end for window in begun)
                return Moment(None, ended, self._hard(ended, now), _apart(begun[-_CHAINED:]))
        return Moment(None, None, False)

    def _hard(self, ended: datetime, now: datetime) -> bool:
        """Tell whether the hard hour that follows the end of a window has come."""
        if self.hard_stop is None:
            return False
        day = ended.astimezone(self.zone).date()
        for later in (0, 1, 2):
            hard = _instant(day + timedelta(days=later), self.hard_stop, self.zone, last=True)
            if hard >= ended:
                return now >= hard
        return False


@dataclass(frozen=True)
class Moment:
    """How a schedule stands: in a window, or since when in none (None: it never had one).

    ``hard``: the hard hour after the last window has come. ``begun``: the last windows that
    have begun, none of which overlaps another of them.
    """

    window: Window | None
    off_since: datetime | None
    hard: bool
    begun: tuple[Window, ...] = ()


def on_since(moments: Sequence[Moment]) -> datetime | None:
    """Return since when any of these schedules has a window without a break; None: none has now.

    Windows that overlap are one, of which only the first beginning is an occasion to start.
    """
    begins = [moment.window.start for moment in moments if moment.window is not None]
    if not begins:
        return None
    first = min(begins)
    windows = [window for moment in moments for window in moment.begun]
    for window in sorted(windows, key=lambda window: window.start, reverse=True):
        if window.start < first < window.end:
            first = window.start
    return first


def _apart(windows: Sequence[Window]) -> tuple[Window, ...]:
    """Return windows, in order, each ended where the next begins (a clock that was put back)."""
    nexts = [window.start for window in windows[1:]]
    ends = [min(window.end, start) for window, start in zip(windows, nexts, strict=False)]
    return tuple(
        Window(window.start, end)
        for window, end in zip(windows, [*ends, windows[-1].end], strict=True)
    )


def _instant(day: date, minutes: int, zone: ZoneInfo, *, last: bool = False) -> datetime:
    """Return the UTC time at which a clock of the zone shows so many minutes of the day."""
    wall = datetime(day.year, day.month, day.day) + timedelta(minutes=minutes)  # noqa: DTZ001 - a wall clock's
    times = [
        wall.replace(tzinfo=zone, fold=fold).astimezone(timezone.utc)
        for fold in ((0, 1) if last else (0,))
    ]
    return max(times)


def read_schedules(value: Mapping[str, Any], field: str = "schedules") -> dict[str, Schedule]:
    """Read schedules from an event. Raises: EventError, which names what is wrong."""
    return {
        str(name): _read_schedule(str(name), given, f"{field}.{name}")
        for name, given in value.items()
    }


def _read_schedule(name: str, given: Any, field: str) -> Schedule:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):
        raise EventError(field, "a schedule's name has letters, digits, and - _ . only")
    if not isinstance(given, Mapping):
        raise EventError(field, "must be an object")
    for key in given:
        if key not in _FIELDS:
            place = ".".join((field, str(key)))
            raise EventError(place, f"is no field of a schedule; there are {_listed(_FIELDS)}")
    for key in ("time_zone", "start", "stop"):
        if key not in given:
            place = ".".join((field, key))
            raise EventError(place, "is missing")
    hard = given.get("hard_stop")
    return Schedule(
        name,
        _zone(given["time_zone"], field + ".time_zone"),
        _days(given.get("days", "mon-fri"), field + ".days"),
        _minutes(given["start"], field + ".start", most=24 * 60 - 1),
        _minutes(given["stop"], field + ".stop"),
        _holidays(given.get("holidays", []), field + ".holidays"),
        None if hard is None else _minutes(hard, field + ".hard_stop"),
    )


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))


def _zone(value: Any, field: str) -> ZoneInfo:
    try:
        return ZoneInfo(value)
    except (OSError, ValueError, TypeError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        raise EventError(field, f"{value!r} is no IANA time zone such as Europe/Berlin") from None


def _minutes(value: Any, field: str, most: int = 24 * 60) -> int:
    found = re.fullmatch(r"([01]\d|2[0-4]):([0-5]\d)", value) if isinstance(value, str) else None
    minutes = int(found[1]) * 60 + int(found[2]) if found else -1
    if not 0 <= minutes <= most:
        raise EventError(field, f"{value!r} must be a time of the day such as 07:00")
    return minutes


def _days(value: Any, field: str) -> frozenset[int]:
    """Read ``mon-fri``, ``mon,wed``, or a list of such words."""
    words: Any = value.split(",") if isinstance(value, str) else value
    found: set[int] = set()
    for word in words if isinstance(words, Sequence) else [None]:
        first, dash, last = str(word).strip().lower().partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise EventError(field, f"{word!r}: days are {', '.join(DAYS)}, or from mon-fri")
        begin = DAYS.index(first)
        count = (DAYS.index(last or first) - begin) % 7
        found |= {(begin + number) % 7 for number in range(count + 1)}
    if not found:
        raise EventError(field, "must name a day")
    return frozenset(found)


def _holidays(value: Any, field: str) -> frozenset[date]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise EventError(field, "must be a list of dates such as 2026-12-25")
    try:
        return frozenset(date.fromisoformat(day) for day in value)
    except (TypeError, ValueError):
        raise EventError(field, f"{value!r}: dates are written as 2026-12-25") from None
