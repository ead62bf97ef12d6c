"""The truth table at the level of the host: a whole server that stops, or is held, and says why.

Each row has a server of its own; several run side by side.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from .harness import LiveServer, wait_until
from .rows import (
    WORK,
    again_and_again,
    entries,
    goes_down,
    joined,
    kernel_status,
    minutes,
    run_side_by_side,
    script,
    side_by_side,
    stays_up,
    stopped_by,
    typing_in,
    write_kernelspec,
)

TIMEOUT = 6.0
WARNING = 2.0
HELD = TIMEOUT + 4.0
AT_ONCE = 3
API = "api/idle-culler/v1/"


@dataclass
class Home:
    """Where a row's server lives; it starts servers whose host stops after `TIMEOUT`."""

    path: Path

    @contextlib.contextmanager
    def server(self, config: dict[str, Any] | None = None, **more: Any) -> Iterator[LiveServer]:
        """Start a server, with this configuration beside what every row has."""
        settings = {
            "timeout_minutes": minutes(TIMEOUT),
            "warning_minutes": minutes(WARNING),
            "stop_action": "server",
            "check_interval_seconds": 1,
            **(config or {}),
        }
        script(self.path, "work.py", WORK)
        with LiveServer(self.path, settings, **more) as running:
            yield running


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[None]]]:
    """Run the rows side by side, each in a home of its own."""

    def home(_: object) -> Home:
        return Home(tmp_path_factory.mktemp("host", numbered=True))

    yield from run_side_by_side(request, AT_ONCE, home)


def stops_after(server: LiveServer, began: float, ended: float) -> dict[str, Any]:
    """Watch a server stop one timeout after evidence that was between two instants."""
    return goes_down(server, TIMEOUT, WARNING, began, ended)


def from_a_terminal(server: LiveServer, command: str) -> float:
    """Type a command into a terminal, then end that terminal; return when."""
    with typing_in(server) as terminal:
        terminal.run(command + "; echo $((40 + 2))")
        terminal.read_until("42")
        server.request("DELETE", f"api/terminals/{terminal.name}")
    return time.monotonic()


def holds_as_background(home: Home, command: str, detail: str) -> None:
    """Start a job from a terminal that ends; it is what holds the host."""
    with home.server() as server:
        from_a_terminal(server, command.format(job=f"{sys.executable} {home.path / 'work.py'}"))
        stays_up(server, HELD, "processes", detail)
        assert server.status()["host"]["verdict"] == "active"


@side_by_side
def test_a_server_on_which_nothing_was_started_stops(home: Home) -> None:
    """H1: idle since the server started, and the journal tells why."""
    began = time.monotonic()
    with home.server() as server:
        decision = stops_after(server, began, time.monotonic())
        assert decision["verdict"] == "idle"
        assert decision["reason"].startswith("idle for 6"), decision


@side_by_side
def test_an_idle_kernel_and_its_host_go_at_the_same_moment(home: Home) -> None:
    """2.2: with one timeout the deadlines do not add up, and culling is no activity."""
    with home.server() as server, joined(server) as kernel, typing_in(server) as terminal:
        terminal.run("true")
        began = time.monotonic()
        kernel.execute("1 + 1")
        decision = stops_after(server, began, time.monotonic())
        (cull,) = entries(server, f"kernel:{kernel.id}", "cull", "decision") or [decision]
        assert abs(decision["deadline"] - cull["deadline"]) < 1.0, (decision, cull)


@side_by_side
def test_a_busy_kernel_holds_its_host(home: Home) -> None:
    """K1, K2: a cell that runs; when it ends, the host has its whole timeout to go."""
    with home.server() as server, joined(server) as kernel:
        began = time.monotonic()
        message = kernel.execute(f"import time; time.sleep({HELD + 2})", wait=False)
        stays_up(server, HELD, "kernels", "cell running")
        kernel.wait_for(
            lambda m: (
                m["msg_type"] == "status"
                and m["parent_header"].get("msg_id") == message
                and m["content"]["execution_state"] == "idle"
            )
        )
        stops_after(server, began + HELD + 2, time.monotonic())


@side_by_side
def test_a_thread_that_computes_holds_its_host(home: Home) -> None:
    """K4: the kernel is idle, its thread is not."""
    code = f"import threading\nthreading.Thread(target=exec, args=({WORK!r},), daemon=True).start()"
    with home.server() as server, joined(server) as kernel:
        kernel.execute(code)
        stays_up(server, HELD, "processes", "the kernel's own process")


