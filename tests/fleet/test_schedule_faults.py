"""Scheduled start and stop when AWS fails: the rest is done, and what failed is told."""

from __future__ import annotations

import os
from typing import Any

import pytest

from jupyter_idle_culler.fleet import handlers, instances
from jupyter_idle_culler.fleet.deadline import Deadline
from jupyter_idle_culler.fleet.due import LAST_START_TAG
from jupyter_idle_culler.fleet.events import EventError
from jupyter_idle_culler.fleet.report import FleetFailed
from jupyter_idle_culler.fleet.selection import OPT_OUT_TAG
from jupyter_idle_culler.fleet.signals import SIGN_TAG

from ..aws.faulty_proxy import STOP, FaultyProxy
from .instance_world import OFFICE, Office, done, why

ASKED = {"action": "reconcile", "name_contains": "dev-", "schedules": {"office": OFFICE}}
ALWAYS = {"time_zone": "UTC", "days": "mon-sun", "start": "00:00", "stop": "24:00"}


def test_a_dry_run_is_what_happens_unless_told_otherwise(office: Office) -> None:
    """The handler's answer is the report; nothing is started, stopped or tagged."""
    office.add("dev-1", "Stopped")
    office.add("dev-2", "Updating")
    asked = {**ASKED, "schedules": {"always": ALWAYS}}
    answer = handlers.schedule_handler(asked)
    (change,) = answer.pop("changed")
    assert (change["name"], change["action"]) == ("dev-1", "start")
    reason = "it is Updating: it can be started from Stopped or Failed"
    assert answer == {
        "dry_run": True,
        "matched": 2,
        "skipped": [{"name": "dev-2", "reason": reason}],
        "failed": [],
        "remaining": [],
    }
    assert {call.operation for call in office.sagemaker.calls} == {
        "ListNotebookInstances",
        "GetResources",
    }
    assert handlers.schedule_handler({**asked, "dry_run": False})["dry_run"] is False
    assert office.status("dev-1") == "InService"


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"action": "restart"}, "action"),
        ({"action": None}, "action"),
        ({"stop_mode": "gentle"}, "stop_mode"),
        ({"name_contains": ""}, "match_all"),
        ({"name_contains": "", "name_pattern": "**"}, "match_all"),
        ({"name_contains": ["dev-"]}, "name_contains"),
        ({"tags": {"team": 1}}, "tags.team"),
        ({"dry_run": "false"}, "dry_run"),
        ({"grace_minutes": -1}, "grace_minutes"),
        ({"name_conatins": "dev-"}, "name_conatins"),
        ({"schedules": {}}, "schedules"),
        ({"schedules": []}, "schedules"),
        ({"schedules": {"office": "7 to 9"}}, "schedules.office"),
        ({"schedules": {"office hours": OFFICE}}, "schedules.office hours"),
        ({"schedules": {"office": {**OFFICE, "zone": "UTC"}}}, "schedules.office.zone"),
        ({"schedules": {"office": {"start": "07:00", "stop": "21:00"}}}, "office.time_zone"),
        ({"schedules": {"office": {**OFFICE, "time_zone": "Mars/Base"}}}, "office.time_zone"),
        ({"schedules": {"office": {**OFFICE, "time_zone": "../etc/x"}}}, "office.time_zone"),
        ({"schedules": {"office": {**OFFICE, "start": "7:00"}}}, "office.start"),
        ({"schedules": {"office": {**OFFICE, "start": "24:00"}}}, "office.start"),
        ({"schedules": {"office": {**OFFICE, "stop": "24:01"}}}, "office.stop"),
        ({"schedules": {"office": {**OFFICE, "stop": 21}}}, "office.stop"),
        ({"schedules": {"office": {**OFFICE, "days": "workdays"}}}, "office.days"),
        ({"schedules": {"office": {**OFFICE, "days": []}}}, "office.days"),
        ({"schedules": {"office": {**OFFICE, "days": 1}}}, "office.days"),
        ({"schedules": {"office": {**OFFICE, "days": "mon-"}}}, "office.days"),
        ({"schedules": {"office": {**OFFICE, "holidays": "2026-12-25"}}}, "office.holidays"),
        ({"schedules": {"office": {**OFFICE, "holidays": ["25.12."]}}}, "office.holidays"),
        ({"schedules": {"office": {**OFFICE, "hard_stop": "late"}}}, "office.hard_stop"),
        ({"default_schedule": "night"}, "default_schedule"),
        ({"region": 7}, "region"),
        ({"topic_arn": 7}, "topic_arn"),
        ({"topic_arn": "our-topic"}, "topic_arn"),
        ({"every_minutes": "often"}, "every_minutes"),
    ],
)
def test_a_bad_event_names_its_field_and_asks_nothing_of_aws(
    office: Office, changed: dict[str, Any], field: str
) -> None:
    """Whatever is wrong with it, it is known before anything is changed."""
    office.add("dev-1", "Stopped")
    with pytest.raises(EventError) as refused:
        handlers.schedule_handler({**ASKED, "dry_run": False, **changed})
    assert refused.value.field.endswith(field)
    assert str(refused.value).startswith(refused.value.field)
    assert office.sagemaker.calls == []


