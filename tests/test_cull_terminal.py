"""Ending a terminal: it is really gone, and what was detached from it lives on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from jupyter_idle_culler.actions.cull_terminal import CullTerminal
from jupyter_idle_culler.core.model import Action, Decision, Kind, ResourceId, Verdict
from jupyter_idle_culler.sources.procfs import Process, read_process
from jupyter_idle_culler.sources.terminals import TerminalsSource

from .driven_terminals import DrivenTerminal, needs, until, write_scripts

OpenTerminal = Callable[..., Awaitable[DrivenTerminal]]


@pytest.fixture
def jp_server_config() -> Config:
    """Serve terminals with a plain bash, and nothing else."""
    return Config(
        {
            "ServerApp": {
                "jpserver_extensions": {"jupyter_server_terminals": True},
                "terminado_settings": {"shell_command": ["bash", "--norc"]},
            }
        }
    )


@pytest.fixture
def left_over() -> Generator[list[int]]:
    """End the processes that a test let live."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


@pytest.fixture
def open_terminal(
    jp_serverapp: Any,
    jp_asyncio_loop: asyncio.AbstractEventLoop,
    jp_fetch: Any,
    jp_ws_fetch: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Generator[OpenTerminal]:
    """Open terminals in a folder with scripts, with one tab each."""
    write_scripts(tmp_path)
    monkeypatch.setenv("HISTFILE", "/dev/null")
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path))
    manager = jp_serverapp.web_app.settings["terminal_manager"]
    source = TerminalsSource(jp_serverapp.web_app.settings)
    opened = []

    async def open_one() -> DrivenTerminal:
        answer = await jp_fetch(
            "api", "terminals", method="POST", body=json.dumps({"cwd": str(tmp_path)})
        )
        name = json.loads(answer.body)["name"]
        terminal = DrivenTerminal(name, manager.terminals[name], source, jp_ws_fetch)
        opened.append(terminal)
        await (await terminal.open_tab()).shows("bash")
        return terminal

    async def close_all() -> None:
        for tab in [tab for terminal in opened for tab in terminal.tabs]:
            await tab.close()
        await type(manager).terminate_all(manager)

    yield open_one
    jp_asyncio_loop.run_until_complete(close_all())


@pytest.fixture
def cull(jp_serverapp: Any) -> CullTerminal:
    """End terminals of the server, with less patience than in service."""
    return CullTerminal(jp_serverapp.web_app.settings, gone_within_seconds=2.0)


def decision(name: str) -> Decision:
    """Decide to end a terminal."""
    resource = ResourceId(Kind.TERMINAL, name)
    return Decision(resource, Action.CULL, Verdict.IDLE, "idle for long", 0.0)


def lives(process: Process) -> bool:
    """Whether this very process has not ended."""
    now = read_process(process.pid)
    return now is not None and now.key == process.key and now.state not in ("Z", "X")


async def pid_in(path: Path) -> Process:
    """Wait for the pid that a command line writes into a file, and return its process."""

    async def written() -> Process | None:
        text = path.read_text().strip() if path.exists() else ""
        return read_process(int(text)) if text else None

    process = await until(written, f"a pid in {path.name}")
    assert isinstance(process, Process)
    return process


DETACHED = [
    "nohup sleep 1000 & echo $! > pid",
    "nohup python3 busy.py > /dev/null 2>&1 & echo $! > pid",
    "setsid bash -c 'echo $$ > pid; exec sleep 1000' &",
    "sleep 1000 & disown; echo $! > pid",
    "sleep 1000 & disown -h; echo $! > pid",
    "(trap '' HUP; exec sleep 1000) & echo $! > pid",
]


@pytest.mark.parametrize("command", DETACHED)
async def test_what_was_detached_lives_on(
    open_terminal: OpenTerminal,
    cull: CullTerminal,
    tmp_path: Path,
    left_over: list[int],
    jp_serverapp: Any,
    command: str,
) -> None:
    """nohup, setsid, disown: the job stays, the server forgets the terminal and tells its tab."""
    terminal = await open_terminal()
    await terminal.tabs[0].type(command + "\r")
    job = await pid_in(tmp_path / "pid")
    left_over.append(job.pid)
    await asyncio.sleep(0.5)  # nohup and setsid still have to become the job
    shell = read_process(terminal.pty.ptyproc.pid)
    assert shell is not None
    outcome = await cull.apply(decision(terminal.name))
    assert outcome.ok, outcome.detail
    assert terminal.name not in jp_serverapp.web_app.settings["terminal_manager"].terminals
    assert not lives(shell)
    await asyncio.sleep(0.5)
    assert terminal.tabs[0].ended
    assert lives(job)


