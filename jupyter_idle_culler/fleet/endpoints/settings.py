"""What a run is asked to do: the event's fields, each by its rule."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from ..events import REGION, EventError, EventReader
from ..selection import Selection
from .saving import is_bucket_place

REPORT, MARK, DELETE, SCALE_TO_ZERO = "report", "mark", "delete", "scale-to-zero"
ACTIONS = (REPORT, MARK, DELETE, SCALE_TO_ZERO)
MOST_HOURS = 2160.0
"""90 days: of the idle time and as much of a grace CloudWatch still has metrics by the hour."""
_IN_LAMBDA = "AWS_LAMBDA_FUNCTION_NAME"


@dataclass(frozen=True)
class Settings:
    """What a run is asked to do; see docs/fleet.md for each field."""

    selection: Selection
    action: str = REPORT
    dry_run: bool = True
    idle: timedelta = timedelta(hours=24)
    grace: timedelta = timedelta(hours=72)
    regions: tuple[str, ...] = ()
    topic_arn: str = ""
    save_to: str = ""
    prices: Mapping[str, float] = field(default_factory=dict)
    include_free: bool = False
    backlog_per_instance: float = 5.0
    after: Mapping[str, str] = field(default_factory=dict)
    """By region, the endpoint after which the run begins: a run before ended there."""


def read(event: Any, environ: Mapping[str, str]) -> Settings:
    """Read an event. Raises: EventError, that names the field."""
    reader = EventReader(event, environ)
    action = reader.choice("action", ACTIONS, REPORT)
    topic, notify = reader.topic(), reader.flag("notify", True)
    settings = Settings(
        # What cannot be taken back has to be asked for by name, tag or match_all.
        selection=reader.selection(may_be_all=action in (REPORT, MARK)),
        action=action,
        dry_run=reader.dry_run(),
        idle=timedelta(hours=reader.number("idle_hours", 24, least=1, most=MOST_HOURS)),
        grace=timedelta(hours=reader.number("grace_hours", 72, least=1, most=MOST_HOURS)),
        regions=_regions(reader.words("regions")),
        topic_arn=topic if notify else "",
        save_to=_save_to(reader.text("save_to"), in_lambda=bool(environ.get(_IN_LAMBDA))),
        prices=_prices(reader.object("prices")),
        include_free=reader.flag("include_free", False),
        backlog_per_instance=reader.number("backlog_per_instance", 5, least=0.1),
        after=reader.texts("after"),
    )
    reader.finish()
    if action in (DELETE, SCALE_TO_ZERO) and not settings.save_to:
        rule = f"must name a folder or s3://bucket/prefix: {action} saves there what it changes"
        field_name = "save_to"
        raise EventError(field_name, rule)
    if action == DELETE and notify and not (settings.dry_run or settings.topic_arn):
        rule = 'must be given, or "notify" be false: else nobody hears of what is marked and goes'
        field_name = "topic_arn"
        raise EventError(field_name, rule)
    return settings


def _regions(given: Sequence[str]) -> tuple[str, ...]:
    for region in given:
        if not REGION.fullmatch(region):
            field_name, rule = "regions", f"{region!r} is not how a region is called: eu-central-1"
            raise EventError(field_name, rule)
    return tuple(dict.fromkeys(given))


def _save_to(place: str, *, in_lambda: bool) -> str:
    field_name = "save_to"
    if not place or is_bucket_place(place):
        return place
    if place.lower().startswith("s3:") or "://" in place:
        rule = f"must be s3://bucket/prefix with the name of a bucket, or a folder, not {place!r}"
        raise EventError(field_name, rule)
    if in_lambda:
        rule = f"must be s3://bucket/prefix: the folder {place!r} goes with the function"
        raise EventError(field_name, rule)
    return place


def _prices(given: Mapping[str, Any]) -> dict[str, float]:
    for name, price in given.items():
        if isinstance(price, bool) or not isinstance(price, int | float) or not _is_price(price):
            field_name, rule = f"prices.{name}", "must be a price an hour, a number of at least 0"
            raise EventError(field_name, rule)
    return dict(given)


def _is_price(given: float) -> bool:
    """Tell whether it is one that can be summed and told: JSON knows no infinity."""
    try:
        return math.isfinite(given) and given >= 0
    except OverflowError:  # an integer beyond all floats
        return False
