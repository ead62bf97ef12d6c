"""Rows T1 to T6 of the truth table, with real programs in real terminals of a real server."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from jupyter_idle_culler.core.model import Strength, Verdict
from jupyter_idle_culler.sources.base import Look
from jupyter_idle_culler.sources.procfs import read_process_table
from jupyter_idle_culler.sources.terminals import TerminalsSource

from .driven_terminals import DrivenTerminal, needs, until, write_scripts

IDLE, ACTIVE = Verdict.IDLE, Verdict.ACTIVE
OpenTerminal = Callable[[], Awaitable[DrivenTerminal]]


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
def source(jp_serverapp: Any) -> TerminalsSource:
    """Watch the terminals of the server, as the culler does."""
    source = TerminalsSource(jp_serverapp.web_app.settings)
    assert source.watch_input(jp_serverapp.web_app)
    return source


@pytest.fixture
def open_terminal(
    jp_serverapp: Any,
    jp_asyncio_loop: asyncio.AbstractEventLoop,
    jp_fetch: Any,
    jp_ws_fetch: Any,
    source: TerminalsSource,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Generator[OpenTerminal]:
    """Open terminals in a folder with scripts; end what is left in them."""
    write_scripts(tmp_path)
    monkeypatch.setenv("HISTFILE", "/dev/null")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path))
    monkeypatch.setenv("SCREENDIR", str(tmp_path / "screens"))
    (tmp_path / "screens").mkdir(mode=0o700)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    manager = jp_serverapp.web_app.settings["terminal_manager"]
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
        await manager.terminate_all()

    yield open_one
    jp_asyncio_loop.run_until_complete(close_all())
    for end in (["tmux", "kill-server"], ["screen", "-X", "quit"]):
        if shutil.which(end[0]):
            subprocess.run(end, check=False, capture_output=True)


SHELLS = [
    ("bash", ["bash"]),
    ("bash -i", ["bash"]),
    ("dash", ["dash"]),
    ("zsh -f", ["zsh"]),
    ("fish", ["fish"]),
    ("su", ["su"]),
    ("su -", ["su"]),
    ("sudo -i", ["sudo"]),
    ("sudo -s", ["sudo"]),
    ("sudo su", ["sudo"]),
    ("script -q /dev/null", ["script"]),
    ("bash -c 'bash --norc; true'", ["bash"]),
]


@pytest.mark.parametrize(("command", "programs"), SHELLS)
async def test_a_shell_in_a_shell_is_idle_at_its_prompt(
    open_terminal: OpenTerminal, command: str, programs: list[str]
) -> None:
    """T1: shells in shells are prompts, also those that sudo runs on a terminal of their own."""
    needs(*programs)
    terminal = await open_terminal()
    await terminal.run(command)
    observation, _ = await terminal.becomes(IDLE, "at its prompt")
    assert observation.at is None


JOBS = [
    ("python3 train.py", "python3 train.py"),
    ("python3 busy.py", "python3 busy.py"),
    ("sleep 1000", "sleep 1000"),
    ("./sync.sh", "sync.sh"),
    ("bash sync.sh | tee log", "sync.sh"),
    ("python3 -c 'import time; time.sleep(1000)'", "python3 -c"),
    ("python3 -m http.server 0 --bind 127.0.0.1", "http.server"),
    ("python3 ssh.py", "ssh.py"),
    ("python3 net.py", "net.py"),
    ("python3 remote.py", "remote.py"),
    ("python3 listener.py", "listener.py"),
    ("python3 train.py | less", "train.py"),
    ("tail -f train.py | python3 reader.py", "reader.py"),
    ("(sleep 1000; echo done)", "sleep 1000"),
    ("timeout 1000 sleep 999", "timeout"),
    ("sudo sleep 1000", "sleep 1000"),
    ("sudo python3 train.py", "train.py"),
    ("su -c 'sleep 1000'", "sleep 1000"),
    ("cat train.py - | python3 train.py", "train.py"),
    ("while true; do sleep 1000; done", "sleep 1000"),
    ("python3 < train.py", "python3"),
    ("sort <(sleep 1000)", "sort"),
    ("watch -n 1 -t true & sleep 1000", "sleep 1000"),
    ("sqlite3 x.db '.shell sleep 1000'", "sqlite3"),
    ("vim -es -c '!sleep 1000'", "vim"),
]


@pytest.mark.parametrize(("command", "detail"), JOBS)
async def test_a_foreground_job_is_active_however_silent(
    open_terminal: OpenTerminal, command: str, detail: str
) -> None:
    """T2: what is in the foreground and is no prompt, viewer or question is at work."""
    needs(*{"less", "sqlite3", "su", "sudo", "vim", "watch"}.intersection(command.split()))
    terminal = await open_terminal()
    await terminal.run(command)
    observation, _ = await terminal.becomes(ACTIVE, detail)
    assert observation.strength is Strength.OCCUPIED
    assert observation.at is None


RUN_BY_THE_SHELL = [
    "sleep 1000 & wait",
    "x=$(sleep 1000)",
    "exec sleep 1000",
    "mkfifo fifo; read x < fifo",
    "mkfifo fifo; while read x < fifo; do echo $x; done",
    "mkfifo fifo; echo done > fifo",
    "while :; do :; done",
]


@pytest.mark.parametrize("command", RUN_BY_THE_SHELL)
async def test_a_shell_that_runs_something_itself_is_active(
    open_terminal: OpenTerminal, command: str
) -> None:
    """T2: the shell's own process group is no prompt while the shell waits for something."""
    terminal = await open_terminal()
    await terminal.becomes(IDLE, "at its prompt")
    await terminal.tabs[0].type(command + "\r")
    await terminal.becomes(ACTIVE, "")


