"""The truth table, rows K: real kernels, kept while they work and culled when they do not.

One server for all: the rows run side by side and do not disturb each other. Its host never stops.
"""

from __future__ import annotations

import contextlib
import inspect
import itertools
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import websocket

from .harness import Kernel, LiveServer, wait_until
from .rows import (
    WORK,
    Scenario,
    again_and_again,
    culled_by,
    entries,
    is_culled,
    is_kept,
    joined,
    kernel_status,
    minutes,
    run_side_by_side,
    script,
    seen_of,
    side_by_side,
    write_kernelspec,
)

TIMEOUT = 6.0
KEPT = TIMEOUT + 3.0
AT_ONCE = 12

IN_A_THREAD = f"""
import threading
def work():
    exec({WORK!r})
threading.Thread(target=work, daemon=True).start()
"""
IN_A_TASK = """
import asyncio, time
async def work():
    while True:
        end = time.thread_time() + .2
        while time.thread_time() < end:
            pass
        await asyncio.sleep(.2)
task = asyncio.get_running_loop().create_task(work())
"""
IN_A_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "{work}"])
"""
IN_A_SESSION = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "{work}"], start_new_session=True)
"""
IN_A_POOL = f"""
import multiprocessing
def work(text):
    exec(text)
pool = multiprocessing.get_context("fork").Pool(2)
result = pool.map_async(exec, [{WORK!r}] * 2)
"""
DETACHED = """
import os, sys
os.system(f"nohup {sys.executable} {work} > /dev/null 2>&1 &")
"""
HEARTBEAT = """
import threading, time
def beat():
    while True:
        time.sleep(1)
        {act}
threading.Thread(target=beat, daemon=True).start()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Start the server of all rows; a kernel that dies stays dead."""
    home = tmp_path_factory.mktemp("kernels")
    script(home, "work.py", WORK)
    config = {
        "kernel_timeout_minutes": minutes(TIMEOUT),
        "stop_action": "none",
        "check_interval_seconds": 1,
    }
    no_restarts = {"KernelManager": {"autorestart": False}}
    with LiveServer(home, config, server_config=no_restarts) as running:
        yield running


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest,
    server: LiveServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Future[None]]]:
    """Run the rows side by side; those that want a home of their own start other servers."""
    base, numbers = tmp_path_factory.mktemp("own"), itertools.count()

    def argument(scenario: Scenario) -> LiveServer | Path:
        wants_home = "home" in inspect.signature(scenario).parameters
        return base / str(next(numbers)) if wants_home else server

    yield from run_side_by_side(request, AT_ONCE, argument)


def keeps_after_its_cell(server: LiveServer, code: str, source: str, detail: str) -> None:
    """Run a cell that leaves something at work, and watch that its kernel is kept for that."""
    with joined(server) as kernel:
        kernel.execute(code.replace("{work}", str(server.home / "work.py")))
        is_kept(server, kernel.id, KEPT, source, detail)
        assert kernel_status(server, kernel.id)["facts"]["execution_state"] == "idle"
        server.request("DELETE", f"api/kernels/{kernel.id}")


def keeps_in_its_cell(server: LiveServer, code: str) -> None:
    """Run a cell that does not end, and watch that its kernel is kept for that."""
    with joined(server) as kernel:
        kernel.execute(code, wait=False)
        is_kept(server, kernel.id, KEPT, "kernels", "cell running")
        assert "elsewhere" not in kernel_status(server, kernel.id)["reason"]
        server.request("DELETE", f"api/kernels/{kernel.id}")


def culls_after_its_cell(server: LiveServer, code: str) -> dict[str, Any]:
    """Run a cell that leaves nothing at work, and watch that its kernel goes in time."""
    with joined(server) as kernel:
        began = time.monotonic()
        kernel.execute(code)
        return is_culled(server, kernel.id, TIMEOUT, began, time.monotonic())


@side_by_side
def test_a_silent_cell_keeps_its_kernel(server: LiveServer) -> None:
    """K1: a cell that computes and says nothing."""
    keeps_in_its_cell(server, WORK)


@side_by_side
def test_a_printing_cell_keeps_its_kernel(server: LiveServer) -> None:
    """K1: a cell that prints."""
    keeps_in_its_cell(server, "import time\nwhile True: print('.'); time.sleep(.5)")


