"""The roles of the functions: enough for every call that their code makes, and nothing more."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

import jupyter_idle_culler.fleet
from jupyter_idle_culler.fleet.guardrails.roles import (
    GROUPS,
    BadRole,
    Place,
    role_policy,
    trust_policy,
)

from ..aws.policies import decided, lint
from .test_guardrails import needs_evaluator, needs_linter

FLEET = Path(jupyter_idle_culler.fleet.__file__).parent
PLACE = Place(
    "aws",
    "eu-central-1",
    "123456789012",
    "/aws/lambda/idle-culler",
    "arn:aws:sns:eu-central-1:123456789012:idle-culler",
    "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    "saved-endpoints",
)
ALL = [(function, action) for function, actions in GROUPS.items() for action in actions]
MODULES = {
    "schedule": "schedule_run",
    "endpoints": "endpoints.run",
    "apps": "apps.run",
    "budget": "budget",
}
"""Where the code of each function begins."""
SERVICES = {  # by IAM's prefix; where two services have an operation of a name, the first is meant
    "sagemaker": "sagemaker",
    "cloudwatch": "cloudwatch",
    "sns": "sns",
    "tag": "resourcegroupstaggingapi",
    "application-autoscaling": "application-autoscaling",
    "s3": "s3",
}
NOT_CALLS = {"sagemaker:Search"}  # a regular expression's
NEVER_REACHED: dict[
    str, set[str]
] = {  # in modules that are shared: with restore, and with what starts instances
    "schedule": set(),
    "endpoints": {"application-autoscaling:PutScheduledAction"},
    "apps": {"tag:TagResources"},
    "budget": {"sagemaker:StartNotebookInstance", "tag:TagResources"},
}
NOT_CALLED = {
    "logs:CreateLogStream",  # by Lambda itself
    "logs:PutLogEvents",
    "kms:Decrypt",  # by SNS, with the caller's permissions
    "kms:GenerateDataKey",
    "sagemaker:UpdateEndpointWeightsAndCapacities",  # asked of who registers a variant
    "iam:CreateServiceLinkedRole",
    "s3:ListBucket",  # else what is not there is "denied"
}
TAGS_IN_BULK = {"tag:TagResources": "sagemaker:AddTags"}  # the tagging API asks for both


def operations() -> dict[str, str]:
    """Return IAM's action for each method of the clients."""
    session, found = botocore.session.get_session(), {}
    for prefix, service in reversed(SERVICES.items()):
        for name in session.get_service_model(service).operation_names:
            found[xform_name(name)] = f"{prefix}:{name}"
    return found


def closure(module: str) -> set[Path]:
    """Return the modules of the fleet that a module imports, itself included."""
    found, todo = set(), [FLEET.joinpath(*module.split(".")).with_suffix(".py")]
    while todo:
        path = todo.pop()
        if path in found:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
                near = [base, *(base / alias.name for alias in node.names)]
                found_here = (each.with_suffix(".py") for each in near)
                todo += [each for each in found_here if each.is_file() and FLEET in each.parents]
    return found


