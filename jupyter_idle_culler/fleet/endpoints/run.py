"""Look at all endpoints of some regions, do what is asked for, tell of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ..clients import Clients
from ..deadline import Deadline
from ..notify import publish
from ..order import turned
from ..report import Report
from . import message
from .marks import Mark, remove_mark, set_mark
from .region import LISTS, Progress, Region
from .settings import MARK, Settings, read

_Marked = tuple[Clients, str, Mark]
"""A new mark: the clients of its region, its name in the report, and itself."""


def run(
    event: Any,
    clients: Clients,
    deadline: Deadline,
    *,
    environ: Mapping[str, str] | None = None,
    now: datetime | None = None,
    progress: Progress = lambda text: None,
) -> Report:
    """Do what an event asks for. Raises: EventError, and nothing was changed.

    ``environ`` has what the event leaves out. The report's ``details`` have the lists ``idle``,
    ``idle_costs_nothing``, ``unknown`` and ``idle_variants``, and ``after``, which is empty unless
    the run had to end early: with it in an event, the next run goes on exactly there. Without it
    the next run begins somewhere else by itself (see `order`).
    """
    settings = read(event, environ or {})
    moment = now or _utc()
    report = Report(settings.dry_run)
    report.details |= {"action": settings.action, "after": {}, "idle_variants": []}
    report.details |= {key: [] for key in LISTS.values()}
    marked: list[_Marked] = []
    for region in _in_order(settings, clients, moment):
        its = clients if region == clients.region else type(clients)(region, clients.session)
        clock = _utc if now is None else lambda: moment
        one = Region(settings, its, region, deadline, moment, report, progress, clock)
        try:
            one.run()
        except Exception as error:  # a region that cannot be read is told; the others are done
            report.fail(region, error)
        marked += [(its, name, mark) for name, mark in one.marked]
    for key in ("idle_variants", *LISTS.values()):
        report.details[key].sort(key=lambda f: (f["region"], f["name"], f.get("part", "")))
    if settings.topic_arn and message.worth_telling(report):
        _tell(settings, clients, report, marked)
    return report


def _utc() -> datetime:
    return datetime.now(timezone.utc)


def _in_order(settings: Settings, clients: Clients, now: datetime) -> list[str]:
    """Return the regions; first those in which a run before was cut short."""
    regions = turned(settings.regions or (clients.region,), now)
    return sorted(regions, key=lambda region: region not in settings.after)


def _tell(settings: Settings, clients: Clients, report: Report, marked: Sequence[_Marked]) -> None:
    """Publish, and let the new marks count; where that fails, take them back.

    No grace runs of which nobody knows.
    """
    told = message.subject(report), message.paragraphs(report), message.short(report)
    try:
        publish(clients.sns_of(settings.topic_arn), settings.topic_arn, *told)
    except Exception as error:  # told in the report, which fails then
        report.fail(settings.topic_arn, error)
        _take_back(report, marked)
        return
    for its, name, mark in marked:
        try:
            set_mark(its.sagemaker, mark)
        except Exception as error:  # the next run marks it anew
            report.fail(name, f"its mark does not count yet: {error}")


def _take_back(report: Report, marked: Sequence[_Marked]) -> None:
    taken_back: set[str] = set()
    for its, name, mark in marked:
        try:
            remove_mark(its.sagemaker, mark.arn)
            taken_back.add(name)
            report.skip(name, "its mark was taken back: nobody could be told")
        except Exception as error:  # it does not count
            report.fail(name, error)
    report.changed[:] = [
        one for one in report.changed if one["action"] != MARK or one["name"] not in taken_back
    ]
