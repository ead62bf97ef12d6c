"""Say whether what a group of processes did is work.

Three views of the same counters: *recent* (since the previous look, a second at least) shows who
computes at all; *steady* (ten seconds and more) keeps a hiccup in a short window from looking like
work; *instant* (since the previous look, however short) shows what may have begun between two looks
that follow each other closely. It may as well be one beat of a heartbeat: over less than a second
nobody can tell, so such a finding says that it is `brief`. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Iterable, Mapping, NamedTuple, Optional

from .accounting import STEADY_WINDOW_SECONDS, Work
from .procfs import TICKS_PER_SECOND

PASSING_SECONDS = 30.0
"""What weighs a process that something uncounted started a moment ago: see `Life`."""

_INSTANT_TICKS = 3  # fewer are a matter of when the clock ticked
_INSTANT_SHARE = 0.5  # of the bar for a tree: who computes gets no whole core on a busy machine


@dataclass(frozen=True)
class Thresholds:
    """From when on it is work: percent of one core for a process and for a tree, bytes a second."""

    cpu_percent: float = 5.0
    tree_cpu_percent: float = 50.0
    io_bytes_per_second: float = 1048576.0


DEFAULT_THRESHOLDS = Thresholds()


class Windows(NamedTuple):
    """What each process did, by pid, seen over the three windows."""

    recent: Mapping[int, Work]
    steady: Mapping[int, Work]
    instant: Mapping[int, Work]


class Life(NamedTuple):
    """All that a passing process ever did.

    Servers, viewers and cron start short commands all the time (``git status``, ``nvidia-smi``):
    met alive, one would be rated over its first second and look like work. So what they started
    less than `PASSING_SECONDS` ago is rated over that long.
    """

    ticks: int
    io_bytes: int


class Finding(NamedTuple):
    """The decisive figure of a group: of process ``pid``, or of ``processes`` together.

    ``unit`` is ``%`` (of one core) or ``bytes/s``. ``brief``: it rests on less than a second alone.
    """

    active: bool
    pid: Optional[int]
    processes: int
    value: float
    threshold: float
    unit: str
    brief: bool = False


class _Figures(NamedTuple):
    pid: int
    cpu: float
    io: float
    sudden: float
    cpu_counts: bool
    io_counts: bool


def judge(
    pids: Iterable[int],
    windows: Windows,
    thresholds: Thresholds,
    passing: Callable[[int], Optional[Life]],
) -> Finding:
    """Rate a group of processes: each by itself, then all together.

    ``passing`` gives the `Life` of a process that is to be rated as one, None for others.
    """
    figures = [
        _rate(pid, windows, thresholds, passing(pid))
        for pid in pids
        if pid in windows.recent or pid in windows.instant
    ]
    if not figures:
        return Finding(False, None, 0, 0.0, thresholds.cpu_percent, "%")
    by_cpu = max(figures, key=lambda figure: (figure.cpu_counts, figure.cpu))
    by_io = max(figures, key=lambda figure: (figure.io_counts, figure.io))
    together = sum(figure.cpu for figure in figures)
    if by_cpu.cpu_counts:
        return Finding(True, by_cpu.pid, 1, by_cpu.cpu, thresholds.cpu_percent, "%")
    if by_io.io_counts:
        return Finding(True, by_io.pid, 1, by_io.io, thresholds.io_bytes_per_second, "bytes/s")
    if together >= thresholds.tree_cpu_percent:
        busy = sum(figure.cpu > 0 for figure in figures)
        return Finding(True, by_cpu.pid, busy, together, thresholds.tree_cpu_percent, "%")
    suddenly = max(figures, key=lambda figure: figure.sudden)
    if suddenly.sudden:
        cpu = suddenly.sudden
        return Finding(True, suddenly.pid, 1, cpu, thresholds.cpu_percent, "%", brief=True)
    return Finding(False, by_cpu.pid, 1, by_cpu.cpu, thresholds.cpu_percent, "%")


def _rate(pid: int, windows: Windows, thresholds: Thresholds, life: Optional[Life]) -> _Figures:
    recent, steady = windows.recent.get(pid), windows.steady.get(pid)
    if recent is None:
        cpu = steady_cpu = io = steady_io = 0.0
    else:
        cpu, io = recent.cpu_percent, recent.io_rate
        long = max(STEADY_WINDOW_SECONDS, recent.seconds)
        steady_cpu = 100.0 * recent.ticks / TICKS_PER_SECOND / long
        steady_io = recent.io_bytes / max(long, recent.io_seconds)
    if life is not None:
        cpu = min(cpu, 100.0 * life.ticks / TICKS_PER_SECOND / PASSING_SECONDS)
        io = min(io, life.io_bytes / PASSING_SECONDS)
        steady_cpu, steady_io = cpu, io
    elif steady is not None:
        steady_cpu = max(steady_cpu, steady.cpu_percent)
        steady_io = max(steady_io, steady.io_rate)
    sudden = _sudden_percent(windows.instant.get(pid), thresholds) if life is None else 0.0
    return _Figures(
        pid,
        cpu,
        io,
        sudden,
        thresholds.cpu_percent <= min(cpu, steady_cpu),
        thresholds.io_bytes_per_second <= min(io, steady_io),
    )


def _sudden_percent(work: Optional[Work], thresholds: Thresholds) -> float:
    """Return the rate over a very short window, where it is high enough to mean something."""
    if work is None or work.ticks < _INSTANT_TICKS or work.elapsed <= 0.0:
        return 0.0
    percent = 100.0 * work.ticks / TICKS_PER_SECOND / work.elapsed
    return percent if percent >= _INSTANT_SHARE * thresholds.tree_cpu_percent else 0.0
