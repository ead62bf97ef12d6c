"""Other cullers beside this one: what they would end, and how to switch them off (2.2)."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_HUB_VARIABLES = ("JUPYTERHUB_ACTIVITY_URL", "JUPYTERHUB_SERVICE_PREFIX", "JUPYTERHUB_API_TOKEN")


@dataclass(frozen=True)
class OtherCuller:
    """One other culler that is on: its setting, its value, and what it would do wrongly.

    ``can_take_over``: it can be switched off from here. ``is_problem``: it would end what works.
    """

    name: str
    value: str
    effect: str
    can_take_over: bool = True
    is_problem: bool = True

    def __str__(self) -> str:
        return f"{self.name} = {self.value}: {self.effect}"


def find_other_cullers(
    serverapp: Any, environ: Mapping[str, str] = os.environ
) -> tuple[OtherCuller, ...]:
    """List the other cullers that are on. Call it when all extensions are loaded.

    Terminals belong to an extension that may load after this one.
    """
    found = []
    kernels = _kernel_manager(serverapp)
    seconds = _number(kernels, "cull_idle_timeout")
    if seconds > 0:
        found.append(
            OtherCuller(
                f"{type(kernels).__name__}.cull_idle_timeout",
                f"{seconds:g} s",
                "ends a kernel whose threads or child processes still work" + _how_wide(kernels),
            )
        )
    terminals = _terminal_manager(serverapp)
    seconds = _number(terminals, "cull_inactive_timeout")
    if seconds > 0:
        found.append(
            OtherCuller(
                f"{type(terminals).__name__}.cull_inactive_timeout",
                f"{seconds:g} s",
                "ends a terminal whose job works without printing",
            )
        )
    seconds = _number(serverapp, "shutdown_no_activity_timeout")
    if 0 < seconds < sys.maxsize:
        found.append(
            OtherCuller(
                "ServerApp.shutdown_no_activity_timeout",
                f"{seconds:g} s",
                "stops the server while background jobs work, and a terminal with a silent job",
            )
        )
    if any(environ.get(name) for name in _HUB_VARIABLES):
        found.append(
            OtherCuller(
                "JupyterHub",
                environ.get("JUPYTERHUB_API_URL", "a hub started this server"),
                "its idle culler, where the hub runs one, may stop this server; it is told of the "
                "activity seen here",
                can_take_over=False,
                is_problem=False,
            )
        )
    return tuple(found)


def take_over(serverapp: Any) -> tuple[OtherCuller, ...]:
    """Switch jupyter_server's own cullers off, those that run already too. Returns what was on."""
    found = tuple(culler for culler in find_other_cullers(serverapp, {}) if culler.can_take_over)
    for manager, setting in (
        (_kernel_manager(serverapp), "cull_idle_timeout"),
        (_terminal_manager(serverapp), "cull_inactive_timeout"),
    ):
        if _number(manager, setting) > 0:
            setattr(manager, setting, 0)
        running = getattr(manager, "_culler_callback", None)
        if running is not None:
            running.stop()
            manager._culler_callback = None
    if _number(serverapp, "shutdown_no_activity_timeout") > 0:
        # Its timer is kept by nobody and cannot be stopped, and with 0 it would stop the server at
        # once: more seconds than will ever pass.
        serverapp.shutdown_no_activity_timeout = sys.maxsize
    return found


def _kernel_manager(serverapp: Any) -> Any:
    return getattr(serverapp, "kernel_manager", None)


def _terminal_manager(serverapp: Any) -> Any:
    return serverapp.web_app.settings.get("terminal_manager")


def _number(holder: Any, name: str) -> float:
    """Return a setting's value; 0 where this manager has no such setting."""
    value = getattr(holder, name, 0)
    return value if isinstance(value, (int, float)) else 0


def _how_wide(kernels: Any) -> str:
    also = []
    if getattr(kernels, "cull_busy", False):
        also.append("one that runs a cell (cull_busy)")
    if getattr(kernels, "cull_connected", False):
        also.append("one with a page open (cull_connected)")
    return f", also {' and '.join(also)}" if also else ""
