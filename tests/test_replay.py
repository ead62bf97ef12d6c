"""Replay: the recorded decisions come out again, and what another timeout would have done."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from jupyter_idle_culler.core.decision import decide
from jupyter_idle_culler.core.model import (
    EVERYTHING,
    HOST,
    Action,
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
from jupyter_idle_culler.journal.files import encode, parse
from jupyter_idle_culler.journal.recorder import Recorder
from jupyter_idle_culler.journal.replay import ReplayReport, recorded_policy, replay
from jupyter_idle_culler.records import decision_fields

from .live.harness import LiveServer, wait_until

EPOCH = datetime(2026, 3, 1, tzinfo=timezone.utc)
A, B = ResourceId(Kind.KERNEL, "a"), ResourceId(Kind.KERNEL, "b")
T = ResourceId(Kind.TERMINAL, "1")
POLICY = Policy(
    kernel_timeout_seconds=1800.0,
    terminal_timeout_seconds=1800.0,
    host_timeout_seconds=3600.0,
    warning_seconds=300.0,
    startup_grace_seconds=0.0,
    max_unattended_seconds=7200.0,
)


class Recording:
    """A culler in miniature: looks when told to, and at each deadline before that."""

    def __init__(self, policy: Policy, now: float = 1000.0) -> None:
        self.policy = policy
        self.now = self.started_at = now
        self.resources: dict[ResourceId, Resource] = {}
        self.seen: dict[tuple[ResourceId, str], Observation] = {}
        self.failures: tuple[SourceFailure, ...] = ()
        self.entries: list[dict[str, Any]] = []
        self.acts: list[tuple[str, str, float]] = []
        self.stopped = False
        self._recorder = Recorder()
        self._state = State()
        self._next: float | None = None

    def write(self, event: str, fields: dict[str, Any]) -> None:
        """Put an entry into the record, by way of its JSON."""
        time = (EPOCH + timedelta(seconds=self.now)).isoformat(timespec="microseconds")
        entry = {"time": time, "t": self.now, "run": "r", "event": event, **fields}
        (read,), skipped = parse([encode(entry)])
        assert not skipped
        self.entries.append(read)

    def wait_until(self, instant: float) -> None:
        """Let time pass, with a look at each deadline, and one at the end."""
        while not self.stopped and self._next is not None and self._next < instant:
            self.now = max(self._next, self.now)
            self.look()
        self.now = instant
        self.look()

    def look(self) -> None:
        """Look, decide, record, and carry out what falls due."""
        if self.stopped:
            return
        snapshot = Snapshot(
            self.started_at,
            tuple(self.resources.values()),
            tuple(self.seen.values()),
            self.failures,
        )
        decisions, self._state = decide(snapshot, self.policy, self._state, self.now)
        for event, fields in self._recorder.changes(snapshot, decisions, self.policy, self.now):
            self.write(event, fields)
        due = [decision for decision in decisions if decision.action is not Action.KEEP]
        for decision in due:
            self.write("decision", decision_fields(decision))
            self.acts.append((str(decision.resource), decision.action.value, self.now))
            if decision.action is Action.CULL:
                self.write(
                    "outcome", {"resource": str(decision.resource), "action": "cull", "ok": True}
                )
                self.remove(decision.resource)
            self.stopped = self.stopped or decision.action is Action.STOP
        upcoming = [d.look_at for d in decisions if d.look_at is not None and d.look_at > self.now]
        self._next = min(upcoming, default=None)

    def add(self, resource: Resource) -> None:
        """Let a kernel or terminal appear."""
        self.resources[resource.id] = resource

    def remove(self, resource: ResourceId) -> None:
        """Let it go, and whatever was seen of it."""
        self.resources.pop(resource, None)
        for cell in [cell for cell in self.seen if cell[0] == resource]:
            del self.seen[cell]

    def see(self, observation: Observation) -> None:
        """Change what one source sees of one resource."""
        self.seen[observation.resource, observation.source] = observation

    def idle(self, resource: ResourceId, at: float, source: str = "kernels") -> None:
        """See a resource idle since an instant."""
        self.see(Observation(resource, source, Verdict.IDLE, at, "a cell ran"))


def acts_of(report: ReplayReport) -> list[tuple[str, str, float]]:
    """Return what a replay says was done, as `Recording.acts` has it."""
    return [(act.resource, act.action, act.t) for act in report.acts]


SPANS = st.one_of(st.floats(0.1, 400.0), st.floats(300.0, 4000.0)).map(lambda s: round(s, 3))
CHANGES = st.lists(
    st.tuples(
        st.sampled_from([A, B, T, HOST, EVERYTHING]),
        st.sampled_from(["kernels", "processes", "presence"]),
        st.sampled_from(
            ["now", "just", "earlier", "same", "nothing", "unknown", "absent", "appear", "go"]
        ),
        st.sampled_from(list(Strength)),
        st.booleans(),
    ),
    max_size=4,
)
HISTORIES = st.lists(st.tuples(SPANS, CHANGES, st.booleans()), min_size=1, max_size=25)
POLICIES = st.builds(
    Policy,
    kernel_timeout_seconds=st.sampled_from([600.0, 1800.0, math.inf]),
    terminal_timeout_seconds=st.sampled_from([300.0, 1800.0]),
    host_timeout_seconds=st.sampled_from([900.0, 3600.0, math.inf]),
    host_stops=st.booleans(),
    warning_seconds=st.sampled_from([0.0, 60.0, 300.0]),
    max_unattended_seconds=st.sampled_from([1000.0, math.inf]),
    max_quiet_seconds=st.sampled_from([700.0, math.inf]),
    source_failure_grace_seconds=st.sampled_from([100.0, 1800.0]),
    ignore_connections=st.booleans(),
    cull_on_unknown=st.booleans(),
)


def change(world: Recording, what: tuple[ResourceId, str, str, Strength, bool]) -> None:
    """Let one thing happen."""
    resource, source, kind, strength, flag = what
    known = world.seen.get((resource, source))
    if kind == "appear" and resource.name:
        world.add(
            Resource(
                resource,
                started_at=world.now - 0.25,
                label=source,
                pid=7 if flag else None,
                timeout_seconds={"presence": 500.0, "processes": math.inf}.get(source),
                hold_host=flag and source == "presence",
                connections=int(flag),
            )
        )
    elif kind == "go":
        world.remove(resource)
    elif kind == "absent":
        world.seen.pop((resource, source), None)
    elif resource.name and resource not in world.resources:
        return
    elif kind == "now":
        world.see(Observation(resource, source, Verdict.ACTIVE, None, "works", strength))
    elif kind in ("just", "earlier"):
        at = world.now if kind == "just" else world.now - 5.0
        verdict = Verdict.ACTIVE if flag and kind == "earlier" else Verdict.IDLE
        world.see(Observation(resource, source, verdict, at, "worked", strength))
    elif kind == "nothing":
        world.see(Observation(resource, source, Verdict.IDLE, None, "nothing", strength))
    elif kind == "unknown":
        world.see(Observation(resource, source, Verdict.UNKNOWN, None, "?", essential=flag))
    elif known is not None and known.at is not None:
        # A source that computes its instant anew at each look, to within its own rounding.
        world.see(replace(known, at=min(known.at + 0.01, world.now)))


UNEVEN_AT_THE_DEADLINE: tuple[Policy, list[Any]] = (
    Policy(host_timeout_seconds=900.0, warning_seconds=0.0),
    [
        (4.0, [], False),
        (4.0, [(HOST, "kernels", "earlier", Strength.WORK, False)], False),
        (891.0, [(HOST, "kernels", "same", Strength.WORK, False)], False),
    ],
)
"""A look at the deadline sees the instant a little later than it was written down."""


@settings(max_examples=200, deadline=None)
@example(*UNEVEN_AT_THE_DEADLINE)
@given(POLICIES, HISTORIES)
def test_replaying_a_journal_reproduces_its_decisions(policy: Policy, history: list[Any]) -> None:
    """Whatever was seen, whenever it was looked: the record gives the same acts and times."""
    world = Recording(policy)
    world.look()
    for span, changes, failing in history:
        world.now += 0.5
        for what in changes:
            change(world, what)
        world.failures = (
            (SourceFailure("processes", EVERYTHING, True, "no /proc", local_only=True),)
            if failing
            else ()
        )
        world.wait_until(world.now + span)
    report = replay(world.entries)
    assert acts_of(report) == unrepeated(world)
    assert [(a.resource, a.action, a.t) for a in report.recorded] == unrepeated(world)


def unrepeated(world: Recording) -> list[tuple[str, str, float]]:
    """Return the acts without those that only repeat one for the same idleness."""
    kept, done = [], set()
    for entry in world.entries:
        if entry["event"] == "decision":
            key = (entry["resource"], entry["action"], entry["evidence_at"])
            if key not in done or entry["action"] == "cancel-warning":
                kept.append((entry["resource"], entry["action"], entry["t"]))
            done.add(key)
    return kept


@settings(max_examples=50, deadline=None)
@given(POLICIES, HISTORIES, POLICIES)
def test_any_policy_can_be_tried_on_any_record(
    recorded: Policy, history: list[Any], tried: Policy
) -> None:
    """No record and no policy is too odd, and nothing is saved for longer than it was recorded."""
    world = Recording(recorded)
    world.look()
    for span, changes, _ in history:
        world.now += 0.5
        for what in changes:
            change(world, what)
        world.wait_until(world.now + span)
    report = replay(world.entries, tried)
    assert 0.0 <= report.host_seconds_saved <= report.host_seconds_recorded + 1e-6
    assert all(act.saved_seconds >= 0.0 for act in report.acts)


HABITS = st.lists(
    st.tuples(
        st.sampled_from([A, T, HOST]),
        st.sampled_from(["kernels", "processes"]),
        st.sampled_from(["types", "fades", "works", "is watched", "holds", "connects"]),
        st.integers(0, 20),
        st.integers(1, 15),
        st.sampled_from([0.0, 3.0, 8.0, 25.0]),
        st.sampled_from([Strength.WORK, Strength.WORK, Strength.UNATTENDED]),
    ),
    min_size=1,
    max_size=6,
)
BRISK = st.builds(
    Policy,
    kernel_timeout_seconds=st.sampled_from([15.0, 40.0]),
    terminal_timeout_seconds=st.sampled_from([15.0, 40.0, math.inf]),
    host_timeout_seconds=st.sampled_from([30.0, 100.0]),
    warning_seconds=st.sampled_from([5.0, 20.0]),
    max_unattended_seconds=st.sampled_from([60.0, math.inf]),
    ignore_connections=st.booleans(),
)


def follow(world: Recording, habit: tuple[Any, ...], step: int) -> None:
    """Let somebody do what they are used to, from one step to another."""
    resource, source, kind, start, length, lag, strength = habit
    begins, ends = step == start, step == start + length
    if resource.name and resource not in world.resources:
        if not begins:
            return
        world.add(Resource(resource, started_at=world.now, pid=7))
    if kind in ("holds", "connects") and resource.name:
        known = world.resources[resource]
        if begins and kind == "holds":
            world.add(replace(known, hold_host=True))
        elif begins or ends:
            world.add(replace(known, connections=int(begins), hold_host=False))
    elif start <= step < start + length:
        at = None if kind == "works" else world.now - lag
        if kind == "fades":
            # It moves on at each look, and falls behind: it may be ended while it still moves.
            at = world.started_at + (world.now - world.started_at) / 2
        verdict = Verdict.ACTIVE if kind in ("works", "is watched") else Verdict.IDLE
        world.see(Observation(resource, source, verdict, at, kind, strength))
    elif ends and kind == "works":
        at = world.now - lag if lag else None
        world.see(Observation(resource, source, Verdict.IDLE, at, "rests", strength))


@settings(max_examples=300, deadline=None)
@given(BRISK, HABITS, st.lists(st.floats(0.5, 30.0), min_size=20, max_size=40))
def test_replay_reproduces_what_people_and_programs_do_for_a_while(
    policy: Policy, habits: list[Any], spans: list[float]
) -> None:
    """Typing, working and watching, at the pace of the timeouts: the same acts and times again."""
    world = Recording(policy)
    world.look()
    for step, span in enumerate(spans):
        world.now += 0.25
        for habit in habits:
            follow(world, habit, step)
        world.wait_until(world.now + span)
    assert acts_of(replay(world.entries)) == unrepeated(world)


def test_the_journal_of_a_real_server_gives_its_decisions_again(tmp_path: Path) -> None:
    """Two real kernels, used and culled at different times: the same acts at the same instants."""
    config = {"timeout_minutes": 0.05, "check_interval_seconds": 1}
    with LiveServer(tmp_path, config, isolate=False) as server:
        for code in ("1", "import time; time.sleep(1)"):
            kernel = server.kernel()
            kernel.execute(code)
            kernel.close()
        wait_until(lambda: not server.kernel_ids(), "the kernels to be culled")
        wait_until(
            lambda: [e["event"] for e in server.journal()].count("gone") == 2, "the journal's word"
        )
        report = replay(list(server.journal()))
    assert [act.action for act in report.recorded] == ["cull", "cull"]
    assert acts_of(report) == [(act.resource, act.action, act.t) for act in report.recorded]


def kernel_day() -> Recording:
    """Record 300 minutes of a kernel that was used at 0, 50 and 200, and never culled."""
    never = replace(POLICY, kernel_timeout_seconds=math.inf, host_timeout_seconds=math.inf)
    world = Recording(never, now=0.0)
    world.add(Resource(A, started_at=0.0, label="train.ipynb", pid=7))
    world.idle(A, 0.0)
    world.look()
    for minute in (50, 200):
        world.wait_until(minute * 60.0)
        world.idle(A, world.now)
        world.look()
    world.wait_until(300 * 60.0)
    world.write("keep-alive", {})
    return world


def test_a_shorter_timeout_tells_what_would_have_been_culled_when_and_used_again() -> None:
    """Culled 30 minutes after each use, off until the next use or the record's end."""
    report = replay(kernel_day().entries, replace(POLICY, host_timeout_seconds=math.inf))
    assert [(act.t / 60, act.saved_seconds / 60, act.used_again) for act in report.acts] == [
        (30, 20, True),
        (80, 120, True),
        (230, 70, False),
    ]
    assert report.kernel_seconds_saved == (20 + 120 + 70) * 60
    assert report.acts[0].label == "train.ipynb"
    assert report.acts[0].time == "2026-03-01T00:30:00.000+00:00"
    assert report.host_seconds_saved == 0


