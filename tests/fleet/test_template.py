"""The template: linted, its roles those of the guardrails, its settings what the functions read."""

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
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jupyter_idle_culler.fleet.apps.settings import read as read_apps
from jupyter_idle_culler.fleet.budget import read as read_budget
from jupyter_idle_culler.fleet.endpoints.settings import read as read_endpoints
from jupyter_idle_culler.fleet.events import EventReader
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
from jupyter_idle_culler.fleet.schedule_run import read_plan

from ..aws.policies import lint
from ..aws.schedule_expressions import faults_of
from .budget_letters import from_sns, letter
from .template_world import BUCKET, STACK, TOPIC, Stack, parsed
from .test_guardrails import needs_linter

EVERYTHING = {
    "SchedulesApply": "yes",
    "EndpointsApply": "yes",
    "AppsApply": "yes",
    "AppMaxAgeHours": "72",
    "BudgetAmount": "500",
    "BudgetApply": "yes",
    "InstanceTypes": "ml.t3.*,ml.m5.large",
    "EndpointNameContains": "dev-",
    **{"Email": "a@example.org", "SecondEmail": "b@example.org", "Phone": "+491701234567"},
}
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


def plan_of(**parameters: str) -> Any:
    """Return what the schedule function of a stack reads from its event and environment."""
    stack = Stack(**parameters)
    event = json.loads(stack.resources["ScheduleSchedule"]["Properties"]["Target"]["Input"])
    reader = EventReader(event, stack.environment("ScheduleFunction"))
    plan = read_plan(reader)
    assert reader.text("topic_arn") == TOPIC
    assert reader.number("every_minutes", 0) == 15
    reader.finish()
    return plan


def test_by_default_dev_instances_are_on_in_office_hours_and_nothing_is_changed() -> None:
    """07:00 to 21:00 on weekdays, softly, for names with dev-, as a dry run."""
    plan = plan_of(CodeBucket="a")
    assert plan.dry_run is True
    assert plan.rules.stop_mode == "soft"
    assert plan.selection.name_contains == "dev-"
    (schedule,) = plan.schedules.values()
    assert (schedule.start, schedule.stop, schedule.zone.key) == (7 * 60, 21 * 60, "Etc/UTC")
    assert schedule.days == frozenset(range(5))
    assert (schedule.holidays, schedule.hard_stop) == (frozenset(), None)
    assert plan.default_schedule == schedule.name


def test_every_setting_of_a_schedule_reaches_the_function() -> None:
    """Zone, days, hours, a hard hour, holidays; a selection by tags; hard stops."""
    plan = plan_of(
        SchedulesApply="yes",
        TimeZone="America/St_Johns",
        Days="sat,sun",
        StartTime="22:30",
        StopTime="24:00",
        HardStopTime="03:00",
        Holidays="2026-12-26,2026-12-27",
        NameContains="",
        NamePattern="team-?-*",
        Tags='{"team": "a", "env": "*"}',
        StopMode="hard",
        GraceMinutes="30",
        SignalMaxAgeMinutes="90",
        QuietMinutes="20",
    )
    assert (plan.rules.signal_max_age_minutes, plan.rules.quiet_minutes) == (90, 20)
    (schedule,) = plan.schedules.values()
    assert schedule.zone.key == "America/St_Johns"
    assert (schedule.start, schedule.stop, schedule.hard_stop) == (1350, 1440, 180)
    assert sorted(map(str, schedule.holidays)) == ["2026-12-26", "2026-12-27"]
    assert schedule.days == {5, 6}
    assert plan.selection.matches("team-a-1", {"team": "a", "env": "x"})
    assert not plan.selection.matches("team-a-1", {"team": "a"})
    assert (plan.dry_run, plan.rules.stop_mode) == (False, "hard")
    assert plan.rules.grace.total_seconds() == 1800


def test_a_table_of_schedules_replaces_the_one() -> None:
    """Several, with zones of their own; one of them is for those whose tag names none."""
    table = {
        name: {"time_zone": zone, "start": "08:00", "stop": "18:00"}
        for name, zone in (("berlin", "Europe/Berlin"), ("tokyo", "Asia/Tokyo"))
    }
    plan = plan_of(ScheduleTable=json.dumps(table), DefaultSchedule="tokyo")
    assert set(plan.schedules) == {"berlin", "tokyo"}
    assert plan.default_schedule == "tokyo"
    assert plan_of(ScheduleTable=json.dumps(table)).default_schedule == ""


