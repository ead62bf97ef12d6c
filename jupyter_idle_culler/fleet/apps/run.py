"""Look at all that runs, tell who watches it, and end apps that are older than a cap."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from ..clients import Clients
from ..deadline import Deadline
from ..due import HARD
from ..listing import matching
from ..notify import publish
from ..order import turned
from ..report import Report
from ..running_apps import IN_SERVICE, UNKNOWN_USER, App, RunningApps, delete_app
from ..selection import NOT_SELECTED, exempt
from ..signals import IDLE
from ..spaces import Space, spaces
from . import message
from .idle_shutdown import UNKNOWN, IdleShutdown
from .settings import Settings, read
from .watch import Watched, watched_app, watched_instance

DELETE = "delete"
Progress = Callable[[str], None]
_TOLD_AFTER = 100


def run(
    event: Any,
    environ: Mapping[str, str],
    deadline: Deadline,
    *,
    now: datetime | None = None,
    progress: Progress = lambda text: None,
    clients: Clients | None = None,
) -> Report:
    """Do what an event asks for. Raises: EventError, and nothing was changed.

    The report's ``details`` have the lists ``apps`` and ``instances`` (what runs, the oldest
    first), ``silent`` and ``unwatched`` (names), ``over_cap`` (names of those that are older than
    the cap and left running), and ``spaces`` (those in which nothing runs).
    """
    settings = read(event, environ)
    clients = clients or Clients(settings.region or None)
    going = _Run(settings, clients, deadline, now or datetime.now(timezone.utc), progress)
    going.look_at_apps()
    if settings.instances:
        going.look_at_instances()
    report = going.report
    report.details |= going.details()
    if settings.topic_arn and message.worth_telling(report):
        told = message.subject(report), message.paragraphs(report), message.subject(report)
        try:
            publish(clients.sns_of(settings.topic_arn), settings.topic_arn, *told)
        except Exception as error:  # boto3's: what was done is done, and must be reported
            report.fail("the topic", error)
    return report


class _Run:
    """One look."""

    def __init__(
        self,
        settings: Settings,
        clients: Clients,
        deadline: Deadline,
        now: datetime,
        progress: Progress,
    ) -> None:
        self._settings, self._clients, self._deadline = settings, clients, deadline
        self._now, self._progress = now, progress
        self._began = time.monotonic()
        self.report = Report(settings.dry_run)
        self._idle_shutdown = IdleShutdown(clients, self.report.fail)
        self._apps: list[Watched] = []
        self._instances: list[Watched] = []
        self._over_cap: list[str] = []
        self._empty: list[Space] = []

    def look_at_apps(self) -> None:
        """Look at each app, and delete it where that is asked for and due."""
        known: dict[tuple[str, str], Space] | None = None
        try:
            known = spaces(self._clients)
        except Exception as error:  # owners are unknown then; apps are looked at all the same
            self.report.fail("the spaces", error)
        self._running = RunningApps(self._clients, self._settings.selection, known or {})
        found: list[App] = []
        complete = True
        try:
            for number, app in enumerate(self._running, 1):
                if number % _TOLD_AFTER == 0:
                    self._progress(f"{number} apps")
                found.append(app)
        except Exception as error:  # a page or tags that cannot be read: those before are done
            self.report.fail("the apps", error)
            complete = False
        for app in turned(found, self._now):
            self._app(app, (known or {}).get((app.domain, app.owner)))
        if complete and not self.report.remaining:
            used = {(app.domain, app.owner) for app in found}
            chosen = self._settings.selection
            self._empty = [
                space
                for place, space in (known or {}).items()
                if place not in used and not chosen.tags and chosen.matches_name(space.name)
            ]

    def _app(self, app: App, space: Space | None) -> None:
        self.report.matched += 1
        late = self._deadline.near()
        shutdown = UNKNOWN if late else self._idle_shutdown.of(app, space)
        owner = space.owner if space is not None and space.owner else app.owner
        seen = watched_app(app, owner, shutdown, self._settings, self._now)
        if not app.costs_nothing:
            self._apps.append(seen)
        if late:
            self.report.remaining.append(app.path)
            return
        if self._settings.max_age is None:
            return
        try:
            kept = self._kept(app, seen)
            if not kept and not self._settings.dry_run:
                kept = self._kept_by_now(app, seen)
                if not kept:
                    delete_app(self._clients, app)
        except Exception as error:  # boto3's: the others are not to suffer
            self.report.fail(app.path, error)
            return
        if kept:
            self.report.skip(app.path, kept)
            return
        reason = f"it runs for {seen.age_hours:.1f} hours; {seen.signal.reason}"
        self.report.change(app.path, action=DELETE, reason=reason, instance_type=app.instance_type)

    def _kept_by_now(self, app: App, seen: Watched) -> str:
        """Look again; return why an app is left running after all."""
        latest = self._running.as_now(app)
        if latest is None:
            return NOT_SELECTED
        now = self._now + timedelta(seconds=time.monotonic() - self._began)
        again = watched_app(latest, seen.owner, seen.idle_shutdown, self._settings, now)
        return self._kept(latest, again)

    def _kept(self, app: App, seen: Watched) -> str:
        """Return why an app is left running; empty: it goes."""
        most = self._settings.max_age
        if exempt(app.tags):
            return "its tags exempt it"
        if app.costs_nothing:
            return "it costs nothing"
        if most is not None and self._now - app.created < most:
            return f"it runs for {seen.age_hours:.1f} hours only"
        if not app.user_known:
            self._over_cap.append(app.path)
            return UNKNOWN_USER
        if self._settings.stop_mode == HARD or seen.signal.verdict == IDLE:
            return ""
        self._over_cap.append(app.path)
        return seen.signal.reason

    def look_at_instances(self) -> None:
        """Look at each notebook instance that runs."""
        for batch in matching(
            self._clients, self._settings.selection, self.report.fail, self._progress
        ):
            if self._deadline.near():
                self.report.remaining += [each.name for each in batch]
                self.report.details["not_listed_after"] = batch[-1].name
                return
            for instance in batch:
                if instance.status == IN_SERVICE:
                    self.report.matched += 1
                    seen = watched_instance(instance, self._settings, self._now)
                    self._instances.append(seen)

    def details(self) -> dict[str, Any]:
        """Return the lists of the report."""
        found = [*self._apps, *self._instances]
        return {
            "apps": _oldest_first(self._apps),
            "instances": _oldest_first(self._instances),
            "silent": [seen.name for seen in found if seen.silent],
            "unwatched": [seen.name for seen in found if seen.unwatched],
            "over_cap": self._over_cap,
            "spaces": [
                {
                    "name": f"{space.domain}/{space.name}",
                    "owner": space.owner,
                    "volume_gb": space.volume_gb,
                    "unchanged_days": (self._now - space.modified).days,
                }
                for space in self._empty
            ],
        }


def _oldest_first(found: list[Watched]) -> list[dict[str, Any]]:
    return [seen.to_json() for seen in sorted(found, key=lambda seen: -seen.age_hours)]
