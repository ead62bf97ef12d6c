"""The template: linted, each part optional, roles those of the guardrails, its topics private."""

from __future__ import annotations

import functools
import importlib
import itertools
import json
import re
import subprocess
import sys
import zoneinfo
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jupyter_idle_culler.fleet.endpoints.settings import read as read_endpoints
from jupyter_idle_culler.fleet.guardrails.denial import instance_type_policy
from jupyter_idle_culler.fleet.guardrails.instance_types import read_types
from jupyter_idle_culler.fleet.guardrails.roles import (
    GROUPS,
    Place,
    nowhere_else,
    role_policy,
    statements,
    telling,
    trust_policy,
)
from jupyter_idle_culler.fleet.package import TEMPLATE

from ..aws.policies import lint
from ..aws.schedule_expressions import faults_of
from .template_world import EVERYTHING, STACK, Stack, parsed
from .test_guardrails import needs_linter

NOTHING = {"Schedules": "no", "Endpoints": "no", "Apps": "no"}
FUNCTION = {name: f"{name.capitalize()}Function" for name in GROUPS}
ROLE = {name: f"{name.capitalize()}Role" for name in GROUPS}


parsed_once = functools.cache(parsed)


def place(function: str) -> Place:
    """Return where a function of the stack runs, as the template names it."""
    return Place(
        "aws",
        "eu-central-1",
        "123456789012",
        f"/aws/lambda/{STACK}-{function}",
        "<Topic>",
        "<TopicKey.Arn>",
        "SAVED",
    )


def of_bucket(policy: list[Any]) -> list[Any]:
    """Return statements with the bucket of the template."""
    text = json.dumps(policy).replace("arn:aws:s3:::SAVED", "<SavedEndpoints.Arn>")
    return list(json.loads(text))


