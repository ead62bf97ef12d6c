"""``jupyter idle-culler fleet endpoints`` and ``restore``: idle endpoints, from a terminal."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..fleet.deadline import Deadline
from ..fleet.endpoints.message import instances, peaks, since
from ..fleet.endpoints.restoring import restore
from ..fleet.endpoints.run import run
from ..fleet.endpoints.settings import ACTIONS, DELETE, MARK, REPORT, SCALE_TO_ZERO
from ..fleet.report import Report
from .fleet_form import (
    USAGE,
    add_account,
    add_acting,
    add_selection,
    clients_of,
    command,
    json_file,
    progress_line,
    selected,
    table,
    tell,
    told,
)

_EPILOG = """\
examples:
  jupyter idle-culler fleet endpoints
      what is idle, since when, at which price
  jupyter idle-culler fleet endpoints --region eu-central-1 --region us-east-1 \\
      --idle-hours 72 --prices prices.json
  jupyter idle-culler fleet endpoints mark --tag team=a --apply
      tag what is idle with the date
  jupyter idle-culler fleet endpoints delete --name-contains dev- --save-to s3://bucket/endpoints
      what would be marked, and what deleted
  jupyter idle-culler fleet endpoints delete --name-contains dev- --save-to ./saved \\
      --topic ARN --apply
  jupyter idle-culler fleet endpoints scale-to-zero --all --save-to ./saved --apply
  jupyter idle-culler fleet restore ./saved/eu-central-1/dev-chat-20261124T081500.json --apply

An endpoint is idle when it is known that nothing invoked it for --idle-hours; what is not known is
told apart. delete first marks what is idle; what is still idle when its grace is over is saved and
deleted. prices.json: {"ml.m5.large": 0.138}, an hour of each instance type.
"""
_RESTORE_EPILOG = """\
examples:
  jupyter idle-culler fleet restore ./saved/eu-central-1/dev-chat-20261124T081500.json
  jupyter idle-culler fleet restore \\
      s3://bucket/endpoints/eu-central-1/dev-chat-20261124T081500.json --apply

It comes back in the region it was in: configuration, endpoint, inference components, autoscaling
and tags. One that was interrupted goes on. Models must still be there.
"""
_WORDS = {
    MARK: ("marked", "would mark"),
    "unmark": ("mark removed", "would remove mark"),
    DELETE: ("deleted", "would delete"),
    SCALE_TO_ZERO: ("goes to zero", "would go to zero"),
    "restore": ("restored", "would restore"),
}
_COLUMNS = ("reason", "may_be_deleted_after", "saved", "steps")
_TITLES = {
    "idle": "Idle",
    "idle_variants": "Idle variants and components of endpoints that are busy",
    "idle_costs_nothing": "Idle, cost nothing",
    "unknown": "Unknown: no traffic was seen, and nothing proves that there was none",
}


def add_endpoints(commands: Any) -> None:
    """Add ``endpoints`` and ``restore`` to the commands of ``fleet``."""
    text = "Find idle endpoints; mark them, delete them after a grace, scale them to zero."
    parser = command(commands, "endpoints", text, _run, _EPILOG)
    parser.add_argument(
        "action",
        nargs="?",
        choices=ACTIONS,
        default=REPORT,
        metavar="ACTION",
        help=f"one of {', '.join(ACTIONS)} (default: {REPORT})",
    )
    add_selection(parser)
    when = parser.add_argument_group("when, and how")
    for name, default, text in (
        ("idle", 24, "how long nothing invoked it"),
        ("grace", 72, "delete: how long it is marked before it goes"),
    ):
        when.add_argument(
            f"--{name}-hours",
            type=float,
            default=default,
            metavar="HOURS",
            help=f"{text} ({default})",
        )
    when.add_argument(
        "--save-to",
        default="",
        metavar="PLACE",
        help="a folder or s3://bucket/prefix: what is deleted or scaled is saved there first",
    )
    when.add_argument(
        "--prices", type=Path, metavar="FILE", help="JSON: the price of an hour by instance type"
    )
    when.add_argument(
        "--include-free",
        action="store_true",
        help="mark and delete also what costs nothing: serverless, and endpoints at zero",
    )
    when.add_argument(
        "--no-topic",
        action="store_true",
        help="delete: nobody is told but who reads this output; else --topic must be given",
    )
    add_acting(parser)
    add_account(parser, several_regions=True)

    text = "Restore an endpoint that was deleted, or the autoscaling of one that was scaled."
    restoring = command(commands, "restore", text, _restore, _RESTORE_EPILOG)
    restoring.add_argument("file", metavar="FILE", help="what was saved: a path, or s3://…")
    restoring.add_argument("--apply", action="store_true", help="do it (without: a dry run)")
    restoring.add_argument("--profile", default="", help="a profile of the AWS configuration")
    restoring.add_argument("--json", action="store_true", help="print the report as JSON")
    restoring.set_defaults(region="")


def _run(arguments: argparse.Namespace) -> int:
    deletes = arguments.action == DELETE and arguments.apply
    if deletes and bool(arguments.topic) == arguments.no_topic:
        tell("delete --apply needs one of --topic ARN and --no-topic: who is told of the marks")
        return USAGE
    event: dict[str, Any] = {
        "action": arguments.action,
        **selected(arguments),
        "idle_hours": arguments.idle_hours,
        "grace_hours": arguments.grace_hours,
        "regions": arguments.region,
        "save_to": arguments.save_to,
        "include_free": arguments.include_free,
        "dry_run": not arguments.apply,
        "topic_arn": arguments.topic,
        "notify": not arguments.no_topic,
    }
    if not arguments.all:
        del event["match_all"]  # what only reports means all where nothing is chosen
    if arguments.prices is not None:
        event["prices"] = json_file(arguments.prices, "prices")
    clients = clients_of(arguments)
    if not clients.region:
        tell("no region is known: give one with --region")
        return USAGE
    with progress_line() as progress:
        report = run(event, clients, Deadline.never(), progress=progress)
    if not arguments.json:
        for line in _found(report):
            print(line)
    return told(arguments, report, _WORDS, _COLUMNS)


def _found(report: Report) -> Iterator[str]:
    """Yield what was found, a list after the other, an empty line behind each."""
    for key, title in _TITLES.items():
        found = report.details[key]
        if found:
            yield f"{title} ({len(found)})"
            yield from (f"  {line}" for line in table([_row(one) for one in found]))
            yield ""
    prices = [one["hourly_price"] for one in report.details["idle"]]
    known = [price for price in prices if price is not None]
    if known:
        less = "" if len(known) == len(prices) else f" ({len(prices) - len(known)} unknown)"
        yield f"Idle endpoints cost {sum(known):.2f} an hour{less}."
        yield ""


def _row(found: dict[str, Any]) -> Sequence[str]:
    part = f" / {found['part']}" if "part" in found else ""
    price = found["hourly_price"]
    return (
        f"{found['name']}{part}",
        found["region"],
        found["kind"],
        instances(found),
        since(found),
        peaks(found),
        "" if price is None else f"{price:.2f}/h",
    )


def _restore(arguments: argparse.Namespace) -> int:
    clients = clients_of(arguments)
    with progress_line() as progress:
        report = restore(clients, arguments.file, dry_run=not arguments.apply, progress=progress)
    if not arguments.json:
        for change in report.changed:
            change["steps"] = ", ".join(change["steps"])
    return told(arguments, report, _WORDS, _COLUMNS)
