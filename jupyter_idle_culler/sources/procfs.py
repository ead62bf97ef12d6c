"""Read the process table of Linux from ``/proc``, directly.

psutil needs three times as long for the same walk and its start times move with the wall clock;
the start time in ticks since boot does not, so (pid, start_ticks) names a process for good.
Field numbers are those of proc_pid_stat(5). Python 3.8 syntax: autostop shares this module.
"""

from __future__ import annotations

import os
import select
import time
from typing import Dict, Iterable, Iterator, NamedTuple, Optional, Set, Tuple, TypeVar

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_KERNEL_THREAD = 0x00200000  # PF_KTHREAD
_T = TypeVar("_T")


class ProcKey(NamedTuple):
    """A process for good: its pid may be used again, with another start time."""

    pid: int
    start_ticks: int


class Process(NamedTuple):
    """One line of ``/proc/<pid>/stat``, and the owner. CPU times are ticks."""

    pid: int
    comm: str
    state: str
    ppid: int
    pgrp: int
    session: int
    tty_nr: int
    tpgid: int
    flags: int
    cpu_ticks: int
    reaped_ticks: int
    start_ticks: int
    uid: int

    @property
    def key(self) -> ProcKey:
        return ProcKey(self.pid, self.start_ticks)

    @property
    def is_kernel_thread(self) -> bool:
        return bool(self.flags & _KERNEL_THREAD)


class ProcessTable(NamedTuple):
    """Every visible process at one moment.

    ``read_at`` is monotonic seconds; ``boot_ticks`` the same moment in ticks since boot, the
    clock of `Process.start_ticks`.
    """

    read_at: float
    boot_ticks: int
    processes: Dict[int, Process]


def parse_stat(text: str, uid: int) -> Process:
    """Parse one stat line. The name may hold spaces and parentheses: its end is the last one.

    Raises:
        ValueError: this is no stat line.
    """
    head, _, tail = text.rpartition(")")
    pid, _, comm = head.partition(" (")
    f = tail.split()
    if len(f) < 20:
        raise ValueError("not a /proc/<pid>/stat line: {!r}".format(text[:80]))
    return Process(
        int(pid), comm, f[0], int(f[1]), int(f[2]), int(f[3]), int(f[4]), int(f[5]), int(f[6]),
        int(f[11]) + int(f[12]), int(f[13]) + int(f[14]), int(f[19]), uid,
    )  # fmt: skip


