"""Judge what is in the foreground of a terminal: a prompt, a viewer, a job, or nobody can say.

The foreground process group of the tty (tpgid of proc_pid_stat(5)) decides, each member by its
command line, and where that leaves it open by what the member waits for. In doubt it is a job.
Python 3.8 syntax: autostop shares this module.
"""

from __future__ import annotations

import os
import stat
from enum import IntEnum
from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from .commands import ASKS_FIRST, STAYS_RAW, Catalogue, Role, command_of
from .procfs import (
    TICKS_PER_SECOND,
    Process,
    ProcessTable,
    ProcKey,
    children_of,
    command_line,
    tree,
)
from .waiting import (
    Wait,
    Waiting,
    device_of,
    edits_line,
    hands_keys_on,
    holds_pipe,
    waits_for,
)

_PASSING_SECONDS = 60
_DEEPEST = 8
_WATCHING = (Role.VIEWER, Role.PAGER)
_ASKING = (Role.REPL, Role.EDITOR, Role.INTERACTIVE)
_CPU_TICKS_OF_A_REDRAW = 2


class Standing(IntEnum):
    """What the foreground of a terminal is; of several things the greatest counts.

    HIDDEN: its processes cannot be seen. BLOCKED: all of it waits for input at the terminal.
    """

    SHELL = 0
    VIEWER = 1
    PROMPT = 2
    BLOCKED = 3
    HIDDEN = 4
    JOB = 5


class Foreground(NamedTuple):
    """The foreground of one terminal.

    ``process`` is the one that decided (None: HIDDEN), ``command`` how people call it, ``viewers``
    the pids whose computing is only watching, ``mark`` changes when what is BLOCKED moves on.
    """

    standing: Standing
    command: str = ""
    process: Optional[Process] = None
    viewers: Tuple[int, ...] = ()
    mark: str = ""


class Probe:
    """Asks the machine about one process. Blocks: never on the event loop."""

    def argv(self, process: Process) -> Tuple[str, ...]:
        """Return its command line."""
        return command_line(process.pid)

    def wait(self, process: Process) -> Wait:
        """Say what it waits for."""
        return waits_for(process.pid, process.tty_nr)

    def hands_keys_on(self, tty_nr: int) -> Optional[bool]:
        """Whether the program at this terminal takes even Ctrl-C as a byte; None: unreadable."""
        return hands_keys_on(tty_nr)

    def edits_line(self, tty_nr: int) -> Optional[bool]:
        """Whether a line editor has this terminal, as at a prompt; None: unreadable."""
        return edits_line(tty_nr)

    def holds_pipe(self, process: Process, inode: int) -> bool:
        """Whether it has this pipe open."""
        return holds_pipe(process.pid, inode)

    def reads_terminal(self, process: Process) -> Optional[bool]:
        """Whether its standard input is a terminal; None: not ours to see."""
        try:
            status = os.stat("/proc/{}/fd/0".format(process.pid))
        except OSError:
            return None
        device = (os.major(status.st_rdev), os.minor(status.st_rdev))
        return stat.S_ISCHR(status.st_mode) and device in ((5, 0), device_of(process.tty_nr))


class Foregrounds:
    """The foregrounds of all terminals at one moment. Blocks: never on the event loop."""

    def __init__(
        self, table: ProcessTable, catalogue: Catalogue, probe: Optional[Probe] = None
    ) -> None:
        self._table = table
        self._catalogue = catalogue
        self._probe = probe or Probe()
        self._children = children_of(table.processes)
        self._on_tty: Dict[int, List[Process]] = {}
        for process in table.processes.values():
            if process.tty_nr and process.state not in ("Z", "X"):
                self._on_tty.setdefault(process.tty_nr, []).append(process)

    def of(self, tty_nr: int, depth: int = 0) -> Foreground:
        """Judge the foreground of a terminal, by its number in proc_pid_stat(5)."""
        there = self._on_tty.get(tty_nr, [])
        # The table is not read at one moment: its lines may name two groups.
        groups = {process.tpgid for process in there if process.tpgid > 0}
        members = sorted(p for p in there if p.pgrp in groups)
        if not members or depth > _DEEPEST:
            return Foreground(Standing.HIDDEN)
        return _Group(self, members, depth).judge()

    def _living_children(self, process: Process) -> Set[int]:
        """Return the pids of the children of a process that have not ended."""
        processes = self._table.processes
        return {p for p in self._children.get(process.pid, ()) if processes[p].state not in "ZX"}

    def _ttys_below(self, process: Process) -> Set[int]:
        """Return the other terminals that descendants of a process sit at, the nearest only."""
        found: Set[int] = set()
        todo = list(self._children.get(process.pid, ()))
        while todo:
            child = self._table.processes[todo.pop()]
            if child.tty_nr not in (0, process.tty_nr):
                found.add(child.tty_nr)
            else:
                todo.extend(self._children.get(child.pid, ()))
        return found


