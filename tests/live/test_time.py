"""Row H2: time zones, a wall clock that is stepped, a machine that sleeps: no verdict changes.

The scenarios run side by side, each on a server of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from .harness import Kernel, LiveServer, wait_until
from .machines import processes_of
from .rows import (
    LATENESS_SECONDS,
    entries,
    goes_down,
    held_awake,
    is_culled,
    joined,
    kernel_status,
    minutes,
    run_side_by_side,
    side_by_side,
    typing_in,
)
from .wall_clock import WallClock

TIMEOUT = 8.0
AT_ONCE = 4
PAUSE = 36.0
"""Longer than any timeout here, and than what `AwakeClock` takes for a blocked event loop."""
IN_A_THREAD = """
import threading, time
def work():
    while True:
        end = time.thread_time() + .2
        while time.thread_time() < end:
            pass
        time.sleep(.2)
threading.Thread(target=work, daemon=True).start()
"""
CLOSE = timedelta(seconds=2)


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[None]]]:
    """Run the scenarios side by side, each with a home of its own."""
    tmp_path_factory.getbasetemp()  # made here: not by several threads at once
    yield from run_side_by_side(
        request, AT_ONCE, lambda scenario: tmp_path_factory.mktemp("time", numbered=True)
    )


@side_by_side
def test_what_works_is_kept_after_a_pause(home: Path) -> None:
    """Everything is stopped for longer than any timeout, as a paused virtual machine is. A thread
    that computes and a job that waits are kept after it; a keep-alive has as long to go as it had.
    """
    config = {"timeout_minutes": minutes(TIMEOUT), "check_interval_seconds": 2}
    wish = 10.0
    with (
        LiveServer(home, config) as server,
        held_awake(server) as let_go,
        joined(server) as working,
        joined(server) as wished,
        typing_in(server) as terminal,
    ):
        working.execute(IN_A_THREAD)
        terminal.run("sleep 1000")
        let_go()
        asked = time.monotonic()
        keep_awake(server, wished, wish)
        wait_until(lambda: time.monotonic() > asked + 4, "evidence of work")
        paused = pause(server)
        until = time.monotonic() + 2 * TIMEOUT
        while time.monotonic() < until:
            assert working.id in server.kernel_ids()
            assert terminal.name in server.terminal_names()
            time.sleep(0.5)
        decision = is_culled(
            server, wished.id, wish + TIMEOUT, asked, asked + 2 * PAUSE - TIMEOUT - wish
        )
        assert decision["evidence_source"] == "keep-alives"
        assert_counted_awake(server, decision, asked + wish, paused, TIMEOUT)


@side_by_side
def test_a_pause_is_no_idleness(home: Path) -> None:
    """A kernel that was idle for half of its timeout has the other half to go when the machine is
    back, and a host warning stands the rest of its time."""
    timeout, host, warning = 20.0, 28.0, 14.0
    config = {
        "kernel_timeout_minutes": minutes(timeout),
        "host_timeout_minutes": minutes(host),
        "warning_minutes": minutes(warning),
        "stop_action": "server",
        "check_interval_seconds": 2,
    }
    with LiveServer(home, config) as server, joined(server) as kernel:
        began = time.monotonic()
        kernel.execute("1 + 1")
        ended = time.monotonic()
        wait_until(lambda: server.status()["host"]["warning"], "a host warning")
        paused = pause(server)
        left = server.status()
        assert left["host"]["warning"], left["host"]
        assert kernel.id in server.kernel_ids()
        assert left["kernels"][0]["evidence"]["age_seconds"] < timeout
        shows_utc(server, timedelta(), paused)
        evidence_at = datetime.fromisoformat(left["kernels"][0]["evidence"]["at"])
        shown = datetime.now(timezone.utc) - evidence_at
        assert timedelta(seconds=time.monotonic() - ended - 1) <= shown
        assert shown <= timedelta(seconds=time.monotonic() - began + 1)
        wait_until(lambda: kernel.id not in server.kernel_ids(), "the end of the kernel")
        wait_until(lambda: server.ended, "the end of the server")
        (cull,) = entries(server, f"kernel:{kernel.id}", "cull", "decision")
        (stop,) = entries(server, "host", "stop", "decision")
        (warned,) = entries(server, "host", "warn", "decision")
        assert not entries(server, "host", "cancel-warning", "decision")
        assert_counted_awake(server, cull, ended, paused, timeout)
        assert_counted_awake(server, stop, ended, paused, host)
        assert stop["t"] - warned["t"] >= warning


@side_by_side
def test_the_wall_clock_is_stepped_forth_and_back(home: Path) -> None:
    """By eight hours, then back by thirteen, while kernels, terminals, a keep-alive and a warning
    stand."""
    a_stepped_server_goes_on(home, timedelta(hours=8), timedelta(hours=-5))


@side_by_side
def test_the_wall_clock_is_stepped_back_and_forth(home: Path) -> None:
    """By five hours back, then thirteen on."""
    a_stepped_server_goes_on(home, timedelta(hours=-5), timedelta(hours=8))


@side_by_side
def test_in_los_angeles(home: Path) -> None:
    """Eight hours behind UTC, seven in summer."""
    a_server_keeps_its_hours(home, "America/Los_Angeles")


@side_by_side
def test_in_tokyo(home: Path) -> None:
    """Nine hours ahead of UTC."""
    a_server_keeps_its_hours(home, "Asia/Tokyo")


@side_by_side
def test_at_utc(home: Path) -> None:
    """As most servers are."""
    a_server_keeps_its_hours(home, "UTC")


def a_server_keeps_its_hours(home: Path, zone: str) -> None:
    """Check verdicts, deadlines and records on a server that has this zone."""
    config = {"timeout_minutes": minutes(TIMEOUT), "check_interval_seconds": 1}
    with (
        LiveServer(home, config, env={"TZ": zone}) as server,
        held_awake(server) as let_go,
        joined(server) as working,
        joined(server) as wished,
        joined(server) as idle,
        typing_in(server) as terminal,
    ):
        # What the server runs has the zone, too.
        now = "datetime.datetime.now()"
        there = f"{now}.astimezone(zoneinfo.ZoneInfo({zone!r})).utcoffset()"
        working.execute(
            f"import datetime, zoneinfo\nassert {now}.astimezone().utcoffset() == {there}"
        )
        working.execute(IN_A_THREAD)
        began = time.monotonic()
        let_go()
        keep_awake(server, wished, 2.0)
        idle.execute("1 + 1")
        terminal.run("echo $((40 + 2))")
        terminal.read_until("42")
        ended = time.monotonic()
        wait_until(lambda: kernel_status(server, idle.id)["verdict"] == "idle", "the verdict")
        shows_utc(server, timedelta())
        is_culled(server, idle.id, TIMEOUT, began, ended)
        terminal_is_culled(server, terminal.name, TIMEOUT, began, ended)
        is_culled(server, wished.id, TIMEOUT + 2.0, began, ended + 2.0)
        assert kernel_status(server, working.id)["verdict"] == "active"
        records_are_utc(server, [timedelta()])


def a_stepped_server_goes_on(home: Path, first: timedelta, second: timedelta) -> None:
    """Step the wall clock of a live server twice, and check that it decides as if nothing was."""
    host, warning, wish = 20.0, 9.0, 6.0
    config = {
        "timeout_minutes": minutes(TIMEOUT),
        "host_timeout_minutes": minutes(host),
        "warning_minutes": minutes(warning),
        "stop_action": "server",
        "check_interval_seconds": 1,
    }
    wall = WallClock(home / "wall-clock")
    with (
        LiveServer(home, config, env=wall.env) as server,
        held_awake(server) as let_go,
        joined(server) as working,
        joined(server) as wished,
        joined(server) as idle,
        typing_in(server) as terminal,
    ):
        working.execute(IN_A_THREAD)
        began = time.monotonic()
        let_go()
        keep_awake(server, wished, wish)
        idle.execute("1 + 1")
        terminal.run("echo $((40 + 2))")
        terminal.read_until("42")
        ended = time.monotonic()
        wait_until(lambda: kernel_status(server, idle.id)["verdict"] == "idle", "the verdict")
        wall.step(first)
        wait_until(lambda: off_by(server, first), "the step")
        shows_utc(server, first)
        is_culled(server, idle.id, TIMEOUT, began, ended)
        terminal_is_culled(server, terminal.name, TIMEOUT, began, ended)
        assert kernel_status(server, working.id)["verdict"] == "active"
        is_culled(server, wished.id, wish + TIMEOUT, began, ended + wish)
        assert server.status()["keep_alives"] == []
        deleted = time.monotonic()
        server.request("DELETE", f"api/kernels/{working.id}")
        gone = time.monotonic()
        wait_until(lambda: server.status()["host"]["warning"], "a host warning")
        wall.step(second)
        wait_until(lambda: off_by(server, second), "the step")
        shows_utc(server, second)
        assert server.status()["host"]["warning"]
        goes_down(server, host, warning, deleted, gone)
        records_are_utc(server, [timedelta(), first, second])


def pause(server: LiveServer) -> float:
    """Stop all of a server's machine for `PAUSE` seconds; return for how long it was, at least.

    Parents first, and awake last: a shell that sees its job stopped would take the terminal back.
    """
    stopped = processes_of(server)
    for process in stopped:
        process.suspend()
        wait_until(partial(_is_stopped, process), "its stop", 10, 0.001)
    began = time.monotonic()
    time.sleep(PAUSE)  # nothing happens that could be waited for
    paused = time.monotonic() - began
    for process in reversed(stopped):
        process.resume()
    return paused


def _is_stopped(process: psutil.Process) -> bool:
    return bool(process.status() == psutil.STATUS_STOPPED)


def assert_counted_awake(
    server: LiveServer, decision: dict[str, Any], evidence: float, paused: float, timeout: float
) -> None:
    """Check that a decision came when the timeout had passed beside the pause: no earlier on this
    machine's clock, and on the culler's own not much later."""
    waited = decision["t"] - decision["evidence_at"]
    assert timeout <= waited <= timeout + LATENESS_SECONDS, decision
    outcomes = entries(server, decision["resource"], decision["action"], "outcome")
    written = datetime.fromisoformat([*outcomes, decision][0]["time"])
    since = datetime.now(timezone.utc) - written
    at = time.monotonic() - since.total_seconds()
    assert at - evidence >= timeout + paused - 1, (decision, at, evidence, paused)


def keep_awake(server: LiveServer, kernel: Kernel, seconds: float) -> None:
    """Ask to keep one kernel awake."""
    body = {"minutes": minutes(seconds), "reason": "", "resource": f"kernel:{kernel.id}"}
    server.request("POST", "api/idle-culler/v1/keep-alive", body)


def terminal_is_culled(
    server: LiveServer, name: str, timeout: float, after: float, before: float
) -> None:
    """Wait until a terminal is gone, in time as `is_culled` has it for kernels."""
    patience = before + timeout + LATENESS_SECONDS - time.monotonic()
    wait_until(lambda: name not in server.terminal_names(), f"the end of terminal {name}", patience)
    decision = entries(server, f"terminal:{name}", "cull", "decision")[-1]
    assert decision["t"] - after >= timeout, decision


def off_by(server: LiveServer, offset: timedelta) -> bool:
    """Tell whether a server's clock is off by so much."""
    shown = datetime.fromisoformat(server.status()["time"])
    return abs(shown - datetime.now(timezone.utc) - offset) < CLOSE