@pytest.mark.parametrize("shell", ["bash", "dash", "zsh -f"])
async def test_a_shell_in_a_shell_that_waits_for_a_named_pipe_is_active(
    open_terminal: OpenTerminal, shell: str
) -> None:
    """T2: the shell itself hangs in open(2) until somebody opens the other end."""
    needs(shell.split(maxsplit=1)[0])
    terminal = await open_terminal()
    await terminal.run(shell)
    await terminal.becomes(IDLE, "at its prompt")
    await terminal.tabs[0].type("mkfifo fifo; read x < fifo\r")
    await terminal.becomes(ACTIVE, f"{shell} in the foreground")


OWN_PROGRAMS = [
    ("info", "#!/bin/bash\nwhile :; do :; done\n", "./info", "bash ./info"),
    ("info", "while :; do :; done\n", "bash info", "bash info"),
    ("watch", "#!/usr/bin/env python3\nwhile True:\n    pass\n", "./watch", "watch"),
    ("top", "#!/bin/sh\nwhile :; do sleep 0.1; done\n", "sh $PWD/top", "/top in"),
    ("mongosh", "#!/usr/bin/env python3\nimport time\ntime.sleep(1000)\n", "./mongosh", "mongosh"),
]


@pytest.mark.parametrize(("name", "text", "command", "detail"), OWN_PROGRAMS)
async def test_a_program_of_ones_own_is_no_viewer_by_its_name(
    open_terminal: OpenTerminal, tmp_path: Path, name: str, text: str, command: str, detail: str
) -> None:
    """T2: `./info` may compute; only what lies where programs are installed is known by name."""
    (tmp_path / name).write_text(text)
    (tmp_path / name).chmod(0o755)
    terminal = await open_terminal()
    await terminal.run(command)
    await terminal.becomes(ACTIVE, detail)


async def test_a_binary_of_ones_own_is_no_viewer_by_its_name(
    open_terminal: OpenTerminal, tmp_path: Path
) -> None:
    """T2: the same holds for what no interpreter runs."""
    shutil.copy("/bin/sleep", tmp_path / "top")
    terminal = await open_terminal()
    await terminal.run("./top 1000")
    await terminal.becomes(ACTIVE, "top 1000")


