"""What a look at apps is asked for: the event's fields, each by its rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ..due import HARD, SOFT
from ..events import EventReader
from ..selection import Selection
from ..signals import MAX_AGE_MINUTES, QUIET_MINUTES, read_ages

MOST_HOURS = 24.0 * 365


@dataclass(frozen=True)
class Settings:
    """What is asked for. ``max_age``: older apps are deleted; None: apps are only reported.

    ``instances``: notebook instances are looked at, too.
    """

    selection: Selection
    max_age: timedelta | None = None
    stop_mode: str = SOFT
    instances: bool = True
    signal_max_age_minutes: float = MAX_AGE_MINUTES
    quiet_minutes: float = QUIET_MINUTES
    region: str = ""
    topic_arn: str = ""
    dry_run: bool = True


def read(event: Any, environ: Mapping[str, str]) -> Settings:
    """Read an event. Raises: EventError, that names the field."""
    reader = EventReader(event, environ)
    hours = reader.number("max_age_hours", 0, most=MOST_HOURS)
    settings = Settings(
        # What ends something has to be asked for by name, tag or match_all.
        reader.selection(may_be_all=not hours),
        timedelta(hours=hours) if hours else None,
        reader.choice("stop_mode", (SOFT, HARD), SOFT),
        reader.flag("instances", True),
        *read_ages(reader),
        reader.text("region"),
        reader.topic(),
        reader.dry_run(),
    )
    reader.finish()
    return settings
