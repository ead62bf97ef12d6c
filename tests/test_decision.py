"""What `decide` says of single situations, in the words that people read."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from jupyter_idle_culler.core.decision import decide
from jupyter_idle_culler.core.duration import duration
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
    Verdict,
)

KERNEL = ResourceId(Kind.KERNEL, "k")
TERMINAL = ResourceId(Kind.TERMINAL, "1")
POLICY = Policy(
    kernel_timeout_seconds=100.0,
    terminal_timeout_seconds=200.0,
    host_timeout_seconds=300.0,
    warning_seconds=60.0,
)


def one(resource: Resource, now: float, policy: Policy = POLICY, **parts: Any) -> Decision:
    """Decide once about a single resource of a server that started at 0."""
    decisions, _ = decide(Snapshot(0.0, (resource,), **parts), policy, State(), now)
    return decisions[0]


def test_a_kernel_is_idle_from_its_start_and_goes_at_its_deadline() -> None:
    """Start-up is the first evidence; the deadline is one timeout later, to the second."""
    kernel = Resource(KERNEL, started_at=10.0)
    early = one(kernel, 109.0)
    assert (early.action, early.deadline, early.evidence) == (Action.KEEP, 110.0, "started")
    assert early.reason == "idle for 1 min of 1 min"
    assert one(kernel, 110.0).action is Action.CULL


def test_a_terminal_has_its_own_timeout_and_may_be_kept_altogether() -> None:
    """Terminals follow `terminal_timeout_seconds`; with `cull_terminals` off none is ever due."""
    terminal = Resource(TERMINAL, started_at=0.0)
    assert one(terminal, 199.0).action is Action.KEEP
    assert one(terminal, 200.0).action is Action.CULL
    kept = one(terminal, 9999.0, replace(POLICY, cull_terminals=False))
    assert (kept.action, kept.deadline) == (Action.KEEP, None)
    assert "never culled" in kept.reason


@pytest.mark.parametrize(("own", "action"), [(50.0, Action.CULL), (math.inf, Action.KEEP)])
def test_a_kernelspec_timeout_wins_over_the_policy(own: float, action: Action) -> None:
    """A kernelspec's own timeout counts, and its never is never, for its own culling."""
    assert one(Resource(KERNEL, 0.0, timeout_seconds=own), 60.0).action is (
        action if own == 50.0 else Action.KEEP
    )
    assert one(Resource(KERNEL, 0.0, timeout_seconds=own), 9999.0).action is action


def test_a_dead_kernel_is_reaped_at_once() -> None:
    """Whatever its timeout, a kernel whose process ended for good goes, and the reason says so."""
    decision = one(Resource(KERNEL, 0.0, dead=True, timeout_seconds=math.inf), 1.0)
    assert decision.action is Action.CULL
    assert "has ended" in decision.reason


def test_connections_count_only_where_the_administrator_says_so() -> None:
    """An open tab is no evidence, unless `ignore_connections` is off."""
    kernel = Resource(KERNEL, 0.0, connections=1)
    assert one(kernel, 500.0).action is Action.CULL
    kept = one(kernel, 500.0, replace(POLICY, ignore_connections=False))
    assert (kept.verdict, kept.evidence) == (Verdict.ACTIVE, "a client is connected")


def test_an_essential_source_that_fails_keeps_what_it_covers_and_says_so() -> None:
    """A failed processes source keeps kernels, terminals and the host, for as long as it fails."""
    failure = SourceFailure("processes", EVERYTHING, True, "hidden by hidepid", local_only=True)
    snapshot = Snapshot(
        0.0, (Resource(KERNEL, 0.0, pid=7), Resource(TERMINAL, 0.0, pid=8)), (), (failure,)
    )
    for now in (500.0, 1e6):
        decisions, _ = decide(snapshot, POLICY, State(unknown_since={"processes": 0.0}), now)
        assert {d.verdict for d in decisions} == {Verdict.UNKNOWN}
        assert all("hidden by hidepid" in d.reason for d in decisions)


def test_a_remote_kernel_does_not_wait_for_a_process_source_that_fails() -> None:
    """What the processes source could never have seen is not held by its failure."""
    failure = SourceFailure("processes", EVERYTHING, True, "no /proc", local_only=True)
    remote = Resource(KERNEL, 0.0, pid=None)
    assert one(remote, 500.0, failures=(failure,)).action is Action.CULL