@pytest.mark.parametrize("action", GROUPS["endpoints"])
def test_every_setting_of_the_endpoints_reaches_the_function(action: str) -> None:
    """What is reported needs no selection, what is removed does; it is saved in the bucket."""
    removes = action in ("delete", "scale-to-zero")
    stack = Stack(
        EndpointAction=action,
        EndpointsApply="yes",
        EndpointMatchAll="yes" if removes else "no",
        EndpointIdleHours="48",
        EndpointGraceHours="24",
        EndpointNamePattern="dev-*",
        EndpointIncludeFree="yes",
        BacklogPerInstance="7",
        Prices='{"ml.g5.xlarge": 1.4}',
    )
    event = json.loads(stack.resources["EndpointsSchedule"]["Properties"]["Target"]["Input"])
    settings = read_endpoints(event, stack.environment("EndpointsFunction"))
    assert (settings.action, settings.dry_run) == (action, False)
    assert settings.idle.total_seconds() == 48 * 3600
    assert settings.grace.total_seconds() == 24 * 3600
    assert settings.prices == {"ml.g5.xlarge": 1.4}
    assert (settings.include_free, settings.backlog_per_instance) == (True, 7)
    assert settings.selection.matches("dev-a", {})
    assert not settings.selection.matches("a-dev-", {})
    assert settings.save_to == (f"s3://{BUCKET}/endpoints" if removes else "")
    assert ("SavedEndpoints" in stack.resources) is removes


def test_every_setting_of_the_apps_reaches_the_function() -> None:
    """They are only reported until a cap is set; then the selection counts."""
    stack = Stack(
        AppsApply="yes",
        AppMaxAgeHours="72",
        AppStopMode="hard",
        Tags='{"team": "a"}',
        SignalMaxAgeMinutes="90",
        QuietMinutes="20",
    )
    event = json.loads(stack.resources["AppsSchedule"]["Properties"]["Target"]["Input"])
    settings = read_apps(event, stack.environment("AppsFunction"))
    assert (settings.dry_run, settings.stop_mode) == (False, "hard")
    assert settings.max_age == timedelta(hours=72)
    assert (settings.signal_max_age_minutes, settings.quiet_minutes) == (90, 20)
    assert settings.selection.matches("dev-a", {"team": "a"})
    assert not settings.selection.matches("dev-a", {})
    instances_only = Stack(AppsApply="yes", AppMaxAgeHours="72", StopMode="hard")
    assert read_apps(event, instances_only.environment("AppsFunction")).stop_mode == "soft"
    quiet = read_apps(event, Stack(NameContains="").environment("AppsFunction"))
    assert quiet.max_age is None
    assert quiet.dry_run is True
    assert quiet.selection.matches("anything", {})


def test_the_saved_endpoints_outlive_the_stack_and_are_nobodys_business() -> None:
    """Environment variables of containers are in them."""
    stack = Stack(EndpointAction="delete", EndpointMatchAll="yes")
    bucket = stack.resources["SavedEndpoints"]
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["Properties"]["BucketEncryption"]


