"""Who looks after something that runs: its culler, a lifecycle configuration, SageMaker, nobody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..due import Instance
from ..running_apps import App
from ..signals import SILENT, Signal, read_signal
from .idle_shutdown import OFF, ON, UNKNOWN
from .settings import Settings


@dataclass(frozen=True)
class Watched:
    """Something that runs, and what is known of who watches it.

    ``kind`` is the app's type, or NotebookInstance. ``age_hours`` counts from when it was made
    (an instance: from its last change of state). ``idle_shutdown``: on, off or unknown.
    """

    name: str
    kind: str
    owner: str
    instance_type: str
    age_hours: float
    lifecycle_config: str
    idle_shutdown: str
    signal: Signal

    @property
    def silent(self) -> bool:
        """Whether its culler gives no fresh sign of life."""
        return self.signal.verdict == SILENT

    @property
    def watchers(self) -> tuple[str, ...]:
        """Who is known to look after it; a lifecycle configuration may be about anything."""
        known = {
            "its culler": not self.silent,
            "a lifecycle configuration": bool(self.lifecycle_config),
            "idle shutdown": self.idle_shutdown == ON,
        }
        return tuple(name for name, is_there in known.items() if is_there)

    @property
    def unwatched(self) -> bool:
        """Whether surely nobody looks after it."""
        return not self.watchers and self.idle_shutdown != UNKNOWN

    def to_json(self) -> dict[str, Any]:
        """Return it as the report has it."""
        return {
            "name": self.name,
            "kind": self.kind,
            "owner": self.owner,
            "instance_type": self.instance_type,
            "age_hours": round(self.age_hours, 1),
            "lifecycle_config": self.lifecycle_config,
            "idle_shutdown": self.idle_shutdown,
            "signal": self.signal.verdict,
            "signal_detail": self.signal.reason,
            "watched_by": list(self.watchers),
        }


def watched_app(
    app: App, owner: str, idle_shutdown: str, settings: Settings, now: datetime
) -> Watched:
    """Return what is known of an app. ``owner``: its user, or the space where that has none."""
    return Watched(
        app.path,
        app.kind,
        owner,
        app.instance_type,
        (now - app.created).total_seconds() / 3600,
        app.lifecycle_config,
        idle_shutdown,
        _signal(app.tags, settings, now),
    )


def watched_instance(instance: Instance, settings: Settings, now: datetime) -> Watched:
    """Return what is known of a notebook instance."""
    return Watched(
        instance.name,
        "NotebookInstance",
        "",
        instance.instance_type,
        (now - instance.modified).total_seconds() / 3600,
        instance.lifecycle_config,
        OFF,
        _signal(instance.tags, settings, now),
    )


def _signal(tags: Any, settings: Settings, now: datetime) -> Signal:
    return read_signal(tags, now, settings.signal_max_age_minutes, settings.quiet_minutes)
