"""A budget that acts: what AWS Budgets says is read, and what matches is stopped if asked for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
import requests

from jupyter_idle_culler.fleet.events import EventError
from jupyter_idle_culler.fleet.handlers import budget_handler
from jupyter_idle_culler.fleet.report import FleetFailed
from jupyter_idle_culler.fleet.signals import SIGN_TAG

from ..aws.studio_stand_in import StudioStandIn
from .budget_letters import from_sns, letter
from .endpoint_world import topic_with_queue

Json = dict[str, Any]


def signed(text: str, **more: str) -> dict[str, str]:
    """Return the tags of what signals ``working`` or ``idle 30`` now."""
    now = datetime.now(timezone.utc)
    return {SIGN_TAG: f"{now:%Y-%m-%dT%H:%M:%SZ} {text}", **more}


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch) -> Iterator[StudioStandIn]:
    """Give an account in which what is meant has ``dev-`` in its name, and acting is asked for."""
    sagemaker = StudioStandIn()
    with sagemaker:
        settings = {"IDLE_CULLER_NAME_CONTAINS": "dev-", "IDLE_CULLER_DRY_RUN": "false"}
        for name, value in {**sagemaker.env, **settings}.items():
            monkeypatch.setenv(name, value)
        yield sagemaker
        assert not sagemaker.problems


def changed(report: Json) -> dict[str, str]:
    """Return what was done to what."""
    return {each["name"]: each["action"] for each in report["changed"]}


def skipped(report: Json) -> dict[str, str]:
    """Return what was left alone, and why."""
    return {each["name"]: each["reason"] for each in report["skipped"]}


def test_above_the_threshold_what_matches_stops_and_nothing_else(studio: StudioStandIn) -> None:
    """Notebook instances are stopped, apps deleted; names that do not match are left alone."""
    studio.add("dev-a", tags=signed("idle 30"))
    studio.add("prod-a", tags=signed("idle 30"))
    studio.add("dev-off", "Stopped")
    studio.studio_app("dev-space", instance_type="ml.g5.xlarge", tags=signed("idle 30"))
    studio.studio_app("prod-space", tags=signed("idle 30"))
    report = budget_handler(from_sns(letter()))
    app = "d-abc123def456/dev-space/JupyterLab/default"
    assert changed(report) == {"dev-a": "stop", app: "delete"}
    assert skipped(report) == {"dev-off": "it is Stopped"}
    assert (report["matched"], report["dry_run"], report["failed"]) == (3, False, [])
    assert report["budgets"][0]["percent"] == 108.3
    assert (studio.at("dev-a"), studio.at("prod-a")) == ("Stopping", "InService")
    assert len(studio.stops()) == 2


def test_what_works_or_says_nothing_is_left_and_reported(studio: StudioStandIn) -> None:
    """Soft is the default: work is not killed for a bill, and silence is not idleness."""
    studio.add("dev-works", tags=signed("working"))
    studio.add("dev-silent")
    studio.studio_app("dev-space", tags=signed("working"))
    studio.studio_app("dev-signs-on-space", owner_tags=signed("working"))
    studio.studio_app("dev-quiet")
    report = budget_handler(from_sns(letter()))
    assert report["changed"] == []
    assert studio.stops() == []
    reasons = {name.split("/")[-3:][0]: reason for name, reason in skipped(report).items()}
    assert reasons["dev-works"].startswith("its culler signals work")
    assert reasons["dev-silent"] == "unknown: its culler gives no sign of life"
    assert reasons["dev-space"].startswith("its culler signals work")
    assert reasons["dev-signs-on-space"].startswith("its culler signals work")
    assert reasons["dev-quiet"] == "unknown: its culler gives no sign of life"


def test_hard_stops_all_but_what_is_exempt(
    studio: StudioStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must be chosen; the exempt tag, of an app or of its owner, holds all the same."""
    monkeypatch.setenv("IDLE_CULLER_STOP_MODE", "hard")
    studio.add("dev-works", tags=signed("working"))
    studio.add("dev-kept", tags={"idle-culler:exempt": "yes"})
    studio.studio_app("dev-silent")
    studio.studio_app("dev-own", tags={"idle-culler:exempt": ""})
    studio.studio_app("dev-owner", owner_tags={"idle-culler:exempt": "true"})
    studio.studio_app("dev-not", tags={"idle-culler:exempt": "no"})
    studio.studio_app("dev-ana", "KernelGateway", user=True)
    studio.studio_app("dev-ana", "JupyterServer", user=True, instance_type="system")
    report = budget_handler(from_sns(letter()))
    assert {name.split("/")[-3:][0] for name in changed(report)} == {
        "dev-works",
        "dev-silent",
        "dev-not",
        "dev-ana",
    }
    assert {name.split("/")[-3:][0]: reason for name, reason in skipped(report).items()} == {
        "dev-kept": "its tags exempt it",
        "dev-own": "its tags exempt it",
        "dev-owner": "its tags exempt it",
        "dev-ana": "it costs nothing",
    }


