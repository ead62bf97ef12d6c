"""The processes of this machine: whose they are, and which of them work.

The windows are as long as the pause between two looks, a minute or so: that, and a file of the look
before instead of a memory, is why this has a form of its own beside `sources.processes`.
"""

from __future__ import annotations

import os
import re
import time
from typing import Any, Dict, List, Set

from ..sources.procfs import (
    TICKS_PER_SECOND,
    Process,
    boot_ticks,
    children_of,
    command_line,
    io_bytes,
    read_process,
    tree,
)
from .memory import Evidence

_CPU_PERCENT, _TREE_CPU_PERCENT, _IO_MIB_PER_SECOND = 5, 50, 1
_LEAST_SECONDS = 10
"""What a process did must weigh this long a window."""
_PASSING_SECONDS = 30
"""And this long where it is younger: servers and viewers start short commands all the time."""
_CONNECTION_FILE = re.compile(r"kernel-([\w-]+)\.json")
_OF_THE_EDITOR = re.compile("bootstrap-fork|server-main|[a-z]+Host")


class Machine:
    """The processes of one moment, and those that may count: the server's user's, and below.

    ``kernels`` are the pids of kernels by id, where the server runs them on this machine. Raises
    OSError where processes cannot be seen, or nobody listens at the server's port.
    """

    def __init__(self, port: int) -> None:
        if not os.access("/proc/1/stat", os.R_OK):
            raise OSError("/proc hides processes (hidepid)")
        found = [read_process(int(name)) for name in os.listdir("/proc") if name.isdigit()]
        self.processes = {p.pid: p for p in found if p}
        self.children = children_of(self.processes)
        self.server = self._serving(port)
        self.young = boot_ticks() - _LEAST_SECONDS * TICKS_PER_SECOND
        users = [p.pid for p in self.processes.values() if p.uid == self.server.uid]
        self.below = tree([self.server.pid], self.children)
        self.ours = (tree(users, self.children) | self.below) - {1, self.server.pid, os.getpid()}
        self.kernels: Dict[str, int] = {}
        for pid in sorted(self.below, key=lambda pid: self.processes[pid].start_ticks):
            for kernel in _CONNECTION_FILE.findall(" ".join(command_line(pid))):
                self.kernels.setdefault(kernel, pid)

    def _serving(self, port: int) -> Process:
        """Return who listens at a TCP port; who inherited the socket is younger. Raises: OSError.

        Source: proc_net(5): fields 1, 3 (0A: listens) and 9 are the address, state and inode.
        """
        sockets = set()
        for path in ("/proc/net/tcp", "/proc/net/tcp6"):
            if os.path.exists(path):
                with open(path, encoding="ascii") as stream:
                    for row in map(str.split, stream):
                        if row[3] == "0A" and row[1].endswith(f":{port:04X}"):
                            sockets.add(f"socket:[{row[9]}]")
        for process in sorted(self.processes.values(), key=lambda p: p.start_ticks):
            folder = f"/proc/{process.pid}/fd/"
            try:
                if sockets & {os.readlink(folder + fd) for fd in os.listdir(folder)}:
                    return process
            except OSError:  # another's, or it closed something meanwhile
                continue
        raise OSError(f"nobody is seen to listen at port {port}")

    def started_at(self) -> float:
        """Return when the server started, in monotonic seconds."""
        return time.monotonic() + (self.server.start_ticks - boot_ticks()) / TICKS_PER_SECOND

    def of_editor(self) -> Set[int]:
        """Return what a code editor itself is made of."""
        return {p for p in self.ours if _OF_THE_EDITOR.search(" ".join(command_line(p)))}

    def work(self, kept: Dict[str, Any], watching: Set[int], now: float) -> Evidence:
        """Return what has worked since the look before, job by job; ``watching`` never counts.

        What a process had used before is taken off when its parent reaps it: it was counted then.
        """
        sample = {}
        for pid in self.ours - watching:
            p = self.processes[pid]
            cpu = (p.cpu_ticks + p.reaped_ticks) / TICKS_PER_SECOND
            sample[pid] = [p.start_ticks, p.ppid, cpu, (io_bytes(pid) or 0) / 1048576]
        earlier = kept.get("sample")
        kept["sample"] = now, boot_ticks(), list(sample.items())
        if earlier is None:
            return [("first look at what was already running", now)]
        then, boot, rows = earlier
        before = dict(rows)
        counted: Dict[int, List[float]] = {}
        for pid, (start, parent, cpu, moved) in before.items():
            if sample.get(pid, [0])[0] != start:
                heir = parent
                while heir in before and heir not in sample:
                    heir = before[heir][1]
                owed = counted.setdefault(heir, [0, 0])
                owed[0] += cpu
                owed[1] += moved
        jobs: Dict[int, List[Any]] = {}
        for pid, (start, _, cpu, moved) in sample.items():
            seconds, old = now - then, before.get(pid, [0])
            if old[0] != start:
                if start < boot:
                    continue  # it was not looked at before: a baseline
                seconds, old = min(seconds, _PASSING_SECONDS), [0, 0, 0, 0]
            seconds = max(seconds, _LEAST_SECONDS)
            owed = counted.get(pid, [0, 0])
            figures = 100 * (cpu - old[2] - owed[0]), moved - old[3] - owed[1]
            job = jobs.setdefault(self.processes[pid].session, [])
            job.append([max(0, each) / seconds for each in figures] + [pid])
        found: Evidence = []
        for job in jobs.values():
            cpu, _, pid = max(job)
            _, moved, mover = max(job, key=lambda each: each[1])
            total = sum(each[0] for each in job)
            if moved >= _IO_MIB_PER_SECOND:
                found.append((f"{called(self.processes[mover])}, {moved:.0f} MiB/s", None))
            elif cpu >= _CPU_PERCENT or total >= _TREE_CPU_PERCENT:
                found.append((f"{called(self.processes[pid])}, {total:.0f} % CPU", None))
        return found


def called(process: Process) -> str:
    """Return how people call a process: the start of its command line."""
    words = command_line(process.pid) or [process.comm]
    line = " ".join(word.split("/")[-1] for word in words)
    return "".join(c for c in line if c.isprintable())[:60]
