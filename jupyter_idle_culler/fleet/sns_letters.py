"""What SNS hands to Lambda: letters, each with its place in the event and when it was sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from .events import EventError

MOST_AGE = timedelta(hours=24)
"""SNS tries for weeks, and a dead-letter queue keeps longer: of yesterday's bill nobody knows."""
_CLOCKS = timedelta(hours=1)
_ARN = re.compile(r"arn:aws[a-z-]*:[a-z]+:[a-z0-9-]+:(\d{12}):.+")


@dataclass(frozen=True)
class Letter:
    """One message. ``sent``: when SNS got it; None: that cannot be read.

    ``topic_arn``: by which topic it came; empty: by none, somebody wrote it into an event now.
    """

    place: str
    text: str
    sent: datetime | None = None
    topic_arn: str = ""

    def check_account(self, account: str) -> None:
        """Refuse what a topic of another account sent. Raises: EventError."""
        its = account_of(self.topic_arn)
        if self.topic_arn and its != account:
            rule = f"is a topic of {its or 'no account'}; only those of {account} are listened to"
            raise EventError(self.place.replace("Message", "TopicArn"), rule)

    def stale(self, now: datetime) -> str:
        """Return why it does not tell of now; empty: it does."""
        if not self.topic_arn:
            return ""
        if self.sent is None:
            return "stale: when it was sent cannot be read"
        at = f"{self.sent:%Y-%m-%dT%H:%M:%SZ}"
        if now - self.sent > MOST_AGE:
            return f"stale: it was sent at {at}, more than {MOST_AGE // _CLOCKS} hours ago"
        return f"stale: it was sent at {at}, which is to come" if self.sent - now > _CLOCKS else ""


def account_of(arn: str) -> str:
    """Return the account of a topic or a function; empty where the ARN names none."""
    found = _ARN.fullmatch(arn)
    return found[1] if found else ""


def letters_of(event: Any) -> list[Letter] | None:
    """Return the messages of an SNS event; None: this is no such event.

    Raises: EventError where it says that it is one, and is not.
    """
    if not isinstance(event, Mapping) or "Records" not in event:
        return None
    records, field = event["Records"], "Records"
    if set(event) != {field} or not isinstance(records, list) or not records:
        raise EventError(field, "must be the one field of an event of SNS, with its records")
    return [_letter(record, f"Records[{number}]") for number, record in enumerate(records)]


def _letter(record: Any, place: str) -> Letter:
    sns = record.get("Sns") if isinstance(record, Mapping) else None
    source = record.get("EventSource") if isinstance(record, Mapping) else None
    text = sns.get("Message") if isinstance(sns, Mapping) else None
    topic = sns.get("TopicArn") if isinstance(sns, Mapping) else None
    if source != "aws:sns" or not isinstance(sns, Mapping) or not isinstance(text, str):
        raise EventError(place, "is no record of SNS with a message")
    if not isinstance(topic, str) or not topic:
        place += ".Sns.TopicArn"
        raise EventError(place, "must be the ARN of an SNS topic")
    return Letter(f"{place}.Sns.Message", text, _time(sns.get("Timestamp")), topic)


def _time(given: Any) -> datetime | None:
    """Return a time such as 2026-11-24T19:20:37.147Z; None where it is none, or of no zone."""
    try:
        at = datetime.fromisoformat(given.replace("Z", "+00:00"))
        return at.astimezone(timezone.utc) if at.tzinfo else None
    except (AttributeError, OverflowError, ValueError):
        return None