@side_by_side
def test_a_cell_that_waits_keeps_its_kernel(server: LiveServer) -> None:
    """K2: a cell that waits for something elsewhere, and explain says so."""
    with joined(server) as kernel:
        kernel.execute("import time; time.sleep(1000)", wait=False)
        is_kept(server, kernel.id, KEPT, "kernels", "cell running")
        shown = [one for one in server.explain()["status"]["kernels"] if one["id"] == kernel.id]
        assert "probably waiting for something elsewhere" in shown[0]["reason"], shown
        assert shown[0]["facts"]["waits_elsewhere"] is True, shown
        server.request("DELETE", f"api/kernels/{kernel.id}")


def assert_it_waited_at_a_prompt(server: LiveServer, decision: dict[str, Any]) -> None:
    """Check that the prompt was seen, though its cell's start may be evidence as late."""
    said = [
        str(e["sees"])
        for e in server.journal()
        if e.get("resource") == decision["resource"] and e["event"] == "evidence"
    ]
    assert any("it waits at a prompt" in one for one in said), said


@side_by_side
def test_a_prompt_that_nobody_answers_does_not(server: LiveServer) -> None:
    """K3: blocked on input() is idle since the prompt."""
    with joined(server) as kernel:
        began = time.monotonic()
        kernel.execute("import time; time.sleep(2); input('go on? ')", wait=False)
        kernel.wait_for(lambda message: message["msg_type"] == "input_request")
        decision = is_culled(server, kernel.id, TIMEOUT, began + 2, time.monotonic())
    assert_it_waited_at_a_prompt(server, decision)


@side_by_side
def test_a_cell_that_goes_on_after_its_prompt_keeps_its_kernel(server: LiveServer) -> None:
    """K2, K3: a prompt that was interrupted is over; its cell is not, and sleeps on."""
    code = "try: input('go on? ')\nexcept KeyboardInterrupt: import time; time.sleep(1000)"
    with joined(server) as kernel:
        kernel.execute(code, wait=False)
        kernel.wait_for(lambda message: message["msg_type"] == "input_request")
        server.request("POST", f"api/kernels/{kernel.id}/interrupt")
        is_kept(server, kernel.id, KEPT, "kernels", "cell running")
        server.request("DELETE", f"api/kernels/{kernel.id}")


@side_by_side
def test_a_cell_whose_prompt_ran_out_of_time_keeps_its_kernel(server: LiveServer) -> None:
    """K2, K3: as well where nothing but the main thread of the kernel tells of it."""
    code = (
        "import signal, time\n"
        "signal.signal(signal.SIGALRM, signal.default_int_handler); signal.alarm(2)\n"
        "try: input('go on? ')\n"
        "except KeyboardInterrupt: time.sleep(1000)\n"
    )
    with joined(server) as kernel:
        kernel.execute(code, wait=False)
        kernel.wait_for(lambda message: message["msg_type"] == "input_request")
        is_kept(server, kernel.id, KEPT, "kernels", "cell running")
        server.request("DELETE", f"api/kernels/{kernel.id}")


@side_by_side
def test_a_prompt_after_the_tab_was_closed_does_not(server: LiveServer) -> None:
    """K3: a prompt that no client is there to receive is idle too, from its detection."""
    with joined(server) as kernel:
        began = time.monotonic()
        kernel.execute("import time; time.sleep(2); input('go on? ')", wait=False)
        kernel.wait_for(lambda message: message["msg_type"] == "execute_input")
        kernel.close()
        decision = is_culled(server, kernel.id, TIMEOUT, began + 2, time.monotonic() + 2)
    assert_it_waited_at_a_prompt(server, decision)


@side_by_side
def test_a_thread_that_computes_keeps_its_kernel(server: LiveServer) -> None:
    """K4: a thread."""
    keeps_after_its_cell(server, IN_A_THREAD, "processes", "the kernel's own process")


@side_by_side
def test_an_asyncio_task_that_computes_keeps_its_kernel(server: LiveServer) -> None:
    """K4: an asyncio task."""
    keeps_after_its_cell(server, IN_A_TASK, "processes", "the kernel's own process")


@side_by_side
def test_a_child_process_that_computes_keeps_its_kernel(server: LiveServer) -> None:
    """K4: subprocess.Popen."""
    keeps_after_its_cell(server, IN_A_CHILD, "processes", "work.py")


@side_by_side
def test_a_pool_that_computes_keeps_its_kernel(server: LiveServer) -> None:
    """K4: a multiprocessing pool."""
    keeps_after_its_cell(server, IN_A_POOL, "processes", "ipykernel_launcher")


