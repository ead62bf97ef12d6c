"""Warnings to the terminals: shown to people, never fed to what runs there."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import select
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from traitlets.config import Config

from jupyter_idle_culler.actions.announce import Announcer, framed
from jupyter_idle_culler.core.model import HOST, Action, Decision, Verdict

LOG = logging.getLogger("test")
TEXT = "This server stops in 5 minutes"
Ask = Callable[..., Awaitable[Any]]


@pytest.fixture
def jp_server_config() -> Config:
    """Start a server with terminals and without this extension."""
    extensions = {"jupyter_server_terminals": True}
    return Config(
        {
            "ServerApp": {
                "jpserver_extensions": extensions,
                "terminado_settings": {"shell_command": ["/bin/sh"]},
            }
        }
    )


def warning(evidence_at: float = 1.0, action: Action = Action.WARN) -> Decision:
    """Return a decision to warn."""
    return Decision(HOST, action, Verdict.IDLE, TEXT, evidence_at)


async def shown(socket: Any, text: str) -> str:
    """Read what the terminal's browser shows, until this text is there."""
    screen = ""
    while text not in screen:
        message = json.loads(await asyncio.wait_for(socket.read_message(), 30))
        if message[0] == "stdout":
            screen += message[1]
    return screen


async def test_a_jupyter_terminal_shows_the_warning_and_its_program_reads_none_of_it(
    jp_fetch: Ask, jp_ws_fetch: Ask, jp_serverapp: Any, tmp_path: Path
) -> None:
    """The program gets exactly what was typed, and no time of input moves."""
    written = tmp_path / "written"
    name = json.loads((await jp_fetch("api", "terminals", method="POST", body="")).body)["name"]
    manager = jp_serverapp.web_app.settings["terminal_manager"]
    socket = await jp_ws_fetch("terminals", "websocket", name)
    typed = f"cat > {written}; echo end''ed\r"
    await socket.write_message(json.dumps(["stdin", typed]))
    await shown(socket, "echo")
    shell = psutil.Process(manager.terminals[name].ptyproc.pid)
    for _ in range(600):
        if [child for child in shell.children() if child.name() == "cat"]:
            break
        await asyncio.sleep(0.05)
    tty = Path(shell.terminal() or "")
    old = (tty.stat().st_atime_ns - 100 * 10**9, tty.stat().st_mtime_ns)
    os.utime(tty, ns=old)
    outcome = await Announcer(lambda: manager, LOG).apply(warning())
    assert outcome.ok
    assert outcome.detail == "announced to 1 terminal"
    await shown(socket, TEXT)
    await asyncio.sleep(0.2)
    assert tty.stat().st_atime_ns == old[0]
    await socket.write_message(json.dumps(["stdin", "typed\r"]))
    await socket.write_message(json.dumps(["stdin", "\x04"]))
    await shown(socket, "ended")
    assert written.read_text() == "typed\n"
    socket.close()
    while manager.terminals[name].clients:
        await asyncio.sleep(0.01)
    await manager.terminate(name, force=True)


async def test_a_warning_is_announced_once_and_again_after_it_was_taken_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Asked for at each look, it appears once for each idleness."""
    announcer = Announcer(lambda: None, LOG)

    def times() -> int:
        return len([r for r in caplog.records if TEXT in r.getMessage()])

    for _ in range(3):
        assert (await announcer.apply(warning())).ok
    assert times() == 1
    await announcer.apply(warning(2.0))
    assert times() == 2
    await announcer.apply(warning(2.0, Action.CANCEL_WARNING))
    await announcer.apply(warning(2.0))
    assert times() == 3


async def test_another_terminal_of_the_user_shows_it_without_reading_it() -> None:
    """As wall does it: to the screen side, where no program reads."""
    master, slave = os.openpty()
    try:
        path = Path(os.ttyname(slave))
        before = path.stat().st_atime_ns
        outcome = await Announcer(lambda: None, LOG, lambda: [path]).announce(TEXT)
        assert outcome.detail == "announced to 1 terminal"
        assert TEXT in os.read(master, 1000).decode()
        assert select.select([slave], [], [], 0.1)[0] == []
        assert path.stat().st_atime_ns == before
    finally:
        os.close(master)
        os.close(slave)


async def test_what_is_no_terminal_of_this_user_is_never_written_to(tmp_path: Path) -> None:
    """A file, a link, another user's terminal, a terminal that is gone."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "file")
    master, slave = os.openpty()
    try:
        tty = Path(os.ttyname(slave))
        paths = [tmp_path / "file", tmp_path / "link", tty, Path("/dev/pts/99999")]
        stranger = Announcer(lambda: None, LOG, lambda: paths, uid=os.getuid() + 1)
        assert (await stranger.announce(TEXT)).detail == "announced to 0 terminals"
        assert (tmp_path / "file").read_text() == ""
        assert select.select([master], [], [], 0.1)[0] == []
    finally:
        os.close(master)
        os.close(slave)


async def test_a_terminal_that_is_held_with_control_s_holds_nothing_up() -> None:
    """It misses the warning; the others and the culler go on."""
    master, slave = os.openpty()
    try:
        os.write(master, b"\x13")
        while select.select([], [slave], [], 0)[1]:
            await asyncio.sleep(0.01)
        began = time.monotonic()
        path = Path(os.ttyname(slave))
        outcome = await Announcer(lambda: None, LOG, lambda: [path]).announce(TEXT)
        assert outcome.ok
        assert time.monotonic() - began < 1.5
    finally:
        os.close(master)
        os.close(slave)


def test_no_control_code_reaches_a_terminal() -> None:
    """A reason that somebody wrote cannot steer the screen."""
    assert framed("a\x1b[2Jb\nc") == "\r\n\a*** a [2Jb c ***\r\n"
