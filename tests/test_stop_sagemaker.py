"""A stop that went out is remembered: the next try looks first what became of it."""

from __future__ import annotations

import logging

import pytest

from jupyter_idle_culler.actions.base import Outcome
from jupyter_idle_culler.actions.stop_sagemaker import StopSageMaker
from jupyter_idle_culler.actor import Actor
from jupyter_idle_culler.aws.errand import Errand
from jupyter_idle_culler.aws.target import APP
from jupyter_idle_culler.core.model import HOST, Action, Decision, Kind, Verdict

from .aws.faulty_proxy import AFTER, BEFORE, STOP, FaultyProxy
from .aws.stand_in import CREDENTIALS, SageMakerStandIn
from .test_aws_faults import HURRIED, made

DECISION = Decision(HOST, Action.STOP, Verdict.IDLE, "idle", 100.0)
LOG = logging.getLogger("test")


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every process in."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


async def test_what_aws_accepted_and_took_back_is_stopped_anew_and_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While it is Deleting it is left to it; InService again, it is a failure that shows, first to
    be looked at once more, then to be sent anew."""
    clock = Clock()
    with SageMakerStandIn() as stand_in:
        target = made(stand_in, APP)
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", stand_in.url)
        stop = StopSageMaker(Errand(target, program=HURRIED), LOG, clock)
        first = await stop.apply(DECISION)
        assert first.ok, first
        assert first.again_in_seconds == 180
        clock.now += 180
        assert (await stop.apply(DECISION)).ok
        assert len(stand_in.stops()) == 1
        stand_in.set_status(target.arn, "InService")
        clock.now -= 90
        early = await stop.apply(DECISION)
        assert not early.ok
        assert "90 s ago" in early.detail
        assert "looked at again" in early.detail
        clock.now += 90
        late = await stop.apply(DECISION)
        assert not late.ok
        assert "sent anew" in late.detail
        assert len(stand_in.stops()) == 1
        assert (await stop.apply(DECISION)).ok
        assert len(stand_in.stops()) == 2


async def test_a_stop_in_doubt_that_cannot_be_seen_is_not_repeated_for_ten_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Describe is denied and the answer was lost: within ten minutes no second one goes out."""
    clock = Clock()
    faults = {BEFORE: "denied", STOP: "lose", AFTER: "denied"}
    with SageMakerStandIn() as stand_in, FaultyProxy(stand_in.url, faults, None) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", proxy.url)
        stop = StopSageMaker(Errand(made(stand_in, APP), program=HURRIED), LOG, clock)
        assert not (await stop.apply(DECISION)).ok
        for _ in range(2):
            clock.now += 250
            again = await stop.apply(DECISION)
            assert not again.ok
            assert "what became of it cannot be seen" in again.detail
            assert "sagemaker:DescribeApp" in again.mend
        assert len(stand_in.stops()) == 1
        clock.now += 250
        await stop.apply(DECISION)
        assert len(stand_in.stops()) == 2


async def test_what_does_not_come_by_its_time_is_looked_after() -> None:
    """The culler acts once on one idleness; again only where the action gave a time, after it."""
    clock = Clock()
    outcomes = [Outcome(True, "accepted", again_in_seconds=180), Outcome(True, "done")]

    class Stop:
        name = "stop"

        async def apply(self, decision: Decision) -> Outcome:
            return outcomes.pop(0)

    async def settled(decision: Decision, outcome: Outcome) -> None:
        pass

    actor = Actor({Kind.HOST: Stop()}, clock, settled, LOG)
    await actor.begin(DECISION)
    assert not actor.may_act(DECISION, clock())
    clock.now += 181
    assert actor.may_act(DECISION, clock())
    await actor.begin(DECISION)
    clock.now += 10_000
    assert not actor.may_act(DECISION, clock())
