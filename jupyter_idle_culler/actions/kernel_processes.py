"""End the ordinary processes of a kernel's session, and never one that was detached.

Detached is what `nohup` left (it ignores SIGHUP), with all below it, and what has a session of its
own (`setsid`, ``start_new_session``). jupyter_client starts each kernel as the leader of a session.
Linux only: elsewhere there is no ``/proc`` and nothing is found.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..sources.procfs import (
    Process,
    ProcKey,
    TableReader,
    children_of,
    read_process,
    tree,
)

_TERM_SECONDS = 3.0
_KILL_SECONDS = 2.0
_POLL_SECONDS = 0.05
_SIGHUP_BIT = 1  # signal 1 is the lowest bit of the masks in /proc/<pid>/status


@dataclass(frozen=True)
class Members:
    """The living processes of a kernel's session but the kernel itself, told apart.

    ``in_group``: a detached one is in the kernel's process group, so signals to that group hit it.
    ``in_reach``: it is a descendant of the kernel in that group too; ipykernel ends those itself
    when it is asked to shut down.
    """

    ordinary: tuple[Process, ...] = ()
    detached: tuple[Process, ...] = ()
    in_group: bool = False
    in_reach: bool = False


class SharedReading:
    """One reading of all processes for everybody who asks while the one before it runs.

    Each who asks gets a reading that began afterwards. Hundreds of kernels that end at the same
    time would otherwise read the same table hundreds of times, and hold up the looks meanwhile.
    """

    def __init__(self) -> None:
        self._read_table = TableReader()
        self._running: asyncio.Task[dict[int, Process]] | None = None
        self._next: asyncio.Task[dict[int, Process]] | None = None

    async def __call__(self) -> dict[int, Process]:
        """Return every process by its pid; none where ``/proc`` cannot be read."""
        if self._next is None:
            self._next = asyncio.create_task(self._read_after(self._running))
        return await asyncio.shield(self._next)

    async def _read_after(
        self, running: asyncio.Task[dict[int, Process]] | None
    ) -> dict[int, Process]:
        if running is not None:
            await asyncio.wait([running])
        self._running, self._next = self._next, None
        try:
            return (await asyncio.to_thread(self._read_table)).processes
        except OSError:
            return {}


class KernelSession:
    """The session that a kernel leads, or led before it ended. Its id is the kernel's pid.

    Making one blocks, and so does `members`: both read files.
    """

    def __init__(self, kernel_pid: int) -> None:
        self._session = kernel_pid
        # A server started with `nohup` hands its ignored SIGHUP down to each kernel and all below
        # it: then only a process whose parents are gone was left behind on purpose.
        self._inherited = (
            _ignores_hangup(kernel_pid)
            if read_process(kernel_pid) is not None
            else signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        )
        self._ordinary: set[ProcKey] = set()

    def members(self, processes: dict[int, Process]) -> Members:
        """Look at the session. Who was once seen to be ordinary remains so when its parent ends."""
        session = self._session
        living = [
            process
            for process in processes.values()
            if process.session == session and process.pid != session and process.state not in "ZX"
        ]
        if not living:
            return Members()
        children = children_of(processes)
        below = tree([session], children)
        roots = [process.pid for process in living if self._is_detached(process, below)]
        spared = tree(roots, children)
        detached = tuple(process for process in living if process.pid in spared)
        ordinary = tuple(process for process in living if process.pid not in spared)
        self._ordinary.update(process.key for process in ordinary)
        in_group = [process for process in detached if process.pgrp == session]
        in_reach = any(process.pid in below for process in in_group)
        return Members(ordinary, detached, bool(in_group), in_reach)

    async def end_ordinary(self, read: SharedReading) -> Members:
        """End the ordinary members: SIGTERM, some seconds, SIGKILL. Returns who is left."""
        members = await asyncio.to_thread(self.members, await read())
        for signum, seconds in ((signal.SIGTERM, _TERM_SECONDS), (signal.SIGKILL, _KILL_SECONDS)):
            deadline = time.monotonic() + seconds
            told: set[ProcKey] = set()
            while members.ordinary and time.monotonic() < deadline:
                for process in members.ordinary:
                    if process.key not in told:
                        told.add(process.key)
                        _send(process, signum)
                await asyncio.sleep(_POLL_SECONDS)
                members = await asyncio.to_thread(self.members, await read())
        return members

    def _is_detached(self, process: Process, below: set[int]) -> bool:
        if process.key in self._ordinary or (self._inherited and process.pid in below):
            return False
        return _ignores_hangup(process.pid)


def _ignores_hangup(pid: int) -> bool:
    """Tell whether a process ignores SIGHUP. One that lives but cannot be read is taken to."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        ignored = status.partition("\nSigIgn:")[2].split(maxsplit=1)[0]
    except (OSError, IndexError):
        return Path(f"/proc/{pid}").exists()
    return bool(int(ignored, 16) & _SIGHUP_BIT)


def _send(process: Process, signum: int) -> None:
    """Signal a process, unless its pid is another's by now."""
    now = read_process(process.pid)
    if now is not None and now.key == process.key:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, signum)
