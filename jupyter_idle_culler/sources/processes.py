"""Evidence from processes: what kernels, terminals and the background compute, read and write."""

from __future__ import annotations

import asyncio
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from ..core.model import EVERYTHING, HOST, Kind, Observation, Resource, ResourceId, Verdict
from . import procfs, visibility
from .accounting import (
    SHORTEST_WINDOW_SECONDS,
    STEADY_WINDOW_SECONDS,
    IoReading,
    Sample,
    Work,
    base_of,
    thinned,
    work_between,
)
from .attribution import Attribution, Groups, started_in_passing, trees_of
from .base import Look, Report
from .commands import DEFAULT_VIEWERS, command_of
from .procfs import ProcessTable, ProcKey
from .recognition import DEFAULT_IGNORED_PROCESSES
from .startup import Startup
from .thresholds import (
    DEFAULT_THRESHOLDS,
    PASSING_SECONDS,
    Finding,
    Life,
    Thresholds,
    Windows,
    judge,
)

_RECHECK_VISIBILITY_SECONDS = 600.0
_SLEEP_SECONDS = 15.0
"""A table is never so much older than its look, and no sleep that a look leaves out is shorter."""

_BRIEF_PAUSE_SECONDS = 2.0
"""After that, what goes on as it seemed to in less than a second has a figure that counts (half of
the bar for a tree makes a twentieth of `STEADY_WINDOW_SECONDS`), and a single beat has none."""

_BASELINE = "first look at what was already running"