def called(function: str) -> set[str]:
    """Return the actions that a function's code names, as a method or for a paginator."""
    by_method, names = operations(), set()
    for path in closure(MODULES[function]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                names.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                names.add(node.value)
    found = {by_method[name] for name in names if name in by_method}
    assert NEVER_REACHED[function] <= found
    return found - NOT_CALLS - NEVER_REACHED[function]


def granted(function: str) -> set[str]:
    """Return all that the roles of a function may do."""
    return {
        action
        for asked in GROUPS[function]
        for statement in role_policy(function, asked, PLACE)["Statement"]
        for action in statement["Action"]
    }


def arn(resource: str) -> str:
    """Return the ARN of a resource of SageMaker here."""
    return f"arn:aws:sagemaker:eu-central-1:123456789012:{resource}"


@pytest.mark.parametrize("function", MODULES)
def test_a_role_grants_what_the_code_calls_and_nothing_else(function: str) -> None:
    """All of it is granted by some group, and nothing is that is never called."""
    needed = called(function)
    assert "sns:Publish" in needed
    needed |= {other for action, other in TAGS_IN_BULK.items() if action in needed}
    assert granted(function) - NOT_CALLED == needed


@pytest.mark.parametrize("function", GROUPS)
def test_a_role_that_reports_changes_nothing(function: str) -> None:
    """What it may do reads, but for the log and the topic."""
    reads = ("List", "Get", "Describe")
    for statement in role_policy(function, "report", PLACE)["Statement"]:
        if statement["Sid"] not in ("WriteLog", "Tell", "Encrypt"):
            assert all(action.partition(":")[2].startswith(reads) for action in statement["Action"])


@needs_linter
def test_the_linter_of_policies_finds_nothing_in_a_role() -> None:
    """Actions go with their resources and condition keys."""
    policies = [role_policy(function, action, PLACE) for function, action in ALL]
    assert lint(policies) == [[]] * len(policies)


@pytest.mark.parametrize(("function", "action"), ALL)
def test_no_action_of_a_role_is_a_wildcard_nor_what_changes_something_on_everything(
    function: str, action: str
) -> None:
    """A star stands only where AWS knows no resource: lists, tags in bulk."""
    for statement in role_policy(function, action, PLACE)["Statement"]:
        assert not any("*" in each for each in statement["Action"])
        if statement["Resource"] == "*":
            reads = ("List", "Get", "Describe", "TagResources")
            assert all(each.partition(":")[2].startswith(reads) for each in statement["Action"])


NOTEBOOK, APP = arn("notebook-instance/dev-a"), arn("app/d-abc123def456/space/JupyterLab/default")
ENDPOINT, COMPONENT = arn("endpoint/dev-a"), arn("inference-component/dev-a")
START_TAG = {"aws:TagKeys": ["idle-culler:last-start"]}
MARK_TAG = {"aws:TagKeys": ["idle-culler:idle-marked"]}
EXEMPT_TAG = {"aws:TagKeys": ["idle-culler:exempt"]}
BOTH_TAGS = {"aws:TagKeys": ["idle-culler:last-start", "idle-culler:exempt"]}
TARGET = "arn:aws:application-autoscaling:eu-central-1:123456789012:scalable-target/1234"
OURS = {"application-autoscaling:service-namespace": "sagemaker"}
OTHERS = {"application-autoscaling:service-namespace": "dynamodb"}
ALARM = "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:"
STORED = "arn:aws:s3:::saved-endpoints/eu-central-1/dev-a.json"
Row = tuple[str, str, dict[str, Any], set[tuple[str, str]]]
BOTH = {("schedule", "apply"), ("budget", "apply")}
MATRIX: list[Row] = [
    ("sagemaker:StopNotebookInstance", NOTEBOOK, {}, BOTH),
    ("sagemaker:StartNotebookInstance", NOTEBOOK, {}, {("schedule", "apply")}),
    ("sagemaker:DeleteNotebookInstance", NOTEBOOK, {}, set()),
    ("sagemaker:CreatePresignedNotebookInstanceUrl", NOTEBOOK, {}, set()),
    ("sagemaker:StopNotebookInstance", NOTEBOOK.replace("1234567", "7654321"), {}, set()),
    ("sagemaker:StopNotebookInstance", NOTEBOOK.replace("eu-central", "us-west"), {}, set()),
    ("sagemaker:AddTags", NOTEBOOK, START_TAG, {("schedule", "apply")}),
    ("sagemaker:AddTags", NOTEBOOK, EXEMPT_TAG, set()),
    ("sagemaker:AddTags", NOTEBOOK, BOTH_TAGS, set()),
    ("sagemaker:AddTags", ENDPOINT, MARK_TAG, {("endpoints", "mark"), ("endpoints", "delete")}),
    ("sagemaker:DeleteTags", ENDPOINT, MARK_TAG, {("endpoints", "mark"), ("endpoints", "delete")}),
    ("sagemaker:DeleteTags", ENDPOINT, EXEMPT_TAG, set()),
    ("sagemaker:DeleteTags", NOTEBOOK, EXEMPT_TAG, set()),
    ("sagemaker:DeleteApp", APP, {}, {("apps", "apply"), ("budget", "apply")}),
    ("sagemaker:DeleteApp", arn("space/d-abc123def456/space"), {}, set()),
    ("sagemaker:DeleteSpace", arn("space/d-abc123def456/space"), {}, set()),
    ("sagemaker:DeleteEndpoint", ENDPOINT, {}, {("endpoints", "delete")}),
    ("sagemaker:DeleteInferenceComponent", COMPONENT, {}, {("endpoints", "delete")}),
    ("sagemaker:DeleteModel", arn("model/dev-a"), {}, set()),
    ("sagemaker:UpdateEndpoint", ENDPOINT, {}, set()),
    (
        "application-autoscaling:RegisterScalableTarget",
        TARGET,
        OURS,
        {("endpoints", "scale-to-zero")},
    ),
    ("application-autoscaling:RegisterScalableTarget", TARGET, OTHERS, set()),
    ("application-autoscaling:DeregisterScalableTarget", TARGET, OTHERS, set()),
    (
        "cloudwatch:PutMetricAlarm",
        ALARM + "idle-culler-wake-up-dev-a-one",
        {},
        {("endpoints", "scale-to-zero")},
    ),
    ("cloudwatch:PutMetricAlarm", ALARM + "of-others", {}, set()),
    ("cloudwatch:DeleteAlarms", ALARM + "of-others", {}, set()),
    ("s3:PutObject", STORED, {}, {("endpoints", "delete"), ("endpoints", "scale-to-zero")}),
    ("s3:DeleteObject", STORED, {}, set()),
    ("s3:PutObject", "arn:aws:s3:::another/key", {}, set()),
    ("iam:PassRole", "*", {}, set()),
    (
        "iam:CreateServiceLinkedRole",
        "arn:aws:iam::123456789012:role/aws-service-role/elasticache.amazonaws.com/AWSServiceRole",
        {"iam:AWSServiceName": "elasticache.amazonaws.com"},
        set(),
    ),
    ("sns:Publish", PLACE.topic_arn, {}, set(ALL)),
    ("sns:Publish", PLACE.topic_arn + "-2", {}, set()),
    ("kms:Decrypt", PLACE.key_arn, {}, set(ALL)),
    ("kms:Decrypt", PLACE.key_arn.replace("1234abcd", "abcd1234"), {}, set()),
    (
        "logs:PutLogEvents",
        "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/idle-culler:log-stream:a",
        {},
        set(ALL),
    ),
    (
        "logs:PutLogEvents",
        "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/other:log-stream:a",
        {},
        set(),
    ),
]


@needs_evaluator
def test_a_role_for_some_regions_may_do_its_work_there_and_nowhere_else() -> None:
    """Lists have no region in their ARN; the topic and the log stay where the function is."""
    regions = ("eu-central-1", "us-east-1")
    policy = role_policy("endpoints", "delete", PLACE, regions)
    asked = ("sagemaker:DeleteEndpoint", "sagemaker:ListEndpoints", "cloudwatch:GetMetricData")
    questions = [
        (action, "*" if "List" in action or "Get" in action else ENDPOINT.replace(*where), there)
        for where, there in (
            (("", ""), {"aws:RequestedRegion": "eu-central-1"}),
            (("eu-central-1", "us-east-1"), {"aws:RequestedRegion": "us-east-1"}),
            (("eu-central-1", "us-west-2"), {"aws:RequestedRegion": "us-west-2"}),
        )
        for action in asked
    ]
    assert decided([policy], questions) == [True] * 6 + [False] * 3
    here = {"aws:RequestedRegion": "eu-central-1"}
    there = {"aws:RequestedRegion": "us-west-2"}
    elsewhere = PLACE.topic_arn.replace("eu-central-1", "us-east-1")
    told = [("sns:Publish", PLACE.topic_arn, here), ("sns:Publish", elsewhere, here)]
    told += [("s3:PutObject", STORED, there)]  # the bucket's own region, whichever it is
    assert decided([policy], told) == [True, False, True]


def test_only_endpoints_are_looked_for_in_several_regions() -> None:
    """The others know of one."""
    with pytest.raises(BadRole, match="the function budget works in one region"):
        role_policy("budget", "apply", PLACE, ["us-east-1"])


@needs_evaluator
@pytest.mark.parametrize(("function", "action"), ALL)
def test_a_role_may_do_its_work_and_not_that_of_others(function: str, action: str) -> None:
    """A matrix of who may do what, on what, with which tags."""
    questions = [(asked, resource, context) for asked, resource, context, _ in MATRIX]
    found = decided([role_policy(function, action, PLACE)], questions)
    wrong = [
        row[:3]
        for row, may in zip(MATRIX, found, strict=True)
        if may != ((function, action) in row[3])
    ]
    assert wrong == []


def test_a_role_that_cannot_be_made_is_refused_in_one_line() -> None:
    """A function or an action that is not there; a deletion with nowhere to save."""
    for function, action, message in (
        ("other", "report", "'other' is none of schedule, endpoints, apps, budget"),
        ("budget", "mark", "'mark' is none of report, apply"),
        ("endpoints", "delete", "delete needs a bucket: what is changed is saved there"),
    ):
        with pytest.raises(BadRole) as refused:
            role_policy(function, action, Place())
        assert str(refused.value) == message


def test_without_a_topic_or_a_log_there_is_no_statement_for_them() -> None:
    """No empty ARN, which IAM would refuse."""
    for function in GROUPS:
        statements = role_policy(function, "report", Place())["Statement"]
        assert all(statement["Resource"] for statement in statements)
        assert not {"WriteLog", "Tell", "Encrypt"} & {each["Sid"] for each in statements}


def test_only_lambda_takes_such_a_role() -> None:
    """Nobody else is trusted."""
    (statement,) = trust_policy()["Statement"]
    assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}
