"""A big server: 200 kernels and 1,000 processes. Its event loop, and `GET status`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from .figures import Figure, percentile
from .servers import Server

_KERNELS = 200
_SLEEPERS = 1000
_TICK_SECONDS = 0.001
_STATUS = "api/idle-culler/v1/status"


def measure(quick: bool) -> Iterator[Figure]:
    """Measure both on a server with the culler, in turn with a plain one of the same size."""
    config = {"stop_action": "command", "stop_command": ["true"], "dry_run": True}
    with (
        Server(None, sleepers=_SLEEPERS, many_kernels=True) as plain,
        Server(config, sleepers=_SLEEPERS, many_kernels=True) as ours,
    ):
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda server: server.start_kernels(_KERNELS, "light"), (plain, ours)))
        ours.request("POST", "bench/attach", {"check_interval_seconds": 2.0})
        yield _status(plain, ours, 100 if quick else 500)
        ours.request("POST", "bench/attach", {"check_interval_seconds": 0.5})
        yield from _event_loop(plain, ours, 3 if quick else 10)


def _status(plain: Server, ours: Server, count: int) -> Figure:
    """Ask again and again over one connection, the culler looking every two seconds meanwhile."""
    took, listed = [], []
    for _ in range(count):
        began = time.monotonic()
        status = ours.request("GET", _STATUS)
        took.append(1000 * (time.monotonic() - began))
        assert len(status["kernels"]) == _KERNELS
        began = time.monotonic()
        assert len(plain.request("GET", "api/kernels")) == _KERNELS
        listed.append(1000 * (time.monotonic() - began))
        time.sleep(0.01)
    compared = f"plain GET /api/kernels p99 {percentile(listed, 99):.1f} ms"
    name = f"GET status, {_KERNELS} kernels"
    return Figure(name, tuple(took), "ms", "p99", bound=20, compared=compared)


def _event_loop(plain: Server, ours: Server, turns: int) -> Iterator[Figure]:
    """Measure five seconds of each server in turn; of ours count what falls into a look."""
    differences, baselines, looks = [], [], []
    for _ in range(turns):
        baseline = plain.request("POST", "bench/lag", {"seconds": 5})
        during = ours.request("POST", "bench/lag", {"seconds": 5})
        assert len(during["looks"]) >= 5
        in_look = [
            (at, late)
            for at, late in during["late"]
            if any(began <= at and at - late <= ended for began, ended in during["looks"])
        ]
        p99 = percentile(as_felt(late for _, late in in_look), 99)
        base = percentile(as_felt(late for _, late in baseline["late"]), 99)
        differences.append(1000 * (p99 - base))
        baselines.append(1000 * base)
        looks += [1000 * (ended - began) for began, ended in during["looks"]]
    yield Figure(
        f"event loop, p99 stall during looks over baseline, {_KERNELS} kernels, "
        f"{_SLEEPERS} processes",
        tuple(differences),
        "ms",
        bound=5,
        compared=f"plain p99 {statistics.median(baselines):.1f} ms",
    )
    yield Figure("a look at them", tuple(looks), "ms")


def as_felt(lateness: Iterable[float]) -> Sequence[float]:
    """Return how late timers due at each millisecond would have come.

    A timer that came 50 ms late is one sample, but 50 others would have come late meanwhile.
    """
    felt = []
    for late in lateness:
        felt.append(late)
        left = late - _TICK_SECONDS
        while left > 0:
            felt.append(left)
            left -= _TICK_SECONDS
    return felt
