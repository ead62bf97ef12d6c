"""Prometheus metrics, on the server's own ``/metrics``. No label names a kernel or person."""

from __future__ import annotations

import math
from collections import Counter as Tally
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from prometheus_client import REGISTRY, Counter, Gauge, Histogram

from .actions.base import Outcome
from .core.model import HOST, Decision, Kind, Snapshot, Verdict

_PREFIX = "jupyter_idle_culler_"
_LOOK_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_Metric = TypeVar("_Metric", Counter, Gauge, Histogram)


def _once(
    kind: type[_Metric], name: str, text: str, labels: Sequence[str] = (), **more: Any
) -> _Metric:
    """Make a metric, or find the one that another application in this process made."""
    # The registry has no public way to ask for what it holds, and refuses a second one.
    known: Any = REGISTRY._names_to_collectors.get(_PREFIX + name)
    if known is not None:
        found: _Metric = known
        return found
    return kind(_PREFIX + name, text, labels, **more)


class Metrics:
    """Counts what the culler does. Several of them in one process share their figures."""

    def __init__(self) -> None:
        self._looks = _once(Counter, "looks_total", "Looks at everything.")
        self._look_duration = _once(
            Histogram, "look_duration_seconds", "How long a look took.", buckets=_LOOK_BUCKETS
        )
        self._decisions = _once(
            Counter, "decisions_total", "Decisions to do something.", ("kind", "action")
        )
        self._outcomes = _once(
            Counter, "outcomes_total", "What became of decisions.", ("action", "ok")
        )
        self._failures = _once(
            Counter, "source_failures_total", "Looks in which a source failed.", ("source",)
        )
        self._healthy = _once(
            Gauge, "source_healthy", "1: the source answered the last look; 0: not.", ("source",)
        )
        self._resources = _once(
            Gauge, "resources", "Kernels and terminals, by verdict.", ("kind", "verdict")
        )
        self._host_idle = _once(
            Gauge, "host_idle_seconds", "For how long the host was idle at the last look."
        )
        self._until_stop = _once(
            Gauge, "seconds_until_stop", "From the last look to the host's stop; +Inf: none is due."
        )
        self._keep_alives = _once(Gauge, "keep_alives", "Keep-alives that stand.")
        self._sources: set[str] = set()

    def looked(self, snapshot: Snapshot, decisions: Sequence[Decision], now: float) -> None:
        """Take note of a look and its decisions."""
        self._looks.inc()
        failing = {failure.source for failure in snapshot.failures}
        for source in failing:
            self._failures.labels(source).inc()
        self._sources |= failing | {seen.source for seen in snapshot.observations}
        for source in self._sources:
            self._healthy.labels(source).set(source not in failing)
        tally = Tally((d.resource.kind, d.verdict) for d in decisions)
        for kind in (Kind.KERNEL, Kind.TERMINAL):
            for verdict in Verdict:
                self._resources.labels(kind.value, verdict.value).set(tally[kind, verdict])
        host = next((d for d in decisions if d.resource == HOST), None)
        if host is not None:
            self._host_idle.set(max(0.0, now - host.evidence_at))
            deadline = math.inf if host.deadline is None else host.deadline - now
            self._until_stop.set(max(0.0, deadline))

    def looked_for(self, seconds: float) -> None:
        """Take note of how long a look took."""
        self._look_duration.observe(seconds)

    def sources(self, names: Iterable[str]) -> None:
        """Name the sources that there are, so that one that never spoke shows too."""
        self._sources |= set(names)

    def keep_alives(self, count: int) -> None:
        """Take note of how many keep-alives stand."""
        self._keep_alives.set(count)

    def decided(self, decision: Decision) -> None:
        """Count a decision to do something."""
        self._decisions.labels(decision.resource.kind.value, decision.action.value).inc()

    def settled(self, decision: Decision, outcome: Outcome) -> None:
        """Count what became of it; what was withdrawn for new evidence is no failure."""
        ok = "withdrawn" if outcome.withdrawn else str(outcome.ok).lower()
        self._outcomes.labels(decision.action.value, ok).inc()
