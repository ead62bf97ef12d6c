"""Times as people write them on the command line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_idle_culler.cli.times import local_clock, parse_minutes

NOON = datetime(2026, 3, 2, 12, 0, 30, tzinfo=ZoneInfo("Europe/Berlin"))


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process live in Berlin."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("2h", 120),
        ("30m", 30),
        ("30min", 30),
        ("1h30m", 90),
        ("1h 30m", 90),
        ("1.5h", 90),
        ("2d", 2880),
        ("1d2h3m", 1563),
        ("45", 45),
        ("0.5", 0.5),
        ("2H", 120),
        ("until 17:30", 329.5),
        ("until 9:05", 1264.5),
        ("until 12:00", 1439.5),
    ],
)
def test_a_time_is_minutes_from_now(text: str, minutes: float) -> None:
    """Hours, minutes, days, plain minutes, or the clock: today if still to come, else tomorrow."""
    assert parse_minutes(text, NOON) == pytest.approx(minutes)


@pytest.mark.parametrize(
    "text",
    [
        *("", "soon", "2x", "h", "-5", "0", "0h", "nan", "inf", "1e3", "30m2h", "2h!", "٣h"),
        *("until", "until 24:00", "until 12:60", "until 7", "17:30", "2h until 17:30"),
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """Nothing is guessed: what cannot be read, is nothing or is negative is an error."""
    with pytest.raises(ValueError, match=r"no time|more than nothing"):
        parse_minutes(text, NOON)


@given(st.integers(0, 99), st.integers(0, 999))
def test_hours_and_minutes_add_up(hours: int, minutes: int) -> None:
    """`XhYm` is 60 X + Y minutes for all X and Y."""
    total = hours * 60 + minutes
    if total:
        assert parse_minutes(f"{hours}h{minutes}m", NOON) == total


def test_until_counts_the_hour_that_a_night_is_shorter_by(in_berlin: None) -> None:
    """On the eve of summer time, `until 8:00` at 20:00 is 11 hours away, not 12."""
    evening = datetime(2026, 3, 28, 20, 0)  # noqa: DTZ001 - this machine's own time
    assert parse_minutes("until 8:00", evening) == 11 * 60


def test_a_utc_time_is_shown_as_the_local_clock_has_it(in_berlin: None) -> None:
    """The hour alone today, with the day otherwise, in the zone and season of that day."""
    now = datetime(2026, 3, 2, 12, 0).astimezone()
    assert local_clock("2026-03-02T15:30:00+00:00", now) == "16:30"
    assert local_clock("2026-03-02T23:30:00.123+00:00", now) == "Tue 03 Mar 00:30"
    assert local_clock("2026-04-02T15:30:00+00:00", now) == "Thu 02 Apr 17:30"
