"""The mark of an idle endpoint: a tag with the date, from which its grace runs.

It counts once people were told of it. Until then it says ``… not told``, which is no date: a run
that ends between the two leaves an endpoint that the next one marks anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

MARK_TAG = "idle-culler:idle-marked"
_FORM = "%Y-%m-%dT%H:%M:%SZ"
_UNTIL = " until "
_NOT_TOLD = " not told"


@dataclass(frozen=True)
class Mark:
    """A mark that is to be set. ``until``: when people are told that the endpoint goes."""

    arn: str
    at: datetime
    until: datetime | None = None


def mark_of(tags: Mapping[str, str]) -> datetime | None:
    """Return when an endpoint was marked; None: it is not, or by no date that can be read."""
    read = _read(tags)
    return read[0] if read else None


def promised(tags: Mapping[str, str]) -> datetime | None:
    """Return until when a mark says that its endpoint stays; None: it says nothing of that."""
    read = _read(tags)
    return read[-1] if read and len(read) > 1 else None


def _read(tags: Mapping[str, str]) -> list[datetime]:
    """Return the dates of a mark: its own, and the one until which the endpoint stays."""
    texts = tags.get(MARK_TAG, "").split(_UNTIL)
    try:
        dates = [datetime.strptime(text, _FORM).replace(tzinfo=timezone.utc) for text in texts]
    except ValueError:
        return []
    return dates if len(dates) <= 2 else []


def stands(mark: datetime | None, born: datetime, now: datetime) -> bool:
    """Tell whether a mark holds: not of the future, nor of what was there before ``born``.

    An endpoint that was made anew, or from a younger configuration, has no grace behind it.
    """
    return mark is not None and born <= mark <= now


def set_mark(sagemaker: Any, mark: Mark, *, told: bool = True) -> None:
    """Mark an endpoint; people were ``told``, or are to be. Raises: botocore's errors."""
    dates = [mark.at] if mark.until is None else [mark.at, mark.until]
    value = _UNTIL.join(date.astimezone(timezone.utc).strftime(_FORM) for date in dates)
    tag = {"Key": MARK_TAG, "Value": value if told else value + _NOT_TOLD}
    sagemaker.add_tags(ResourceArn=mark.arn, Tags=[tag])


def remove_mark(sagemaker: Any, arn: str) -> None:
    """Take the mark away. Raises: botocore's errors."""
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=[MARK_TAG])
