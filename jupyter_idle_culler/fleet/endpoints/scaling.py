"""The autoscaling of an endpoint: read it, put it back, or let an asynchronous one go to zero."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ..clients import Clients, items
from .model import Endpoint, Kind

Json = Mapping[str, Any]
NAMESPACE = "sagemaker"
INSTANCES = "sagemaker:variant:DesiredInstanceCount"
OURS = "idle-culler-"
_COOLDOWN_SECONDS = 300


def resources_of(endpoint: Endpoint) -> list[str]:
    """Return the ids that Application Auto Scaling knows the parts of an endpoint by."""
    return [
        f"inference-component/{part.name}"
        if part.kind is Kind.COMPONENT
        else f"endpoint/{endpoint.name}/variant/{part.name}"
        for part in endpoint.parts
    ]


def read_scaling(clients: Clients, endpoint: Endpoint) -> dict[str, Any]:
    """Return targets, policies, scheduled actions, and the alarms that set off step policies.

    Raises: botocore's errors, BadAnswer.
    """
    client, found = clients.autoscaling, resources_of(endpoint)
    space = {"ServiceNamespace": NAMESPACE}
    targets: list[Json] = []
    for start in range(0, len(found), 50):
        some = found[start : start + 50]
        targets += items(
            client, "describe_scalable_targets", "ScalableTargets", ResourceIds=some, **space
        )
    policies: list[Json] = []
    actions: list[Json] = []
    for resource in dict.fromkeys(target["ResourceId"] for target in targets):
        one = {"ResourceId": resource, **space}
        policies += items(client, "describe_scaling_policies", "ScalingPolicies", **one)
        actions += items(client, "describe_scheduled_actions", "ScheduledActions", **one)
    return {
        "targets": targets,
        "policies": policies,
        "scheduled_actions": actions,
        "alarms": _alarms(clients.cloudwatch, endpoint, policies),
    }


def _alarms(cloudwatch: Any, endpoint: Endpoint, policies: Sequence[Json]) -> list[Json]:
    """Return the alarms of step policies. Those of target tracking come and go with it."""
    steps = [policy for policy in policies if policy["PolicyType"] == "StepScaling"]
    names = {alarm["AlarmName"] for policy in steps for alarm in policy.get("Alarms", ())}
    # Application Auto Scaling lists an alarm some time after it was made; ours are known by name.
    names |= {wake_up_name(endpoint.name, part.name) for part in endpoint.variants if steps}
    found: list[Json] = []
    for start in range(0, len(names), 100):
        some = sorted(names)[start : start + 100]
        found += items(cloudwatch, "describe_alarms", "MetricAlarms", AlarmNames=some)
    return found


def put_back(clients: Clients, scaling: Json, now: datetime) -> None:
    """Make the scaling what was read, as far as it is still to come. Raises: botocore's errors.

    Policies get new ARNs: alarms are made to point to these.
    """
    client = clients.autoscaling
    for target in scaling["targets"]:
        client.register_scalable_target(**accepted(client, "RegisterScalableTarget", target))
    arns: dict[str, str] = {}
    for policy in scaling["policies"]:
        put = client.put_scaling_policy(**accepted(client, "PutScalingPolicy", policy))
        arns[policy["PolicyARN"]] = put["PolicyARN"]
    for action in scaling["scheduled_actions"]:
        if "EndTime" not in action or _moment(action["EndTime"]) > now:
            client.put_scheduled_action(**accepted(client, "PutScheduledAction", action))
    for alarm in scaling["alarms"]:
        wanted = accepted(clients.cloudwatch, "PutMetricAlarm", alarm)
        for key in ("AlarmActions", "OKActions", "InsufficientDataActions"):
            wanted[key] = [arns.get(arn, arn) for arn in wanted.get(key, ())]
        clients.cloudwatch.put_metric_alarm(**wanted)


def remove_others(clients: Clients, endpoint: Endpoint, keep: Json) -> None:
    """Remove what scales the endpoint and is not in ``keep``. Raises: botocore's errors."""
    now = read_scaling(clients, endpoint)
    kept = {(policy["ResourceId"], policy["PolicyName"]) for policy in keep["policies"]}
    for policy in now["policies"]:
        if (policy["ResourceId"], policy["PolicyName"]) not in kept:
            _delete_policy(clients.autoscaling, policy)
    alarms = {alarm["AlarmName"] for alarm in keep["alarms"]}
    gone = [a["AlarmName"] for a in now["alarms"] if a["AlarmName"] not in alarms]
    _delete_our_alarms(clients.cloudwatch, gone)
    targets = {(t["ResourceId"], t["ScalableDimension"]) for t in keep["targets"]}
    for target in now["targets"]:
        if (target["ResourceId"], target["ScalableDimension"]) not in targets:
            _deregister(clients.autoscaling, target)


