"""Say whose each process is: a kernel's, a terminal's, the host's, or nobody's that counts.

A job outlives what shows where it came from: its parent dies, its session's leader ends. So what
was once seen in a tree, or in a session that a member of that tree led, stays attributed while it
lives. Python 3.8 syntax: autostop shares this module.
"""

from __future__ import annotations

from typing import Callable, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Sequence, Set

from ..core.model import HOST, Kind, ResourceId
from . import procfs
from .commands import DEFAULT_VIEWERS
from .procfs import TICKS_PER_SECOND, Process, ProcessTable, ProcKey
from .recognition import DEFAULT_IGNORED_PROCESSES, Marks, Names, PerProcess, Services, Viewers


class Groups(NamedTuple):
    """Whose processes are: pids by resource (`HOST`: the background), and who counts nowhere."""

    members: Dict[ResourceId, List[int]]
    uncounted: FrozenSet[int]


class Attribution:
    """Remembers whose each process is, from table to table. Reads ``/proc``: not on the event loop.

    ``whole_machine``: every process of the server's uid counts, and what descends from those;
    otherwise only what this server's tree, its sessions and its marks show to be its own.
    """

    def __init__(
        self,
        server: ProcKey,
        uid: int,
        *,
        whole_machine: bool,
        server_url: Optional[str] = None,
        ignored: Sequence[str] = DEFAULT_IGNORED_PROCESSES,
        viewers: Sequence[str] = DEFAULT_VIEWERS,
    ) -> None:
        self._server, self._uid, self._whole_machine = server, uid, whole_machine
        self._ignored = Names(ignored)
        self._is_marked = PerProcess(Marks(server, server_url).carried_by)
        self._is_service = PerProcess(Services(server.pid).include)
        self._is_viewer = PerProcess(Viewers(viewers).include)
        self._owners: Dict[int, "tuple[ResourceId, int]"] = {}
        self._sessions: Dict[int, "tuple[ResourceId, int]"] = {}
        self._terminals: Dict[ResourceId, ProcKey] = {}

    def assign(
        self, table: ProcessTable, roots: Mapping[int, ResourceId], excluded: Set[int]
    ) -> Groups:
        """Return whose the processes are. ``roots`` are those of the resources that exist.

        ``excluded`` are processes that do not count, while their children do.
        """
        processes = table.processes
        self._release_reused_names(processes, roots)
        children = procfs.children_of(processes)
        owners: Dict[int, ResourceId] = {}

        def claim(pid: int, owner: ResourceId) -> None:
            todo = [pid]
            while todo:
                pid = todo.pop()
                owners[pid] = owner
                todo.extend(
                    child
                    for child in children.get(pid, ())
                    if child not in owners and child not in roots and child != self._server.pid
                )

        for pid, resource in roots.items():
            if pid in processes:
                claim(pid, resource)
        claim(self._server.pid, HOST)
        for pid, (owner, start_ticks) in self._owners.items():
            process = processes.get(pid)
            if pid not in owners and process is not None and process.start_ticks == start_ticks:
                claim(pid, owner)
        procfs.pause()
        self._claim_sessions(processes, owners, claim)
        self._claim_strangers(processes, owners, claim)
        owners.pop(self._server.pid, None)
        owners.pop(1, None)
        procfs.pause()
        self._remember(processes, owners)
        procfs.pause()
        return self._grouped(processes, owners, set(roots.values()), excluded)

    def _release_reused_names(
        self, processes: Mapping[int, Process], roots: Mapping[int, ResourceId]
    ) -> None:
        """Hand to the host what an earlier terminal of the same name left behind.

        A kernel keeps what its earlier process started: it is the same kernel, restarted.
        """
        for pid, resource in roots.items():
            if resource.kind is not Kind.TERMINAL or pid not in processes:
                continue
            key = processes[pid].key
            if self._terminals.get(resource, key) != key:
                for memory in (self._owners, self._sessions):
                    for number, (owner, start_ticks) in memory.items():
                        if owner == resource:
                            memory[number] = HOST, start_ticks
            self._terminals[resource] = key

    def _claim_sessions(
        self,
        processes: Mapping[int, Process],
        owners: Dict[int, ResourceId],
        claim: Callable[[int, ResourceId], None],
    ) -> None:
        for pid, owner in owners.items():
            process = processes.get(pid)
            if process is not None and process.session == pid:
                _note(self._sessions, process, owner)
        living = set()
        for pid, process in processes.items():
            led = self._sessions.get(process.session)
            if led is None:
                continue
            leader = processes.get(process.session)
            if leader is not None and leader.start_ticks != led[1]:
                continue  # the number was given to another session
            living.add(process.session)
            if pid not in owners:
                claim(pid, led[0])
        for session in [session for session in self._sessions if session not in living]:
            del self._sessions[session]

    def _claim_strangers(
        self,
        processes: Mapping[int, Process],
        owners: Dict[int, ResourceId],
        claim: Callable[[int, ResourceId], None],
    ) -> None:
        for pid, process in procfs.give_way(processes.items()):
            if pid in owners or pid == 1 or process.uid != self._uid:
                continue
            if self._whole_machine:
                if not self._ignored.match(process) and not self._is_service(process):
                    claim(pid, HOST)
            elif self._is_marked(process):
                claim(pid, HOST)

    def _remember(self, processes: Mapping[int, Process], owners: Mapping[int, ResourceId]) -> None:
        for pid in self._owners.keys() - owners.keys():
            del self._owners[pid]
        for pid, owner in owners.items():
            process = processes.get(pid)
            if process is not None:
                _note(self._owners, process, owner)
            else:
                self._owners.pop(pid, None)
        for memory in (self._is_marked, self._is_service, self._is_viewer, self._ignored):
            memory.forget_gone(processes)

    def _grouped(
        self,
        processes: Mapping[int, Process],
        owners: Mapping[int, ResourceId],
        existing: Set[ResourceId],
        excluded: Set[int],
    ) -> Groups:
        uncounted = {self._server.pid, 1} | excluded
        for pid, process in processes.items():
            in_front = process.tty_nr != 0 and process.pgrp == process.tpgid
            if self._ignored.match(process) or (in_front and self._is_viewer(process)):
                uncounted.add(pid)
        members: Dict[ResourceId, List[int]] = {}
        for pid, owner in owners.items():
            if pid not in uncounted and pid in processes:
                group = owner if owner in existing else HOST
                members.setdefault(group, []).append(pid)
        return Groups(members, frozenset(uncounted))


