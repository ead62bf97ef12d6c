"""Evidence from NVIDIA GPUs: whose processes keep them busy (P3)."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ..core.model import EVERYTHING, HOST, Kind, Observation, ResourceId, Verdict
from .base import Look, Report
from .nvml import GpuReading, NoGpu, Nvml
from .own_thread import OwnThread
from .procfs import Process

TIME_LIMIT_SECONDS = 4.0
_DEVICE = "/dev/nvidiactl"
_DEVICE_FILES = ("/dev/nvidia", "/dev/dxg")
_GIB = 1024**3


class GpuSource:
    """Rates GPUs by their processes, where the driver tells those apart, else as a whole.

    A GPU that is busy as a whole holds those of ``owner_of``'s resources that have it open, and
    everything where none is seen to. Memory that is only held is no work. ``owner_of`` says whose
    a process is (None: nobody's that counts).
    """

    name = "gpu"
    covers = EVERYTHING
    essential = False

    def __init__(
        self,
        owner_of: Callable[[int], ResourceId | None],
        threshold_percent: float = 1.0,
        read: Callable[[], tuple[GpuReading, ...]] | None = None,
        time_limit_seconds: float = TIME_LIMIT_SECONDS,
    ) -> None:
        self._owner_of = owner_of
        self._threshold = threshold_percent
        self._read = Nvml().read if read is None else read
        self._time_limit_seconds = time_limit_seconds
        self._thread: OwnThread[tuple[Observation, ...]] = OwnThread("idle-culler gpu")

    @property
    def limitations(self) -> tuple[str, ...]:
        """Say what cannot be seen here."""
        if not sys.platform.startswith("linux"):
            return ("GPUs are looked at on Linux only: their work does not show here.",)
        if Path(_DEVICE).exists() and importlib.util.find_spec("pynvml") is None:
            return (
                "There is an NVIDIA GPU, but no nvidia-ml-py to ask it: its work does not show. "
                "Install jupyter_idle_culler[gpu].",
            )
        return ()

    async def observe(self, look: Look) -> Report:
        """Say whose processes keep a GPU busy; of what is idle, who holds its memory.

        Raises: asyncio.TimeoutError, RuntimeError: the driver does not answer, or cannot.
        """
        if not sys.platform.startswith("linux"):
            return Report()
        return Report(await self._thread.run(lambda: self._look(look), self._time_limit_seconds))

    def _look(self, look: Look) -> tuple[Observation, ...]:
        try:
            readings = self._read()
        except NoGpu:
            return ()
        return tuple(seen for reading in readings for seen in self._rate(reading, look))

    def _rate(self, reading: GpuReading, look: Look) -> Iterator[Observation]:
        """Say what one GPU shows."""
        table = {} if look.processes is None else look.processes.processes
        busy = {p: v for p, v in (reading.processes or {}).items() if v >= self._threshold}
        if reading.trouble:
            detail = f"GPU {reading.index}: {reading.trouble}"
            yield Observation(
                EVERYTHING, self.name, Verdict.UNKNOWN, detail=detail, essential=False
            )
            return
        used = reading.percent
        # Within a container the driver names pids of the machine, or hides them: then its figures
        # of processes say nothing of those seen here.
        if busy and all(_is_user(pid, table) for pid in busy):
            owners = _most_by_owner(busy, self._owner_of)
        elif (max(busy.values(), default=0.0) if used is None else used) >= self._threshold:
            used = max(busy.values(), default=0.0) if used is None else used
            who = {owner for pid in table if (owner := self._owner_of(pid)) and _may_use(pid)}
            owners = dict.fromkeys(sorted(who, key=str) or [EVERYTHING], used)
        else:
            owners = {}
        for owner, percent in owners.items():
            yield self._observation(owner, Verdict.ACTIVE, percent, f"{_name(reading)} busy")
        if not owners:
            percent = max(busy.values(), default=0.0) if used is None else used
            whose = ", used by others" if percent >= self._threshold else ""
            detail = f"{_name(reading)}{whose}{self._holders(reading, look)}"
            yield self._observation(HOST, Verdict.IDLE, percent, detail)

    def _observation(
        self, resource: ResourceId, verdict: Verdict, percent: float, detail: str
    ) -> Observation:
        return Observation(
            resource, self.name, verdict, detail=f"{detail}, {_number(percent)} %", value=percent,
            threshold=self._threshold, unit="%", essential=False,
        )  # fmt: skip

    def _holders(self, reading: GpuReading, look: Look) -> str:
        """Say in words who holds the GPU's memory."""
        labels = {resource.id: resource.label for resource in look.resources}
        held: dict[str, int] = {}
        for pid, size in reading.memory.items():
            owner = self._owner_of(pid)
            if owner is not None:
                name = labels.get(owner) or (owner.name if owner.kind is not Kind.HOST else "a job")
                held[name] = held.get(name, 0) + size
        return "".join(f"; {name} holds {size / _GIB:.1f} GiB" for name, size in held.items())


def _most_by_owner(
    busy: Mapping[int, float], owner_of: Callable[[int], ResourceId | None]
) -> dict[ResourceId, float]:
    """Return the busiest process's figure for each owner that counts."""
    owners: dict[ResourceId, float] = {}
    for pid, percent in busy.items():
        owner = owner_of(pid)
        if owner is not None:
            owners[owner] = max(percent, owners.get(owner, 0.0))
    return owners


def _is_user(pid: int, table: Mapping[int, Process]) -> bool:
    """Tell whether a pid that the driver names can be that process of this table."""
    return pid in table and (_may_use(pid) or not Path(_DEVICE).exists())


def _may_use(pid: int) -> bool:
    """Tell whether a process has a GPU open, or does not let itself be looked at."""
    try:
        with os.scandir(f"/proc/{pid}/fd") as files:
            return any(_link(Path(file.path)).startswith(_DEVICE_FILES) for file in files)
    except PermissionError:
        return True
    except OSError:
        return False


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""  # closed meanwhile


def _name(reading: GpuReading) -> str:
    return f"GPU {reading.index}" + (f" ({reading.name})" if reading.name else "")


def _number(percent: float) -> str:
    return f"{percent:.0f}" if percent == 0 or percent >= 10 else f"{percent:.1f}"