def test_every_setting_of_the_budget_reaches_the_function() -> None:
    """The budget tells a topic of its own, which only AWS Budgets may use; that calls it."""
    own = {"SignalMaxAgeMinutes": "90", "QuietMinutes": "20"}
    stack = Stack(**EVERYTHING, BudgetActPercent="90", BudgetStopMode="hard", **own)
    budget = stack.resources["Budget"]["Properties"]
    name = budget["Budget"]["BudgetName"]
    sent = from_sns(letter(budget=name))
    settings, ((_, alert),) = read_budget(sent, stack.environment("BudgetFunction"))
    assert (settings.above_percent, settings.stop_mode, settings.dry_run) == (90, "hard", False)
    assert (settings.signal_max_age_minutes, settings.quiet_minutes) == (90, 20)
    assert settings.budget_name == alert.name == name
    assert settings.on_forecast is False
    assert settings.selection.name_contains == "dev-"
    acting, *others = budget["NotificationsWithSubscribers"]
    assert acting["Notification"]["Threshold"] == "90"
    assert {each["Address"] for each in acting["Subscribers"]} == {"<BudgetTopic>", "a@example.org"}
    assert len(others) == 2
    assert budget["Budget"]["CostFilters"] == {"Service": ["Amazon SageMaker"]}
    assert settings.topic_arn == TOPIC
    (statement,) = stack.resources["BudgetTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "budgets.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    quiet = Stack(BudgetAmount="10").resources["Budget"]["Properties"]
    assert len(quiet["NotificationsWithSubscribers"]) == 1
    assert Stack(BudgetAmount="10").environment("BudgetFunction")["IDLE_CULLER_DRY_RUN"] == "true"


def test_a_forecast_acts_only_where_that_is_asked_for() -> None:
    """Then the topic is told of it, at the same share of the budget."""

    def acting(stack: Stack) -> dict[str, str]:
        return {
            each["Notification"]["NotificationType"]: each["Notification"]["Threshold"]
            for each in stack.resources["Budget"]["Properties"]["NotificationsWithSubscribers"]
            if {"SubscriptionType": "SNS", "Address": "<BudgetTopic>"} in each["Subscribers"]
        }

    for mail in ({}, {"Email": "a@example.org"}):
        asked = {"BudgetAmount": "10", "BudgetActPercent": "90", **mail}
        assert acting(Stack(**asked)) == {"ACTUAL": "90"}
        stack = Stack(**asked, BudgetOnForecast="yes")
        assert acting(stack) == {"ACTUAL": "90", "FORECASTED": "90"}
        name = stack.resources["Budget"]["Properties"]["Budget"]["BudgetName"]
        sent = from_sns(letter("$95.00", budget=name, alert="FORECASTED"))
        settings, ((_, alert),) = read_budget(sent, stack.environment("BudgetFunction"))
        assert alert.holds_back(settings.above_percent, settings.on_forecast) == ""


@pytest.mark.parametrize("forecast", ["yes", "no"])
@pytest.mark.parametrize("percent", ["50", "80", "100", "150"])
def test_a_budget_has_no_notification_twice(percent: str, forecast: str) -> None:
    """AWS Budgets refuses it, and the stack with it."""
    stack = Stack(**EVERYTHING, BudgetActPercent=percent, BudgetOnForecast=forecast)
    budget = stack.resources["Budget"]["Properties"]
    told = [
        json.dumps({key: str(value) for key, value in each["Notification"].items()})
        for each in budget["NotificationsWithSubscribers"]
    ]
    assert len(set(told)) == len(told)


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


DELETES = {"EndpointAction": "delete", "EndpointMatchAll": "yes", "EndpointsApply": "yes"}


@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({}, ""),
        ({"NameContains": ""}, "SomethingIsMeant"),
        ({"NameContains": "", "MatchAll": "yes"}, ""),
        ({"NameContains": "", "NamePattern": "dev-*"}, ""),
        ({"NameContains": "", "Tags": '{"team": "a"}'}, ""),
        ({"EndpointAction": "mark"}, ""),
        ({"EndpointAction": "delete"}, "EndpointsAreMeant"),
        ({"EndpointAction": "scale-to-zero"}, "EndpointsAreMeant"),
        ({"EndpointAction": "delete", "EndpointNameContains": "dev-"}, ""),
        ({"EndpointAction": "delete", "EndpointNamePattern": "dev-*"}, ""),
        ({"EndpointAction": "delete", "EndpointTags": '{"team": "a"}'}, ""),
        ({"EndpointAction": "scale-to-zero", "EndpointMatchAll": "yes"}, ""),
        ({**DELETES}, "DeletionIsTold"),
        ({**DELETES, "Email": "me@example.org"}, ""),
        ({**DELETES, "SecondPhone": "+4930123456"}, ""),
        ({**DELETES, "Endpoints": "no"}, ""),
        ({**DELETES, "EndpointAction": "mark"}, ""),
    ],
)
def test_everything_is_meant_only_where_that_is_said(parameters: dict[str, str], rule: str) -> None:
    """CloudFormation refuses it before anything is made."""
    assert Stack(**parameters).broken_rules() == ([rule] if rule else [])


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        (
            "BudgetAmount",
            ("0", "1", "500", "99.50"),
            ("0.0", "00", "-1", "0.5", "1e3", "1,000", ""),
        ),
        ("BudgetActPercent", ("1", "80", "100", "1000"), ("0", "80.0", "080", "1001", "")),
    ],
)
def test_a_number_that_conditions_compare_is_written_one_way(
    name: str, right: tuple[str, ...], wrong: tuple[str, ...]
) -> None:
    """They compare texts: 0.0 would be a budget of nothing, 80.0 a second notification at 80."""
    pattern = parsed()["Parameters"][name]["AllowedPattern"]
    assert all(re.fullmatch(pattern, text) for text in right)
    assert not any(re.fullmatch(pattern, text) for text in wrong)


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
