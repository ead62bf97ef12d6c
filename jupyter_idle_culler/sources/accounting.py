"""Say what each process did between two process tables.

The kernel's counters are cumulative: a process's own CPU time, and that of the children it has
waited for, whole lives included. What a child had used before the earlier table was counted as the
child's; when it is reaped it reaches its parent's counter once more and is taken off there. So
commands too short to be seen are counted (their parent reaped them), and nothing is counted twice.

Pure arithmetic: no clock, no I/O. Python 3.8 syntax: autostop shares this module.
"""

from __future__ import annotations

from typing import Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from .procfs import TICKS_PER_SECOND, Process, ProcessTable

SHORTEST_WINDOW_SECONDS = 1.0
"""A rate over less would be one of single clock ticks."""

STEADY_WINDOW_SECONDS = 10.0
"""What a process did must weigh this long a window, where one that old can be seen."""


class IoReading(NamedTuple):
    """What ``/proc/<pid>/io`` said, and when (monotonic seconds)."""

    at: float
    bytes: int


class Sample(NamedTuple):
    """A process table and the I/O figures of those of its processes that may be read, by pid."""

    table: ProcessTable
    io: Mapping[int, IoReading]


class Work(NamedTuple):
    """What one process and its reaped children did in a window of ``seconds``.

    ``elapsed`` is the part of the window that the process lived through, ``seconds`` the same but
    never shorter than `SHORTEST_WINDOW_SECONDS`. ``io_seconds`` differs: I/O is read more rarely.
    """

    ticks: int
    elapsed: float
    seconds: float
    io_bytes: int
    io_seconds: float

    @property
    def cpu_percent(self) -> float:
        """CPU time, in percent of one core."""
        return 100.0 * self.ticks / TICKS_PER_SECOND / self.seconds

    @property
    def io_rate(self) -> float:
        """Bytes a second, read and written."""
        return self.io_bytes / self.io_seconds


def work_between(earlier: Sample, later: Sample) -> Dict[int, Work]:
    """Return what each process of the later table did since the earlier one, by pid.

    A process that did nothing is left out, and so is one that is older than the earlier table but
    not in it: its counters are a baseline, nothing more.
    """
    before, now = earlier.table.processes, later.table.processes
    window = later.table.read_at - earlier.table.read_at
    ticks_owed, bytes_owed = _already_counted(earlier, later)
    done: Dict[int, Work] = {}
    for pid, process in now.items():
        old = before.get(pid)
        if old is not None and old.start_ticks == process.start_ticks:
            own = max(0, process.cpu_ticks - old.cpu_ticks)
            reaped = max(0, process.reaped_ticks - old.reaped_ticks)
            elapsed, io_old = window, earlier.io.get(pid)
        elif process.start_ticks >= earlier.table.boot_ticks:
            own, reaped = process.cpu_ticks, process.reaped_ticks
            age = (later.table.boot_ticks - process.start_ticks) / TICKS_PER_SECOND
            elapsed = min(window, max(0.0, age))
            io_old = IoReading(later.table.read_at - elapsed, 0)
        else:
            continue
        ticks = own + max(0, reaped - ticks_owed.get(pid, 0))
        moved, between_readings = _moved(io_old, later.io.get(pid), bytes_owed.get(pid, 0))
        if ticks or moved:
            seconds = max(SHORTEST_WINDOW_SECONDS, elapsed)
            done[pid] = Work(ticks, elapsed, seconds, moved, max(seconds, between_readings))
    return done


def _moved(old: Optional[IoReading], new: Optional[IoReading], owed: int) -> Tuple[int, float]:
    if old is None or new is None or new.at <= old.at:
        return 0, 0.0
    return max(0, new.bytes - old.bytes - owed), new.at - old.at


def _already_counted(earlier: Sample, later: Sample) -> Tuple[Dict[int, int], Dict[int, int]]:
    """Return what was counted before for processes that are gone, by the pid that may reap it.

    That is the nearest ancestor that is still there: an orphan's time goes to its reaper instead,
    and then too much is taken off here. Rather that than counting twice: it is one window's.
    """
    before, now = earlier.table.processes, later.table.processes
    ticks: Dict[int, int] = {}
    moved: Dict[int, int] = {}
    for pid, process in before.items():
        if _is_in(process, now):
            continue
        heir = _nearest_survivor(process, before, now)
        if heir is not None:
            ticks[heir] = ticks.get(heir, 0) + process.cpu_ticks + process.reaped_ticks
            if pid in earlier.io:
                moved[heir] = moved.get(heir, 0) + earlier.io[pid].bytes
    return ticks, moved


def _is_in(process: Process, processes: Mapping[int, Process]) -> bool:
    other = processes.get(process.pid)
    return other is not None and other.start_ticks == process.start_ticks


def _nearest_survivor(
    process: Process, before: Mapping[int, Process], now: Mapping[int, Process]
) -> Optional[int]:
    seen = {process.pid}
    while True:
        parent = before.get(process.ppid)
        if parent is None or parent.pid in seen:
            return None
        if _is_in(parent, now):
            return parent.pid
        seen.add(parent.pid)
        process = parent


def base_of(history: Sequence[Sample], now: float, age_seconds: float) -> Optional[Sample]:
    """Return the newest sample at least that old, else the oldest there is (None: there is none).

    ``history`` is in order of time, oldest first.
    """
    for sample in reversed(history):
        if now - sample.table.read_at >= age_seconds:
            return sample
    return history[0] if history else None


def thinned(history: Iterable[Sample], now: float) -> List[Sample]:
    """Return what of a history (oldest first) later looks can need.

    The last one, the newest that is `STEADY_WINDOW_SECONDS` old, and between them one for each
    `SHORTEST_WINDOW_SECONDS`.
    """
    kept: List[Sample] = []
    for sample in history:
        at = sample.table.read_at
        if kept and now - at >= STEADY_WINDOW_SECONDS:
            kept = [sample]
        elif (
            len(kept) > 1 and kept[-1].table.read_at - kept[-2].table.read_at
            < SHORTEST_WINDOW_SECONDS
        ):  # fmt: skip
            kept[-1] = sample
        else:
            kept.append(sample)
    return kept