def test_the_host_hours_saved_run_from_the_stop_to_the_next_evidence_or_the_end() -> None:
    """Stopped after 60 minutes, back with the next use; its kernels are off meanwhile, once."""
    report = replay(kernel_day().entries, POLICY)
    stops = [(act.t / 60, act.saved_seconds / 60) for act in report.acts if act.action == "stop"]
    assert stops == [(110, 90), (260, 40)]
    assert report.host_seconds_saved == 130 * 60
    assert report.host_seconds_recorded == 300 * 60


def test_the_recorded_policy_can_be_read_back_and_is_the_last_one() -> None:
    """A change of the settings is in the record, with what is infinite."""
    world = kernel_day()
    world.policy = replace(world.policy, kernel_timeout_seconds=7200.0)
    world.look()
    assert recorded_policy(world.entries) == world.policy
    assert recorded_policy(world.entries[:1]) != world.policy
    assert recorded_policy([]) is None


def test_an_hour_of_typing_is_a_handful_of_entries_and_culls_nothing_meanwhile() -> None:
    """Evidence that moves at each look is recorded when it begins and when it ends."""
    world = Recording(replace(POLICY, host_stops=False), now=0.0)
    world.add(Resource(T, started_at=0.0))
    for minute in range(60):
        world.now = minute * 60.0
        world.idle(T, world.now - 3.0, "terminals")
        world.look()
    world.wait_until(80 * 60.0)
    evidence = [entry for entry in world.entries if entry["event"] == "evidence"]
    assert len(evidence) <= 4
    short = replace(POLICY, terminal_timeout_seconds=600.0, host_stops=False)
    assert [act.t for act in replay(world.entries, short).acts] == [59 * 60.0 - 3.0 + 600.0]


