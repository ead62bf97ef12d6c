"""The schedule function: its event, its run, and what is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from .clients import Clients
from .deadline import Deadline
from .due import HARD, SOFT, START, STOP, Rules
from .events import EventError, EventReader
from .instances import Plan, Run
from .listing import Progress
from .notify import publish
from .report import DRY, Report, groups
from .schedules import read_schedules
from .signals import MOST_MINUTES, read_ages

RECONCILE = "reconcile"


def read_plan(reader: EventReader) -> Plan:
    """Read what is to be done. Raises: EventError."""
    action = reader.choice("action", (START, STOP, RECONCILE))
    rules = Rules(
        action,
        reader.choice("stop_mode", (SOFT, HARD), SOFT),
        timedelta(minutes=reader.number("grace_minutes", 120, most=MOST_MINUTES)),
        *read_ages(reader),
    )
    schedules = read_schedules(reader.object("schedules"))
    default = reader.text("default_schedule")
    field = "schedules"
    if action == RECONCILE and not schedules:
        raise EventError(field, "reconcile needs at least one")
    field = "default_schedule"
    for name in default.split():
        if name not in schedules:
            raise EventError(field, f"{name!r} is none of the schedules")
    if not default and len(schedules) == 1:
        default = next(iter(schedules))
    return Plan(rules, reader.selection(), schedules, default, reader.dry_run())


def run(
    event: Any,
    environ: Mapping[str, str],
    deadline: Deadline,
    *,
    now: datetime | None = None,
    progress: Progress | None = None,
    clients: Clients | None = None,
) -> Report:
    """Read an event, do what it says, tell the topic. Raises: EventError, before any change."""
    reader = EventReader(event, environ)
    plan = read_plan(reader)
    topic = reader.topic()
    region = reader.text("region")
    every = timedelta(minutes=reader.number("every_minutes", 0, most=MOST_MINUTES))
    reader.finish()
    now = now or datetime.now(timezone.utc)
    clients = clients or Clients(region or None)
    going = Run(clients, plan, now, deadline)
    report = going.run(progress)
    anything = report.matched or report.failed
    # Who calls it by hand wants an answer; what is called each quarter of an hour tells news.
    if topic and (_news(report, going.since, now, every) if every else anything):
        try:
            told = subject(report), paragraphs(report), subject(report)
            publish(clients.sns_of(topic), topic, *told)
        except Exception as error:  # boto3's: what was done is done, and must be reported
            report.fail("the topic", error)
    return report


def _news(report: Report, since: Mapping[str, datetime], now: datetime, every: timedelta) -> bool:
    """Tell whether a run, ``every`` so often, has something that no earlier one has told.

    What is so since a known time is news for so long; what fails again and again, once an hour.
    """

    def new(names: list[dict[str, Any]]) -> bool:
        return any(now - since.get(each["name"], now) < every for each in names)

    hourly = timedelta(minutes=now.minute, seconds=now.second) < every
    return bool(
        report.remaining
        or (report.changed and not report.dry_run)
        or (report.failed and hourly)
        or new([*report.changed, *report.failed])
        or new([each for each in report.skipped if each["name"] in since])
    )


def subject(report: Report) -> str:
    """Return a report in a line."""
    counts = {
        word: sum(change["action"] == action for change in report.changed)
        for word, action in (("started", START), ("stopped", STOP))
    }
    told = [f"{count} {word}" for word, count in counts.items() if count]
    if report.failed:
        told.append(f"{len(report.failed)} failed")
    told.append(f"{len(report.skipped)} left alone")
    dry = "dry run, would be: " if report.dry_run else ""
    return f"Notebook instances: {dry}{', '.join(told)}"


def paragraphs(report: Report) -> list[str]:
    """Return a report in sentences, a group a paragraph."""
    rows = {
        "Started": [_changed(c) for c in report.changed if c["action"] == START],
        "Stopped": [_changed(c) for c in report.changed if c["action"] == STOP],
        "Failed": [f"{each['name']}: {each['error']}" for each in report.failed],
        "Left to the next run, for lack of time": report.left(),
        "Left alone": [f"{each['name']}: {each['reason']}" for each in report.skipped],
    }
    return ([DRY] if report.dry_run else []) + groups(rows)


def _changed(change: Mapping[str, Any]) -> str:
    return f"{change['name']} ({change['instance_type']}): {change['reason']}"
