"""The decision: what is idle, since when, and what is to be done about it.

`decide` is a function of its arguments. The laws it keeps for all inputs stand as property tests in
``tests/test_decision_laws.py``.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Dict, Iterable, List, NamedTuple, Optional, Set, Tuple

from .duration import duration
from .host import decide_host
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
)

_NONE = Evidence()
_NEVER = Mark()
# A member looked up in its enum costs as much as the rest of a step: a look sees thousands.
_ACTIVE, _IDLE, _UNKNOWN = Verdict.ACTIVE, Verdict.IDLE, Verdict.UNKNOWN
_KEEP, _CULL, _TERMINAL = Action.KEEP, Action.CULL, Kind.TERMINAL
_WORK, _OCCUPIED = Strength.WORK, Strength.OCCUPIED


class _Seen(NamedTuple):
    """The newest evidence of each strength that one look saw, by resource."""

    work: Dict[ResourceId, Observation]
    occupied: Dict[ResourceId, Observation]
    unattended: Dict[ResourceId, Observation]


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
    everything = _remembered(state, seen, EVERYTHING, now)
    unknown = _Unknown(snapshot, policy, state, now)
    remembered: Dict[ResourceId, Evidence] = {EVERYTHING: everything}
    host = _remembered(state, seen, HOST, now)
    host_strong = max(host.work, Mark(min(snapshot.server_started_at, now), "start", "started"))
    host_unattended = max(host.unattended, everything.unattended)
    host_strong = max(host_strong, everything.work)
    decisions: List[Decision] = []
    for resource in snapshot.resources:
        evidence = _remembered(state, seen, resource.id, now)
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
    host_strong = _with_the_gone(host_strong, seen.work, remembered, now)
    host_strong = _with_the_gone(host_strong, seen.occupied, remembered, now)
    host_unattended = _with_the_gone(host_unattended, seen.unattended, remembered, now)
    remembered[HOST] = Evidence(host_strong, _NEVER, host_unattended)
    effective = _capped(host_strong, host_unattended, policy.max_unattended_seconds)
    why_unknown = unknown.of_host(decisions)
    timeout = policy.host_timeout_seconds if policy.host_stops else math.inf
    says = decide_host(effective, why_unknown, timeout, policy.warning_seconds, state.warned, now)
    decisions.append(
        Decision(
            HOST, says.action, says.verdict, says.reason, effective.at, effective.detail,
            effective.source, says.deadline, says.look_at,
        )
    )  # fmt: skip
    return tuple(decisions), State(remembered, unknown.since, says.warned)


def _gather(observations: Iterable[Observation], now: float) -> _Seen:
    """Collect the newest evidence of each strength for each resource."""
    found = _Seen({}, {}, {})
    for seen in observations:
        verdict, strength = seen.verdict, seen.strength
        if verdict is _UNKNOWN or (seen.at is None and verdict is _IDLE):
            continue
        if strength is _WORK:
            newest = found.work
        else:
            newest = found.occupied if strength is _OCCUPIED else found.unattended
        known = newest.get(seen.resource)
        if known is None or _mark(seen, now) > _mark(known, now):
            newest[seen.resource] = seen
    return found


def _mark(seen: Observation, now: float) -> Tuple[float, str, str]:
    """Return what a `Mark` of this evidence holds. Most is older than another: no Mark is made."""
    at = seen.at
    return (now if at is None or at > now else at, seen.source, seen.detail)


def _remembered(state: State, seen: _Seen, resource: ResourceId, now: float) -> Evidence:
    """Return the newest evidence of a resource: what was remembered, or what was seen now."""
    known = state.evidence.get(resource, _NONE)
    work = _newer(known.work, seen.work.get(resource), now)
    occupied = _newer(known.occupied, seen.occupied.get(resource), now)
    unattended = _newer(known.unattended, seen.unattended.get(resource), now)
    if work is known.work and occupied is known.occupied and unattended is known.unattended:
        return known
    return Evidence(work, occupied, unattended)


def _newer(known: Mark, seen: Optional[Observation], now: float) -> Mark:
    if seen is None:
        return known
    mark = _mark(seen, now)
    return Mark(*mark) if mark > known else known


def _with_the_gone(
    newest: Mark, seen: Dict[ResourceId, Observation], here: Dict[ResourceId, Evidence], now: float
) -> Mark:
    """Return the newest mark, those of resources that are not here any more included."""
    for resource in seen.keys() - here.keys():
        if resource != HOST:
            newest = _newer(newest, seen[resource], now)
    return newest


def _capped(strong: Mark, other: Mark, cap_seconds: float) -> Mark:
    """Return the newer of the two, where the other counts at most so long after the strong one."""
    if other <= strong:
        return strong
    if other.at <= strong.at + cap_seconds:
        return other
    return Mark(strong.at + cap_seconds, other.source, other.detail)


def _stand(
    resource: Resource, evidence: Evidence, everything: Evidence, policy: Policy, now: float
) -> _Standing:
    work = max(evidence.work, everything.work)
    if resource.started_at >= work.at:
        work = max(work, Mark(min(resource.started_at, now), "start", "started"))
    strong = _capped(work, evidence.occupied, policy.max_quiet_seconds)
    unattended = max(evidence.unattended, everything.unattended)
    return _Standing(strong, unattended, strong if strong >= unattended else unattended)


class _Unknown:
    """What the sources that fail keep from being decided."""

    def __init__(self, snapshot: Snapshot, policy: Policy, state: State, now: float) -> None:
        self.since: Dict[str, float] = {}
        self._failures: List[SourceFailure] = []
        self._observed: Dict[ResourceId, str] = {}
        failing: Set[Tuple[str, bool]] = {(f.source, f.essential) for f in snapshot.failures}
        unseen = [o for o in snapshot.observations if o.verdict is _UNKNOWN]
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
                if decision.verdict is _UNKNOWN
            ),
            default=None,
        )


def _about(
    resource: Resource, evidence: Mark, why_unknown: Optional[str], policy: Policy, now: float
) -> Decision:
    """Decide about one kernel or terminal."""
    timeout = resource.timeout_seconds
    is_terminal = resource.id.kind is _TERMINAL
    if timeout is None:
        timeout = policy.terminal_timeout_seconds if is_terminal else policy.kernel_timeout_seconds
    if is_terminal and not policy.cull_terminals:
        timeout = math.inf
    action, verdict, deadline = _KEEP, _IDLE, None
    look_at = None if timeout == math.inf else now + timeout
    if resource.dead:
        action, reason = _CULL, "its process has ended and will not be restarted"
    elif evidence.at >= now:
        verdict, reason = _ACTIVE, evidence.detail
    elif why_unknown is not None:
        verdict, reason = _UNKNOWN, "kept, because it cannot be seen: " + why_unknown
    elif timeout == math.inf:
        reason = "idle for {}; never culled".format(duration(now - evidence.at))
    else:
        deadline = look_at = evidence.at + timeout
        if now >= deadline:
            action = _CULL
        reason = "idle for {} of {}".format(duration(now - evidence.at), _timeout_in_words(timeout))
    return Decision(
        resource.id, action, verdict, reason, evidence.at, evidence.detail, evidence.source,
        deadline, look_at,
    )  # fmt: skip


@lru_cache(maxsize=64)
def _timeout_in_words(seconds: float) -> str:
    """Say a timeout: thousands of resources share a few."""
    return duration(seconds)
