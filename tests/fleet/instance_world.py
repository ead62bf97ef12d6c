"""An account on loopback with notebook instances, and a clock that a test turns."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import boto3

from jupyter_idle_culler.fleet.clients import Clients
from jupyter_idle_culler.fleet.deadline import Deadline
from jupyter_idle_culler.fleet.report import Report
from jupyter_idle_culler.fleet.schedule_run import run
from jupyter_idle_culler.fleet.signals import SIGN_TAG

from ..aws.fleet_stand_in import REGION, FleetStandIn

OFFICE = {"time_zone": "UTC", "days": "mon-fri", "start": "07:00", "stop": "21:00"}
MONDAY = datetime(2026, 3, 2, tzinfo=timezone.utc)
Json = dict[str, Any]


class Office:
    """Notebook instances, and runs of the schedule function at times that a test chooses."""

    def __init__(self, sagemaker: FleetStandIn) -> None:
        self.sagemaker = sagemaker
        self.now = MONDAY
        sagemaker.clock = lambda: self.now

    def at(self, clock: str, day: int = 0) -> Office:
        """Turn the clock to a time of a day, counted from a Monday."""
        hours, minutes = clock.split(":")
        self.now = MONDAY + timedelta(days=day, hours=int(hours), minutes=int(minutes))
        return self

    def add(
        self,
        name: str,
        status: str = "InService",
        *,
        since: str = "00:00",
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Create an instance that is in a state since a time of Monday; return its ARN."""
        hours, minutes = since.split(":")
        modified = MONDAY + timedelta(hours=int(hours), minutes=int(minutes))
        return self.sagemaker.add(name, status, modified=modified, tags=tags)

    def sign(self, name: str, text: str, *, minutes_ago: float = 5) -> None:
        """Have the culler of an instance signal ``working`` or ``idle 30``."""
        at = self.now - timedelta(minutes=minutes_ago)
        arn = self.sagemaker._notebooks[name].arn
        self.sagemaker.tags.setdefault(arn, {})[SIGN_TAG] = f"{at:%Y-%m-%dT%H:%M:%SZ} {text}"

    def run(
        self,
        action: str = "reconcile",
        *,
        schedule: Mapping[str, Any] | None = None,
        deadline: Deadline | None = None,
        **event: Any,
    ) -> Report:
        """Run now, for real, with office hours from 07:00 to 21:00 UTC unless told otherwise."""
        given: Json = {"action": action, "name_contains": "dev-", "dry_run": False}
        if "schedules" not in event:
            given["schedules"] = {"office": {**OFFICE, **(schedule or {})}}
        given |= event
        report = run(
            given,
            {},
            deadline or Deadline.never(),
            now=self.now,
            clients=Clients(REGION, session()),
        )
        self.sagemaker.settle()
        return report

    def status(self, name: str) -> str:
        """Return the state of an instance."""
        return self.sagemaker.at(name)


@functools.cache
def session() -> Any:
    """Return a session of boto3 that reads the models once; addresses it reads for each client."""
    return boto3.session.Session()


def done(report: Report) -> dict[str, str]:
    """Return what was done to whom."""
    return {change["name"]: change["action"] for change in report.changed}


def why(report: Report) -> dict[str, str]:
    """Return who was left alone, and why."""
    return {each["name"]: each["reason"] for each in report.skipped}