class _Group:
    """The members of one foreground process group, and what to make of them together."""

    def __init__(self, machine: Foregrounds, members: List[Process], depth: int) -> None:
        self._machine = machine
        self._probe = machine._probe
        self._depth = depth
        self._argv = {p.pid: self._probe.argv(p) for p in members}
        self._roles = {p.pid: self._role(p) for p in members}
        self._waits: Dict[int, Wait] = {}
        self._all = members
        passing = self._started_by_viewers()
        self._members = [p for p in members if p.pid not in passing]

    def judge(self) -> Foreground:
        leader = self._all[0]
        for p in self._of(Role.SHELL):
            # What shares a prompting shell's group was put there by its start-up files.
            if p.pid == p.pgrp and self._at_prompt(p):
                return self._found(Standing.SHELL, p)
        found = self._jobs(leader)
        if found is None:
            found = _greatest(self._others())
        viewers = tuple(p.pid for p in self._of(*_WATCHING))
        return found._replace(viewers=tuple(sorted({*viewers, *found.viewers})))

    def _role(self, process: Process) -> Role:
        role = self._machine._catalogue.role(self._argv[process.pid], process.comm)
        if role in (Role.SHELL, Role.REPL) and self._probe.reads_terminal(process) is False:
            return Role.JOB  # psql < dump.sql, curl … | sh
        return role

    def _of(self, *roles: Role) -> List[Process]:
        return [p for p in self._members if self._roles[p.pid] in roles]

    def _wait(self, process: Process) -> Wait:
        if process.pid not in self._waits:
            self._waits[process.pid] = self._probe.wait(process)
        return self._waits[process.pid]

    def _found(self, standing: Standing, process: Process, mark: str = "") -> Foreground:
        command = command_of(self._argv[process.pid], process.comm)
        return Foreground(standing, command.text, process, mark=mark)

    def _started_by_viewers(self) -> Set[int]:
        """Return what a viewer (watch, man) has just started: it is part of the watching."""
        table = self._machine._table
        viewers = [pid for pid, role in self._roles.items() if role is Role.VIEWER]
        oldest = table.boot_ticks - _PASSING_SECONDS * TICKS_PER_SECOND
        below = tree(viewers, self._machine._children).difference(viewers)
        return {p for p in below if table.processes[p].start_ticks > oldest}

    def _jobs(self, leader: Process) -> Optional[Foreground]:
        """Judge the jobs; None: there are none, or they only wait for the other members."""
        jobs = self._of(Role.JOB)
        if not self._of(*_WATCHING, *_ASKING, Role.WRAPPER):
            jobs = self._of(Role.JOB, Role.FILTER)
        for p in jobs:
            if not self._is_passive(p):
                shown = leader if leader in jobs else p
                return self._found(Standing.JOB, shown)
        for p in jobs:
            if self._wait(p).what is Waiting.TERMINAL:
                return self._found(Standing.BLOCKED, p, self._wait(p).mark)
        # What only feeds or follows a viewer rests when the viewer itself waits for a person.
        piped = [p for p in jobs if self._wait(p).what is Waiting.PIPE]
        rests = any(self._wait(p).what is Waiting.TERMINAL for p in self._of(*_WATCHING))
        if (piped and not rests) or (jobs and len(jobs) == len(self._members)):
            return self._found(Standing.JOB, piped[0] if piped else jobs[0])
        return None

    def _is_passive(self, process: Process) -> bool:
        """Whether a job surely waits for the terminal, or for other members of its group."""
        wait = self._wait(process)
        if wait.what is Waiting.TERMINAL:
            return self._probe.hands_keys_on(process.tty_nr) is False
        if wait.what is Waiting.PIPE:
            others = (p for p in self._all if p.pid != process.pid)
            return any(self._probe.holds_pipe(p, wait.pipe) for p in others)
        if wait.what is Waiting.CHILD:
            children = self._machine._living_children(process)
            return bool(children) and children <= {p.pid for p in self._all}
        return False

    def _others(self) -> Sequence[Foreground]:
        found = []
        for p in self._members:
            role = self._roles[p.pid]
            if role in _WATCHING:
                found.append(self._found(Standing.VIEWER, p))
            elif role is Role.INTERACTIVE:
                found.append(self._found(Standing.PROMPT, p))
            elif role in (Role.EDITOR, Role.REPL):
                asks = role is Role.EDITOR or self._at_prompt(p)
                own = self._found(Standing.PROMPT if asks else Standing.JOB, p)
                found.append(_greatest([own, *self._on_ttys_below(p)]))
            elif role is Role.SHELL:
                asks = self._at_prompt(p)
                found.append(self._found(Standing.SHELL if asks else Standing.JOB, p))
            elif role is Role.WRAPPER:
                found.append(self._below(p))
        return found or [self._found(Standing.JOB, self._members[0])]

    def _at_prompt(self, process: Process) -> bool:
        """Whether a shell or REPL asks for its next command; in doubt it runs one.

        ``wait``, ``x=$(…)`` and ``read < fifo`` are run by the shell itself, and an ``await`` by
        the same event loop as the prompt: there the mode of the terminal tells.
        """
        wait = self._wait(process)
        if wait.what is Waiting.TERMINAL:
            return True
        if wait.what not in (Waiting.LISTENS, Waiting.UNKNOWN, Waiting.RUNNING):
            return False
        if command_of(self._argv[process.pid], process.comm).name in STAYS_RAW:
            return wait.what is Waiting.LISTENS and wait.endless
        edits = self._probe.edits_line(process.tty_nr)
        if edits is not None:
            return edits
        if wait.what is Waiting.UNKNOWN:  # nothing of it can be seen, as of what sudo -i runs
            return self._roles[process.pid] is Role.SHELL
        return wait.what is Waiting.LISTENS

    def _on_ttys_below(self, process: Process) -> List[Foreground]:
        """Judge the other terminals that a process holds: sudo's, an editor's ``:terminal``."""
        ttys = sorted(self._machine._ttys_below(process))
        return [self._machine.of(tty_nr, self._depth + 1) for tty_nr in ttys]

    def _below(self, wrapper: Process) -> Foreground:
        """Judge what a wrapper holds the terminal for: on another terminal, or in this group."""
        below = self._on_ttys_below(wrapper)
        if below:
            return _greatest(below)
        children = self._machine._living_children(wrapper)
        name = command_of(self._argv[wrapper.pid], wrapper.comm).name
        if not children and name in ASKS_FIRST:
            return self._found(Standing.BLOCKED, wrapper, "password")
        here = {p.pid for p in self._all if self._roles[p.pid] is not Role.WRAPPER}
        if children and tree(children, self._machine._children) & here:
            return self._found(Standing.SHELL, wrapper)  # the others of this group say what it is
        return self._found(Standing.JOB, wrapper)