VIEWERS = [
    ("top", "top"),
    ("htop", "htop"),
    ("watch -n 1 date", "watch"),
    ("watch -n 1 'sleep 0.9'", "watch"),
    ("less /etc/services /etc/passwd", "less"),
    ("cat /etc/passwd | less", "less"),
    ("man sh", "man"),
    ("tail -f /etc/passwd", "tail"),
    ("tail -n 3 -F /etc/passwd", "tail"),
    ("tail -fn3 /etc/passwd | grep --line-buffered root | cut -c 1-9", "tail"),
    ("sudo tail -f /etc/passwd", "tail"),
    ("sudo top", "top"),
    ("bash -c 'top; true'", "top"),
    ("tmux -f /dev/null new-session", "tmux"),
    ("screen", "screen"),
    ("python3 writer.py | less", "less"),
]


@pytest.mark.parametrize(("command", "program"), VIEWERS)
async def test_a_viewer_left_open_is_idle(
    open_terminal: OpenTerminal, command: str, program: str
) -> None:
    """T3: watching is not working, and the viewer's own computing is said not to count."""
    needs(command.split(None, 1)[0], program)
    terminal = await open_terminal()
    await terminal.run(command)
    if program == "screen":
        await terminal.tabs[0].type(" ")  # past its greeting
    observation, resource = await terminal.becomes(IDLE, "only watches")
    assert program in observation.detail
    assert observation.at is None
    names = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in resource.excluded_pids}
    assert names & {program, f"{program}: client", "pager"}


PROMPTS = [
    ("python3", "python3"),
    ("python3 -q -X utf8", "python3"),
    ("ipython", "ipython"),
    ("python3 -m IPython", "IPython"),
    ("sqlite3", "sqlite3"),
    ("sqlite3 some.db", "sqlite3"),
    ("node", "node"),
    ("bc -q", "bc"),
    (f"{sys.executable} -q", "python"),
    ("vim train.py", "vim"),
    ("nano train.py", "nano"),
    ("gdb", "gdb"),
]


@pytest.mark.parametrize(("command", "program"), PROMPTS)
async def test_a_repl_or_editor_at_its_prompt_is_idle(
    open_terminal: OpenTerminal, command: str, program: str
) -> None:
    """T5: a prompt is a prompt."""
    needs(command.split(None, 1)[0])
    terminal = await open_terminal()
    await terminal.run(command)
    observation, _ = await terminal.becomes(IDLE, "is left open")
    assert program in observation.detail
    assert observation.at is None


async def test_a_repl_that_waits_for_something_else_is_not_at_its_prompt(
    open_terminal: OpenTerminal,
) -> None:
    """T5: `time.sleep(1000)` typed into python is no prompt; it is active until it returns."""
    terminal = await open_terminal()
    await terminal.run("python3 -q")
    await terminal.becomes(IDLE, "python3 -q is left open")
    await terminal.tabs[0].type("import time; time.sleep(1000)\r")
    await terminal.becomes(ACTIVE, "python3 -q in the foreground")
    await terminal.tabs[0].type("\x03")
    await terminal.becomes(IDLE, "python3 -q is left open")


SILENT_WAITS = [
    ("python3 -q", "import threading; threading.Event().wait()"),
    (
        "python3 -q",
        "import time; from concurrent.futures import ThreadPoolExecutor as T;"
        " T(1).submit(time.sleep, 1000).result()",
    ),
    ("python3 -q", "import asyncio; asyncio.run(asyncio.sleep(1000))"),
    ("python3 -q", "import pty; _ = pty.spawn(['sleep', '1000'])"),
    ("python3 -q", "while True: pass\r"),
    ("ipython", "import asyncio; await asyncio.sleep(1000)"),
    ("ipython --simple-prompt", "import asyncio; await asyncio.sleep(1000)"),
    ("node", "await new Promise(done => setTimeout(done, 1e6))"),
    ("node", "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)"),
    ("sqlite3", ".shell sleep 1000"),
    ("gdb -q", "shell sleep 1000"),
]


@pytest.mark.parametrize(("command", "line"), SILENT_WAITS)
async def test_a_repl_that_runs_something_silent_is_active(
    open_terminal: OpenTerminal, command: str, line: str
) -> None:
    """T5: only its own prompt is a prompt, whatever call its command waits in."""
    needs(command.split(None, 1)[0])
    terminal = await open_terminal()
    await terminal.run(command)
    await terminal.becomes(IDLE, "is left open")
    await terminal.tabs[0].type(line + "\r")
    await terminal.becomes(ACTIVE, "in the foreground")