@side_by_side
def test_a_detached_job_that_computes_keeps_its_kernel(server: LiveServer) -> None:
    """K4: os.system('nohup … &'): its parent is gone, its session is the kernel's."""
    keeps_after_its_cell(server, DETACHED, "processes", "work.py")


@side_by_side
def test_a_job_in_a_session_of_its_own_keeps_its_kernel(server: LiveServer) -> None:
    """K4: Popen(start_new_session=True)."""
    keeps_after_its_cell(server, IN_A_SESSION, "processes", "work.py")


@side_by_side
def test_children_that_sleep_do_not(server: LiveServer) -> None:
    """K4, the other way: children that only wait. The ordinary one ends with the kernel, those
    that were detached live on."""
    pids = server.home / "sleepers"
    decision = culls_after_its_cell(
        server,
        "import os, subprocess\n"
        "subprocess.Popen(['sleep', '1001'])\n"
        "subprocess.Popen(['sleep', '1002'], start_new_session=True)\n"
        "os.system('nohup sleep 1003 > /dev/null 2>&1 &')\n",
    )
    assert "idle for" in decision["reason"], decision
    (outcome,) = entries(server, decision["resource"], "cull", "outcome")
    assert "detached and runs on" in outcome["detail"], outcome
    with joined(server) as kernel:
        kernel.execute(f"!pgrep -fa 'sleep 100' > {pids}")
        server.request("DELETE", f"api/kernels/{kernel.id}")
    living = pids.read_text()
    assert "sleep 1001" not in living, living
    assert "sleep 1002" in living, living
    assert "sleep 1003" in living, living


@side_by_side
def test_a_thread_that_wakes_each_second_does_not(server: LiveServer) -> None:
    """K5: a heartbeat that only wakes up."""
    decision = culls_after_its_cell(server, HEARTBEAT.format(act="pass"))
    assert decision["evidence_source"] == "kernels", decision


@side_by_side
def test_a_thread_that_prints_each_second_does_not(server: LiveServer) -> None:
    """K5: a heartbeat that prints, which moves last_activity."""
    decision = culls_after_its_cell(server, HEARTBEAT.format(act="print('beat')"))
    assert decision["evidence_source"] == "kernels", decision


@side_by_side
def test_an_open_tab_that_asks_does_not(server: LiveServer) -> None:
    """K6: kernel_info and comm_info requests each second, and polls of every REST list."""

    def poll() -> None:
        kernel.send("kernel_info_request", {})
        kernel.send("comm_info_request", {"target_name": "jupyter.widget"})
        for listing in ("kernels", "sessions", "terminals", "status", "contents", "kernelspecs"):
            server.request("GET", f"api/{listing}", ok=False)
        server.request("GET", f"api/kernels/{kernel.id}", ok=False)

    with joined(server) as kernel:
        began = time.monotonic()
        kernel.execute("1 + 1")
        ended = time.monotonic()
        with again_and_again(poll) as polls:
            is_culled(server, kernel.id, TIMEOUT, began, ended)
        assert len(polls) >= 4


@side_by_side
def test_a_tab_that_reconnects_does_not(server: LiveServer) -> None:
    """K6: each second another websocket, with what a client asks at first."""

    def reconnect() -> None:
        with contextlib.suppress(websocket.WebSocketException):  # the kernel went
            kernel = Kernel(server, kernel_id, patience_seconds=3)
            kernel.send("kernel_info_request", {})
            kernel.close()

    with joined(server) as kernel:
        kernel_id = kernel.id
        began = time.monotonic()
        kernel.execute("1 + 1")
        ended = time.monotonic()
    with again_and_again(reconnect) as connections:
        is_culled(server, kernel_id, TIMEOUT, began, ended)
    assert len(connections) >= 4


@side_by_side
def test_a_kernel_that_nobody_joins_goes(server: LiveServer) -> None:
    """K7: idle since its start; what it computes to start is not work."""
    began = time.monotonic()
    kernel_id = server.start_kernel()
    decision = is_culled(server, kernel_id, TIMEOUT, began, time.monotonic())
    assert decision["evidence_source"] == "start", decision


@side_by_side
def test_a_kernel_that_is_only_joined_goes_as_early(server: LiveServer) -> None:
    """K6, K7: nor are its imports work because a client came meanwhile."""
    began = time.monotonic()
    kernel_id = server.start_kernel()
    started = time.monotonic()
    with joined(server, kernel_id):
        decision = is_culled(server, kernel_id, TIMEOUT, began, started)
    assert decision["evidence_source"] == "start", decision


