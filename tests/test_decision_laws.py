"""The laws that `decide` keeps for all inputs (DESIGN, section 3)."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_idle_culler.core.decision import decide
from jupyter_idle_culler.core.model import (
    EVERYTHING,
    HOST,
    Action,
    Decision,
    Kind,
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

from . import strategies as draw

ENDS = {Action.CULL, Action.STOP}
History = list[tuple[float, Snapshot]]
T = TypeVar("T")


def run(
    looks: list[tuple[float, Snapshot]], policy: Policy, state: State | None = None
) -> list[tuple[float, dict[ResourceId, Decision]]]:
    """Decide look after look, as the culler does."""
    state = state or State()
    made = []
    for now, snapshot in looks:
        decisions, state = decide(snapshot, policy, state, now)
        made.append((now, {decision.resource: decision for decision in decisions}))
    return made


@given(draw.snapshots(), draw.policies, st.lists(draw.active_observations, min_size=1, max_size=3))
def test_adding_active_evidence_never_turns_keep_into_cull(
    snapshot: Snapshot, policy: Policy, more: list[Observation]
) -> None:
    """Whatever was kept without a piece of active evidence is kept with it."""
    now = draw.NOW + 1
    decisions, state = decide(snapshot, policy, State(), now)
    again = replace(snapshot, observations=snapshot.observations + tuple(more))
    # The second look at the same instant, so that a warning from the first may stand.
    for start in (State(), state):
        before = {d.resource: d for d in decide(snapshot, policy, start, now)[0]}
        after = {d.resource: d for d in decide(again, policy, start, now)[0]}
        for resource, decision in after.items():
            if decision.action in ENDS:
                assert before[resource].action in ENDS
    assert len(decisions) == len(snapshot.resources) + 1


@given(draw.histories(), draw.policies, st.floats(0, 5000))
def test_a_longer_timeout_never_culls_earlier(
    history: History, policy: Policy, extra: float
) -> None:
    """With every timeout longer by the same, nothing ends at a look at which it was kept before."""
    longer = replace(
        policy,
        kernel_timeout_seconds=policy.kernel_timeout_seconds + extra,
        terminal_timeout_seconds=policy.terminal_timeout_seconds + extra,
        host_timeout_seconds=policy.host_timeout_seconds + extra,
    )
    short, long = run(history, policy), run(history, longer)
    for (_, shorter), (_, other) in zip(short, long, strict=True):
        for resource, decision in other.items():
            if decision.action in ENDS:
                assert shorter[resource].action in ENDS


@given(draw.histories(), draw.policies)
def test_no_host_stop_without_a_warning_that_stood_its_time(
    history: History, policy: Policy
) -> None:
    """Each stop was preceded by a warning about this very idleness that stood for its time."""
    warned_at = warned_of = None
    for now, decisions in run(history, policy):
        action = decisions[HOST].action
        if action is Action.WARN:
            warned_at, warned_of = now, decisions[HOST].evidence_at
        elif action is Action.CANCEL_WARNING:
            warned_at = None
        elif action is Action.STOP:
            stands = min(policy.warning_seconds, policy.host_timeout_seconds / 2)
            assert warned_at is not None
            assert warned_of == decisions[HOST].evidence_at
            assert now >= warned_at + stands


@given(draw.snapshots(), draw.policies, st.randoms(use_true_random=False))
def test_the_order_of_observations_is_irrelevant(
    snapshot: Snapshot, policy: Policy, rng: random.Random
) -> None:
    """Shuffled parts give the same decisions and the same state."""

    def shuffled(parts: tuple[T, ...]) -> tuple[T, ...]:
        return tuple(rng.sample(parts, len(parts)))

    other = replace(
        snapshot,
        resources=shuffled(snapshot.resources),
        observations=shuffled(snapshot.observations),
        failures=shuffled(snapshot.failures),
    )
    one, state = decide(snapshot, policy, State(), draw.NOW)
    two, other_state = decide(other, policy, State(), draw.NOW)
    assert set(one) == set(two)
    assert state == other_state


@given(draw.histories(with_unknown=False), draw.policies, st.floats(-500, 1e6))
def test_only_differences_of_instants_count(
    history: History, policy: Policy, offset: float
) -> None:
    """The same history on a clock with another zero gives the same actions.

    Together with the fact that `core` imports no clock this is why a jump of the wall clock changes
    nothing.
    """
    offset = float(round(offset))

    def moved(snapshot: Snapshot) -> Snapshot:
        return replace(
            snapshot,
            server_started_at=snapshot.server_started_at + offset,
            resources=tuple(
                replace(r, started_at=r.started_at + offset) for r in snapshot.resources
            ),
            observations=tuple(
                replace(o, at=None if o.at is None else o.at + offset)
                for o in snapshot.observations
            ),
        )

    there = [(now + offset, moved(snapshot)) for now, snapshot in history]
    for (now, here), (_, other) in zip(run(history, policy), run(there, policy), strict=True):
        for resource, decision in here.items():
            due = decision.look_at
            if due is not None and math.isclose(due, now, rel_tol=0, abs_tol=1e-3):
                return  # at the very deadline the float sums may round either way
            assert other[resource].action is decision.action


@given(draw.histories(), draw.policies)
def test_what_is_active_is_never_ended(history: History, policy: Policy) -> None:
    """An active verdict and an end exclude each other, except for the dead."""
    for (_, decisions), (_, snapshot) in zip(run(history, policy), history, strict=True):
        dead = {r.id for r in snapshot.resources if r.dead}
        for resource, decision in decisions.items():
            if decision.action in ENDS and resource not in dead:
                assert decision.verdict is Verdict.IDLE


@given(draw.histories(), draw.policies, draw.failures)
def test_unknown_never_supports_culling(
    history: History, policy: Policy, failure: SourceFailure
) -> None:
    """Adding a failure ends nothing that was kept without it, at any moment of a history."""
    policy = replace(policy, cull_on_unknown=False)
    state = State()
    for now, snapshot in history:
        failing = replace(snapshot, failures=(*snapshot.failures, failure))
        known, next_state = decide(snapshot, policy, state, now)
        unknown, _ = decide(failing, policy, state, now)
        before = {d.resource: d for d in known}
        for decision in unknown:
            if decision.action in ENDS:
                assert before[decision.resource].action in ENDS
                # Of all that ends, only the host is covered by every failure there is.
                assert not (failure.essential and decision.resource == HOST)
        state = next_state


@given(draw.policies, st.booleans(), st.floats(0, 100))
def test_unattended_evidence_holds_the_host_only_so_long(
    policy: Policy, keep_alive: bool, work_at: float
) -> None:
    """Heartbeats and keep-alives alone hold it `max_unattended_seconds` after the last work."""
    seen = Observation(
        EVERYTHING if keep_alive else HOST,
        "reported",
        Verdict.ACTIVE,
        strength=Strength.UNATTENDED,
    )
    policy = replace(policy, host_stops=True)
    work = Observation(HOST, "presence", Verdict.IDLE, work_at)
    held_until = work_at + policy.max_unattended_seconds
    state, now = State(), work_at
    for step in (1, 10, 100, 400, 700, 1500, 5000):
        now = work_at + step
        (decision,), state = decide(Snapshot(0.0, (), (seen, work)), policy, state, now)
        if now <= held_until:
            assert decision.verdict is Verdict.ACTIVE
        else:
            assert decision.verdict is Verdict.IDLE
            assert decision.evidence_at == held_until


@given(draw.policies, st.floats(0, 100))
def test_an_occupied_kernel_that_is_quiet_holds_only_so_long(
    policy: Policy, work_at: float
) -> None:
    """A busy cell counts `max_quiet_seconds` after the last sign of work, for kernel and host."""
    kernel = ResourceId(Kind.KERNEL, "a")
    busy = Observation(kernel, "kernels", Verdict.ACTIVE, strength=Strength.OCCUPIED)
    output = Observation(kernel, "kernels", Verdict.IDLE, work_at)
    snapshot = Snapshot(0.0, (Resource(kernel, 0.0),), (busy, output))
    policy = replace(policy, host_stops=True)
    for step in (1, 10, 100, 400, 700, 1500, 5000):
        decisions, _ = decide(snapshot, policy, State(), work_at + step)
        counts = step <= policy.max_quiet_seconds
        for decision in decisions:
            assert (decision.verdict is Verdict.ACTIVE) is counts
            if not counts:
                assert decision.evidence_at == work_at + policy.max_quiet_seconds


@given(draw.histories(), draw.policies)
def test_an_end_comes_only_after_its_deadline_and_its_timeout(
    history: History, policy: Policy
) -> None:
    """Nothing ends before the newest evidence that was seen is its whole timeout old."""
    for now, decisions in run(history, policy):
        for decision in decisions.values():
            if decision.action in ENDS and decision.deadline is not None:
                assert now >= decision.deadline
                assert decision.deadline > decision.evidence_at or policy.host_timeout_seconds == 0


def test_the_histories_do_end_things() -> None:
    """The laws about ends are not empty: many of the histories drawn stop the host, many cull."""
    ends = {Action.CULL: 0, Action.STOP: 0}

    @settings(max_examples=200, database=None, derandomize=True)
    @given(draw.histories(), draw.policies)
    def count(history: History, policy: Policy) -> None:
        seen = {d.action for _, decisions in run(history, policy) for d in decisions.values()}
        for action in ENDS & seen:
            ends[action] += 1

    count()
    # What is drawn depends on the modules that are loaded (hypothesis draws their constants, too).
    assert ends[Action.CULL] > 10
    assert ends[Action.STOP] > 10


@given(draw.histories(), draw.policies)
def test_no_host_stop_within_the_startup_grace(history: History, policy: Policy) -> None:
    """The host is not stopped so soon after the server started, whatever was seen."""
    grace = min(policy.startup_grace_seconds, policy.host_timeout_seconds / 2)
    for (now, decisions), (_, snapshot) in zip(run(history, policy), history, strict=True):
        if decisions[HOST].action is Action.STOP:
            assert now >= snapshot.server_started_at + grace


@given(draw.histories(with_unknown=False), draw.policies)
def test_a_deadline_shown_is_kept_when_nothing_new_is_seen(
    history: History, policy: Policy
) -> None:
    """Looking again exactly at the shown deadline, with no new evidence, brings the end."""
    state = State()
    for now, snapshot in history:
        decisions, state = decide(snapshot, policy, state, now)
    snapshot = replace(history[-1][1], observations=())
    policy = replace(policy, ignore_connections=True)
    snapshot = replace(
        snapshot, resources=tuple(replace(r, hold_host=False) for r in snapshot.resources)
    )
    decisions, state = decide(snapshot, policy, state, history[-1][0] + 0.001)
    for decision in decisions:
        if decision.deadline is not None and decision.resource is not HOST:
            later, _ = decide(snapshot, policy, state, max(decision.deadline, history[-1][0] + 1))
            (same,) = [d for d in later if d.resource == decision.resource]
            assert same.action is Action.CULL
