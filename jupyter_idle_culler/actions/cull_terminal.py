"""End one terminal, and see that it is really gone."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Mapping
from typing import Any

from ..core.model import Decision
from ..sources.procfs import Process, read_process
from .base import Outcome

log = logging.getLogger(__name__)

GONE_WITHIN_SECONDS = 5.0
_END_READ_WITHIN_SECONDS = 1.0
_POLL_SECONDS = 0.05


class CullTerminal:
    """Ends the terminal that a decision names.

    Only its shell is signalled (SIGHUP first, as when a window closes), never its session: jobs
    that were detached by ``nohup``, ``disown``, ``setsid`` or tmux live on.
    """

    name = "cull-terminal"

    def __init__(
        self, settings: Mapping[str, Any], gone_within_seconds: float = GONE_WITHIN_SECONDS
    ) -> None:
        self._settings = settings
        self._gone_within_seconds = gone_within_seconds

    async def apply(self, decision: Decision) -> Outcome:
        """End the terminal; ok only when the server no longer has it and its shell has ended."""
        name = decision.resource.name
        manager = self._settings.get("terminal_manager")
        pty = getattr(manager, "terminals", {}).get(name)
        if manager is None or pty is None:
            return Outcome(True, f"Terminal {name} was already gone")
        shell = await asyncio.to_thread(_shell, pty)
        try:
            ended = manager.terminate(name, force=True)
            if inspect.isawaitable(ended):
                await ended
        except Exception as error:
            if manager.terminals.get(name) is pty:
                return Outcome(False, f"Terminal {name} could not be ended: {error}")
            log.debug("Terminal %s ended while it was being ended", name, exc_info=True)
        return await self._verify(manager, name, pty, shell)

    async def _verify(self, manager: Any, name: str, pty: Any, shell: Process | None) -> Outcome:
        now = asyncio.get_running_loop().time
        deadline = now() + self._gone_within_seconds
        drop_at: float | None = None
        while True:
            alive = await asyncio.to_thread(_alive, shell) if shell else _says_alive(pty)
            if manager.terminals.get(name) is not pty and not alive:
                return Outcome(True, f"Terminal {name} was ended")
            if alive and now() >= deadline:
                pid = getattr(pty.ptyproc, "pid", "?")
                return Outcome(False, f"Terminal {name} still runs: its shell {pid} did not end")
            if not alive and drop_at is None:
                drop_at = now() + _END_READ_WITHIN_SECONDS
            if drop_at is not None and now() >= drop_at:
                _drop(manager, pty)
                if manager.terminals.get(name) is pty:
                    return Outcome(
                        False, f"Terminal {name} has ended, but the server still lists it"
                    )
            await asyncio.sleep(_POLL_SECONDS)


def _shell(pty: Any) -> Process | None:
    try:
        return read_process(pty.ptyproc.pid)
    except (AttributeError, TypeError):
        return None


def _alive(shell: Process) -> bool:
    now = read_process(shell.pid)
    return now is not None and now.key == shell.key and now.state not in ("Z", "X")


def _says_alive(pty: Any) -> bool:
    try:
        return bool(pty.ptyproc.isalive())
    except Exception:
        return False


def _drop(manager: Any, pty: Any) -> None:
    """Have the manager forget a terminal whose shell has ended, and tell its tabs.

    A detached job can keep the terminal's device open: then the server never reads its end. This
    is what `terminado.management.TermManagerBase.pty_read` does at an end.
    """
    try:
        manager.on_eof(pty)
        for client in list(pty.clients):
            client.on_pty_died()
    except Exception:
        log.debug("A terminal without its shell could not be dropped", exc_info=True)