@pytest.mark.parametrize("event", [None, [], "start", 7])
def test_what_is_no_object_is_refused(office: Office, event: Any) -> None:
    """Of the event itself."""
    with pytest.raises(EventError, match=r"^event: must be an object"):
        handlers.schedule_handler(event)
    assert office.sagemaker.calls == []


def test_throttling_at_every_call_ends_nothing(office: Office) -> None:
    """The first try of the list, the tags, the mark, the start and the stop is refused."""
    office.add("dev-off", "Stopped")
    office.sagemaker.throttled = True
    report = office.at("09:00").run()
    assert (done(report), report.failed) == ({"dev-off": "start"}, [])
    office.at("21:05").sagemaker.turn("dev-off", "InService")
    office.at("21:10").sign("dev-off", "idle 20")
    report = office.run(grace_minutes=0)
    assert (done(report), report.failed) == ({"dev-off": "stop"}, [])


def test_a_page_that_fails_is_told_and_what_came_before_is_done(office: Office) -> None:
    """The invocation fails, so that Lambda shows it; the report says where the list ended."""
    office.sagemaker.page_size = 10
    for number in range(25):
        office.add(f"dev-{number:02}", "Stopped")
    office.sagemaker.refuses.add("page 20")
    report = office.at("09:00").run()
    assert len(report.changed) == 20
    (failure,) = report.failed
    assert failure["name"] == "the list of notebook instances after 20"
    assert "InternalFailure" in failure["error"]
    with pytest.raises(FleetFailed, match="the list of notebook instances after 20"):
        report.raise_if_failed()
    office.sagemaker.refuses.clear()
    assert len(office.run().changed) == 5