def _note(memory: Dict[int, "tuple[ResourceId, int]"], process: Process, owner: ResourceId) -> None:
    """Remember whose a process is; nothing is made anew where that is known."""
    known = memory.get(process.pid)
    if known is None or known[1] != process.start_ticks or known[0] != owner:
        memory[process.pid] = owner, process.start_ticks


def trees_of(pids: Sequence[int], among: Set[int], table: ProcessTable) -> List[List[int]]:
    """Sort processes by job: by the session of the topmost ancestor that is ``among`` the same."""
    jobs: Dict[int, List[int]] = {}
    for pid in pids:
        top = process = table.processes[pid]
        for _ in range(64):  # a table is not read at one moment: its parents could form a ring
            if process.ppid not in among:
                break
            top = process = table.processes[process.ppid]
        jobs.setdefault(top.session, []).append(pid)
    return list(jobs.values())


def started_in_passing(
    process: Process,
    table: ProcessTable,
    roots: Mapping[int, ResourceId],
    uncounted: FrozenSet[int],
    seconds: float,
) -> bool:
    """Tell whether something that does not count started this process within that many seconds.

    So do the commands that such a command starts; a resource's own process never is one.
    """
    oldest = table.boot_ticks - seconds * TICKS_PER_SECOND
    for _ in range(64):  # a table is not read at one moment: its parents could form a ring
        if process.start_ticks <= oldest or process.pid in roots:
            return False
        if process.ppid in uncounted and process.ppid != 1:
            return True
        parent = table.processes.get(process.ppid)
        if parent is None:
            return False
        process = parent
    return False