def test_work_that_ended_between_two_looks_counts_to_the_last_look_that_saw_it() -> None:
    """Another deadline that falls into the gap does not make the work longer than it was seen."""
    world = Recording(replace(POLICY, host_stops=False, kernel_timeout_seconds=math.inf), now=0.0)
    world.add(Resource(A, started_at=0.0, pid=7))
    world.add(Resource(B, started_at=0.0, pid=8))
    world.see(Observation(A, "processes", Verdict.ACTIVE, None, "computes"))
    world.idle(B, 70.0)
    for now in (100.0, 160.0, 2000.0):
        world.wait_until(now)
        world.see(Observation(A, "processes", Verdict.IDLE, None, "rests"))
    world.write("keep-alive", {})
    tried = replace(POLICY, host_stops=False, kernel_timeout_seconds=60.0)
    assert acts_of(replay(world.entries, tried)) == [
        ("kernel:b", "cull", 130.0),
        ("kernel:a", "cull", 160.0),
    ]


def test_what_does_not_change_is_not_recorded() -> None:
    """A day of looks at an idle kernel adds nothing to the journal."""
    world = Recording(replace(POLICY, kernel_timeout_seconds=math.inf, host_stops=False))
    world.add(Resource(A, started_at=1000.0))
    world.idle(A, 1000.0)
    world.look()
    before = len(world.entries)
    for _ in range(1440):
        world.wait_until(world.now + 60.0)
    assert len(world.entries) == before


