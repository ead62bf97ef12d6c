"""Costly sources are asked only when their answer decides something, and then they count."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from jupyter_idle_culler.actions.base import Outcome
from jupyter_idle_culler.actor import Actor
from jupyter_idle_culler.clock import AwakeClock
from jupyter_idle_culler.core.model import (
    EVERYTHING,
    HOST,
    Action,
    Decision,
    Kind,
    Observation,
    Policy,
    Resource,
    ResourceId,
    Verdict,
)
from jupyter_idle_culler.culler import Culler
from jupyter_idle_culler.observer import Observer
from jupyter_idle_culler.sources.base import Look, Report
from jupyter_idle_culler.sources.procfs import ProcessTable

LOG = logging.getLogger(__name__)
KERNEL = ResourceId(Kind.KERNEL, "k")
TIMEOUT, GRACE = 100.0, 30.0


@dataclass
class Cells:
    """One kernel, whose last cell ended at ``at`` (None: one runs)."""

    at: float | None = 1000.0
    name = "kernels"
    covers = ResourceId(Kind.KERNEL, "")
    essential = True
    limitations = ()

    async def observe(self, look: Look) -> Report:
        """Report the kernel."""
        verdict = Verdict.ACTIVE if self.at is None else Verdict.IDLE
        seen = Observation(KERNEL, self.name, verdict, self.at, "a cell")
        return Report((seen,), (Resource(KERNEL, started_at=900.0),))


@dataclass
class Costly:
    """A source on demand, and how often it was asked."""

    covers: ResourceId = EVERYTHING
    busy: ResourceId | None = None
    failing: bool = False
    asked: int = 0
    name = "costly"
    essential = False
    limitations = ()

    async def observe(self, look: Look) -> Report:
        """Answer as the test says."""
        assert [resource.id for resource in look.resources] == [KERNEL]
        self.asked += 1
        if self.failing:
            message = "no answer"
            raise RuntimeError(message)
        if self.busy is None:
            return Report()
        return Report((Observation(self.busy, self.name, Verdict.ACTIVE, detail="GPU 0 busy"),))


@dataclass
class Records:
    """Keeps nothing."""

    async def looked(self, *_: object) -> None:
        """Nothing is kept."""

    async def decided(self, decisions: Iterable[Decision]) -> None:
        """Nothing is kept."""

    async def settled(self, decision: Decision, outcome: Outcome) -> None:
        """Nothing is kept."""


@dataclass
class World:
    """A culler on a clock that the test moves; what it culled."""

    costly: Costly = field(default_factory=Costly)
    cells: Cells = field(default_factory=Cells)
    policy: Policy = field(
        default_factory=lambda: Policy(
            kernel_timeout_seconds=TIMEOUT,
            host_timeout_seconds=2 * TIMEOUT,
            warning_seconds=10.0,
            source_failure_grace_seconds=GRACE,
        )
    )
    now: float = 1000.0
    ended: list[ResourceId] = field(default_factory=list)
    name: str = "ending"

    def __post_init__(self) -> None:
        observer = Observer(
            finding=[self.cells],
            others=[],
            on_demand=[self.costly],
            clock=lambda: self.now,
            log=LOG,
            server_started_at=900.0,
            read_table=lambda: ProcessTable(0.0, 0, {}),
        )
        runners = {Kind.KERNEL: self, Kind.HOST: self}
        actor = Actor(runners, lambda: self.now, self.settled, LOG)
        clock = AwakeClock(lambda: self.now, lambda: self.now)
        self.culler = Culler(observer, actor, self.policy, clock, Records(), LOG)

    async def apply(self, decision: Decision) -> Outcome:
        """Carry out a decision."""
        self.ended.append(decision.resource)
        return Outcome(True, "done")

    async def settled(self, decision: Decision, outcome: Outcome) -> None:
        """Nothing is kept."""

    async def at(self, now: float) -> dict[ResourceId, Decision]:
        """Look at an instant; return what is decided."""
        self.now = now
        return {d.resource: d for d in (await self.culler.look()).decisions}


async def test_while_something_else_is_active_nobody_is_asked() -> None:
    """A cell that runs says it all, and holds the host."""
    world = World(cells=Cells(at=None))
    for now in (1001.0, 1060.0, 1500.0):
        await world.at(now)
    assert world.costly.asked == 0


async def test_where_nothing_could_be_ended_nobody_is_asked() -> None:
    """No timeout, no question."""
    never = Policy(kernel_timeout_seconds=float("inf"), host_stops=False)
    world = World(policy=never)
    for now in (1001.0, 1060.0, 9000.0):
        await world.at(now)
    assert world.costly.asked == 0


async def test_the_first_look_asks_only_about_what_it_would_end() -> None:
    """A start costs nothing; but nothing goes unasked either."""
    world = World()
    await world.at(1001.0)
    assert world.costly.asked == 0
    await world.at(1060.0)
    assert world.costly.asked == 1
    late = World(costly=Costly(busy=KERNEL))
    decisions = await late.at(1000.0 + 5 * TIMEOUT)
    assert late.costly.asked == 1
    assert decisions[KERNEL].verdict is Verdict.ACTIVE


async def test_a_source_of_the_host_alone_is_not_asked_about_kernels() -> None:
    """Sidecars are asked when the host seems idle, not when a kernel beside a busy one does."""
    world = World(costly=Costly(covers=HOST), policy=Policy(TIMEOUT, host_stops=False))
    for now in (1001.0, 1060.0):
        await world.at(now)
    assert world.costly.asked == 0


@pytest.mark.parametrize("busy", [KERNEL, EVERYTHING])
async def test_what_it_sees_keeps_the_kernel_and_the_host(busy: ResourceId) -> None:
    """And the deadline counts from when it was last seen."""
    world = World(costly=Costly(busy=busy))
    for now in (1001.0, 1050.0, 1099.0, 1150.0):
        decisions = await world.at(now)
    assert decisions[KERNEL].verdict is decisions[HOST].verdict is Verdict.ACTIVE
    assert decisions[KERNEL].evidence == "GPU 0 busy"
    world.costly.busy = None
    decisions = await world.at(1200.0)
    assert decisions[KERNEL].deadline == 1150.0 + TIMEOUT
    assert decisions[HOST].deadline == 1150.0 + 2 * TIMEOUT
    assert (await world.at(1250.0))[KERNEL].action is Action.CULL


async def test_it_is_asked_once_more_before_the_act() -> None:
    """What begins to compute between the decision and the act is kept."""
    world = World()
    await world.at(1001.0)
    world.now, asked = 1101.0, world.costly.asked
    original = world.culler.look
    looks = 0

    async def look() -> object:
        nonlocal looks
        looks += 1
        world.costly.busy = KERNEL if looks == 2 else None
        return await original()

    world.culler.look = look  # type: ignore[method-assign, assignment] # watch the looks of a step
    await world.culler.step()
    assert (looks, world.costly.asked - asked) == (2, 2)
    assert world.ended == []


async def test_what_fails_is_unknown_for_its_grace_and_then_left_out() -> None:
    """Neither ends work nor keeps a machine for ever."""
    world = World(costly=Costly(failing=True))
    await world.at(1001.0)
    for now in (1100.0, 1120.0, 1129.0):
        assert (await world.at(now))[KERNEL].verdict is Verdict.UNKNOWN
    assert (await world.at(1131.0))[KERNEL].action is Action.CULL
    assert world.culler.observer.health["costly"].failing_since is not None
