"""What is due for one notebook instance now: a function of what AWS tells, not of an edge.

A start is due once in an on-window; windows of several schedules that overlap are one. The tag
``idle-culler:last-start`` holds the beginning of the window in which the instance was last on; it
is written before a start goes out, and put back where that does not. It counts where it is not
older than the window, whose beginning may have been edited since. An instance that carries the tag
of this window but has not moved (``LastModifiedTime``) since before the window was never really
started, by a run that was cut off: its start is still due. What has no mark, and is Stopped since
some minutes after the beginning, was stopped before the first run of the window; unless a run saw
that it could not be started yet (Updating, Stopping), and left ``… due`` in the tag.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from .schedules import Moment, on_since
from .signals import IDLE, MAX_AGE_MINUTES, QUIET_MINUTES, read_signal

LAST_START_TAG = "idle-culler:last-start"
START, STOP, REMEMBER, PUT_OFF, NOTHING = "start", "stop", "remember", "put off", "nothing"
STARTS_FROM, STOPS_FROM, PASSING = ("Stopped", "Failed"), ("InService",), ("Updating", "Stopping")
SOFT, HARD = "soft", "hard"
STOP_TAKES = timedelta(minutes=5)
"""What was being stopped when a window began may be Stopped only so long after that."""
_MARK = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_STILL_DUE = " due"


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

    ``since``: when that became so, where people are to hear of it once. ``hard``: the hard hour has
    come.
    """

    what: str
    reason: str
    window_start: datetime | None = None
    since: datetime | None = None
    hard: bool = False

    @property
    def remembered_as(self) -> str:
        """What `LAST_START_TAG` is to say from now on; empty: what it says."""
        if self.what not in (START, REMEMBER, PUT_OFF) or self.window_start is None:
            return ""
        return mark(self.window_start) + (_STILL_DUE if self.what == PUT_OFF else "")


def mark(window_start: datetime) -> str:
    """Return the beginning of a window as the tag has it."""
    return window_start.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def due_now(instance: Instance, rules: Rules, now: datetime) -> Due:
    """Say what a wish without a schedule means for an instance: at once, but softly."""
    allowed = STARTS_FROM if rules.action == START else STOPS_FROM
    if instance.status not in allowed:
        return Due(NOTHING, f"it is {instance.status}")
    return Due(rules.action, "asked for", since=now)


def due(instance: Instance, moments: Sequence[Moment], rules: Rules, now: datetime) -> Due:
    """Say what is due by the schedules that the instance follows (at least one)."""
    since = on_since(moments)
    if since is not None:
        found = _due_on(instance, since, now)
        if found.remembered_as and rules.action == STOP:
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
    put_off = marked.endswith(_STILL_DUE)
    marked = marked.removesuffix(_STILL_DUE)
    marked_here = bool(_MARK.fullmatch(marked)) and mark(window_start) <= marked <= mark(now)
    remembered, put_off = marked_here and not put_off, marked_here and put_off
    on = status in ("InService", "Pending") or (status == "Stopping" and in_window)
    if on:
        what = NOTHING if remembered else REMEMBER
        return Due(what, f"it is {status}, as scheduled", window_start)
    if status not in STARTS_FROM:
        what = PUT_OFF if status in PASSING and not marked_here else NOTHING
        text = f"it is {status}: it can be started from Stopped or Failed"
        return Due(what, text, window_start)
    if remembered and in_window:
        if status == "Failed":
            text = "it failed in this window: it is not started again in it"
            return Due(NOTHING, text, since=instance.modified)
        return Due(NOTHING, "it was on in this window and has been stopped since: it stays so")
    if status == "Stopped" and not marked_here and instance.modified >= window_start + STOP_TAKES:
        return Due(NOTHING, "it has been stopped in this window, before any run: it stays so")
    since = max(window_start, instance.modified) if put_off else window_start
    text = f"scheduled to be on since {mark(window_start)}"
    return Due(START, text, window_start, since)


def _due_off(instance: Instance, moments: Sequence[Moment], rules: Rules, now: datetime) -> Due:
    if instance.status not in STOPS_FROM:
        return Due(NOTHING, f"it is {instance.status}")
    ends = [moment.off_since for moment in moments if moment.off_since is not None]
    since = max(ends, default=instance.modified)
    if instance.modified >= since:
        since = instance.modified + rules.grace
        if now < since:
            text = f"somebody started it in the off-hours: it is left until {mark(since)}"
            return Due(NOTHING, text, since=instance.modified)
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
    if signal.verdict != IDLE:
        return Due(NOTHING, signal.reason, since=found.since)
    # Only now that it has been idle for long enough.
    allowed_at = now - signal.idle + timedelta(minutes=rules.quiet_minutes)
    since = found.since and max(found.since, allowed_at)
    return Due(STOP, f"{found.reason}; {signal.reason}", since=since)
