"""Restoring: the same configuration, tags and autoscaling; what was begun is finished."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from jupyter_idle_culler.fleet.endpoints.reading import components_of, described
from jupyter_idle_culler.fleet.endpoints.restoring import restore
from jupyter_idle_culler.fleet.endpoints.saving import (
    ENDPOINT,
    SavingFailed,
    described_in_full,
    save,
)
from jupyter_idle_culler.fleet.endpoints.scaling import NAMESPACE

from ..aws.endpoints import arn_of, variant
from ..aws.stand_in import Refusal
from .endpoint_world import COMPONENTS, LATER, TARGET, WHOLE, World
from .restore_world import KEY, MODEL_TAGS, brought_back, removed, rich, scaled, scaling_of


@pytest.mark.parametrize("config_goes", [True, False], ids=["without its configuration", "with it"])
def test_the_restored_has_the_same_configuration_tags_and_autoscaling(
    account: World, tmp_path: Path, config_goes: bool
) -> None:
    """Everything that a configuration has, policies of both types, scheduled actions, tags."""
    rich(account)
    scaled(account)
    sagemaker = account.sagemaker
    config = copy.deepcopy(sagemaker.configs["e-config"])
    config_tags = dict(sagemaker.tags[arn_of("endpoint-config", "e-config")])
    scaling = scaling_of(account)
    where = removed(account, tmp_path)
    assert scaling_of(account)["targets"] == []
    if config_goes:
        del sagemaker.configs["e-config"]
    report = brought_back(account, where)
    assert not report.failed, report.failed
    made = ["configuration", "endpoint", "scaling"]
    assert report.changed[0]["steps"] == (made if config_goes else made[1:])
    now = sagemaker.configs["e-config"]
    assert {**now, "CreationTime": 0} == {**config, "CreationTime": 0}
    assert sagemaker.endpoints["e"]["EndpointConfigName"] == "e-config"
    assert sagemaker.tags[arn_of("endpoint", "e")] == MODEL_TAGS
    assert sagemaker.tags[arn_of("endpoint-config", "e-config")] == config_tags
    assert scaling_of(account) == scaling


@pytest.mark.parametrize(
    "rollout",
    [
        {
            "RollingUpdatePolicy": {
                "MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1},
                "WaitIntervalInSeconds": 60,
            },
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "mine"}]},
        },
        {
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": {
                    "Type": "CANARY",
                    "WaitIntervalInSeconds": 300,
                    "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 30},
                },
                "TerminationWaitInSeconds": 600,
            }
        },
        None,
    ],
    ids=["rolling, with alarms", "blue and green", "none"],
)
def test_how_updates_are_rolled_out_is_restored(
    account: World, tmp_path: Path, rollout: dict[str, Any] | None
) -> None:
    """It belongs to the endpoint, not to its configuration."""
    rich(account)
    if rollout:
        account.sagemaker.endpoints["e"]["LastDeploymentConfig"] = rollout
    where = removed(account, tmp_path)
    assert not brought_back(account, where).failed
    assert account.sagemaker.endpoints["e"].get("LastDeploymentConfig") == rollout


def test_the_alarm_of_a_step_policy_sets_off_the_restored_one(
    account: World, tmp_path: Path
) -> None:
    """A policy that is made anew has another ARN."""
    rich(account)
    name = scaled(account)
    where = removed(account, tmp_path)
    saved = json.loads(Path(where).read_text())
    saved["scaling"]["alarms"] = account.clients.cloudwatch.describe_alarms(AlarmNames=[name])[
        "MetricAlarms"
    ]
    Path(where).write_text(json.dumps(saved, default=str))
    assert not brought_back(account, where).failed
    policies = account.clients.autoscaling.describe_scaling_policies(ServiceNamespace=NAMESPACE)
    step = next(p for p in policies["ScalingPolicies"] if p["PolicyName"] == "step")
    (alarm,) = account.clients.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert alarm["AlarmActions"] == [step["PolicyARN"]]


def test_components_come_back_adapters_after_their_base(account: World, tmp_path: Path) -> None:
    """With images, sizes, copies and tags; deleted in the other order."""
    sagemaker = account.sagemaker
    sagemaker.add_endpoint("e", [variant(kind="host")], tags=MODEL_TAGS)
    sagemaker.add_component("b-base", "e", copies=2)
    sagemaker._CreateInferenceComponent(
        {
            "InferenceComponentName": "a-adapter",
            "EndpointName": "e",
            "VariantName": "main",
            "Specification": {
                "BaseInferenceComponentName": "b-base",
                "Container": {"ArtifactUrl": "s3://a/adapter.tar.gz"},
            },
            "RuntimeConfig": {"CopyCount": 1},
        }
    )
    before = copy.deepcopy(sagemaker.components)
    account.host("e", [*WHOLE, *LATER])
    named = {"InferenceComponentName": "b-base"}
    account.put(COMPONENTS, "CPUUtilizationNormalized", named, [*WHOLE, *LATER], 2)
    where = removed(account, tmp_path)
    gone = [c.parameters["InferenceComponentName"] for c in sagemaker.called(_GO)]
    assert gone == ["a-adapter", "b-base"]
    assert not brought_back(account, where).failed
    made = [c.parameters["InferenceComponentName"] for c in sagemaker.called(_COME)]
    assert made == ["b-base", "a-adapter"]
    times = {"CreationTime": 0, "LastModifiedTime": 0}
    assert {name: {**one, **times} for name, one in sagemaker.components.items()} == {
        name: {**one, **times} for name, one in before.items()
    }
    assert sagemaker.tags[arn_of("inference-component", "b-base")] == {"component": "b-base"}


_GO, _COME = "DeleteInferenceComponent", "CreateInferenceComponent"


def test_a_dry_run_says_the_steps_and_takes_none(account: World, tmp_path: Path) -> None:
    """It is the default."""
    rich(account)
    where = removed(account, tmp_path)
    del account.sagemaker.configs["e-config"]
    report = restore(account.clients, where)
    assert report.dry_run
    assert report.changed[0]["steps"] == ["configuration", "endpoint", "scaling"]
    assert account.sagemaker.endpoints == {}
    assert account.sagemaker.configs == {}


def test_a_restore_that_was_interrupted_goes_on(account: World, tmp_path: Path) -> None:
    """It fails after the endpoint was made; once more, and the rest is done."""
    rich(account)
    scaled(account)
    scaling = scaling_of(account)
    where = removed(account, tmp_path)

    def created_but_failed(asked: Mapping[str, Any]) -> Refusal | None:
        account.sagemaker.faults.pop("CreateEndpoint")
        account.sagemaker._CreateEndpoint(asked)
        return Refusal("AccessDeniedException", "no")

    account.sagemaker.faults["CreateEndpoint"] = created_but_failed
    first = brought_back(account, where)
    assert [failure["name"] for failure in first.failed] == ["e"]
    second = brought_back(account, where)
    assert not second.failed, second.failed
    assert second.changed[0]["steps"] == ["scaling"]
    assert scaling_of(account) == scaling


def test_scaling_waits_until_the_endpoint_is_in_service(account: World, tmp_path: Path) -> None:
    """Autoscaling takes no target that is being created."""
    rich(account)
    where = removed(account, tmp_path)
    told: list[str] = []
    looks = iter(["Creating", "Creating", "InService"])

    def creating(asked: Mapping[str, Any]) -> None:
        if "e" in account.sagemaker.endpoints:
            account.sagemaker.endpoints["e"]["EndpointStatus"] = next(looks, "InService")

    account.sagemaker.faults["DescribeEndpoint"] = creating
    report = brought_back(account, where, progress=told.append)
    assert not report.failed, report.failed
    assert told == ["e is Creating", "e is Creating"]


def test_an_endpoint_that_fails_to_come_up_is_a_failure_with_its_reason(
    account: World, tmp_path: Path
) -> None:
    """Its model may be gone: SageMaker says so, and so does the report."""
    rich(account)
    where = removed(account, tmp_path)

    def failed(asked: Mapping[str, Any]) -> None:
        if "e" in account.sagemaker.endpoints:
            account.sagemaker.endpoints["e"]["EndpointStatus"] = "Failed"
            account.sagemaker.endpoints["e"]["FailureReason"] = "no such image"

    account.sagemaker.faults["DescribeEndpoint"] = failed
    report = brought_back(account, where)
    assert report.failed == [{"name": "e", "error": "it is Failed, not in service no such image"}]


def test_what_is_there_and_is_another_is_not_overwritten(account: World, tmp_path: Path) -> None:
    """A configuration of the same name with other contents; an endpoint with another one."""
    rich(account)
    where = removed(account, tmp_path)
    account.sagemaker.configs["e-config"]["KmsKeyId"] = KEY.replace("1111", "9999")
    report = brought_back(account, where)
    assert "is another than the one saved" in report.failed[0]["error"]
    assert account.sagemaker.endpoints == {}
    account.sagemaker.add_endpoint("e2")
    config = account.sagemaker.configs["e2-config"]["EndpointConfigName"]
    account.sagemaker._make_endpoint("e", config, account.now, {}, "InService")
    report = brought_back(account, where)
    assert "it is there with another configuration" in report.failed[0]["error"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1, "what": "endpoint"}', "no JSON"])
def test_a_file_that_is_no_saved_endpoint_is_refused(
    account: World, tmp_path: Path, text: str
) -> None:
    """Nothing is asked of AWS."""
    file = tmp_path / "other.json"
    file.write_text(text)
    with pytest.raises(SavingFailed, match="no saved endpoint"):
        restore(account.clients, str(file), dry_run=False)
    assert account.sagemaker.calls == []


@pytest.mark.parametrize("where", ["s3://b/k", "s3:/saved/k", "S3://saved/k", "s3://saved"])
def test_an_address_that_is_none_of_s3_is_no_file(account: World, where: str) -> None:
    """It is said as what it is, not looked for in a folder of that name."""
    with pytest.raises(SavingFailed, match="this is no s3://bucket/key"):
        restore(account.clients, where)
    assert account.sagemaker.calls == []


def test_a_name_that_is_in_use_again_is_not_restored_over(account: World, tmp_path: Path) -> None:
    """Somebody made an endpoint from the configuration that stayed: its scaling is theirs."""
    account.sagemaker.add_endpoint("e", tags={"team": "a"})
    account.host("e", [*WHOLE, *LATER])
    account.clients.autoscaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=3)
    event: dict[str, Any] = {"action": "delete", "name_contains": "e", "dry_run": False}
    account.run(save_to=str(tmp_path), **event)
    where = account.run(at=73, save_to=str(tmp_path), **event).changed[0]["saved"]
    assert account.deleted() == ["e"]
    account.clients.sagemaker.create_endpoint(
        EndpointName="e", EndpointConfigName="e-config", Tags=[{"Key": "team", "Value": "other"}]
    )
    account.clients.autoscaling.register_scalable_target(**TARGET, MinCapacity=5, MaxCapacity=9)
    for dry_run in (True, False):
        report = restore(account.clients, where, dry_run=dry_run, sleep=lambda seconds: None)
        assert report.changed == []
        assert "it is there again, made at " in report.failed[0]["error"]
    told = account.clients.autoscaling.describe_scalable_targets(ServiceNamespace="sagemaker")
    assert [target["MaxCapacity"] for target in told["ScalableTargets"]] == [9]
    assert account.sagemaker.tags[arn_of("endpoint", "e")] == {"team": "other"}


def test_what_a_removal_that_was_interrupted_took_is_brought_back(
    account: World, tmp_path: Path
) -> None:
    """Its component is gone, it itself is not: it is the one that was saved."""
    account.sagemaker.add_endpoint("e", [variant(kind="host")], tags={"team": "a"})
    account.sagemaker.add_component("c", "e")
    sagemaker = account.clients.sagemaker
    listed = components_of(sagemaker, "e")
    endpoint = described(sagemaker, account.clients.region, "e", {}, listed)
    saved = described_in_full(account.clients, endpoint, ENDPOINT)
    where = save(account.clients, str(tmp_path), saved)
    sagemaker.delete_inference_component(InferenceComponentName="c")
    account.sagemaker.components.clear()
    report = brought_back(account, where)
    assert not report.failed, report.failed
    assert report.changed[0]["steps"] == ["inference component c", "scaling"]
    assert list(account.sagemaker.components) == ["c"]
