"""How a host stops: warned, once, by what was configured; rows H, and section 2.2 of the design."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import datetime

import pytest
import websocket

from jupyter_idle_culler.cli.text import status_lines

from .harness import TOKEN, LiveServer, wait_until
from .rows import (
    TIMEOUT,
    WARNING,
    Home,
    entries,
    goes_down,
    joined,
    kernel_status,
    minutes,
    run_in_homes,
    set_up,
    side_by_side,
    stopped_by,
    stops_after,
)

ACTIVITY = "api/idle-culler/v1/activity"
API = "api/idle-culler/v1"
NOTEBOOK = {"metadata": {}, "nbformat": 4, "nbformat_minor": 5}


class Page:
    """A page with a dirty notebook, as the widget behaves before a stop."""

    def __init__(self, server: LiveServer, name: str, answers: bool = True) -> None:
        self.heard: list[str] = []
        self._server = server
        self._name = name
        self._answers = answers
        url = server.url.replace("http", "ws", 1) + f"api/events/subscribe?token={TOKEN}"
        self._socket = websocket.create_connection(url, timeout=60)
        server.request("POST", f"{API}/page", {"page": name, "open": True})
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._thread.join()

    def _listen(self) -> None:
        # The server that ends hangs up, as this page does in the end.
        with contextlib.suppress(websocket.WebSocketException, OSError):
            while True:
                event = json.loads(self._socket.recv() or "{}")
                if event.get("action") == "stop":
                    self.heard.append(event["stage"])
                    if event["stage"] == "decided" and self._answers:
                        self._save()

    def _save(self) -> None:
        cell = {"id": "a", "cell_type": "markdown", "metadata": {}, "source": "not yet saved"}
        model = {"type": "notebook", "content": {**NOTEBOOK, "cells": [cell]}}
        self._server.request("PUT", "api/contents/a.ipynb", model, browser=True)
        self._server.request("POST", "api/contents/a.ipynb/checkpoints", {}, browser=True)
        answer = {"page": self._name, "open": True, "saved": 1, "failed": ["b.ipynb"]}
        self._server.request("POST", f"{API}/page", answer)


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[None]]]:
    """Run the rows side by side."""
    yield from run_in_homes(request, tmp_path_factory)


@side_by_side
def test_a_server_on_which_nothing_was_started_stops(home: Home) -> None:
    """H1: idle since the server started, and the journal tells why."""
    began = time.monotonic()
    with home.server() as server:
        decision = stops_after(server, began, time.monotonic())
        assert decision["verdict"] == "idle"
        assert decision["reason"].startswith("idle for 6"), decision


@side_by_side
def test_a_server_that_crashed_counts_from_its_restart(home: Home) -> None:
    """H3: stale state, a warning that stood among it, never stops anything."""
    with home.server() as server:
        assert server.process is not None
        wait_until(lambda: entries(server, "host", "warn", "decision"), "a warning")
        server.kill()
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
        server.request("POST", ACTIVITY, {"presence": True})
        wait_until(lambda: not server.status()["host"]["warning"], "the end of the warning", 3)
        goes_down(server, TIMEOUT, 3, came, time.monotonic())
        assert entries(server, "host", "cancel-warning", "decision")


@side_by_side
def test_a_kernel_that_begins_to_work_in_the_gap_is_kept(home: Home) -> None:
    """2.2: between the decision and the act everything is observed once more; new evidence wins.

    The command before the stop makes the gap long enough to work in.
    """
    config = {"kernel_timeout_minutes": 10, "pre_stop_command": ["sleep", "3"]}
    with home.server(config) as server, contextlib.ExitStack() as tabs:
        with set_up(server):
            kernel = tabs.enter_context(joined(server))
        wait_until(lambda: entries(server, "host", "stop", "decision"), "the decision to stop")
        kernel.execute("import time; time.sleep(1000)", wait=False)
        wait_until(lambda: entries(server, "host", "stop", "outcome"), "the outcome")
        (outcome,) = entries(server, "host", "stop", "outcome")
        assert outcome["withdrawn"], outcome
        assert not server.ended
        wait_until(
            lambda: kernel_status(server, kernel.id)["verdict"] == "active", "the active verdict"
        )


@side_by_side
def test_open_pages_save_before_the_stop_and_the_next_start_tells_of_it(home: Home) -> None:
    """2.2, 5: the save is on the disk and holds nothing; what was lost and shut down is named."""
    config = {"kernel_timeout_minutes": 10}
    with home.server(config) as server, contextlib.ExitStack() as tabs:
        with set_up(server) as instants:
            (server.root_dir / "a.ipynb").write_text(json.dumps({**NOTEBOOK, "cells": []}))
            kernel = tabs.enter_context(joined(server))
            page = tabs.enter_context(Page(server, "one"))
        stops_after(server, instants[-1], time.monotonic())
        assert "not yet saved" in (server.root_dir / "a.ipynb").read_text()
        assert page.heard[0] == "decided"
        server.start()
        stop = server.status()["last_stop"]
        assert stop["idle_seconds"] >= TIMEOUT
        assert (stop["asked_by"], stop["stop_action"]) == (None, "server")
        assert (stop["saved_documents"], stop["unsaved_documents"]) == (1, ["b.ipynb"])
        assert (stop["silent_pages"], len(stop["kernels"]), stop["terminals"]) == (0, 1, [])
        said = "\n".join(status_lines(server.status(), datetime.now().astimezone()))
        for words in ("Stopped at ", "could not be saved: b.ipynb", "1 kernel shut down: "):
            assert words in said
        server.request("DELETE", f"{API}/last-stop")
        assert server.status()["last_stop"] is None
        server.kill()
        server.start()
        assert server.status()["last_stop"] is None
        del kernel


@side_by_side
def test_a_page_that_never_answers_holds_the_stop_for_ten_seconds(home: Home) -> None:
    """A tab that hangs cannot keep a host; the record says that one did not answer."""
    with home.server() as server, contextlib.ExitStack() as tabs:
        with set_up(server):
            tabs.enter_context(Page(server, "hangs", answers=False))
        wait_until(lambda: entries(server, "host", "stop", "decision"), "the decision to stop")
        (decision,) = entries(server, "host", "stop", "decision")
        wait_until(lambda: entries(server, "host", "stop", "outcome"), "the outcome")
        (outcome,) = entries(server, "host", "stop", "outcome")
        assert outcome["ok"], outcome
        assert outcome["t"] - decision["t"] >= 10
        wait_until(lambda: server.ended, "the end of the server")
        server.start()
        assert server.status()["last_stop"]["silent_pages"] == 1


@side_by_side
def test_a_stop_that_the_servers_end_cuts_short_has_an_outcome(home: Home) -> None:
    """SIGTERM while the command before the stop runs: the journal says what became of it."""
    with home.server({"pre_stop_command": ["sleep", "30"]}, isolate=False) as server:
        wait_until(lambda: entries(server, "host", "stop", "decision"), "the decision to stop")
        assert server.process is not None
        server.process.terminate()
        wait_until(lambda: server.ended, "the end of the server")
        (outcome,) = entries(server, "host", "stop", "outcome")
        assert (outcome["ok"], outcome["detail"]) == (False, "the server ended meanwhile")
        server.start()
        assert server.status()["last_stop"] is None


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
        server.request("POST", ACTIVITY, {"presence": True})
        wait_until(lambda: marker.read_text() == "xx", "the second stop")


@side_by_side
def test_a_dry_run_changes_nothing_and_says_what_it_would_do(home: Home) -> None:
    """Dry run: decided, warned, recorded; kernel and host are still there."""
    with home.server({"dry_run": True}) as server, contextlib.ExitStack() as tabs:
        with set_up(server):
            kernel = tabs.enter_context(joined(server))
            kernel.execute("1 + 1")
        wait_until(lambda: entries(server, "host", "stop", "outcome"), "the stop")
        stopped_by(server, WARNING)
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
    """pre_stop_command: it runs out of time, is ended, and the host is kept, shown as unhealthy."""
    config = {"pre_stop_command": ["sleep", "1000"], "pre_stop_timeout_seconds": 1}
    with home.server(config) as server:
        wait_until(lambda: entries(server, "host", "stop", "outcome"), "the outcome")
        (outcome,) = entries(server, "host", "stop", "outcome")
        assert not outcome["ok"]
        assert "ran longer than 1 s" in outcome["detail"], outcome
        assert not server.ended
        assert server.status()["health"]["status"] == "unhealthy"
