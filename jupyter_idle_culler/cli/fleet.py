"""``jupyter idle-culler fleet …``: what runs outside the instances, from a terminal."""

from __future__ import annotations

from typing import Any

from .fleet_apps import add_apps
from .fleet_deploy import add_deploy_commands
from .fleet_endpoints import add_endpoints
from .fleet_form import command
from .fleet_schedules import add_schedule_commands

_EPILOG = """\
examples:
  jupyter idle-culler fleet stop --name-contains dev-            a dry run, as a table
  jupyter idle-culler fleet stop --name-contains dev- --apply    the same, done
  jupyter idle-culler fleet endpoints                            idle endpoints, since when

The same code runs on AWS Lambda. Whatever changes something is a dry run unless --apply. Exit
codes: 0 done, 1 something failed (all else is done), 2 wrong usage.
"""
_PARTS = (
    add_schedule_commands,
    add_apps,
    add_endpoints,
    add_deploy_commands,
)
"""Each adds its commands."""


def add_fleet(commands: Any) -> None:
    """Add the command with its own commands to those of `jupyter idle-culler`."""
    what = "Schedules, idle endpoints, apps and guardrails of a whole AWS account."
    family = command(commands, "fleet", what, epilog=_EPILOG)
    own = family.add_subparsers(metavar="COMMAND", required=True, title="commands")
    for add in _PARTS:
        add(own)
