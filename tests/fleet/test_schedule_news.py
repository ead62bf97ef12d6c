"""What the topic is told of schedules: all of it by hand, news where runs come again and again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import boto3
import pytest

from jupyter_idle_culler.fleet.instances import SCHEDULE_TAG

from .endpoint_world import topic_with_queue
from .instance_world import Office, done

Topic = tuple[str, Callable[[], list[str]]]


class Evening:
    """Runs each quarter of an hour, and what the topic heard of each."""

    def __init__(self, office: Office, topic: Topic) -> None:
        self.office, (self.arn, self.received) = office, topic

    def heard(self, begin: str, end: str, each: Callable[[], None], **event: Any) -> dict[str, str]:
        """Run from one time of Monday to another; return the messages by the times they came at."""
        self.office.at(end)
        last = self.office.now
        self.office.at(begin)
        heard = {}
        while self.office.now <= last:
            each()
            self.office.run(topic_arn=self.arn, every_minutes=15, **event)
            for message in self.received():
                heard[f"{self.office.now:%H:%M}"] = message
            self.office.now += timedelta(minutes=15)
        return heard


@pytest.fixture
def evening(office: Office, topic: Topic) -> Evening:
    """Give one."""
    return Evening(office, topic)


def nothing() -> None:
    """Let nothing happen between two runs."""


@pytest.fixture
def topic(moto_server: str, monkeypatch: pytest.MonkeyPatch) -> Topic:
    """Give a topic, and what takes the messages that came."""
    for name in ("SNS", "SQS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{name}", moto_server)
    return topic_with_queue()


def test_the_topic_is_told_what_was_done_and_what_was_left_and_why(
    office: Office, topic: Topic
) -> None:
    """One message, in words; a run that finds nothing to do says nothing."""
    arn, received = topic
    office.add("dev-1", "Stopped")
    office.add("dev-2", "Updating")
    office.at("09:00").run(topic_arn=arn, every_minutes=15)
    (message,) = received()
    assert message == (
        "Started:\n  dev-1 (ml.t3.medium): scheduled to be on since 2026-03-02T07:00:00Z\n\n"
        "Left alone:\n  dev-2: it is Updating: it can be started from Stopped or Failed"
    )
    office.at("09:15").run(topic_arn=arn, every_minutes=15)
    assert received() == []
    office.run(topic_arn=arn)
    (message,) = received()
    assert message.startswith("Left alone:\n  dev-1: it is InService, as scheduled")
    office.run(topic_arn=arn, name_contains="nothing-has-this")
    assert received() == []


def test_a_stop_that_is_held_back_is_told_once_an_evening(office: Office, topic: Topic) -> None:
    """Runs come every quarter of an hour: only the first after the end of a window tells."""
    arn, received = topic
    office.add("dev-1")
    for clock, told in (("21:00", 1), ("21:15", 0), ("23:45", 0)):
        office.at(clock).sign("dev-1", "working")
        office.run(topic_arn=arn, every_minutes=15)
        messages = received()
        assert len(messages) == told
        assert all("dev-1: its culler signals work" in text for text in messages)
    office.run(topic_arn=arn)
    assert len(received()) == 1


def test_a_grace_that_begins_and_one_that_ends_amid_work_are_told_once(
    office: Office, topic: Topic
) -> None:
    """Somebody starts it in the off-hours, and works on beyond the grace: two pieces of news."""
    arn, received = topic
    office.add("dev-1", since="22:05")
    grace, work = "somebody started it in the off-hours", "its culler signals work"
    for day, clock, told in (
        (0, "22:15", grace), (0, "22:30", ""), (0, "23:45", ""),
        (1, "00:15", work), (1, "00:30", ""),
    ):  # fmt: skip
        office.at(clock, day).sign("dev-1", "working")
        office.run(topic_arn=arn, every_minutes=15)
        messages = received()
        assert len(messages) == bool(told), (clock, messages)
        assert all(f"dev-1: {told}" in text for text in messages)


def test_a_topic_of_another_region_is_told_there(
    office: Office, monkeypatch: pytest.MonkeyPatch, moto_server: str
) -> None:
    """One topic hears of several regions: SNS knows it in its own only."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", moto_server)
    elsewhere = boto3.client("sns", region_name="us-west-2").create_topic(Name="all")["TopicArn"]
    office.add("dev-1", "Stopped")
    report = office.at("09:00").run(topic_arn=elsewhere)
    assert (done(report), report.failed) == ({"dev-1": "start"}, [])


def test_a_topic_that_cannot_be_told_is_a_failure_after_all_is_done(
    office: Office, topic: Topic
) -> None:
    """The start went out."""
    office.add("dev-1", "Stopped")
    report = office.at("09:00").run(topic_arn=topic[0] + "-of-another")
    assert done(report) == {"dev-1": "start"}
    assert [each["name"] for each in report.failed] == ["the topic"]


def test_a_dry_run_tells_once_what_it_would_do(evening: Evening) -> None:
    """Where schedules are tried, nobody gets the same message forty times a night."""
    office = evening.office
    office.add("dev-1")
    heard = evening.heard("20:45", "23:00", lambda: office.sign("dev-1", "idle 90"), dry_run=True)
    assert list(heard) == ["21:00"]
    assert "dry run" in heard["21:00"].lower()
    assert "dev-1" in heard["21:00"]


def test_a_dry_run_tells_when_work_that_held_a_stop_ends(evening: Evening) -> None:
    """Held back at nine, idle since a quarter past ten: two pieces of news."""
    office = evening.office
    office.add("dev-1")

    def sign() -> None:
        idle = office.now.hour * 60 + office.now.minute - 22 * 60 - 15
        office.sign("dev-1", f"idle {idle}" if idle >= 10 else "working", minutes_ago=0)

    heard = evening.heard("21:00", "23:30", sign, dry_run=True)
    assert list(heard) == ["21:00", "22:30"]
    assert "its culler signals work" in heard["21:00"]
    assert "Stopped:" in heard["22:30"]


def test_a_start_that_fails_after_it_was_accepted_is_told(evening: Evening) -> None:
    """Told "started" at seven, and no capacity: people hear of it, once."""
    office = evening.office
    office.add("dev-1", "Stopped")

    def fail() -> None:
        if office.now.hour == 7 and office.now.minute == 15:
            thing = office.sagemaker._notebooks["dev-1"]
            thing.status, thing.modified = "Failed", office.now - timedelta(minutes=5)

    heard = evening.heard("07:00", "12:00", fail)
    assert list(heard) == ["07:00", "07:15"]
    assert "Started" in heard["07:00"]
    assert "dev-1: it failed in this window" in heard["07:15"]


def test_a_start_that_is_refused_is_told_at_once_and_then_once_an_hour(evening: Evening) -> None:
    """The invocation fails each time; the message is not repeated each quarter."""
    evening.office.add("dev-1", "Stopped")
    evening.office.sagemaker.refuses.add("dev-1")
    heard = evening.heard("07:15", "09:30", nothing)
    assert list(heard) == ["08:00", "09:00"]
    heard = evening.heard("07:00", "07:45", nothing)
    assert list(heard) == ["07:00"]


def test_a_tag_that_names_no_schedule_is_told_with_each_window(evening: Evening) -> None:
    """With a slip of the pen it would run for ever, and nobody know."""
    evening.office.add("dev-1", tags={SCHEDULE_TAG: "ofice"})
    heard = evening.heard("06:00", "23:00", nothing)
    assert list(heard) == ["07:00"]
    assert "dev-1: its tag names ofice, which is no schedule" in heard["07:00"]