def test_cfn_lint_finds_nothing() -> None:
    """Not a warning: resources, properties, references, conditions, policies."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "cfn-lint"), str(TEMPLATE), "--include-checks", "I"],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert (done.stdout, done.returncode) == ("", 0)


@pytest.mark.parametrize(
    ("function", "action"),
    [(function, action) for function, actions in GROUPS.items() for action in actions],
)
def test_the_roles_are_those_of_the_guardrails(function: str, action: str) -> None:
    """Group by group: what a function is not asked to do, its role does not allow."""
    chosen = {**EVERYTHING, "EndpointAction": action if function == "endpoints" else "report"}
    if action == "report":
        chosen |= {name: "no" for name in chosen if name.endswith("Apply")}
    stack = Stack(**chosen)
    found = stack.statements(ROLE[function])
    assert found.pop("tell") == telling(place(function))
    assert {group: found[group] for group in found} == {
        group: of_bucket(statements(function, group, place(function)))
        for group in GROUPS[function][action]
    }
    trusted = stack.resources[ROLE[function]]["Properties"]["AssumeRolePolicyDocument"]
    assert trusted == trust_policy()
    assert role_policy(function, action, place(function))


@pytest.mark.parametrize("action", GROUPS["endpoints"])
def test_the_role_is_widened_to_the_regions_of_the_endpoints(action: str) -> None:
    """And to no others; the log and the topic stay where they are."""
    stack = Stack(**EVERYTHING, EndpointAction=action, EndpointRegions="eu-central-1,us-east-1")
    found = stack.statements(ROLE["endpoints"])
    assert found.pop("tell") == telling(place("endpoints"))
    assert found.pop("nowhere-else") == nowhere_else(["eu-central-1", "us-east-1"])
    anywhere = replace(place("endpoints"), region="*")
    assert found == {
        group: of_bucket(statements("endpoints", group, anywhere))
        for group in GROUPS["endpoints"][action]
    }
    event = json.loads(stack.resources["EndpointsSchedule"]["Properties"]["Target"]["Input"])
    settings = read_endpoints(event, stack.environment("EndpointsFunction"))
    assert settings.regions == ("eu-central-1", "us-east-1")
    assert read_endpoints(event, Stack().environment("EndpointsFunction")).regions == ()


def test_the_regions_of_the_endpoints_are_regions() -> None:
    """A slip is refused before anything is made."""
    pattern = parsed()["Parameters"]["EndpointRegions"]["AllowedPattern"]
    for right in ("", "eu-central-1", "us-gov-west-1,cn-north-1", "eusc-de-east-1", "us-east-1"):
        assert re.fullmatch(pattern, right)
    for wrong in ("eu central 1", ",us-east-1", "us-east-1,", "us-east-1us-west-2", "us-east", "*"):
        assert not re.fullmatch(pattern, wrong)


def test_a_dry_run_of_a_removal_may_remove_nothing() -> None:
    """It reads what it would change; it neither writes nor deletes, nor saves."""
    for action in ("delete", "scale-to-zero"):
        stack = Stack(**{**EVERYTHING, "EndpointAction": action, "EndpointsApply": "no"})
        assert set(stack.statements(ROLE["endpoints"])) == {"tell", "look", "scaling"}


@needs_linter
def test_the_linter_of_policies_finds_nothing_in_the_template() -> None:
    """What is in the roles and in the guardrail is known to IAM."""
    stack = Stack(**EVERYTHING)
    identity = [
        statement
        for role in stack.of_type("AWS::IAM::Role").values()
        for policy in role["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        if "<" not in json.dumps(statement)
    ]
    identity += stack.resources["Guardrail"]["Properties"]["PolicyDocument"]["Statement"]
    assert len(identity) > 10
    for number, statement in enumerate(identity):
        statement["Sid"] = f"Statement{number}"
    assert lint([{"Version": "2012-10-17", "Statement": identity}]) == [[]]


@pytest.mark.parametrize("parts", list(itertools.product(("yes", "no"), repeat=3)))
def test_each_part_is_optional(parts: tuple[str, ...]) -> None:
    """A part that is not wanted leaves no resource, no output and no reference to it."""
    wanted = dict(zip(("Schedules", "Endpoints", "Apps"), parts, strict=True))
    for amount in ("0", "10"):
        stack = Stack(**wanted, BudgetAmount=amount)
        names = {"Schedules": "Schedule", "Endpoints": "Endpoints", "Apps": "Apps"}
        for part, prefix in names.items():
            has = {name for name in stack.resources if name.startswith(prefix)}
            assert bool(has) == (wanted[part] == "yes"), has
        assert ("BudgetFunction" in stack.resources) == (amount == "10")
        held = set(stack.resources)
        for name in re.findall(r"<(\w+)(?:\.\w+)?>", json.dumps(stack.resources)):
            assert name in held | {"CodeBucket"}, name
        outputs = stack.template["Outputs"].values()
        for output in outputs:
            if stack.conditions.get(output.get("Condition", ""), True):
                assert output["Value"]["Ref"] in held
    assert set(Stack(**NOTHING).resources) == {"Topic", "TopicKey"}


def test_functions_are_as_lambda_should_run_them() -> None:
    """900 seconds, Python 3.12, 256 MB; a handler that is there; a log that ends some day."""
    stack = Stack(**EVERYTHING)
    common = stack.template["Globals"]["Function"]
    assert (common["Timeout"], common["Runtime"], common["MemorySize"]) == (900, "python3.12", 256)
    functions = stack.of_type("AWS::Serverless::Function")
    assert set(functions) == set(FUNCTION.values())
    for name, properties in functions.items():
        module, _, handler = properties["Handler"].rpartition(".")
        assert callable(getattr(importlib.import_module(module), handler))
        log = stack.resources[name.replace("Function", "Log")]["Properties"]
        assert log["LogGroupName"] == f"/aws/lambda/{properties['FunctionName']}"
        assert log["RetentionInDays"] == "30"
        assert properties["Role"] == f"<{name.replace('Function', 'Role')}.Arn>"
        assert len(json.dumps(properties["Environment"])) < 3000  # Lambda takes 4 KB


def test_schedules_are_fired_by_eventbridge_scheduler_on_time() -> None:
    """In the time zone that was chosen, with no flexible window, by a role that may only call."""
    stack = Stack(**EVERYTHING, TimeZone="Europe/Berlin")
    schedules = stack.of_type("AWS::Scheduler::Schedule")
    assert len(schedules) == 3
    for name, properties in schedules.items():
        assert properties["FlexibleTimeWindow"] == {"Mode": "OFF"}
        assert properties["ScheduleExpressionTimezone"] == "Europe/Berlin"
        assert properties["Target"]["Arn"] == f"<{name.removesuffix('Schedule')}Function.Arn>"
        json.loads(properties["Target"]["Input"])
    (call,) = stack.statements("ClockRole")["call"]
    assert call["Action"] == ["lambda:InvokeFunction"]
    assert call["Resource"] == [each["Target"]["Arn"] for each in schedules.values()]


def test_schedule_expressions_and_time_zones_are_right() -> None:
    """No linter looks at them: the defaults are taken by Scheduler, all zones by the parameter."""
    parameters = parsed()["Parameters"]
    for name in ("ScheduleExpression", "EndpointExpression", "AppExpression"):
        default = parameters[name]["Default"]
        assert faults_of(default) == []
        assert re.fullmatch(parameters[name]["AllowedPattern"], default)
    zones = zoneinfo.available_timezones()
    assert parameters["TimeZone"]["Default"] in zones
    refused = [z for z in zones if not re.fullmatch(parameters["TimeZone"]["AllowedPattern"], z)]
    assert refused == []


@pytest.mark.parametrize(
    ("expression", "good"),
    [
        ("rate(15 minutes)", True),
        ("rate(1 hour)", True),
        ("rate(1 hours)", False),
        ("rate(5 minute)", False),
        ("rate(0 minutes)", False),
        ("cron(0 7 ? * MON-FRI *)", True),
        ("cron(0/15 * * * ? *)", True),
        ("cron(30 8 L * ? *)", True),
        ("cron(0 9 ? * 2#1 2026-2030)", True),
        ("cron(0 7 * * * *)", False),
        ("cron(0 7 ? * ? *)", False),
        ("cron(0 7 * * ?)", False),
        ("cron(60 7 * * ? *)", False),
        ("cron(0 24 * * ? *)", False),
        ("cron(0 7 ? * MON-FOO *)", False),
        ("cron(0/0 7 * * ? *)", False),
        ("at(2026-11-24T07:00:00)", True),
        ("at(tomorrow)", False),
        ("every day", False),
    ],
)
def test_wrong_schedule_expressions_are_found(expression: str, good: bool) -> None:
    """Both days set, a field too few, a number out of range, a singular for several."""
    assert (faults_of(expression) == []) is good


def test_the_saved_endpoints_outlive_the_stack_and_are_nobodys_business() -> None:
    """Environment variables of containers are in them."""
    stack = Stack(EndpointAction="delete", EndpointMatchAll="yes")
    bucket = stack.resources["SavedEndpoints"]
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["Properties"]["BucketEncryption"]


def test_apps_without_a_cap_are_deleted_by_no_role() -> None:
    """A function that only reports may change nothing."""
    stack = Stack(AppsApply="yes")
    assert set(stack.statements("AppsRole")) == {"tell", "look"}
    assert stack.environment("AppsFunction")["IDLE_CULLER_DRY_RUN"] == "true"


def test_topics_are_encrypted_and_their_subscribers_those_that_are_given() -> None:
    """By e-mail and SMS; with a key that AWS Budgets may use, and only for this account."""
    stack = Stack(**EVERYTHING)
    for topic in stack.of_type("AWS::SNS::Topic").values():
        assert topic["KmsMasterKeyId"] == "<TopicKey.Arn>"
    told = {
        (each["Protocol"], each["Endpoint"])
        for each in stack.of_type("AWS::SNS::Subscription").values()
        if each["TopicArn"] == "<Topic>"
    }
    assert told == {
        ("email", "a@example.org"),
        ("email", "b@example.org"),
        ("sms", "+491701234567"),
    }
    assert "TopicEmail" not in Stack().resources
    key = stack.resources["TopicKey"]["Properties"]
    assert key["EnableKeyRotation"] is True
    account, *services = key["KeyPolicy"]["Statement"]
    assert account["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}
    assert {each["Principal"]["Service"] for each in services} == {
        "budgets.amazonaws.com",
        "cloudwatch.amazonaws.com",
    }
    for each in services:
        assert each["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_a_function_that_fails_is_told_of() -> None:
    """Also where it cannot tell itself: a setting that is wrong, a role that was changed."""
    stack = Stack(**EVERYTHING)
    alarms = stack.of_type("AWS::CloudWatch::Alarm")
    watched = {each["Dimensions"][0]["Value"]: each for each in alarms.values()}
    assert set(watched) == {f"<{name}>" for name in FUNCTION.values()}
    for each in watched.values():
        assert (each["Namespace"], each["MetricName"]) == ("AWS/Lambda", "Errors")
        assert (each["AlarmActions"], each["TreatMissingData"]) == (["<Topic>"], "notBreaching")


def test_the_guardrail_is_the_policy_that_is_rendered() -> None:
    """From the same list; Studio's system type is allowed."""
    types = "ml.t3.*,ml.m5.large"
    found = Stack(InstanceTypes=types).resources["Guardrail"]["Properties"]["PolicyDocument"]

    def sorted_types(policy: Any) -> Any:
        for statement in policy["Statement"]:
            statement["Condition"]["ForAnyValue:StringNotLike"]["sagemaker:InstanceTypes"].sort()
        return policy

    assert sorted_types(found) == sorted_types(instance_type_policy([types]))
    pattern = parsed()["Parameters"]["InstanceTypes"]["AllowedPattern"]
    for right in (types, "", "ml.t3.medium", "ml.g*", "ml.*.large,ml.p?.*", "ml.p6-b200.48xlarge"):
        assert re.fullmatch(pattern, right)
    for wrong in ("ml.t3.*, t3", ",ml.t3.*", "ml.t3.*,", "ml.t3.medium.ml.m5", "ml.t3.*ml.m5.*"):
        assert not re.fullmatch(pattern, wrong)
    assert "Guardrail" not in Stack().resources


