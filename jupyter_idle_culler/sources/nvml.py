"""What NVIDIA's driver says of its GPUs, through nvidia-ml-py (the extra ``gpu``).

Neither that package nor the driver's library is loaded before the first reading.
"""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

SETTLE_SECONDS = 1.0
"""Waking a GPU up shows as use of it for a moment (where no persistence daemon keeps it awake)."""


class NoGpu(Exception):
    """There is no package, no library, no driver or no GPU here."""


@dataclass(frozen=True)
class GpuReading:
    """What one GPU does.

    ``percent`` is how busy the GPU is (None: the driver gives no figure), ``processes`` how busy
    each process keeps it, by pid, the idle ones left out (None: it does not tell them apart).
    ``memory`` is what processes hold of it, in bytes. ``trouble`` says why nothing is known.
    """

    index: int
    name: str = ""
    percent: float | None = None
    processes: Mapping[int, float] | None = None
    memory: Mapping[int, int] = field(default_factory=dict)
    trouble: str = ""


@dataclass
class _Seen:
    """The newest samples that were read of one GPU, in the driver's own microseconds."""

    device: int = 0
    processes: int = 0


class Nvml:
    """Reads all GPUs; blocks, so keep it off the event loop. One thread at a time.

    The library stays open from one reading to the next, and is opened anew after any trouble: a
    GPU may have fallen off its bus, a driver may have been replaced.
    """

    def __init__(
        self,
        settle_seconds: float = SETTLE_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settle_seconds, self._sleep = settle_seconds, sleep
        self._library: Any = None
        self._seen: dict[int, _Seen] = {}
        self._is_stale = False

    def read(self) -> tuple[GpuReading, ...]:
        """Return what each GPU does.

        Raises: NoGpu; RuntimeError where there is a driver that cannot be asked.
        """
        if self._is_stale:
            self.close()
        fresh = self._library is None
        if fresh:
            self._open()
        readings = self._read_all()
        if fresh and any(reading.percent for reading in readings):
            self._sleep(self._settle_seconds)
            readings = self._read_all()
        if not readings:
            self.close()
            message = "there is no GPU"
            raise NoGpu(message)
        return readings

    def close(self) -> None:
        """Let go of the driver."""
        library, self._library = self._library, None
        self._seen.clear()
        self._is_stale = False
        if library is not None:
            with contextlib.suppress(Exception):
                library.nvmlShutdown()

    def _open(self) -> None:
        try:
            library = importlib.import_module("pynvml")
        except ImportError as error:
            message = "nvidia-ml-py is not installed"
            raise NoGpu(message) from error
        try:
            library.nvmlInit()
        except library.NVMLError as error:
            absent = (library.NVML_ERROR_LIBRARY_NOT_FOUND, library.NVML_ERROR_DRIVER_NOT_LOADED)
            message = f"NVIDIA's driver cannot be asked: {error}"
            raise (NoGpu if error.value in absent else RuntimeError)(message) from error
        self._library = library

    def _read_all(self) -> tuple[GpuReading, ...]:
        library = self._library
        try:
            count = library.nvmlDeviceGetCount()
        except library.NVMLError as error:
            self.close()
            message = f"NVIDIA's driver does not say how many GPUs there are: {error}"
            raise RuntimeError(message) from error
        return tuple(self._read(index) for index in range(count))

    def _read(self, index: int) -> GpuReading:
        library, seen = self._library, self._seen.setdefault(index, _Seen())
        try:
            gpu = library.nvmlDeviceGetHandleByIndex(index)
            percent = self._device_percent(gpu, seen)
            processes = self._process_percents(gpu, seen)
            name, memory = self._name(gpu), self._memory(gpu)
        except library.NVMLError as error:
            self._is_stale = True
            return GpuReading(index, trouble=str(error))
        trouble = ""
        if percent is None and processes is None:
            mig = self._or_none(lambda: library.nvmlDeviceGetMigMode(gpu)[0])
            trouble = "the driver gives no figure of its use" + (" (MIG is on)" if mig else "")
        return GpuReading(index, name, percent, processes, memory, trouble)

    def _device_percent(self, gpu: Any, seen: _Seen) -> float | None:
        """Return the mean use since the last reading, as far back as the driver remembers."""
        library = self._library
        sampled = self._or_none(
            lambda: library.nvmlDeviceGetSamples(
                gpu, library.NVML_GPU_UTILIZATION_SAMPLES, seen.device
            )
        )
        new = [] if sampled is None else _newer(sampled[1], seen.device)
        is_first, seen.device = (
            not seen.device,
            max((s.timeStamp for s in new), default=seen.device),
        )
        if new and not is_first:
            return sum(float(sample.sampleValue.uiVal) for sample in new) / len(new)
        rates = self._or_none(lambda: library.nvmlDeviceGetUtilizationRates(gpu))
        return None if rates is None else float(rates.gpu)

    def _process_percents(self, gpu: Any, seen: _Seen) -> Mapping[int, float] | None:
        library = self._library
        try:
            samples = library.nvmlDeviceGetProcessUtilization(gpu, seen.processes)
        except library.NVMLError as error:
            if error.value in (library.NVML_ERROR_NOT_FOUND, library.NVML_SUCCESS):
                return {}  # how it is said that no process has used it
            if error.value in self._lasting():
                return None
            raise
        except AttributeError:
            return None
        busy: dict[int, float] = {}
        for sample in _newer(samples, seen.processes):
            percent = float(max(sample.smUtil, sample.encUtil, sample.decUtil))
            busy[sample.pid] = max(percent, busy.get(sample.pid, 0.0))
            seen.processes = max(seen.processes, sample.timeStamp)
        return {pid: percent for pid, percent in busy.items() if percent > 0}

    def _memory(self, gpu: Any) -> Mapping[int, int]:
        running = self._or_none(lambda: self._library.nvmlDeviceGetComputeRunningProcesses(gpu))
        return {process.pid: process.usedGpuMemory or 0 for process in running or ()}

    def _name(self, gpu: Any) -> str:
        name = self._or_none(lambda: self._library.nvmlDeviceGetName(gpu))
        return name.decode(errors="replace") if isinstance(name, bytes) else str(name or "")

    def _or_none(self, ask: Callable[[], Any]) -> Any:
        """Return an answer, None where this driver, this GPU or this package has none to give."""
        library = self._library
        try:
            return ask()
        except library.NVMLError as error:
            if error.value in self._lasting() or error.value == library.NVML_ERROR_NOT_FOUND:
                return None
            raise
        except (AttributeError, library.NVMLLibraryMismatchError):
            return None

    def _lasting(self) -> tuple[int, ...]:
        library = self._library
        return (
            library.NVML_ERROR_NOT_SUPPORTED,
            library.NVML_ERROR_NO_PERMISSION,
            library.NVML_ERROR_FUNCTION_NOT_FOUND,
            library.NVML_ERROR_INVALID_ARGUMENT,
            library.NVML_ERROR_NO_DATA,
            library.NVML_ERROR_INSUFFICIENT_SIZE,
        )


def _newer(samples: Iterable[Any], than: int) -> list[Any]:
    """Return the samples that were not read before: not every driver heeds what it was asked."""
    return [sample for sample in samples if sample.timeStamp > than]