def test_a_record_whose_beginning_is_rotated_away_is_used_from_where_it_is_whole() -> None:
    """After a rotation everything is written anew; what stands before that is left out."""
    world = kernel_day()
    del world.entries[:1]
    assert replay(world.entries, POLICY).runs == 0
    world._recorder.forget()
    world.look()
    report = replay(
        world.entries, replace(POLICY, host_stops=False), EPOCH + timedelta(minutes=400)
    )
    assert report.runs == 1
    assert report.host_seconds_recorded == 100 * 60


def test_a_server_that_still_runs_goes_on_until_now_if_asked() -> None:
    """Without `now` nothing after the last entry counts; a run that ended does not go on."""
    world = kernel_day()
    assert replay(world.entries).host_seconds_recorded == 300 * 60
    later = EPOCH + timedelta(minutes=360)
    assert replay(world.entries, now=later).host_seconds_recorded == 360 * 60
    world.write("end", {})
    assert replay(world.entries, now=later).host_seconds_recorded == 300 * 60


def test_the_wall_clock_in_the_record_decides_nothing() -> None:
    """Times that jump by hours change what is shown, never what would have been done."""
    world = kernel_day()
    straight = acts_of(replay(world.entries, POLICY))
    for index, entry in enumerate(world.entries):
        entry["time"] = (EPOCH + timedelta(hours=5 * (-1) ** index)).isoformat()
    assert acts_of(replay(world.entries, POLICY)) == straight


