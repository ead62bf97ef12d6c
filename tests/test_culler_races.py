"""Evidence that arrives between a decision and its act wins, whatever the order of things."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from jupyter_idle_culler.actions.base import Outcome
from jupyter_idle_culler.actor import Actor
from jupyter_idle_culler.clock import AwakeClock
from jupyter_idle_culler.core.model import (
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

TIMEOUT = 100.0
LOG = logging.getLogger(__name__)


@dataclass
class World:
    """Kernels that come, work and go, on a clock that the test moves."""

    now: float = 1000.0
    evidence: dict[ResourceId, float] = field(default_factory=dict)
    host_evidence: float = 1000.0
    between: Callable[[], None] | None = None
    looks: int = 0
    in_doubt: bool = False

    name = "kernels"
    covers = ResourceId(Kind.KERNEL, "")
    essential = True
    limitations = ()

    async def observe(self, look: Look) -> Report:
        """Report each kernel; before the second look of a step, let the test interfere."""
        self.looks += 1
        if self.looks == 2 and self.between is not None:
            self.between()
            self.between = None
            if self.in_doubt:
                return Report(again_in_seconds=0.01)
        person = Observation(HOST, self.name, Verdict.IDLE, self.host_evidence, "a person")
        cells = (
            Observation(kernel, self.name, Verdict.IDLE, at, "a cell ran")
            for kernel, at in self.evidence.items()
        )
        return Report(
            (person, *cells),
            tuple(Resource(kernel, started_at=0.0) for kernel in self.evidence),
        )


class Records:
    """Remembers what was told."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.outcomes: list[tuple[Decision, Outcome]] = []

    async def looked(self, *_: object) -> None:
        """Nothing is kept of a look."""

    async def decided(self, decisions: Iterable[Decision]) -> None:
        """Keep what was decided."""
        self.decisions += decisions

    async def settled(self, decision: Decision, outcome: Outcome) -> None:
        """Keep what became of it."""
        self.outcomes.append((decision, outcome))


class Ending:
    """An action that ends a thing of this world, and notes how it stood just then."""

    name = "ending"

    def __init__(self, world: World) -> None:
        self.world = world
        self.ended: list[tuple[ResourceId, float]] = []

    async def apply(self, decision: Decision) -> Outcome:
        """End it."""
        resource = decision.resource
        newest = self.world.host_evidence if resource == HOST else self.world.evidence[resource]
        self.ended.append((resource, self.world.now - newest))
        self.world.evidence.pop(resource, None)
        return Outcome(True, "gone")


def build(world: World) -> tuple[Culler, Ending, Records]:
    """Put a culler over the world."""
    clock = AwakeClock(monotonic=lambda: world.now, elapsed=lambda: world.now)
    records = Records()
    ending = Ending(world)
    observer = Observer(
        finding=[world],
        others=[],
        clock=clock.now,
        log=LOG,
        server_started_at=0.0,
        read_table=lambda: ProcessTable(0.0, 0, {}),
    )
    actor = Actor(
        runners={Kind.KERNEL: ending, Kind.HOST: ending},
        clock=clock.now,
        settled=records.settled,
        log=LOG,
    )
    policy = Policy(
        kernel_timeout_seconds=TIMEOUT,
        host_timeout_seconds=TIMEOUT,
        warning_seconds=10.0,
    )
    return Culler(observer, actor, policy, clock, records, LOG), ending, records


class Waiting:
    """An action that takes for ever."""

    name = "waiting"

    async def apply(self, decision: Decision) -> Outcome:
        """Never come to an end."""
        await asyncio.Event().wait()
        raise AssertionError(decision)


