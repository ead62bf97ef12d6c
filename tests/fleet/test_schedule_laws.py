"""Laws of schedules: over every change of every time zone in two years, and for missed runs.

What a clock on a wall shows is computed here anew, from the offsets alone.
"""

from __future__ import annotations

import functools
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_idle_culler.fleet.due import (
    LAST_START_TAG,
    REMEMBER,
    START,
    STOP,
    Instance,
    Rules,
    mark,
    softened,
)
from jupyter_idle_culler.fleet.due import due as due_for
from jupyter_idle_culler.fleet.schedules import Schedule, Window
from jupyter_idle_culler.fleet.signals import SIGN_TAG

UTC = timezone.utc
FIRST, YEARS = datetime(2026, 1, 1, tzinfo=UTC), 2
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
EVERY_DAY = frozenset(range(7))


@dataclass(frozen=True)
class Change:
    """A change of a zone's offset: the first instant of the new one."""

    zone: str
    at: datetime
    before: timedelta
    after: timedelta


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _changes_of(name: str) -> tuple[Change, ...]:
    zone, found = ZoneInfo(name), []
    for number in range(365 * YEARS + 1):
        early = FIRST + number * DAY
        late = early + DAY
        if _offset(zone, early) == _offset(zone, late):
            continue
        before, after = _offset(zone, early), _offset(zone, late)
        while late - early > MINUTE:
            middle = early + timedelta(minutes=(late - early) // MINUTE // 2)
            early, late = (middle, late) if _offset(zone, middle) == before else (early, middle)
        found.append(Change(name, late, before, after))
    return tuple(found)


@functools.cache
def every_change() -> tuple[Change, ...]:
    """Return the changes of all zones; of those that change alike, the first one's."""
    alike: dict[tuple[object, ...], tuple[Change, ...]] = {}
    for name in sorted(zoneinfo.available_timezones() - {"localtime", "Factory"}):
        changes = _changes_of(name)
        alike.setdefault(tuple((c.at, c.before, c.after) for c in changes), changes)
    return tuple(change for changes in alike.values() for change in changes)


def instants(change: Change, wall: datetime) -> list[datetime]:
    """Return when a clock on the wall shows a time, near a change: never, once or twice.

    Never: the one instant at which a clock that was not put forward would show it.
    """
    utc = wall.replace(tzinfo=UTC)
    old, new = utc - change.before, utc - change.after
    found = ([old] if old < change.at else []) + ([new] if new >= change.at else [])
    return found or [old]


def windows_by_the_wall(change: Change, schedule: Schedule) -> list[Window]:
    """Return the windows around a change: from the first start to the last stop."""
    found = []
    middle = (change.at + change.before).date()
    for number in range(-3, 4):
        day = middle + number * DAY
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a wall clock's
        begin = midnight + schedule.start * MINUTE
        end = midnight + schedule.stop * MINUTE + (schedule.stop <= schedule.start) * DAY
        window = Window(min(instants(change, begin)), max(instants(change, end)))
        if day.weekday() in schedule.days and day not in schedule.holidays:
            found.append(window)
    return [window for window in found if window.start < window.end]


def check(change: Change, schedule: Schedule, now: datetime) -> None:
    """Compare what the schedule says at an instant with what the wall says."""
    told = schedule.moment(now)
    windows = windows_by_the_wall(change, schedule)
    on = [window for window in windows if window.start <= now < window.end]
    case = f"{change.zone}: {schedule.start}-{schedule.stop} at {now}"
    if on:
        assert told.window == max(on, key=lambda window: window.start), case
        assert told.off_since is None, case
    else:
        assert told.window is None, case
        ended = [window.end for window in windows if window.end <= now]
        if ended:
            assert told.off_since == max(ended), case


def test_the_zones_of_this_machine_have_changes_of_every_kind() -> None:
    """Forward and back, by an hour and by half of one: else the laws below would say little."""
    sizes = {change.after - change.before for change in every_change()}
    assert {timedelta(hours=1), timedelta(hours=-1), timedelta(minutes=30)} <= sizes
    assert len(every_change()) > 60


@pytest.mark.parametrize("hours_long", [0.5, 14, 24])
def test_around_every_change_of_every_zone_the_wall_clock_decides(hours_long: float) -> None:
    """Windows that begin and end before, in and after the hour that is skipped or comes twice."""
    for change in every_change():
        local = change.at + change.before
        for minutes in range(-120, 121, 30):
            start = ((local.hour * 60 + local.minute + minutes) // 30 * 30) % 1440
            stop = (start + int(hours_long * 60)) % 1440
            schedule = Schedule("s", ZoneInfo(change.zone), EVERY_DAY, start, stop)
            for quarter in range(-8, 9):
                check(change, schedule, change.at + quarter * 15 * MINUTE)
                check(
                    change, schedule, change.at + hours_long * 60 * MINUTE + quarter * 15 * MINUTE
                )


@settings(max_examples=200, deadline=None)
@given(
    st.data(),
    st.frozensets(st.integers(0, 6), min_size=1),
    st.integers(0, 1439),
    st.integers(0, 1440),
    st.integers(-2 * 1440, 2 * 1440),
)
def test_near_any_change_any_schedule_is_as_the_wall_clock_says(
    data: st.DataObject, days: frozenset[int], start: int, stop: int, minutes: int
) -> None:
    """Any days, any times, to the minute; a holiday takes its window away."""
    change = data.draw(st.sampled_from(every_change()))
    holidays = data.draw(
        st.frozensets(
            st.integers(-2, 2).map(lambda number: (change.at + number * DAY).date()), max_size=2
        )
    )
    schedule = Schedule("s", ZoneInfo(change.zone), days, start, stop, holidays)
    check(change, schedule, change.at + minutes * MINUTE)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu"]), st.integers(0, 600))
def test_a_window_long_ago_is_found(zone: str, days: int) -> None:
    """A schedule of one day a week, all others of the year holidays: off since then."""
    day = date(2026, 1, 5)
    others = frozenset(day + number * DAY for number in range(1, 700))
    schedule = Schedule("s", ZoneInfo(zone), frozenset({0}), 420, 1260, others)
    told = schedule.moment(datetime(2026, 1, 6, 12, tzinfo=UTC) + days * DAY)
    (window,) = schedule.windows(day, day)
    assert told.off_since == (window.end if days <= 399 else None)


OFFICE = Schedule("office", ZoneInfo("UTC"), frozenset(range(5)), 420, 1260)
RULES = Rules("reconcile")
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


@dataclass
class Machine:
    """An instance in a world of its own: runs act on it, and its culler stops it when idle."""

    instance: Instance
    starts: int = 0
    schedules: tuple[Schedule, ...] = (OFFICE,)

    def turn(self, status: str, now: datetime) -> None:
        """Have it in another state."""
        self.instance = replace(self.instance, status=status, modified=now)

    def run(self, now: datetime) -> None:
        """Do what is due."""
        idle = {**self.instance.tags, SIGN_TAG: f"{mark(now)} idle 60"}
        moments = [schedule.moment(now) for schedule in self.schedules]
        found = due_for(self.instance, moments, RULES, now)
        found = softened(found, replace(self.instance, tags=idle), RULES, now)
        if found.what in (START, REMEMBER) and found.window_start is not None:
            tags = {**self.instance.tags, LAST_START_TAG: mark(found.window_start)}
            self.instance = replace(self.instance, tags=tags)
        if found.what == START:
            self.starts += 1
            self.turn("InService", now)
        elif found.what == STOP:
            self.turn("Stopped", now)


def _machine(status: str) -> Machine:
    return Machine(Instance("dev", "arn", status, MONDAY - DAY, "ml.t3.medium", {}))


@given(
    st.sampled_from(["Stopped", "InService"]),
    st.lists(st.integers(0, 7 * 1440 - 1), min_size=1, max_size=20).map(sorted),
)
def test_whichever_runs_were_missed_the_next_one_does_what_is_due(
    status: str, minutes: Sequence[int]
) -> None:
    """After any run the instance is on in a window, and off outside, idle as it is."""
    machine = _machine(status)
    for minute in minutes:
        now = MONDAY + minute * MINUTE
        machine.run(now)
        on = OFFICE.moment(now).window is not None
        assert machine.instance.status == ("InService" if on else "Stopped")


@given(
    st.lists(
        st.tuples(st.integers(0, 7 * 1440 - 1), st.sampled_from(["run", "run", "idle stop"])),
        max_size=40,
    ).map(sorted)
)
def test_a_window_has_at_most_one_start_whenever_the_culler_stops_it(
    events: Sequence[tuple[int, str]],
) -> None:
    """Runs and idle stops in any order; a window that a run saw has one start or was on before."""
    machine = _machine("Stopped")
    windows: dict[datetime, int] = {}
    for minute, what in events:
        now, before = MONDAY + minute * MINUTE, machine.starts
        if what == "run":
            machine.run(now)
        elif machine.instance.status == "InService":
            machine.turn("Stopped", now)
        window = OFFICE.moment(now).window
        if window is not None:
            windows[window.start] = windows.get(window.start, 0) + machine.starts - before
        else:
            assert machine.starts == before
    assert all(starts <= 1 for starts in windows.values())


QUARTERS = st.integers(0, 95).map(lambda number: number * 15)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(QUARTERS, QUARTERS), min_size=1, max_size=3),
    st.frozensets(st.integers(0, 3 * 96 - 1), max_size=6),
)
def test_of_any_schedules_a_start_comes_only_where_the_first_of_them_begins(
    times: Sequence[tuple[int, int]], stops: frozenset[int]
) -> None:
    """Never within a window of another one, nor where one ends: it was on since, or was stopped.

    Runs come each quarter of an hour for three days; a person stops it now and then.
    """
    drawn = {(min(pair), max(pair)) for pair in times if pair[0] != pair[1]}
    schedules = tuple(Schedule("s", OFFICE.zone, EVERY_DAY, *pair) for pair in sorted(drawn))
    if not schedules:
        return
    machine = _machine("Stopped")
    machine.schedules = schedules
    for number in range(3 * 96):
        now, before = MONDAY + number * 15 * MINUTE, machine.starts
        machine.run(now)
        minute = number % 96 * 15
        if machine.starts > before:
            assert any(start == minute for start, _ in drawn)
            assert not any(start < minute < stop for start, stop in drawn)
        if number in stops and machine.instance.status == "InService":
            machine.turn("Stopped", now + MINUTE)
