"""The arithmetic of cumulative counters, on hand-made tables and on simulated machines."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from jupyter_idle_culler.sources.accounting import (
    IoReading,
    Sample,
    base_of,
    thinned,
    work_between,
)
from jupyter_idle_culler.sources.procfs import TICKS_PER_SECOND, Process, ProcessTable
from jupyter_idle_culler.sources.thresholds import Life, Thresholds, Windows, judge

MIB = 1048576


def process(pid: int, ppid: int = 1, *, own: int = 0, reaped: int = 0, start: int = 0) -> Process:
    """Make one line of a process table."""
    return Process(pid, f"p{pid}", "S", ppid, pid, pid, 0, -1, 0, own, reaped, start, 1000)


def sample(seconds: float, *processes: Process, io: dict[int, int] | None = None) -> Sample:
    """Make a sample taken so many seconds after boot."""
    table = ProcessTable(seconds, int(seconds * TICKS_PER_SECOND), {p.pid: p for p in processes})
    return Sample(table, {pid: IoReading(seconds, moved) for pid, moved in (io or {}).items()})


def not_passing(_pid: int) -> Life | None:
    """Say that a process is an ordinary one."""
    return None


class Machine:
    """A machine of processes that fork, run, exit and are reaped, one tick a step."""

    def __init__(self) -> None:
        self.clock = 1
        self.ran = 0
        self.next_pid = 2
        self.processes = {1: process(1, 0)}
        self.zombies: set[int] = set()

    def step(self, action: str, number: int, ticks: int, *, orphans: bool) -> None:
        """Do one thing to one of the processes."""
        self.clock += 1
        living = sorted(set(self.processes) - self.zombies)
        pid = living[number % len(living)]
        if action == "fork":
            self.processes[self.next_pid] = process(self.next_pid, pid, start=self.clock)
            self.next_pid += 1
        elif action == "run":
            old = self.processes[pid]
            self.processes[pid] = old._replace(cpu_ticks=old.cpu_ticks + ticks)
            self.ran += ticks
        elif action == "exit" and pid != 1:
            children = [p for p in self.processes.values() if p.ppid == pid]
            if not children or orphans:
                self.zombies.add(pid)
                for child in children:
                    self.processes[child.pid] = child._replace(ppid=1)
        elif action in ("reap", "discard"):
            for zombie in [z for z in sorted(self.zombies) if self.processes[z].ppid == pid][:1]:
                self.zombies.remove(zombie)
                gone, parent = self.processes.pop(zombie), self.processes[pid]
                gained = gone.cpu_ticks + gone.reaped_ticks
                if action == "reap":  # else it ignores SIGCHLD: the time is lost
                    more = parent.reaped_ticks + gained
                    self.processes[pid] = parent._replace(reaped_ticks=more)

    def look(self) -> Sample:
        """Read the process table."""
        self.clock += 1
        seconds = self.clock / TICKS_PER_SECOND
        return Sample(ProcessTable(seconds, self.clock, dict(self.processes)), {})


steps = st.lists(
    st.tuples(
        st.sampled_from(["fork", "fork", "run", "run", "exit", "reap", "discard", "look"]),
        st.integers(0, 50),
        st.integers(1, 100),
    ),
    max_size=120,
)


def counted(machine: Machine, done: list[tuple[str, int, int]], *, orphans: bool) -> list[int]:
    """Run the steps; return what was counted of each window, pid 1 included."""
    last, windows = machine.look(), []
    for action, number, ticks in [*done, ("look", 0, 0)]:
        if action == "look":
            now = machine.look()
            windows.append(sum(work.ticks for work in work_between(last, now).values()))
            last = now
        else:
            machine.step(action, number, ticks, orphans=orphans)
    return windows


@given(steps)
def test_nothing_is_counted_twice(done: list[tuple[str, int, int]]) -> None:
    """However processes fork, die, are orphaned or not waited for: never more than what ran."""
    machine = Machine()
    assert sum(counted(machine, done, orphans=True)) <= machine.ran


@given(steps)
def test_nothing_is_lost_where_parents_wait_for_their_children(
    done: list[tuple[str, int, int]],
) -> None:
    """Where every child is reaped by its parent, all that ran is counted, to the tick."""
    machine = Machine()
    orderly = [step for step in done if step[0] != "discard"]
    assert sum(counted(machine, orderly, orphans=False)) == machine.ran


@given(steps, st.randoms(use_true_random=False))
def test_the_order_of_a_table_is_irrelevant(
    done: list[tuple[str, int, int]], order: random.Random
) -> None:
    """The same two tables, shuffled, give the same work."""
    machine = Machine()
    earlier = machine.look()
    for action, number, ticks in done:
        if action != "look":
            machine.step(action, number, ticks, orphans=True)
    later = machine.look()

    def shuffled(old: Sample) -> Sample:
        pids = list(old.table.processes)
        order.shuffle(pids)
        processes = {pid: old.table.processes[pid] for pid in pids}
        return Sample(old.table._replace(processes=processes), old.io)

    assert work_between(shuffled(earlier), shuffled(later)) == work_between(earlier, later)


def test_commands_too_short_to_be_seen_are_their_parents_work() -> None:
    """A shell whose reaped children used half a second did that much."""
    shell, after = process(10, own=3), process(10, own=5, reaped=50)
    work = work_between(sample(10, shell), sample(20, after))[10]
    assert (work.ticks, work.seconds) == (52, 10)


def test_a_child_that_was_counted_is_not_counted_again_when_it_is_reaped() -> None:
    """Of a child's 1,000 ticks 990 were seen before: ten are new, also through a dead parent."""
    before = sample(10, process(10), process(11, 10, own=0, reaped=5), process(12, 11, own=985))
    after = sample(20, process(10, reaped=1000))
    assert work_between(before, after)[10].ticks == 10


