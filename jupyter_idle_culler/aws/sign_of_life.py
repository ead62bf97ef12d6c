"""The sign of life that a machine puts upon itself: a tag, which is read from outside in bulk.

Its value is a time and what the culler there sees: ``2026-11-24T20:55:00Z working``, ``… idle 12``
(minutes) or ``… unknown``. Standard library only, Python 3.8 syntax.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Dict

from .target import Target

SIGN_TAG = "idle-culler:sign-of-life"
WORKING, IDLE, UNKNOWN = "working", "idle", "unknown"


def value(at: datetime, word: str, idle_minutes: float = 0) -> str:
    """Return what the tag says at a time."""
    said = "{:%Y-%m-%dT%H:%M:%SZ} {}".format(at.astimezone(timezone.utc), word)
    return "{} {:d}".format(said, int(idle_minutes)) if word == IDLE else said


def statement(target: Target) -> Dict[str, Any]:
    """Return the least IAM statement with which it may put this tag, and no other, upon itself."""
    only = {
        "ForAllValues:StringEquals": {"aws:TagKeys": [SIGN_TAG]},
        "Null": {"aws:TagKeys": "false"},
    }
    return {
        "Effect": "Allow",
        "Action": ["sagemaker:AddTags"],
        "Resource": target.arn,
        "Condition": only,
    }
