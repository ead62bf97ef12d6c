"""What people are told of a look at apps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..report import Report, groups


def worth_telling(report: Report) -> bool:
    """Tell whether there is anything that somebody should know."""
    return bool(
        report.changed or report.failed or report.remaining or report.details.get("unwatched")
    )


def subject(report: Report) -> str:
    """Return a report in a line."""
    told = [f"{len(report.details['apps'])} Studio apps run"]
    if report.details["unwatched"]:
        told.append(f"{len(report.details['unwatched'])} that nobody watches")
    if report.changed:
        told.append(f"{len(report.changed)} {'would be ' if report.dry_run else ''}deleted")
    if report.failed:
        told.append(f"{len(report.failed)} failed")
    return ", ".join(told)


def paragraphs(report: Report) -> list[str]:
    """Return a report in sentences, a group a paragraph."""
    details, deleted = report.details, "Would be deleted (dry run)" if report.dry_run else "Deleted"
    running = [*details["apps"], *details["instances"]]
    unwatched = set(details["unwatched"])
    rows = {
        deleted: [
            f"{each['name']} ({each['instance_type']}): {each['reason']}" for each in report.changed
        ],
        "Failed": [f"{each['name']}: {each['error']}" for each in report.failed],
        "Left to the next run, for lack of time": report.left(),
        "Nobody watches": [line(each) for each in running if each["name"] in unwatched],
        "Their culler gives no sign of life": [
            line(each)
            for each in running
            if each["name"] in details["silent"] and each["name"] not in unwatched
        ],
        "Older than the cap, and left running": [
            f"{each['name']}: {each['reason']}"
            for each in report.skipped
            if each["name"] in details["over_cap"]
        ],
    }
    return groups(rows)


def line(seen: Mapping[str, Any]) -> str:
    """Return something that runs in a line."""
    owner = f" of {seen['owner']}" if seen["owner"] else ""
    watchers = f", watched by {', '.join(seen['watched_by'])}" if seen["watched_by"] else ""
    return (
        f"{seen['name']} ({seen['instance_type']}{owner}): {seen['age_hours']:g} hours old"
        f"{watchers}"
    )
