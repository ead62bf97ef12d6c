"""What AWS Budgets sends, letter by letter as it was seen, with other names and amounts."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any


def letter(
    amount: str = "$108.30",
    *,
    budget: str = "team-a",
    budgeted: str = "$100.00",
    threshold: str = "> $80.00",
    alert: str = "ACTUAL",
    kind: str = "Cost",
) -> str:
    """Return a notification of AWS Budgets."""
    relation = "less than" if threshold.startswith("<") else "greater than"
    return (
        "AWS Budget Notification November 24, 2026\n"
        "AWS Account 123456789012\n"
        "\n"
        "Dear AWS Customer,\n"
        "\n"
        f"You requested that we alert you when the {alert} {kind} associated with your {budget}"
        f" budget is {relation} {threshold[2:]} for the current month. The {alert} {kind}"
        f" associated with this budget is {amount}. You can find additional details below and by"
        " accessing the AWS Budgets dashboard [1].\n"
        "\n"
        f"Budget Name: {budget}\n"
        f"Budget Type: {kind}\n"
        f"Budgeted Amount: {budgeted}\n"
        f"Alert Type: {alert}\n"
        f"Alert Threshold: {threshold}\n"
        f"{alert} Amount: {amount}\n"
        "\n"
        "[1] https://console.aws.amazon.com/billing/home#/budgets\n"
    )


def from_sns(*messages: str, sent: datetime | None = None) -> dict[str, Any]:
    """Return the event that Lambda gets from SNS. ``sent`` None: now."""
    at = (sent or datetime.now(timezone.utc)).isoformat(timespec="milliseconds")
    return {
        "Records": [
            {
                "EventSource": "aws:sns",
                "EventVersion": "1.0",
                "EventSubscriptionArn": "arn:aws:sns:eu-central-1:123456789012:budgets:1234",
                "Sns": {
                    "Type": "Notification",
                    "MessageId": "0da238f6-da6c-5214-96e1-635d27a9b79b",
                    "TopicArn": "arn:aws:sns:eu-central-1:123456789012:budgets",
                    "Subject": "AWS Budgets: team-a has exceeded your alert threshold",
                    "Message": message,
                    "Timestamp": at.replace("+00:00", "Z"),
                    "MessageAttributes": {},
                },
            }
            for message in messages
        ]
    }