def shows_utc(server: LiveServer, offset: timedelta, paused: float = 0) -> None:
    """Check that every time shown is aware UTC, by a wall clock that is off by so much.

    What was before a pause of so many seconds was so much earlier than its age tells.
    """
    status = server.status()
    now = datetime.now(timezone.utc) + offset
    shown = datetime.fromisoformat(status["time"])
    assert shown.utcoffset() == timedelta(), status["time"]
    assert abs(shown - now) < CLOSE, (status["time"], now)
    pairs = [(status["host"]["stops_at"], status["host"]["stops_in_seconds"])]
    for one in (status["host"], *status["kernels"], *status["terminals"]):
        evidence = one["evidence"]
        pairs.append((evidence["at"], -evidence["age_seconds"] - paused))
        pairs.append((one.get("culled_at"), one.get("culled_in_seconds")))
    pairs += [(wish["ends_at"], wish["ends_in_seconds"]) for wish in status["keep_alives"]]
    for text, seconds in pairs:
        if text is None:
            assert seconds is None
            continue
        at = datetime.fromisoformat(text)
        assert at.utcoffset() == timedelta(), text
        if seconds == 0 and at < now:
            continue  # it is overdue
        assert abs(at - now - timedelta(seconds=seconds)) < CLOSE, (text, seconds, now)


def records_are_utc(server: LiveServer, offsets: list[timedelta]) -> None:
    """Check that each entry of the journal has its instant's UTC time, by one of the clocks."""
    now, instant = datetime.now(timezone.utc), time.monotonic()
    found = list(server.journal())
    assert found
    for entry in found:
        assert entry["time"].endswith("+00:00"), entry
        at = now - timedelta(seconds=instant - entry["t"])
        written = datetime.fromisoformat(entry["time"])
        assert any(abs(written - at - offset) < CLOSE for offset in offsets), entry
