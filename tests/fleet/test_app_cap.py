"""A cap by age ends what is old and idle, spares who is exempt, and tells of the rest."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from jupyter_idle_culler.fleet import running_apps
from jupyter_idle_culler.fleet.apps.run import run as run_for
from jupyter_idle_culler.fleet.budget import run as run_budget
from jupyter_idle_culler.fleet.clients import Clients
from jupyter_idle_culler.fleet.deadline import Deadline
from jupyter_idle_culler.fleet.report import FleetFailed
from jupyter_idle_culler.fleet.signals import SIGN_TAG

from ..aws.domain_stand_in import DOMAIN, DomainStandIn
from ..aws.stand_in import ACCOUNT, REGION
from .app_world import EXEMPT, NOW, app, by_name, run, signed
from .budget_letters import letter
from .endpoint_world import ends_after
from .instance_world import done, session, why


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
    report = run_budget(asked, {}, Deadline.never(), clients=Clients(None, session()))
    assert [each["name"] for each in report.failed] == ["the apps"]
    assert done(report) == {}
    studio.refuses.clear()
    report = run_budget(asked, {}, Deadline.never(), clients=Clients(None, session()))
    assert report.failed == []
    assert why(report)[names["other"]].startswith("unknown: whose space it is")
    assert set(done(report)) | set(why(report)) == set(names.values())


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


def test_a_run_that_is_out_of_time_names_the_rest_and_another_begins_elsewhere(
    studio: DomainStandIn,
) -> None:
    """Without a cap, too: what was not looked at is not left out in silence."""
    names = {app(studio, f"dev-{number}", hours=30) for number in range(6)}
    reached: set[str] = set()
    for hour in range(12):
        clients = Clients(None, session())
        now = NOW + timedelta(hours=hour)
        report = run_for({"instances": False}, {}, ends_after(2), now=now, clients=clients)
        assert len(report.details["unwatched"]) == 2
        assert set(report.details["unwatched"]) | set(report.remaining) == names
        reached |= set(report.details["unwatched"])
    assert reached == names


@pytest.mark.parametrize("turned", ["not-selected", "user-exempt"])
@pytest.mark.parametrize("budget", [False, True], ids=["cap", "budget"])
def test_a_tag_that_changes_during_the_run_is_seen_before_each_deletion(
    studio: DomainStandIn, monkeypatch: pytest.MonkeyPatch, budget: bool, turned: str
) -> None:
    """What is not meant any more stays; so does what a user owns who may be exempt since."""
    monkeypatch.setattr(running_apps, "FRESH_SECONDS", 0.0)
    for number in range(3):
        app(studio, f"dev-{number}", hours=30, tags={"team": "a"}, of="ada")
    delete = studio._DeleteApp

    def meanwhile(parameters: Any) -> Any:
        if turned == "user-exempt":
            tag_user(studio, "ada", **{EXEMPT: "yes"})
        else:
            for tags in studio.tags.values():
                tags.pop("team", None)
        return delete(parameters)

    monkeypatch.setattr(studio, "_DeleteApp", meanwhile)
    clients = Clients(None, session())
    event: dict[str, Any] = {"tags": {"team": "a"}, "dry_run": False, "stop_mode": "hard"}
    if budget:
        event |= {"message": letter(), "notebooks": False}
        report = run_budget(event, {}, Deadline.never(), clients=clients)
    else:
        event |= {"max_age_hours": 24}
        report = run_for(event, {}, Deadline.never(), now=NOW, clients=clients)
    assert len(report.changed) == 1
    reasons = {each["reason"].partition(":")[0] for each in report.skipped}
    expected = "unknown" if turned == "user-exempt" else "its tags were changed"
    assert reasons == {expected}


@pytest.mark.parametrize("budget", [False, True], ids=["cap", "budget"])
def test_work_that_begins_during_the_run_is_seen_before_each_deletion(
    studio: DomainStandIn, monkeypatch: pytest.MonkeyPatch, budget: bool
) -> None:
    """Tags that were read at the beginning of a long run say nothing of its end."""
    monkeypatch.setattr(running_apps, "FRESH_SECONDS", 0.0)
    now = datetime.now(timezone.utc)
    idle = {SIGN_TAG: f"{now:%Y-%m-%dT%H:%M:%SZ} idle 30"}
    for number in range(3):
        app(studio, f"dev-{number}", hours=30, tags=idle)
    delete = studio._DeleteApp

    def meanwhile(parameters: Any) -> Any:
        for tags in studio.tags.values():
            if SIGN_TAG in tags:
                tags[SIGN_TAG] = f"{now:%Y-%m-%dT%H:%M:%SZ} working"
        return delete(parameters)

    monkeypatch.setattr(studio, "_DeleteApp", meanwhile)
    clients, event = Clients(None, session()), {"name_contains": "dev-", "dry_run": False}
    if budget:
        event |= {"message": letter(), "notebooks": False}
        report = run_budget(event, {}, Deadline.never(), now=now, clients=clients)
    else:
        event |= {"max_age_hours": 24}
        report = run_for(event, {}, Deadline.never(), now=now, clients=clients)
    assert len(report.changed) == 1
    assert [each["reason"][:25] for each in report.skipped] == ["its culler signals work ("] * 2


def test_canvas_costs_though_it_is_of_the_type_system(studio: DomainStandIn) -> None:
    """Studio runs JupyterServer and RStudioServerPro for nothing; nothing else."""
    app(studio, "ada", "Canvas", user=True, instance_type="system", hours=30)
    app(studio, "grace", "JupyterServer", user=True, instance_type="system", hours=30)
    report = run(max_age_hours=24, match_all=True, stop_mode="hard")
    assert [each["name"].split("/")[1] for each in report.changed] == ["ada"]
    assert [each["kind"] for each in report.details["apps"]] == ["Canvas"]
