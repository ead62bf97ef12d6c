"""Scheduled start and stop, over HTTP: what is due is done once, and work is never ended."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_idle_culler.fleet.due import LAST_START_TAG
from jupyter_idle_culler.fleet.instances import SCHEDULE_TAG
from jupyter_idle_culler.fleet.selection import OPT_OUT_TAG

from .instance_world import OFFICE, Office, done, why

EVERY_STATE = "Pending InService Stopping Stopped Failed Deleting Updating".split()
SATURDAY = 5


def test_after_hours_what_is_idle_stops_and_nothing_else(office: Office) -> None:
    """Work is reported as work, silence as unknown, an exempt one as exempt, other names never."""
    for name in ("dev-idle", "dev-works", "dev-silent", "dev-exempt", "prod-idle", "my-dev-2"):
        office.add(name)
    office.sagemaker.tags[office.add("dev-mute", tags={})] = {}
    office.add("dev-stale")
    office.add("dev-exempt", tags={OPT_OUT_TAG: "until June"})
    office.at("21:10")
    for name in ("dev-idle", "dev-exempt", "prod-idle", "my-dev-2"):
        office.sign(name, "idle 30")
    office.sign("dev-works", "working")
    office.sign("dev-stale", "idle 30", minutes_ago=46)
    report = office.run()
    assert done(report) == {"dev-idle": "stop", "my-dev-2": "stop"}
    assert why(report)["dev-works"].startswith("its culler signals work")
    assert why(report)["dev-silent"] == "unknown: its culler gives no sign of life"
    assert why(report)["dev-mute"] == "unknown: its culler gives no sign of life"
    assert why(report)["dev-stale"].startswith("unknown: its last sign of life is of ")
    assert why(report)["dev-exempt"] == "its tags exempt it"
    assert report.matched == 7
    assert office.status("dev-idle") == "Stopped"
    assert office.status("prod-idle") == office.status("dev-works") == "InService"


@pytest.mark.parametrize("state", EVERY_STATE)
def test_a_start_goes_out_only_from_where_it_can_work(office: Office, state: str) -> None:
    """Stopped and Failed; every other state is named in the report."""
    office.add("dev-1", state)
    report = office.at("09:00").run()
    sent = office.sagemaker.count("StartNotebookInstance")
    if state in ("Stopped", "Failed"):
        assert (done(report), sent) == ({"dev-1": "start"}, 1)
        assert office.status("dev-1") == "InService"
    else:
        assert (report.changed, sent) == ([], 0)
        assert state in why(report)["dev-1"]


@pytest.mark.parametrize("state", EVERY_STATE)
def test_a_stop_goes_out_only_from_in_service(office: Office, state: str) -> None:
    """Even where it is unconditional."""
    office.add("dev-1", state)
    report = office.at("22:00").run(stop_mode="hard")
    assert office.sagemaker.count("StopNotebookInstance") == (state == "InService")
    if state != "InService":
        assert why(report)["dev-1"] == f"it is {state}"


def test_an_idle_stop_in_the_morning_is_not_undone_that_day(office: Office) -> None:
    """07:00 start, 08:00 idle stop: later runs change nothing; the next day it starts again."""
    office.add("dev-1", "Stopped")
    assert office.at("06:50").run().changed == []
    assert done(office.at("07:00").run()) == {"dev-1": "start"}
    assert office.sagemaker.tags_of("dev-1") == {LAST_START_TAG: "2026-03-02T07:00:00Z"}
    assert office.at("07:15").run().changed == []
    office.at("08:00").sagemaker.turn("dev-1", "Stopped")
    for clock in ("08:00", "08:15", "12:00", "20:45", "21:15", "23:45"):
        report = office.at(clock).run()
        assert (report.changed, report.failed) == ([], [])
    assert "stopped since: it stays so" in why(office.at("20:45").run())["dev-1"]
    assert office.at("06:45", day=1).run().changed == []
    assert done(office.at("07:00", day=1).run()) == {"dev-1": "start"}
    assert office.sagemaker.count("StartNotebookInstance") == 2


def test_who_was_on_when_the_window_began_and_is_stopped_in_it_stays_stopped(
    office: Office,
) -> None:
    """It had its start in this window, whoever gave it; a stop that is under way counts as well."""
    office.add("dev-person", "InService", since="06:30")
    office.add("dev-ending", "Stopping", since="07:05")
    office.add("dev-night", "Stopping", since="06:59")
    report = office.at("07:10").run()
    assert report.changed == []
    assert office.sagemaker.tags_of("dev-person")[LAST_START_TAG] == "2026-03-02T07:00:00Z"
    for name, clock in (("dev-night", "07:04"), ("dev-person", "07:20"), ("dev-ending", "07:20")):
        office.at(clock).sagemaker.turn(name, "Stopped")
    assert done(office.at("07:30").run()) == {"dev-night": "start"}


@pytest.mark.parametrize("clock", ["07:15", "12:00", "20:59"])
def test_who_stops_it_before_the_first_run_of_a_window_has_it_stopped(
    office: Office, clock: str
) -> None:
    """The run of seven was missed; what was off before, or just going off, is caught up."""
    office.add("dev-person", "Stopped", since="07:05")
    office.add("dev-night", "Stopped", since="07:04")
    office.add("dev-off", "Stopped", since="06:00")
    office.add("dev-failed", "Failed", since="07:05")
    report = office.at(clock).run()
    assert set(done(report)) == {"dev-night", "dev-off", "dev-failed"}
    assert why(report)["dev-person"].startswith("it has been stopped in this window")
    assert "dev-person" in done(office.at("07:00", day=1).run())


@pytest.mark.parametrize("state", ["Updating", "Stopping"])
def test_what_could_not_be_started_at_seven_is_started_as_soon_as_it_can_be(
    office: Office, state: str
) -> None:
    """Somebody changed its volume then, or its stop took long: nobody stopped it in this window."""
    office.sagemaker.linger_seconds = 3600
    office.add("dev-1", state, since="06:58")
    assert done(office.at("07:00").run()) == {}
    assert done(office.at("07:15").run()) == {}
    thing = office.sagemaker._notebooks["dev-1"]
    thing.status, thing.modified = "Stopped", office.at("07:26").now
    assert done(office.at("07:30").run()) == {"dev-1": "start"}
    office.sagemaker.settle()
    thing.status, thing.modified = "Stopped", office.at("10:00").now
    assert done(office.at("10:15").run()) == {}


@pytest.mark.parametrize(("clock", "day"), [("07:00", 0), ("11:07", 0), ("20:59", 0)])
def test_a_start_that_nobody_made_at_seven_is_made_later(
    office: Office, clock: str, day: int
) -> None:
    """What is due follows from the time, not from the edge: a missed run is caught up."""
    office.add("dev-1", "Stopped")
    assert done(office.at(clock, day).run()) == {"dev-1": "start"}


@pytest.mark.parametrize(("clock", "day"), [("21:00", 0), ("03:00", 1), ("12:00", SATURDAY)])
def test_a_stop_that_nobody_made_at_nine_is_made_later(
    office: Office, clock: str, day: int
) -> None:
    """In the night, or at the weekend."""
    office.add("dev-1")
    office.at(clock, day).sign("dev-1", "idle 60")
    assert done(office.run()) == {"dev-1": "stop"}


def test_a_start_that_never_came_about_is_made_again(office: Office) -> None:
    """The tag was written, the start was not: nothing moved since before the window."""
    office.add("dev-1", "Stopped", tags={LAST_START_TAG: "2026-03-02T07:00:00Z"})
    assert done(office.at("07:15").run()) == {"dev-1": "start"}


def test_a_start_that_failed_in_the_window_is_not_made_again_in_it(office: Office) -> None:
    """It would fail each quarter of an hour; the next window tries again."""
    office.add("dev-1", "Stopped")
    office.at("07:00").run()
    office.at("07:05").sagemaker.turn("dev-1", "Failed")
    report = office.at("07:15").run()
    assert why(report)["dev-1"] == "it failed in this window: it is not started again in it"
    assert done(office.at("07:00", day=1).run()) == {"dev-1": "start"}


def test_a_person_who_starts_one_in_the_off_hours_gets_a_grace(office: Office) -> None:
    """Two hours unless told otherwise; then it is judged like any other."""
    office.add("dev-1", "InService", since="22:00")
    office.at("23:59").sign("dev-1", "idle 30")
    report = office.run()
    assert report.changed == []
    assert (
        "somebody started it in the off-hours: it is left until 2026-03-03T00:00:00Z"
        in (why(report)["dev-1"])
    )
    assert done(office.run(grace_minutes=60)) == {"dev-1": "stop"}
    office.add("dev-2", "InService", since="22:00")
    office.at("00:01", day=1).sign("dev-2", "working")
    assert "signals work" in why(office.run())["dev-2"]
    office.sign("dev-2", "idle 30")
    assert done(office.run()) == {"dev-2": "stop"}


def test_a_grace_holds_even_against_a_hard_stop(office: Office) -> None:
    """Unconditional means whatever it does, not whoever has just come."""
    office.add("dev-1", "InService", since="22:00")
    assert office.at("23:00").run(stop_mode="hard").changed == []
    assert done(office.run(stop_mode="hard", grace_minutes=0)) == {"dev-1": "stop"}


def test_a_hard_stop_has_to_be_chosen(office: Office) -> None:
    """Then work ends, and what is silent as well."""
    office.add("dev-works")
    office.add("dev-silent")
    office.at("21:10").sign("dev-works", "working")
    assert office.run().changed == []
    assert done(office.run(stop_mode="hard")) == {"dev-works": "stop", "dev-silent": "stop"}


def test_work_ends_at_the_hard_hour_where_there_is_one(office: Office) -> None:
    """Until then it is left alone; a schedule without one never ends work."""
    office.add("dev-1")
    schedule = {"hard_stop": "23:00"}
    office.at("22:59").sign("dev-1", "working")
    assert office.run(schedule=schedule).changed == []
    office.at("23:00").sign("dev-1", "working")
    assert office.run().changed == []
    report = office.run(schedule=schedule)
    assert done(report) == {"dev-1": "stop"}
    assert report.changed[0]["reason"] == "the hard hour of its schedule has come"


def test_a_hard_hour_in_the_small_hours_is_the_next_day_s(office: Office) -> None:
    """From 21:00 on, 02:00 has not passed long ago: it is still to come."""
    office.add("dev-1")
    schedule = {"hard_stop": "02:00"}
    office.at("21:30").sign("dev-1", "working")
    assert office.run(schedule=schedule).changed == []
    office.at("02:00", day=1).sign("dev-1", "working")
    assert done(office.run(schedule=schedule)) == {"dev-1": "stop"}


def test_a_hard_hour_lasts_until_the_next_window_begins(office: Office) -> None:
    """Started on Saturday: left for the grace, then stopped at work; in no other schedule."""
    office.add("dev-1", "Stopped")
    office.add("dev-2", "Stopped", tags={SCHEDULE_TAG: "gentle"})
    schedules = {"office": {**OFFICE, "hard_stop": "23:00"}, "gentle": OFFICE}
    for name in ("dev-1", "dev-2"):
        office.at("10:00", SATURDAY).sagemaker.turn(name, "InService")
    for clock, stopped in (("11:59", {}), ("12:00", {"dev-1": "stop"})):
        for name in ("dev-1", "dev-2"):
            office.at(clock, SATURDAY).sign(name, "working")
        assert done(office.run(schedules=schedules, default_schedule="office")) == stopped


def test_a_moment_of_quiet_is_not_idleness(office: Office) -> None:
    """Idle for less than ten minutes counts as work, unless told otherwise."""
    office.add("dev-1")
    office.at("21:10").sign("dev-1", "idle 3", minutes_ago=1)
    assert "less than 10 minutes" in why(office.run())["dev-1"]
    assert done(office.run(quiet_minutes=4)) == {"dev-1": "stop"}


@pytest.mark.parametrize(
    ("text", "minutes_ago", "stops", "reason"),
    [
        ("idle 30", 20, True, "idle for 50 minutes"),
        ("idle 30", 21, False, "unknown: that it is idle is of 2026-03-02T20:49:00Z, and was not"),
        ("idle 30", 44, False, "unknown: that it is idle is of 2026-03-02T20:26:00Z, and was not"),
        ("idle 30", -5, True, "idle for 30 minutes"),
        ("idle 30", -6, False, "unknown: that it is idle is of 2026-03-02T21:16:00Z, which is to"),
        ("idle 3", 30, False, "unknown: that it is idle is of 2026-03-02T20:40:00Z, and was not"),
        ("working", 44, False, "its culler signals work"),
        ("working", -44, False, "its culler signals work"),
        ("working", 46, False, "unknown: its last sign of life is of"),
    ],
)
def test_a_sign_of_idleness_that_was_not_renewed_is_silence(
    office: Office, text: str, minutes_ago: float, stops: bool, reason: str
) -> None:
    """What cannot write may be too busy to; a sign of work may be older, for it ends nothing."""
    office.add("dev-1")
    office.at("21:10").sign("dev-1", text, minutes_ago=minutes_ago)
    report = office.run()
    told = report.changed[0]["reason"] if stops else why(report)["dev-1"]
    assert reason in told
    assert done(report) == ({"dev-1": "stop"} if stops else {})
    assert done(office.run(signal_max_age_minutes=600)) == {}


@pytest.mark.parametrize(("minutes_ago", "stops"), [(13, False), (3.5, False), (3, True)])
@pytest.mark.parametrize("event", [{}, {"schedules": {}}])
def test_a_sign_of_an_earlier_life_says_nothing_of_this_one(
    office: Office, minutes_ago: float, stops: bool, event: dict[str, Any]
) -> None:
    """It was idle, was stopped, and is on again: what has not yet signed may be at work.

    A minute is for clocks that differ.
    """
    office.add("dev-1", "InService", since="20:58")
    office.at("21:00").sign("dev-1", "idle 60", minutes_ago=minutes_ago)
    report = office.run("stop", **event)
    assert done(report) == ({"dev-1": "stop"} if stops else {})
    if not stops:
        assert why(report)["dev-1"] == "unknown: its culler gives no sign of life"


@pytest.mark.parametrize(
    "value",
    ["", "idle", "yesterday idle", "2026-13-02T21:05:00Z idle 30", "2026-03-02T21:05:00Z asleep"],
)
def test_a_sign_that_cannot_be_read_is_no_sign(office: Office, value: str) -> None:
    """Unknown is reported as unknown, and nothing is stopped."""
    office.add("dev-1", tags={"idle-culler:sign-of-life": value})
    assert why(office.at("21:10").run())["dev-1"] == "unknown: its sign of life cannot be read"


def test_start_alone_and_stop_alone_do_one_of_the_two(office: Office) -> None:
    """With the same schedules; what the other would do is told."""
    office.add("dev-off", "Stopped")
    assert "scheduled to be on" in why(office.at("09:00").run("stop"))["dev-off"]
    assert done(office.run("start")) == {"dev-off": "start"}
    office.at("21:10").sign("dev-off", "idle 20")
    assert "scheduled to be off" in why(office.run("start"))["dev-off"]
    assert done(office.run("stop")) == {"dev-off": "stop"}


def test_without_a_schedule_it_is_done_now_and_a_stop_is_still_soft(office: Office) -> None:
    """Asked for at noon: what is idle stops, what works does not."""
    office.add("dev-idle")
    office.add("dev-works")
    office.add("dev-off", "Stopped")
    office.at("12:00").sign("dev-idle", "idle 20")
    office.sign("dev-works", "working")
    assert done(office.run("stop", schedules={})) == {"dev-idle": "stop"}
    office.sagemaker.turn("dev-idle", "Stopped")
    assert done(office.run("start", schedules={})) == {"dev-idle": "start", "dev-off": "start"}


def test_a_tag_names_the_schedule_and_several_mean_either(office: Office) -> None:
    """One that names none that exists is left alone and told of, as is one with no schedule."""
    late = {**OFFICE, "start": "12:00", "stop": "23:00"}
    schedules = {"office": OFFICE, "late": late}
    for name, tag in (("a", "office"), ("b", "late"), ("c", "office late"), ("d", "none")):
        office.add(f"dev-{name}", "Stopped", tags={SCHEDULE_TAG: tag})
    office.add("dev-e", "Stopped")
    report = office.at("09:00").run(schedules=schedules)
    assert done(report) == {"dev-a": "start", "dev-c": "start"}
    assert why(report)["dev-b"] == "it is Stopped"
    assert why(report)["dev-d"] == "its tag names none, which is no schedule"
    assert "no default schedule" in why(report)["dev-e"]
    for name in "abcde":
        office.at("21:20").sagemaker.turn(f"dev-{name}", "InService")
        office.at("21:30").sign(f"dev-{name}", "idle 20")
    report = office.run(schedules=schedules, default_schedule="office", grace_minutes=0)
    assert done(report) == {"dev-a": "stop", "dev-e": "stop"}


@pytest.mark.parametrize(
    ("other", "stopped"),
    [
        ({"start": "08:00", "stop": "12:00"}, "07:30"),
        ({"start": "08:00", "stop": "12:00"}, "08:30"),
        ({"start": "12:00", "stop": "23:00"}, "08:00"),
        ({"start": "12:00", "stop": "23:00"}, "13:00"),
        ({"start": "20:45", "stop": "06:00"}, "08:00"),
    ],
)
def test_windows_that_overlap_are_one_from_the_first_start_to_the_last_stop(
    office: Office, other: dict[str, str], stopped: str
) -> None:
    """Nested, or one after the other: who stops it has it stopped, where one begins or ends too."""
    schedules = {"office": OFFICE, "other": {**OFFICE, **other}}
    office.add("dev-1", "Stopped", tags={SCHEDULE_TAG: "office other"})
    assert done(office.at("07:00").run(schedules=schedules)) == {"dev-1": "start"}
    assert office.at("07:15").run(schedules=schedules).changed == []
    office.at(stopped).sagemaker.turn("dev-1", "Stopped")
    for clock in ("08:45", "12:00", "12:15", "20:45", "21:00", "21:15", "23:00", "23:15"):
        if clock > stopped:
            assert office.at(clock).run(schedules=schedules).changed == []
    assert office.at("05:45", day=1).run(schedules=schedules).changed == []
    assert done(office.at("07:00", day=1).run(schedules=schedules)) == {"dev-1": "start"}


def test_windows_that_follow_each_other_are_two(office: Office) -> None:
    """Where one ends and the other begins, a start is due again."""
    schedules = {"early": {**OFFICE, "stop": "12:00"}, "late": {**OFFICE, "start": "12:00"}}
    office.add("dev-1", "Stopped", tags={SCHEDULE_TAG: "early late"})
    assert done(office.at("07:00").run(schedules=schedules)) == {"dev-1": "start"}
    office.at("08:00").sagemaker.turn("dev-1", "Stopped")
    assert office.at("11:45").run(schedules=schedules).changed == []
    assert done(office.at("12:00").run(schedules=schedules)) == {"dev-1": "start"}


@pytest.mark.parametrize(("start", "starts"), [("06:30", False), ("00:00", False), ("08:30", True)])
def test_a_start_that_is_edited_at_noon_starts_nothing_a_second_time(
    office: Office, start: str, starts: bool
) -> None:
    """Only where the window begins after it was stopped is that another window."""
    office.add("dev-1", "Stopped")
    assert done(office.at("07:00").run()) == {"dev-1": "start"}
    office.at("08:10").sagemaker.turn("dev-1", "Stopped")
    assert bool(office.at("12:00").run(schedule={"start": start}).changed) == starts


@pytest.mark.parametrize(
    "value",
    [
        "2026-03-03T07:00:00Z",
        "2026-03-02T05:00:00Z",
        "x",
        "2026-03-02T9",
        "",
        "2026-03-02T08:00:00",
    ],
)
def test_a_mark_of_another_time_or_form_is_none(office: Office, value: str) -> None:
    """Of the future, of an earlier window, or none that this writes: the start is due."""
    office.add("dev-1", "Failed", since="08:30", tags={LAST_START_TAG: value})
    assert done(office.at("09:00").run()) == {"dev-1": "start"}
    assert office.sagemaker.tags_of("dev-1")[LAST_START_TAG] == "2026-03-02T07:00:00Z"


def test_weekends_and_holidays_have_no_window(office: Office) -> None:
    """A holiday is a date; the days are named in words."""
    office.add("dev-1", "Stopped")
    assert office.at("09:00").run(schedule={"holidays": ["2026-03-02"]}).changed == []
    assert office.at("09:00", SATURDAY).run().changed == []
    office.at("09:00", SATURDAY)
    assert done(office.run(schedule={"days": ["fri-mon"]})) == {"dev-1": "start"}


def test_names_and_tags_must_both_hold(office: Office) -> None:
    """By pattern, by tags, by both; everything only where that is said."""
    office.add("dev-a1", "Stopped", tags={"team": "a"})
    office.add("dev-b1", "Stopped", tags={"team": "b"})
    office.add("other", "Stopped", tags={"team": "a"})
    office.at("09:00")

    def would(**event: Any) -> set[str]:
        return set(done(office.run(dry_run=True, **{"name_contains": "", **event})))

    assert would(name_pattern="dev-?1") == {"dev-a1", "dev-b1"}
    assert would(tags={"team": "a"}) == {"dev-a1", "other"}
    assert would(name_contains="dev", tags={"team": "a"}) == {"dev-a1"}
    assert would(match_all=True) == {"dev-a1", "dev-b1", "other"}
    assert would(name_contains="dev_é") == set()
    assert would(name_contains="d" * 64) == set()
    assert office.sagemaker.count("StartNotebookInstance", "TagResources") == 0