@side_by_side
def test_a_prompt_and_a_heartbeat_do_not_hold_their_host(home: Home) -> None:
    """K3, K5: nobody answers the prompt; another kernel prints each second."""
    beat = (
        "import threading, time\n"
        "def beat():\n"
        "    while True:\n"
        "        time.sleep(1); print('beat')\n"
        "threading.Thread(target=beat, daemon=True).start()"
    )
    with home.server() as server, joined(server) as beating, joined(server) as asking:
        began = time.monotonic()
        beating.execute(beat)
        asking.execute("input('go on? ')", wait=False)
        asking.wait_for(lambda message: message["msg_type"] == "input_request")
        stops_after(server, began, time.monotonic())


@side_by_side
def test_tabs_and_polls_do_not_hold_their_host(home: Home) -> None:
    """K6, T4: an open tab that asks each second, a terminal that is resized and joined again."""
    with home.server() as server, joined(server) as kernel, typing_in(server) as terminal:

        def poll() -> None:
            with contextlib.suppress(OSError):  # the server stops
                kernel.send("kernel_info_request", {})
                terminal.send("set_size", 30, 100, 600, 800)
                server.terminal(terminal.name).close()
                for listing in ("kernels", "sessions", "terminals", "status", "contents"):
                    server.request("GET", f"api/{listing}", ok=False)

        began = time.monotonic()
        kernel.execute("1 + 1")
        ended = time.monotonic()
        with again_and_again(poll) as polls:
            stops_after(server, began, ended)
        assert len(polls) >= 3


@side_by_side
def test_a_silent_foreground_job_holds_its_host(home: Home) -> None:
    """T2: it neither prints nor computes."""
    with home.server() as server, typing_in(server) as terminal:
        terminal.run("sleep 1000")
        stays_up(server, HELD, "terminals", "sleep 1000")


@side_by_side
def test_viewers_and_prompts_do_not_hold_their_host(home: Home) -> None:
    """T1, T3, T5, T6: a shell in a shell, top, python at its prompt, a question."""
    commands = ("bash", "top", sys.executable, "read -p 'go on? ' answer")
    with home.server() as server, contextlib.ExitStack() as tabs:
        began = time.monotonic()
        for command in commands:
            tabs.enter_context(typing_in(server)).run(command)
        # The question is idle since it was first seen to wait.
        stops_after(server, began, time.monotonic() + 2)


@side_by_side
def test_a_nohup_job_holds_its_host(home: Home) -> None:
    """P1: nohup."""
    holds_as_background(home, "nohup {job} > /dev/null 2>&1 &", "work.py")


@side_by_side
def test_a_disowned_job_holds_its_host(home: Home) -> None:
    """P1: disown."""
    holds_as_background(home, "{job} > /dev/null 2>&1 & disown -a", "work.py")


@side_by_side
def test_a_job_in_a_session_of_its_own_holds_its_host(home: Home) -> None:
    """P1: setsid."""
    holds_as_background(home, "setsid {job} > /dev/null 2>&1 < /dev/null &", "work.py")


@side_by_side
def test_a_job_in_tmux_holds_its_host(home: Home) -> None:
    """P1: tmux, whose server is a daemon and is known by the marks that it inherited."""
    holds_as_background(home, "tmux new-session -d '{job}'", "work.py")


@side_by_side
def test_a_loop_of_short_commands_holds_its_host(home: Home) -> None:
    """P1: no command of it lives long enough to be seen; their parent has reaped their time."""
    loop = "setsid sh -c 'while :; do seq 20000 > /dev/null; done' > /dev/null 2>&1 < /dev/null &"
    holds_as_background(home, loop, "seq 20000")


@side_by_side
def test_jobs_that_sleep_do_not_hold_their_host(home: Home) -> None:
    """P2: a nohup job, one in tmux; and they live on after the server has stopped."""
    with home.server(isolate=True) as server:
        began = time.monotonic()
        ended = from_a_terminal(
            server, "tmux new-session -d 'sleep 1001'; nohup sleep 1002 > /dev/null 2>&1 &"
        )
        stops_after(server, began, ended)


@side_by_side
def test_a_person_in_the_page_holds_the_host(home: Home) -> None:
    """U1: presence, until it ends."""
    with home.server() as server:

        def be_there() -> None:
            server.request("POST", API + "activity", {"presence": True})

        with again_and_again(be_there) as reports:
            stays_up(server, HELD, "presence", "a person in the page")
        stops_after(server, reports[-1], time.monotonic())


@side_by_side
def test_files_changed_through_the_server_hold_the_host(home: Home) -> None:
    """U2: with no widget connected, files made, renamed and deleted count; reading does not."""
    with home.server() as server:

        def work() -> None:
            model = server.request("POST", "api/contents", {"type": "file", "ext": ".txt"})
            path = model["path"]
            server.request("PATCH", f"api/contents/{path}", {"path": "b-" + path})
            server.request("DELETE", f"api/contents/b-{path}")

        with again_and_again(work) as changes:
            stays_up(server, HELD, "contents", "changed files")

        def read() -> None:
            with contextlib.suppress(OSError):
                server.request("GET", "api/contents", ok=False)

        ended = time.monotonic()
        with again_and_again(read):
            stops_after(server, changes[-1], ended)


