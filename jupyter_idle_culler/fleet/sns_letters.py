"""What SNS hands to Lambda: letters, each with its place in the event and when it was sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from .events import EventError

MOST_AGE = timedelta(hours=24)
"""SNS tries for weeks, and a dead-letter queue keeps longer: of yesterday's bill nobody knows."""
_CLOCKS = timedelta(hours=1)


@dataclass(frozen=True)
class Letter:
    """One message. ``sent``: when SNS got it; None: that cannot be read.

    ``by_hand``: no message of SNS, but one that somebody wrote into an event of their own, now.
    """

    place: str
    text: str
    sent: datetime | None = None
    by_hand: bool = False

    def stale(self, now: datetime) -> str:
        """Return why it does not tell of now; empty: it does."""
        if self.by_hand:
            return ""
        if self.sent is None:
            return "stale: when it was sent cannot be read"
        at = f"{self.sent:%Y-%m-%dT%H:%M:%SZ}"
        if now - self.sent > MOST_AGE:
            return f"stale: it was sent at {at}, more than {MOST_AGE // _CLOCKS} hours ago"
        return f"stale: it was sent at {at}, which is to come" if self.sent - now > _CLOCKS else ""


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
    if source != "aws:sns" or not isinstance(sns, Mapping) or not isinstance(text, str):
        raise EventError(place, "is no record of SNS with a message")
    return Letter(f"{place}.Sns.Message", text, _time(sns.get("Timestamp")))


def _time(given: Any) -> datetime | None:
    """Return a time such as 2026-11-24T19:20:37.147Z; None where it is none, or of no zone."""
    try:
        at = datetime.fromisoformat(given.replace("Z", "+00:00"))
        return at.astimezone(timezone.utc) if at.tzinfo else None
    except (AttributeError, OverflowError, ValueError):
        return None
