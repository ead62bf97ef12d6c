"""The decision: what is idle, since when, and what is to be done about it.

`decide` is a function of its arguments. The laws it keeps for all inputs stand as property tests in
``tests/test_decision_laws.py``.
"""

from __future__ import annotations

import math
from typing import Dict, Iterable, List, NamedTuple, Optional, Set, Tuple

from .model import (
    EVERYTHING,
    HOST,
    Action,
    Decision,
    Evidence,
    Kind,
    Mark,
    Observation,
    Policy,
    Resource,
    ResourceId,
    Snapshot,
    SourceFailure,
    State,
    Strength,
    Verdict,
    Warned,
)

_NONE = Evidence()
_NEVER = Mark()
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0


class _Standing(NamedTuple):
    """How one resource stands: evidence that counts on its own, and all that counts."""

    strong: Mark
    unattended: Mark
    effective: Mark


def decide(
    snapshot: Snapshot, policy: Policy, state: State, now: float
) -> Tuple[Tuple[Decision, ...], State]:
    """Decide about each resource of the snapshot, in its order, and last about the host.

    ``now`` is an instant on the clock of the snapshot. Instants in the future (the clock was set
    back to leave a sleep out) are taken as now. Returns the decisions, and the state for next time.
    """
    seen = _gather(snapshot.observations, now)
    everything = _merge(state.evidence.get(EVERYTHING, _NONE), seen.get(EVERYTHING, _NONE))
    unknown = _Unknown(snapshot, policy, state, now)
    remembered: Dict[ResourceId, Evidence] = {EVERYTHING: everything}
    host = _merge(state.evidence.get(HOST, _NONE), seen.get(HOST, _NONE))
    host_strong = max(host.work, Mark(min(snapshot.server_started_at, now), "start", "started"))
    host_unattended = max(host.unattended, everything.unattended)
    host_strong = max(host_strong, everything.work)
    decisions: List[Decision] = []
    for resource in snapshot.resources:
        evidence = _merge(state.evidence.get(resource.id, _NONE), seen.get(resource.id, _NONE))
        if resource.connections and not policy.ignore_connections:
            evidence = evidence._replace(work=Mark(now, "connections", "a client is connected"))
        remembered[resource.id] = evidence
        standing = _stand(resource, evidence, everything, policy, now)
        host_strong = max(host_strong, standing.strong)
        host_unattended = max(host_unattended, standing.unattended)
        if resource.hold_host and not resource.dead:
            label = "{} holds the host".format(resource.label or resource.id)
            host_strong = max(host_strong, Mark(now, "kernelspec", label))
        why_unknown = unknown.of(resource)
        decisions.append(_about(resource, standing.effective, why_unknown, policy, now))
    for resource_id, evidence in seen.items():
        if resource_id not in remembered and resource_id != HOST:
            host_strong = max(host_strong, evidence.work, evidence.occupied)
            host_unattended = max(host_unattended, evidence.unattended)
    remembered[HOST] = Evidence(host_strong, _NEVER, host_unattended)
    effective = _capped(host_strong, host_unattended, policy.max_unattended_seconds)
    why_unknown = unknown.of_host(decisions)
    about_host, warned = _about_host(effective, why_unknown, policy, state.warned, now)
    decisions.append(about_host)
    return tuple(decisions), State(remembered, unknown.since, warned)


def _gather(observations: Iterable[Observation], now: float) -> Dict[ResourceId, Evidence]:
    """Collect the newest evidence of each strength for each resource."""
    found: Dict[ResourceId, Evidence] = {}
    for seen in observations:
        if seen.verdict is Verdict.UNKNOWN:
            continue
        at = seen.at
        if at is None:
            if seen.verdict is Verdict.IDLE:
                continue
            at = now
        mark = Mark(min(at, now), seen.source, seen.detail)
        known = found.get(seen.resource, _NONE)
        if seen.strength is Strength.WORK:
            if mark > known.work:
                found[seen.resource] = Evidence(mark, known.occupied, known.unattended)
        elif seen.strength is Strength.OCCUPIED:
            if mark > known.occupied:
                found[seen.resource] = Evidence(known.work, mark, known.unattended)
        elif mark > known.unattended:
            found[seen.resource] = Evidence(known.work, known.occupied, mark)
    return found


def _merge(one: Evidence, other: Evidence) -> Evidence:
    if other is _NONE:
        return one
    if one is _NONE:
        return other
    return Evidence(
        max(one.work, other.work),
        max(one.occupied, other.occupied),
        max(one.unattended, other.unattended),
    )


def _capped(strong: Mark, other: Mark, cap_seconds: float) -> Mark:
    """Return the newer of the two, where the other counts at most so long after the strong one."""
    if other.at <= strong.at + cap_seconds:
        return max(strong, other)
    return Mark(strong.at + cap_seconds, other.source, other.detail)


def _stand(
    resource: Resource, evidence: Evidence, everything: Evidence, policy: Policy, now: float
) -> _Standing:
    started = Mark(min(resource.started_at, now), "start", "started")
    work = max(started, evidence.work, everything.work)
    strong = _capped(work, evidence.occupied, policy.max_quiet_seconds)
    unattended = max(evidence.unattended, everything.unattended)
    return _Standing(strong, unattended, max(strong, unattended))


