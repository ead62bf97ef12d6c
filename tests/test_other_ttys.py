"""People at other terminals of the same user (U6), with real terminals and a real tmux."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from jupyter_idle_culler.core.model import Kind, Observation, Resource, ResourceId, Verdict
from jupyter_idle_culler.sources.base import Look
from jupyter_idle_culler.sources.other_ttys import OtherTtysSource, tty_path
from jupyter_idle_culler.sources.procfs import ProcessTable, children_of, read_process_table, tree

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux ttys")


class Terminal:
    """A terminal in which ``cat`` reads what somebody types."""

    def __init__(self, env: dict[str, str] | None = None) -> None:
        self.master, slave = os.openpty()
        self.path = Path(os.ttyname(slave))
        # setsid -c makes it the controlling terminal, as a login does.
        self.process = subprocess.Popen(
            ["setsid", "-c", "cat"], stdin=slave, stdout=slave, stderr=slave, env=env
        )
        os.close(slave)
        until(lambda: psutil.Process(self.pid).name() == "cat")

    @property
    def pid(self) -> int:
        """The process that has it as its controlling terminal."""
        return self.process.pid

    def age(self) -> None:
        """Make its last input a while ago, so that the next one moves it at once."""
        status = self.path.stat()
        os.utime(self.path, (status.st_atime - 100, status.st_mtime))

    def type(self) -> None:
        """Type a line, and wait until the program has read it."""
        before = self.path.stat().st_atime_ns
        os.write(self.master, b"hello\n")
        until(lambda: self.path.stat().st_atime_ns != before)
        os.read(self.master, 1000)

    def close(self) -> None:
        """Hang up."""
        self.process.kill()
        self.process.wait()
        os.close(self.master)


def until(condition: Callable[[], bool]) -> None:
    """Wait for up to 30 s."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


def only(*pids: int) -> ProcessTable:
    """Return the real process table, as it is where nothing else runs but these and theirs."""
    table = read_process_table()
    kept = tree(pids, children_of(table.processes))
    return table._replace(processes={p: v for p, v in table.processes.items() if p in kept})


async def seen(
    source: OtherTtysSource, now: float, *pids: int, resources: tuple[Resource, ...] = ()
) -> Observation | None:
    """Look at a machine on which only these processes run."""
    report = await source.observe(Look(now, only(*pids), resources=resources))
    return report.observations[0] if report.observations else None


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A terminal that was opened a while ago."""
    made = Terminal()
    made.age()
    yield made
    made.close()


async def test_input_is_evidence_and_neither_silence_nor_output_is(terminal: Terminal) -> None:
    """At the look that finds it, and up to 8 s later, for the kernel counts in such steps."""
    source = OtherTtysSource()
    assert await seen(source, 10.0, terminal.pid) is None
    with terminal.path.open("w") as screen:
        screen.write("output of a job\n")
    assert await seen(source, 20.0, terminal.pid) is None
    terminal.type()
    found = await seen(source, 30.0, terminal.pid)
    assert found is not None
    assert (found.verdict, found.at) == (Verdict.IDLE, 30.0)
    assert found.detail == f"input at pts/{terminal.path.name}"
    found = await seen(source, 90.0, terminal.pid)
    assert found is not None
    assert found.at == 38.0


async def test_what_was_typed_before_the_first_look_is_not_taken_for_now(
    terminal: Terminal,
) -> None:
    """A terminal that stood there already says nothing until it changes."""
    terminal.type()
    source = OtherTtysSource()
    assert await seen(source, 10.0, terminal.pid) is None
    assert await seen(source, 20.0, terminal.pid) is None


@pytest.mark.parametrize("hours", [-5, 8])
async def test_a_stepped_wall_clock_neither_makes_nor_hides_input(
    hours: int, terminal: Terminal
) -> None:
    """Only that the time differs counts: input under a clock set back, or years ahead."""
    source = OtherTtysSource()
    assert await seen(source, 10.0, terminal.pid) is None
    stepped = time.time() + hours * 3600
    os.utime(terminal.path, (stepped, terminal.path.stat().st_mtime))
    found = await seen(source, 20.0, terminal.pid)
    assert found is not None
    assert found.at == 20.0


async def test_a_terminal_opened_since_the_last_look_counts_only_if_somebody_typed() -> None:
    """A login between two looks is seen; a program that only opened a terminal is nobody."""
    source = OtherTtysSource()
    await seen(source, 10.0, os.getpid())
    silent = Terminal()
    assert await seen(source, 20.0, silent.pid) is None
    busy = Terminal()
    try:
        busy.age()
        busy.type()
        found = await seen(source, 30.0, silent.pid, busy.pid)
        assert found is not None
        assert (found.at, found.detail) == (30.0, f"input at pts/{busy.path.name}")
    finally:
        silent.close()
        busy.close()


@pytest.mark.parametrize("kind", [Kind.KERNEL, Kind.TERMINAL])
async def test_terminals_inside_kernels_and_jupyter_terminals_are_left_out(
    kind: Kind, terminal: Terminal
) -> None:
    """A cell that drives a program through a terminal is no person; Jupyter's have a source."""
    source = OtherTtysSource()
    resources = (Resource(ResourceId(kind, "1"), 0.0, pid=terminal.pid),)
    assert await seen(source, 10.0, terminal.pid, resources=resources) is None
    terminal.type()
    assert await seen(source, 20.0, terminal.pid, resources=resources) is None
    assert source.paths() == ()