def test_without_being_asked_to_it_only_reports(
    studio: StudioStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dry run is the default: the report is what would have been done."""
    monkeypatch.delenv("IDLE_CULLER_DRY_RUN")
    studio.add("dev-a", tags=signed("idle 30"))
    studio.studio_app("dev-space", tags=signed("idle 30"))
    report = budget_handler(from_sns(letter()))
    assert len(report["changed"]) == 2
    assert report["dry_run"] is True
    assert studio.stops() == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (letter("-$500.00"), "-500 is a credit of the budget team-a"),
        (letter("$85.00"), "it has come to 85 % of the budget team-a; it acts from 100 % on"),
        (letter(alert="FORECASTED"), "it is forecast to come to 108 % of the budget team-a;"),
        (letter("60 %", budgeted="100 %", threshold="< 80%", kind="RI Utilization"), "a budget of"),
        (letter(budget="other"), "only the budget team-a is acted on"),
    ],
)
def test_below_the_threshold_aws_is_asked_nothing(
    studio: StudioStandIn, monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    """A warning at 80 percent, a forecast, another budget, one of reservations: only reported."""
    monkeypatch.setenv("IDLE_CULLER_BUDGET_NAME", "team-a")
    studio.add("dev-a", tags=signed("idle 30"))
    report = budget_handler(from_sns(text))
    assert [each["reason"][: len(reason)] for each in report["skipped"]] == [reason]
    assert studio.calls == []


def test_a_lower_threshold_and_a_forecast_can_be_chosen(
    studio: StudioStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are settings of the function."""
    monkeypatch.setenv("IDLE_CULLER_ABOVE_PERCENT", "80")
    monkeypatch.setenv("IDLE_CULLER_ON_FORECAST", "true")
    studio.add("dev-a", tags=signed("idle 30"))
    report = budget_handler(from_sns(letter("$85.00", alert="FORECASTED")))
    assert changed(report) == {"dev-a": "stop"}


def test_it_can_be_called_with_the_letter_itself(studio: StudioStandIn) -> None:
    """For a try: the settings then come with the event."""
    studio.add("test-a", tags=signed("idle 30"))
    event = {"message": letter(), "name_contains": "test-", "apps": False, "dry_run": False}
    assert changed(budget_handler(event)) == {"test-a": "stop"}
    assert studio.count("ListApps") == 0


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (from_sns("Hello"), "Records[0].Sns.Message"),
        (from_sns(letter(), letter().replace("Alert Type", "Kind")), "Records[1].Sns.Message"),
        (from_sns(letter("much")), "Records[0].Sns.Message"),
        (from_sns(letter(alert="HOPED")), "Records[0].Sns.Message"),
        (from_sns("{}"), "Records[0].Sns.Message"),
        ({"Records": []}, "Records"),
        ({"Records": [{"EventSource": "aws:sqs", "body": letter()}]}, "Records[0]"),
        ({**from_sns(letter()), "dry_run": False}, "Records"),
        ({"message": letter(), "dry_run": False, "account": "mine"}, "account"),
        ({"message": letter(), "dry_runn": True}, "dry_runn"),
        ({"message": letter(), "stop_mode": "rude"}, "stop_mode"),
        ({"message": letter(), "dry_run": False, "topic_arn": "nonsense"}, "topic_arn"),
        ({}, "message"),
        ([], "event"),
    ],
)
def test_a_bad_event_changes_nothing_and_says_which_field(
    studio: StudioStandIn, event: Any, field: str
) -> None:
    """What is no notification of AWS Budgets is refused, and AWS is asked nothing."""
    studio.add("dev-a", tags=signed("idle 30"))
    with pytest.raises(EventError) as refused:
        budget_handler(event)
    assert refused.value.field == field
    assert studio.calls == []


