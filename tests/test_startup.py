"""What a kernel computes while it starts is no work; what it computes from then on is."""

from __future__ import annotations

import math

import pytest

from jupyter_idle_culler.core.model import Kind, Resource, ResourceId
from jupyter_idle_culler.sources.accounting import Sample
from jupyter_idle_culler.sources.procfs import TICKS_PER_SECOND, Process, ProcessTable, ProcKey
from jupyter_idle_culler.sources.startup import STARTUP_SECONDS, Startup

BOOTED = 1000.0
BORN = int(100 * TICKS_PER_SECOND)


def sample(age: float) -> Sample:
    """Return a table in which the kernel's process 7 is so many seconds old."""
    process = Process(7, "python", "S", 1, 7, 7, 0, -1, 0, 0, 0, BORN, 0)
    return Sample(
        ProcessTable(BOOTED + 100 + age, BORN + int(age * TICKS_PER_SECOND), {7: process}), {}
    )


def kernel(starting: bool) -> Resource:
    """Return the kernel, joined by a client or not yet."""
    return Resource(ResourceId(Kind.KERNEL, "k"), 0.0, pid=7, starting=starting)


@pytest.mark.parametrize(
    ("joined_at", "ages", "counts_from"),
    [
        (2.0, (1.0, 2.0, 3.0), 2.0),
        (0.0, (0.0, 1.0), 0.0),
        (math.inf, (1.0, 2.0, 3.0), None),
        (math.inf, (1.0, STARTUP_SECONDS, 40.0), STARTUP_SECONDS),
        (60.0, (20.0, 40.0, 60.0), 40.0),
    ],
    ids=[
        "from the first look at which it was joined",
        "from the first look of all, for one that was joined before",
        "never, while it starts",
        "from when it is too old to be starting still",
        "from when it was too old, though it was joined later",
    ],
)
def test_a_kernels_own_process_counts_only_from_when_it_has_started(
    joined_at: float, ages: tuple[float, ...], counts_from: float | None
) -> None:
    """K7: imports are no work, whether anybody has joined the kernel meanwhile or not."""
    startup, history = Startup(), []
    for age in ages:
        history.append(sample(age))
        startup.look(history[-1].table, [kernel(starting=age < joined_at)])
    over = startup.over(ProcKey(7, BORN), history)
    assert (over[0] if over else None) == (None if counts_from is None else sample(counts_from))


def test_what_is_no_kernel_has_no_startup() -> None:
    """A terminal's shell counts from the first look on."""
    startup, history = Startup(), [sample(1.0)]
    shell = Resource(ResourceId(Kind.TERMINAL, "1"), 0.0, pid=7)
    startup.look(history[0].table, [shell])
    assert startup.over(ProcKey(7, BORN), history) == history