@pytest.mark.parametrize(
    ("below", "verdict", "detail"),
    [
        ("sleep 1000", ACTIVE, "sleep 1000 in the foreground"),
        ("bash --norc", IDLE, "is left open"),
        ("top", IDLE, "is left open"),
    ],
)
async def test_what_an_editor_runs_in_a_terminal_of_its_own_counts(
    open_terminal: OpenTerminal, below: str, verdict: Verdict, detail: str
) -> None:
    """T5: vim's `:terminal` is another tty, judged as what sudo runs on one of its own."""
    needs("vim", below.split(maxsplit=1)[0])
    terminal = await open_terminal()
    await terminal.run(f"vim -u NONE -c 'terminal {below}'")

    async def has_it() -> bool:
        table = await asyncio.to_thread(read_process_table)
        shell = table.processes[terminal.pty.ptyproc.pid]
        names = {p.comm for p in table.processes.values() if p.tty_nr not in (0, shell.tty_nr)}
        return below.split(maxsplit=1)[0] in names

    await until(has_it, "the program in vim's terminal")
    _, resource = await terminal.becomes(verdict, detail)
    if below == "top":
        names = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in resource.excluded_pids}
        assert names == {"top"}


async def test_names_of_the_configuration_are_interactive_whatever_their_arguments(
    open_terminal: OpenTerminal, jp_serverapp: Any
) -> None:
    """T5: who adds a name to the list means it."""
    terminal = await open_terminal()
    terminal.source = TerminalsSource(
        jp_serverapp.web_app.settings,
        viewer_commands=["sleep 7"],
        interactive_commands=["train.py"],
    )
    await terminal.run("python3 train.py x")
    await terminal.becomes(IDLE, "train.py x is left open")
    await terminal.tabs[0].type("\x03")
    await terminal.run("sleep 777")
    await terminal.becomes(ACTIVE, "sleep 777")
    await terminal.tabs[0].type("\x03")
    await terminal.run("sleep 7 7 7")
    await terminal.becomes(IDLE, "sleep 7 7 7 only watches")


QUESTIONS = [
    ("python3 ask.py", "ask.py"),
    ("python3 debug.py", "debug.py"),
    ("python3 -m pdb train.py", "pdb"),
    ("python3 -i debug.py", "debug.py"),
    ("python3 threaded_ask.py", "threaded_ask.py"),
    ("python3 secret.py", "secret.py"),
    ("bash choose.sh", "choose.sh"),
    ("python3 ask.py | tee log", "ask.py"),
    ("cat | python3 reader.py", "cat"),
    ("rm -i train.py", "rm"),
    ("bash -c 'python3 ask.py; true'", "ask.py"),
    ("cat", "cat"),
]


@pytest.mark.parametrize(("command", "detail"), QUESTIONS)
async def test_a_job_that_asks_at_its_terminal_is_idle_since_it_asked(
    open_terminal: OpenTerminal, command: str, detail: str
) -> None:
    """T6: a question that nobody answers is no work, since the moment it was first seen."""
    needs(command.split(None, 1)[0])
    terminal = await open_terminal()
    before = time.monotonic()
    await terminal.run(command)
    observation, _ = await terminal.becomes(IDLE, "waits for input")
    assert detail in observation.detail
    assert observation.at is not None
    assert before < observation.at < time.monotonic() - 0.3
    again, _ = await terminal.observe()
    assert again.at == observation.at


async def test_the_password_prompt_of_su_is_a_question(open_terminal: OpenTerminal) -> None:
    """T6: su with nothing below it asks for the password; its calls are not ours to read."""
    needs("su", "setpriv")
    as_nobody = "" if os.getuid() else "setpriv --reuid 65534 --regid 65534 --clear-groups "
    terminal = await open_terminal()
    await terminal.run(as_nobody + "su")
    observation, _ = await terminal.becomes(IDLE, "su waits for input")
    assert observation.at is not None