async def test_a_terminal_named_as_own_is_left_out(terminal: Terminal) -> None:
    """Even in a look in which the terminals themselves could not be listed."""
    source = OtherTtysSource(own_ttys=lambda: [str(terminal.path)])
    await seen(source, 10.0, terminal.pid)
    terminal.type()
    assert await seen(source, 20.0, terminal.pid) is None


async def test_terminals_of_other_users_do_not_count(terminal: Terminal) -> None:
    """Another uid's work is none of ours."""
    source = OtherTtysSource(uid=os.getuid() + 1)
    await seen(source, 10.0, terminal.pid)
    terminal.type()
    assert await seen(source, 20.0, terminal.pid) is None


@pytest.mark.parametrize(
    ("mark", "server_is_parent", "counts"),
    [(None, False, False), ("mine", False, True), ("theirs", False, False), (None, True, True)],
)
async def test_where_only_the_server_stops_only_its_own_terminals_count(
    mark: str | None, server_is_parent: bool, counts: bool
) -> None:
    """Its descendants, and what carries its marks: two servers of one user stay apart."""
    env = dict(os.environ, **({"JUPYTER_SERVER_URL": mark} if mark else {}))
    terminal = Terminal(env)
    try:
        terminal.age()
        server = os.getpid() if server_is_parent else terminal.pid + 100_000
        source = OtherTtysSource(False, ["JUPYTER_SERVER_URL=mine"], server_pid=server)
        pids = (os.getpid(), terminal.pid)
        own = (Resource(ResourceId(Kind.KERNEL, "x"), 0.0, pid=None),)
        await seen(source, 10.0, *pids, resources=own)
        terminal.type()
        found = await seen(source, 20.0, *pids, resources=own)
        assert (found is not None) == counts
        assert (terminal.path in source.paths()) == counts
    finally:
        terminal.close()


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
async def test_somebody_who_types_in_a_tmux_pane_is_a_person(tmp_path: Path) -> None:
    """The pane's terminal is no child of anything of Jupyter's."""
    tmux = ["tmux", "-f", "/dev/null", "-S", str(tmp_path / "socket")]
    subprocess.run([*tmux, "new-session", "-d", "cat"], check=True)
    try:
        asked = [*tmux, "display-message", "-p", "#{pid} #{pane_tty}"]
        said = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()
        server, path = int(said[0]), Path(said[1])
        until(lambda: len(psutil.Process(server).children()) == 1)
        os.utime(path, (path.stat().st_atime - 100, path.stat().st_mtime))
        source = OtherTtysSource()
        assert await seen(source, 10.0, server) is None
        before = path.stat().st_atime_ns
        subprocess.run([*tmux, "send-keys", "hello", "Enter"], check=True)
        until(lambda: path.stat().st_atime_ns != before)
        found = await seen(source, 20.0, server)
        assert found is not None
        assert found.at == 20.0
    finally:
        subprocess.run([*tmux, "kill-server"], check=True)


async def test_without_a_process_table_it_is_unknown_or_out_of_reach() -> None:
    """Unreadable on Linux is a failure; elsewhere it is a limitation, and nothing crashes."""
    source = OtherTtysSource()
    with pytest.raises(OSError, match="hidden"):
        await source.observe(Look(1.0, None, "hidden"))
    assert (await source.observe(Look(1.0))).observations == ()
    assert source.limitations == ()


@pytest.mark.parametrize(
    ("tty_nr", "path"),
    [
        (0, None),
        (136 << 8, "/dev/pts/0"),
        ((136 << 8) | 7, "/dev/pts/7"),
        ((136 << 8) | (1 << 20) | 3, "/dev/pts/259"),
        ((4 << 8) | 1, "/dev/tty1"),
        ((4 << 8) | 64, "/dev/ttyS0"),
        ((5 << 8) | 1, None),
    ],
)
def test_terminals_are_found_by_their_device_number(tty_nr: int, path: str | None) -> None:
    """As proc_pid_stat(5) encodes it."""
    assert tty_path(tty_nr) == (None if path is None else Path(path))
