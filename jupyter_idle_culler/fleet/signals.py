"""What the culler on an instance says of itself, from outside: a tag that it keeps fresh.

The tag's value is a time and a word: ``2026-11-24T20:55:00Z working``, ``… idle 12`` (minutes) or
``… unknown``. `aws.sign_of_life` writes it, where that is switched on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from .events import EventReader

SIGN_TAG = "idle-culler:sign-of-life"
MAX_AGE_MINUTES = 45.0
"""A sign that is older says nothing: three times the pause between two that are written."""
IDLE_MAX_AGE_MINUTES, IDLE_MOST_AHEAD_MINUTES = 20.0, 5.0
"""A sign of idleness counts for less long: one that missed its renewal, after 15 minutes, may come
from a machine that is too busy to write. Nor can the future be known. Of work, age is no danger."""
QUIET_MINUTES = 10.0
FRESH_SECONDS = 60.0
"""Tags that were read longer ago are read again before an act: work may have begun since."""
MOST_MINUTES = 60.0 * 24 * 14
"""Two weeks: the longest time that an event may give in minutes."""
_VALUE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) (working|idle|unknown)(?: (\d{1,7}))?")
CLOCKS_DIFFER = timedelta(minutes=1)
WORKING, IDLE, SILENT = "working", "idle", "unknown"


@dataclass(frozen=True)
class Signal:
    """What is known: ``working``, ``idle`` (so long) or ``unknown``, with a text for people."""

    verdict: str
    reason: str
    idle: timedelta = timedelta()


def read_ages(reader: EventReader) -> tuple[float, float]:
    """Read how old a sign may be and which pause counts as work, in minutes. Raises: EventError."""
    return (
        reader.number("signal_max_age_minutes", MAX_AGE_MINUTES, least=1, most=MOST_MINUTES),
        reader.number("quiet_minutes", QUIET_MINUTES, most=MOST_MINUTES),
    )


def read_signal(
    tags: Mapping[str, str],
    now: datetime,
    max_age_minutes: float = MAX_AGE_MINUTES,
    quiet_minutes: float = QUIET_MINUTES,
) -> Signal:
    """Say what the sign in these tags means now. Idle counts from ``quiet_minutes`` on.

    An older sign than ``max_age_minutes``, or one of idleness that was not renewed, is silence.
    """
    value = tags.get(SIGN_TAG)
    if value is None:
        return Signal(SILENT, "unknown: its culler gives no sign of life")
    found = _VALUE.fullmatch(value.strip())
    at = None if found is None else _time(found[1])
    if found is None or at is None:
        return Signal(SILENT, "unknown: its sign of life cannot be read")
    age = now - at
    stale = _stale(found[2], age, max_age_minutes)
    if stale:
        return Signal(SILENT, f"unknown: {stale.format(found[1])}")
    if found[2] == SILENT:
        return Signal(SILENT, f"unknown: its culler cannot tell (at {found[1]})")
    if found[2] == WORKING:
        return Signal(WORKING, f"its culler signals work (at {found[1]})")
    idle = timedelta(minutes=int(found[3] or 0)) + max(age, timedelta())
    if idle < timedelta(minutes=quiet_minutes):
        return Signal(WORKING, f"it has been idle for less than {quiet_minutes:g} minutes")
    return Signal(IDLE, f"idle for {int(idle.total_seconds() // 60)} minutes", idle)


def of_this_life(tags: Mapping[str, str], begun: datetime) -> Mapping[str, str]:
    """Return tags without a sign of life from before something was started, at ``begun``.

    The tag outlives a stop: what it says is of an earlier life, and nothing of this one.
    """
    found = _VALUE.fullmatch(tags.get(SIGN_TAG, "").strip())
    at = None if found is None else _time(found[1])
    if at is None or at >= begun - CLOCKS_DIFFER:
        return tags
    return {key: value for key, value in tags.items() if key != SIGN_TAG}


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def _stale(word: str, age: timedelta, max_age_minutes: float) -> str:
    """Return why a sign of this age says nothing, with ``{}`` for its time; empty: it counts."""
    if abs(age) > timedelta(minutes=max_age_minutes):
        return "its last sign of life is of {}"
    if word == IDLE and age > timedelta(minutes=IDLE_MAX_AGE_MINUTES):
        return "that it is idle is of {}, and was not renewed"
    if word == IDLE and age < -timedelta(minutes=IDLE_MOST_AHEAD_MINUTES):
        return "that it is idle is of {}, which is to come"
    return ""