def _greatest(found: Sequence[Foreground]) -> Foreground:
    """Return the one that counts, with the viewers of all."""
    viewers = {pid for foreground in found for pid in foreground.viewers}
    return max(found, key=lambda f: f.standing)._replace(viewers=tuple(sorted(viewers)))


class _Blocked(NamedTuple):
    key: ProcKey
    mark: str
    cpu_ticks: int
    since: float


class BlockedSince:
    """Remembers since when the foreground of one terminal has been blocked on it.

    A redraw after a resize wakes the job and returns it to the same call for next to no CPU: it
    has not moved on. Whoever feeds it input makes it move on (``stirred``).
    """

    def __init__(self) -> None:
        self._blocked: Optional[_Blocked] = None

    def see(self, foreground: Foreground, now: float, stirred: bool) -> Optional[float]:
        """Return the instant since when it has been blocked; None: it is not."""
        process = foreground.process
        if foreground.standing is not Standing.BLOCKED or process is None:
            self._blocked = None
            return None
        cpu = process.cpu_ticks + process.reaped_ticks
        before = self._blocked
        if (
            before is None
            or stirred
            or (before.key, before.mark) != (process.key, foreground.mark)
            or cpu - before.cpu_ticks > _CPU_TICKS_OF_A_REDRAW
        ):
            self._blocked = _Blocked(process.key, foreground.mark, cpu, now)
            return now
        return before.since