def test_a_child_that_was_not_waited_for_takes_nothing_off_its_parents_work() -> None:
    """With SIGCHLD ignored the parent's children time stays 0; its own time still counts."""
    before = sample(10, process(10), process(11, 10, own=985))
    after = sample(20, process(10, own=60))
    assert work_between(before, after)[10].ticks == 60


def test_a_pid_that_was_given_again_is_another_process() -> None:
    """The new owner of a pid is rated from zero, over its own life."""
    before = sample(10, process(10, own=500, start=1))
    after = sample(20, process(10, own=90, start=1800))
    work = work_between(before, after)[10]
    assert (work.ticks, work.seconds) == (90, 2)


def test_a_process_older_than_the_window_that_was_not_seen_is_a_baseline() -> None:
    """What was hidden in the earlier table used its time nobody knows when."""
    assert work_between(sample(10), sample(20, process(10, own=500, start=1))) == {}


def test_a_young_process_is_rated_over_at_least_a_second() -> None:
    """Fifty milliseconds of life at full speed are five percent."""
    after = sample(20, process(10, own=5, start=1995))
    assert work_between(sample(10), after)[10].cpu_percent == 5


def test_io_is_rated_over_the_time_between_its_readings() -> None:
    """A figure that was not read again in between is spread over all that time."""
    before = Sample(sample(20, process(10)).table, {10: IoReading(10, 0)})
    after = sample(30, process(10), io={10: 40 * MIB})
    assert work_between(before, after)[10].io_rate == 2 * MIB


def test_io_that_was_counted_for_a_child_is_not_counted_again() -> None:
    """The kernel adds a reaped child's I/O to its parent's."""
    before = sample(10, process(10), process(11, 10), io={10: 0, 11: 100 * MIB})
    after = sample(20, process(10), io={10: 101 * MIB})
    assert work_between(before, after)[10].io_bytes == MIB


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=60))
def test_a_history_stays_short_and_reaches_back_far_enough(pauses: list[float]) -> None:
    """It keeps the last look, one a second for ten seconds, and one that is older, no more."""
    history: list[Sample] = []
    now = 0.0
    first = sample(0)
    for pause in pauses:
        history = thinned([*history, sample(now)], now)
        assert len(history) <= 14
        assert history[-1].table.read_at == now
        now += pause
        for age in (1.0, 10.0):
            found = base_of(history, now, age)
            assert found is not None
            assert now - found.table.read_at >= min(age, now - first.table.read_at) - 1e-6


