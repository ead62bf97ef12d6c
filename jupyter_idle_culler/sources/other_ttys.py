"""People at other terminals of the same user: ssh, a tmux pane, a console (U6)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..core.model import HOST, Observation, Resource, Verdict
from .base import Look, Report
from .procfs import ProcessTable, ProcKey, children_of, tree

ATIME_STEP_SECONDS = 8.0
_NANOSECONDS = 1_000_000_000
# Documentation/admin-guide/devices.txt of Linux: the numbers that terminals have had for ever.
_UNIX98_FIRST, _UNIX98_LAST, _CONSOLE, _FIRST_SERIAL = 136, 143, 4, 64


def tty_path(tty_nr: int, dev: Path = Path("/dev")) -> Path | None:
    """Return the device that proc_pid_stat(5) calls so; None: none, or a kind not looked at."""
    major = (tty_nr >> 8) & 0xFFF
    minor = (tty_nr & 0xFF) | ((tty_nr >> 12) & 0xFFF00)
    if _UNIX98_FIRST <= major <= _UNIX98_LAST:
        return dev / "pts" / str((major - _UNIX98_FIRST) * 256 + minor)
    if major == _CONSOLE:
        serial = minor >= _FIRST_SERIAL
        return dev / (f"ttyS{minor - _FIRST_SERIAL}" if serial else f"tty{minor}")
    return None


class _Terminal(NamedTuple):
    """A terminal for good: its number is used again, by another session leader."""

    path: Path
    leader: ProcKey


@dataclass
class _Seen:
    """The time of input that the device had, and the latest moment of the input that moved it."""

    atime_ns: int
    input_at: float | None = None


class OtherTtysSource:
    """Holds the host active by input on terminals of the server's own user that are not Jupyter's.

    A terminal's ``st_atime`` moves when a program reads input from it; the kernel sets it in steps
    of 8 seconds, whatever the mount options say (tty_update_time in drivers/tty/tty_io.c). It is
    wall time, so it is only compared with that of the look before: a change is a person who typed
    at some moment up to 8 s after the look that finds it, for input within the same step leaves no
    trace. What was typed before the first look is not known. A terminal that was opened since the
    look before counts if it was read at all: its first time has fractions of a second, a read one
    none.

    Ends of input that a program feeds (pexpect, ``script``) move it too: terminals whose programs
    descend from a kernel or a Jupyter terminal are left out, for those have sources of their own.

    ``whole_machine`` False: only terminals of this server's own processes count, so that two
    servers of one user do not keep each other alive; ``marks`` are the environment entries
    (``JUPYTER_SERVER_URL=…``, ``JPY_PARENT_PID=…``) by which a tmux server is known as its own.
    """

    name = "other-ttys"
    covers = HOST
    essential = False

    def __init__(
        self,
        whole_machine: bool = True,
        marks: Iterable[str] = (),
        uid: int | None = None,
        server_pid: int | None = None,
        own_ttys: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self.whole_machine = whole_machine
        self._marks = frozenset(mark.encode() for mark in marks)
        self._uid = os.getuid() if uid is None and hasattr(os, "getuid") else uid
        self._server_pid = os.getpid() if server_pid is None else server_pid
        self._own_ttys = own_ttys
        self._seen: dict[_Terminal, _Seen] | None = None
        self._looked_at_ticks = 0
        self._carries: dict[ProcKey, bool] = {}

    @property
    def limitations(self) -> tuple[str, ...]:
        """What cannot be seen here."""
        if Path("/proc/self/stat").exists():
            return ()
        return ("Input on terminals outside Jupyter (ssh, tmux) is seen on Linux only.",)

    def paths(self) -> tuple[Path, ...]:
        """Return the terminals that counted in the last look: where people can be written to."""
        return tuple(terminal.path for terminal in self._seen or ())

    async def observe(self, look: Look) -> Report:
        """Say when input was last seen at any of these terminals.

        Raises: OSError, when the process table could not be read.
        """
        if look.processes is None:
            if look.processes_error is not None:
                raise OSError(look.processes_error)
            return Report()
        own = {Path(path) for path in self._own_ttys()}
        await asyncio.to_thread(self._look, look.processes, look.resources, own, look.now)
        moved = [(s.input_at, t) for t, s in (self._seen or {}).items() if s.input_at is not None]
        if not moved:
            return Report()
        at, terminal = max(moved)
        detail = f"input at {str(terminal.path).removeprefix('/dev/')}"
        return Report((Observation(HOST, self.name, Verdict.IDLE, min(at, look.now), detail),))

    def _look(
        self, table: ProcessTable, resources: tuple[Resource, ...], own: set[Path], now: float
    ) -> None:
        seen: dict[_Terminal, _Seen] = {}
        for terminal in self._terminals(table, resources, own):
            try:
                status = terminal.path.stat()
            except OSError:
                continue  # closed since the table was read
            if status.st_uid != self._uid:
                continue
            before = None if self._seen is None else self._seen.get(terminal)
            if before is None:
                known = _Seen(status.st_atime_ns)
                fresh = self._seen is not None and terminal.leader.start_ticks >= (
                    self._looked_at_ticks
                )
                if fresh and status.st_atime_ns % _NANOSECONDS == 0:
                    known.input_at = now
            elif before.atime_ns != status.st_atime_ns:
                known = _Seen(status.st_atime_ns, now + ATIME_STEP_SECONDS)
            else:
                known = before
            seen[terminal] = known
        self._seen, self._looked_at_ticks = seen, table.boot_ticks

    def _terminals(
        self, table: ProcessTable, resources: tuple[Resource, ...], own: set[Path]
    ) -> set[_Terminal]:
        """Find the terminals that people of this uid may sit at, outside of Jupyter's."""
        processes = table.processes
        children = children_of(processes)
        inside = tree((r.pid for r in resources if r.pid is not None), children)
        server = set() if self.whole_machine else tree([self._server_pid], children)
        ours, left_out = set(), set(own)
        for process in processes.values():
            if process.tty_nr == 0 or (path := tty_path(process.tty_nr)) is None:
                continue
            if process.pid in inside:
                left_out.add(path)
            elif process.uid == self._uid and (
                self.whole_machine or process.pid in server or self._carries_mark(process.key)
            ):
                leader = processes.get(process.session, process)
                ours.add(_Terminal(path, leader.key))
        for gone in [key for key in self._carries if key.pid not in processes]:
            del self._carries[gone]
        return {terminal for terminal in ours if terminal.path not in left_out}

    def _carries_mark(self, key: ProcKey) -> bool:
        known = self._carries.get(key)
        if known is None:
            try:
                environment = Path(f"/proc/{key.pid}/environ").read_bytes().split(b"\0")
            except OSError:
                return False
            known = self._carries[key] = not self._marks.isdisjoint(environment)
        return known
