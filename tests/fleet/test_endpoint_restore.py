"""Restoring: the same configuration, tags and autoscaling; what was begun is finished."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jupyter_idle_culler.fleet.endpoints.restoring import restore
from jupyter_idle_culler.fleet.endpoints.saving import SavingFailed
from jupyter_idle_culler.fleet.endpoints.scaling import NAMESPACE
from jupyter_idle_culler.fleet.report import Report

from ..aws.endpoints import ROLE, arn_of, variant
from ..aws.stand_in import ACCOUNT, REGION, Refusal
from .endpoint_world import COMPONENTS, LATER, OWN, TARGET, WHOLE, World

KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
MODEL_TAGS = {"team": "a", "cost-centre": "a b=c:/+@"}


def _removed(account: World, save_to: Path) -> str:
    event: dict[str, Any] = {
        "action": "delete",
        "match_all": True,
        "dry_run": False,
        "save_to": str(save_to),
    }
    account.run(**event)
    report = account.run(at=73, **event)
    assert not report.failed, report.failed
    assert account.deleted() == ["e"], report.to_json()
    return str(report.changed[0]["saved"])


def _restored(account: World, where: str, **more: Any) -> Report:
    return restore(account.clients, where, dry_run=False, sleep=lambda seconds: None, **more)


def _scaling(account: World) -> dict[str, Any]:
    """Return all that scales, without what is never the same twice."""
    client, space = account.clients.autoscaling, {"ServiceNamespace": NAMESPACE}
    found = {
        "targets": client.describe_scalable_targets(**space)["ScalableTargets"],
        "policies": client.describe_scaling_policies(**space)["ScalingPolicies"],
        "actions": client.describe_scheduled_actions(**space)["ScheduledActions"],
    }
    changing = ("CreationTime", "PolicyARN", "ScheduledActionARN", "ScalableTargetARN", "Alarms")
    return {
        kind: [{k: v for k, v in one.items() if k not in changing} for one in some]
        for kind, some in found.items()
    }


def _rich(account: World) -> None:
    """Have an asynchronous endpoint with everything that a configuration can have beside it."""
    account.sagemaker.add_endpoint("e", tags=MODEL_TAGS)
    del account.sagemaker.endpoints["e"], account.sagemaker.configs["e-config"]
    main = {
        **variant(count=2),
        "VolumeSizeInGB": 100,
        "ModelDataDownloadTimeoutInSeconds": 900,
        "ContainerStartupHealthCheckTimeoutInSeconds": 600,
        "EnableSSMAccess": True,
        "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
        "ManagedInstanceScaling": {"Status": "ENABLED", "MinInstanceCount": 1},
        "CoreDumpConfig": {"DestinationS3Uri": "s3://dumps/e", "KmsKeyId": KEY},
    }
    config = {
        "EndpointConfigName": "e-config",
        "ProductionVariants": [main],
        "ShadowProductionVariants": [{**variant("dark"), "InitialVariantWeight": 0.25}],
        "DataCaptureConfig": {
            "EnableCapture": True,
            "InitialSamplingPercentage": 20,
            "DestinationS3Uri": "s3://captured/e",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
        },
        "KmsKeyId": KEY,
        "AsyncInferenceConfig": {
            "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 4},
            "OutputConfig": {
                "S3OutputPath": "s3://out/e",
                "NotificationConfig": {
                    "IncludeInferenceResponseIn": ["SUCCESS_NOTIFICATION_TOPIC"]
                },
            },
        },
        "ExecutionRoleArn": ROLE,
        "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1", "subnet-2"]},
        "EnableNetworkIsolation": True,
    }
    old = account.now - timedelta(hours=1000)
    account.sagemaker._make_config(config, old, {"of": "e"})
    account.sagemaker._make_endpoint("e", "e-config", old, MODEL_TAGS, "InService")
    for name in ("main", "dark"):
        account.host("e", [*WHOLE, *LATER], variant=name)
    account.put(OWN, "ApproximateBacklogSize", {"EndpointName": "e"}, [*WHOLE, *LATER], 0)


def _scaled(account: World) -> str:
    """Have it scaled by everything there is; return the name of the alarm."""
    client = account.clients.autoscaling
    suspended = {
        "DynamicScalingInSuspended": True,
        "DynamicScalingOutSuspended": False,
        "ScheduledScalingSuspended": False,
    }
    client.register_scalable_target(
        **TARGET, MinCapacity=1, MaxCapacity=4, SuspendedState=suspended
    )
    client.put_scaling_policy(
        **TARGET,
        PolicyName="track",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 5.0,
            "CustomizedMetricSpecification": {
                "MetricName": "ApproximateBacklogSizePerInstance",
                "Namespace": OWN,
                "Dimensions": [{"Name": "EndpointName", "Value": "e"}],
                "Statistic": "Average",
            },
            "ScaleInCooldown": 600,
        },
    )
    put = client.put_scaling_policy(
        **TARGET,
        PolicyName="step",
        PolicyType="StepScaling",
        StepScalingPolicyConfiguration={
            "AdjustmentType": "ChangeInCapacity",
            "StepAdjustments": [{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}],
            "Cooldown": 300,
        },
    )
    client.put_scheduled_action(
        **TARGET,
        ScheduledActionName="morning",
        Schedule="cron(0 7 ? * MON-FRI *)",
        Timezone="Europe/Berlin",
        ScalableTargetAction={"MinCapacity": 2, "MaxCapacity": 4},
    )
    account.clients.cloudwatch.put_metric_alarm(
        AlarmName="backlog",
        Namespace=OWN,
        MetricName="HasBacklogWithoutCapacity",
        Dimensions=[{"Name": "EndpointName", "Value": "e"}],
        Statistic="Average",
        Period=60,
        EvaluationPeriods=2,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        AlarmActions=[put["PolicyARN"]],
    )
    return "backlog"


@pytest.mark.parametrize("config_goes", [True, False], ids=["without its configuration", "with it"])
def test_the_restored_has_the_same_configuration_tags_and_autoscaling(
    account: World, tmp_path: Path, config_goes: bool
) -> None:
    """Everything that a configuration has, policies of both types, scheduled actions, tags."""
    _rich(account)
    _scaled(account)
    sagemaker = account.sagemaker
    config = copy.deepcopy(sagemaker.configs["e-config"])
    config_tags = dict(sagemaker.tags[arn_of("endpoint-config", "e-config")])
    scaling = _scaling(account)
    where = _removed(account, tmp_path)
    assert _scaling(account)["targets"] == []
    if config_goes:
        del sagemaker.configs["e-config"]
    report = _restored(account, where)
    assert not report.failed, report.failed
    made = ["configuration", "endpoint", "scaling"]
    assert report.changed[0]["steps"] == (made if config_goes else made[1:])
    now = sagemaker.configs["e-config"]
    assert {**now, "CreationTime": 0} == {**config, "CreationTime": 0}
    assert sagemaker.endpoints["e"]["EndpointConfigName"] == "e-config"
    assert sagemaker.tags[arn_of("endpoint", "e")] == MODEL_TAGS
    assert sagemaker.tags[arn_of("endpoint-config", "e-config")] == config_tags
    assert _scaling(account) == scaling


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
    _rich(account)
    if rollout:
        account.sagemaker.endpoints["e"]["LastDeploymentConfig"] = rollout
    where = _removed(account, tmp_path)
    assert not _restored(account, where).failed
    assert account.sagemaker.endpoints["e"].get("LastDeploymentConfig") == rollout


def test_the_alarm_of_a_step_policy_sets_off_the_restored_one(
    account: World, tmp_path: Path
) -> None:
    """A policy that is made anew has another ARN."""
    _rich(account)
    name = _scaled(account)
    where = _removed(account, tmp_path)
    saved = json.loads(Path(where).read_text())
    saved["scaling"]["alarms"] = account.clients.cloudwatch.describe_alarms(AlarmNames=[name])[
        "MetricAlarms"
    ]
    Path(where).write_text(json.dumps(saved, default=str))
    assert not _restored(account, where).failed
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
    where = _removed(account, tmp_path)
    gone = [c.parameters["InferenceComponentName"] for c in sagemaker.called(_GO)]
    assert gone == ["a-adapter", "b-base"]
    assert not _restored(account, where).failed
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
    _rich(account)
    where = _removed(account, tmp_path)
    del account.sagemaker.configs["e-config"]
    report = restore(account.clients, where)
    assert report.dry_run
    assert report.changed[0]["steps"] == ["configuration", "endpoint", "scaling"]
    assert account.sagemaker.endpoints == {}
    assert account.sagemaker.configs == {}


def test_a_restore_that_was_interrupted_goes_on(account: World, tmp_path: Path) -> None:
    """It fails after the endpoint was made; once more, and the rest is done."""
    _rich(account)
    _scaled(account)
    scaling = _scaling(account)
    where = _removed(account, tmp_path)

    def created_but_failed(asked: Mapping[str, Any]) -> Refusal | None:
        account.sagemaker.faults.pop("CreateEndpoint")
        account.sagemaker._CreateEndpoint(asked)
        return Refusal("AccessDeniedException", "no")

    account.sagemaker.faults["CreateEndpoint"] = created_but_failed
    first = _restored(account, where)
    assert [failure["name"] for failure in first.failed] == ["e"]
    second = _restored(account, where)
    assert not second.failed, second.failed
    assert second.changed[0]["steps"] == ["scaling"]
    assert _scaling(account) == scaling


def test_scaling_waits_until_the_endpoint_is_in_service(account: World, tmp_path: Path) -> None:
    """Autoscaling takes no target that is being created."""
    _rich(account)
    where = _removed(account, tmp_path)
    told: list[str] = []
    looks = iter(["Creating", "Creating", "InService"])

    def creating(asked: Mapping[str, Any]) -> None:
        if "e" in account.sagemaker.endpoints:
            account.sagemaker.endpoints["e"]["EndpointStatus"] = next(looks, "InService")

    account.sagemaker.faults["DescribeEndpoint"] = creating
    report = _restored(account, where, progress=told.append)
    assert not report.failed, report.failed
    assert told == ["e is Creating", "e is Creating"]


def test_an_endpoint_that_fails_to_come_up_is_a_failure_with_its_reason(
    account: World, tmp_path: Path
) -> None:
    """Its model may be gone: SageMaker says so, and so does the report."""
    _rich(account)
    where = _removed(account, tmp_path)

    def failed(asked: Mapping[str, Any]) -> None:
        if "e" in account.sagemaker.endpoints:
            account.sagemaker.endpoints["e"]["EndpointStatus"] = "Failed"
            account.sagemaker.endpoints["e"]["FailureReason"] = "no such image"

    account.sagemaker.faults["DescribeEndpoint"] = failed
    report = _restored(account, where)
    assert report.failed == [{"name": "e", "error": "it is Failed, not in service no such image"}]


def test_what_is_there_and_is_another_is_not_overwritten(account: World, tmp_path: Path) -> None:
    """A configuration of the same name with other contents; an endpoint with another one."""
    _rich(account)
    where = _removed(account, tmp_path)
    account.sagemaker.configs["e-config"]["KmsKeyId"] = KEY.replace("1111", "9999")
    report = _restored(account, where)
    assert "is another than the one saved" in report.failed[0]["error"]
    assert account.sagemaker.endpoints == {}
    account.sagemaker.add_endpoint("e2")
    config = account.sagemaker.configs["e2-config"]["EndpointConfigName"]
    account.sagemaker._make_endpoint("e", config, account.now, {}, "InService")
    report = _restored(account, where)
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


def test_scaling_to_zero_is_finished_by_the_next_run_and_the_former_scaling_stays_saved(
    account: World, tmp_path: Path
) -> None:
    """The alarm fails at first: what is saved is what was there before we began."""
    _rich(account)
    _scaled(account)
    before = _scaling(account)
    event: dict[str, Any] = {
        "action": "scale-to-zero",
        "match_all": True,
        "dry_run": False,
        "save_to": str(tmp_path),
    }
    account.proxy.refuses.add("PutMetricAlarm")
    first = account.run(**event)
    assert [failure["name"] for failure in first.failed] == ["e"]
    account.proxy.refuses.clear()
    second = account.run(**event)
    assert not second.failed, second.failed
    assert _scaling(account)["targets"][0]["MinCapacity"] == 0
    third = account.run(**event)
    assert third.skipped == [{"name": "e", "reason": "it scales to zero already"}]
    (saved,) = tmp_path.rglob("*-scaling.json")
    report = _restored(account, str(saved))
    assert not report.failed, report.failed
    assert _scaling(account) == before


@pytest.mark.parametrize(
    "refused", ["put_scaling_policy", "delete_scaling_policy", "register_scalable_target"]
)
def test_what_was_former_is_kept_where_scaling_to_zero_was_interrupted(
    account: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """The next run does the rest; the restore brings back what was before the first."""
    account.sagemaker.add_endpoint("e", asynchronous=True)
    account.put(OWN, "ApproximateBacklogSize", {"EndpointName": "e"}, WHOLE, 0)
    client = account.clients.autoscaling
    client.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=4)
    client.put_scaling_policy(
        **TARGET,
        PolicyName="step",
        PolicyType="StepScaling",
        StepScalingPolicyConfiguration={"AdjustmentType": "ChangeInCapacity"},
    )
    former = _scaling(account)
    event: dict[str, Any] = {
        "action": "scale-to-zero",
        "match_all": True,
        "dry_run": False,
        "save_to": str(tmp_path),
    }

    def refuse(**asked: Any) -> None:
        message = "not now"
        raise RuntimeError(message)

    with monkeypatch.context() as patch:
        patch.setattr(client, refused, refuse)
        (failure,) = account.run(**event).failed
    assert failure["error"] == "not now"
    assert _scaling(account)["targets"] == former["targets"]
    report = account.run(**event)
    assert not report.failed, report.failed
    (target,) = _scaling(account)["targets"]
    assert target["MinCapacity"] == 0
    assert "step" not in {policy["PolicyName"] for policy in _scaling(account)["policies"]}
    restored = _restored(account, str(report.changed[0]["saved"]))
    assert not restored.failed, restored.failed
    assert _scaling(account) == former


def test_what_somebody_set_after_the_first_time_is_saved_beside_it(
    account: World, tmp_path: Path
) -> None:
    """Scaled to zero, then 2 to 8 by a person, then to zero again: restoring gives 2 to 8."""
    account.sagemaker.add_endpoint("e", asynchronous=True)
    account.put(OWN, "ApproximateBacklogSize", {"EndpointName": "e"}, WHOLE, 0)
    client = account.clients.autoscaling
    client.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=4)
    event: dict[str, Any] = {
        "action": "scale-to-zero",
        "match_all": True,
        "dry_run": False,
        "save_to": str(tmp_path),
    }
    first = account.run(**event).changed[0]["saved"]
    client.register_scalable_target(**TARGET, MinCapacity=2, MaxCapacity=8)
    chosen = _scaling(account)
    second = account.run(**event).changed[0]["saved"]
    assert first != second
    assert json.loads(Path(str(first)).read_text())["scaling"]["targets"][0]["MaxCapacity"] == 4
    restored = _restored(account, str(second))
    assert not restored.failed, restored.failed
    assert _scaling(account) == chosen
