"""The judgement of a terminal's foreground where the machine hides something, or is ambiguous."""

from __future__ import annotations

import json
import os
import platform
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from jupyter_idle_culler.sources import waiting
from jupyter_idle_culler.sources.commands import Catalogue
from jupyter_idle_culler.sources.foreground import (
    BlockedSince,
    Foreground,
    Foregrounds,
    Probe,
    Standing,
)
from jupyter_idle_culler.sources.procfs import Process, read_process, read_process_table
from jupyter_idle_culler.sources.waiting import Wait, Waiting, edits_line, tty_path, waits_for

from .driven_terminals import PATIENCE_SECONDS, needs, write_scripts


class OwnTerminal:
    """A bash on a pseudo terminal of the test's own."""

    def __init__(self, directory: Path) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(directory)
            os.environ.update(TERM="xterm-256color", HISTFILE="/dev/null")
            os.execvp("bash", ["bash", "--norc"])  # noqa: S606 - a shell is what is tested
        shell = read_process(self.pid)
        assert shell is not None
        self.tty_nr = 0
        self.drain(lambda: bool((shell := read_process(self.pid)) and shell.tty_nr))
        current = read_process(self.pid)
        assert current is not None
        self.tty_nr = current.tty_nr

    def drain(self, done: Callable[[], bool]) -> None:
        """Read what it shows until something is so."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not done():
            assert time.monotonic() < deadline
            if select.select([self.fd], [], [], 0.05)[0]:
                os.read(self.fd, 65536)

    def run(self, command: str) -> None:
        """Type a command, and wait until it has the foreground."""
        os.write(self.fd, command.encode() + b"\r")
        self.drain(lambda: os.tcgetpgrp(self.fd) != self.pid)

    def judged(self, standing: Standing, probe: Probe | None = None) -> Foreground:
        """Wait for a judgement, and return it."""
        found: list[Foreground] = []

        def so() -> bool:
            found[:] = [Foregrounds(read_process_table(), Catalogue(), probe).of(self.tty_nr)]
            return found[0].standing is standing

        self.drain(so)
        return found[0]

    def close(self) -> None:
        """Hang up, and reap the shell."""
        os.close(self.fd)
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)


@pytest.fixture
def terminal(tmp_path: Path) -> Generator[OwnTerminal]:
    """Open a terminal in a folder with scripts."""
    write_scripts(tmp_path)
    terminal = OwnTerminal(tmp_path)
    yield terminal
    terminal.close()


class Refused(Probe):
    """The machine as another user sees it: command lines, but no calls and no descriptors."""

    def wait(self, process: Process) -> Wait:
        return Wait(Waiting.UNKNOWN)

    def hands_keys_on(self, tty_nr: int) -> bool | None:
        return None

    def edits_line(self, tty_nr: int) -> bool | None:
        return None

    def holds_pipe(self, process: Process, inode: int) -> bool:
        return False

    def reads_terminal(self, process: Process) -> bool | None:
        return None


UNREADABLE = [
    (None, Standing.SHELL),
    ("bash --norc", Standing.SHELL),
    ("python3", Standing.JOB),
    ("sudo bash --norc", Standing.SHELL),
    ("sudo sleep 1000", Standing.JOB),
    ("top", Standing.VIEWER),
    ("tail -f train.py | grep x", Standing.VIEWER),
    ("python3 train.py", Standing.JOB),
    ("python3 ask.py", Standing.JOB),
    ("python3 train.py | less", Standing.JOB),
]


@pytest.mark.parametrize(("command", "standing"), UNREADABLE)
def test_where_calls_cannot_be_read_names_decide_and_questions_are_jobs(
    terminal: OwnTerminal, command: str | None, standing: Standing
) -> None:
    """T6 where /proc/<pid>/syscall is not ours to read: else as T2, and so is a REPL (T5)."""
    if command is not None:
        needs(command.split(None, 1)[0])
        terminal.run(command)
    terminal.judged(standing, Refused())


AS_NOBODY = """
import json, os, sys
from jupyter_idle_culler.sources.commands import Catalogue
from jupyter_idle_culler.sources.foreground import Foregrounds
from jupyter_idle_culler.sources.procfs import read_process_table
from jupyter_idle_culler.sources.waiting import waits_for
os.setgroups([]); os.setgid(65534); os.setuid(65534)
found = Foregrounds(read_process_table(), Catalogue()).of(int(sys.argv[1]))
wait = waits_for(found.process.pid, int(sys.argv[1]))
print(json.dumps([found.standing.name, wait.what.name]))
"""


@pytest.mark.parametrize(("command", "standing"), UNREADABLE)
def test_another_user_is_judged_from_outside_the_same(
    terminal: OwnTerminal, command: str | None, standing: Standing
) -> None:
    """What `sudo -i` runs belongs to root: a server that is not root still sees names."""
    if os.getuid():
        pytest.skip("only root can become somebody else")
    if command is not None:
        needs(command.split(None, 1)[0])
        terminal.run(command)
    terminal.judged(standing, Refused())
    answer = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(terminal.tty_nr)],
        check=True,
        capture_output=True,
    )
    assert json.loads(answer.stdout) == [standing.name, "UNKNOWN"]


class OnlyModes(Refused):
    """The machine as it is for a `su` on one's own terminal: the terminal's mode can be read."""

    def edits_line(self, tty_nr: int) -> bool | None:
        return edits_line(tty_nr)


MODES = [
    (None, Standing.SHELL, "read x < fifo", Standing.JOB),
    ("zsh -f", Standing.SHELL, "read x < fifo", Standing.JOB),
    ("python3 -q", Standing.PROMPT, "import time; time.sleep(1000)", Standing.JOB),
    ("sqlite3", Standing.PROMPT, ".shell sleep 1000", Standing.JOB),
]


@pytest.mark.parametrize(("command", "prompt", "line", "running"), MODES)
def test_where_calls_cannot_be_read_the_mode_of_the_terminal_tells_a_prompt(
    terminal: OwnTerminal,
    tmp_path: Path,
    command: str | None,
    prompt: Standing,
    line: str,
    running: Standing,
) -> None:
    """T1, T5: a line editor has the terminal at a prompt, and gives it back for a command."""
    os.mkfifo(tmp_path / "fifo")
    if command is not None:
        needs(command.split(None, 1)[0])
        terminal.run(command)
    terminal.judged(prompt, OnlyModes())
    os.write(terminal.fd, line.encode() + b"\r")
    terminal.judged(running, OnlyModes())


def test_reading_the_mode_of_a_terminal_leaves_no_trace(terminal: OwnTerminal) -> None:
    """The time of access stays (it tells of input), and nobody gets a controlling terminal."""
    path = tty_path(terminal.tty_nr)
    assert path is not None
    terminal.judged(Standing.SHELL)
    os.utime(path, (1, 1))
    assert edits_line(terminal.tty_nr) is True
    assert Path(path).stat().st_atime == 1
    reader = (
        "import os, sys; os.setsid(); sys.path[:] = sys.argv[2:];"
        "from jupyter_idle_culler.sources.procfs import read_process;"
        "from jupyter_idle_culler.sources.waiting import edits_line;"
        "print(edits_line(int(sys.argv[1])), read_process(os.getpid()).tty_nr)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", reader, str(terminal.tty_nr), *sys.path],
        check=True,
        capture_output=True,
    )
    assert answer.stdout.split() == [b"True", b"0"]
    assert edits_line(4 << 8 | 1) is None


EPOLLS = [
    ("", Waiting.ELSEWHERE, False),
    ("add(0)", Waiting.LISTENS, True),
    ("add(0); import socket; s = socket.create_server(('', 0)); add(s)", Waiting.LISTENS, False),
    ("add(0); timeout = 1000", Waiting.LISTENS, False),
    ("f = select.epoll(); f.register(0, 1); add(f)", Waiting.UNKNOWN, False),
]


@pytest.mark.parametrize(("code", "what", "endless"), EPOLLS)
def test_an_event_loop_waits_for_what_is_registered_with_it(
    terminal: OwnTerminal, tmp_path: Path, code: str, what: Waiting, endless: bool
) -> None:
    """The kernel tells what an epoll watches: with the terminal there, it may be a prompt."""
    (tmp_path / "loop.py").write_text(
        "import select, tty\ntimeout = -1\ne = select.epoll()\n"
        f"tty.setraw(0)\nadd = lambda fd: e.register(fd, select.EPOLLIN)\n{code}\ne.poll(timeout)\n"
    )
    terminal.run("python3 loop.py")
    found: list[Wait] = []

    def so() -> bool:
        process = terminal.judged(Standing.JOB).process
        assert process is not None
        found[:] = [waits_for(process.pid, process.tty_nr)]
        return (found[0].what, found[0].endless) == (what, endless)

    terminal.drain(so)


class OnlyWchan(Probe):
    """A machine that refuses /proc/<pid>/syscall (Yama) and shows wchan."""

    def wait(self, process: Process) -> Wait:
        directory = f"/proc/{process.pid}"
        wchan = waiting._text(f"{directory}/wchan") or ""
        return waiting._from_wchan(wchan, directory, process.tty_nr)


WCHAN = [
    ("python3 ask.py", Standing.BLOCKED),
    ("python3 secret.py", Standing.BLOCKED),
    ("bash choose.sh", Standing.BLOCKED),
    ("python3 train.py", Standing.JOB),
    ("python3 net.py", Standing.JOB),
    ("python3 receive.py", Standing.JOB),
]


@pytest.mark.parametrize(("command", "standing"), WCHAN)
def test_where_only_wchan_is_readable_it_tells_a_terminal_from_a_socket(
    terminal: OwnTerminal, tmp_path: Path, command: str, standing: Standing
) -> None:
    """`wait_woken` is what both show; who has a socket open is in doubt, and so a job."""
    (tmp_path / "receive.py").write_text(
        "import socket\ns = socket.create_server(('127.0.0.1', 0))\n"
        "c = socket.create_connection(s.getsockname())\nc.recv(1)\n"
    )
    terminal.run(command)
    terminal.judged(Standing.JOB if standing is Standing.JOB else standing, OnlyWchan())
    for _ in range(5):
        time.sleep(0.1)
        terminal.judged(standing, OnlyWchan())


def test_wchan_is_used_when_the_call_is_refused(
    terminal: OwnTerminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fallback is reached by itself, and says that this is the terminal."""
    terminal.run("python3 ask.py")
    process = terminal.judged(Standing.BLOCKED).process
    assert process is not None
    read = waiting._text
    monkeypatch.setattr(
        waiting, "_text", lambda path: None if path.endswith("syscall") else read(path)
    )
    assert waits_for(process.pid, process.tty_nr).what is Waiting.TERMINAL
    monkeypatch.setattr(platform, "machine", lambda: "riscv128")
    monkeypatch.setattr(waiting, "_text", read)
    assert waits_for(process.pid, process.tty_nr).what is Waiting.TERMINAL


