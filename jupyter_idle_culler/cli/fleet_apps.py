"""``jupyter idle-culler fleet apps``: what runs, and who watches it, from a terminal."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from ..fleet.apps.run import DELETE, run
from ..fleet.deadline import Deadline
from ..fleet.report import Report
from .fleet_form import (
    add_account,
    add_acting,
    add_selection,
    clean,
    clients_of,
    command,
    progress_line,
    selected,
    table,
    told,
)

_EPILOG = """\
examples:
  jupyter idle-culler fleet apps
      all apps and instances that run, by age
  jupyter idle-culler fleet apps --name-contains dev- --no-instances
  jupyter idle-culler fleet apps --name-contains dev- --max-age 72
      which apps a cap of three days would delete
  jupyter idle-culler fleet apps --name-contains dev- --max-age 72 --apply

Watched by: the culler of this package, where it gives a sign of life (sign_of_life); a lifecycle
configuration; SageMaker's own idle shutdown. A cap is soft: it leaves alone what signals work, and
what gives no sign of life; --hard deletes these, too. Storage stays.
"""
_WORDS = {DELETE: ("deleted", "would delete")}


def add_apps(commands: Any) -> None:
    """Add ``apps`` to the commands of ``fleet``."""
    text = "Show Studio apps and notebook instances that run, and who watches them."
    parser = command(commands, "apps", text, _run, _EPILOG)
    add_selection(parser)
    parser.add_argument(
        "--max-age", type=float, default=0, metavar="HOURS", help="delete apps that are older"
    )
    parser.add_argument(
        "--hard", action="store_true", help="delete also what works, and what is silent"
    )
    parser.add_argument("--no-instances", action="store_true", help="apps only")
    add_acting(parser)
    add_account(parser)


def _run(arguments: argparse.Namespace) -> int:
    event = {
        **selected(arguments),
        "match_all": arguments.all or (not arguments.max_age and not _chosen(arguments)),
        "max_age_hours": arguments.max_age,
        "stop_mode": "hard" if arguments.hard else "soft",
        "instances": not arguments.no_instances,
        "dry_run": not arguments.apply,
        "topic_arn": arguments.topic,
    }
    with progress_line() as progress:
        report = run(event, {}, Deadline.never(), progress=progress, clients=clients_of(arguments))
    if not arguments.json:
        print("\n".join(_lines(report)))
        if not arguments.max_age and not report.failed:
            return 0
    return told(arguments, report, _WORDS)


def _chosen(arguments: argparse.Namespace) -> bool:
    return bool(arguments.name_contains or arguments.name_pattern or arguments.tag)


def _lines(report: Report) -> Iterator[str]:
    details = report.details
    rows: list[tuple[str, ...]] = [("age", "what", "type", "owner", "watched by")]
    for each in sorted(
        [*details["apps"], *details["instances"]], key=lambda each: -each["age_hours"]
    ):
        watchers = ", ".join(each["watched_by"])
        nobody = "NOBODY" if each["name"] in details["unwatched"] else "unknown"
        rows.append(
            (
                f"{each['age_hours']:.1f}h",
                each["name"],
                each["instance_type"],
                each["owner"] or "-",
                watchers or nobody,
            )
        )
    yield from table(rows)
    for space in details["spaces"]:
        yield (
            f"Nothing runs in the space {clean(space['name'])} ({space['volume_gb']} GB,"
            f" unchanged for {space['unchanged_days']} days)."
        )
    yield f"{len(rows) - 1} run, {len(details['unwatched'])} of them watched by nobody."
