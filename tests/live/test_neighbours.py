"""Servers beside each other: two of one user on one machine, one under JupyterHub's base URL.

The scenarios run side by side, each on a machine (a pid namespace) of its own.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import websocket

from jupyter_idle_culler.journal.journal import default_path
from jupyter_idle_culler.journal.server_mark import mark_of_server

from .harness import TOKEN, LiveServer, wait_until
from .hub import BASE_URL, Hub, single_user_server
from .machines import Machine
from .rows import (
    LATENESS_SECONDS,
    WORK,
    again_and_again,
    entries,
    goes_down,
    held_awake,
    is_culled,
    is_kept,
    joined,
    kernel_status,
    minutes,
    run_side_by_side,
    script,
    side_by_side,
    typing_in,
)

KEEP_ALIVE = "api/idle-culler/v1/keep-alive"
SETTINGS = "api/idle-culler/v1/settings"
JOURNAL = "api/idle-culler/v1/journal?limit=1000"


class Neighbour(LiveServer):
    """A server that shares its user's data directory, runtime directory and home with others."""

    def __init__(self, shared: Path, name: str, config: dict[str, Any], machine: Machine) -> None:
        super().__init__(shared / name, config, isolate=False, prefix=machine.prefix)
        self.data_dir = shared / "data"
        self.env |= {
            "HOME": str(shared),
            "JUPYTER_DATA_DIR": str(self.data_dir),
            "JUPYTER_RUNTIME_DIR": str(shared / "runtime"),
            "TMUX_TMPDIR": str(shared),
        }

    def journal(self) -> Iterator[dict[str, Any]]:
        """Read this server's own journal."""
        path = default_path(self.data_dir, mark_of_server(str(self.root_dir), "/"))
        for line in path.read_text().splitlines():
            yield json.loads(line)


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[None]]]:
    """Run the scenarios side by side; there are never more than four servers."""
    tmp_path_factory.getbasetemp()  # made here: not by several threads at once
    yield from run_side_by_side(
        request, 2, lambda scenario: tmp_path_factory.mktemp("near", numbered=True)
    )


@side_by_side
def test_each_of_two_servers_stops_by_its_own_idleness(home: Path) -> None:
    """One is idle, on the other a cell runs, a detached job and one in tmux compute, and a person
    types. The idle one stops in its time, the other stays, and stops when all that has ended. What
    is asked of one is not asked of the other, not even after a restart."""
    host, warning = 12.0, 4.0
    config = {
        "timeout_minutes": minutes(3600),
        "host_timeout_minutes": minutes(host),
        "warning_minutes": minutes(warning),
        "stop_action": "server",
        "check_interval_seconds": 1,
    }
    work = f"{sys.executable} {script(home, 'work.py', WORK)}"
    with (
        Machine() as machine,
        Neighbour(home, "idle", config, machine) as idle,
        Neighbour(home, "busy", config, machine) as busy,
    ):
        wish = busy.request("POST", KEEP_ALIVE, {"minutes": 10, "reason": "mine"})
        busy.request("PATCH", SETTINGS, {"kernel_timeout_minutes": 30})
        with (
            held_awake(idle) as let_go,
            joined(idle) as quiet,
            joined(busy) as running,
            typing_in(busy) as jobs,
            typing_in(busy) as keys,
            Events(idle) as heard,
        ):
            running.execute(WORK, wait=False)
            jobs.run(f"nohup {work} > /dev/null 2>&1 & disown; tmux new -d {work}; echo $((40+2))")
            jobs.read_until("42")
            busy.request("DELETE", f"api/terminals/{jobs.name}")
            with again_and_again(lambda: keys.type("# ")):
                began = time.monotonic()
                let_go()
                quiet.execute("1 + 1")
                ended = time.monotonic()
                assert idle.status()["keep_alives"] == []
                settings = idle.request("GET", SETTINGS)
                assert settings["kernel_timeout_minutes"]["source"] == "configuration", settings
                wait_until(lambda: heard.read_for(0.2) and idle.status()["host"]["warning"], "it")
                goes_down(idle, host, warning, began, ended)
                # What it is asked to keep busy does not count: it is taken back while the work is.
                busy.request("DELETE", f"{KEEP_ALIVE}?id={wish['id']}")
                until = time.monotonic() + host + 3
                idle.start()
                assert idle.status()["keep_alives"] == []
                settings = idle.request("GET", SETTINGS)
                assert settings["kernel_timeout_minutes"]["source"] == "configuration", settings
                wait_until(lambda: time.monotonic() > until, "the time to watch")
            assert not busy.ended
            assert busy.status()["host"]["verdict"] == "active"
            journals = {entry["run"] for entry in idle.journal()}
            assert journals.isdisjoint({entry["run"] for entry in busy.journal()})
            assert running.id not in str(list(idle.journal()))
            assert quiet.id not in str(list(busy.journal()))
            assert heard.of_kernels() <= {quiet.id}
            assert heard.events
            began = time.monotonic()
            keys.type("\x15tmux kill-server; pkill -f work.p[y]; echo $((40+3))\r")
            keys.read_until("43")
            busy.request("DELETE", f"api/kernels/{running.id}")
            ended = time.monotonic()
            goes_down(busy, host, warning, began, ended)