def test_all_is_meant_only_where_that_is_said(
    studio: StudioStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function whose settings were forgotten stops nothing."""
    monkeypatch.delenv("IDLE_CULLER_NAME_CONTAINS")
    studio.add("dev-a", tags=signed("idle 30"))
    with pytest.raises(EventError, match="match_all"):
        budget_handler(from_sns(letter()))
    monkeypatch.setenv("IDLE_CULLER_MATCH_ALL", "true")
    assert changed(budget_handler(from_sns(letter()))) == {"dev-a": "stop"}


def test_one_that_is_refused_does_not_save_the_others(studio: StudioStandIn) -> None:
    """The batch is finished, then the invocation fails."""
    for name in ("dev-a", "dev-b", "dev-c"):
        studio.add(name, tags=signed("idle 30"))
        studio.studio_app(f"{name}-space", tags=signed("idle 30"))
    studio.refuses |= {"dev-b", "dev-b-space"}
    with pytest.raises(FleetFailed) as failed:
        budget_handler(from_sns(letter()))
    report = failed.value.report
    assert {each["name"] for each in report.failed} == {
        "dev-b",
        "d-abc123def456/dev-b-space/JupyterLab/default",
    }
    assert len(report.changed) == 4
    assert (studio.at("dev-a"), studio.at("dev-c")) == ("Stopping", "Stopping")


@pytest.mark.parametrize("refused", ["apps", "tags"])
def test_without_a_list_or_tags_nothing_is_guessed(studio: StudioStandIn, refused: str) -> None:
    """Who cannot read the tags does not know what is exempt: no app is deleted."""
    studio.studio_app("dev-space", tags=signed("idle 30"))
    studio.refuses.add(refused)
    with pytest.raises(FleetFailed, match="the apps"):
        budget_handler(from_sns(letter()))
    assert studio.stops() == []


def test_throttling_at_every_call_delays_and_changes_nothing(studio: StudioStandIn) -> None:
    """Each first try is refused; boto3 tries again."""
    studio.throttled = True
    studio.add("dev-a", tags=signed("idle 30"))
    studio.studio_app("dev-space", tags=signed("idle 30"))
    report = budget_handler(from_sns(letter()))
    assert len(report["changed"]) == 2
    assert report["failed"] == []


def test_what_time_did_not_suffice_for_fails_and_is_repeated(studio: StudioStandIn) -> None:
    """Budgets tells once: Lambda repeats a failed invocation, and the next one does the rest."""

    class Context:
        def get_remaining_time_in_millis(self) -> int:
            """Return ten minutes until two are stopped, then half a minute."""
            return 30_000 if studio.count("StopNotebookInstance") >= 2 else 600_000

    for name in ("dev-a", "dev-b", "dev-c", "dev-d"):
        studio.add(name, tags=signed("idle 30"))
    with pytest.raises(FleetFailed, match="time did not suffice for 2") as failed:
        budget_handler(from_sns(letter()), Context())
    assert failed.value.report.remaining == ["dev-c", "dev-d"]
    again = budget_handler(from_sns(letter()))
    assert changed(again) == {"dev-c": "stop", "dev-d": "stop"}


def test_an_app_that_is_being_deleted_already_is_no_failure(studio: StudioStandIn) -> None:
    """A call whose answer got lost is repeated by boto3; the second is refused."""
    arn = studio.studio_app("dev-space", tags=signed("idle 30"))
    listed = studio._ListApps

    def and_then_it_goes(parameters: Any) -> Any:
        answer = listed(parameters)
        next(t for t in studio._all() if t.arn == arn).status = "Deleting"
        return answer

    studio._ListApps = and_then_it_goes  # type: ignore[method-assign]
    report = budget_handler(from_sns(letter()))
    assert report["failed"] == []
    assert len(report["changed"]) == 1


def test_the_topic_is_told_what_was_done_and_what_runs_on(
    studio: StudioStandIn, moto_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By name, with the reason, and how much of the budget is used."""
    requests.post(f"{moto_server}/moto-api/reset", timeout=10)
    for service in ("SNS", "SQS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", moto_server)
    topic, received = topic_with_queue()
    monkeypatch.setenv("IDLE_CULLER_TOPIC_ARN", topic)
    studio.add("dev-a", tags=signed("idle 30"), instance_type="ml.p3.2xlarge")
    studio.add("dev-works", tags=signed("working"))
    budget_handler(from_sns(letter()))
    (told,) = received()
    assert "it has come to 108 % of the budget team-a (108.3 of 100)" in told
    assert "Stopped:\n  dev-a (ml.p3.2xlarge)" in told
    assert "Left running:\n  dev-works: its culler signals work" in told
    budget_handler(from_sns(letter("$85.00")))
    assert received() == []
