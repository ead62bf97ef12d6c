"""One run of a culler as its journal has it, and what was to be seen at any instant of it."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from ..core.model import (
    HOST,
    Action,
    Observation,
    Policy,
    Resource,
    ResourceId,
    SourceFailure,
    Verdict,
)
from .form import (
    JITTER_SECONDS,
    Cell,
    Sight,
    read_failure,
    read_id,
    read_policy,
    read_resource,
    read_sight,
)

Entry = Mapping[str, Any]

_OF_LOOKS = frozenset({"settings", "appeared", "changed", "gone", "evidence", "health", "decision"})
"""What is written in a look, at its instant; the rest comes when it comes."""


@dataclass
class _Span:
    """A cell from one entry about it to the next one.

    ``until`` is the last look that still saw it so, ``then`` what the next entry saw.
    """

    began: float
    sights: tuple[tuple[Sight, bool], ...]
    until: float | None = None
    then: tuple[Sight, ...] = ()

    def observations(self, cell: Cell, now: float) -> Iterable[Observation]:
        """What was to be seen at this instant."""
        resource, source = cell
        for sight, moving in self.sights:
            verdict, at = sight.verdict, sight.at
            if verdict is Verdict.ACTIVE and at is None:
                if self.until is not None and now > self.until:
                    verdict, at = Verdict.IDLE, self.until
            elif at is not None and now > self.began:
                known = self._came_to_rest(sight, now) if moving else self._settled(sight, at)
                at = min(now, known)
            yield Observation(
                resource,
                source,
                verdict,
                at,
                sight.detail,
                sight.strength,
                essential=sight.essential,
            )

    def _came_to_rest(self, sight: Sight, now: float) -> float:
        """Return where an instant that kept moving stood in the end: never later than it was."""
        same = self._then_at(sight)
        if same:
            return max(same)
        return now if self.until is None else self.until

    def _settled(self, sight: Sight, at: float) -> float:
        """Return the instant, as exactly as the next entry has it.

        What a source computes anew differs a little from look to look, and is written only once
        something is decided because of it: the looks before that had seen it already.
        """
        near = [then for then in self._then_at(sight) if 0.0 < then - at <= JITTER_SECONDS]
        return max(near, default=at)

    def _then_at(self, sight: Sight) -> list[float]:
        """List the instants that the next entry has for the same kind of evidence."""
        kind = (sight.verdict, sight.strength)
        same = [other.at for other in self.then if (other.verdict, other.strength) == kind]
        return [at for at in same if at is not None]


@dataclass
class RecordedRun:
    """The entries of one run, in order. Call `advance` with instants that never go back."""

    entries: list[Entry]
    begin: float
    end: float
    policy: Policy
    server_started_at: float
    ended: bool = False
    unusable: int = 0
    resources: dict[ResourceId, Resource] = field(default_factory=dict)
    failures: dict[tuple[object, ...], SourceFailure] = field(default_factory=dict)
    _cells: dict[Cell, _Span] = field(default_factory=dict)
    _spans: dict[int, tuple[Cell, _Span]] = field(default_factory=dict)
    _resources_until: dict[int, float] = field(default_factory=dict)
    _known_until: dict[ResourceId, float] = field(default_factory=dict)
    _times: list[float] = field(default_factory=list)
    _position: int = 0

    def __post_init__(self) -> None:
        times = {self.begin}
        latest: dict[Cell, _Span] = {}
        named: dict[object, int] = {}
        for index, entry in enumerate(self.entries):
            if entry["event"] in _OF_LOOKS:
                times.add(entry["t"])
            if isinstance(entry.get("until"), (int, float)):
                times.add(float(entry["until"]))
            if entry["event"] == "evidence":
                self._read_span(index, entry, latest)
            elif entry["event"] in ("appeared", "changed", "gone"):
                before = named.pop(entry.get("resource"), None)
                if before is not None:
                    self._resources_until[before] = _until(entry)
                if entry["event"] != "gone":
                    named[entry.get("resource")] = index
                    continue
                for cell in [c for c in latest if str(c[0]) == entry.get("resource")]:
                    latest.pop(cell).until = _until(entry)
        self._times = sorted(t for t in times if t >= self.begin)
        self.ended = any(entry["event"] == "end" for entry in self.entries)

    @property
    def decisions(self) -> list[Entry]:
        """The decisions to do something that were recorded."""
        return [e for e in self.entries if e["event"] == "decision" and e.get("action") != "keep"]

    @property
    def really_culled(self) -> int:
        """How many kernels and terminals were really culled in this run."""
        culled, gone = set(), 0
        for entry in self.entries:
            if entry["event"] == "outcome" and entry.get("action") == Action.CULL.value:
                if entry.get("ok"):
                    culled.add(entry.get("resource"))
            elif entry["event"] == "gone" and entry.get("resource") in culled:
                culled.discard(entry.get("resource"))
                gone += 1
        return gone

    def extend_to(self, now: datetime) -> None:
        """Let the run go on, unchanged, until this moment."""
        last = self.entries[-1]
        passed = (now - datetime.fromisoformat(last["time"])).total_seconds()
        self.end = max(self.end, last["t"] + passed)

    def advance(self, now: float) -> None:
        """Take in every entry up to this instant."""
        while self._position < len(self.entries) and self.entries[self._position]["t"] <= now:
            try:
                self._take(self._position, self.entries[self._position])
            except (KeyError, TypeError, ValueError):
                self.unusable += 1
            self._position += 1

    def next_time(self, now: float) -> float | None:
        """Return the instant of the next look that recorded something or was the last to see it."""
        index = bisect_right(self._times, now)
        return self._times[index] if index < len(self._times) else None

    def resources_at(self, now: float) -> tuple[Resource, ...]:
        """What existed at this instant; what held it is taken to end with the last look at it."""
        return tuple(
            resource
            if now <= self._known_until[resource.id]
            else replace(resource, connections=0, hold_host=False)
            for resource in self.resources.values()
        )

    def observations(self, now: float) -> tuple[Observation, ...]:
        """What the sources were to see at this instant."""
        return tuple(
            seen for cell, span in self._cells.items() for seen in span.observations(cell, now)
        )

    def evidence_spans(self) -> Iterable[tuple[float, float]]:
        """Return from when until when there was evidence, in no order; what is unknown is some."""
        for _, span in self._spans.values():
            until = self.end if span.until is None else max(span.until, span.began)
            for sight, moving in span.sights:
                lasts = sight.at is None and sight.verdict is not Verdict.IDLE
                if lasts or moving or sight.verdict is Verdict.UNKNOWN:
                    yield (span.began, until)
                elif sight.at is not None:
                    yield (sight.at, sight.at)
        for entry in self.entries:
            if entry["event"] == "appeared":
                yield (entry["t"], entry["t"])

    def used_since(self, since: Mapping[ResourceId, float], now: float) -> dict[ResourceId, float]:
        """Return when each of these was used after its instant; those that were not are left out.

        For the host everything counts, a kernel or terminal that was started too. What was there
        already, and did not count then, does not count now.
        """
        used: dict[ResourceId, float] = {}

        def note(resource: ResourceId, at: float, began: float) -> None:
            for one in (resource, HOST):
                if one in since and min(at, began) > since[one]:
                    used[one] = min(at, used.get(one, at))

        for resource in self.resources.values():
            note(resource.id, resource.started_at, resource.started_at)
        for cell, span in self._cells.items():
            for seen in span.observations(cell, now):
                if seen.verdict is Verdict.ACTIVE and seen.at is None:
                    note(seen.resource, span.began, span.began)
                elif seen.verdict is not Verdict.UNKNOWN and seen.at is not None:
                    note(seen.resource, min(seen.at, now), span.began)
        return used

    def time_at(self, t: float) -> str:
        """Return the wall-clock time of an instant, by the entry before it."""
        index = bisect_right(self.entries, t, key=lambda entry: entry["t"]) - 1
        entry = self.entries[max(index, 0)]
        moved = datetime.fromisoformat(entry["time"]) + timedelta(seconds=t - entry["t"])
        return moved.isoformat(timespec="milliseconds")

    def _read_span(self, index: int, entry: Entry, latest: dict[Cell, _Span]) -> None:
        try:
            cell = (read_id(entry["resource"]), str(entry["source"]))
            span = _Span(entry["t"], tuple(read_sight(sight) for sight in entry["sees"]))
        except (KeyError, TypeError, ValueError):
            self.unusable += 1
            return
        before = latest.get(cell)
        if before is not None:
            before.until, before.then = _until(entry), tuple(sight for sight, _ in span.sights)
        latest[cell] = span
        self._spans[index] = (cell, span)

    def _take(self, index: int, entry: Entry) -> None:
        event = entry["event"]
        if event == "evidence" and index in self._spans:
            cell, span = self._spans[index]
            self._cells[cell] = span
        elif event in ("appeared", "changed"):
            resource = read_resource(entry)
            self.resources[resource.id] = resource
            self._known_until[resource.id] = self._resources_until.get(index, math.inf)
        elif event == "gone":
            gone = read_id(entry["resource"])
            self.resources.pop(gone, None)
            for cell in [cell for cell in self._cells if cell[0] == gone]:
                del self._cells[cell]
        elif event == "health" and "covers" in entry:
            failure = read_failure(entry)
            key = (failure.source, failure.covers, failure.essential, failure.local_only)
            if entry["failing"]:
                self.failures[key] = failure
            else:
                self.failures.pop(key, None)
        elif event == "settings" and "policy" in entry:
            self.policy = read_policy(entry["policy"])
            self.server_started_at = float(entry["server_started_at"])


def _until(entry: Entry) -> float:
    until = entry.get("until")
    return float(until) if isinstance(until, (int, float)) else float(entry["t"])


def read_runs(entries: Iterable[Entry]) -> tuple[list[RecordedRun], int]:
    """Part a journal into runs, oldest first; return them and how many entries belong to none.

    What comes before a run's first policy is left out: its beginning is rotated away.
    """
    by_run: dict[str, list[Entry]] = {}
    unusable = 0
    for entry in entries:
        if _usable(entry):
            by_run.setdefault(str(entry["run"]), []).append(entry)
        else:
            unusable += 1
    runs = []
    for of_run in by_run.values():
        of_run.sort(key=lambda entry: entry["t"])
        first = next((i for i, entry in enumerate(of_run) if "policy" in entry), None)
        if first is None:
            continue
        try:
            run = _run(of_run[first:])
        except (KeyError, TypeError, ValueError):
            unusable += 1
            continue
        runs.append(run)
    return runs, unusable


def _run(entries: list[Entry]) -> RecordedRun:
    return RecordedRun(
        entries,
        begin=entries[0]["t"],
        end=entries[-1]["t"],
        policy=read_policy(entries[0]["policy"]),
        server_started_at=float(entries[0]["server_started_at"]),
    )


def _usable(entry: Entry) -> bool:
    t = entry.get("t")
    if not isinstance(t, (int, float)) or not math.isfinite(t) or "event" not in entry:
        return False
    try:
        datetime.fromisoformat(entry["time"])
    except (KeyError, TypeError, ValueError):
        return False
    return "run" in entry