@side_by_side
def test_two_servers_in_the_same_directory_share_no_records(home: Path) -> None:
    """`jupyter server` started twice where one stands: journal, keep-alives, settings are not the
    other's, though root directory, base URL and all directories are."""
    with Machine() as machine, Neighbour(home, "same", {}, machine) as first:
        first.request("POST", KEEP_ALIVE, {"minutes": 10, "reason": "mine"})
        first.request("PATCH", SETTINGS, {"kernel_timeout_minutes": 30})
        with Neighbour(home, "same", {}, machine) as second:
            assert second.url != first.url
            assert second.status()["keep_alives"] == []
            settings = second.request("GET", SETTINGS)
            assert settings["kernel_timeout_minutes"]["source"] == "default", settings
            runs = [
                {entry["run"] for entry in server.request("GET", JOURNAL)["entries"]}
                for server in (first, second)
            ]
            assert [len(one) for one in runs] == [1, 1]
            assert runs[0] != runs[1]


@side_by_side
def test_a_stop_of_the_machine_waits_for_the_other_server(home: Path) -> None:
    """stop_action = command ends the machine: what the neighbour's kernel computes counts."""
    host = 6.0
    stopped = home / "stopped"
    config = {
        "timeout_minutes": minutes(host),
        "warning_minutes": minutes(2),
        "stop_action": "command",
        "stop_command": ["touch", str(stopped)],
        "check_interval_seconds": 1,
    }
    with (
        Machine() as machine,
        Neighbour(home, "other", {"timeout_minutes": 60}, machine) as other,
        joined(other) as running,
    ):
        running.execute(WORK, wait=False)
        with Neighbour(home, "culled", config, machine) as culled:
            until = time.monotonic() + host + 3
            wait_until(lambda: time.monotonic() > until, "the time to watch")
            assert not stopped.exists()
            assert culled.status()["host"]["verdict"] == "active"
            assert culled.status()["kernels"] == []
            before = time.monotonic()
            other.request("DELETE", f"api/kernels/{running.id}")
            gone = time.monotonic()
            wait_until(stopped.exists, "the stop", host + LATENESS_SECONDS)
            (decision,) = entries(culled, "host", "stop", "decision")
            assert host <= decision["t"] - before, decision
            assert decision["t"] - gone <= host + LATENESS_SECONDS, decision
            assert not other.ended


