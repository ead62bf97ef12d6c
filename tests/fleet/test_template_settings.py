"""Settings of the template reach their functions; what must not go together is refused."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from jupyter_idle_culler.fleet.apps.settings import read as read_apps
from jupyter_idle_culler.fleet.budget import read as read_budget
from jupyter_idle_culler.fleet.endpoints.settings import read as read_endpoints
from jupyter_idle_culler.fleet.events import EventReader
from jupyter_idle_culler.fleet.guardrails.roles import (
    GROUPS,
)
from jupyter_idle_culler.fleet.schedule_run import read_plan

from .budget_letters import from_sns, letter
from .template_world import BUCKET, EVERYTHING, TOPIC, Stack, parsed


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