def test_a_terminal_that_nobody_is_on_is_hidden() -> None:
    """No visible process on the terminal: nobody can say."""
    found = Foregrounds(read_process_table(), Catalogue()).of(0x7FF88)
    assert found == Foreground(Standing.HIDDEN)


def test_what_starts_up_with_a_shell_does_not_hide_its_prompt(
    terminal: OwnTerminal, tmp_path: Path
) -> None:
    """A helper that .bashrc put into the background shares the shell's group: still a prompt."""
    (tmp_path / "rc").write_text("sleep 1000 &\n")
    terminal.run("bash --rcfile rc")
    found = terminal.judged(Standing.SHELL)
    group = [p for p in read_process_table().processes.values() if p.tty_nr == terminal.tty_nr]
    assert any(p.comm == "sleep" and p.pgrp == os.tcgetpgrp(terminal.fd) for p in group)
    assert found.command == "bash --rcfile rc"


def test_a_long_command_that_a_viewer_started_is_a_job(terminal: OwnTerminal) -> None:
    """`watch ./train.sh` is no watching once the command has run for a minute."""
    needs("watch")
    terminal.run("watch -n 1 sleep 1000")
    terminal.drain(
        lambda: any(
            p.comm == "sleep" and p.tty_nr == terminal.tty_nr
            for p in read_process_table().processes.values()
        )
    )
    table = read_process_table()
    now = Foregrounds(table, Catalogue()).of(terminal.tty_nr)
    assert (now.standing, now.command) == (Standing.VIEWER, "watch -n 1 sleep 1000")
    later = table._replace(boot_ticks=table.boot_ticks + 61 * 100)
    assert Foregrounds(later, Catalogue()).of(terminal.tty_nr).standing is Standing.JOB