@side_by_side
def test_a_keep_alive_survives_a_restart_and_holds_the_host(home: Home) -> None:
    """U4: it is active until it ends, also when the server was killed and started again."""
    long = 18.0
    with home.server() as server:
        asked = time.monotonic()
        body = {"minutes": minutes(long), "reason": "for the demo"}
        server.request("POST", API + "keep-alive", body)
        assert server.process is not None
        server.process.kill()
        server.process.wait()
        server.start()
        stays_up(server, asked + long - 1 - time.monotonic(), "keep-alives", "for the demo")
        goes_down(server, long + TIMEOUT, WARNING, asked, time.monotonic() + 1 - TIMEOUT)


@side_by_side
def test_what_nobody_stands_behind_holds_the_host_only_so_long(home: Home) -> None:
    """U5: a heartbeat file, a script's reports and renewed keep-alives, all together."""
    most = 9.0
    beat = home.path / "beat"
    config = {"max_unattended_minutes": minutes(most), "heartbeat_files": [str(beat)]}
    began = time.monotonic()
    with home.server(config) as server:
        started = time.monotonic()

        def report() -> None:
            beat.write_text(str(time.time()))
            with contextlib.suppress(OSError, AssertionError):  # the server stops
                server.request("POST", API + "activity", {})
                server.request("POST", API + "keep-alive", {"minutes": 1, "reason": "again"})

        with again_and_again(report):
            _is_held(server, began + most - 1)
            goes_down(server, most + TIMEOUT, WARNING, began, started)


def _is_held(server: LiveServer, until: float) -> None:
    while time.monotonic() < until:
        assert not server.ended
        time.sleep(0.2)
    assert server.status()["host"]["verdict"] == "active"


@side_by_side
def test_a_heartbeat_file_holds_the_host(home: Home) -> None:
    """U5: touched each second; untouched, the host goes."""
    beat = home.path / "beat"
    with home.server({"heartbeat_files": [str(beat)]}) as server:
        with again_and_again(lambda: beat.write_text(str(time.time()))) as touches:
            stays_up(server, HELD, "heartbeat-files", "beat")
        stops_after(server, touches[-1], time.monotonic() + 1)


@side_by_side
def test_input_in_tmux_holds_the_host(home: Home) -> None:
    """U6: somebody types in a pane of the server's own tmux, though no terminal is open."""
    with home.server() as server:
        from_a_terminal(server, "tmux new-session -d 'cat > /dev/null'")
        tmux = [
            "nsenter",
            "-t",
            str(_inside(server)),
            "-p",
            "-m",
            "tmux",
            "send-keys",
            "x",
            "Enter",
        ]

        def type_there() -> None:
            _run(server, tmux)

        with again_and_again(type_there, 2.0) as keys:
            stays_up(server, HELD + 8, "other-ttys", "")
        stops_after(server, keys[-1] - 1, time.monotonic() + 9)


def _inside(server: LiveServer) -> int:
    """Return a process of the server's namespace."""
    assert server.process is not None
    (first,) = psutil.Process(server.process.pid).children()
    return int(first.pid)


def _run(server: LiveServer, command: list[str]) -> None:
    subprocess.run(command, env=server.env, check=True, timeout=20)


@side_by_side
def test_a_server_that_crashed_counts_from_its_restart(home: Home) -> None:
    """H3: stale state never stops anything."""
    with home.server() as server:
        assert server.process is not None
        time.sleep(TIMEOUT - 2.5)  # most of its idleness is over
        server.process.kill()
        server.process.wait()
        began = time.monotonic()
        server.start()
        stops_after(server, began, time.monotonic())


@side_by_side
def test_evidence_during_the_warning_cancels_it(home: Home) -> None:
    """2.2: warn, then somebody comes; the next warning stands its whole time again."""
    with home.server({"warning_minutes": minutes(3)}) as server:
        wait_until(lambda: server.status()["host"]["warning"], "the warning")
        warning = server.status()["host"]["warning"]
        assert 0 < warning["ends_in_seconds"] <= 3.2
        came = time.monotonic()
        server.request("POST", API + "activity", {"presence": True})
        wait_until(lambda: not server.status()["host"]["warning"], "the end of the warning", 3)
        goes_down(server, TIMEOUT, 3, came, time.monotonic())
        assert entries(server, "host", "cancel-warning", "decision")


@side_by_side
def test_a_kernel_may_hold_its_host(home: Home) -> None:
    """2.2: metadata.idle_culler_hold_host, with a kernelspec that is never culled."""
    with home.server() as server:
        write_kernelspec(server, "holds", {"cull_idle_timeout": 0, "idle_culler_hold_host": True})
        with joined(server, spec="holds") as kernel:
            kernel.execute("1 + 1")
            stays_up(server, HELD, "kernelspec", "holds the host")
            began = time.monotonic()
            server.request("DELETE", f"api/kernels/{kernel.id}")
            stops_after(server, began - 1.5, time.monotonic())