@given(st.text("emrlagx5.*?-", min_size=1, max_size=9).map("ml.{}".format))
@example("ml.*")
@example("ml.?*")
@example("ml.*.*")
@example("ml.*e*")
@example("ml.*.*xlarge")
@example("ml.*.large")
def test_the_template_takes_no_guardrail_that_the_command_refuses(name: str) -> None:
    """CloudFormation sees the letters only, so it refuses some that the command takes."""
    pattern = parsed_once()["Parameters"]["InstanceTypes"]["AllowedPattern"]
    if re.fullmatch(pattern, name):
        assert read_types([name]) == (name,)
    if name in ("ml.*", "ml.?*", "ml.*.*", "ml.*e*", "ml.*.*xlarge"):
        assert not re.fullmatch(pattern, name)


def test_parameters_are_explained_and_in_a_group() -> None:
    """Whoever deploys it in the console reads what each is for, in the order of the parts."""
    found = parsed()
    groups = found["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    assert sorted(grouped) == sorted(found["Parameters"])
    for name, each in found["Parameters"].items():
        again = name.startswith(("Second", "Third"))
        assert again or each["Description"].endswith(".")
    assert len(TEMPLATE.read_bytes()) < 51_200  # what CloudFormation takes without a bucket
    assert Path(TEMPLATE).parent.name == "fleet"
