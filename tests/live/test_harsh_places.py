"""Places where something is hidden, missing, full, hung or read-only; and how a server ends there.

What cannot be seen is kept, the health says so, and nothing is ended wrongly. The scenarios run
side by side, each on a server of its own.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from .harness import LiveServer, wait_until
from .machines import (
    as_stranger,
    give_to_stranger,
    processes_of,
    server_process,
    shell,
    strangers_home,
)
from .rows import (
    LATENESS_SECONDS,
    WORK,
    entries,
    goes_down,
    held_awake,
    is_culled,
    joined,
    kernel_status,
    minutes,
    run_side_by_side,
    script,
    side_by_side,
    typing_in,
)

TIMEOUT = 6.0
KEPT = TIMEOUT + 3.0
KEEP_ALIVE = "api/idle-culler/v1/keep-alive"
IN_A_THREAD = f"import threading; threading.Thread(target=exec, args=({WORK!r},)).start()"
TROUBLE = (
    "Traceback",
    "Task was destroyed",
    "was never awaited",
    "exception was never retrieved",
    "Unclosed",
    "a look failed",
)


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[None]]]:
    """Run the scenarios side by side."""
    tmp_path_factory.getbasetemp()  # made here: not by several threads at once
    yield from run_side_by_side(
        request, 3, lambda scenario: tmp_path_factory.mktemp("harsh", numbered=True)
    )


@side_by_side
def test_a_cron_that_waits_does_not_hold_a_machine_and_its_job_does(home: Path) -> None:
    """A server of root, with the real cron beside it, that stops the machine: the daemon is no
    work, what it starts is."""
    assert os.geteuid() == 0, "cron runs jobs of root: this test must run as root"
    stops, job = home / "stops", script(home, "work.py", WORK)
    marker = home / "pid"
    table = f"* * * * * root echo $$ > {marker}; exec {sys.executable} {job}"
    (home / "table").write_text(f"{table}\n")
    cron = (
        "mount -t tmpfs none /etc/cron.d; mount -t tmpfs none /run; mkdir /run/lock; "
        f"cp {home}/table /etc/cron.d/job; mount -t tmpfs none /var/spool/cron; "
        "mkdir /var/spool/cron/crontabs; : > /etc/cron.d/.placeholder; "
        'PATH="$PATH:/usr/sbin:/sbin" cron'
    )
    config = {
        "timeout_minutes": minutes(TIMEOUT),
        "warning_minutes": minutes(2),
        "stop_action": "command",
        "stop_command": ["bash", "-c", f"echo stop >> {stops}"],
        "check_interval_seconds": 1,
    }
    while (
        time.time() % 60 > 30
    ):  # cron begins its jobs with the minute: the first stop comes before
        time.sleep(0.5)
    with LiveServer(home, config, prefix=shell(cron)) as server:
        wait_until(stops.exists, "a stop while cron waits", TIMEOUT + LATENESS_SECONDS)
        assert not marker.exists()
        wait_until(marker.exists, "the job of cron", 70)
        wait_until(lambda: server.status()["host"]["verdict"] == "active", "that it is seen")
        until = time.monotonic() + KEPT
        wait_until(lambda: time.monotonic() > until, "the time to watch")
        assert stops.read_text() == "stop\n"
        status = server.status()["host"]
        assert status["verdict"] == "active", status
        assert "work.py" in status["reason"], status
        (working,) = [
            process
            for process in processes_of(server)
            if str(job) in process.cmdline() and process.name().startswith("python")
        ]
        working.kill()
        wait_until(lambda: stops.read_text() == "stop\n" * 2, "a second stop", 2 * LATENESS_SECONDS)


@side_by_side
def test_where_processes_are_hidden_nothing_is_culled(home: Path) -> None:
    """/proc mounted with hidepid=2, and a user without rights: all is kept, and it is said why and
    how to mend it."""
    config = {"timeout_minutes": minutes(TIMEOUT), "stop_action": "server"}
    with strangers_home() as private:
        server = hidden_from(private, config)
        with server, joined(server) as kernel, typing_in(server) as terminal:
            kernel.execute("1 + 1")
            everything_is_kept(server, kernel.id, terminal.name, "hidepid")
            problem = problem_of(server, "processes")
            assert "without hidepid" in problem["detail"] + problem["mend"], problem
            explained = server.explain()
            (source,) = [one for one in explained["sources"] if one["name"] == "processes"]
            assert not source["ok"]
            assert "hidepid" in source["detail"], source
            assert "hidepid" in server.log


@side_by_side
def test_where_processes_are_hidden_an_administrator_may_cull_all_the_same(home: Path) -> None:
    """cull_on_unknown: kernels and the host go in their time, and the health is degraded still."""
    config = {"timeout_minutes": minutes(TIMEOUT), "stop_action": "server", "cull_on_unknown": True}
    with strangers_home() as private:
        server = hidden_from(private, {**config, "warning_minutes": minutes(2)})
        with server, held_awake(server) as let_go, joined(server) as kernel:
            began = time.monotonic()
            let_go()
            kernel.execute("1 + 1")
            ended = time.monotonic()
            assert "hidepid" in problem_of(server, "processes")["detail"]
            goes_down(server, TIMEOUT, 2, began, ended)
            (decision,) = entries(server, f"kernel:{kernel.id}", "cull", "decision")
            assert decision["t"] - began >= TIMEOUT


@side_by_side
def test_without_proc_nothing_is_culled(home: Path) -> None:
    """/proc is not there at all (an empty file system in its place)."""
    config = {"timeout_minutes": minutes(TIMEOUT), "stop_action": "server"}
    with (
        LiveServer(home, config, prefix=shell("mount -t tmpfs none /proc")) as server,
        joined(server) as kernel,
        typing_in(server) as terminal,
    ):
        kernel.execute("1 + 1")
        everything_is_kept(server, kernel.id, terminal.name, "/proc")


@side_by_side
def test_a_read_only_home_degrades_the_records_and_nothing_else(home: Path) -> None:
    """Neither journal nor keep-alives nor settings can be written: what is idle goes, what works
    stays, and what was asked for holds while the server runs."""
    config = {"timeout_minutes": minutes(TIMEOUT), "check_interval_seconds": 1}
    with strangers_home() as private:
        server = LiveServer(private, config, prefix=as_stranger(private))
        # Where Jupyter writes what it cannot run without: outside a read-only home, too.
        for name in ("runtime", "ipython"):
            (private / name).mkdir()
        give_to_stranger(private)
        os.chown(private / "data", 0, 0)
        if os.geteuid() != 0:
            (private / "data").chmod(0o555)
        with (
            server,
            held_awake(server) as let_go,
            joined(server) as working,
            joined(server) as idle,
        ):
            working.execute(IN_A_THREAD)
            let_go()
            records_fail_but_culling_goes_on(server, working.id, idle, "ermission denied")
        assert list(private.rglob("data/*")) == []


@side_by_side
def test_a_full_disk_degrades_the_records_and_nothing_else(home: Path) -> None:
    """A data directory with room for a few entries."""
    config = {"timeout_minutes": minutes(TIMEOUT), "check_interval_seconds": 1}
    (home / "data" / "idle_culler").mkdir(parents=True)
    full = f"mount -t tmpfs -o size=4k,mode=700 none {home}/data/idle_culler"
    with (
        LiveServer(home, config, prefix=shell(full)) as server,
        held_awake(server) as let_go,
        joined(server) as working,
        joined(server) as idle,
    ):
        working.execute(IN_A_THREAD)
        let_go()
        records_fail_but_culling_goes_on(server, working.id, idle, "No space left")


@side_by_side
def test_a_heartbeat_file_that_hangs_stops_neither_the_loop_nor_the_end(home: Path) -> None:
    """Its file system never answers: kernels go in their time, the host once the grace is over,
    and the server ends. A pipe is no heartbeat file, and that is said."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("without /dev/fuse no file system can be made that hangs")
    grace, host = 10.0, TIMEOUT
    hung, pipe = home / "hung", home / "pipe"
    hung.mkdir()
    os.mkfifo(pipe)
    config = {
        "timeout_minutes": minutes(TIMEOUT),
        "warning_minutes": minutes(2),
        "stop_action": "server",
        "heartbeat_files": [str(hung / "beat"), str(pipe)],
        "source_failure_grace_minutes": minutes(grace),
    }
    # The server holds the other end of the file system, and never reads a question from it.
    mount = f"exec 9<>/dev/fuse; mount -t fuse -o fd=9,rootmode=40000,user_id=0,group_id=0 x {hung}"
    began = time.monotonic()
    with (
        LiveServer(home, config, prefix=shell(mount)) as server,
        held_awake(server) as let_go,
        joined(server) as kernel,
    ):
        executed = time.monotonic()
        let_go()
        kernel.execute("1 + 1")
        is_culled(server, kernel.id, TIMEOUT, executed, time.monotonic())
        assert "no answer" in problem_of(server, "heartbeat-files")["detail"]
        assert "no regular file" in server.log
        wait_until(lambda: server.ended, "the end of the server")
        (stop,) = entries(server, "host", "stop", "decision")
        assert stop["t"] - executed >= host
        assert stop["t"] - began >= grace
        assert server.process is not None
        assert server.process.returncode == 0