@side_by_side
def test_a_dead_kernel_is_reaped_at_once(server: LiveServer) -> None:
    """K8: dead, and nobody will restart it: reaped and explained, though its kernelspec says
    never."""
    write_kernelspec(server, "mortal", {"cull_idle_timeout": 0})
    with joined(server, spec="mortal") as kernel:
        kernel.execute("import os; os._exit(1)", wait=False)
        wait_until(
            lambda: kernel.id not in server.kernel_ids(), "its end", TIMEOUT, pause_seconds=0.3
        )
    decision = culled_by(server, kernel.id)
    assert decision["reason"] == "its process has ended and will not be restarted", decision


@side_by_side
def test_a_stopped_kernel_goes(server: LiveServer) -> None:
    """K8: SIGSTOP in the middle of a cell: idle since its last evidence."""
    with joined(server) as kernel:
        began = time.monotonic()
        kernel.execute(WORK.replace("True", "time.monotonic() < 0") + "\nimport os", wait=True)
        kernel.execute(f"os.kill(os.getpid(), {signal.SIGSTOP.value})", wait=False)
        decision = is_culled(server, kernel.id, TIMEOUT, began, time.monotonic())
    assert decision["verdict"] == "idle", decision


@side_by_side
def test_a_kernel_with_a_session_goes_with_it(server: LiveServer) -> None:
    """K9: with a session as without (all others here have none); the session goes too."""
    began = time.monotonic()
    session = server.request(
        "POST",
        "api/sessions",
        {"path": "a.ipynb", "name": "a", "type": "notebook", "kernel": {"name": "python3"}},
    )
    ended = time.monotonic()
    wait_until(lambda: kernel_status(server, session["kernel"]["id"]), "the kernel")
    assert kernel_status(server, session["kernel"]["id"])["label"] == "a.ipynb"
    is_culled(server, session["kernel"]["id"], TIMEOUT, began, ended)
    assert session["id"] not in {one["id"] for one in server.request("GET", "api/sessions")}


@side_by_side
def test_a_kernelspec_that_says_never_is_obeyed(server: LiveServer) -> None:
    """2.2: metadata.cull_idle_timeout 0."""
    write_kernelspec(server, "never", {"cull_idle_timeout": 0})
    with joined(server, spec="never") as kernel:
        kernel.execute("1 + 1")
        until = time.monotonic() + KEPT
        while time.monotonic() < until:
            assert kernel.id in server.kernel_ids()
            time.sleep(0.5)
        status = kernel_status(server, kernel.id)
        assert status["verdict"] == "idle", status
        assert "never culled" in status["reason"], status
        server.request("DELETE", f"api/kernels/{kernel.id}")


@side_by_side
def test_a_kernelspecs_own_timeout_wins(server: LiveServer) -> None:
    """2.2: metadata.cull_idle_timeout, here longer than the configuration's."""
    write_kernelspec(server, "longer", {"cull_idle_timeout": TIMEOUT + 4})
    with joined(server, spec="longer") as kernel:
        began = time.monotonic()
        kernel.execute("1 + 1")
        is_culled(server, kernel.id, TIMEOUT + 4, began, time.monotonic())


@side_by_side
def test_a_kernel_in_front_of_a_person_is_kept(server: LiveServer) -> None:
    """U1: presence names the kernel of the document in front, and keeps that one."""
    with joined(server) as kernel:
        body = {"presence": True, "resource": f"kernel:{kernel.id}"}

        def be_there() -> None:
            server.request("POST", "api/idle-culler/v1/activity", body)

        with again_and_again(be_there) as reports, joined(server) as other:
            began = time.monotonic()
            other.execute("1 + 1")
            ended = time.monotonic()
            is_culled(server, other.id, TIMEOUT, began, ended)
            time.sleep(max(0.0, ended + KEPT - time.monotonic()))
            assert kernel.id in server.kernel_ids()
        decision = is_culled(server, kernel.id, TIMEOUT, reports[-1], time.monotonic())
    assert decision["evidence_source"] == "presence", decision


@side_by_side
def test_a_keep_alive_for_one_kernel_keeps_that_one(server: LiveServer) -> None:
    """U4: per resource, until it ends."""
    long = 3 * TIMEOUT
    with joined(server) as kernel:
        body = {"minutes": minutes(long), "reason": "mine", "resource": f"kernel:{kernel.id}"}
        asked = time.monotonic()
        server.request("POST", "api/idle-culler/v1/keep-alive", body)
        with joined(server) as other:
            began = time.monotonic()
            other.execute("1 + 1")
            is_culled(server, other.id, TIMEOUT, began, time.monotonic())
        is_kept(server, kernel.id, 0, "keep-alives", "mine")
        decision = is_culled(server, kernel.id, long + TIMEOUT, asked, time.monotonic())
    assert decision["evidence_source"] == "keep-alives", decision