def boot_ticks() -> int:
    """Return now in ticks since boot, suspended time included, as `Process.start_ticks` counts."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * TICKS_PER_SECOND)


def _read(path: str, limit: int = 4096) -> bytes:
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.read(fd, limit)
    finally:
        os.close(fd)


def pause(seconds: float = 0.0002) -> None:
    """Let other threads have the interpreter for a moment.

    Reading ``/proc`` gives the interpreter lock up and takes it back within microseconds, too
    soon for an event loop that waits for it: without a real pause the loop can stall for the whole
    switch interval again and again. Not time.sleep, which waits for a moment on a clock since
    Python 3.11: where that clock is a simulated one (libfaketime) it fails.
    """
    select.select((), (), (), seconds)


def give_way(items: Iterable[_T], every: int = 32) -> Iterator[_T]:
    """Yield the items, with a `pause` after each few of them."""
    for number, item in enumerate(items, 1):
        yield item
        if number % every == 0:
            pause()


def read_process(pid: int, proc: str = "/proc") -> Optional[Process]:
    """Read one process; None when it is gone or hidden."""
    directory = "{}/{}".format(proc, pid)
    try:
        uid = os.stat(directory).st_uid
        text = _read(directory + "/stat").decode("utf-8", "replace")
    except OSError:
        return None
    return parse_stat(text, uid)


class TableReader:
    """Reads the process table again and again. For one thread at a time.

    A process whose line did not change remains the very object that it was: most processes sleep,
    and thousands of new objects at each look would have to be made, and walked by the garbage
    collector.
    """

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._known: Dict[int, Tuple[bytes, Process]] = {}

    def __call__(self) -> ProcessTable:
        """Read every visible process but kernel threads. Blocks: never on the event loop.

        Raises:
            OSError: there is no readable ``/proc`` here, or it is that of another pid namespace.
        """
        proc = self._proc
        if os.readlink(proc + "/self") != str(os.getpid()):
            raise OSError("{} belongs to another pid namespace".format(proc))
        processes, known = {}, {}
        read_at, ticks = time.monotonic(), boot_ticks()
        for name in give_way(os.listdir(proc)):
            found = self._read(int(name)) if name.isdigit() else None
            if found is not None:
                process = found[1]
                known[process.pid] = found
                if not process.is_kernel_thread:
                    processes[process.pid] = process
        self._known = known
        if os.getpid() not in processes:
            raise OSError("{} does not show this process itself".format(proc))
        return ProcessTable(read_at, ticks, processes)

    def _read(self, pid: int) -> Optional[Tuple[bytes, Process]]:
        directory = "{}/{}".format(self._proc, pid)
        try:
            uid = os.stat(directory).st_uid
            line = _read(directory + "/stat")
        except OSError:
            return None
        known = self._known.get(pid)
        if known is not None and known[0] == line and known[1].uid == uid:
            return known
        return line, parse_stat(line.decode("utf-8", "replace"), uid)


def read_process_table(proc: str = "/proc") -> ProcessTable:
    """Read the process table once: see `TableReader`."""
    return TableReader(proc)()


def command_line(pid: int, proc: str = "/proc") -> Tuple[str, ...]:
    """Return the arguments of a process (empty: gone, hidden or a zombie).

    Cache by `ProcKey` and comm.
    """
    try:
        with open("{}/{}/cmdline".format(proc, pid), "rb") as stream:
            raw = stream.read(65536)
    except OSError:
        return ()
    return tuple(part.decode("utf-8", "replace") for part in raw.rstrip(b"\0").split(b"\0") if raw)


def children_of(processes: Dict[int, Process]) -> Dict[int, Set[int]]:
    """Return the pids of each process's children."""
    children: Dict[int, Set[int]] = {}
    for process in processes.values():
        children.setdefault(process.ppid, set()).add(process.pid)
    return children


def tree(roots: Iterable[int], children: Dict[int, Set[int]]) -> Set[int]:
    """Return the roots and all their descendants."""
    found: Set[int] = set()
    todo = list(roots)
    while todo:
        pid = todo.pop()
        if pid not in found:
            found.add(pid)
            todo.extend(children.get(pid, ()))
    return found


def io_bytes(pid: int, proc: str = "/proc") -> Optional[int]:
    """Return what ``read`` and ``write`` of a process and its reaped children ever moved.

    Sockets read with ``recv`` are not in it. None: gone, or another user's process. Source:
    rchar and wchar of proc_pid_io(5).
    """
    try:
        fields = _read("{}/{}/io".format(proc, pid)).split(None, 4)
        return int(fields[1]) + int(fields[3])
    except (OSError, IndexError, ValueError):
        return None


def environment(pid: int, proc: str = "/proc") -> Dict[str, str]:
    """Return the variables a process was started with (empty: gone, or another user's process)."""
    try:
        raw = _read("{}/{}/environ".format(proc, pid), 262144)
    except OSError:
        return {}
    pairs = (part.decode("utf-8", "replace").partition("=") for part in raw.split(b"\0") if part)
    return {name: value for name, _, value in pairs}


def service_unit(pid: int, proc: str = "/proc") -> Optional[str]:
    """Return the systemd system service that a process belongs to, as its control group's path.

    None: it belongs to none (a user's session, a container, no systemd), or it is gone. Both
    hierarchies are understood: ``0::/system.slice/cron.service`` (v2) and
    ``1:name=systemd:/system.slice/cron.service`` (v1). Source: cgroups(7), systemd.slice(5).
    """
    try:
        text = _read("{}/{}/cgroup".format(proc, pid), 65536).decode("utf-8", "replace")
    except OSError:
        return None
    for line in text.splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        parts = path.strip("/").split("/")
        if controllers not in ("", "name=systemd") or parts[0] != "system.slice":
            continue
        for number, part in enumerate(parts, 1):
            if part.endswith(".service"):
                return "/" + "/".join(parts[:number])
    return None
