"""A Studio domain with apps, and a look at it at a time that does not move."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from jupyter_idle_culler.fleet.apps.run import run as run_for
from jupyter_idle_culler.fleet.clients import Clients
from jupyter_idle_culler.fleet.deadline import Deadline
from jupyter_idle_culler.fleet.report import Report
from jupyter_idle_culler.fleet.signals import SIGN_TAG

from ..aws.domain_stand_in import DOMAIN, DomainStandIn, idle_shutdown
from .instance_world import session

NOW = datetime(2026, 3, 10, 12, tzinfo=timezone.utc)
EXEMPT = "idle-culler:exempt"
ON, OFF = idle_shutdown("ENABLED"), idle_shutdown("DISABLED")


def signed(text: str) -> dict[str, str]:
    """Return the tag of a culler that signals ``working`` or ``idle 30``."""
    return {SIGN_TAG: f"{NOW - timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ} {text}"}


def run(deadline: Deadline | None = None, **event: Any) -> Report:
    """Look now."""
    clients = Clients(None, session())
    return run_for(event, {}, deadline or Deadline.never(), now=NOW, clients=clients)


def app(
    studio: DomainStandIn, owner: str, kind: str = "JupyterLab", *, hours: float = 5, **more: Any
) -> str:
    """Create an app that runs for so long; return its name in reports."""
    if not more.get("user") and owner not in studio._spaces:
        studio.add_space(owner, more.pop("of", "ada"), modified=NOW - timedelta(days=3))
    studio.studio_app(owner, kind, **more)
    studio.made(owner, kind, NOW - timedelta(hours=hours))
    return f"{DOMAIN}/{owner}/{kind}/default"


def by_name(report: Report) -> dict[str, dict[str, Any]]:
    """Return what is told of apps, by the names of their owners."""
    return {each["name"].split("/")[1]: each for each in report.details["apps"]}
