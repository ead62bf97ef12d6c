"""``jupyter idle-culler fleet start|stop|reconcile``: the schedule function from a terminal."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..fleet.deadline import Deadline
from ..fleet.due import START, STOP
from ..fleet.schedule_run import RECONCILE, run
from .fleet_form import (
    add_account,
    add_acting,
    add_selection,
    clients_of,
    command,
    json_file,
    progress_line,
    selected,
    told,
)

_EPILOG = """\
examples:
  jupyter idle-culler fleet stop --name-contains dev-
      what would be stopped, and why others not
  jupyter idle-culler fleet stop --name-contains dev- --apply
      stop those that are idle
  jupyter idle-culler fleet stop --tag team=a --hard --apply
      stop them whatever they do: work is lost
  jupyter idle-culler fleet start --name-pattern 'dev-*' --apply
  jupyter idle-culler fleet reconcile --schedules office.json --name-contains dev-
      what is due by the schedules just now

A stop is soft: it leaves alone what signals work, and what gives no sign of life. With --schedules
only what is due by them is done; the file has
  {"office-hours": {"time_zone": "Europe/Berlin", "days": "mon-fri", "start": "07:00",
                    "stop": "21:00", "holidays": ["2026-12-25"], "hard_stop": "23:00"}}
"""
_WORDS = {START: ("started", "would start"), STOP: ("stopped", "would stop")}


def add_schedule_commands(commands: Any) -> None:
    """Add start, stop and reconcile to the commands of ``fleet``."""
    for action, text in (
        (START, "Start notebook instances that are stopped."),
        (STOP, "Stop notebook instances that are idle."),
        (RECONCILE, "Start and stop what is due by schedules."),
    ):
        parser = command(commands, action, text, _run, _EPILOG)
        parser.set_defaults(action=action)
        add_selection(parser)
        by = parser.add_argument_group("by schedules")
        by.add_argument(
            "--schedules",
            type=Path,
            metavar="FILE",
            required=action == RECONCILE,
            help="JSON: schedules by their names",
        )
        by.add_argument(
            "--default-schedule",
            default="",
            metavar="NAMES",
            help="for those whose tag idle-culler:schedule names none (default: the only one)",
        )
        if action != START:
            by.add_argument(
                "--grace",
                type=float,
                default=120,
                metavar="MINUTES",
                help="for what a person started in the off-hours (120)",
            )
            parser.add_argument(
                "--hard", action="store_true", help="stop also what works, and what is silent"
            )
        add_acting(parser)
        add_account(parser)


def _run(arguments: argparse.Namespace) -> int:
    event: dict[str, Any] = {
        "action": arguments.action,
        **selected(arguments),
        "default_schedule": arguments.default_schedule,
        "dry_run": not arguments.apply,
        "topic_arn": arguments.topic,
    }
    if arguments.schedules is not None:
        event["schedules"] = json_file(arguments.schedules, "schedules")
    if arguments.action != START:
        event |= {"stop_mode": "hard" if arguments.hard else "soft"}
        event |= {"grace_minutes": arguments.grace}
    with progress_line() as progress:
        report = run(event, {}, Deadline.never(), progress=progress, clients=clients_of(arguments))
    return told(arguments, report, _WORDS)