async def test_what_the_end_of_the_server_cuts_short_is_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every decision that was begun has an outcome, also where it was not waited for."""
    monkeypatch.setattr("jupyter_idle_culler.actor.CLOSING_SECONDS", 0.05)
    culler, _, records = build(World())
    culler.actor.runners = {Kind.KERNEL: Waiting()}
    decision = Decision(ResourceId(Kind.KERNEL, "a"), Action.CULL, Verdict.IDLE, "idle", 0.0)
    culler.actor.begin(decision)
    await asyncio.sleep(0)
    await culler.stop()
    ((recorded, outcome),) = records.outcomes
    assert recorded == decision
    assert (outcome.ok, outcome.detail) == (False, "the server ended meanwhile")


@pytest.mark.parametrize("turns", range(8))
async def test_the_loop_ends_whatever_its_look_is_at(turns: int) -> None:
    """Also when it is told to while an answer that it waited for is about to be handed to it."""
    culler, _, _ = build(World())
    reading = threading.Event()

    def read() -> ProcessTable:
        reading.wait(10)
        return ProcessTable(0.0, 0, {})

    culler.observer.read_table = read
    culler.start()
    await asyncio.sleep(0.05)
    reading.set()
    time.sleep(0.05)  # the answer is there, and the event loop has not seen it
    for _ in range(turns):
        await asyncio.sleep(0)
    await asyncio.wait_for(culler.stop(), 10)
    assert culler._task is not None
    assert culler._task.done()


async def test_what_the_end_of_the_server_prevents_is_recorded() -> None:
    """A decision that was recorded and not begun when the server was told to end, too."""
    world = World()
    culler, ending, records = build(world)
    kernel = ResourceId(Kind.KERNEL, "a")
    world.evidence[kernel] = world.now
    await culler.look()
    world.looks = 0
    world.now += 2 * TIMEOUT
    world.host_evidence = world.now
    second_look = asyncio.Event()
    stepping = asyncio.create_task(culler.step())
    world.between = second_look.set
    await second_look.wait()
    stepping.cancel()
    await asyncio.gather(stepping, return_exceptions=True)
    await culler.stop()
    assert ending.ended == []
    assert [(d.resource, o.detail) for d, o in records.outcomes] == [
        (kernel, "the server ended meanwhile")
    ]


@pytest.mark.parametrize("works", [True, False])
async def test_a_look_in_doubt_decides_nothing_and_the_one_after_it_does(works: bool) -> None:
    """Neither is what it saw ended for want of evidence, nor is the doubt taken for evidence."""
    world = World(in_doubt=True)
    culler, ending, _ = build(world)
    kernel = ResourceId(Kind.KERNEL, "a")
    world.evidence[kernel] = world.now
    await culler.look()
    world.looks = 0
    world.now += 2 * TIMEOUT
    world.host_evidence = world.now

    def go_on() -> None:
        if works:
            world.evidence[kernel] = world.now

    world.between = go_on
    await culler.step()
    await asyncio.sleep(0.1)
    assert world.looks == 3
    assert ending.ended == ([] if works else [(kernel, 2 * TIMEOUT)])
    await culler.stop()


async def test_the_end_waits_until_what_it_prevents_is_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A disk that takes its time loses no outcome: the loop is not cut off while it records."""
    world = World()
    culler, _, records = build(world)
    kernels = [ResourceId(Kind.KERNEL, "a"), ResourceId(Kind.KERNEL, "b")]
    world.evidence = dict.fromkeys(kernels, world.now)
    await culler.look()
    world.looks = 0
    world.now += 2 * TIMEOUT
    world.host_evidence = world.now
    settle = records.settled

    async def settled_slowly(decision: Decision, outcome: Outcome) -> None:
        await asyncio.sleep(0.4)
        await settle(decision, outcome)

    monkeypatch.setattr(records, "settled", settled_slowly)
    second_look = asyncio.Event()
    world.between = second_look.set
    culler.start()
    await second_look.wait()
    await culler.stop()
    assert [(d.resource, o.detail) for d, o in records.outcomes] == [
        (kernel, "the server ended meanwhile") for kernel in kernels
    ]


class Races(RuleBasedStateMachine):
    """Kernels work at any moment, between the two looks too."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.world = World()
        self.culler, self.ending, self.records = self.loop.run_until_complete(self._build())

    async def _build(self) -> tuple[Culler, Ending, Records]:
        return build(self.world)

    def teardown(self) -> None:
        """Let nothing run on."""
        self.loop.run_until_complete(self.culler.stop())
        self.loop.close()

    @rule(name=st.sampled_from("abc"))
    def kernel_works(self, name: str) -> None:
        """A kernel is started, or runs a cell."""
        self.world.evidence[ResourceId(Kind.KERNEL, name)] = self.world.now

    @rule()
    def person_works(self) -> None:
        """Somebody types."""
        self.world.host_evidence = self.world.now

    @rule(seconds=st.sampled_from([0.5, 9.0, 45.0, 91.0, 101.0, 500.0]))
    def time_passes(self, seconds: float) -> None:
        """Nothing happens for a while."""
        self.world.now += seconds

    @rule(name=st.sampled_from(["", *"abc"]), host=st.booleans(), seconds=st.floats(0, 2))
    def culler_steps(self, name: str, host: bool, seconds: float) -> None:
        """The culler takes a step; in the gap between its looks evidence may arrive."""

        def between() -> None:
            self.world.now += seconds
            kernel = ResourceId(Kind.KERNEL, name)
            if kernel in self.world.evidence:
                self.world.evidence[kernel] = self.world.now
            if host:
                self.world.host_evidence = self.world.now

        self.world.looks, self.world.between = 0, between
        self.loop.run_until_complete(self._step())

    async def _step(self) -> None:
        await self.culler.step()
        while self.culler.actor.running:
            await asyncio.sleep(0)

    @invariant()
    def nothing_ended_before_its_time(self) -> None:
        """Whatever ended had been idle for its whole timeout when it was ended."""
        for resource, idle_seconds in self.ending.ended:
            assert idle_seconds >= TIMEOUT, resource

    @invariant()
    def every_end_was_recorded_first(self) -> None:
        """Each end was announced before, and its outcome afterwards."""
        announced = [d.resource for d in self.records.decisions if d.action is Action.CULL]
        ended = [r for r, _ in self.ending.ended if r.kind is Kind.KERNEL]
        for resource in set(ended):
            assert announced.count(resource) >= ended.count(resource)


Races.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestRaces = Races.TestCase


def test_evidence_in_the_gap_withdraws_the_cull() -> None:
    """A kernel that works between the two looks stays, and the record says why."""

    async def scenario() -> None:
        world = World()
        kernel = ResourceId(Kind.KERNEL, "a")
        world.evidence[kernel] = world.now
        culler, ending, records = build(world)
        try:
            world.now += TIMEOUT + 1
            world.between = lambda: world.evidence.update({kernel: world.now})
            await culler.step()
            assert not ending.ended
            ((decision, outcome),) = records.outcomes
            assert decision.resource == kernel
            assert outcome.withdrawn
            world.now += TIMEOUT + 1
            await culler.step()
            while culler.actor.running:
                await asyncio.sleep(0)
            assert [resource for resource, _ in ending.ended if resource == kernel] == [kernel]
        finally:
            await culler.stop()

    asyncio.run(scenario())