@side_by_side
def test_a_loop_that_is_cancelled_begins_again_and_shows_it(home: Path) -> None:
    """Something in the server cancels the culler's own task: that is said, nothing is culled until
    it runs again, and then all goes on."""
    (home / "extension").mkdir()
    script(home / "extension", "loop_killer.py", LOOP_KILLER)
    config = {"timeout_minutes": minutes(TIMEOUT), "check_interval_seconds": 1}
    extension = {"ServerApp": {"jpserver_extensions": {"loop_killer": True}}}
    extension["ServerApp"]["jpserver_extensions"]["jupyter_idle_culler"] = True
    with (
        LiveServer(
            home, config, server_config=extension, env={"PYTHONPATH": str(home / "extension")}
        ) as server,
        held_awake(server) as let_go,
        joined(server) as kernel,
    ):
        began = time.monotonic()
        let_go()
        kernel.execute("1 + 1")
        ended = time.monotonic()
        assert server.request("POST", "kill-the-loop", {}) == {"killed": 1}
        wait_until(lambda: server.status()["health"]["status"] == "unhealthy", "that it is shown")
        assert "the loop died" in problem_of(server, "culler")["detail"]
        assert "the loop died" in server.log
        wait_until(lambda: server.status()["health"]["status"] == "ok", "that it runs again")
        is_culled(server, kernel.id, TIMEOUT, began, ended)