def test_runs_are_told_apart_where_two_servers_share_a_journal() -> None:
    """Each run is decided about by itself, however their entries lie between each other."""
    one, other = kernel_day().entries, kernel_day().entries
    mixed = [
        {**entry, "run": name}
        for pair in zip(one, other, strict=True)
        for name, entry in zip("xy", pair, strict=True)
    ]
    alone = replay(one, POLICY)
    both = replay(mixed, POLICY)
    assert both.runs == 2
    assert both.host_seconds_saved == 2 * alone.host_seconds_saved


def test_what_cannot_be_read_is_left_out_and_counted() -> None:
    """Rubbish in the record costs itself only, and the report says how much there was."""
    world = kernel_day()
    whole = replay(world.entries, POLICY)
    rubbish: list[dict[str, Any]] = [
        {"event": "evidence"},
        {"event": "evidence", "t": "soon", "run": "r", "time": "now"},
        {**world.entries[1], "event": "evidence", "sees": 7},
        {"event": "appeared", "t": 5.0, "run": "r", "time": EPOCH.isoformat(), "resource": "x:y"},
        {"event": "health", "t": 5.0, "run": "r", "time": EPOCH.isoformat(), "covers": "host"},
    ]
    report = replay([*world.entries, *rubbish], POLICY)
    assert acts_of(report) == acts_of(whole)
    assert "5 entries could not be read and are left out." in report.limits


def test_the_report_says_what_a_record_cannot_tell() -> None:
    """After a kernel was really culled nothing of it is known: longer timeouts look too good."""
    world = Recording(replace(POLICY, host_stops=False))
    world.add(Resource(A, started_at=1000.0))
    world.idle(A, 1000.0)
    world.look()
    world.wait_until(9000.0)
    report = replay(world.entries, replace(POLICY, kernel_timeout_seconds=7200.0))
    assert any("really culled" in limit for limit in report.limits)
    assert any("no end in the record" in limit for limit in report.limits)
    assert "tells nothing" in replay([]).limits[0]
