"""People in proxied applications: RStudio, TensorBoard, code-server (U3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

from ..core.model import HOST, Observation, Strength, Verdict
from .base import Look, Report

_PACKAGE = "jupyter-server-proxy"
_FIRST_APART = (4, 5)


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


class ProxiedSource:
    """Holds the host active by traffic of proxied applications, so long as such evidence may.

    jupyter-server-proxy 4.5 and later writes the wall-clock time of its traffic (requests,
    websocket messages and pings, both ways) into ``settings["last_activity_times"]``, apart from
    the lab's own polling. Only whether it changed between two looks is read: the wall clock may be
    stepped. So the evidence is at the look that found the change, its latest possible moment.
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
        self._limitations: tuple[str, ...] | None = None
        self._seen = self._recorded()
        self._last: float | None = None

    @property
    def limitations(self) -> tuple[str, ...]:
        """What an old jupyter-server-proxy hides (known from the first look on)."""
        return self._limitations or ()

    async def observe(self, look: Look) -> Report:
        """Say when proxied traffic was last seen."""
        if self._limitations is None:
            self._limitations = self._limits(await asyncio.to_thread(self._version))
        recorded = self._recorded()
        if recorded != self._seen:
            self._seen, self._last = recorded, look.now
        if self._last is None:
            return Report()
        return Report(
            (
                Observation(
                    HOST, self.name, Verdict.IDLE, self._last, "a proxied application in use",
                    Strength.UNATTENDED,
                ),
            )
        )  # fmt: skip

    def _recorded(self) -> object:
        times = self._settings.get("last_activity_times")
        return times.get(_PACKAGE) if isinstance(times, Mapping) else None

    @staticmethod
    def _limits(version: tuple[int, ...] | None) -> tuple[str, ...]:
        if version is None or version >= _FIRST_APART:
            return ()
        return (
            f"{_PACKAGE} is older than 4.5 and does not tell its traffic apart from JupyterLab's "
            "own polling: people in proxied applications (RStudio, code-server) are not seen. "
            f"Upgrade {_PACKAGE}.",
        )
