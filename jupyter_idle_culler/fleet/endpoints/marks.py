"""The mark of an idle endpoint: a tag with the date, from which its grace runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

MARK_TAG = "idle-culler:idle-marked"
_FORM = "%Y-%m-%dT%H:%M:%SZ"


def mark_of(tags: Mapping[str, str]) -> datetime | None:
    """Return when an endpoint was marked; None: it is not, or by no date that can be read."""
    try:
        return datetime.strptime(tags.get(MARK_TAG, ""), _FORM).replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def stands(mark: datetime | None, born: datetime, now: datetime) -> bool:
    """Tell whether a mark holds: not of the future, nor of what was there before ``born``.

    An endpoint that was made anew, or from a younger configuration, has no grace behind it.
    """
    return mark is not None and born <= mark <= now


def set_mark(sagemaker: Any, arn: str, now: datetime) -> None:
    """Mark an endpoint. Raises: botocore's errors."""
    value = now.astimezone(timezone.utc).strftime(_FORM)
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": MARK_TAG, "Value": value}])


def remove_mark(sagemaker: Any, arn: str) -> None:
    """Take the mark away. Raises: botocore's errors."""
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=[MARK_TAG])
