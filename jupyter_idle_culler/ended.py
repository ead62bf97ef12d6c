"""What was ended lately and what it was called: who misses a kernel asks afterwards."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import datetime

from . import status as shapes
from .actions.base import Outcome
from .core.model import HOST, Decision, Kind, ResourceId
from .culler import Looked

ENDED_KEPT = 20
"""So many of what was ended lately are told of."""


class EndedLately:
    """Remembers labels until what is done about their bearers is settled, and what was ended."""

    def __init__(self) -> None:
        self.ended: deque[shapes.Ended] = deque(maxlen=ENDED_KEPT)
        self._labels: dict[ResourceId, str] = {}
        self._going: Mapping[ResourceId, str] = {}

    def looked(self, looked: Looked, acting: frozenset[ResourceId]) -> None:
        """Remember what things are called; ``acting`` are those that are being ended."""
        self._labels = {rid: label for rid, label in self._labels.items() if rid in acting}
        self._labels.update((r.id, r.label or r.id.name) for r in looked.snapshot.resources)

    def settled(self, decision: Decision, outcome: Outcome, at: datetime) -> None:
        """Remember what became of a decision about a kernel or terminal."""
        if decision.resource == HOST:
            return
        self.ended.append(
            shapes.Ended(
                resource=str(decision.resource),
                label=self._labels.get(decision.resource, decision.resource.name),
                at=at,
                reason=decision.reason,
                evidence=decision.evidence,
                done=outcome.ok,
                detail=outcome.detail,
            )
        )

    def stop_is_near(self) -> None:
        """Remember what is there: it goes with the host."""
        self._going = dict(self._labels)

    def shut_down(self, kind: Kind, since: datetime) -> tuple[str, ...]:
        """Return the labels of what goes with the host, or was ended since its last evidence."""
        gone = {one.resource: one.label for one in self.ended if one.done and one.at >= since}
        gone.update((str(resource), label) for resource, label in self._going.items())
        prefix = f"{kind.value}:"
        return tuple(label for resource, label in gone.items() if resource.startswith(prefix))
