"""Tell the terminals of a host warning, as wall(1) does (2.2: where there is no widget)."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..core.model import Action, Decision
from .base import Outcome

_TIME_LIMIT_SECONDS = 2.0


def framed(text: str) -> str:
    """Return the text on lines of its own, with a bell and without control codes."""
    clean = "".join(c if c.isprintable() else " " for c in text)
    return f"\r\n\a*** {clean} ***\r\n"


class Announcer:
    """Writes a warning once to every Jupyter terminal that somebody looks at, and to the log.

    A Jupyter terminal's browsers get it as output of the terminal; nothing is written to its shell
    or program, so nothing reads it and no time of input moves. ``manager`` asks for the terminal
    manager (None: this server has none). ``other_ttys`` asks for the devices of further terminals
    of the same user (ssh, tmux) to write to; only terminals that ``uid`` owns are.
    """

    name = "announce"

    def __init__(
        self,
        manager: Callable[[], Any],
        log: logging.Logger,
        other_ttys: Callable[[], Iterable[Path]] = tuple,
        uid: int | None = None,
    ) -> None:
        self._manager = manager
        self._log = log
        self._other_ttys = other_ttys
        self._uid = os.getuid() if uid is None and hasattr(os, "getuid") else uid
        self._said_for: float | None = None

    async def apply(self, decision: Decision) -> Outcome:
        """Announce a warning once for each idleness; a cancelled one may come again."""
        if decision.action is Action.CANCEL_WARNING:
            self._said_for = None
            return Outcome(ok=True, detail="the warning was taken back")
        if self._said_for == decision.evidence_at:
            return Outcome(ok=True, detail="this warning was announced already")
        self._said_for = decision.evidence_at
        return await self.announce(decision.reason)

    async def announce(self, text: str) -> Outcome:
        """Write this text now, to the log and to every terminal that takes it."""
        self._log.warning("Idle culler: %s", text)
        message = framed(text)
        reached = self._write_to_clients(message)
        paths = tuple(self._other_ttys())
        if paths:
            writing = asyncio.to_thread(self._write_to_ttys, paths, message.encode())
            try:
                reached += await asyncio.wait_for(writing, _TIME_LIMIT_SECONDS)
            except asyncio.TimeoutError:
                self._log.warning("Idle culler: a terminal did not take the warning in time")
        terminals = "1 terminal" if reached == 1 else f"{reached} terminals"
        return Outcome(ok=True, detail=f"announced to {terminals}")

    def _write_to_clients(self, message: str) -> int:
        """Send it to the browsers of each Jupyter terminal. Returns how many it reached."""
        reached = 0
        terminals = getattr(self._manager(), "terminals", None) or {}
        for terminal in tuple(terminals.values()):
            shown = False
            for client in tuple(getattr(terminal, "clients", ())):
                try:  # a browser that is just leaving must not stop the rest
                    client.on_pty_read(message)
                except Exception:
                    self._log.debug("a terminal's client did not take the warning", exc_info=True)
                else:
                    shown = True
            reached += shown
        return reached

    def _write_to_ttys(self, paths: Iterable[Path], message: bytes) -> int:
        """Write to devices, as the program in front does. Blocks for a moment at most."""
        return sum(self._write_to_tty(path, message) for path in paths)

    def _write_to_tty(self, path: Path, message: bytes) -> bool:
        flags = os.O_WRONLY | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            fd = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0))
        except OSError:
            return False
        try:
            status = os.fstat(fd)
            if status.st_uid != self._uid or not stat.S_ISCHR(status.st_mode) or not os.isatty(fd):
                return False
            return os.write(fd, message) == len(message)
        except OSError:  # a stopped terminal (^S) takes nothing: never wait for it
            return False
        finally:
            os.close(fd)
