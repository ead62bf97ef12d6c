"""Rows K6 and T4 with what JupyterLab 4.6 sends while a notebook and a terminal stand open in it.

It was recorded from a real browser (``tests/browser/record.py``) and is sent here without one, also
to the oldest jupyter_server, on which such requests turn the state of a kernel.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import websocket

from .harness import TOKEN, Kernel, LiveServer, Terminal, wait_until
from .rows import LATENESS_SECONDS, again_and_again, entries, joined, minutes, typing_in

RECORD = json.loads(
    (Path(__file__).parent.parent / "fixtures" / "lab_idle_requests.json").read_text()
)
TIMEOUT = 12.0
NOTICED = 2.5
"""So much later may evidence be dated: what a cell computed shows at the next look."""


class Page:
    """Stands for a page of the lab: sends again what one has sent."""

    def __init__(self, server: LiveServer, kernel_id: str, terminal: str) -> None:
        self._server = server
        self._names = {"kernel": kernel_id, "terminal": terminal, "workspace": "recorded"}
        self._sockets: dict[str, Any] = {}
        self.answered = 0
        self.messages = 0

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *_: object) -> None:
        for socket in self._sockets.values():
            socket.close()

    def send(self, phase: str, times: int | None = None) -> None:
        """Send all of one phase; with ``times``, each so often instead of as it was counted."""
        for path in RECORD[phase]["sockets"]:
            self._open(path)
        for one in RECORD[phase]["sent"]:
            for _ in range(times or one["count"]):
                self._send(one)

    def _open(self, path: str) -> None:
        """Open a websocket in the place of the one that the page had before."""
        if path in self._sockets:
            self._sockets[path].close()
        if "{kernel}" in path:
            self._sockets[path] = Kernel(self._server, self._names["kernel"])
        elif "{terminal}" in path:
            self._sockets[path] = Terminal(self._server, self._names["terminal"])
        else:
            address = self._server.url.replace("http", "ws", 1) + path.lstrip("/")
            self._sockets[path] = websocket.create_connection(f"{address}?token={TOKEN}")

    def _send(self, one: Mapping[str, Any]) -> None:
        if one["verb"] != "websocket":
            path = one["path"].lstrip("/").format(**self._names)
            if not path.startswith("lab/"):  # of which a plain jupyter_server knows nothing
                code, _ = self._server.request(one["verb"], path, one.get("body"), ok=False)
                self.answered += code == HTTPStatus.OK
            return
        socket, message = self._sockets[one["path"]], one["message"]
        self.messages += 1
        if isinstance(socket, Kernel):
            socket.send(message["type"], message["content"], message["channel"])
        else:
            socket.send(*message)


@contextlib.contextmanager
def _polling(page: Page) -> Iterator[list[float]]:
    """Poll as the page does, every few seconds, until what it shows is gone."""
    with again_and_again(lambda: page.send("idle_minute", times=1), pause_seconds=4.0) as rounds:
        yield rounds


def _was_in_time(server: LiveServer, resource: str, began: float, done: float) -> None:
    """Check that something was culled a timeout after evidence between two instants."""
    wait_until(
        lambda: entries(server, resource, "cull", "outcome"),
        f"the end of {resource}",
        TIMEOUT + 2 * LATENESS_SECONDS,
    )
    decision = entries(server, resource, "cull", "decision")[-1]
    assert began <= decision["evidence_at"] <= done + NOTICED, (began, done, decision)
    late = decision["t"] - decision["evidence_at"] - TIMEOUT
    assert 0 <= late <= LATENESS_SECONDS, decision


@pytest.mark.js214
def test_what_an_open_lab_sends_keeps_neither_kernel_nor_terminal(tmp_path: Path) -> None:
    """K6, T4: a reload, a lost connection, a resize and all polls: both are idle since the cell and
    the key."""
    config = {
        "timeout_minutes": minutes(TIMEOUT),
        "stop_action": "none",
        "check_interval_seconds": 1,
    }
    with (
        LiveServer(tmp_path, config) as server,
        joined(server) as kernel,
        typing_in(server) as terminal,
        Page(server, kernel.id, terminal.name) as page,
    ):
        notebook = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        (server.root_dir / "idle.ipynb").write_text(json.dumps(notebook))
        began = time.monotonic()
        kernel.execute("1 + 1")
        terminal.run("true")
        done = time.monotonic()
        # Nothing of what comes now may be taken for the cell or the key.
        time.sleep(max(0.0, done + NOTICED + 0.5 - time.monotonic()))
        page.send("reload")
        with _polling(page) as rounds:
            page.send("resize")
            page.send("reconnect")
            _was_in_time(server, f"kernel:{kernel.id}", began, done)
            _was_in_time(server, f"terminal:{terminal.name}", began, done)
        assert len(rounds) >= 2
        assert page.answered >= 25
        assert page.messages >= 20