def test_one_that_is_refused_among_five_hundred_is_told_and_the_others_are_done(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    """The handler raises at the end, with the one's name, and has logged the whole report."""
    for number in range(500):
        office.add(f"dev-{number:03}", "Stopped")
    office.sagemaker.refuses.add("dev-250")
    asked = {**ASKED, "schedules": {"always": ALWAYS}, "dry_run": False}
    with pytest.raises(FleetFailed) as failed:
        handlers.schedule_handler(asked)
    assert "1 failed, the rest is done (499 changed): dev-250: " in str(failed.value)
    assert "It may not be touched." in str(failed.value)
    assert office.sagemaker.count("StartNotebookInstance") == 500
    assert '"name": "dev-250", "error"' in caplog.text
    assert office.sagemaker.count("ListNotebookInstances") == 5
    assert office.sagemaker.count("GetResources") == 5


def test_a_run_that_is_out_of_time_says_what_is_left_and_the_next_one_does_it(
    office: Office,
) -> None:
    """Nothing is begun when only the reserve is left; nothing is done twice."""
    for number in range(12):
        office.add(f"dev-{number:02}", "Stopped")
    office.at("09:00")
    left = iter([900.0] * 8)
    report = office.run(deadline=Deadline(lambda: next(left, 40.0)))
    assert len(report.changed) == 7
    assert report.remaining == [f"dev-{number:02}" for number in range(7, 12)]
    assert report.to_json()["complete"] is False
    report = office.run()
    assert set(done(report)) == {f"dev-{number:02}" for number in range(7, 12)}
    assert office.sagemaker.count("StartNotebookInstance") == 12


def test_a_start_that_did_not_go_out_leaves_no_mark(office: Office) -> None:
    """Refused, or out of time: the next run makes it, also where it stopped in this window."""
    for name in ("dev-refused", "dev-sent", "dev-untried"):
        office.add(name, "Stopped", since="07:03", tags={LAST_START_TAG: "2026-02-27T07:00:00Z"})
    office.add("dev-new", "Stopped", since="07:03")
    office.sagemaker.refuses |= {"dev-refused", "dev-new"}
    left = iter([900.0] * 4)
    report = office.at("07:15").run(deadline=Deadline(lambda: next(left, 10.0)))
    assert done(report) == {"dev-sent": "start"}
    assert report.remaining == ["dev-untried"]
    assert {each["name"] for each in report.failed} == {"dev-refused", "dev-new"}
    for name in ("dev-refused", "dev-untried"):
        assert office.sagemaker.tags_of(name) == {LAST_START_TAG: "2026-02-27T07:00:00Z"}
    assert office.sagemaker.tags_of("dev-new") == {LAST_START_TAG: ""}
    office.sagemaker.refuses.clear()
    report = office.at("07:30").run()
    assert set(done(report)) == {"dev-refused", "dev-new", "dev-untried"}


def test_a_list_that_is_too_long_for_the_time_ends_early(office: Office) -> None:
    """What has been listed is named, and that the list is not complete is said."""
    office.sagemaker.page_size = 100
    for number in range(250):
        office.add(f"dev-{number:03}", "Stopped")
    report = office.at("09:00").run(deadline=Deadline(lambda: 10.0))
    assert (report.changed, len(report.remaining)) == ([], 100)
    assert report.details["complete"] is False
    assert report.left()[-1] == "and what comes after dev-099 in the list"


@pytest.mark.parametrize("turned", ["works", "is-exempt", "is-not-meant", "is-unreadable"])
def test_what_took_long_is_looked_at_again_before_each_act(
    office: Office, monkeypatch: pytest.MonkeyPatch, turned: str
) -> None:
    """Work that begins, and an exemption that is made, while a run goes on is respected."""
    monkeypatch.setattr(instances, "FRESH_SECONDS", 0.0)
    arns = [office.add(f"dev-{number}", tags={"team": "a"}) for number in range(3)]
    office.at("22:00")
    for number in range(3):
        office.sign(f"dev-{number}", "idle 30")
    stop = office.sagemaker._StopNotebookInstance

    def meanwhile(parameters: Any) -> Any:
        """After the first stop went out, something happens on the others."""
        for arn in arns[1:]:
            if turned == "works":
                office.sagemaker.tags[arn][SIGN_TAG] = f"{office.now:%Y-%m-%dT%H:%M:%SZ} working"
            elif turned == "is-exempt":
                office.sagemaker.tags[arn][OPT_OUT_TAG] = "yes"
            elif turned == "is-not-meant":
                office.sagemaker.tags[arn]["team"] = "b"
        if turned == "is-unreadable":
            office.sagemaker.refuses.add("tags")
        return stop(parameters)

    monkeypatch.setattr(office.sagemaker, "_StopNotebookInstance", meanwhile)
    report = office.run(tags={"team": "a"})
    assert done(report) == {"dev-0": "stop"}
    assert why(report).keys() == {"dev-1", "dev-2"}
    assert bool(report.failed) == (turned == "is-unreadable")


def test_a_start_that_is_not_wanted_any_more_leaves_no_mark(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its exemption came between the mark and the call."""
    monkeypatch.setattr(instances, "FRESH_SECONDS", 0.0)
    office.add("dev-0", "Stopped")
    later = office.add("dev-1", "Stopped", tags={LAST_START_TAG: "2026-02-27T07:00:00Z"})
    start = office.sagemaker._StartNotebookInstance

    def meanwhile(parameters: Any) -> Any:
        office.sagemaker.tags[later][OPT_OUT_TAG] = "yes"
        return start(parameters)

    monkeypatch.setattr(office.sagemaker, "_StartNotebookInstance", meanwhile)
    report = office.at("09:00").run()
    assert (done(report), why(report)) == ({"dev-0": "start"}, {"dev-1": "its tags exempt it"})
    assert office.sagemaker.tags[later][LAST_START_TAG] == "2026-02-27T07:00:00Z"


def test_the_log_of_a_large_fleet_tells_what_failed_before_it_is_full(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What was left alone comes last: it may be cut off."""
    monkeypatch.setattr(handlers, "_MOST_LOGGED", 400)
    for number in range(50):
        office.add(f"dev-{number}", "Updating")
    office.add("dev-refused", "Stopped")
    office.sagemaker.refuses.add("dev-refused")
    always = {**OFFICE, "days": "mon-sun", "start": "00:00", "stop": "24:00"}
    event = {"action": "start", "name_contains": "dev-", "schedules": {"always": always}}
    with pytest.raises(FleetFailed):
        handlers.schedule_handler({**event, "dry_run": False})
    assert '"failed": [{"name": "dev-refused"' in caplog.text
    assert '"name": "dev-49"' not in caplog.text


def test_what_has_no_readable_tags_is_left_alone(office: Office) -> None:
    """It may be exempt: it is reported as failed, and nothing is done to it."""
    office.add("dev-1", "Stopped")
    office.sagemaker.refuses.add("tags")
    report = office.at("09:00").run()
    assert report.changed == []
    assert [each["name"] for each in report.failed] == ["the tags of 1 instances (dev-1 … dev-1)"]
    assert office.status("dev-1") == "Stopped"


def test_a_start_that_cannot_be_remembered_is_not_made(office: Office) -> None:
    """Without the mark it would be made again after each idle stop."""
    refused = office.add("dev-1", "Stopped")
    on = office.add("dev-3", "InService")
    office.add("dev-2", "Stopped")
    office.sagemaker.refuses |= {f"tag {refused}", f"tag {on}"}
    report = office.at("09:00").run()
    assert done(report) == {"dev-2": "start"}
    failed = {each["name"]: each["error"] for each in report.failed}
    assert failed["dev-1"].startswith(f"not started: {LAST_START_TAG} cannot be written: ")
    assert failed["dev-3"].startswith(f"{LAST_START_TAG} cannot be written: ")
    assert office.status("dev-1") == "Stopped"


@pytest.mark.parametrize("fault", ["lose", "lose-and-500"])
def test_a_stop_whose_answer_got_lost_counts_as_sent(
    office: Office, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """boto3 repeats it, AWS refuses what is stopping already: that is no failure."""
    office.sagemaker.linger_seconds = 30
    office.add("dev-1")
    office.at("21:10").sign("dev-1", "idle 20")
    with FaultyProxy(office.sagemaker.url, {STOP: fault}, times=1) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", proxy.url)
        report = office.run()
    assert (done(report), report.failed) == ({"dev-1": "stop"}, [])
    assert proxy.befallen == [(STOP, fault)]
    assert office.status("dev-1") == "Stopping"


@pytest.mark.parametrize("fault", ["empty", "truncate"])
def test_a_list_that_is_cut_short_is_a_failure_and_not_an_empty_account(
    office: Office, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """200 without the list in it."""
    office.add("dev-1", "Stopped")
    with FaultyProxy(office.sagemaker.url, {"before": fault}) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", proxy.url)
        report = office.at("09:00").run()
    assert (report.matched, len(report.failed)) == (0, 1)
    assert report.failed[0]["name"] == "the list of notebook instances after 0"


def test_no_credentials_is_a_failure_that_says_so(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the whole list; nothing raises but the end."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", os.devnull)
    with pytest.raises(FleetFailed, match="Unable to locate credentials"):
        handlers.schedule_handler(ASKED)