def test_an_auxiliary_source_is_left_out_after_its_grace() -> None:
    """A GPU that cannot be read holds the host for the grace, and no longer."""
    failure = SourceFailure("gpu", HOST, False, "driver gone")
    snapshot = Snapshot(0.0, (), (), (failure,))
    _, state = decide(snapshot, POLICY, State(), 1000.0)
    held, _ = decide(snapshot, POLICY, state, 2799.0)
    assert held[-1].verdict is Verdict.UNKNOWN
    left_out, state = decide(snapshot, POLICY, state, 2800.0)
    assert left_out[-1].action is Action.WARN
    assert state.unknown_since == {"gpu": 1000.0}


def test_cull_on_unknown_is_the_administrators_choice() -> None:
    """With it, what cannot be seen does not hold anything."""
    failure = SourceFailure("processes", EVERYTHING, True, "no /proc")
    policy = replace(POLICY, cull_on_unknown=True)
    assert one(Resource(KERNEL, 0.0, pid=1), 500.0, policy, failures=(failure,)).action is (
        Action.CULL
    )


def test_kernels_and_the_host_go_at_the_same_moment() -> None:
    """With one timeout for all, the deadlines do not add up: culling is no activity."""
    policy = replace(POLICY, kernel_timeout_seconds=300.0)
    snapshot = Snapshot(0.0, (Resource(KERNEL, 50.0),))
    decisions, state = decide(snapshot, policy, State(), 290.0)
    assert [d.action for d in decisions] == [Action.KEEP, Action.WARN]
    assert [d.deadline for d in decisions] == [350.0, 350.0]
    decisions, state = decide(snapshot, policy, state, 350.0)
    assert [d.action for d in decisions] == [Action.CULL, Action.STOP]
    # The kernel went first: the host's clock still counts from the same evidence.
    decisions, _ = decide(Snapshot(0.0), policy, state, 350.5)
    assert decisions[0].action is Action.STOP
    assert decisions[0].evidence_at == 50.0


def test_evidence_cancels_a_warning_and_the_next_one_stands_its_whole_time() -> None:
    """Somebody comes back during the warning: it is taken back, and a new one starts from zero."""
    _, state = decide(Snapshot(0.0), POLICY, State(), 240.0)
    person = Observation(HOST, "presence", Verdict.IDLE, 250.0, "a person in the page")
    decisions, state = decide(Snapshot(0.0, (), (person,)), POLICY, state, 251.0)
    assert decisions[0].action is Action.CANCEL_WARNING
    decisions, state = decide(Snapshot(0.0), POLICY, state, 560.0)
    assert (decisions[0].action, decisions[0].deadline) == (Action.WARN, 620.0)
    decisions, state = decide(Snapshot(0.0), POLICY, state, 619.0)
    assert decisions[0].action is Action.KEEP
    decisions, _ = decide(Snapshot(0.0), POLICY, state, 620.0)
    assert decisions[0].action is Action.STOP


def test_a_kernel_that_is_never_culled_does_not_hold_the_host_unless_it_says_so() -> None:
    """Never is for its own culling; `idle_culler_hold_host` holds the host."""
    never = Resource(KERNEL, 0.0, timeout_seconds=math.inf)
    decisions, _ = decide(Snapshot(0.0, (never,)), POLICY, State(), 400.0)
    assert decisions[-1].action is Action.WARN
    holding = replace(never, hold_host=True, label="big.ipynb")
    decisions, _ = decide(Snapshot(0.0, (holding,)), POLICY, State(), 400.0)
    assert decisions[-1].verdict is Verdict.ACTIVE
    assert decisions[-1].evidence == "big.ipynb holds the host"


def test_instants_in_the_future_count_as_now() -> None:
    """A clock that left a sleep out may have earlier readings ahead of it: no negative idleness."""
    ahead = Observation(KERNEL, "kernels", Verdict.IDLE, 500.0, "a cell ended")
    decision = one(Resource(KERNEL, 900.0), 100.0, observations=(ahead,))
    assert decision.evidence_at == 100.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 s"),
        (0.25, "0.2 s"),
        (42.9, "42 s"),
        (18 * 60 + 59, "18 min"),
        (2 * 3600 + 600, "2 h 10 min"),
        (3 * 86400 + 4 * 3600, "3 d 4 h"),
    ],
)
def test_durations_read_as_people_say_them(seconds: float, words: str) -> None:
    """The unit grows with the duration, and nothing is rounded up."""
    assert duration(seconds) == words