class ProcessesSource:
    """Rate the processes of each kernel and terminal, and everything else that counts.

    ``ignored_processes`` are shell patterns on
    command names, ``viewer_commands`` what only watches (see `Catalogue`). ``whole_machine``: a
    stop ends the machine, so all processes of the server's user count; otherwise only this
    server's own, for which ``server_url`` (as its terminals inherit it) is one mark.
    ``own_sessions`` are those of commands that the culler itself runs: their work is no evidence.
    """

    name = "processes"
    covers = EVERYTHING
    essential = True

    def __init__(
        self,
        *,
        whole_machine: bool,
        thresholds: Thresholds = DEFAULT_THRESHOLDS,
        ignored_processes: Sequence[str] = DEFAULT_IGNORED_PROCESSES,
        viewer_commands: Sequence[str] = DEFAULT_VIEWERS,
        server_url: str | None = None,
        server_pid: int | None = None,
        own_sessions: Callable[[], Collection[int]] = frozenset,
    ) -> None:
        self._thresholds = thresholds
        self._whole_machine = whole_machine
        self._ignored = tuple(ignored_processes)
        self._viewers = tuple(viewer_commands)
        self._server_url = server_url
        self._server_pid = os.getpid() if server_pid is None else server_pid
        self._own_sessions = own_sessions
        self._looking = threading.Lock()
        self._attribution: Attribution | None = None
        self._history: list[Sample] = []
        self._startup = Startup()
        self._io: dict[int, tuple[ProcKey, IoReading | None, int]] = {}
        self._last_active: dict[ResourceId, float] = {}
        self._working: dict[ResourceId, ProcKey] = {}
        self._visible_until = -math.inf
        self._failed = self._in_doubt = False
        self._lag: float | None = None
        self._slept = 0.0
        self._owners: dict[int, ResourceId] = {}

    @property
    def limitations(self) -> tuple[str, ...]:
        """Say what cannot be seen here."""
        if not sys.platform.startswith("linux"):
            return (
                "Without /proc the processes that kernels and terminals start cannot be seen: "
                "background work does not keep anything from being culled.",
            )
        sockets = (
            "Traffic on sockets is not seen: a job that only sends and receives, and computes "
            "next to nothing, looks idle."
        )
        if self._whole_machine:
            return (sockets,)
        return (
            sockets,
            "A job that left its terminal or kernel between two looks, with an environment of its "
            "own, is not recognised as this server's.",
        )

    def owner_of(self, pid: int) -> ResourceId | None:
        """Say whose a process was at the last look; None: nobody's that counts."""
        return self._owners.get(pid)

    async def observe(self, look: Look) -> Report:
        """Rate what ran since the previous look.

        Raises:
            RuntimeError: processes cannot be read, or may be hidden; the text says how to mend it.
        """
        if look.processes is None:
            if look.processes_error is None:
                return Report()
            self._failed = True
            raise RuntimeError(look.processes_error)
        try:
            return await asyncio.to_thread(self._observe, look, look.processes)
        except BaseException:
            self._failed = True
            raise

    def _observe(self, look: Look, table: ProcessTable) -> Report:
        if not self._looking.acquire(blocking=False):
            msg = "the previous look at the processes has not come to its end"
            raise RuntimeError(msg)
        try:
            return self._observe_alone(look, table)
        finally:
            self._looking.release()

    def _awake(self, look: Look, table: ProcessTable) -> ProcessTable:
        """Return the table as if it had been read without what the clock of looks left out.

        Rated over a sleep as well, whatever works would seem to do nothing for a while.
        """
        lag = table.read_at - look.now
        if self._lag is not None and lag - self._lag > _SLEEP_SECONDS:
            self._slept += lag - self._lag
        self._lag = lag
        return table._replace(read_at=table.read_at - self._slept)

    def _observe_alone(self, look: Look, table: ProcessTable) -> Report:
        table = self._awake(look, table)
        self._check_visibility(table)
        if self._failed:
            self._history.clear()
            self._failed = False
        resources = tuple(
            resource
            for resource in look.resources
            if resource.pid in table.processes and resource.pid != self._server_pid
        )
        roots = {resource.pid: resource.id for resource in resources if resource.pid is not None}
        excluded = {pid for resource in look.resources for pid in resource.excluded_pids}
        ours = self._own_sessions()
        if ours:
            excluded |= {p.pid for p in table.processes.values() if p.session in ours}
        groups = self._attribute(table).assign(table, roots, excluded)
        self._owners = {pid: owner for owner, pids in groups.members.items() for pid in pids}
        procfs.pause()
        now = self._sample(table, groups)
        procfs.pause()
        findings = self._judge(now, resources, roots, groups)
        if not self._history or self._history[-1].table.read_at < table.read_at:
            self._history = thinned([*self._history, now], table.read_at)
        brief = any(finding is not None and finding.brief for finding in findings.values())
        self._in_doubt = brief and not self._in_doubt
        if self._in_doubt:
            return Report(again_in_seconds=_BRIEF_PAUSE_SECONDS)
        self._last_active = {
            resource: at for resource, at in self._last_active.items() if resource in findings
        }
        self._note_ends(findings, look.now, table)
        return Report(
            tuple(
                self._observation(resource, finding, look.now, table, roots)
                for resource, finding in findings.items()
            )
        )

    def _note_ends(
        self, findings: Mapping[ResourceId, Finding | None], now: float, table: ProcessTable
    ) -> None:
        """Count what was at work in the previous look and is gone as having worked until now."""
        for resource, key in self._working.items():
            process = table.processes.get(key.pid)
            if process is None or process.start_ticks != key.start_ticks:
                self._last_active[resource if resource in findings else HOST] = now
        self._working = {
            resource: table.processes[finding.pid].key
            for resource, finding in findings.items()
            if finding is not None and finding.active and finding.pid is not None
        }

    def _check_visibility(self, table: ProcessTable) -> None:
        if table.read_at >= self._visible_until:
            hidden = visibility.what_is_hidden()
            if hidden is not None:
                raise RuntimeError(hidden)
            self._visible_until = table.read_at + _RECHECK_VISIBILITY_SECONDS

    def _attribute(self, table: ProcessTable) -> Attribution:
        if self._attribution is None:
            server = table.processes.get(self._server_pid)
            if server is None:
                msg = f"the Jupyter server, process {self._server_pid}, is not to be seen in /proc"
                raise RuntimeError(msg)
            self._attribution = Attribution(
                server.key,
                server.uid,
                whole_machine=self._whole_machine,
                server_url=self._server_url,
                ignored=self._ignored,
                viewers=self._viewers,
            )
        return self._attribution

    def _sample(self, table: ProcessTable, groups: Groups) -> Sample:
        """Read the I/O figures of those that count, unless they used no CPU since last read.

        Who moves a mebibyte a second cannot do it for long without a tick of CPU time; and the
        figure is then rated over all the time since it was read before.
        """
        readings: dict[int, IoReading] = {}
        known: dict[int, tuple[ProcKey, IoReading | None, int]] = {}
        for pids in groups.members.values():
            for pid in procfs.give_way(pids, every=100):
                process = table.processes[pid]
                ticks = process.cpu_ticks + process.reaped_ticks
                last = self._io.get(pid)
                if last is None or last[2] != ticks or last[0].start_ticks != process.start_ticks:
                    moved = procfs.io_bytes(pid)
                    read_at = time.monotonic() - self._slept
                    reading = None if moved is None else IoReading(read_at, moved)
                    last = process.key, reading, ticks
                known[pid] = last
                if last[1] is not None:
                    readings[pid] = last[1]
        self._io = known
        return Sample(table, readings)

    def _judge(
        self,
        now: Sample,
        resources: Sequence[Resource],
        roots: Mapping[int, ResourceId],
        groups: Groups,
    ) -> dict[ResourceId, Finding | None]:
        """Return what was found of each resource and of the host (None: a baseline, no more)."""
        ids = [resource.id for resource in resources] + [HOST]
        at = now.table.read_at
        base = base_of(self._history, at, SHORTEST_WINDOW_SECONDS)
        self._startup.look(now.table, resources)
        if base is None:
            return dict.fromkeys(ids)
        windows = self._without_startup(_windows(self._history, base, now), now, roots)
        findings: dict[ResourceId, Finding | None] = {}
        for resource in procfs.give_way(ids, every=50):
            members = groups.members.get(resource, [])
            working = [pid for pid in members if pid in windows.recent or pid in windows.instant]
            jobs = trees_of(working, set(members), now.table) if resource == HOST else [working]
            findings[resource] = (
                None
                if any(_is_news(pid, base, now) for pid in members)
                else max(
                    (
                        judge(job, windows, self._thresholds, _Passing(now, roots, groups))
                        for job in jobs or [[]]
                    ),
                    key=lambda finding: (finding.active, finding.unit == "%", finding.value),
                )
            )
        return findings

    def _without_startup(
        self, windows: Windows, now: Sample, roots: Mapping[int, ResourceId]
    ) -> Windows:
        """Let what kernels did to start out of the windows."""
        counted = {}
        for pid in roots:
            over = self._startup.over(now.table.processes[pid].key, self._history)
            if len(over) < len(self._history):
                counted[pid] = over
        if not counted:
            return windows
        known: dict[int, Windows] = {}
        parts = tuple(dict(part) for part in windows)
        for pid, over in counted.items():
            base = base_of(over, now.table.read_at, SHORTEST_WINDOW_SECONDS)
            if base is not None and len(over) not in known:
                known[len(over)] = _windows(over, base, now)
            for part, own in zip(parts, known.get(len(over), Windows({}, {}, {})), strict=True):
                part.pop(pid, None)
                if pid in own:
                    part[pid] = own[pid]
        return Windows(*parts)

    def _observation(
        self,
        resource: ResourceId,
        finding: Finding | None,
        now: float,
        table: ProcessTable,
        roots: Mapping[int, ResourceId],
    ) -> Observation:
        if finding is None or finding.active:
            self._last_active[resource] = now
        if finding is None:
            return Observation(resource, self.name, Verdict.IDLE, at=now, detail=_BASELINE)
        figure = (
            f"{_number(finding.value)} % CPU"
            if finding.unit == "%"
            else f"{_number(finding.value / 1048576)} MiB/s read and written"
        )
        if finding.active and finding.pid is not None:
            who = self._command(finding.pid, table, roots)
            more = f" and {finding.processes - 1} more" if finding.processes > 1 else ""
            figure = f"{who}{more}, {figure}"
        return Observation(
            resource,
            self.name,
            Verdict.ACTIVE if finding.active else Verdict.IDLE,
            at=None if finding.active else self._last_active.get(resource),
            detail=figure,
            value=finding.value,
            threshold=finding.threshold,
            unit=finding.unit,
        )

    def _command(self, pid: int, table: ProcessTable, roots: Mapping[int, ResourceId]) -> str:
        """Name a process for people: the start of its command line."""
        if pid in roots and roots[pid].kind is Kind.KERNEL:
            return "the kernel's own process"
        return command_of(procfs.command_line(pid), table.processes[pid].comm).text


