"""The truth table, rows U, at the level of the host: people, and what nobody stands behind."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
import websocket

from .harness import TOKEN, LiveServer, wait_until
from .rows import (
    HELD,
    TIMEOUT,
    WARNING,
    Home,
    again_and_again,
    goes_down,
    minutes,
    run_in_homes,
    script,
    set_up,
    side_by_side,
    stays_up,
    stops_after,
    typing_in,
)

API = "api/idle-culler/v1/"
TTY_STEP = 8.0
"""Linux moves a terminal's time of input in steps of so many seconds."""

APPLICATION = """
import sys
from tornado import ioloop, web, websocket

class Page(web.RequestHandler):
    def get(self):
        self.finish("a page")

class Echo(websocket.WebSocketHandler):
    def on_message(self, message):
        self.write_message(message)

web.Application([("/page", Page), ("/echo", Echo)]).listen(int(sys.argv[1]), "127.0.0.1")
ioloop.IOLoop.current().start()
"""


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[None]]]:
    """Run the rows side by side."""
    yield from run_in_homes(request, tmp_path_factory)


def from_a_browser(server: LiveServer, method: str, path: str, body: Any = None) -> Any:
    """Send what a browser sends; its answer, as JSON. A server that has stopped gives None."""
    request = urllib.request.Request(
        server.url + path,
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={"Authorization": f"token {TOKEN}", "User-Agent": "Mozilla/5.0 (X11; Linux)"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.loads(response.read() or b"null")
    except urllib.error.HTTPError:
        raise
    except OSError:
        return None


@side_by_side
def test_a_person_in_the_page_holds_the_host(home: Home) -> None:
    """U1: presence, until it ends."""
    with home.server() as server:
        with set_up(server) as reports:
            stays_up(server, HELD, "presence", "a person in the page")
        decision = stops_after(server, reports[-1], time.monotonic())
        assert decision["evidence_source"] == "presence", decision


@side_by_side
def test_files_that_a_person_changes_hold_the_host(home: Home) -> None:
    """U2: made, renamed and deleted; reading them does not hold it."""
    with home.server() as server:

        def work() -> None:
            model = from_a_browser(server, "POST", "api/contents", {"type": "file", "ext": ".txt"})
            path = model["path"]
            from_a_browser(server, "PATCH", f"api/contents/{path}", {"path": "b-" + path})
            from_a_browser(server, "DELETE", f"api/contents/b-{path}")

        with again_and_again(work) as changes:
            stays_up(server, HELD, "contents", "a person changed files")
        ended = time.monotonic()
        with again_and_again(lambda: from_a_browser(server, "GET", "api/contents")):
            stops_after(server, changes[-1], ended)


@side_by_side
def test_autosaves_do_not_hold_the_host_but_a_persons_save_does(home: Home) -> None:
    """U2, K5: what a browser overwrites may be an autosave; a person's save makes a checkpoint."""
    model = {"type": "file", "format": "text", "content": "text"}
    with home.server() as server:

        def save() -> None:
            from_a_browser(server, "PUT", "api/contents/a.txt", model)

        def save_as_a_person_does() -> None:
            save()
            from_a_browser(server, "POST", "api/contents/a.txt/checkpoints")

        with again_and_again(save_as_a_person_does) as saves:
            stays_up(server, HELD, "contents", "a person changed files")
        ended = time.monotonic()
        with again_and_again(save) as autosaves:
            stops_after(server, saves[-1], ended)
        assert len(autosaves) >= 3


def holds_as_an_application(home: Home, use: Callable[[LiveServer], None]) -> None:
    """Use a proxied application each second: it holds the host; left alone, it does not."""
    application = script(home.path, "application.py", APPLICATION)
    command = [sys.executable, str(application), "{port}"]
    proxy = {"ServerProxy": {"servers": {"app": {"command": command}}}}
    with home.server(server_config=proxy) as server:
        with set_up(server):
            wait_until(lambda: _is_a_page(server), "the application", pause_seconds=0.5)
        with again_and_again(lambda: use(server)) as uses:
            stays_up(server, HELD, "proxied", "a proxied application in use")
        # Its traffic is seen by the look that follows.
        stops_after(server, uses[-1], time.monotonic() + 1)


def _is_a_page(server: LiveServer) -> bool:
    with contextlib.suppress(OSError):
        return _page(server) == b"a page"
    return False


def _page(server: LiveServer) -> bytes:
    request = urllib.request.Request(
        server.url + "app/page", headers={"Authorization": f"token {TOKEN}"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return bytes(response.read())


@side_by_side
def test_requests_to_a_proxied_application_hold_the_host(home: Home) -> None:
    """U3: http through jupyter-server-proxy."""
    holds_as_an_application(home, lambda server: wait_until(lambda: _is_a_page(server), "a page"))


@side_by_side
def test_messages_of_a_proxied_application_hold_the_host(home: Home) -> None:
    """U3: a websocket through jupyter-server-proxy, open all the time: what counts is traffic."""
    sockets: list[websocket.WebSocket] = []

    def talk(server: LiveServer) -> None:
        if not sockets:
            sockets.append(
                websocket.create_connection(
                    f"{server.url.replace('http', 'ws', 1)}app/echo?token={TOKEN}", timeout=30
                )
            )
        sockets[0].send("hello")
        assert sockets[0].recv() == "hello"

    try:
        holds_as_an_application(home, talk)
    finally:
        for one in sockets:
            one.close()


@side_by_side
def test_a_keep_alive_survives_a_restart_and_holds_the_host(home: Home) -> None:
    """U4: it is active until it ends, also when the server was killed and started again."""
    long = 24.0
    with home.server() as server:
        asked = time.monotonic()
        body = {"minutes": minutes(long), "reason": "for the demo"}
        server.request("POST", API + "keep-alive", body)
        server.kill()
        server.start()
        (standing,) = server.status()["keep_alives"]
        assert standing["ends_in_seconds"] <= asked + long - time.monotonic() + 2, standing
        stays_up(server, asked + long - 1 - time.monotonic(), "keep-alives", "for the demo")
        # A crash takes at most some seconds of a wish: they were running when it was written.
        decision = goes_down(server, TIMEOUT, WARNING, asked + long, time.monotonic() + 8)
        assert decision["evidence_source"] == "keep-alives", decision


@side_by_side
def test_each_sign_of_life_holds_the_host_and_all_only_so_long(home: Home) -> None:
    """U5: a heartbeat file, a script's reports, renewed keep-alives, proxied traffic: each alone
    holds the host past its timeout; all together, at most max_unattended_minutes."""
    most = 4 * (TIMEOUT + 2) + 4
    beat = home.path / "beat"
    application = script(home.path, "application.py", APPLICATION)
    command = [sys.executable, str(application), "{port}"]
    proxy = {"ServerProxy": {"servers": {"app": {"command": command}}}}
    config = {"max_unattended_minutes": minutes(most), "heartbeat_files": [str(beat)]}
    with home.server(config, server_config=proxy) as server:
        signs: dict[str, Callable[[], Any]] = {
            "heartbeat-files": lambda: beat.write_text(str(time.time())),
            "reported": lambda: from_a_browser(server, "POST", API + "activity", {}),
            "keep-alives": lambda: from_a_browser(
                server, "POST", API + "keep-alive", {"minutes": minutes(2), "reason": "again"}
            ),
            "proxied": lambda: _is_a_page(server),
        }
        with set_up(server) as instants:
            wait_until(lambda: _is_a_page(server), "the application", pause_seconds=0.5)
        last, ended = instants[-1], time.monotonic()
        for source, sign in signs.items():
            with again_and_again(sign):
                stays_up(server, TIMEOUT + 2, source, "")

        def all_of_them() -> None:
            for sign in signs.values():
                sign()

        with again_and_again(all_of_them):
            goes_down(server, most + TIMEOUT, WARNING, last, ended)


@contextlib.contextmanager
def typed_into_tmux(server: LiveServer, socket: str) -> Iterator[list[float]]:
    """Type a key into the pane of a tmux server each two seconds, from outside."""
    command = ["tmux", "-S", socket, "send-keys", "x", "Enter"]

    def press() -> None:
        subprocess.run(command, env=server.env, check=False, timeout=20)

    with again_and_again(press, 2.0) as keys:
        yield keys


SLOWER = {"timeout_minutes": minutes(2 * TTY_STEP)}
"""A timeout that is longer than the steps in which input on a terminal is seen."""


def holds_by_typing(server: LiveServer, socket: str, ended: float) -> None:
    """Type into a pane for longer than the timeout: that holds the host, until it ends."""
    with typed_into_tmux(server, socket) as keys:
        stays_up(server, ended + 2 * TTY_STEP + 4 - time.monotonic(), "other-ttys", "input at")
    latest = time.monotonic() + TTY_STEP + 2
    goes_down(server, 2 * TTY_STEP, WARNING, keys[-1] - 1, latest)


def start_tmux(server: LiveServer, socket: str, environment: str = "") -> float:
    """Start a tmux server from a terminal that ends, with a pane that reads; return when."""
    with set_up(server), typing_in(server) as terminal:
        quiet = f"{environment} tmux -S {socket} new-session -d 'cat > /dev/null'"
        terminal.run(f"{quiet.strip()}; echo $((40 + 2))")
        terminal.read_until("42")
        server.request("DELETE", f"api/terminals/{terminal.name}")
    return time.monotonic()


@side_by_side
def test_input_in_the_servers_own_tmux_holds_the_host(home: Home) -> None:
    """U6: somebody types in a pane, though no terminal is open."""
    with home.server(SLOWER) as server:
        socket = str(home.path / "own.tmux")
        holds_by_typing(server, socket, start_tmux(server, socket))


STRANGER = f"env -i PATH={os.environ['PATH']} TERM=xterm HOME=/ setsid"


@side_by_side
def test_input_in_a_strangers_tmux_does_not_hold_the_server(home: Home) -> None:
    """U6: with stop_action = server a terminal that is not of this server does not count."""
    with home.server(SLOWER) as server:
        socket = str(home.path / "stranger.tmux")
        began = time.monotonic()
        ended = start_tmux(server, socket, STRANGER)
        with typed_into_tmux(server, socket) as keys:
            goes_down(server, 2 * TTY_STEP, WARNING, began, ended)
        assert len(keys) >= 3


@side_by_side
def test_input_at_any_terminal_of_the_user_holds_the_machine(home: Home) -> None:
    """U6: where the stop ends the machine (a command) a stranger's terminal counts as well."""
    marker = home.path / "stopped"
    config = {"stop_action": "command", "stop_command": ["touch", str(marker)], **SLOWER}
    with home.server(config) as server:
        socket = str(home.path / "stranger.tmux")
        ended = start_tmux(server, socket, STRANGER)
        with typed_into_tmux(server, socket):
            stays_up(server, ended + 2 * TTY_STEP + 4 - time.monotonic(), "other-ttys", "input at")
            assert not marker.exists()
        wait_until(marker.exists, "the stop")
