"""What the runs before this one cost and saved, from their journal: read once, at a start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ..core.model import HOST, Action, Policy
from .files import each_entry
from .recorded import RecordedRun, read_runs

SAVED_DAYS = 30
LONGEST_STOP_SECONDS = 600.0
"""A run that went on for longer after a stop was accepted did not end by it."""

_SHORTEST_IDLENESS_SECONDS = 300.0


def counts_as_idle_from(policy: Policy) -> float:
    """Return from how many seconds on a pause between two pieces of evidence is idle time.

    A shorter one is reading or thinking: presence is reported once a minute, and ends by itself.
    """
    return min(_SHORTEST_IDLENESS_SECONDS, policy.host_timeout_seconds / 4)


@dataclass
class _Run:
    """What matters of one run for what its stop has saved."""

    began: datetime
    ended: datetime
    stopped: datetime | None = None
    dry_run: bool = False

    def take(self, entry: Mapping[str, Any], time: datetime) -> None:
        self.ended = time
        if entry["event"] == "start":
            self.dry_run = entry.get("dry_run") is True
        elif entry["event"] == "outcome" and entry.get("action") == Action.STOP.value:
            ok = entry.get("resource") == str(HOST) and entry.get("ok") is True
            self.stopped = time if ok else None

    def stopped_by_us(self) -> datetime | None:
        if self.stopped is None or self.dry_run:
            return None
        late = self.ended - self.stopped > timedelta(seconds=LONGEST_STOP_SECONDS)
        return None if late else self.stopped


@dataclass(frozen=True)
class Past:
    """Seconds: how long the host was idle since midnight, and was off after stops of ours."""

    idle_seconds: float = 0.0
    saved_seconds: float = 0.0


def read_past(path: Path, run: str, midnight: datetime, now: datetime) -> Past:
    """Read what runs other than ``run``, which starts now, left in a journal.

    What was rotated away, and lines that cannot be read, do not count. Blocks: call it off the
    event loop. Raises: OSError.
    """
    runs: dict[str, _Run] = {}
    for name, entry, time in _timed(path, run):
        runs.setdefault(name, _Run(time, time)).take(entry, time)
    today = {name for name, one in runs.items() if one.ended > midnight}
    entries = [entry for name, entry, _ in _timed(path, run) if name in today] if today else []
    return Past(
        sum(idle_seconds(one, midnight) for one in read_runs(entries)[0]),
        _saved(runs.values(), now),
    )


def _timed(path: Path, but: str) -> Iterator[tuple[str, Mapping[str, Any], datetime]]:
    for entry in each_entry(path):
        name = entry.get("run")
        try:
            time = datetime.fromisoformat(entry["time"])
        except (LookupError, TypeError, ValueError):
            continue
        if isinstance(name, str) and name != but and time.tzinfo is not None:
            yield name, entry, time


def _saved(runs: Iterable[_Run], now: datetime) -> float:
    """Add up the time from each stop to the next start, within the last days."""
    since = now - timedelta(days=SAVED_DAYS)
    in_order = sorted(runs, key=lambda run: run.began)
    next_starts = [*(run.began for run in in_order), now][1:]
    saved = timedelta()
    for one, next_start in zip(in_order, next_starts, strict=True):
        stopped = one.stopped_by_us()
        if stopped is not None:
            saved += max(timedelta(), next_start - max(stopped, since))
    return saved.total_seconds()


def idle_seconds(run: RecordedRun, since: datetime) -> float:
    """Return for how long the host was idle in a run, from a moment on."""
    began = datetime.fromisoformat(run.time_at(run.begin))
    start = run.begin + max(0.0, (since - began).total_seconds())
    least, idle, quiet_since = counts_as_idle_from(run.policy), 0.0, run.begin
    for seen_from, seen_until in sorted([*run.evidence_spans(), (run.end, run.end)]):
        if min(seen_from, run.end) - quiet_since >= least:
            idle += max(0.0, min(seen_from, run.end) - max(quiet_since, start))
        quiet_since = max(quiet_since, seen_until)
    return idle