@pytest.mark.js214
@side_by_side
def test_a_server_ends_at_once_and_leaves_nothing_behind(home: Path) -> None:
    """SIGTERM, while kernels and terminals run: no task, no thread, no complaint is left."""
    config = {"timeout_minutes": minutes(TIMEOUT), "check_interval_seconds": 1}
    strict = {"PYTHONWARNINGS": "default::RuntimeWarning"}
    with (
        LiveServer(home, config, env=strict) as server,
        held_awake(server) as let_go,
        joined(server) as working,
        joined(server) as idle,
        typing_in(server),
    ):
        working.execute(IN_A_THREAD)
        began = time.monotonic()
        let_go()
        idle.execute("1 + 1")
        is_culled(server, idle.id, TIMEOUT, began, time.monotonic())
        assert server.process is not None
        server_process(server).send_signal(signal.SIGTERM)
        told = time.monotonic()
        server.process.wait(30)
        took = time.monotonic() - told
        assert took < 10, took
        assert server.process.returncode == 0
        (last,) = list(server.journal())[-1:]
        assert last["event"] == "end", last
        trouble = [line for line in server.log.splitlines() if any(t in line for t in TROUBLE)]
        assert not trouble, trouble


LOOP_KILLER = """
import asyncio
import json

from jupyter_server.base.handlers import APIHandler
from tornado import web


class Kill(APIHandler):
    @web.authenticated
    def post(self):
        loops = [task for task in asyncio.all_tasks() if task.get_name() == "idle-culler loop"]
        for loop in loops:
            loop.cancel()
        self.finish(json.dumps({"killed": len(loops)}))


def _jupyter_server_extension_points():
    return [{"module": "loop_killer"}]


def _load_jupyter_server_extension(server):
    path = server.web_app.settings["base_url"] + "kill-the-loop"
    server.web_app.add_handlers(".*$", [(path, Kill)])
"""