def test_only_pseudo_terminals_have_a_path() -> None:
    """136 to 143 are the majors of Unix98 pseudo terminals; a console has another kind."""
    assert tty_path(136 << 8 | 5) == "/dev/pts/5"
    assert tty_path(136 << 8 | 5 | 1 << 20) == "/dev/pts/261"
    assert tty_path(4 << 8 | 1) is None
    assert tty_path(0) is None


def blocked(pid: int = 7, cpu: int = 100, mark: str = "0 0x0") -> Foreground:
    """Make a foreground that waits for input."""
    process = Process(pid, "x", "S", 1, pid, 1, 34816, pid, 0, cpu, 0, 5, 0)
    return Foreground(Standing.BLOCKED, "x", process, mark=mark)


def test_a_redraw_does_not_move_a_blocked_job_on() -> None:
    """T4: next to no CPU in the same call is a redraw after a resize."""
    since = BlockedSince()
    assert since.see(blocked(), 10.0, False) == 10.0
    assert since.see(blocked(cpu=101), 20.0, False) == 10.0


@pytest.mark.parametrize(
    ("next_", "stirred"),
    [
        (blocked(), True),
        (blocked(pid=8), False),
        (blocked(mark="0 0x3"), False),
        (blocked(cpu=110), False),
    ],
    ids=["input came", "another process", "another call", "it computed"],
)
def test_a_job_that_moved_on_is_blocked_anew(next_: Foreground, stirred: bool) -> None:
    """The instant starts again with input, another process, another call, or computing."""
    since = BlockedSince()
    since.see(blocked(), 10.0, False)
    assert since.see(next_, 20.0, stirred) == 20.0
    assert since.see(next_, 30.0, False) == 20.0


def test_a_job_that_works_in_between_is_blocked_anew() -> None:
    """A look that saw it working forgets the question before."""
    since = BlockedSince()
    since.see(blocked(), 10.0, False)
    assert since.see(blocked()._replace(standing=Standing.JOB), 20.0, False) is None
    assert since.see(blocked(), 30.0, False) == 30.0