@side_by_side
def test_under_jupyterhub_everything_works_and_the_hub_sees_silent_work(home: Path) -> None:
    """The real jupyterhub-singleuser: REST, events, the command line and culling under its base
    URL; its reports to the hub tell of a thread that computes, and not of the culler's own looks.
    """
    timeout = 6.0
    config = {"timeout_minutes": minutes(timeout), "check_interval_seconds": 1}
    with (
        Machine() as machine,
        Hub() as hub,
        single_user_server(home, config, hub, isolate=False, prefix=machine.prefix) as server,
        held_awake(server) as let_go,
        joined(server) as working,
        joined(server) as idle,
        Events(server) as heard,
    ):
        assert server.url.endswith(BASE_URL)
        working.execute(
            f"import threading; threading.Thread(target=exec, args=({WORK!r},)).start()"
        )
        began = time.monotonic()
        let_go()
        idle.execute("1 + 1")
        is_culled(server, idle.id, timeout, began, time.monotonic())
        is_kept(server, working.id, 0, "processes", "CPU")
        wait_until(lambda: heard.read_for(0.2) and idle.id in heard.of_kernels(), "an event")
        said = machine.run(server, *command_line("status", "--json"))
        assert said.returncode == 0, said
        assert [one["id"] for one in json.loads(said.stdout)["kernels"]] == [working.id]
        others = server.explain()["other_cullers"]
        assert any(other.startswith("JupyterHub") for other in others), others
        # From here on nobody asks the server anything: that would be activity to it.
        quiet = datetime.now(timezone.utc)
        wait_until(
            lambda: hub.reports[-1][1] > quiet + timedelta(seconds=3),
            "a report of silent work",
            pause_seconds=0.5,
        )
        server.request("DELETE", f"api/kernels/{working.id}")
        settled = datetime.now(timezone.utc) + timedelta(seconds=2)
        until = time.monotonic() + 6
        wait_until(lambda: time.monotonic() > until, "the time to watch")
        assert hub.reports[-1][1] < settled, hub.reports[-5:]


@side_by_side
def test_a_plain_server_with_such_a_base_url_works_as_well(home: Path) -> None:
    """REST, events, the command line in one of its terminals, and culling, under /user/test/."""
    timeout = 6.0
    config = {"timeout_minutes": minutes(timeout), "check_interval_seconds": 1}
    with (
        LiveServer(home, config, base_url=BASE_URL) as server,
        held_awake(server) as let_go,
        typing_in(server) as terminal,
        joined(server) as working,
        joined(server) as idle,
        Events(server) as heard,
    ):
        working.execute(WORK, wait=False)
        began = time.monotonic()
        let_go()
        idle.execute("1 + 1")
        ended = time.monotonic()
        command = " ".join(command_line("keep-alive", "10m", "--terminal", terminal.name))
        terminal.run(f"{command}; echo status $?")
        terminal.read_until("status 0")
        is_culled(server, idle.id, timeout, began, ended)
        assert kernel_status(server, working.id)["verdict"] == "active"
        assert server.status()["keep_alives"]
        wait_until(lambda: heard.read_for(0.2) and idle.id in heard.of_kernels(), "an event")


def command_line(*arguments: str) -> tuple[str, ...]:
    """Return the command that asks the culler."""
    return (sys.executable, "-m", "jupyter", "idle-culler", *arguments)


class Events:
    """Listens to the events of a server."""

    def __init__(self, server: LiveServer) -> None:
        self.events: list[dict[str, Any]] = []
        url = server.url.replace("http", "ws", 1)
        self._socket = websocket.create_connection(f"{url}api/events/subscribe?token={TOKEN}")

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def read_for(self, seconds: float) -> bool:
        """Read what comes within so many seconds. Returns True."""
        self._socket.settimeout(seconds)
        try:
            while True:
                self.events.append(json.loads(self._socket.recv()))
        except (websocket.WebSocketTimeoutException, websocket.WebSocketConnectionClosedException):
            return True

    def of_kernels(self) -> set[str]:
        """Return the kernels that decisions spoke of."""
        return {event["resource"] for event in self.events if event.get("kind") == "kernel"}