@side_by_side
def test_a_kernel_that_is_never_culled_does_not_hold_its_host(home: Home) -> None:
    """2.2: never is for its own culling only; the stop ends it."""
    with home.server() as server:
        write_kernelspec(server, "never", {"cull_idle_timeout": 0})
        with joined(server, spec="never") as kernel:
            began = time.monotonic()
            kernel.execute("1 + 1")
            stops_after(server, began, time.monotonic())


@side_by_side
def test_a_command_stops_the_host_once(home: Home) -> None:
    """stop_action = command: run once for one idleness, without a shell; then it is the command's
    matter, and new evidence arms it again."""
    marker = home.path / "stopped"
    command = [sys.executable, "-c", f"open({str(marker)!r}, 'a').write('x')"]
    with home.server({"stop_action": "command", "stop_command": command}) as server:
        wait_until(marker.exists, "the command")
        stopped_by(server, WARNING)
        time.sleep(TIMEOUT)
        assert marker.read_text() == "x"
        server.request("POST", API + "activity", {"presence": True})
        wait_until(lambda: marker.read_text() == "xx", "the second stop")


@side_by_side
def test_a_dry_run_changes_nothing_and_says_what_it_would_do(home: Home) -> None:
    """Dry run: decided, warned, recorded; kernel and host are still there."""
    with home.server({"dry_run": True}) as server, joined(server) as kernel:
        kernel.execute("1 + 1")
        wait_until(lambda: entries(server, "host", "stop", "outcome"), "the stop", TIMEOUT + 12)
        (outcome,) = entries(server, "host", "stop", "outcome")
        assert "dry run" in outcome["detail"]
        assert entries(server, f"kernel:{kernel.id}", "cull", "outcome")
        time.sleep(3)
        assert kernel.id in server.kernel_ids()
        assert server.status()["dry_run"]
        assert len(entries(server, "host", "stop", "outcome")) == 1


@side_by_side
def test_a_command_before_the_stop_runs_and_its_work_is_no_evidence(home: Home) -> None:
    """pre_stop_command: it computes for two seconds, and the stop comes all the same."""
    marker = home.path / "before"
    burn = (
        "import time; end = time.monotonic() + 2.5\n"
        "while time.monotonic() < end: pass\n"
        f"open({str(marker)!r}, 'w').close()"
    )
    began = time.monotonic()
    with home.server({"pre_stop_command": [sys.executable, "-c", burn]}) as server:
        stops_after(server, began, time.monotonic())
        assert marker.exists()


@side_by_side
def test_a_command_before_the_stop_that_fails_puts_it_off(home: Home) -> None:
    """pre_stop_command: it fails and the host is kept, shown as unhealthy."""
    with home.server({"pre_stop_command": ["false"]}) as server:
        wait_until(lambda: entries(server, "host", "stop", "outcome"), "the outcome")
        (outcome,) = entries(server, "host", "stop", "outcome")
        assert not outcome["ok"]
        time.sleep(2)
        assert not server.ended
        health = server.status()["health"]
        assert health["status"] == "unhealthy", health
        assert any("pre_stop_command" in problem["detail"] for problem in health["problems"])


@side_by_side
def test_a_command_before_the_stop_that_hangs_puts_it_off(home: Home) -> None:
    """pre_stop_command: it runs out of time, is ended, and the host is kept."""
    config = {"pre_stop_command": ["sleep", "1000"], "pre_stop_timeout_seconds": 1}
    with home.server(config) as server:
        wait_until(lambda: entries(server, "host", "stop", "outcome"), "the outcome")
        (outcome,) = entries(server, "host", "stop", "outcome")
        assert not outcome["ok"]
        assert not server.ended


@side_by_side
def test_a_kernel_that_begins_to_work_in_the_gap_is_kept(home: Home) -> None:
    """2.2: between the decision and the act everything is observed once more; new evidence wins.

    The command before the stop makes the gap long enough to work in.
    """
    config = {
        "kernel_timeout_minutes": 10,
        "pre_stop_command": ["sleep", "3"],
    }
    with home.server(config) as server, joined(server) as kernel:
        kernel.execute("1 + 1")
        wait_until(lambda: entries(server, "host", "stop", "decision"), "the decision to stop")
        kernel.execute("import time; time.sleep(1000)", wait=False)
        wait_until(lambda: entries(server, "host", "stop", "outcome"), "the outcome")
        (outcome,) = entries(server, "host", "stop", "outcome")
        assert outcome["withdrawn"], outcome
        assert not server.ended
        assert kernel_status(server, kernel.id)["verdict"] == "active"
