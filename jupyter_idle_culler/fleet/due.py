"""What is due for one notebook instance now: a function of what AWS tells, not of an edge.

A start is due once in an on-window; windows of several schedules that overlap are one. The tag
``idle-culler:last-start`` holds the beginning of the window in which the instance was last on; it
is written before a start goes out, and put back where that does not. It counts where it is not
older than the window, whose beginning may have been edited since. An instance that carries the tag
of this window but has not moved (``LastModifiedTime``) since before the window was never really
started, by a run that was cut off: its start is still due. What has no mark, and is Stopped since
some minutes after the beginning, was stopped before the first run of the window.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from .schedules import Moment, on_since
from .signals import IDLE, MAX_AGE_MINUTES, QUIET_MINUTES, read_signal

LAST_START_TAG = "idle-culler:last-start"
START, STOP, REMEMBER, NOTHING = "start", "stop", "remember", "nothing"
STARTS_FROM, STOPS_FROM = ("Stopped", "Failed"), ("InService",)
SOFT, HARD = "soft", "hard"
STOP_TAKES = timedelta(minutes=5)
"""What was being stopped when a window began may be Stopped only so long after that."""
_MARK = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


@dataclass(frozen=True)
class Instance:
    """A notebook instance as AWS lists it, with its tags."""

    name: str
    arn: str
    status: str
    modified: datetime
    instance_type: str
    tags: Mapping[str, str]
    lifecycle_config: str = ""


@dataclass(frozen=True)
class Rules:
    """How a run decides. ``action``: start, stop or reconcile (both)."""

    action: str
    stop_mode: str = SOFT
    grace: timedelta = timedelta(hours=2)
    signal_max_age_minutes: float = MAX_AGE_MINUTES
    quiet_minutes: float = QUIET_MINUTES


@dataclass(frozen=True)
class Due:
    """What is due, and why. ``window_start``: of the window that is to be remembered.

    ``held``: a stop would be due, but for work, a missing sign of life or a grace. ``since``: when
    the stop fell due, or, of one that a grace holds back, when that began. ``hard``: the hard hour
    has come.
    """

    what: str
    reason: str
    window_start: datetime | None = None
    held: bool = False
    since: datetime | None = None
    hard: bool = False


def mark(window_start: datetime) -> str:
    """Return the beginning of a window as the tag has it."""
    return window_start.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def due_now(instance: Instance, rules: Rules) -> Due:
    """Say what a wish without a schedule means for an instance: at once, but softly."""
    allowed = STARTS_FROM if rules.action == START else STOPS_FROM
    if instance.status not in allowed:
        return Due(NOTHING, f"it is {instance.status}")
    return Due(rules.action, "asked for")


def due(instance: Instance, moments: Sequence[Moment], rules: Rules, now: datetime) -> Due:
    """Say what is due by the schedules that the instance follows (at least one)."""
    since = on_since(moments)
    if since is not None:
        found = _due_on(instance, since, now)
        if found.what in (START, REMEMBER) and rules.action == STOP:
            return Due(NOTHING, f"it is {instance.status}, and scheduled to be on")
        return found
    found = _due_off(instance, moments, rules, now)
    if found.what == STOP and rules.action == START:
        return Due(NOTHING, f"it is {instance.status}, and scheduled to be off")
    return found


def _due_on(instance: Instance, window_start: datetime, now: datetime) -> Due:
    status, in_window = instance.status, instance.modified >= window_start
    # A mark's form sorts as its time does; another form is none.
    marked = instance.tags.get(LAST_START_TAG, "")
    remembered = bool(_MARK.fullmatch(marked)) and mark(window_start) <= marked <= mark(now)
    on = status in ("InService", "Pending") or (status == "Stopping" and in_window)
    if on:
        what = NOTHING if remembered else REMEMBER
        return Due(what, f"it is {status}, as scheduled", window_start)
    if status not in STARTS_FROM:
        return Due(NOTHING, f"it is {status}: it can be started from Stopped or Failed")
    if remembered and in_window:
        text = "it was on in this window and has been stopped since: it stays so"
        if status == "Failed":
            text = "it failed in this window: it is not started again in it"
        return Due(NOTHING, text)
    if status == "Stopped" and not remembered and instance.modified >= window_start + STOP_TAKES:
        return Due(NOTHING, "it has been stopped in this window, before any run: it stays so")
    return Due(START, f"scheduled to be on since {mark(window_start)}", window_start)


def _due_off(instance: Instance, moments: Sequence[Moment], rules: Rules, now: datetime) -> Due:
    if instance.status not in STOPS_FROM:
        return Due(NOTHING, f"it is {instance.status}")
    ends = [moment.off_since for moment in moments if moment.off_since is not None]
    since = max(ends, default=instance.modified)
    if instance.modified >= since:
        since = instance.modified + rules.grace
        if now < since:
            text = f"somebody started it in the off-hours: it is left until {mark(since)}"
            return Due(NOTHING, text, held=True, since=instance.modified)
    hard = all(moment.hard for moment in moments if moment.off_since is not None)
    if ends and hard:
        return Due(STOP, "the hard hour of its schedule has come", since=since, hard=True)
    text = f"scheduled to be off since {mark(max(ends))}" if ends else "scheduled to be off"
    return Due(STOP, text, since=since)


def softened(found: Due, instance: Instance, rules: Rules, now: datetime) -> Due:
    """Hold a stop back where work would end, unless hard stops were chosen or the hour has come."""
    if found.what != STOP or found.hard or rules.stop_mode == HARD:
        return found
    signal = read_signal(instance.tags, now, rules.signal_max_age_minutes, rules.quiet_minutes)
    if signal.verdict == IDLE:
        return Due(STOP, f"{found.reason}; {signal.reason}")
    return Due(NOTHING, signal.reason, held=True, since=found.since)