class _Unknown:
    """What the sources that fail keep from being decided."""

    def __init__(self, snapshot: Snapshot, policy: Policy, state: State, now: float) -> None:
        self.since: Dict[str, float] = {}
        self._failures: List[SourceFailure] = []
        self._observed: Dict[ResourceId, str] = {}
        failing: Set[Tuple[str, bool]] = {(f.source, f.essential) for f in snapshot.failures}
        unseen = [o for o in snapshot.observations if o.verdict is Verdict.UNKNOWN]
        failing.update((o.source, o.essential) for o in unseen)
        for source, _ in failing:
            self.since[source] = min(state.unknown_since.get(source, now), now)
        if policy.cull_on_unknown:
            return
        grace = policy.source_failure_grace_seconds
        counted = {(s, e) for s, e in failing if e or now - self.since[s] < grace}
        self._failures = sorted(
            (f for f in snapshot.failures if (f.source, f.essential) in counted),
            key=lambda f: (f.source, f.detail),
        )
        for seen in sorted(unseen, key=lambda o: (o.source, o.detail), reverse=True):
            if (seen.source, seen.essential) in counted:
                self._observed[seen.resource] = "{}: {}".format(seen.source, seen.detail)

    def of(self, resource: Resource) -> Optional[str]:
        """Say why it cannot be known whether this one is idle; None if it can."""
        if self._observed:
            for rid in (resource.id, EVERYTHING):
                if rid in self._observed:
                    return self._observed[rid]
        for failure in self._failures:
            if failure.local_only and resource.pid is None:
                continue
            if failure.covers in (EVERYTHING, resource.id, ResourceId(resource.id.kind, "")):
                return "{}: {}".format(failure.source, failure.detail)
        return None

    def of_host(self, decisions: Iterable[Decision]) -> Optional[str]:
        """Say why it cannot be known whether the host is idle; None if it can."""
        for rid in (HOST, EVERYTHING):
            if rid in self._observed:
                return self._observed[rid]
        for failure in self._failures:
            return "{}: {}".format(failure.source, failure.detail)
        return min(
            (
                "{}: {}".format(decision.resource, decision.reason)
                for decision in decisions
                if decision.verdict is Verdict.UNKNOWN
            ),
            default=None,
        )


def _about(
    resource: Resource, evidence: Mark, why_unknown: Optional[str], policy: Policy, now: float
) -> Decision:
    """Decide about one kernel or terminal."""
    timeout = resource.timeout_seconds
    is_terminal = resource.id.kind is Kind.TERMINAL
    if timeout is None:
        timeout = policy.terminal_timeout_seconds if is_terminal else policy.kernel_timeout_seconds
    if is_terminal and not policy.cull_terminals:
        timeout = math.inf
    action, verdict, deadline, look_at = Action.KEEP, Verdict.IDLE, None, _later(now, timeout)
    if resource.dead:
        action, reason = Action.CULL, "its process has ended and will not be restarted"
    elif evidence.at >= now:
        verdict, reason = Verdict.ACTIVE, evidence.detail
    elif why_unknown is not None:
        verdict, reason = Verdict.UNKNOWN, "kept, because it cannot be seen: " + why_unknown
    elif timeout == math.inf:
        reason = "idle for {}; never culled".format(duration(now - evidence.at))
    else:
        deadline = look_at = evidence.at + timeout
        if now >= deadline:
            action = Action.CULL
        reason = "idle for {} of {}".format(duration(now - evidence.at), duration(timeout))
    return Decision(
        resource.id, action, verdict, reason, evidence.at, evidence.detail, evidence.source,
        deadline, look_at,
    )  # fmt: skip


def _later(now: float, seconds: float) -> Optional[float]:
    """Return when an idleness that began right now could first fall due."""
    return None if seconds == math.inf else now + seconds


def _about_host(
    evidence: Mark,
    why_unknown: Optional[str],
    policy: Policy,
    warned: Optional[Warned],
    now: float,
) -> Tuple[Decision, Optional[Warned]]:
    """Decide about the host: warn, let the warning stand its time, then stop."""
    timeout = policy.host_timeout_seconds if policy.host_stops else math.inf
    warning = min(policy.warning_seconds, timeout / 2)
    action, verdict, deadline = Action.KEEP, Verdict.IDLE, None
    look_at = _later(now, timeout - warning)
    idle = "idle for {}".format(duration(now - evidence.at))
    standing = None
    if evidence.at >= now:
        verdict, reason = Verdict.ACTIVE, evidence.detail
    elif why_unknown is not None:
        verdict, reason = Verdict.UNKNOWN, "kept, because it cannot be seen: " + why_unknown
    elif timeout == math.inf:
        reason = idle + "; never stopped"
    else:
        reason = "{} of {}".format(idle, duration(timeout))
        # The server's start counts as evidence, so the startup grace (at most half the timeout) is
        # kept by this already.
        deadline = evidence.at + timeout
        look_at = deadline - warning
        if warned is not None and warned.evidence_at == evidence.at and now >= look_at:
            standing = warned
            deadline = max(deadline, warned.since + warning)
            look_at = deadline
            if now >= deadline:
                action = Action.STOP
        elif now >= look_at:
            action, standing = Action.WARN, Warned(now, evidence.at)
            deadline = look_at = max(deadline, now + warning)
    if warned is not None and standing is None:
        action = Action.CANCEL_WARNING
    return (
        Decision(
            HOST, action, verdict, reason, evidence.at, evidence.detail, evidence.source,
            deadline, look_at,
        ),
        standing,
    )  # fmt: skip


def duration(seconds: float) -> str:
    """Say a duration as people do: ``42 s``, ``18 min``, ``2 h 10 min``, ``3 d 4 h``."""
    if seconds < _MINUTE:
        return "{:.3g} s".format(max(seconds, 0.0))
    if seconds < _HOUR:
        return "{:.0f} min".format(seconds // _MINUTE)
    if seconds < _DAY:
        return "{:.0f} h {:.0f} min".format(seconds // _HOUR, seconds % _HOUR // _MINUTE)
    return "{:.0f} d {:.0f} h".format(seconds // _DAY, seconds % _DAY // _HOUR)
