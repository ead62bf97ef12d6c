"""What AWS Lambda calls: parameters from the event, the answer a report.

If anything failed, the batch is finished first and the invocation then fails, so that Lambda shows
it. A bad event changes nothing, and the error names the field.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from typing import Any

from .deadline import Deadline
from .report import Report

_MOST_LOGGED = 200_000
_LOGGED_FIRST = ("dry_run", "matched", "failed", "remaining", "changed")
"""What was left alone is long in a large fleet, and matters least."""
_LOG = logging.getLogger(__name__)


def schedule_handler(event: Any, context: Any = None) -> dict[str, Any]:
    """Start and stop notebook instances. Raises: EventError, FleetFailed."""
    from .schedule_run import run

    return _answered(lambda: run(event, os.environ, Deadline.of_lambda(context)))


def endpoints_handler(event: Any, context: Any = None) -> dict[str, Any]:
    """Find idle endpoints and do what is asked for. Raises: EventError, FleetFailed."""
    from .clients import Clients
    from .endpoints.run import run

    return _answered(lambda: run(event, Clients(), Deadline.of_lambda(context), environ=os.environ))


def apps_handler(event: Any, context: Any = None) -> dict[str, Any]:
    """Tell of apps that run and of what nobody watches. Raises: EventError, FleetFailed."""
    from .apps.run import run

    return _answered(lambda: run(event, os.environ, Deadline.of_lambda(context)))


def budget_handler(event: Any, context: Any = None) -> dict[str, Any]:
    """Stop what runs when a budget is used up. Raises: EventError, FleetFailed."""
    from .budget import run
    from .sns_letters import account_of

    own = account_of(str(getattr(context, "invoked_function_arn", "")))
    deadline = Deadline.of_lambda(context)
    return _answered(lambda: run(event, os.environ, deadline, own_account=own))


def _answered(run: Callable[[], Report]) -> dict[str, Any]:
    report = run()
    answer = report.to_json()
    # Print would do in Lambda; the log's level and time come with this.
    _LOG.warning("%s", _beginning(answer))
    report.raise_if_failed()
    return answer


def _beginning(answer: dict[str, Any]) -> str:
    """Return as much of it as a line of the log takes; the whole may be longer than memory is."""
    answer = {**{key: answer[key] for key in _LOGGED_FIRST}, **answer}
    text = ""
    for part in json.JSONEncoder().iterencode(answer):
        text += part
        if len(text) >= _MOST_LOGGED:
            break
    return text[:_MOST_LOGGED]
