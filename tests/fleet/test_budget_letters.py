"""What AWS Budgets writes and SNS hands on: what is read, and which letters are not acted on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from jupyter_idle_culler.fleet.budget_alert import read_alert
from jupyter_idle_culler.fleet.events import EventError
from jupyter_idle_culler.fleet.handlers import budget_handler
from jupyter_idle_culler.fleet.sns_letters import Letter

from ..aws.studio_stand_in import StudioStandIn
from .budget_letters import from_sns, letter
from .test_budget import changed, signed, skipped

NOW = datetime.now(timezone.utc)
OTHER = "arn:aws:sns:eu-central-1:999999999999:budgets"


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch) -> Iterator[StudioStandIn]:
    """Give an account in which one instance is idle, and acting is asked for."""
    sagemaker = StudioStandIn()
    with sagemaker:
        settings = {"IDLE_CULLER_NAME_CONTAINS": "dev-", "IDLE_CULLER_DRY_RUN": "false"}
        for name, value in {**sagemaker.env, **settings}.items():
            monkeypatch.setenv(name, value)
        sagemaker.add("dev-a", tags=signed("idle 30"))
        yield sagemaker
        assert not sagemaker.problems


@pytest.mark.parametrize(
    ("text", "percent"),
    [
        (letter(), 108.3),
        (letter("$1,234.50", budgeted="$1,000.00"), 123.45),
        (letter("$0.59", budgeted="$0.20", threshold="> $0.16"), 295),
        (letter("€95.00", budgeted="€100.00", threshold="> €80.00"), 95),
        (letter("120 GB-Month", budgeted="100 GB-Month", threshold="> 80%", kind="Usage"), 120),
        (letter("$0.00", budgeted="$0.00"), 0),
        (letter("-$3.00"), -3),
        (letter("$-500.00"), -500),
        (letter("- $1,500"), -1500),
        (letter("\N{MINUS SIGN}€500.00"), -500),
        (letter("-500.00 USD"), -500),
        (letter("USD 95.00"), 95),
        (letter("₹12,34,567.00", budgeted="₹1,234,567"), 100),
        (letter().replace("\n", "\r\n"), 108.3),
    ],
)
def test_the_letter_of_aws_budgets_is_read(text: str, percent: float) -> None:
    """Amounts with thousands, of other currencies and units; lines that end as on Windows."""
    assert read_alert(text, "message").percent == pytest.approx(percent)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (letter().replace("ACTUAL Amount", "FORECASTED Amount"), "it has no ACTUAL Amount"),
        (letter(alert="FORECASTED").replace("FORECASTED Amount", "ACTUAL Amount"), "it has no FOR"),
        (letter(alert="FORECASTED") + "Alert Type: ACTUAL\n", "has the line Alert Type twice"),
        (letter("$10.00") + "ACTUAL Amount: $500.00\n", "has the line ACTUAL Amount twice"),
        (letter("$10.00") + "\n" + letter("$500.00"), "has the line Budget Name twice"),
        (letter() + "Budget Name:\n", "has the line Budget Name twice"),
        (letter() + "Budgeted Amount: $1.00", "has the line Budgeted Amount twice"),
        (letter() + "Budget Type: Cost", "has the line Budget Type twice"),
        (letter() + "Alert Threshold: > $1.00", "has the line Alert Threshold twice"),
        (letter().replace("Budget Name: team-a", "Budget Name:"), "it has no Budget Name"),
    ],
)
def test_a_letter_that_contradicts_itself_is_none(text: str, rule: str) -> None:
    """A forecast is no bill; of two lines nobody knows which is true."""
    with pytest.raises(EventError, match=rule) as refused:
        read_alert(text, "message")
    assert refused.value.field == "message"


@pytest.mark.parametrize(
    "amount",
    [
        "much",
        "$",
        "$1.234,50",
        "1,50 EUR",
        "$1.08E7",
        "($500.00)",
        "$500.00-",
        "$-",
        "-$-5",
        "$5 6x",
    ],
)
def test_an_amount_that_could_mean_another_is_refused(amount: str) -> None:
    """As one of the account's debts would be that is read without its sign."""
    for text in (letter(amount), letter(budgeted=amount)):
        with pytest.raises(EventError, match="is no amount"):
            read_alert(text, "message")


def test_a_budget_of_less_than_nothing_is_refused() -> None:
    """Anything would use it up."""
    with pytest.raises(EventError, match=r"the Budgeted Amount is '-\$1.00'"):
        read_alert(letter(budgeted="-$1.00"), "message")


def test_a_credit_never_acts() -> None:
    """Of no budget, and above no threshold."""
    for budgeted in ("$0.00", "$100.00"):
        alert = read_alert(letter("-$500.00", budgeted=budgeted), "message")
        assert "is a credit" in alert.holds_back(0, True)