def forget(clients: Clients, scaling: Json) -> None:
    """Deregister what scaled an endpoint that is gone. Raises: botocore's errors."""
    for target in scaling["targets"]:
        _deregister(clients.autoscaling, target)
    _delete_our_alarms(clients.cloudwatch, [alarm["AlarmName"] for alarm in scaling["alarms"]])


def _deregister(client: Any, target: Json) -> None:
    keys = ("ServiceNamespace", "ResourceId", "ScalableDimension")
    try:
        client.deregister_scalable_target(**{key: target[key] for key in keys})
    except client.exceptions.ObjectNotFoundException:
        return  # it went with the endpoint


def _delete_policy(client: Any, policy: Json) -> None:
    keys = ("PolicyName", "ServiceNamespace", "ResourceId", "ScalableDimension")
    client.delete_scaling_policy(**{key: policy[key] for key in keys})


def _delete_our_alarms(cloudwatch: Any, names: Iterable[str]) -> None:
    ours = [name for name in names if name.startswith(OURS)]
    for start in range(0, len(ours), 100):
        cloudwatch.delete_alarms(AlarmNames=ours[start : start + 100])


def scales_to_zero(scaling: Json, endpoint: Endpoint) -> bool:
    """Tell whether every variant may already go to zero, and wakes up again by our policy."""
    lowest = {
        t["ResourceId"]: t["MinCapacity"]
        for t in scaling["targets"]
        if t["ScalableDimension"] == INSTANCES
    }
    alarms = {alarm["AlarmName"] for alarm in scaling["alarms"]}
    return all(
        lowest.get(resource) == 0 and wake_up_name(endpoint.name, part.name) in alarms
        for part, resource in zip(endpoint.variants, resources_of(endpoint), strict=False)
    )


def has_ours(scaling: Json) -> bool:
    """Tell whether a scaling has a policy that was put by `scale_to_zero`."""
    return any(policy["PolicyName"].startswith(OURS) for policy in scaling["policies"])


def limits_were_set(former: Json, now: Json) -> bool:
    """Tell whether somebody has set how many instances there may be since the former was read.

    `scale_to_zero` itself leaves the limits until all else is done, and then the minimum is 0.
    """
    before = {t["ResourceId"]: (t["MinCapacity"], t["MaxCapacity"]) for t in former["targets"]}
    return any(
        t["MinCapacity"] > 0
        and (t["MinCapacity"], t["MaxCapacity"])
        != before.get(t["ResourceId"], (1, t["MaxCapacity"]))
        for t in now["targets"]
    )


def wake_up_name(endpoint: str, variant: str) -> str:
    """Return the name of the alarm that wakes a variant up."""
    return f"{OURS}wake-up-{endpoint}-{variant}"