@side_by_side
def test_a_cell_that_does_nothing_ends_under_max_quiet_minutes(home: Path) -> None:
    """K2: with the cap, a cell that neither computes nor prints is idle from then on; one that
    does either is not."""
    quiet = 6.0
    config = {
        "kernel_timeout_minutes": minutes(TIMEOUT),
        "max_quiet_minutes": minutes(quiet),
        "stop_action": "none",
        "check_interval_seconds": 1,
    }
    with LiveServer(home, config) as server, contextlib.ExitStack() as tabs:
        printing = tabs.enter_context(joined(server))
        printing.execute("import time\nwhile True: print('.'); time.sleep(.5)", wait=False)
        computing = tabs.enter_context(joined(server))
        computing.execute(WORK, wait=False)
        waiting = tabs.enter_context(joined(server))
        began = time.monotonic()
        waiting.execute("import time; time.sleep(1000)", wait=False)
        is_culled(server, waiting.id, quiet + TIMEOUT, began, time.monotonic())
        for kernel in (printing, computing):
            is_kept(server, kernel.id, 0, "kernels", "cell running")


@side_by_side
def test_a_kernel_whose_restarts_are_used_up_is_seen_no_more(home: Path) -> None:
    """K8: while it is restarted it is starting; when jupyter_server gives it up, it is gone."""
    restarter = {"restart_limit": 1, "time_to_dead": 0.5}
    with LiveServer(
        home,
        {"stop_action": "none", "check_interval_seconds": 0.5},
        server_config={"AsyncIOLoopKernelRestarter": restarter},
    ) as server:
        write_kernelspec(server, "mortal", {}, lives=2)
        with joined(server, spec="mortal") as kernel:
            kernel.execute("import os; os._exit(1)", wait=False)
            pid = kernel_status(server, kernel.id)["facts"]["kernel_pid"]
            wait_until(
                lambda: kernel_status(server, kernel.id)["facts"]["kernel_pid"] not in (None, pid),
                "its second life",
            )
            kernel.send("kernel_info_request", {})
            kernel.wait_for(lambda message: message["msg_type"] == "kernel_info_reply")
            wait_until(
                lambda: kernel_status(server, kernel.id)["verdict"] == "idle", "the idle verdict"
            )
            kernel.execute("import os; os._exit(1)", wait=False)
            wait_until(lambda: not kernel_status(server, kernel.id), "its end")


@side_by_side
def test_a_kernel_behind_a_gateway_is_judged_by_what_it_says(home: Path) -> None:
    """K10: on a second server as the gateway: its state counts, and that its processes are not
    seen is said; a thread that computes there does not keep it."""
    config = {
        "kernel_timeout_minutes": minutes(TIMEOUT),
        "stop_action": "none",
        "check_interval_seconds": 1,
    }
    plain = {"ServerApp": {"jpserver_extensions": {"jupyter_idle_culler": False}}}
    gateway = LiveServer(home / "gateway", {}, server_config=plain)
    gateway.start(wait=False)
    try:
        wait_until(lambda: _answers(gateway), "the gateway")
        to_gateway = {
            "GatewayClient": {
                "url": gateway.url.rstrip("/"),
                "auth_token": "live-test-token",
                "auth_scheme": "token",
            }
        }
        with (
            LiveServer(home / "server", config, server_config=to_gateway) as server,
            contextlib.ExitStack() as tabs,
        ):
            busy = tabs.enter_context(joined(server))
            busy.execute("import time; time.sleep(1000)", wait=False)
            threaded = tabs.enter_context(joined(server))
            began = time.monotonic()
            threaded.execute(IN_A_THREAD)
            ended = time.monotonic()
            (said, *_) = seen_of(server, f"kernel:{threaded.id}", "kernels") or [{"detail": ""}]
            assert "remote: no process evidence" in said["detail"], said
            is_culled(server, threaded.id, TIMEOUT, began, ended)
            is_kept(server, busy.id, KEPT - TIMEOUT, "kernels", "cell running")
            assert gateway.kernel_ids() == {busy.id}
    finally:
        gateway.close()


def _answers(server: LiveServer) -> bool:
    try:
        return bool(server.request("GET", "api/status"))
    except OSError:
        return False