def hidden_from(home: Path, config: dict[str, Any]) -> LiveServer:
    """Make a server of a user without rights, from whom other people's processes are hidden."""
    hide = as_stranger(home, "mount -o remount,hidepid=2 /proc")
    server = LiveServer(home, {**config, "check_interval_seconds": 1}, prefix=hide)
    give_to_stranger(home)
    return server


def everything_is_kept(server: LiveServer, kernel: str, terminal: str, why: str) -> None:
    """Watch that nothing goes, and that the status says why."""
    until = time.monotonic() + KEPT
    while time.monotonic() < until:
        assert kernel in server.kernel_ids()
        assert terminal in server.terminal_names()
        assert not server.ended
        time.sleep(0.5)
    status = server.status()
    assert status["health"]["status"] == "degraded", status["health"]
    assert why in problem_of(server, "processes")["detail"]
    for one in (status["host"], *status["kernels"], *status["terminals"]):
        assert one["verdict"] == "unknown", one
        assert "cannot be seen" in one["reason"], one
        assert why in one["reason"], one
    assert why in server.log


def records_fail_but_culling_goes_on(server: LiveServer, working: str, idle: Any, why: str) -> None:
    """Check that an idle kernel goes in time and a working one stays, and what the health says."""
    wish = server.request("POST", KEEP_ALIVE, {"minutes": 60, "reason": "x" * 200})
    settings = {"warning_minutes": 3}
    server.request("PATCH", "api/idle-culler/v1/settings", settings)
    server.request("DELETE", f"{KEEP_ALIVE}?id={wish['id']}")
    server.request(
        "POST", KEEP_ALIVE, {"minutes": 60, "reason": "y" * 200, "resource": f"kernel:{working}"}
    )
    began = time.monotonic()
    idle.execute("1 + 1")
    patience = TIMEOUT + LATENESS_SECONDS
    wait_until(lambda: idle.id not in server.kernel_ids(), "the end of the idle kernel", patience)
    assert time.monotonic() - began >= TIMEOUT
    assert kernel_status(server, working)["verdict"] == "active"
    wait_until(lambda: server.status()["health"]["status"] == "degraded", "that it is said")
    for source in ("journal", "keep-alives", "settings"):
        problem = problem_of(server, source)
        assert why in problem["detail"], problem
        assert "writable" in problem["mend"], problem
    read = server.request("GET", "api/idle-culler/v1/journal?limit=1000")
    about = [
        entry
        for entry in read["entries"]
        if entry["event"] == "outcome" and entry["resource"] == f"kernel:{idle.id}"
    ]
    assert [entry["ok"] for entry in about] == [True], about
    assert [one["reason"] for one in server.status()["keep_alives"]] == ["y" * 200]


def problem_of(server: LiveServer, source: str) -> dict[str, Any]:
    """Return what the health says of a source."""
    problems = server.status()["health"]["problems"]
    found = [problem for problem in problems if problem["source"] == source]
    assert found, problems
    return dict(found[0])