def test_fifty_workers_at_four_percent_are_work_and_eight_idle_ones_are_not() -> None:
    """None is above 5 % by itself; together 50 % of a core is the bar."""

    def group(workers: int, ticks: int) -> Windows:
        before = sample(10, *(process(pid) for pid in range(100, 100 + workers)))
        after = sample(20, *(process(pid, own=ticks) for pid in range(100, 100 + workers)))
        work = work_between(before, after)
        return Windows(work, work, {})

    fifty = judge(range(100, 150), group(50, 40), Thresholds(), not_passing)
    assert (fifty.active, fifty.processes, round(fifty.value)) == (True, 50, 200)
    assert not judge(range(100, 108), group(8, 20), Thresholds(), not_passing).active


def test_a_hiccup_in_a_short_window_is_not_work() -> None:
    """A tenth of a second of computing, once in the last minute, seen through 1.5 seconds."""
    recent = work_between(sample(58.5, process(10)), sample(60, process(10, own=10)))
    steady = work_between(sample(1, process(10)), sample(60, process(10, own=10)))
    assert not judge([10], Windows(recent, steady, {}), Thresholds(), not_passing).active


def test_computing_that_began_a_moment_ago_is_work() -> None:
    """At full speed for 1.4 of the last 60 seconds: 2 % of the minute, but now."""
    recent = work_between(sample(58.5, process(10)), sample(60, process(10, own=140)))
    steady = work_between(sample(1, process(10)), sample(60, process(10, own=140)))
    assert judge([10], Windows(recent, steady, {}), Thresholds(), not_passing).active


def test_work_that_has_ended_is_not_counted_at_the_next_look_again() -> None:
    """Heavy work ten seconds ago and none since the previous look: idle."""
    steady = work_between(sample(1, process(10)), sample(60, process(10, own=3000)))
    assert not judge([10], Windows({}, steady, {}), Thresholds(), not_passing).active


def test_what_begins_between_two_looks_in_a_row_may_be_work() -> None:
    """Fifty milliseconds apart, and busy all the time; two ticks may be chance, 10 % a beat."""

    def brief(seconds: float, ticks: int) -> bool:
        instant = work_between(
            sample(60, process(10)), sample(60 + seconds, process(10, own=ticks))
        )
        finding = judge([10], Windows({}, {}, instant), Thresholds(), not_passing)
        assert finding.active == finding.brief
        return finding.brief

    assert brief(0.05, 5)
    assert brief(0.4, 12)  # its share of a busy machine
    assert not brief(0.05, 2)
    assert not brief(0.9, 9)


def test_what_is_known_by_longer_windows_is_not_brief() -> None:
    """A job that computes is one, also where it is seen to compute right now."""
    work = work_between(sample(50, process(10)), sample(60, process(10, own=900)))
    instant = work_between(sample(59.9, process(10)), sample(60, process(10, own=9)))
    finding = judge([10], Windows(work, work, instant), Thresholds(), not_passing)
    assert (finding.active, finding.brief, round(finding.value)) == (True, False, 90)


def test_a_passing_command_is_rated_over_half_a_minute() -> None:
    """`git status`, met alive after 0.4 s of CPU, is no work; after 3 s it is."""
    recent = work_between(sample(10), sample(20, process(10, own=40, start=1960)))
    windows = Windows(recent, recent, {})
    assert judge([10], windows, Thresholds(), not_passing).active
    assert not judge([10], windows, Thresholds(), lambda _pid: Life(40, 0)).active
    assert judge([10], windows, Thresholds(), lambda _pid: Life(300, 0)).active


def test_io_above_its_threshold_is_work() -> None:
    """Twelve mebibytes a second; half a one is not."""
    before = sample(10, process(10), process(11), io={10: 0, 11: 0})
    after = sample(20, process(10), process(11), io={10: 120 * MIB, 11: 5 * MIB})
    work = work_between(before, after)
    finding = judge([10, 11], Windows(work, work, {}), Thresholds(), not_passing)
    assert (finding.active, finding.pid, finding.unit) == (True, 10, "bytes/s")
    assert not judge([11], Windows(work, work, {}), Thresholds(), not_passing).active
