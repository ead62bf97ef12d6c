"""People in proxied applications: RStudio, TensorBoard, code-server (U3)."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from importlib import metadata
from typing import Any

from ..core.model import HOST, Observation, Strength, Verdict
from .base import Look, Report

_PACKAGE = "jupyter-server-proxy"
_HANDLERS = "jupyter_server_proxy.handlers"
_TIMES = "last_activity_times"
_FIRST_APART = (4, 6)
_MIXED = (
    f"This {_PACKAGE} (older than 4.6) does not tell its traffic apart from JupyterLab's own "
    "polling and could not be taught to: people in proxied applications (RStudio, code-server) "
    f"are not seen. Upgrade {_PACKAGE}."
)


def proxy_version() -> tuple[int, ...] | None:
    """Return the first two numbers of jupyter-server-proxy's version; None: it is not installed.

    Blocks: it reads the package's metadata.
    """
    try:
        version = metadata.version(_PACKAGE)
    except metadata.PackageNotFoundError:
        return None
    numbers = [part for part in version.split(".")[:2] if part.isdigit()]
    return tuple(int(number) for number in numbers)


def teach_old_proxy(handlers: Any) -> bool:
    """Let jupyter-server-proxy before 4.6 write its traffic where later versions do.

    Those call ``ProxyHandler._record_activity`` at the same moments (seen in 3.2, 4.0, 4.1, 4.4 and
    4.5), but it only moves ``api_last_activity``, as the lab's polling does. Returns False where
    there is no such method.
    """
    handler = getattr(handlers, "ProxyHandler", None)
    record = getattr(handler, "_record_activity", None)
    if handler is None or record is None:
        return False
    if not getattr(record, "writes_apart", False):

        def record_apart(self: Any) -> None:
            record(self)
            if getattr(self, "update_last_activity", True):
                self.settings.setdefault(_TIMES, {})[_PACKAGE] = datetime.now(timezone.utc)

        record_apart.writes_apart = True  # type: ignore[attr-defined] # a mark against a second turn
        handler._record_activity = record_apart
    return True


class ProxiedSource:
    """Holds the host active by traffic of proxied applications, so long as such evidence may.

    jupyter-server-proxy 4.6 and later writes the wall-clock time of its traffic (requests,
    websocket messages and pings, both ways) into ``settings["last_activity_times"]``, apart from
    the lab's own polling; older ones are taught to. Only whether it changed between two looks is
    read: the wall clock may be stepped. So the evidence is at the look that found the change, its
    latest possible moment.
    """

    name = "proxied"
    covers = HOST
    essential = False

    def __init__(
        self,
        settings: Mapping[str, Any],
        version: Callable[[], tuple[int, ...] | None] = proxy_version,
    ) -> None:
        self._settings = settings
        self._version = version
        self._ready = False
        self.limitations: tuple[str, ...] = ()
        self._seen = self._recorded()
        self._last: float | None = None

    async def prepare(self) -> None:
        """Find out how traffic is written; call it once all extensions are loaded."""
        if self._ready:
            return
        version = await asyncio.to_thread(self._version)
        handlers = sys.modules.get(_HANDLERS)  # importing it only to look would cost 0.1 s
        old = version is not None and version < _FIRST_APART
        if old and handlers is not None and not teach_old_proxy(handlers):
            self.limitations = (_MIXED,)
        self._ready = True

    async def observe(self, look: Look) -> Report:
        """Say when proxied traffic was last seen."""
        await self.prepare()
        recorded = self._recorded()
        if recorded != self._seen:
            self._seen, self._last = recorded, look.now
        if self._last is None:
            return Report()
        detail = "a proxied application in use"
        return Report(
            (Observation(HOST, self.name, Verdict.IDLE, self._last, detail, Strength.UNATTENDED),)
        )

    def _recorded(self) -> object:
        times = self._settings.get(_TIMES)
        return times.get(_PACKAGE) if isinstance(times, Mapping) else None
