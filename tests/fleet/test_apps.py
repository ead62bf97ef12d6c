"""Apps that run, and who watches them: what nobody watches is found and told."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import requests

from jupyter_idle_culler.cli.commands import main
from jupyter_idle_culler.fleet.events import EventError
from jupyter_idle_culler.fleet.handlers import apps_handler
from jupyter_idle_culler.fleet.signals import SIGN_TAG

from ..aws.domain_stand_in import DOMAIN, DomainStandIn, idle_shutdown
from .app_world import NOW, OFF, ON, app, by_name, run, signed
from .endpoint_world import topic_with_queue


def test_what_runs_is_told_with_age_owner_type_and_who_watches_it(studio: DomainStandIn) -> None:
    """The oldest first; an app that costs nothing is none of them."""
    app(studio, "watched", hours=2, tags=signed("working"), of="ada")
    app(studio, "left", hours=50, instance_type="ml.g5.xlarge", of="grace")
    app(studio, "scripted", hours=9, of="ada")
    app(studio, "ada", "JupyterServer", user=True, instance_type="system")
    app(studio, "ada", "KernelGateway", user=True, hours=1)
    studio.configured["scripted"] = "autostop"
    report = run()
    told = report.details["apps"]
    assert [each["name"].split("/")[1] for each in told] == ["left", "scripted", "watched", "ada"]
    assert told[0] == {
        "name": f"{DOMAIN}/left/JupyterLab/default",
        "kind": "JupyterLab",
        "owner": "grace",
        "instance_type": "ml.g5.xlarge",
        "age_hours": 50.0,
        "lifecycle_config": "",
        "idle_shutdown": "off",
        "signal": "unknown",
        "signal_detail": "unknown: its culler gives no sign of life",
        "watched_by": [],
    }
    assert by_name(report)["watched"]["watched_by"] == ["its culler"]
    assert by_name(report)["scripted"]["watched_by"] == ["a lifecycle configuration"]
    assert by_name(report)["scripted"]["lifecycle_config"].endswith("/autostop")
    unwatched = {name.split("/")[1] for name in report.details["unwatched"]}
    assert unwatched == {"left", "ada"}
    assert report.changed == report.skipped == report.failed == []
    assert (report.matched, report.dry_run) == (5, True)


@pytest.mark.parametrize(
    ("defaults", "own", "expected"),
    [
        ({}, {}, "off"),
        (ON, {}, "on"),
        (OFF, {}, "off"),
        (ON, OFF, "off"),
        (OFF, ON, "on"),
        ({}, ON, "on"),
        (idle_shutdown("ENABLED", "CodeEditorAppSettings"), {}, "off"),
    ],
)
def test_sagemaker_s_own_idle_shutdown_is_the_user_s_or_else_the_domain_s(
    studio: DomainStandIn, defaults: dict[str, Any], own: dict[str, Any], expected: str
) -> None:
    """Of this type of app; what is on watches."""
    studio.user_defaults = defaults
    app(studio, "space")
    studio.users["ada"] = own
    report = run()
    told = by_name(report)["space"]
    assert told["idle_shutdown"] == expected
    assert told["watched_by"] == (["idle shutdown"] if expected == "on" else [])
    assert bool(report.details["unwatched"]) == (expected == "off")


def test_a_shared_space_follows_the_defaults_for_spaces(studio: DomainStandIn) -> None:
    """Nobody's own settings stand above them."""
    studio.user_defaults, studio.space_defaults = OFF, ON
    app(studio, "shared", of="")
    app(studio, "private", of="ada")
    told = by_name(run())
    assert told["shared"]["idle_shutdown"] == "on"
    assert told["private"]["idle_shutdown"] == "off"
    assert told["shared"]["owner"] == "shared"


def test_each_domain_and_user_is_asked_once_and_tags_come_in_bulk(studio: DomainStandIn) -> None:
    """However many apps they have."""
    for number in range(30):
        app(studio, f"space-{number:02}", of=("ada", "grace")[number % 2])
    assert len(run().details["apps"]) == 30
    assert studio.count("DescribeDomain") == 1
    assert studio.count("DescribeUserProfile") == 2
    assert studio.count("ListApps", "ListSpaces") == 2


def test_what_cannot_be_found_out_is_unknown_and_never_unwatched(studio: DomainStandIn) -> None:
    """A domain that may not be described, a user that is gone, spaces that are not listed."""
    studio.user_defaults = OFF
    app(studio, "space")
    studio.allows = lambda action, arn: action != "sagemaker:DescribeDomain"
    report = run()
    assert by_name(report)["space"]["idle_shutdown"] == "unknown"
    assert report.details["unwatched"] == []
    assert [each["name"] for each in report.failed] == [f"the domain {DOMAIN}"]
    studio.allows = lambda action, arn: True
    del studio.users["ada"]
    report = run()
    assert by_name(report)["space"]["idle_shutdown"] == "unknown"
    assert [each["name"] for each in report.failed] == [f"the user profile {DOMAIN}/ada"]
    studio.refuses.add("spaces")
    report = run()
    assert by_name(report)["space"]["idle_shutdown"] == "unknown"
    assert report.details["unwatched"] == []
    assert "the spaces" in {each["name"] for each in report.failed}