def test_a_threshold_that_was_crossed_by_less_than_a_cent_is_crossed() -> None:
    """Budgets tells of 3.2935, which is 33 % of 9.98, as $3.29; it does not tell again."""
    for amount, acts in (("$3.29", True), ("$3.30", True), ("$3.28", False)):
        alert = read_alert(letter(amount, budgeted="$9.98", threshold="> 33%"), "message")
        assert (alert.holds_back(33, False) == "") == acts, amount


def test_the_amount_is_that_of_its_own_alert() -> None:
    """Where a letter has both, a forecast does not pass for what was spent."""
    text = letter("$85.00") + "FORECASTED Amount: $500.00\n"
    assert read_alert(text, "message").amount == 85


def test_a_budget_of_nothing_is_used_up_by_anything() -> None:
    """A zero-spend budget has no percentage."""
    alert = read_alert(letter("$0.60", budgeted="$0.00", threshold="> $0.01"), "message")
    assert alert.holds_back(1000, False) == ""
    assert json.loads(json.dumps(alert.to_json()))["percent"] is None


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (NOW - timedelta(hours=20), ""),
        (NOW + timedelta(minutes=59), ""),
        (NOW - timedelta(hours=24, minutes=1), "more than 24 hours ago"),
        (NOW - timedelta(days=2500), "more than 24 hours ago"),
        (NOW + timedelta(hours=2), "which is to come"),
    ],
)
def test_a_letter_of_another_day_is_not_acted_on(
    studio: StudioStandIn, sent: datetime, reason: str
) -> None:
    """SNS delivers for weeks, and a dead-letter queue again: that is another month's budget."""
    report = budget_handler(from_sns(letter(), sent=sent))
    assert changed(report) == ({} if reason else {"dev-a": "stop"})
    if reason:
        assert skipped(report) == {"team-a": f"stale: it was sent at {sent:%FT%TZ}, {reason}"}
        assert studio.calls == []


def test_a_letter_is_stale_after_a_day_to_the_second() -> None:
    """Not before, and not much before it was sent: clocks differ."""
    ages = (timedelta(hours=24), timedelta(hours=24, seconds=1), -timedelta(hours=1, seconds=1))
    stale = [Letter("message", "", NOW - age, "arn").stale(NOW) for age in ages]
    assert [bool(reason) for reason in stale] == [False, True, True]


@pytest.mark.parametrize("sent", [None, "", "yesterday", 1795548037, "2026-11-24T19:20:37"])
def test_a_letter_of_which_nobody_knows_when_it_was_sent_is_not_acted_on(
    studio: StudioStandIn, sent: Any
) -> None:
    """SNS always says it."""
    event = from_sns(letter())
    event["Records"][0]["Sns"]["Timestamp"] = sent
    report = budget_handler(event)
    assert skipped(report) == {"team-a": "stale: when it was sent cannot be read"}
    del event["Records"][0]["Sns"]["Timestamp"]
    assert budget_handler(event)["changed"] == []
    assert studio.calls == []


class Lambda:
    """What a function knows of itself."""

    def __init__(self, account: str) -> None:
        self.invoked_function_arn = (
            f"arn:aws:lambda:eu-central-1:{account}:function:idle-culler-budget"
        )


@pytest.mark.parametrize("topic", [OTHER, "budgets", "arn:aws:sns:eu-central-1::budgets"])
def test_a_topic_of_another_account_is_refused(studio: StudioStandIn, topic: str) -> None:
    """Whoever has an account can write such a letter; this function's own is in its context."""
    event = from_sns(letter())
    event["Records"][0]["Sns"]["TopicArn"] = topic
    with pytest.raises(EventError, match="only those of 123456789012") as refused:
        budget_handler(event, Lambda("123456789012"))
    assert refused.value.field == "Records[0].Sns.TopicArn"
    assert studio.calls == []
    event = from_sns(letter())
    assert changed(budget_handler(event, Lambda("123456789012"))) == {"dev-a": "stop"}


def test_a_letter_without_a_topic_is_refused(studio: StudioStandIn) -> None:
    """SNS always says it."""
    event = from_sns(letter())
    del event["Records"][0]["Sns"]["TopicArn"]
    with pytest.raises(EventError) as refused:
        budget_handler(event)
    assert refused.value.field == "Records[0].Sns.TopicArn"


def test_another_account_can_be_listened_to(
    studio: StudioStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that pays for all may have the budget; then the function's own is another's."""
    monkeypatch.setenv("IDLE_CULLER_ACCOUNT", "999999999999")
    event = from_sns(letter())
    with pytest.raises(EventError, match="only those of 999999999999"):
        budget_handler(event, Lambda("123456789012"))
    event["Records"][0]["Sns"]["TopicArn"] = OTHER
    assert changed(budget_handler(event, Lambda("123456789012"))) == {"dev-a": "stop"}