def scale_to_zero(
    clients: Clients, endpoint: Endpoint, former: Json, backlog_per_instance: float
) -> None:
    """Let each variant go to zero while its queue is empty, and wake up when something comes.

    Target tracking on the backlog per instance cannot wake it: at zero instances that metric is not
    published. So a step policy adds one instance where HasBacklogWithoutCapacity says that
    something waits (async-inference-autoscale). Policies of before would hold instances, scheduled
    actions would raise the minimum again; they are removed. The minimum is lowered last: one that
    is interrupted has a policy of ours by which the next run knows that what was former is saved,
    and goes to zero only where it wakes up again. Raises: botocore's errors.
    """
    highest = {t["ResourceId"]: t["MaxCapacity"] for t in former["targets"]}
    ours: list[Json] = []
    targets: list[dict[str, Any]] = []
    for part in endpoint.variants:
        resource = f"endpoint/{endpoint.name}/variant/{part.name}"
        one = {
            "ServiceNamespace": NAMESPACE,
            "ResourceId": resource,
            "ScalableDimension": INSTANCES,
        }
        most = max(highest.get(resource, 0), part.instances or 0, 1)
        if resource not in highest:
            clients.autoscaling.register_scalable_target(**one, MinCapacity=1, MaxCapacity=most)
        targets.append({**one, "MinCapacity": 0, "MaxCapacity": most})
        ours += [
            _track_backlog(clients, endpoint.name, one, backlog_per_instance),
            _wake_up(clients, endpoint.name, part.name, one),
        ]
    names = {(policy["ResourceId"], policy["PolicyName"]) for policy in ours}
    for policy in former["policies"]:
        if (policy["ResourceId"], policy["PolicyName"]) not in names:
            _delete_policy(clients.autoscaling, policy)
    for action in former["scheduled_actions"]:
        keys = ("ScheduledActionName", "ServiceNamespace", "ResourceId", "ScalableDimension")
        clients.autoscaling.delete_scheduled_action(**{key: action[key] for key in keys})
    for target in targets:
        clients.autoscaling.register_scalable_target(**target)


def _track_backlog(clients: Clients, endpoint: str, one: Json, target: float) -> Json:
    policy = {**one, "PolicyName": f"{OURS}backlog-per-instance"}
    clients.autoscaling.put_scaling_policy(
        **policy,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": target,
            "CustomizedMetricSpecification": {
                "MetricName": "ApproximateBacklogSizePerInstance",
                "Namespace": "AWS/SageMaker",
                "Dimensions": [{"Name": "EndpointName", "Value": endpoint}],
                "Statistic": "Average",
            },
            "ScaleInCooldown": _COOLDOWN_SECONDS,
            "ScaleOutCooldown": _COOLDOWN_SECONDS,
        },
    )
    return policy


def _wake_up(clients: Clients, endpoint: str, variant: str, one: Json) -> Json:
    policy = {**one, "PolicyName": f"{OURS}wake-up"}
    put = clients.autoscaling.put_scaling_policy(
        **policy,
        PolicyType="StepScaling",
        StepScalingPolicyConfiguration={
            "AdjustmentType": "ChangeInCapacity",
            "MetricAggregationType": "Average",
            "Cooldown": _COOLDOWN_SECONDS,
            "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
        },
    )
    clients.cloudwatch.put_metric_alarm(
        AlarmName=wake_up_name(endpoint, variant),
        AlarmDescription="Something waits in the queue of an endpoint that is scaled to zero.",
        MetricName="HasBacklogWithoutCapacity",
        Namespace="AWS/SageMaker",
        Statistic="Average",
        Period=60,
        EvaluationPeriods=2,
        DatapointsToAlarm=2,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="missing",
        Dimensions=[{"Name": "EndpointName", "Value": endpoint}],
        AlarmActions=[put["PolicyARN"]],
    )
    return policy


def accepted(client: Any, operation: str, told: Json) -> dict[str, Any]:
    """Return what a request takes of what a description said: one service, the same names."""
    members = client.meta.service_model.operation_model(operation).input_shape.members
    return {name: value for name, value in told.items() if name in members}


def _moment(given: Any) -> datetime:
    return given if isinstance(given, datetime) else datetime.fromisoformat(str(given))