def test_instances_whose_culler_is_silent_are_found(studio: DomainStandIn) -> None:
    """Running ones; a lifecycle configuration watches, an old sign does not."""
    studio.add("signs", modified=NOW - timedelta(hours=1), tags=signed("idle 20"))
    studio.add("silent")
    studio.add("stale", tags={SIGN_TAG: "2026-03-09T12:00:00Z working"})
    studio.add("scripted")
    studio.add("off", "Stopped")
    studio.configured["scripted"] = "autostop"
    report = run()
    assert set(report.details["silent"]) == {"silent", "stale", "scripted"}
    assert set(report.details["unwatched"]) == {"silent", "stale"}
    assert {each["name"] for each in report.details["instances"]} == {
        *("signs", "silent", "stale", "scripted"),
    }
    assert run(instances=False).details["instances"] == []


def test_spaces_in_which_nothing_runs_are_told(studio: DomainStandIn) -> None:
    """Their volumes cost; since when they have not changed is said."""
    app(studio, "used")
    studio.add_space("empty", "grace", modified=NOW - timedelta(days=40), volume_gb=100)
    (told,) = run().details["spaces"]
    assert told == {
        "name": f"{DOMAIN}/empty",
        "owner": "grace",
        "volume_gb": 100,
        "unchanged_days": 40,
    }


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({"max_age_hours": -1}, "max_age_hours"),
        ({"max_age_hours": "24", "match_all": True}, "max_age_hours"),
        ({"max_age_hours": 24}, "match_all"),
        ({"max_age_hours": 24, "match_all": True, "stop_mode": "gentle"}, "stop_mode"),
        ({"instances": "no"}, "instances"),
        ({"max_age": 24}, "max_age"),
        ({"topic_arn": "a-topic"}, "topic_arn"),
        ({"dry_run": 1}, "dry_run"),
    ],
)
def test_a_bad_event_names_its_field_and_asks_nothing(
    studio: DomainStandIn, event: dict[str, Any], field: str
) -> None:
    """A cap has to say what it is for; a report is of everything."""
    with pytest.raises(EventError) as refused:
        apps_handler(event)
    assert refused.value.field == field
    assert studio.calls == []


def test_the_handler_takes_its_defaults_from_the_environment(
    studio: DomainStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the template sets them: nothing in the event."""
    app(studio, "dev-1", hours=30)
    for name, value in {
        "IDLE_CULLER_NAME_CONTAINS": "dev-",
        "IDLE_CULLER_MATCH_ALL": "",
        "IDLE_CULLER_TAGS": "{}",
        "IDLE_CULLER_DRY_RUN": "false",
        "IDLE_CULLER_MAX_AGE_HOURS": "24",
        "IDLE_CULLER_STOP_MODE": "hard",
    }.items():
        monkeypatch.setenv(name, value)
    answer = apps_handler({})
    assert [each["action"] for each in answer["changed"]] == ["delete"]
    assert json.loads(json.dumps(answer)) == answer


def test_the_topic_is_told_of_what_nobody_watches(
    studio: DomainStandIn, moto_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In words; where all is watched nothing is said."""
    requests.post(f"{moto_server}/moto-api/reset", timeout=10)
    for name in ("SNS", "SQS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{name}", moto_server)
    arn, received = topic_with_queue()
    app(studio, "watched", tags=signed("working"))
    run(topic_arn=arn)
    assert received() == []
    app(studio, "left", hours=50, instance_type="ml.g5.xlarge", of="grace")
    run(topic_arn=arn)
    (text,) = received()
    assert text == (
        f"Nobody watches:\n  {DOMAIN}/left/JupyterLab/default (ml.g5.xlarge of grace): 50 hours old"
    )


def test_the_command_line_shows_it_as_a_table(
    studio: DomainStandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    """`fleet apps`; with `--max-age` and `--apply` the cap acts."""
    now = datetime.now(timezone.utc)
    app(studio, "dev-1", of="grace", instance_type="ml.g5.xlarge")
    studio.made("dev-1", "JupyterLab", now - timedelta(hours=50))
    studio.add("dev-notebook")
    assert main(["fleet", "apps"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == "age what type owner watched by".split()
    cells = lines[1].split()
    assert cells == [
        "50.0h",
        f"{DOMAIN}/dev-1/JupyterLab/default",
        "ml.g5.xlarge",
        "grace",
        "NOBODY",
    ]
    assert lines[2].split()[1:] == ["dev-notebook", "ml.t3.medium", "-", "NOBODY"]
    assert lines[-1] == "2 run, 2 of them watched by nobody."
    assert main(["fleet", "apps", "--max-age", "24"]) == 2
    assert "match_all" in capsys.readouterr().err
    asked = [
        "fleet",
        "apps",
        "--name-contains",
        "dev-",
        "--max-age",
        "24",
        "--hard",
        "--no-instances",
    ]
    assert main(asked) == 0
    out = capsys.readouterr().out
    assert "would delete  " in out
    assert "A dry run" in out
    assert studio.stops() == []
    assert main([*asked, "--apply", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [each["action"] for each in report["changed"]] == ["delete"]
    assert len(studio.stops()) == 1