class _Passing:
    """Finds the processes that are rated by their whole life: see `Life`."""

    def __init__(self, now: Sample, roots: Mapping[int, ResourceId], groups: Groups) -> None:
        self._now, self._roots, self._groups = now, roots, groups

    def __call__(self, pid: int) -> Life | None:
        process = self._now.table.processes[pid]
        if not started_in_passing(
            process, self._now.table, self._roots, self._groups.uncounted, PASSING_SECONDS
        ):
            return None
        reading = self._now.io.get(pid)
        return Life(
            process.cpu_ticks + process.reaped_ticks, 0 if reading is None else reading.bytes
        )


def _windows(history: Sequence[Sample], base: Sample, now: Sample) -> Windows:
    at, last = now.table.read_at, history[-1]
    recent = steady = work_between(base, now)
    instant: Mapping[int, Work] = {}
    steady_base = base_of(history, at, STEADY_WINDOW_SECONDS)
    if steady_base is not None and steady_base is not base:
        procfs.pause()
        steady = work_between(steady_base, now)
    if last is not base and last.table.read_at < at:
        procfs.pause()
        instant = work_between(last, now)
    return Windows(recent, steady, instant)


def _is_news(pid: int, base: Sample, now: Sample) -> bool:
    """Tell whether a process is older than the earlier table, and was not in it."""
    process, old = now.table.processes[pid], base.table.processes.get(pid)
    return (
        old is None or old.start_ticks != process.start_ticks
    ) and process.start_ticks < base.table.boot_ticks


def _number(value: float) -> str:
    return f"{value:.0f}" if value == 0 or len(f"{value:.0f}") > 1 else f"{value:.1f}"
