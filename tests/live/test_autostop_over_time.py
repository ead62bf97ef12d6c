"""Autostop over time: another's keys, stepped clocks, a crash, open pages, the well-known flags."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from .autostop_machine import IDLE, AutostopMachine
from .harness import TOKEN, wait_until
from .rows import again_and_again
from .test_autostop import looks_until
from .wall_clock import WallClock

pytestmark = pytest.mark.timeout(200)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[AutostopMachine]:
    """Start a machine with nothing on it."""
    with AutostopMachine(tmp_path) as running:
        yield running


def test_keys_on_another_terminal_of_the_user_hold_the_machine(machine: AutostopMachine) -> None:
    """U6: a pane of a tmux that no terminal of the server shows, as over ssh."""
    pane = ["tmux", "-S", str(machine.home / "ssh.tmux")]
    login = ["setsid", *pane, "new-session", "-d", "cat >/dev/null"]
    subprocess.run(machine.inside(*login), env=machine.env, check=True)
    looks_until(machine, "stops in", 60, "-c", "--dry-run")
    until = time.monotonic() + IDLE + 10  # a terminal's time of access moves in steps of 8 s
    while time.monotonic() < until:
        subprocess.run(
            machine.inside(*pane, "send-keys", "x", "Enter"), env=machine.env, check=True
        )
        time.sleep(3)
        verdict = machine.verdict("-c", "--dry-run")
        assert "would stop" not in verdict, verdict
        assert "last evidence: " in verdict, verdict
    assert verdict.endswith(": somebody typed"), verdict
    looks_until(machine, "would stop", IDLE + 30, "-c", "--dry-run")


def test_no_step_of_the_clock_and_no_time_zone_changes_a_verdict(
    machine: AutostopMachine, tmp_path: Path
) -> None:
    """H1, H2: each look has another wall clock and another zone; the time to the stop runs on."""
    clock = WallClock(tmp_path / "clock")
    steps = itertools.cycle([timedelta(hours=h) for h in (0, 8, -8, 8760, -1)])
    zones = itertools.cycle(["UTC", "America/St_Johns", "Australia/Lord_Howe"])
    machine.look("-c", "--dry-run")
    began = time.monotonic()
    left = IDLE
    while "would stop" not in (
        verdict := machine.look("-c", "--dry-run", **clock.env, TZ=next(zones)).splitlines()[-1]
    ):
        assert time.monotonic() - began < IDLE + 30, verdict
        if "stops in " in verdict:
            seconds = float(verdict.partition("stops in ")[2].partition(" s")[0])
            assert seconds <= left, verdict
            left = seconds
        clock.step(next(steps))
        time.sleep(2)
    assert time.monotonic() - began > IDLE - 3


def test_a_server_that_crashed_counts_from_its_restart(machine: AutostopMachine) -> None:
    """H3: what was remembered of the time before, a warning too, stops nothing."""
    looks_until(machine, "warns: ", 90, "-c", "--dry-run")
    machine.kill()
    machine.start()
    restarted = time.monotonic()
    verdict = machine.verdict("-c", "--dry-run")
    assert "would stop" not in verdict, verdict
    looks_until(machine, "would stop", IDLE + 60, "-c", "--dry-run")
    assert time.monotonic() - restarted > IDLE - 3


def test_without_c_an_open_page_holds_its_kernel(machine: AutostopMachine) -> None:
    """As with the well-known script; -c is what the scripts pass."""
    tab = machine.kernel()
    looks_until(machine, f"kernel {tab.id} has a page open", 40, "--dry-run")
    looks_until(machine, "stops in", 60, "-c", "--dry-run")
    looks_until(machine, f"kernel {tab.id} has a page open", 10, "--dry-run")
    tab.close()
    looks_until(machine, "stops in", 60, "--dry-run")


@pytest.mark.parametrize("flags", [("-t", "3600"), ("--time", "3600")])
def test_the_flags_of_the_well_known_script_do_what_they_did_there(
    machine: AutostopMachine, flags: tuple[str, str], tmp_path: Path
) -> None:
    """-t, -p, -c: seconds, the port of the server on this host, open pages left out."""
    command = [
        sys.executable, "-m", "jupyter_idle_culler.autostop", *flags, "-p", str(machine.port),
        "-c", "--token", TOKEN, "--state-file", str(tmp_path / "state.json"),
    ]  # fmt: skip

    def said() -> str:
        ran = subprocess.run(
            machine.inside(*command), env=machine.env, capture_output=True, text=True, check=True
        )
        return ran.stdout.rstrip()

    assert said().endswith("keeps: started; last evidence: started")
    line = wait_until(lambda: line if "stops in " in (line := said()) else "", "a look", 30, 1)
    assert " of 1 h 0 min; last evidence: " in line


def test_short_cells_of_a_program_are_no_heartbeat(machine: AutostopMachine) -> None:
    """K6: who runs a short cell each second works, though each look finds the kernel idle."""
    client = machine.kernel()
    client.execute("n = 0")
    with again_and_again(lambda: client.execute("n += 1"), 0.8):
        machine.look("-c", "--dry-run")
        until = time.monotonic() + IDLE + 15
        while time.monotonic() < until:
            verdict = machine.verdict("-c", "--dry-run")
            assert verdict.startswith("keeps: "), verdict
            assert f"kernel {client.id} " in verdict, verdict
