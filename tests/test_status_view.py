"""What the health says of sources that fail and of actions that failed."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

import pytest

from jupyter_idle_culler import status
from jupyter_idle_culler.actions.base import Outcome
from jupyter_idle_culler.actor import Actor
from jupyter_idle_culler.clock import AwakeClock
from jupyter_idle_culler.core.model import HOST, Decision, Kind, Observation, Policy, Verdict
from jupyter_idle_culler.culler import Culler
from jupyter_idle_culler.observer import Observer
from jupyter_idle_culler.sources.base import Look, Report
from jupyter_idle_culler.sources.procfs import ProcessTable
from jupyter_idle_culler.status_view import StatusView, policy_summary

LOG = logging.getLogger(__name__)
TIMEOUT, GRACE = 100.0, 1000.0


class Sensor:
    """A source that is broken until it is mended: as a whole, or only what it observes."""

    name = "sensor"
    covers = HOST
    limitations = ()

    def __init__(self, *, essential: bool, as_a_whole: bool = True) -> None:
        self.essential = essential
        self.as_a_whole = as_a_whole

    async def observe(self, look: Look) -> Report:
        """Fail."""
        del look
        if self.as_a_whole:
            message = "broken"
            raise RuntimeError(message)
        seen = Observation(
            HOST, self.name, Verdict.UNKNOWN, detail="broken", essential=self.essential
        )
        return Report((seen,))


class Person:
    """A source that knows when there was a person."""

    name = "presence"
    covers = HOST
    essential = False
    limitations = ()
    at = 0.0

    async def observe(self, look: Look) -> Report:
        """Say when."""
        del look
        return Report((Observation(HOST, self.name, Verdict.IDLE, self.at, "a person"),))


class Refused:
    """A stop that is refused."""

    name = "refused"

    async def apply(self, decision: Decision) -> Outcome:
        """Refuse."""
        del decision
        return Outcome(False, "not allowed", mend="allow it")


class Silent:
    """Records nothing."""

    async def looked(self, *_: object) -> None:
        """Keep nothing."""

    async def decided(self, *_: object) -> None:
        """Keep nothing."""

    async def settled(self, *_: object) -> None:
        """Keep nothing."""


@dataclass
class World:
    """A culler on a clock that the test moves."""

    now: float = 0.0

    def build(self, *sources: Sensor | Person, cull_on_unknown: bool = False) -> Culler:
        """Put a culler over the sources."""
        clock = AwakeClock(monotonic=lambda: self.now, elapsed=lambda: self.now)
        observer = Observer(
            (), sources, clock.now, LOG, 0.0, read_table=lambda: ProcessTable(0.0, 0, {})
        )
        actor = Actor({Kind.HOST: Refused()}, clock.now, Silent().settled, LOG)
        policy = Policy(
            host_timeout_seconds=TIMEOUT,
            warning_seconds=0.0,
            startup_grace_seconds=0.0,
            source_failure_grace_seconds=GRACE,
            cull_on_unknown=cull_on_unknown,
        )
        return Culler(observer, actor, policy, clock, Silent(), LOG)


def health(culler: Culler) -> status.Health:
    """Say how it is after the last look."""
    view = StatusView(culler.clock, culler.observer, culler.actor, "none", dry_run=False)
    bounds = {"min_timeout_minutes": None, "max_timeout_minutes": None}
    policy = policy_summary(culler.policy, **bounds, max_keep_alive_minutes=60.0)
    return view.status(culler.last, policy, (), ()).health


def verdict(culler: Culler) -> Verdict:
    """Say what the host is."""
    assert culler.last is not None
    return culler.last.decisions[-1].verdict


async def mend(world: World, culler: Culler, at: float) -> str:
    """Look at that instant, and return what is said to become of what the sensor cannot see."""
    world.now = at
    await culler.look()
    said = health(culler)
    (problem,) = said.problems
    assert (said.status, problem.source) == ("degraded", "sensor")
    assert "broken" in problem.detail
    return problem.mend


@pytest.mark.parametrize("as_a_whole", [True, False])
async def test_an_auxiliary_source_past_its_grace_is_said_to_be_left_out(as_a_whole: bool) -> None:
    """Just as loudly as it was said before that it is kept; and the host may be stopped then."""
    world = World()
    culler = world.build(Sensor(essential=False, as_a_whole=as_a_whole))
    assert "is kept for a while, then left out" in await mend(world, culler, 1.0)
    assert "is kept for a while, then left out" in await mend(world, culler, GRACE)
    assert verdict(culler) is Verdict.UNKNOWN
    said = await mend(world, culler, GRACE + 1.0)
    assert said.startswith("left out after source_failure_grace_minutes")
    assert "kept" not in said
    assert verdict(culler) is Verdict.IDLE


@pytest.mark.parametrize("as_a_whole", [True, False])
async def test_an_essential_source_is_said_to_be_kept_for_ever(as_a_whole: bool) -> None:
    """No grace ends for it."""
    world = World()
    culler = world.build(Sensor(essential=True, as_a_whole=as_a_whole))
    assert "is kept while this lasts" in await mend(world, culler, 1.0)
    assert "is kept while this lasts" in await mend(world, culler, 10 * GRACE)


async def test_what_the_administrator_leaves_out_is_said_to_be_so() -> None:
    """With cull_on_unknown nothing is kept, from the first look on."""
    world = World()
    culler = world.build(Sensor(essential=True), cull_on_unknown=True)
    assert "left out (cull_on_unknown)" in await mend(world, culler, 1.0)


async def test_a_refused_stop_is_no_problem_any_more_once_there_is_new_evidence() -> None:
    """Nothing will be tried at the time that it named; while the stop is due it is told."""
    world, person = World(), Person()
    culler = world.build(person)
    world.now = TIMEOUT + 1.0
    await culler.step()  # it warns
    await culler.step()
    while HOST in culler.actor.running:
        await asyncio.sleep(0)
    said = health(culler)
    (problem,) = said.problems
    assert (said.status, problem.detail) == ("unhealthy", "not allowed")
    assert "allow it; tried again at" in problem.mend
    world.now = person.at = TIMEOUT + 2.0
    await culler.look()
    assert health(culler) == status.Health()
    world.now += TIMEOUT + 1.0
    await culler.look()  # it warns
    await culler.look()
    assert health(culler).status == "unhealthy"
