"""What each function of the fleet may do, and nothing else, in groups by what it is asked to do.

Groups add up: a function that only reports gets ``look``; what changes something is a group of its
own. Where AWS knows no resource for an action (lists, tags in bulk), there is ``*``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...errors import IdleCullerError
from ..due import LAST_START_TAG
from ..endpoints.marks import MARK_TAG

Statement = dict[str, Any]
SCHEDULE, ENDPOINTS, APPS, BUDGET = "schedule", "endpoints", "apps", "budget"
REPORT, APPLY = "report", "apply"
GROUPS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    SCHEDULE: {REPORT: ("look",), APPLY: ("look", "act")},
    ENDPOINTS: {
        REPORT: ("look",),
        "mark": ("look", "mark"),
        "delete": ("look", "mark", "scaling", "save", "delete"),
        "scale-to-zero": ("look", "scaling", "save", "scale"),
    },
    APPS: {REPORT: ("look",), APPLY: ("look", "act")},
    BUDGET: {REPORT: ("look",), APPLY: ("look", "act")},
}
"""By function and what it is asked to do: the groups that it needs."""


class BadRole(IdleCullerError):
    """A role that cannot be made as asked; the message says why."""


@dataclass(frozen=True)
class Place:
    """Where a function runs, as ARNs name it; CloudFormation's ``${AWS::Region}`` will do, too.

    ``log_group``, ``topic_arn``, ``key_arn`` (of the key that encrypts the topic) and ``bucket``
    may be empty: then there is no statement for them.
    """

    partition: str = "aws"
    region: str = "*"
    account: str = "*"
    log_group: str = ""
    topic_arn: str = ""
    key_arn: str = ""
    bucket: str = ""

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource here."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"


def role_policy(
    function: str, action: str, place: Place, regions: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the policy of a function's role. Raises: BadRole.

    ``regions``: those in which endpoints are looked for, where they are not that of ``place``.
    """
    if function not in GROUPS:
        message = f"{function!r} is none of {', '.join(GROUPS)}"
        raise BadRole(message)
    if action not in GROUPS[function]:
        message = f"{action!r} is none of {', '.join(GROUPS[function])}"
        raise BadRole(message)
    groups = GROUPS[function][action]
    if "save" in groups and not place.bucket:
        message = f"{action} needs a bucket: what is changed is saved there"
        raise BadRole(message)
    if regions and function != ENDPOINTS:
        message = f"the function {function} works in one region: only {ENDPOINTS} has several"
        raise BadRole(message)
    where = replace(place, region="*") if regions else place
    found = [each for group in groups for each in statements(function, group, where)]
    found += nowhere_else(regions) if regions else []
    return {"Version": "2012-10-17", "Statement": found + telling(place)}


def nowhere_else(regions: Sequence[str]) -> list[Statement]:
    """Return what keeps a role with ARNs of any region in some: lists have no ARN to name one."""
    services = ("application-autoscaling", "cloudwatch", "sagemaker", "tag")
    denied = _allow("NowhereElse", [f"{service}:*" for service in services])
    elsewhere = {"StringNotEquals": {"aws:RequestedRegion": list(regions)}}
    return [{**denied, "Effect": "Deny", "Condition": elsewhere}]