async def test_a_tmux_server_lives_on(
    open_terminal: OpenTerminal, cull: CullTerminal, tmp_path: Path
) -> None:
    """The client goes with its terminal, what runs inside tmux stays."""
    needs("tmux")
    terminal = await open_terminal()
    await terminal.run("tmux -f /dev/null new-session 'echo $$ > pid; exec sleep 1000'")
    job = await pid_in(tmp_path / "pid")
    try:
        outcome = await cull.apply(decision(terminal.name))
        assert outcome.ok, outcome.detail
        await asyncio.sleep(0.5)
        assert lives(job)
    finally:
        subprocess.run(["tmux", "kill-server"], check=True)


@pytest.mark.parametrize("command", ["sleep 1000", "python3 train.py", "top", "vim x", "sudo -i"])
async def test_the_foreground_ends_with_its_terminal(
    open_terminal: OpenTerminal, cull: CullTerminal, command: str
) -> None:
    """Ordinary children go with the terminal, as when a window is closed."""
    needs(command.split(None, 1)[0])
    terminal = await open_terminal()
    await terminal.run(command)

    async def begun() -> Process | None:
        # Until it has become the command a fork of bash takes signals, and forgets them.
        front = read_process(os.tcgetpgrp(terminal.pty.ptyproc.fd))
        return front if front and front.comm != "bash" else None

    process = await until(begun, command)
    outcome = await cull.apply(decision(terminal.name))
    assert outcome.ok, outcome.detail

    async def ended() -> bool:
        return not lives(process)

    await until(ended, f"{command} to end")


async def test_a_shell_that_ignores_every_polite_signal_is_killed(
    open_terminal: OpenTerminal, cull: CullTerminal
) -> None:
    """SIGHUP, SIGINT and SIGTERM trapped: SIGKILL, and it is verified."""
    terminal = await open_terminal()
    await terminal.tabs[0].type("trap '' HUP INT TERM; echo ig''nored\r")
    await terminal.tabs[0].shows("ignored")
    shell = read_process(terminal.pty.ptyproc.pid)
    assert shell is not None
    outcome = await cull.apply(decision(terminal.name))
    assert outcome.ok, outcome.detail
    assert not lives(shell)


async def test_a_terminal_that_is_gone_already_is_fine(cull: CullTerminal) -> None:
    """Someone closed it between the decision and the act."""
    outcome = await cull.apply(decision("77"))
    assert outcome.ok
    assert "was already gone" in outcome.detail
    outcome = await CullTerminal({}).apply(decision("1"))
    assert outcome.ok


async def test_a_terminal_that_does_not_go_is_reported(
    open_terminal: OpenTerminal,
    cull: CullTerminal,
    jp_serverapp: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A manager that answers and does nothing, or fails: the outcome is no, in plain words."""
    terminal = await open_terminal()
    manager = jp_serverapp.web_app.settings["terminal_manager"]

    async def nothing(name: str, force: bool = False) -> None:
        return None

    async def failing(name: str, force: bool = False) -> None:
        raise OSError("no such luck")  # noqa: EM101 - a stand-in for whatever a manager raises

    monkeypatch.setattr(manager, "terminate", nothing)
    before = time.monotonic()
    outcome = await cull.apply(decision(terminal.name))
    assert not outcome.ok
    assert "still runs" in outcome.detail
    assert time.monotonic() - before < 10
    monkeypatch.setattr(manager, "terminate", failing)
    outcome = await cull.apply(decision(terminal.name))
    assert not outcome.ok
    assert "no such luck" in outcome.detail
    monkeypatch.undo()
    outcome = await cull.apply(decision(terminal.name))
    assert outcome.ok


async def test_a_terminal_whose_shell_has_left_a_job_behind_is_idle_and_goes(
    open_terminal: OpenTerminal,
    cull: CullTerminal,
    tmp_path: Path,
    left_over: list[int],
    jp_serverapp: Any,
) -> None:
    """The disowned job holds the device open, so the server itself would list it for ever."""
    terminal = await open_terminal()
    await terminal.look()
    await terminal.tabs[0].type("sleep 1000 & disown; echo $! > pid; exit\r")
    job = await pid_in(tmp_path / "pid")
    left_over.append(job.pid)
    _, resource = await terminal.becomes(Verdict.IDLE, "its shell has ended")
    assert resource.pid is None
    outcome = await cull.apply(decision(terminal.name))
    assert outcome.ok, outcome.detail
    assert terminal.name not in jp_serverapp.web_app.settings["terminal_manager"].terminals
    assert lives(job)


async def test_other_terminals_stay(
    open_terminal: OpenTerminal, cull: CullTerminal, jp_serverapp: Any
) -> None:
    """One decision ends one terminal."""
    first, second = await open_terminal(), await open_terminal()
    assert (await cull.apply(decision(first.name))).ok
    assert list(jp_serverapp.web_app.settings["terminal_manager"].terminals) == [second.name]
    shell = read_process(second.pty.ptyproc.pid)
    assert shell is not None
    assert lives(shell)
