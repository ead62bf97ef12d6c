"""The budget function: above a threshold, and only when asked to, it stops what runs.

AWS Budgets cannot stop SageMaker; it tells a topic, and the topic calls this. It tells once a
period for each of its thresholds, so whatever is left running is named in the report.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from .budget_alert import BudgetAlert, read_alert
from .clients import Clients
from .deadline import Deadline
from .due import HARD, SOFT, STOP, Rules
from .events import EventError, EventReader
from .instances import Plan, Run
from .notify import publish
from .report import DRY, Report, groups
from .running_apps import UNKNOWN_USER, App, RunningApps, delete_app
from .selection import NOT_SELECTED, Selection, exempt
from .signals import IDLE, MAX_AGE_MINUTES, QUIET_MINUTES, read_ages, read_signal
from .sns_letters import Letter, letters_of

DELETE = "delete"
_MOST_PERCENT = 1_000_000.0


@dataclass(frozen=True)
class Settings:
    """What is to be done, and when. ``budget_name``: only of this budget; empty: of any."""

    selection: Selection
    above_percent: float = 100
    on_forecast: bool = False
    budget_name: str = ""
    stop_mode: str = SOFT
    notebooks: bool = True
    apps: bool = True
    dry_run: bool = True
    topic_arn: str = ""
    region: str = ""
    signal_max_age_minutes: float = MAX_AGE_MINUTES
    quiet_minutes: float = QUIET_MINUTES


Alerts = list[tuple[Letter, BudgetAlert]]


def read(event: Any, environ: Mapping[str, str], own_account: str = "") -> tuple[Settings, Alerts]:
    """Read an event of SNS, or one with the notification as ``message``. Raises: EventError.

    An event of SNS has no room for settings: they are in the environment then. ``own_account``: of
    the function; empty: not known.
    """
    letters = letters_of(event)
    reader = EventReader(event if letters is None else {}, environ)
    settings = Settings(
        reader.selection(),
        reader.number("above_percent", 100, most=_MOST_PERCENT),
        reader.flag("on_forecast", False),
        reader.text("budget_name"),
        reader.choice("stop_mode", (SOFT, HARD), SOFT),
        reader.flag("notebooks", True),
        reader.flag("apps", True),
        reader.dry_run(),
        reader.topic(),
        reader.text("region"),
        *read_ages(reader),
    )
    account = _account(reader, own_account)
    if letters is None:
        field = "message"
        letters = [Letter(field, reader.text(field))]
    reader.finish()
    if account:
        for letter in letters:
            letter.check_account(account)
    return settings, [(letter, read_alert(letter.text, letter.place)) for letter in letters]


def _account(reader: EventReader, default: str) -> str:
    field = "account"
    given = reader.text(field)
    if given and not re.fullmatch(r"\d{12}", given):
        raise EventError(field, "must be the number of an account, 12 digits")
    return given or default


def run(
    event: Any,
    environ: Mapping[str, str],
    deadline: Deadline,
    *,
    own_account: str = "",
    now: datetime | None = None,
    clients: Clients | None = None,
) -> Report:
    """Read a notification, do what it calls for, tell of it. Raises: EventError, before that."""
    settings, alerts = read(event, environ, own_account)
    clients = clients or Clients(settings.region or None)
    report = Report(settings.dry_run)
    report.details["budgets"] = [alert.to_json() for _, alert in alerts]
    now = now or datetime.now(timezone.utc)
    acting = None
    for letter, alert in alerts:
        held = letter.stale(now) or _held_back(alert, settings)
        if held:
            report.skip(alert.name, held)
        else:
            acting = alert
    if acting is None:
        return report
    if settings.notebooks:
        _stop_notebooks(clients, settings, now, deadline, report)
    if settings.apps:
        _delete_apps(clients, settings, now, deadline, report)
    if report.remaining:
        # Budgets does not tell twice: a failed invocation is what Lambda repeats.
        report.fail("what remains", f"time did not suffice for {len(report.left())}")
    if settings.topic_arn:
        told = subject(report, acting), paragraphs(report, acting), subject(report, acting)
        try:
            publish(clients.sns_of(settings.topic_arn), settings.topic_arn, *told)
        except Exception as error:  # boto3's: what was done is done, and must be reported
            report.fail("the topic", error)
    return report


def _held_back(alert: BudgetAlert, settings: Settings) -> str:
    if settings.budget_name and alert.name != settings.budget_name:
        return f"only the budget {settings.budget_name} is acted on"
    return alert.holds_back(settings.above_percent, settings.on_forecast)


def _stop_notebooks(
    clients: Clients, settings: Settings, now: datetime, deadline: Deadline, report: Report
) -> None:
    rules = Rules(
        STOP,
        settings.stop_mode,
        signal_max_age_minutes=settings.signal_max_age_minutes,
        quiet_minutes=settings.quiet_minutes,
    )
    plan = Plan(rules, settings.selection, dry_run=settings.dry_run)
    one = Run(clients, plan, now, deadline).run()
    report.matched += one.matched
    report.changed += one.changed
    report.skipped += one.skipped
    report.failed += one.failed
    report.remaining += one.remaining
    report.details |= one.details


def _delete_apps(
    clients: Clients, settings: Settings, now: datetime, deadline: Deadline, report: Report
) -> None:
    running, began = RunningApps(clients, settings.selection), time.monotonic()
    try:
        for app in running:
            report.matched += 1
            reason = _kept(app, settings, now)
            if reason:
                report.skip(app.path, reason)
            elif deadline.near():
                report.remaining.append(app.path)
            elif settings.dry_run:
                _deleted(app, report)
            else:
                passed = timedelta(seconds=time.monotonic() - began)
                _delete(clients, running, app, settings, now + passed, report)
    except Exception as error:  # boto3's: a list or tags that cannot be read
        report.fail("the apps", error)


def _delete(
    clients: Clients,
    running: RunningApps,
    app: App,
    settings: Settings,
    now: datetime,
    report: Report,
) -> None:
    try:
        latest = running.as_now(app)
        reason = NOT_SELECTED if latest is None else _kept(latest, settings, now)
        if reason:
            report.skip(app.path, reason)
            return
        delete_app(clients, app)
    except Exception as error:  # boto3's: the others are not to suffer
        report.fail(app.path, error)
        return
    _deleted(app, report)


def _deleted(app: App, report: Report) -> None:
    report.change(app.path, action=DELETE, instance_type=app.instance_type, reason="asked for")


def _kept(app: App, settings: Settings, now: datetime) -> str:
    """Return why an app is left running; empty: it goes."""
    if exempt(app.tags):
        return "its tags exempt it"
    if app.costs_nothing:
        return "it costs nothing"
    if not app.user_known:
        return UNKNOWN_USER
    if settings.stop_mode == HARD:
        return ""
    age, quiet = settings.signal_max_age_minutes, settings.quiet_minutes
    signal = read_signal(app.tags, now, age, quiet)
    return "" if signal.verdict == IDLE else signal.reason


def subject(report: Report, alert: BudgetAlert) -> str:
    """Return what was done in a line."""
    stopped = sum(change["action"] == STOP for change in report.changed)
    deleted = len(report.changed) - stopped
    told = [f"{stopped} notebook instances stopped"] if stopped else []
    told += [f"{deleted} apps deleted"] if deleted else []
    told += [f"{len(report.failed)} failed"] if report.failed else []
    told += [f"{len(report.skipped)} left running"]
    dry = "dry run, would be: " if report.dry_run else ""
    return f"Budget {alert.name}: {dry}{', '.join(told)}"


def paragraphs(report: Report, alert: BudgetAlert) -> list[str]:
    """Return what was done in sentences, a group a paragraph."""
    forecast = "is forecast to come" if alert.alert == "FORECASTED" else "has come"
    told = [f"SageMaker: it {forecast} to {alert.used} ({alert.amount:g} of {alert.budgeted:g})."]
    if report.dry_run:
        told.append(DRY)
    rows = {
        "Stopped": [_line(each) for each in report.changed if each["action"] == STOP],
        "Deleted": [_line(each) for each in report.changed if each["action"] == DELETE],
        "Failed": [f"{each['name']}: {each['error']}" for each in report.failed],
        "Not done, for lack of time": report.left(),
        "Left running": [f"{each['name']}: {each['reason']}" for each in report.skipped],
    }
    return told + groups(rows)


def _line(change: Mapping[str, Any]) -> str:
    return f"{change['name']} ({change['instance_type']})"