def trust_policy() -> dict[str, Any]:
    """Return who may take such a role: Lambda."""
    lets = {"Service": "lambda.amazonaws.com"}
    statement = {"Effect": "Allow", "Principal": lets, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def telling(place: Place) -> list[Statement]:
    """Return what lets a function write its log and tell its topic."""
    found = []
    if place.log_group:
        streams = place.arn("logs", f"log-group:{place.log_group}:*")
        found.append(_allow("WriteLog", ["logs:CreateLogStream", "logs:PutLogEvents"], streams))
    if place.topic_arn:
        found.append(_allow("Tell", ["sns:Publish"], place.topic_arn))
    if place.key_arn:
        found.append(_allow("Encrypt", ["kms:Decrypt", "kms:GenerateDataKey"], place.key_arn))
    return found


def statements(function: str, group: str, place: Place) -> list[Statement]:
    """Return the statements of one group. Raises: KeyError where there is none such."""
    notebooks = place.arn("sagemaker", "notebook-instance/*")
    apps = place.arn("sagemaker", "app/*")
    found: Mapping[tuple[str, str], Sequence[Statement]] = {
        (SCHEDULE, "look"): [
            _allow("List", ["sagemaker:ListNotebookInstances", "tag:GetResources"]),
        ],
        (SCHEDULE, "act"): [
            _allow(
                "StartAndStop",
                ["sagemaker:StartNotebookInstance", "sagemaker:StopNotebookInstance"],
                notebooks,
            ),
            _only_tag("RememberStarts", ["sagemaker:AddTags"], notebooks, LAST_START_TAG),
            _allow("WriteTagsInBulk", ["tag:TagResources"]),
        ],
        (APPS, "look"): [
            _allow(
                "List",
                [
                    "sagemaker:ListApps",
                    "sagemaker:ListNotebookInstances",
                    "sagemaker:ListSpaces",
                    "tag:GetResources",
                ],
            ),
            _allow("ReadDomains", ["sagemaker:DescribeDomain"], place.arn("sagemaker", "domain/*")),
            _allow(
                "ReadUsers",
                ["sagemaker:DescribeUserProfile"],
                place.arn("sagemaker", "user-profile/*"),
            ),
        ],
        (APPS, "act"): [_allow("DeleteApps", ["sagemaker:DeleteApp"], apps)],
        (BUDGET, "look"): [
            _allow(
                "List",
                [
                    "sagemaker:ListApps",
                    "sagemaker:ListNotebookInstances",
                    "sagemaker:ListSpaces",
                    "tag:GetResources",
                ],
            ),
        ],
        (BUDGET, "act"): [
            _allow("StopNotebooks", ["sagemaker:StopNotebookInstance"], notebooks),
            _allow("DeleteApps", ["sagemaker:DeleteApp"], apps),
        ],
    }
    return list(found[function, group]) if function != ENDPOINTS else _of_endpoints(group, place)


def _of_endpoints(group: str, place: Place) -> list[Statement]:
    endpoints = place.arn("sagemaker", "endpoint/*")
    configs = place.arn("sagemaker", "endpoint-config/*")
    components = place.arn("sagemaker", "inference-component/*")
    ours = place.arn("cloudwatch", "alarm:idle-culler-*")
    tracking = place.arn("cloudwatch", "alarm:TargetTracking-*")
    targets = place.arn("application-autoscaling", "scalable-target/*")
    found: Mapping[str, Sequence[Statement]] = {
        "look": [
            _allow(
                "List",
                [
                    "cloudwatch:GetMetricData",
                    "sagemaker:ListEndpoints",
                    "sagemaker:ListInferenceComponents",
                    "tag:GetResources",
                ],
            ),
            _allow("DescribeEndpoints", ["sagemaker:DescribeEndpoint"], endpoints),
            _allow("DescribeConfigs", ["sagemaker:DescribeEndpointConfig"], configs),
            _allow("DescribeComponents", ["sagemaker:DescribeInferenceComponent"], components),
        ],
        "mark": [
            _only_tag("Mark", ["sagemaker:AddTags", "sagemaker:DeleteTags"], endpoints, MARK_TAG)
        ],
        "scaling": [
            _allow(
                "ReadScaling",
                [
                    "application-autoscaling:DescribeScalableTargets",
                    "application-autoscaling:DescribeScalingPolicies",
                    "application-autoscaling:DescribeScheduledActions",
                ],
            ),
            _allow("ReadAlarms", ["cloudwatch:DescribeAlarms"], place.arn("cloudwatch", "alarm:*")),
        ],
        "save": [
            _allow("ReadTags", ["sagemaker:ListTags"], [endpoints, configs, components]),
            _allow("Save", ["s3:GetObject", "s3:PutObject"], f"{_bucket(place)}/*"),
            # Without it S3 says "denied" of what is not there.
            _allow("SeeWhatIsNotThere", ["s3:ListBucket"], _bucket(place)),
        ],
        "delete": [
            _allow("DeleteEndpoints", ["sagemaker:DeleteEndpoint"], endpoints),
            _allow("DeleteComponents", ["sagemaker:DeleteInferenceComponent"], components),
            _scaling("Deregister", ["DeregisterScalableTarget"], targets),
            _allow("DeleteAlarms", ["cloudwatch:DeleteAlarms"], [ours, tracking]),
        ],
        "scale": [
            _scaling(
                "Scale",
                [
                    "DeleteScalingPolicy",
                    "DeleteScheduledAction",
                    "PutScalingPolicy",
                    "RegisterScalableTarget",
                ],
                targets,
            ),
            _allow("WakeUp", ["cloudwatch:PutMetricAlarm"], [ours, tracking]),
            # What Application Auto Scaling asks of its caller, and a role of its own.
            _allow("DeleteAlarms", ["cloudwatch:DeleteAlarms"], [tracking]),
            _allow("BeScaled", ["sagemaker:UpdateEndpointWeightsAndCapacities"], endpoints),
            {
                **_allow("MakeItsRole", ["iam:CreateServiceLinkedRole"], _scaling_role(place)),
                "Condition": {
                    "StringEquals": {
                        "iam:AWSServiceName": "sagemaker.application-autoscaling.amazonaws.com"
                    }
                },
            },
        ],
    }
    return list(found[group])


def _allow(sid: str, actions: Sequence[str], resource: str | Sequence[str] = "*") -> Statement:
    where = resource if isinstance(resource, str) else list(resource)
    return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": where}


def _only_tag(sid: str, actions: Sequence[str], resource: str, tag: str) -> Statement:
    """Allow to write one tag: else whoever holds the role could lift an exemption."""
    only = {"ForAllValues:StringEquals": {"aws:TagKeys": [tag]}, "Null": {"aws:TagKeys": "false"}}
    return {**_allow(sid, actions, resource), "Condition": only}


def _scaling(sid: str, actions: Sequence[str], resource: str) -> Statement:
    only = {"StringEquals": {"application-autoscaling:service-namespace": "sagemaker"}}
    named = [f"application-autoscaling:{action}" for action in actions]
    return {**_allow(sid, named, resource), "Condition": only}


def _bucket(place: Place) -> str:
    return f"arn:{place.partition}:s3:::{place.bucket}"


def _scaling_role(place: Place) -> str:
    path = "role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/*"
    return f"arn:{place.partition}:iam::{place.account}:{path}"
