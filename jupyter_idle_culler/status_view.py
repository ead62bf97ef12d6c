"""Say how everything stands, from the last look and what was asked for: no look, no file."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from . import status as view
from ._version import __version__
from .actor import Actor
from .clock import AwakeClock
from .core.duration import duration
from .core.model import (
    HOST,
    Action,
    Decision,
    Kind,
    Policy,
    Resource,
    ResourceId,
    Verdict,
)
from .culler import Looked
from .observer import Observer

_Calendar = Callable[[float], datetime]

_LEFT_OUT = "left out after source_failure_grace_minutes: what only it sees holds nothing now"
_ENDS = frozenset({Action.CULL, Action.STOP})

QUIET_SECONDS = 60.0
"""What is busy and has done nothing to be seen for so long is said to wait (or a shorter timeout).
"""


def minutes(seconds: float) -> float | None:
    """Return minutes, None for never."""
    return None if seconds == math.inf else seconds / 60


@dataclass
class StatusView:
    """Puts the culler's state into the shapes of `status`. ``stop_action`` is the resolved one."""

    clock: AwakeClock
    observer: Observer
    actor: Actor
    stop_action: str
    dry_run: bool

    def status(
        self,
        looked: Looked | None,
        policy: view.PolicySummary,
        keep_alives: Sequence[view.KeepAlive],
        problems: Sequence[view.Problem],
    ) -> view.Status:
        """Return the whole status; before the first look, one that knows of nothing."""
        now, utc = self.clock.now(), self.clock.calendar()
        decisions = looked.decisions if looked else ()
        resources = {r.id: r for r in looked.snapshot.resources} if looked else {}
        by_kind: dict[Kind, list[view.ResourceStatus]] = {Kind.KERNEL: [], Kind.TERMINAL: []}
        for decision in decisions:
            if decision.resource in resources:
                shown = self._resource(decision, resources[decision.resource], now, utc)
                if looked is not None and _waits(decision, looked):
                    waits = f"{shown.reason}, probably waiting for something elsewhere"
                    facts = {**shown.facts, "waits_elsewhere": True}
                    shown = replace(shown, reason=waits, facts=facts)
                by_kind[decision.resource.kind].append(shown)
        return view.Status(
            time=self.clock.utc_now(),
            version=__version__,
            dry_run=self.dry_run,
            host=self._host(looked, now),
            policy=policy,
            kernels=tuple(by_kind[Kind.KERNEL]),
            terminals=tuple(by_kind[Kind.TERMINAL]),
            keep_alives=tuple(keep_alives),
            next=self._next(decisions, now),
            health=self._health(looked, problems, now),
        )

    def explain(
        self,
        status: view.Status,
        looked: Looked | None,
        other_cullers: Sequence[str],
        ended: Sequence[view.Ended] = (),
    ) -> view.Explanation:
        """Return why: every observation of the last look, and what would happen."""
        now, utc = self.clock.now(), self.clock.calendar()
        observations = looked.snapshot.observations if looked else ()
        return view.Explanation(
            status=status,
            observations=tuple(
                view.ObservationReport(
                    resource=str(seen.resource),
                    source=seen.source,
                    verdict=seen.verdict.value,
                    strength=seen.strength.value,
                    detail=seen.detail,
                    at=None if seen.at is None else utc(seen.at),
                    age_seconds=None if seen.at is None else max(0.0, now - seen.at),
                    value=seen.value,
                    threshold=seen.threshold,
                    unit=seen.unit,
                )
                for seen in observations
            ),
            sources=tuple(self._source(source) for source in self.observer.sources),
            limitations=self.observer.limitations,
            other_cullers=tuple(other_cullers),
            would_happen=tuple(self._would_happen(looked, now)),
            ended=tuple(ended),
        )

    def _evidence(self, decision: Decision, now: float, utc: _Calendar) -> view.Evidence:
        return view.Evidence(
            at=utc(decision.evidence_at),
            age_seconds=max(0.0, now - decision.evidence_at),
            source=decision.evidence_source,
            detail=decision.evidence,
        )

    def _resource(
        self, decision: Decision, resource: Resource, now: float, utc: _Calendar
    ) -> view.ResourceStatus:
        deadline = decision.deadline
        return view.ResourceStatus(
            id=decision.resource.name,
            label=resource.label or decision.resource.name,
            verdict=decision.verdict.value,
            reason=decision.reason,
            evidence=self._evidence(decision, now, utc),
            culled_in_seconds=None if deadline is None else max(0.0, deadline - now),
            culled_at=None if deadline is None else utc(deadline),
            facts=resource.facts,
        )

    def _host(self, looked: Looked | None, now: float) -> view.HostStatus:
        if looked is None:
            started = self.observer.server_started_at
            unseen = view.Evidence(self.clock.to_utc(started), now - started, "start", "started")
            return view.HostStatus("unknown", "not looked yet", unseen, self.stop_action)
        decision = looked.decisions[-1]
        status = view.HostStatus(
            verdict=decision.verdict.value,
            reason=decision.reason,
            evidence=self._evidence(decision, now, self.clock.to_utc),
            stop_action=self.stop_action,
            active=self._at_work(looked),
        )
        if decision.deadline is None:
            return status
        remaining = max(0.0, decision.deadline - now)
        warned = looked.state.warned
        return replace(
            status,
            stops_in_seconds=remaining,
            stops_at=self.clock.to_utc(decision.deadline),
            warning=None
            if warned is None
            else view.WarningStatus(
                since=self.clock.to_utc(warned.since),
                ends_in_seconds=remaining,
                stops_at=self.clock.to_utc(decision.deadline),
            ),
        )

    @staticmethod
    def _at_work(looked: Looked) -> tuple[str, ...]:
        """Name what is active now, most telling first."""
        labels = {r.id: r.label or r.id.name for r in looked.snapshot.resources}
        names = [
            labels[decision.resource]
            for decision in looked.decisions
            if decision.verdict is Verdict.ACTIVE and decision.resource in labels
        ]
        names += [
            seen.detail
            for seen in looked.snapshot.observations
            if seen.resource == HOST and seen.verdict is Verdict.ACTIVE and seen.detail
        ]
        return tuple(dict.fromkeys(names))

    def _next(self, decisions: Sequence[Decision], now: float) -> view.NextStep | None:
        due = [
            (decision.look_at, decision)
            for decision in decisions
            if decision.deadline is not None and decision.look_at is not None
        ]
        if not due:
            return None
        at, decision = min(due, key=lambda pair: (pair[0], str(pair[1].resource)))
        action = "cull"
        if decision.resource == HOST:
            action = "stop" if decision.look_at == decision.deadline else "warn"
        return view.NextStep(
            str(decision.resource), action, max(0.0, at - now), self.clock.to_utc(at)
        )

    def _source(self, source: object) -> view.SourceReport:
        name = getattr(source, "name", "")
        health = self.observer.health.get(name)
        failing = health is not None and health.failing_since is not None
        return view.SourceReport(
            name=name,
            covers=str(getattr(source, "covers", "")),
            essential=bool(getattr(source, "essential", True)),
            ok=not failing,
            detail=health.detail if health is not None and failing else "",
            since=self.clock.to_utc(health.failing_since)
            if health is not None and health.failing_since is not None
            else None,
            look_seconds=health.look_seconds if health is not None else None,
        )

    def _health(
        self, looked: Looked | None, problems: Sequence[view.Problem], now: float
    ) -> view.Health:
        found = list(problems)
        unhealthy = any(problem.source == "culler" for problem in found)
        for name, health in self.observer.health.items():
            if health.failing_since is not None:
                essential = self._essential.get(name, True)
                mend = f"{_left_to(name, essential, looked)}; see the server log"
                since = self.clock.to_utc(health.failing_since)
                found.append(view.Problem(name, since, health.detail, mend))
        for seen in looked.snapshot.observations if looked else ():
            if seen.verdict is Verdict.UNKNOWN and looked is not None:
                since = self.clock.to_utc(looked.state.unknown_since.get(seen.source, now))
                mend = _left_to(seen.source, seen.essential, looked)
                detail = f"{seen.resource}: {seen.detail}"
                found.append(view.Problem(seen.source, since, detail, mend))
        for resource, failure in self.actor.failures.items():
            if not self._still_due(resource, looked):
                continue
            unhealthy = True
            mend = f"tried again at {self.clock.to_utc(failure.retry_at):%H:%M:%S} UTC"
            if failure.mend:
                mend = f"{failure.mend}; {mend}"
            since = self.clock.to_utc(failure.since)
            found.append(view.Problem(str(resource), since, failure.detail, mend))
        if not found:
            return view.Health()
        return view.Health("unhealthy" if unhealthy else "degraded", tuple(found))

    @property
    def _essential(self) -> dict[str, bool]:
        return {s.name: bool(getattr(s, "essential", True)) for s in self.observer.sources}

    def _still_due(self, resource: ResourceId, looked: Looked | None) -> bool:
        """Tell whether what failed will be tried again: not once there is new evidence."""
        if looked is None or resource in self.actor.running:
            return True
        return any(d.resource == resource and d.action in _ENDS for d in looked.decisions)

    def _would_happen(self, looked: Looked | None, now: float) -> list[str]:
        if looked is None:
            return []
        labels = {r.id: r.label or str(r.id) for r in looked.snapshot.resources}
        pretend = " (dry run: nothing would be changed)" if self.dry_run else ""
        sentences = []
        for decision in looked.decisions:
            if decision.deadline is None:
                continue
            name = labels.get(decision.resource, "this host")
            verb = "stop" if decision.resource == HOST else "be culled"
            when = duration(max(0.0, decision.deadline - now))
            sentences.append(f"{name} will {verb} in {when} unless something happens{pretend}")
        return sentences


