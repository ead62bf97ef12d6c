"""From one look to the next: what changed, in as few entries as reproduce the decisions.

Evidence that keeps moving is recorded when it begins and when it ends, and exactly whenever
something is decided because of it. `replay` turns these entries back into snapshots.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.model import Action, Decision, Policy, Resource, ResourceId, Snapshot, SourceFailure
from .form import (
    JITTER_SECONDS,
    Cell,
    Facet,
    Sight,
    failure_fields,
    policy_fields,
    resource_fields,
    sight_fields,
    sights,
)

Entries = list[tuple[str, dict[str, Any]]]

_MOVES = 2
"""What moves is written at its first move, and at the second as something that keeps moving."""


@dataclass
class _Known:
    """What was written or last seen of a cell, and for how many looks in a row it has moved."""

    seen: Mapping[Facet, Sight]
    moves: int = 0


class Recorder:
    """Compares each look with the one before it. Pure: it reads no clock and writes no file."""

    def __init__(self) -> None:
        self._policy: Policy | None = None
        self._started: float | None = None
        self._resources: dict[ResourceId, dict[str, Any]] = {}
        self._failures: dict[tuple[Any, ...], SourceFailure] = {}
        self._cells: dict[Cell, _Known] = {}
        self._last_look: float | None = None

    def changes(
        self, snapshot: Snapshot, decisions: Sequence[Decision], policy: Policy, now: float
    ) -> Entries:
        """Return the entries for this look, each an event and its fields, in their order."""
        entries: Entries = []
        if policy != self._policy or snapshot.server_started_at != self._started:
            self._policy, self._started = policy, snapshot.server_started_at
            about = {"policy": policy_fields(policy), "server_started_at": self._started}
            entries.append(("settings", about))
        self._compare_resources(snapshot.resources, entries)
        self._compare_failures(snapshot.failures, entries)
        exactly = any(decision.action is not Action.KEEP for decision in decisions)
        self._compare_cells(snapshot, exactly, entries)
        for _, fields in entries:
            fields["t"] = now
        self._last_look = now
        return entries

    def _compare_resources(self, resources: Sequence[Resource], entries: Entries) -> None:
        here = {resource.id for resource in resources}
        for gone in [rid for rid in self._resources if rid not in here]:
            entries.append(("gone", {"resource": str(gone), "until": self._last_look}))
            del self._resources[gone]
            for cell in [cell for cell in self._cells if cell[0] == gone]:
                del self._cells[cell]
        for resource in resources:
            known, fields = self._resources.get(resource.id), resource_fields(resource)
            if known is not None:
                if abs(known["started_at"] - fields["started_at"]) <= JITTER_SECONDS:
                    fields["started_at"] = known["started_at"]
                if fields == known:
                    continue
            self._resources[resource.id] = fields
            if known is None:
                entries.append(("appeared", dict(fields)))
            else:
                entries.append(("changed", {**fields, "until": self._last_look}))

    def _compare_failures(self, failures: Sequence[SourceFailure], entries: Entries) -> None:
        now = {(f.source, f.covers, f.essential, f.local_only): f for f in failures}
        for key, failure in now.items():
            if key not in self._failures:
                fields = {**failure_fields(failure), "failing": True, "detail": failure.detail}
                entries.append(("health", fields))
        for key, failure in self._failures.items():
            if key not in now:
                fields = {**failure_fields(failure), "failing": False, "until": self._last_look}
                entries.append(("health", fields))
        self._failures = now

    def forget(self) -> None:
        """Write everything anew at the next look: what was written may be rotated away."""
        self._policy = self._started = None
        self._resources.clear()
        self._failures.clear()
        self._cells.clear()

    def _compare_cells(self, snapshot: Snapshot, exactly: bool, entries: Entries) -> None:
        now = sights(snapshot.observations)
        for cell in [cell for cell in self._cells if cell not in now]:
            now[cell] = {}
        for cell, seen in now.items():
            known = self._cells.setdefault(cell, _Known({}))
            turned = seen.keys() != known.seen.keys()
            if not known.moves and seen == known.seen:
                pass  # nothing new, as of most cells in most looks
            elif turned or _moved(seen, known.seen, JITTER_SECONDS):
                if known.moves > 1:
                    # Where it stood when it stopped moving, before what it turned into.
                    known.moves = 0
                    self._write(cell, known, entries)
                known.moves, known.seen = 0, seen
                self._write(cell, known, entries)
            elif _moved(known.seen, seen, 0.0 if exactly else JITTER_SECONDS):
                known.moves, known.seen = known.moves + 1, seen
                if known.moves <= _MOVES or exactly:
                    self._write(cell, known, entries)
            else:
                settled, known.moves = known.moves > 1, 0
                if settled:
                    self._write(cell, known, entries)
            if not seen and cell[0].name and cell[0] not in self._resources:
                del self._cells[cell]

    def _write(self, cell: Cell, known: _Known, entries: Entries) -> None:
        resource, source = cell
        fields: dict[str, Any] = {"resource": str(resource), "source": source}
        if self._last_look is not None:
            fields["until"] = self._last_look
        ordered = sorted(known.seen.values(), key=lambda s: (s.verdict.value, s.strength.value))
        fields["verdict"] = ordered[0].verdict.value if ordered else "idle"
        fields["sees"] = [sight_fields(sight, known.moves > 1) for sight in ordered]
        entries.append(("evidence", fields))


def _moved(before: Mapping[Facet, Sight], now: Mapping[Facet, Sight], least: float) -> bool:
    """Tell whether an instant moved on by more than ``least`` seconds."""
    for facet, sight in now.items():
        at, was = sight.at, before[facet].at
        if at is not None and was is not None and at - was > least:
            return True
    return False
