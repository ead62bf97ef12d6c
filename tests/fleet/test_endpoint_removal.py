"""Marking, removing, restoring and scaling to zero, each against the real protocols."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from jupyter_idle_culler.fleet.endpoints.marks import MARK_TAG
from jupyter_idle_culler.fleet.endpoints.restoring import restore
from jupyter_idle_culler.fleet.endpoints.scaling import INSTANCES, NAMESPACE

from ..aws.endpoints import arn_of
from .endpoint_world import OWN, WHOLE, World

LATER = [-hours for hours in range(100)]


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