async def test_a_question_that_was_answered_and_asked_anew_counts_anew(
    open_terminal: OpenTerminal,
) -> None:
    """T6: the job moved on in between, so its idleness starts again."""
    terminal = await open_terminal()
    await terminal.run("python3 ask_twice.py")
    first, _ = await terminal.becomes(IDLE, "waits for input")
    await terminal.tabs[0].type("y\r")

    async def newer() -> bool:
        observation, _ = await terminal.observe()
        return observation.verdict is IDLE and (observation.at or 0) > (first.at or 0)

    await until(newer, "a later instant for the second question")


@pytest.mark.js214
@pytest.mark.parametrize("command", ["true", "python3 debug.py", "python3", "vim train.py", "top"])
async def test_resizing_reattaching_and_second_tabs_are_no_evidence(
    open_terminal: OpenTerminal, command: str
) -> None:
    """T4: no verdict, no instant and no keystroke changes by what a page does by itself."""
    needs(command.split(None, 1)[0])
    terminal = await open_terminal()
    tab = terminal.tabs[0]
    if command != "true":
        await terminal.run(command)
    expected = {"true": "at its prompt", "python3 debug.py": "waits for input", "top": "watches"}
    await terminal.becomes(IDLE, expected.get(command, "is left open"))
    before, typed = await terminal.observe(), await terminal.typed_at()
    for rows in (30, 12, 40):
        await tab.resize(rows, 100)
        await asyncio.sleep(0.1)
    second = await terminal.open_tab()
    await second.type("\x1b[?1;2c\x1b[>0;276;0c")  # what xterm.js answers to replayed queries
    await second.type("\x1b[14;1R")
    await second.type("\x1b[I")
    await tab.close()
    await second.close()
    third = await terminal.open_tab()
    await third.type("\x1b]11;rgb:0000/0000/0000\x1b\\")
    await asyncio.sleep(0.5)
    observation, _ = await terminal.becomes(IDLE, expected.get(command, "is left open"))
    assert observation == before[0]
    assert await terminal.typed_at() == typed


@pytest.mark.js214
async def test_a_keystroke_is_seen_at_the_websocket_when_it_comes(
    open_terminal: OpenTerminal,
) -> None:
    """T1: idle since the last keystroke, to the fraction of a second."""
    terminal = await open_terminal()
    assert await terminal.typed_at() is None
    before = time.monotonic()
    await terminal.tabs[0].type("x")

    async def typed() -> float | None:
        return await terminal.typed_at()

    at = await until(typed, "a keystroke")
    assert before < at < time.monotonic()
    await asyncio.sleep(0.3)
    assert await terminal.typed_at() == at


async def test_a_job_that_ended_between_two_looks_counts_until_the_later_look(
    open_terminal: OpenTerminal,
) -> None:
    """Never early: nobody knows when exactly it ended, so the look that misses it is taken."""
    terminal = await open_terminal()
    await terminal.run("sleep 4")
    await terminal.becomes(ACTIVE, "sleep 4")

    async def ended_unseen() -> bool:
        shell: int = terminal.pty.ptyproc.pid
        return os.tcgetpgrp(terminal.pty.ptyproc.fd) == shell

    await until(ended_unseen, "the end of the command")
    before = time.monotonic()
    report = await terminal.look()
    (ended,) = (o.at for o in report.observations if o.detail == "its last command ended")
    assert ended is not None
    assert ended >= before


async def test_a_terminal_whose_shell_came_and_went_between_two_looks_is_idle(
    open_terminal: OpenTerminal,
) -> None:
    """P2: a job that was disowned keeps the terminal open and listed; nothing there is hidden."""
    terminal = await open_terminal()
    await terminal.tabs[0].type("sleep 30 & disown -a\rexit\r")
    shell = terminal.pty.ptyproc.pid

    async def shell_is_gone() -> bool:
        return not terminal.pty.ptyproc.isalive()  # which reaps it

    await until(shell_is_gone, "the end of the shell")
    await terminal.becomes(IDLE, "its shell has ended")
    for process in read_process_table().processes.values():
        if process.session == shell:
            os.kill(process.pid, signal.SIGKILL)


