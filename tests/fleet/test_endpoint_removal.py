"""Marking, removing, restoring and scaling to zero, each against the real protocols."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_idle_culler.fleet.endpoints.marks import MARK_TAG, mark_of, stands
from jupyter_idle_culler.fleet.endpoints.model import Judgement, Verdict
from jupyter_idle_culler.fleet.endpoints.removal import may_go
from jupyter_idle_culler.fleet.endpoints.restoring import restore
from jupyter_idle_culler.fleet.endpoints.scaling import INSTANCES, NAMESPACE

from ..aws.endpoints import arn_of, variant
from .endpoint_world import LATER, OWN, WHOLE, World


def _idle(account: World, name: str = "e") -> None:
    account.sagemaker.add_endpoint(name, tags={"team": "a"})
    account.host(name, [*WHOLE, *LATER])


def test_a_dry_run_is_the_default_and_changes_nothing(account: World, tmp_path: Path) -> None:
    """It says what would be done."""
    _idle(account)
    report = account.run(action="delete", match_all=True, save_to=str(tmp_path))
    assert [change["action"] for change in report.changed] == ["mark"]
    assert MARK_TAG not in account.sagemaker.tags[arn_of("endpoint", "e")]


def test_it_is_marked_first_and_deleted_only_after_its_grace_then_restored_the_same(
    account: World, tmp_path: Path
) -> None:
    """The same configuration, tags and autoscaling are there after the restore."""
    _idle(account)
    scaling = account.clients.autoscaling
    one = {
        "ServiceNamespace": NAMESPACE,
        "ResourceId": "endpoint/e/variant/main",
        "ScalableDimension": INSTANCES,
    }
    scaling.register_scalable_target(**one, MinCapacity=1, MaxCapacity=4)
    tracking = {
        "TargetValue": 70.0,
        "PredefinedMetricSpecification": {
            "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
        },
    }
    scaling.put_scaling_policy(
        PolicyName="mine",
        **one,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=tracking,
    )
    config = copy.deepcopy(account.sagemaker.configs["e-config"])
    event: dict[str, Any] = {
        "action": "delete",
        "name_contains": "e",
        "dry_run": False,
        "grace_hours": 72,
        "save_to": str(tmp_path),
    }
    account.run(**event)
    assert MARK_TAG in account.sagemaker.tags[arn_of("endpoint", "e")]
    account.run(at=71, **event)
    assert account.deleted() == []
    report = account.run(at=73, **event)
    assert not report.failed, report.failed
    assert account.deleted() == ["e"], report.to_json()
    targets = scaling.describe_scalable_targets(ServiceNamespace=NAMESPACE)["ScalableTargets"]
    assert targets == []
    del account.sagemaker.configs["e-config"]  # somebody tidied up
    (saved,) = tmp_path.rglob("*.json")
    restored = restore(account.clients, str(saved), dry_run=False, sleep=lambda seconds: None)
    assert not restored.failed, restored.failed
    now = account.sagemaker.configs["e-config"]
    assert {**now, "CreationTime": None} == {**config, "CreationTime": None}
    assert account.sagemaker.tags[arn_of("endpoint", "e")] == {"team": "a"}
    (target,) = scaling.describe_scalable_targets(ServiceNamespace=NAMESPACE)["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 4)
    (policy,) = scaling.describe_scaling_policies(ServiceNamespace=NAMESPACE)["ScalingPolicies"]
    assert policy["PolicyName"] == "mine"
    assert policy["TargetTrackingScalingPolicyConfiguration"] == tracking


def test_traffic_in_the_grace_takes_the_mark_away(account: World, tmp_path: Path) -> None:
    """What is used again is not deleted, however old its mark."""
    _idle(account)
    event: dict[str, Any] = {
        "action": "delete",
        "match_all": True,
        "dry_run": False,
        "save_to": str(tmp_path),
    }
    account.run(**event)
    account.invoked("e", [-70])
    report = account.run(at=73, **event)
    assert [change["action"] for change in report.changed] == ["unmark"]
    assert account.deleted() == []
    assert MARK_TAG not in account.sagemaker.tags[arn_of("endpoint", "e")]


def test_an_asynchronous_endpoint_is_scaled_to_zero_and_wakes_up(
    account: World, tmp_path: Path
) -> None:
    """Capacity zero, the backlog tracked, and an alarm that adds an instance; the former saved."""
    account.sagemaker.add_endpoint("q", asynchronous=True)
    account.put(OWN, "ApproximateBacklogSize", {"EndpointName": "q"}, WHOLE, 0)
    event: dict[str, Any] = {"action": "scale-to-zero", "match_all": True, "save_to": str(tmp_path)}
    report = account.run(dry_run=False, **event)
    assert not report.failed, report.failed
    scaling = account.clients.autoscaling
    (target,) = scaling.describe_scalable_targets(ServiceNamespace=NAMESPACE)["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (0, 1)
    policies = scaling.describe_scaling_policies(ServiceNamespace=NAMESPACE)["ScalingPolicies"]
    step = next(p for p in policies if p["PolicyType"] == "StepScaling")
    assert len(policies) == 2
    alarms = account.clients.cloudwatch.describe_alarms()["MetricAlarms"]
    (alarm,) = [a for a in alarms if a["MetricName"] == "HasBacklogWithoutCapacity"]
    assert alarm["AlarmActions"] == [step["PolicyARN"]]
    again = account.run(dry_run=False, **event)
    assert again.skipped == [{"name": "q", "reason": "it scales to zero already"}]
    (saved,) = tmp_path.rglob("*-scaling.json")
    restored = restore(account.clients, str(saved), dry_run=False, sleep=lambda seconds: None)
    assert not restored.failed, restored.failed
    assert scaling.describe_scalable_targets(ServiceNamespace=NAMESPACE)["ScalableTargets"] == []


def _delete(save_to: object) -> dict[str, Any]:
    return {"action": "delete", "match_all": True, "dry_run": False, "save_to": str(save_to)}


def _tags(account: World) -> dict[str, str]:
    return account.sagemaker.tags[arn_of("endpoint", "e")]


@pytest.mark.parametrize(
    "mark",
    [
        *("2036-01-01T00:00:00Z", "last week", "", "2020-01-01T00:00:00Z", "2026-01-01"),
        "2026-11-01T00:00:00Z until doomsday",
    ],
    ids=["in the future", "no date", "empty", "older than the endpoint", "no time", "no end"],
)
def test_a_mark_that_cannot_stand_is_no_grace(account: World, tmp_path: Path, mark: str) -> None:
    """The endpoint is marked anew, and its grace begins now."""
    _idle(account)
    _tags(account)[MARK_TAG] = mark
    report = account.run(**_delete(tmp_path))
    assert [change["action"] for change in report.changed] == ["mark"]
    assert mark_of(_tags(account)) == account.now.replace(microsecond=0)
    assert account.deleted() == []


def test_a_configuration_younger_than_the_mark_begins_a_grace_of_its_own(
    account: World, tmp_path: Path
) -> None:
    """Whoever updates an endpoint means to use it; its idle time counts from then, too."""
    _idle(account)
    account.run(**_delete(tmp_path))
    made = account.now + timedelta(hours=40)
    account.sagemaker.configs["e-config"]["CreationTime"] = made
    young = account.run(at=50, **_delete(tmp_path))
    assert young.skipped[0]["reason"].startswith("young: ")
    later = account.run(at=80, **_delete(tmp_path))
    assert [change["action"] for change in later.changed] == ["mark"]
    assert account.deleted() == []


def test_the_date_that_people_were_told_stands(account: World, tmp_path: Path) -> None:
    """A grace that is configured shorter counts for what is marked from then on."""
    _idle(account)
    account.run(**_delete(tmp_path))
    short = {**_delete(tmp_path), "grace_hours": 1}
    report = account.run(at=3, **short)
    assert report.skipped[0]["reason"].startswith("idle, in its grace until ")
    last = account.run(at=71, **short)
    assert account.deleted() == []
    assert last.skipped == report.skipped
    account.run(at=73, **short)
    assert account.deleted() == ["e"]


def test_a_grace_that_is_configured_longer_counts_from_the_mark(
    account: World, tmp_path: Path
) -> None:
    """So does that of a mark which `mark` has set, that told no date."""
    _idle(account)
    account.run(**{**_delete(tmp_path), "grace_hours": 1})
    account.run(at=50, **_delete(tmp_path))
    assert account.deleted() == []
    account.run(action="mark", dry_run=False)
    account.run(at=73, **_delete(tmp_path))
    assert account.deleted() == ["e"]


@pytest.mark.parametrize("action", ["mark", "delete"])
def test_a_change_in_the_grace_begins_it_anew(account: World, tmp_path: Path, action: str) -> None:
    """To another configuration, older than the mark: somebody works on it all the same."""
    _idle(account)
    event = {**_delete(tmp_path), "action": action}
    account.run(**event)
    old = account.sagemaker.configs["e-config"]
    account.sagemaker.configs["other"] = {**old, "EndpointConfigName": "other"}
    told = account.sagemaker.endpoints["e"]
    told["EndpointConfigName"] = "other"
    told["LastModifiedTime"] = account.now + timedelta(hours=60)
    report = account.run(at=73, **event)
    (change,) = report.changed
    assert change["action"] == "mark"
    assert change["reason"] == "it was changed in its grace, which begins anew"
    assert mark_of(_tags(account)) == (account.now + timedelta(hours=73)).replace(microsecond=0)
    later = account.run(at=90, **event)
    assert later.changed == []
    assert account.deleted() == []


def test_marking_never_deletes_and_says_which_are_marked_already(account: World) -> None:
    """However long ago it was."""
    _idle(account)
    account.run(action="mark", dry_run=False)
    report = account.run(action="mark", dry_run=False, at=90)
    assert report.changed == []
    assert "marked at" in report.skipped[0]["reason"]
    assert account.deleted() == []


def test_what_costs_nothing_is_removed_only_where_that_was_asked_for(
    account: World, tmp_path: Path
) -> None:
    """Endpoints at zero, and serverless ones without provisioned concurrency."""
    account.sagemaker.add_endpoint("zero", asynchronous=True, counts={"main": 0})
    queue = {"EndpointName": "zero"}
    account.put(OWN, "ApproximateBacklogSize", queue, [*WHOLE, *LATER], 0)
    account.sagemaker.add_endpoint("less", [variant(kind="serverless")])
    account.invoked("less", [60])
    account.sagemaker.add_endpoint("dark", [variant(kind="serverless")])
    for hours in (0, 80):
        report = account.run(at=hours, **_delete(tmp_path))
        assert report.changed == []
        assert [f["name"] for f in report.details["idle_costs_nothing"]] == ["less", "zero"]
    assert account.deleted() == []
    event = {**_delete(tmp_path), "include_free": True}
    asked = account.run(**event)
    assert sorted(change["name"] for change in asked.changed) == ["less", "zero"]
    last = account.run(at=73, **event)
    assert not last.failed, last.failed
    assert sorted(account.deleted()) == ["less", "zero"], last.to_json()


def test_an_idle_variant_of_a_busy_endpoint_is_never_removed(
    account: World, tmp_path: Path
) -> None:
    """Nor is its endpoint."""
    account.sagemaker.add_endpoint("e", [variant("a"), variant("b")])
    for name in ("a", "b"):
        account.host("e", [*WHOLE, *LATER], variant=name)
    account.invoked("e", [2, -1, -70], variant="a")
    for hours in (0, 73):
        report = account.run(at=hours, **_delete(tmp_path))
        assert [f["part"] for f in report.details["idle_variants"]] == ["b"]
        assert report.changed == []
    assert account.deleted() == []


def test_the_last_look_sees_what_happens_during_the_run(account: World, tmp_path: Path) -> None:
    """A tag that exempts, traffic, an update: each after the endpoint was found idle."""
    _idle(account)
    account.run(**_delete(tmp_path))
    tags, told = _tags(account), account.sagemaker.endpoints["e"]

    def exempted() -> None:
        tags["idle-culler:exempt"] = "yes"

    def used() -> None:
        account.invoked("e", [-72.9])

    def updated() -> None:
        told["EndpointStatus"] = "Updating"

    def scaled() -> None:
        told["LastModifiedTime"] += timedelta(minutes=1)

    def renewed() -> None:
        made = account.sagemaker.configs["e-config"]
        account.sagemaker.configs["other"] = {**made, "EndpointConfigName": "other"}
        told["EndpointConfigName"] = "other"

    for event, reason in (
        (exempted, "its tags were changed"),
        (updated, "its status is Updating"),
        (scaled, "it was changed during this run"),
        (renewed, "it was changed during this run"),
        (used, "busy at the last look"),
    ):
        # Saving asks for the configuration's tags last of all.
        def befall(asked: Mapping[str, Any], event: Any = event) -> None:
            if "endpoint-config" in asked["ResourceArn"]:
                event()

        account.sagemaker.faults["ListTags"] = befall
        report = account.run(at=73, **_delete(tmp_path))
        assert [one["name"] for one in report.skipped] == ["e"], reason
        assert reason in report.skipped[0]["reason"]
        tags.pop("idle-culler:exempt", None)
        told["EndpointStatus"], told["EndpointConfigName"] = "InService", "e-config"
    assert account.deleted() == []


def test_it_is_saved_in_s3_and_restored_from_there(account: World) -> None:
    """One object an endpoint, by region, name and creation."""
    s3 = account.clients.s3
    where = {"LocationConstraint": account.clients.region}
    s3.create_bucket(Bucket="saved", CreateBucketConfiguration=where)
    _idle(account)
    config = copy.deepcopy(account.sagemaker.configs["e-config"])
    account.run(**_delete("s3://saved/idle/endpoints/"))
    report = account.run(at=73, **_delete("s3://saved/idle/endpoints/"))
    assert not report.failed, report.failed
    (change,) = report.changed
    (held,) = s3.list_objects_v2(Bucket="saved")["Contents"]
    assert change["saved"] == f"s3://saved/{held['Key']}"
    assert held["Key"].startswith(f"idle/endpoints/{account.clients.region}/e-20")
    del account.sagemaker.configs["e-config"]
    restored = restore(account.clients, change["saved"], dry_run=False)
    assert not restored.failed, restored.failed
    now = account.sagemaker.configs["e-config"]
    assert {**now, "CreationTime": None} == {**config, "CreationTime": None}
    assert _tags(account) == {"team": "a"}


_HOURS = st.integers(-2000, 2000)


@given(born=_HOURS, mark=_HOURS, now=_HOURS)
def test_a_mark_stands_only_between_birth_and_now(born: int, mark: int, now: int) -> None:
    """So that no grace is over before it began."""
    zero = datetime(2026, 11, 24, tzinfo=timezone.utc)
    times = [zero + timedelta(hours=hours) for hours in (mark, born, now)]
    assert stands(*times) == (born <= mark <= now)
    assert not stands(None, *times[1:])


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("include_free", [False, True])
@pytest.mark.parametrize("proven", [False, True])
def test_only_the_idle_may_go(verdict: Verdict, include_free: bool, proven: bool) -> None:
    """And what costs nothing where that is wanted and proven; the unknown never."""
    free = verdict is Verdict.FREE and include_free and proven
    judgement = Judgement(verdict, "", proven=proven)
    assert may_go(judgement, include_free) is (verdict is Verdict.IDLE or free)
