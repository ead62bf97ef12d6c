"""An endpoint with everything that can be saved of one, and its way out and back."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from jupyter_idle_culler.fleet.endpoints.restoring import restore
from jupyter_idle_culler.fleet.endpoints.scaling import NAMESPACE
from jupyter_idle_culler.fleet.report import Report

from ..aws.endpoints import ROLE, variant
from ..aws.stand_in import ACCOUNT, REGION
from .endpoint_world import LATER, OWN, TARGET, WHOLE, World

KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
MODEL_TAGS = {"team": "a", "cost-centre": "a b=c:/+@"}


def removed(account: World, save_to: Path) -> str:
    """Mark and delete the endpoint e; return where it is saved."""
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


def brought_back(account: World, where: str, **more: Any) -> Report:
    """Restore what is saved, for real."""
    return restore(account.clients, where, dry_run=False, sleep=lambda seconds: None, **more)


def scaling_of(account: World) -> dict[str, Any]:
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


def rich(account: World) -> None:
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


def scaled(account: World) -> str:
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
