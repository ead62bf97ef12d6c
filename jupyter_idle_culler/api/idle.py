"""`GET {base_url}api/idle`, as jupyter-activity-monitor-extension answers it.

SageMaker's own idle shutdown asks there. Where that package is an extension of the running server,
the route stays its own.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web

from .identity import RESOURCE

ROUTE = "/api/idle"
OWNER = "jupyter_activity_monitor_extension"
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fz"


class IdleHandler(APIHandler):
    """Says when the newest evidence was."""

    auth_resource = RESOURCE
    # SageMaker asks every few minutes: that is no activity.
    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer with the time of the newest evidence, in UTC."""
        culler = self.settings.get("idle_culler")
        if culler is None:
            raise web.HTTPError(HTTPStatus.SERVICE_UNAVAILABLE, "the idle culler is not running")
        newest = culler.status().host.evidence.at
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps({"lastActiveTimestamp": newest.strftime(TIME_FORMAT)}))


def idle_route(serverapp: Any) -> list[tuple[str, type[IdleHandler], dict[str, Any]]]:
    """Return the route, unless the extension that it belongs to is on in this server.

    All extensions are linked (where they are on, and can be imported) before one is loaded.
    """
    if serverapp.extension_manager.linked_extensions.get(OWNER):
        return []
    return [(ROUTE, IdleHandler, {})]
