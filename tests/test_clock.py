"""The clock that stands still during sleep."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_idle_culler.clock import TOLERANCE_SECONDS, AwakeClock

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)
seconds = st.floats(0, 1e6, allow_nan=False)
steps = st.one_of(
    st.tuples(st.just("awake"), seconds),
    st.tuples(st.just("suspend"), seconds),
    st.tuples(st.just("wall"), st.floats(-1e6, 1e6, allow_nan=False)),
    st.tuples(st.just("expect"), st.floats(0, 3600)),
    st.tuples(st.just("now"), st.just(0.0)),
)


class Machine:
    """The system's three clocks, moved by hand."""

    def __init__(self) -> None:
        self.monotonic = 1000.0
        self.elapsed = 5000.0
        self.utc = NOON
        self.clock = AwakeClock(lambda: self.monotonic, lambda: self.elapsed, lambda: self.utc)

    def awake(self, passed: float) -> None:
        """Let time pass; a paused virtual machine looks just so from inside."""
        self.monotonic += passed
        self.elapsed += passed
        self.utc += timedelta(seconds=passed)

    def suspend(self, passed: float) -> None:
        """Sleep as a Linux laptop does: the monotonic clock stands still."""
        self.elapsed += passed
        self.utc += timedelta(seconds=passed)


@given(st.lists(steps, max_size=40))
def test_the_clock_never_runs_backwards_nor_faster_than_the_monotonic_one(
    script: list[tuple[str, float]],
) -> None:
    """Whatever sleeps, waits and wall-clock steps: each reading is at least the one before."""
    machine = Machine()
    last, last_raw = machine.clock.now(), machine.monotonic
    for what, amount in script:
        if what == "awake":
            machine.awake(amount)
        elif what == "suspend":
            machine.suspend(amount)
        elif what == "wall":
            machine.utc += timedelta(seconds=amount)
        elif what == "expect":
            machine.clock.expect(amount)
        now = machine.clock.now()
        assert last <= now <= last + (machine.monotonic - last_raw) + 1e-6
        last, last_raw = now, machine.monotonic


@given(planned=st.floats(0, 3600), late=st.floats(0, 1e6))
def test_a_wait_in_which_the_machine_slept_does_not_count(planned: float, late: float) -> None:
    """Coming back late by more than the tolerance is sleep; by less it is time like any other."""
    machine = Machine()
    before = machine.clock.now()
    machine.clock.expect(planned)
    machine.awake(planned + late)
    counted = machine.clock.now() - before
    if late > TOLERANCE_SECONDS + 1e-3:
        assert counted == pytest.approx(0, abs=1e-3)
        assert machine.clock.slept_seconds == pytest.approx(planned + late, abs=1e-3)
    elif late < TOLERANCE_SECONDS - 1e-3:
        assert counted == pytest.approx(planned + late, abs=1e-3)


def test_whoever_asks_first_after_a_pause_gets_no_instant_in_the_future() -> None:
    """A request that arrives before the loop's own wake-up already sees the sleep left out."""
    machine = Machine()
    before = machine.clock.now()
    machine.clock.expect(60)
    machine.awake(8 * 3600)
    by_request = machine.clock.now()
    assert by_request == before
    assert machine.clock.now() == by_request


def test_a_stepped_wall_clock_changes_no_instant_and_shows_right_at_once() -> None:
    """NTP or a hand moves the wall clock: instants stay, their times move along."""
    machine = Machine()
    then = machine.clock.now()
    machine.awake(600)
    machine.utc += timedelta(hours=8)
    assert machine.clock.now() == then + 600
    assert machine.clock.to_utc(then) == NOON + timedelta(hours=8)
    assert machine.clock.to_utc(machine.clock.now() + 60) == machine.utc + timedelta(seconds=60)


@pytest.mark.parametrize("way", ["suspend", "awake"])
def test_what_was_before_a_sleep_shows_the_time_it_had(way: str) -> None:
    """Evidence at noon is shown at noon after eight hours of suspend, or of a paused machine."""
    machine = Machine()
    at_noon = machine.clock.now()
    machine.awake(30)
    machine.clock.now()
    machine.clock.expect(60)
    getattr(machine, way)(8 * 3600)
    after = machine.clock.now()
    assert after - at_noon <= 30 + 60
    assert abs(machine.clock.to_utc(at_noon) - NOON) < timedelta(seconds=1)
    assert abs(machine.clock.to_utc(after) - machine.utc) < timedelta(seconds=1)


def test_an_instant_of_the_monotonic_clock_is_found_again_across_sleeps() -> None:
    """Before a pause, inside it (its end), after it; never later than now."""
    machine = Machine()
    before_raw, before = machine.monotonic, machine.clock.now()
    machine.clock.expect(0)
    machine.awake(3600)
    woke = machine.clock.now()
    machine.awake(10)
    after_raw, after = machine.monotonic, machine.clock.now()
    clock = machine.clock
    assert clock.from_monotonic(before_raw) == before
    assert clock.from_monotonic(before_raw + 1800) == woke
    assert clock.from_monotonic(after_raw) == after
    assert clock.from_monotonic(after_raw + 100) == after


def test_the_real_clocks_are_aware_utc_and_monotonic_seconds() -> None:
    """Without clocks of a test's own it is the machine's."""
    clock = AwakeClock()
    one = clock.now()
    time.sleep(0.01)
    assert 0.005 < clock.now() - one < 5
    shown = clock.to_utc(clock.now())
    assert shown.tzinfo is timezone.utc
    assert abs(shown - datetime.now(timezone.utc)) < timedelta(seconds=1)