def _left_to(source: str, essential: bool, looked: Looked | None) -> str:
    """Say what becomes of that which a source cannot see: kept, for a while, or left out."""
    if looked is not None and looked.policy.cull_on_unknown:
        return "left out (cull_on_unknown): what it cannot see counts as idle"
    if essential:
        return "what it cannot see is kept while this lasts"
    if looked is not None:
        since = looked.state.unknown_since.get(source, looked.at)
        if looked.at - since >= looked.policy.source_failure_grace_seconds:
            return _LEFT_OUT
    return "what it cannot see is kept for a while, then left out"


def _waits(decision: Decision, looked: Looked) -> bool:
    """Tell whether nothing but a busy cell or a foreground job shows that there is work (K2)."""
    evidence, policy = looked.state.evidence.get(decision.resource), looked.policy
    if evidence is None or decision.verdict is not Verdict.ACTIVE:
        return False
    is_kernel = decision.resource.kind is Kind.KERNEL
    timeout = policy.kernel_timeout_seconds if is_kernel else policy.terminal_timeout_seconds
    quiet_since = looked.at - min(QUIET_SECONDS, timeout)
    occupied = evidence.occupied.source == decision.evidence_source and (
        evidence.occupied.at >= decision.evidence_at
    )
    return occupied and evidence.work.at <= quiet_since


def policy_summary(
    policy: Policy,
    *,
    min_timeout_minutes: float | None,
    max_timeout_minutes: float | None,
    max_keep_alive_minutes: float,
) -> view.PolicySummary:
    """Return the times in force and the bounds."""
    return view.PolicySummary(
        kernel_timeout_minutes=minutes(policy.kernel_timeout_seconds),
        terminal_timeout_minutes=minutes(policy.terminal_timeout_seconds),
        host_timeout_minutes=minutes(policy.host_timeout_seconds) if policy.host_stops else None,
        warning_minutes=policy.warning_seconds / 60,
        min_timeout_minutes=min_timeout_minutes,
        max_timeout_minutes=max_timeout_minutes,
        max_keep_alive_minutes=max_keep_alive_minutes,
        max_unattended_minutes=minutes(policy.max_unattended_seconds),
    )
