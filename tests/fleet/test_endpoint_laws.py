"""Whole accounts at random: whatever happens in which order, nothing goes that should not."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from jupyter_idle_culler.fleet.endpoints.marks import mark_of

from ..aws.endpoints import EndpointsStandIn, arn_of, variant
from .endpoint_world import World

IDLE, GRACE = 24, 48
DAYS = 10
KINDS = ("real-time", "two variants", "asynchronous", "serverless", "provisioned", "component")
_ACTIVITY = ("Invocations", "InvocationsProcessed")
_PROOFS = (
    *("CPUUtilization", "CPUUtilizationNormalized", "ApproximateBacklogSize"),
    "ServerlessProvisionedConcurrencyUtilization",
)


@dataclass
class Life:
    """What befalls an endpoint: hours of traffic, hours in which nothing is published of it."""

    name: str
    kind: str
    traffic: list[float] = field(default_factory=list)
    dark: list[float] = field(default_factory=list)
    exempt_from: float = 1e9

    def busy_between(self, first: float, last: float) -> bool:
        """Tell whether it had traffic then."""
        return any(first <= hour < last for hour in self.traffic)

    def dark_between(self, first: float, last: float) -> bool:
        """Tell whether nothing was published of it in a whole hour of then."""
        return any(first <= hour and hour + 1 <= last for hour in self.dark)


class Clouds:
    """Answers GetMetricData by the lives of endpoints; hours count from ``zero``."""

    def __init__(self, zero: datetime, lives: list[Life]) -> None:
        self.zero = zero
        self.lives = {life.name: life for life in lives}

    def __call__(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Answer: nothing is published that is zero, but for what proves."""
        results = []
        for query in asked["MetricDataQueries"]:
            stat = query["MetricStat"]
            values = self._values(stat, asked["StartTime"], asked["EndTime"])
            times = [datetime.fromtimestamp(second, timezone.utc) for second in values]
            told = {"Id": query["Id"], "Label": "", "StatusCode": "Complete"}
            results.append({**told, "Timestamps": times, "Values": list(values.values())})
        return {"MetricDataResults": results, "Messages": []}

    def _values(self, stat: dict[str, Any], start: datetime, end: datetime) -> dict[int, float]:
        dimensions = {d["Name"]: d["Value"] for d in stat["Metric"]["Dimensions"]}
        component = dimensions.get("InferenceComponentName", "")
        life = self.lives[dimensions.get("EndpointName") or component.partition("-part")[0]]
        metric, period = stat["Metric"]["MetricName"], stat["Period"]
        hours: list[tuple[float, float]] = []
        if metric in _ACTIVITY and dimensions.get("VariantName") != "still":
            # The instances below components have metrics of their own; they are asked, too.
            hours = [(hour, 1.0) for hour in life.traffic]
        elif metric in _PROOFS:
            first = (start - self.zero) // timedelta(hours=1)
            last = (end - self.zero) // timedelta(hours=1) + 1
            whole = [hour for hour in range(first, last) if hour not in life.dark]
            hours = [(hour + quarter / 4, 0.0) for hour in whole for quarter in range(4)]
        found: dict[int, float] = {}
        for hour, value in hours:
            moment = self.zero + timedelta(hours=hour)
            if start <= moment < end:
                second = int(moment.timestamp())
                second -= second % period
                found[second] = found.get(second, 0) + value
        return dict(sorted(found.items()))


def _add(sagemaker: EndpointsStandIn, life: Life, age_hours: float) -> None:
    more: dict[str, Any] = {"age_hours": age_hours}
    if life.kind == "two variants":
        sagemaker.add_endpoint(life.name, [variant(), variant("still")], **more)
    elif life.kind == "asynchronous":
        sagemaker.add_endpoint(life.name, asynchronous=True, **more)
    elif life.kind in ("serverless", "provisioned"):
        provisioned = 2 if life.kind == "provisioned" else 0
        kind = [variant(kind="serverless", provisioned=provisioned)]
        sagemaker.add_endpoint(life.name, kind, **more)
    elif life.kind == "component":
        sagemaker.add_endpoint(life.name, [variant(kind="host")], **more)
        sagemaker.add_component(f"{life.name}-part", life.name)
    else:
        sagemaker.add_endpoint(life.name, **more)


def _lives(chance: random.Random) -> list[Life]:
    lives = []
    for number in range(18):
        life = Life(f"e{number:02}", KINDS[number % len(KINDS)])
        rate = chance.choice([0, 0, 0, 0.01, 0.05])
        hours = [*range(-300, 24 * DAYS)]
        life.traffic = [hour + chance.random() for hour in hours if chance.random() < rate]
        life.dark = [hour for hour in hours if chance.random() < chance.choice([0, 0, 0, 0.01])]
        if chance.random() < 0.15:
            life.exempt_from = chance.uniform(0, 24 * DAYS)
        lives.append(life)
    return lives


@pytest.mark.parametrize("seed", range(12))
def test_nothing_is_deleted_that_was_used_is_unknown_or_is_in_its_grace(
    account: World, tmp_path: Path, seed: int
) -> None:
    """Ten days of runs at odd times; what is left after them and idle all the time is nothing."""
    chance = random.Random(seed)  # noqa: S311 - no secret; the same account for a seed
    sagemaker = account.sagemaker
    account.now = account.now.replace(minute=0, second=0, microsecond=0)
    lives = _lives(chance)
    account.proxy.answers = Clouds(account.now, lives)
    ages = {}
    for life in lives:
        ages[life.name] = chance.choice([2.0, 30.0, 500.0, 500.0])
        _add(sagemaker, life, ages[life.name])
    hour, gone = 0.0, set()
    while hour < 24 * DAYS:
        marks = {}
        for life in lives:
            tags = sagemaker.tags.get(arn_of("endpoint", life.name), {})
            if hour >= life.exempt_from and life.name in sagemaker.endpoints:
                tags["idle-culler:exempt"] = "yes"
            marks[life.name] = mark_of(tags)
        report = account.run(
            at=hour,
            action="delete",
            match_all=True,
            dry_run=False,
            idle_hours=IDLE,
            grace_hours=GRACE,
            save_to=str(tmp_path),
        )
        assert not report.failed, report.failed
        for life in lives:
            if life.name in sagemaker.endpoints or life.name in gone:
                continue
            gone.add(life.name)
            mark = marks[life.name]
            assert mark is not None, life
            marked = (mark - account.now) / timedelta(hours=1)
            assert hour - marked >= GRACE, life
            assert hour < life.exempt_from, life
            assert life.kind != "serverless", life
            assert ages[life.name] + marked >= IDLE, life
            assert not life.busy_between(min(marked, hour - IDLE), hour), life
            assert not life.dark_between(min(marked, hour - IDLE), hour), life
            assert not any(dark + 0.6 < hour < dark + 1 for dark in life.dark), life
        hour += chance.uniform(3, 30)
    end = hour
    for life in lives:
        quiet = not life.traffic and not life.dark and life.exempt_from > end
        if quiet and life.kind != "serverless":
            assert life.name in gone, life
    assert len(list(tmp_path.rglob("*.json"))) == len(gone)