async def test_without_a_watch_the_device_tells_of_input(
    open_terminal: OpenTerminal, jp_serverapp: Any
) -> None:
    """T1: where the websocket cannot be watched, a new atime of the tty is input, rounded late."""
    terminal = await open_terminal()
    terminal.source = TerminalsSource(jp_serverapp.web_app.settings)
    assert terminal.source.limitations
    first = time.monotonic()
    await terminal.look()

    async def typed() -> bool:
        """Type each time: within one step of 8 seconds the device shows nothing new."""
        await terminal.tabs[0].type("x")
        at = await terminal.typed_at()
        assert at is not None
        assert first <= at <= time.monotonic()
        return at > first + 9

    await until(typed, "input at the device after its birth")


async def test_a_terminal_is_described(open_terminal: OpenTerminal) -> None:
    """People see its name, its command, its tabs; the culler its shell and its start."""
    terminal = await open_terminal()
    await terminal.open_tab()
    _, resource = await terminal.observe()
    assert resource.label == f"Terminal {terminal.name}"
    assert resource.pid == terminal.pty.ptyproc.pid
    assert resource.connections == 2
    assert resource.facts == {"foreground": "bash --norc", "clients": 2}
    assert time.monotonic() - 60 < resource.started_at <= time.monotonic()


async def test_a_name_that_is_given_again_starts_anew(open_terminal: OpenTerminal) -> None:
    """A new terminal 1 has nothing of the keystrokes of the old one."""
    first = await open_terminal()
    await first.tabs[0].type("x")

    async def typed() -> float | None:
        return await first.typed_at()

    await until(typed, "a keystroke")
    await first.tabs[0].type("\x15exit\r")

    async def gone() -> bool:
        return not (await first.look()).resources

    await until(gone, "the terminal to close")
    second = await open_terminal()
    assert second.name == first.name
    assert await second.typed_at() is None


async def test_without_a_process_table_terminals_are_listed_and_unknown(
    open_terminal: OpenTerminal,
) -> None:
    """An unreadable /proc makes each terminal unknown, and hides none."""
    terminal = await open_terminal()
    look = Look(now=time.monotonic(), processes=None, processes_error="hidden")
    report = await terminal.source.observe(look)
    assert [r.id for r in report.resources] == [terminal.id]
    assert [o.verdict for o in report.observations] == [Verdict.UNKNOWN]
    assert "hidden" in report.observations[0].detail


async def test_a_foreground_that_cannot_be_seen_is_unknown(open_terminal: OpenTerminal) -> None:
    """/proc with hidepid: the shell is ours to see, what sudo runs is not."""
    terminal = await open_terminal()
    await terminal.run("sleep 1000")
    table = read_process_table()
    group = os.tcgetpgrp(terminal.pty.ptyproc.fd)
    seen = {pid: p for pid, p in table.processes.items() if p.pgrp != group}
    look = Look(now=time.monotonic(), processes=table._replace(processes=seen))
    report = await terminal.source.observe(look)
    assert [o.verdict for o in report.observations if o.at is None] == [Verdict.UNKNOWN]


async def test_on_other_systems_the_foreground_group_and_last_activity_speak(
    open_terminal: OpenTerminal,
) -> None:
    """Neither /proc nor an error: tcgetpgrp tells a prompt from a job, and nothing crashes."""
    terminal = await open_terminal()
    look = Look(now=time.monotonic())
    (observation,) = (await terminal.source.observe(look)).observations
    assert observation.verdict is IDLE
    await terminal.run("sleep 1000")
    observation = (await terminal.source.observe(look)).observations[0]
    assert (observation.verdict, observation.strength) == (ACTIVE, Strength.OCCUPIED)
    del terminal.pty.last_activity
    terminal.pty.ptyproc, ptyproc = object(), terminal.pty.ptyproc
    try:
        observation = (await terminal.source.observe(look)).observations[0]
        assert (observation.verdict, observation.at) == (IDLE, None)
    finally:
        terminal.pty.ptyproc = ptyproc


async def test_a_server_without_terminals_has_none() -> None:
    """No terminal manager: an empty report, and nothing to warn about."""
    source = TerminalsSource({})
    report = await source.observe(Look(now=1.0))
    assert not report.resources
    assert not report.observations
    assert source.limitations == ()
