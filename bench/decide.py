"""How long the pure decision takes, and how that grows."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator

from jupyter_idle_culler.core.decision import decide
from jupyter_idle_culler.core.model import (
    HOST,
    Kind,
    Observation,
    Policy,
    Resource,
    ResourceId,
    Snapshot,
    State,
    Strength,
    Verdict,
)

from .figures import Figure

_RESOURCES = 10_000


def _snapshot(count: int, now: float) -> Snapshot:
    """Return a look at so many kernels and terminals, each seen by three sources."""
    resources, observations = [], []
    for number in range(count):
        kind = Kind.TERMINAL if number % 4 == 3 else Kind.KERNEL
        rid = ResourceId(kind, f"{number:036d}")
        quiet = float(number * 7 % 9000)
        resources.append(Resource(rid, now - 90_000, f"work/{number}.ipynb", pid=number + 2))
        busy = number % 10 == 0
        observations += [
            Observation(rid, "kernels", Verdict.IDLE, now - quiet, "its last cell ended"),
            Observation(
                rid,
                "kernels",
                Verdict.ACTIVE if busy else Verdict.IDLE,
                None if busy else now - quiet - 60,
                "cell running",
                Strength.OCCUPIED,
            ),
            Observation(
                rid, "processes", Verdict.IDLE, now - quiet - 1, "0 % CPU", value=0, threshold=5
            ),
        ]
    observations.append(Observation(HOST, "presence", Verdict.IDLE, now - 30, "you typed"))
    return Snapshot(now - 90_000, tuple(resources), tuple(observations))


def measure(quick: bool) -> Iterator[Figure]:
    """Time decisions about 10,000 and 100,000 resources in turn; CPU time of this thread."""
    small, large, ratios = [], [], []
    snapshots = {count: _snapshot(count, 1e6) for count in (_RESOURCES, 10 * _RESOURCES)}
    states = dict.fromkeys(snapshots, State())
    gc.freeze()  # looking through the larger snapshot for garbage is no part of deciding on another
    for turn in range(-1, 3 if quick else 11):
        took = {}
        for count, snapshot in snapshots.items():
            gc.collect()
            began = time.thread_time()
            decisions, states[count] = decide(snapshot, Policy(), states[count], 1e6 + turn)
            took[count] = time.thread_time() - began
            assert len(decisions) == count + 1
        if turn >= 0:  # the first one has no state to merge with, and warms up
            small.append(1000 * took[_RESOURCES])
            large.append(1000 * took[10 * _RESOURCES])
            ratios.append(took[10 * _RESOURCES] / took[_RESOURCES])
    yield Figure(f"decide about {_RESOURCES} resources", tuple(small), "ms", bound=100)
    yield Figure(
        "decide about ten times as many",
        tuple(ratios),
        "times",
        bound=15,
        compared=f"median {sorted(large)[len(large) // 2]:.0f} ms",
    )
