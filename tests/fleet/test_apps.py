"""Apps that run, who watches them, and a cap by age: what nobody watches is found and told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import requests

from jupyter_idle_culler.cli.commands import main
from jupyter_idle_culler.fleet.apps.run import run as run_for
from jupyter_idle_culler.fleet.budget import run as run_budget
from jupyter_idle_culler.fleet.clients import Clients
from jupyter_idle_culler.fleet.deadline import Deadline
from jupyter_idle_culler.fleet.events import EventError
from jupyter_idle_culler.fleet.handlers import apps_handler
from jupyter_idle_culler.fleet.report import FleetFailed, Report
from jupyter_idle_culler.fleet.signals import SIGN_TAG

from ..aws.domain_stand_in import DOMAIN, DomainStandIn, idle_shutdown
from ..aws.stand_in import ACCOUNT, REGION
from .budget_letters import letter
from .endpoint_world import topic_with_queue
from .instance_world import done, session, why

NOW = datetime(2026, 3, 10, 12, tzinfo=timezone.utc)
EXEMPT = "idle-culler:exempt"
ON, OFF = idle_shutdown("ENABLED"), idle_shutdown("DISABLED")


def signed(text: str) -> dict[str, str]:
    """Return the tag of a culler that signals ``working`` or ``idle 30``."""
    return {SIGN_TAG: f"{NOW - timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ} {text}"}


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch) -> Iterator[DomainStandIn]:
    """Give an account with an empty domain."""
    sagemaker = DomainStandIn(linger_seconds=0)
    with sagemaker:
        for name, value in sagemaker.env.items():
            monkeypatch.setenv(name, value)
        yield sagemaker
        assert not sagemaker.problems


def run(deadline: Deadline | None = None, **event: Any) -> Report:
    """Look now."""
    clients = Clients(None, session())
    return run_for(event, {}, deadline or Deadline.never(), now=NOW, clients=clients)


def app(
    studio: DomainStandIn, owner: str, kind: str = "JupyterLab", *, hours: float = 5, **more: Any
) -> str:
    """Create an app that runs for so long; return its name in reports."""
    if not more.get("user") and owner not in studio._spaces:
        studio.add_space(owner, more.pop("of", "ada"), modified=NOW - timedelta(days=3))
    studio.studio_app(owner, kind, **more)
    studio.made(owner, kind, NOW - timedelta(hours=hours))
    return f"{DOMAIN}/{owner}/{kind}/default"


def by_name(report: Report) -> dict[str, dict[str, Any]]:
    """Return what is told of apps, by the names of their owners."""
    return {each["name"].split("/")[1]: each for each in report.details["apps"]}


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


def test_a_cap_deletes_what_is_older_and_idle(studio: DomainStandIn) -> None:
    """Soft: work and silence are left and told; what is exempt, young or free is left as well."""
    old: dict[str, Any] = {"hours": 30}
    idle = app(studio, "dev-idle", tags=signed("idle 30"), **old)
    app(studio, "dev-young", tags=signed("idle 30"), hours=23.9)
    works = app(studio, "dev-works", tags=signed("working"), **old)
    silent = app(studio, "dev-silent", **old)
    exempt = {"idle-culler:exempt": "", **signed("idle 30")}
    app(studio, "dev-exempt", owner_tags=exempt, **old)
    app(studio, "dev-ada", "JupyterServer", user=True, instance_type="system", **old)
    app(studio, "prod-idle", tags=signed("idle 30"), **old)
    asked: dict[str, Any] = {"name_contains": "dev-", "max_age_hours": 24}
    report = run(**asked)
    assert (done(report), report.dry_run, studio.stops()) == ({idle: "delete"}, True, [])
    report = run(**asked, dry_run=False)
    assert done(report) == {idle: "delete"}
    reasons = {name.split("/")[1]: reason for name, reason in why(report).items()}
    assert reasons == {
        "dev-young": "it runs for 23.9 hours only",
        "dev-works": "its culler signals work (at 2026-03-10T11:59:00Z)",
        "dev-silent": "unknown: its culler gives no sign of life",
        "dev-exempt": "its tags exempt it",
        "dev-ada": "it costs nothing",
    }
    assert set(report.details["over_cap"]) == {works, silent}
    assert len(studio.stops()) == 1
    report = run(**asked, dry_run=False, stop_mode="hard")
    assert done(report) == {works: "delete", silent: "delete"}


def tag_user(studio: DomainStandIn, name: str, **tags: str) -> None:
    """Put tags on a user profile."""
    place = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:user-profile/{DOMAIN}/{name}"
    studio.tags[place] = tags


def owned(studio: DomainStandIn) -> dict[str, str]:
    """Create old apps in spaces of ada, who is exempt, and of grace; return their names."""
    names = {
        "private": app(studio, "dev-private", hours=30, of="ada"),
        "released": app(studio, "dev-released", hours=30, of="ada", owner_tags={EXEMPT: "no"}),
        "shared": app(studio, "dev-shared", hours=30, of=""),
        "other": app(studio, "dev-other", hours=30, of="grace"),
    }
    studio._spaces["dev-shared"]["OwnershipSettingsSummary"] = {"OwnerUserProfileName": "ada"}
    tag_user(studio, "ada", **{EXEMPT: "", "team": "a"})
    tag_user(studio, "grace", team="b")
    return names


CAP: dict[str, Any] = {"max_age_hours": 24, "stop_mode": "hard", "dry_run": False}


def test_who_exempts_a_user_spares_the_apps_in_her_private_spaces(studio: DomainStandIn) -> None:
    """Unless the space says no; one that is shared is not hers alone."""
    names = owned(studio)
    report = run(name_contains="dev-", **CAP)
    assert set(done(report)) == {names["released"], names["shared"], names["other"]}
    assert why(report) == {names["private"]: "its tags exempt it"}
    assert studio.count("ListSpaces") == 1


def test_tags_of_a_user_choose_the_apps_in_her_private_spaces(studio: DomainStandIn) -> None:
    """As do those of the space, which stand above them."""
    names = owned(studio)
    assert set(done(run(tags={"team": "b"}, **CAP))) == {names["other"]}
    assert run(tags={"team": "a"}, **CAP).matched == 2


def test_a_budget_spares_the_apps_of_an_exempt_user(studio: DomainStandIn) -> None:
    """Spaces are listed only where a user has a tag that decides: once for each hundred."""
    names = owned(studio)
    asked = {"message": letter(), "name_contains": "dev-", "stop_mode": "hard", "dry_run": False}
    report = run_budget(asked, {}, Deadline.never(), clients=Clients(None, session()))
    assert names["private"] in why(report)
    assert set(done(report)) == {names["released"], names["shared"], names["other"]}
    assert studio.count("ListSpaces") == 1
    tag_user(studio, "ada", team="a")
    report = run_budget(asked, {}, Deadline.never(), clients=Clients(None, session()))
    assert names["private"] in done(report)
    assert studio.count("ListSpaces") == 1


def test_an_app_whose_user_is_not_known_stays(studio: DomainStandIn) -> None:
    """Spaces that cannot be listed, or one that is not in the list: somebody may be exempt."""
    names = owned(studio)
    del studio._spaces["dev-other"]
    report = run(name_contains="dev-other", **CAP)
    assert why(report)[names["other"]].startswith("unknown: whose space it is")
    assert report.details["over_cap"] == [names["other"]]
    studio.refuses.add("spaces")
    report = run(name_contains="dev-", **CAP)
    assert [each["name"] for each in report.failed] == ["the spaces"]
    assert set(why(report)) == set(names.values())
    asked = {"message": letter(), "name_contains": "dev-", "stop_mode": "hard", "dry_run": False}
    for refused in ({"spaces"}, set()):
        studio.refuses = refused
        report = run_budget(asked, {}, Deadline.never(), clients=Clients(None, session()))
        assert [each["name"] for each in report.failed] == ["the apps"]
        assert names["private"] not in done(report)
        assert names["other"] not in done(report)


def test_a_sign_of_an_app_that_had_the_same_name_says_nothing_of_this_one(
    studio: DomainStandIn,
) -> None:
    """It was deleted and made anew; its tags may have outlived it."""
    before = {SIGN_TAG: f"{NOW - timedelta(minutes=12):%Y-%m-%dT%H:%M:%SZ} idle 30"}
    app(studio, "dev-1", tags=before, hours=1 / 6)
    app(studio, "dev-2", tags=before, hours=0.25)
    told = by_name(run())
    assert (told["dev-1"]["signal"], told["dev-2"]["signal"]) == ("unknown", "idle")


def test_one_that_is_refused_is_told_and_the_others_go(studio: DomainStandIn) -> None:
    """The invocation fails at the end."""
    for name in ("dev-1", "dev-2", "dev-3"):
        app(studio, name, tags=signed("idle 30"), hours=30)
    studio.refuses.add("dev-2")
    report = run(name_contains="dev-", max_age_hours=24, dry_run=False)
    assert len(done(report)) == 2
    assert [each["name"].split("/")[1] for each in report.failed] == ["dev-2"]
    with pytest.raises(FleetFailed):
        report.raise_if_failed()


def test_throttling_at_every_call_ends_nothing(studio: DomainStandIn) -> None:
    """Each is tried again."""
    idle = app(studio, "dev-1", tags=signed("idle 30"), hours=30)
    studio.throttled = True
    report = run(name_contains="dev-", max_age_hours=24, dry_run=False)
    assert (done(report), report.failed) == ({idle: "delete"}, [])


@pytest.mark.parametrize(("refused", "told"), [("tags", "the apps"), ("apps", "the apps")])
def test_without_the_list_or_the_tags_nothing_goes(
    studio: DomainStandIn, refused: str, told: str
) -> None:
    """Who cannot read tags knows no exemption."""
    app(studio, "dev-1", tags=signed("idle 30"), hours=30)
    studio.refuses.add(refused)
    report = run(name_contains="dev-", max_age_hours=24, dry_run=False)
    assert report.changed == []
    assert told in {each["name"] for each in report.failed}
    assert studio.stops() == []


def test_a_run_that_is_out_of_time_says_what_is_left(studio: DomainStandIn) -> None:
    """The next one does it; no empty space is claimed from a list that was not read to its end."""
    for number in range(4):
        app(studio, f"dev-{number}", tags=signed("idle 30"), hours=30)
    studio.add_space("dev-empty", "ada", modified=NOW)
    left = iter([900.0, 900.0])
    asked: dict[str, Any] = {"name_contains": "dev-", "max_age_hours": 24, "dry_run": False}
    report = run(Deadline(lambda: next(left, 10.0)), **asked)
    assert (len(report.changed), len(report.remaining)) == (2, 2)
    assert report.details["spaces"] == []
    report = run(**asked)
    assert len(report.changed) == 2
    assert report.details["spaces"] != []


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
