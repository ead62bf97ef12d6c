"""Stop this Jupyter server (``stop_action = server``)."""

from __future__ import annotations

from typing import Protocol

from ..core.model import Decision
from .base import Outcome


class StoppableServer(Protocol):
    """What is asked of ``ServerApp``."""

    def stop(self) -> None: ...


class StopServer:
    """Asks the server to stop as ^C would: it ends its extensions, kernels and terminals itself.

    `ServerApp.stop` only schedules its work on the event loop, so the outcome can still be
    recorded. Call it on that loop.
    """

    name = "server"

    def __init__(self, server: StoppableServer) -> None:
        self._server = server

    async def apply(self, decision: Decision) -> Outcome:
        """Ask once; a server that is stopping already is left to it."""
        del decision
        if getattr(self._server, "_stopping", False):
            return Outcome(ok=True, detail="the server was already stopping")
        self._server.stop()
        return Outcome(ok=True, detail="the server was asked to stop")
