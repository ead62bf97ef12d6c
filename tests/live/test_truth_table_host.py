"""The truth table at the level of the host: kernels, terminals and jobs that hold it, or do not.

A held host is watched past its deadline; an idle one stops, and the journal says why. Each row has
a server of its own; several run side by side.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future

import psutil
import pytest
import websocket

from .harness import Kernel, LiveServer, wait_until
from .rows import (
    HELD,
    WORK,
    Home,
    again_and_again,
    entries,
    joined,
    run_in_homes,
    set_up,
    side_by_side,
    stays_up,
    stops_after,
    typing_in,
    write_kernelspec,
)

BEAT = """
import threading, time
def beat():
    while True:
        time.sleep(1)
        {act}
threading.Thread(target=beat, daemon=True).start()
"""


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[None]]]:
    """Run the rows side by side."""
    yield from run_in_homes(request, tmp_path_factory)


def from_a_terminal(server: LiveServer, command: str) -> None:
    """Type a command into a terminal, then end that terminal."""
    with typing_in(server) as terminal:
        terminal.run(command + "\recho $((40 + 2))")
        terminal.read_until("42")
        server.request("DELETE", f"api/terminals/{terminal.name}")


def holds_as_background(home: Home, command: str, detail: str = "work.py") -> None:
    """Start a job from a terminal that ends; it is what holds the host.

    (A job that was only disowned keeps its terminal's device open: the server lists it on.)
    """
    with home.server() as server:
        with set_up(server):
            from_a_terminal(server, command.format(job=home.job))
        stays_up(server, HELD, "processes", detail)


def holds_after_its_cell(home: Home, code: str, detail: str) -> None:
    """Run a cell that leaves something at work; it is what holds the host."""
    with home.server() as server, contextlib.ExitStack() as tabs:
        with set_up(server):
            tabs.enter_context(joined(server)).execute(
                code.replace("{work}", str(home.path / "work.py"))
            )
        stays_up(server, HELD, "processes", detail)


@side_by_side
def test_a_busy_kernel_holds_its_host(home: Home) -> None:
    """K1, K2: a cell that only waits; when it ends, the host has its whole timeout to go."""
    with home.server() as server, contextlib.ExitStack() as tabs:
        with set_up(server):
            kernel = tabs.enter_context(joined(server))
            began = time.monotonic()
            kernel.execute(f"import time; time.sleep({HELD + 4})", wait=False)
        stays_up(server, HELD, "kernels", "cell running")
        stops_after(server, began + HELD + 4, time.monotonic() + 4)


@side_by_side
def test_a_thread_that_computes_holds_its_host(home: Home) -> None:
    """K4: a thread; the kernel is idle."""
    code = f"import threading\nthreading.Thread(target=exec, args=({WORK!r},), daemon=True).start()"
    holds_after_its_cell(home, code, "the kernel's own process")


@side_by_side
def test_a_task_that_computes_holds_its_host(home: Home) -> None:
    """K4: an asyncio task."""
    task = WORK.replace("time.sleep", "await asyncio.sleep").replace("\n", "\n    ")
    code = (
        f"import asyncio, time\nasync def work():\n    {task}\n"
        "task = asyncio.get_running_loop().create_task(work())"
    )
    holds_after_its_cell(home, code, "the kernel's own process")


@side_by_side
def test_a_child_process_holds_its_host(home: Home) -> None:
    """K4: subprocess.Popen."""
    code = "import subprocess, sys; child = subprocess.Popen([sys.executable, '{work}'])"
    holds_after_its_cell(home, code, "work.py")


@side_by_side
def test_a_pool_holds_its_host(home: Home) -> None:
    """K4: a multiprocessing pool."""
    code = (
        "import multiprocessing\n"
        "pool = multiprocessing.get_context('fork').Pool(2)\n"
        f"result = pool.map_async(exec, [{WORK!r}] * 2)"
    )
    holds_after_its_cell(home, code, "ipykernel_launcher")


@side_by_side
def test_a_detached_job_of_a_cell_holds_its_host(home: Home) -> None:
    """K4: os.system('nohup … &')."""
    code = "import os, sys; os.system(f'nohup {sys.executable} {work} > /dev/null 2>&1 &')"
    holds_after_its_cell(home, code.replace("{work}", str(home.path / "work.py")), "work.py")


@side_by_side
def test_a_job_that_outlived_its_kernel_holds_its_host(home: Home) -> None:
    """K4, P1: Popen(start_new_session=True), also when its kernel was shut down."""
    with home.server() as server, contextlib.ExitStack() as tabs:
        with set_up(server):
            kernel = tabs.enter_context(joined(server))
            kernel.execute(
                "import subprocess, sys\nsubprocess.Popen([sys.executable, "
                f"'{home.path / 'work.py'}'], start_new_session=True)"
            )
            wait_until(lambda: "work.py" in str(server.explain()), "a look at the job")
            server.request("DELETE", f"api/kernels/{kernel.id}")
        stays_up(server, HELD, "processes", "work.py")
        assert not server.kernel_ids()


@side_by_side
def test_idle_kernels_do_not_hold_their_host(home: Home) -> None:
    """K3, K5, K7, K8: a prompt, heartbeats, one that nobody joined, one that was stopped, and
    children that sleep, all together."""
    with home.server() as server, contextlib.ExitStack() as tabs:

        def kernel() -> Kernel:
            return tabs.enter_context(joined(server))

        with set_up(server) as instants:
            kernel().execute(BEAT.format(act="pass"))
            kernel().execute(BEAT.format(act="print('beat')"))
            kernel().execute("import subprocess; subprocess.Popen(['sleep', '1000'])")
            asking = kernel()
            asking.execute("input('go on? ')", wait=False)
            asking.wait_for(lambda message: message["msg_type"] == "input_request")
            kernel().execute(f"import os; os.kill(os.getpid(), {signal.SIGSTOP.value})", wait=False)
            server.start_kernel()
        decision = stops_after(server, instants[-1], time.monotonic())
        assert decision["verdict"] == "idle", decision


@side_by_side
def test_tabs_and_polls_do_not_hold_their_host(home: Home) -> None:
    """K6, T4: an open tab that asks each second, a terminal that is resized and joined again."""
    with home.server() as server, contextlib.ExitStack() as tabs:
        with set_up(server) as instants:
            kernel = tabs.enter_context(joined(server))
            kernel.execute("1 + 1")
            terminal = tabs.enter_context(typing_in(server))

        def poll() -> None:
            # The server stops, and the terminal and the kernel with it.
            with contextlib.suppress(OSError, websocket.WebSocketException):
                kernel.send("kernel_info_request", {})
                terminal.send("set_size", 30, 100, 600, 800)
                server.terminal(terminal.name).close()
                for listing in ("kernels", "sessions", "terminals", "status", "contents"):
                    server.request("GET", f"api/{listing}", ok=False)

        ended = time.monotonic()
        with again_and_again(poll) as polls:
            stops_after(server, instants[-1], ended)
        assert len(polls) >= 3


@side_by_side
def test_an_idle_kernel_and_its_host_go_at_the_same_moment(home: Home) -> None:
    """2.2: with one timeout the deadlines do not add up, and culling is no activity."""
    with home.server() as server, contextlib.ExitStack() as tabs:
        with set_up(server) as instants:
            kernel = tabs.enter_context(joined(server))
        began = time.monotonic()
        kernel.execute("1 + 1")
        stop = stops_after(server, began, time.monotonic())
        assert stop["evidence_source"] == "kernels", (stop, instants)
        (cull,) = entries(server, f"kernel:{kernel.id}", "cull", "decision")
        assert cull["evidence_at"] == stop["evidence_at"]
        assert abs(cull["deadline"] - stop["deadline"]) < 1.0, (stop, cull)
        assert abs(stop["t"] - cull["t"]) < 2.0, (stop, cull)


@side_by_side
def test_a_kernel_may_hold_its_host(home: Home) -> None:
    """2.2: metadata.idle_culler_hold_host, with a kernelspec that is never culled."""
    with home.server() as server, contextlib.ExitStack() as tabs:
        with set_up(server):
            write_kernelspec(
                server, "holds", {"cull_idle_timeout": 0, "idle_culler_hold_host": True}
            )
            kernel = tabs.enter_context(joined(server, spec="holds"))
        stays_up(server, HELD, "kernelspec", "holds the host")
        began = time.monotonic()
        server.request("DELETE", f"api/kernels/{kernel.id}")
        # It held the host when it was last seen.
        stops_after(server, began - 1.5, time.monotonic())


@side_by_side
def test_a_kernel_that_is_never_culled_does_not_hold_its_host(home: Home) -> None:
    """2.2: never is for its own culling only; the stop ends it."""
    with home.server() as server, contextlib.ExitStack() as tabs:
        with set_up(server) as instants:
            write_kernelspec(server, "never", {"cull_idle_timeout": 0})
            kernel = tabs.enter_context(joined(server, spec="never"))
            kernel.execute("1 + 1")
        stops_after(server, instants[-1], time.monotonic())
        assert not entries(server, f"kernel:{kernel.id}", "cull", "decision")


@side_by_side
def test_a_silent_foreground_job_holds_its_host(home: Home) -> None:
    """T2: it neither prints nor computes."""
    with home.server() as server, contextlib.ExitStack() as tabs:
        with set_up(server):
            tabs.enter_context(typing_in(server)).run("sleep 1000")
        stays_up(server, HELD, "terminals", "sleep 1000")


@side_by_side
def test_viewers_and_prompts_do_not_hold_their_host(home: Home) -> None:
    """T1, T3, T5, T6: a shell in a shell, top, python at its prompt, a question."""
    commands = ("bash", "top", sys.executable, "read -p 'go on? ' answer")
    with home.server() as server, contextlib.ExitStack() as tabs:
        with set_up(server) as instants:
            for command in commands:
                tabs.enter_context(typing_in(server)).run(command)
        # The question is idle since it was first seen to wait.
        stops_after(server, instants[-1], time.monotonic() + 2)


@side_by_side
def test_a_nohup_job_holds_its_host(home: Home) -> None:
    """P1: nohup."""
    holds_as_background(home, "nohup {job} > /dev/null 2>&1 &")


@side_by_side
def test_a_disowned_job_holds_its_host(home: Home) -> None:
    """P1: disown."""
    holds_as_background(home, "{job} > /dev/null 2>&1 &\rdisown -a")


@side_by_side
def test_a_job_in_a_session_of_its_own_holds_its_host(home: Home) -> None:
    """P1: setsid."""
    holds_as_background(home, "setsid {job} > /dev/null 2>&1 < /dev/null &")


@side_by_side
def test_a_job_in_tmux_holds_its_host(home: Home) -> None:
    """P1: tmux, whose server is a daemon and is known by the marks that it inherited."""
    holds_as_background(home, "tmux new-session -d '{job}'")


@side_by_side
def test_a_job_in_screen_holds_its_host(home: Home) -> None:
    """P1: screen, a daemon likewise."""
    screens = home.path / "screens"
    screens.mkdir(mode=0o700)
    holds_as_background(home, f"SCREENDIR={screens} screen -dmS job {{job}}")


@side_by_side
def test_a_job_in_an_open_screen_holds_its_host(home: Home) -> None:
    """P1, T3: whoever watches it, screen only shows what runs on a terminal of its own."""
    screens = home.path / "screens"
    screens.mkdir(mode=0o700)
    with home.server() as server, typing_in(server) as terminal:
        terminal.run(f"SCREENDIR={screens} screen {home.job}")
        stays_up(server, HELD, "processes", "work.py")


@side_by_side
def test_a_loop_of_short_commands_holds_its_host(home: Home) -> None:
    """P1: no command of it lives long enough to be seen; their parent has reaped their time."""
    loop = "setsid sh -c 'while :; do seq 20000 > /dev/null; done' > /dev/null 2>&1 < /dev/null &"
    holds_as_background(home, loop, "seq 20000")


@side_by_side
def test_jobs_that_sleep_do_not_hold_their_host(home: Home) -> None:
    """P2: the siblings of all those, asleep."""
    screens = home.path / "screens"
    screens.mkdir(mode=0o700)
    jobs = (
        "nohup sleep 1001 > /dev/null 2>&1 &\rsetsid sleep 1002 < /dev/null > /dev/null 2>&1 &\r"
        "sleep 1003 > /dev/null 2>&1 &\rdisown -a\rtmux new-session -d 'sleep 1004'\r"
        f"SCREENDIR={screens} screen -dmS job sleep 1005\r"
        "setsid sh -c 'while :; do sleep 1; done' > /dev/null 2>&1 < /dev/null &"
    )
    with home.server() as server:
        with set_up(server) as instants:
            from_a_terminal(server, jobs)
        stops_after(server, instants[-1], time.monotonic())


@side_by_side
def test_detached_jobs_live_on_after_the_stop(home: Home) -> None:
    """2.2: a job that was detached by nohup or setsid is never killed by us: not by the end of its
    kernel or terminal, and not by the stop. (No namespace here, which would end with the server.)
    """
    cell = "import os; os.system('nohup sleep 1006 > /dev/null 2>&1 &')"
    detached = {("sleep", seconds) for seconds in ("1006", "1007", "1008")}
    with home.server(isolate=False) as server, contextlib.ExitStack() as tabs:
        with set_up(server) as instants:
            tabs.enter_context(joined(server)).execute(cell)
            terminal = tabs.enter_context(typing_in(server))
            terminal.run(
                "nohup sleep 1007 > /dev/null 2>&1 &\rsetsid sleep 1008 > /dev/null 2>&1 &\r"
                "sleep 1009 &"
            )
            wait_until(lambda: detached | {("sleep", "1009")} <= _started(home), "the jobs")
        stops_after(server, instants[-1], time.monotonic())
        try:
            wait_until(lambda: _started(home) == detached, f"their rest, of {_started(home)}", 10)
        finally:
            for process in _processes(home):
                process.kill()


def _processes(home: Home) -> list[psutil.Process]:
    """Return the processes of this user whose home that is."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.uids().real == os.getuid() and process.environ().get("HOME") == str(
                home.path
            ):
                found.append(process)
    return found


def _started(home: Home) -> set[tuple[str, ...]]:
    """Return the commands of those that sleep."""
    commands = set()
    for process in _processes(home):
        with contextlib.suppress(psutil.Error):
            commands.add(tuple(process.cmdline()))
    return {command for command in commands if command[:1] == ("sleep",)}
