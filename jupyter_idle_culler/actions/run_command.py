"""Run a command of the administrator's: ``stop_command``, ``pre_stop_command``."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
from collections.abc import Sequence

from ..core.model import Decision
from .base import Outcome

STOP_TIMEOUT_SECONDS = 300.0
KILL_AFTER_SECONDS = 5.0
_KEPT_BYTES = 8192
_DRAIN_SECONDS = 1.0


class _Watch(asyncio.SubprocessProtocol):
    """Takes what a program prints, so that it never waits, and keeps the last of each stream."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._kept = {1: b"", 2: b""}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._kept[fd] = (self._kept[fd] + data)[-_KEPT_BYTES:]

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if not self.closed.done():
            self.closed.set_result(None)

    def text(self, fd: int) -> str:
        """Return the last that was printed to stdout (1) or stderr (2)."""
        return self._kept[fd].decode("utf-8", "replace").strip()


class RunCommand:
    """Runs one argument list, never through a shell, for at most so long.

    It gets no input and a session of its own. When its time is up, or the server ends, its process
    group is asked to end and, five seconds later, made to. What it prints last is logged.
    """

    def __init__(
        self,
        argv: Sequence[str],
        log: logging.Logger,
        timeout_seconds: float = STOP_TIMEOUT_SECONDS,
        name: str = "command",
    ) -> None:
        self.name = name
        self.argv = tuple(argv)
        self.timeout_seconds = timeout_seconds
        self._log = log
        self._pid: int | None = None

    @property
    def pid(self) -> int | None:
        """The process (and session) that runs now: its work is ours, not evidence."""
        return self._pid

    async def apply(self, decision: Decision) -> Outcome:
        """Run the command; it is done when it ends with exit code 0 in time."""
        del decision
        return await self.run()

    async def run(self) -> Outcome:
        """Run the command and say what became of it."""
        program = self.argv[0] if self.argv else ""
        if not program:
            return Outcome(ok=False, detail=f"{self.name} is empty: there is nothing to run")
        try:
            transport, watch = await asyncio.get_running_loop().subprocess_exec(
                _Watch, *self.argv, stdin=subprocess.DEVNULL, start_new_session=True
            )
        except NotImplementedError:
            detail = f"{self.name}: this system's event loop runs no programs"
            return Outcome(ok=False, detail=detail)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            return Outcome(ok=False, detail=f"{self.name} {program!r} cannot be run: {reason}")
        self._pid = transport.get_pid()
        try:
            in_time = await self._attend(transport, watch)
        finally:
            self._pid = None
            transport.close()
        return self._judge(transport.get_returncode(), in_time, watch.text(1), watch.text(2))

    async def _attend(self, transport: asyncio.SubprocessTransport, watch: _Watch) -> bool:
        """Wait for the program, and say whether it ended in time; see that it has ended."""
        try:
            in_time = bool((await asyncio.wait({watch.exited}, timeout=self.timeout_seconds))[0])
            if not in_time:
                await self._end(transport, watch)
            # What it printed last arrives after its end; but a detached grandchild may hold the
            # pipes open for as long as it lives.
            await asyncio.wait({watch.closed}, timeout=_DRAIN_SECONDS)
        except asyncio.CancelledError:
            await self._end(transport, watch)
            raise
        return in_time

    def _judge(self, code: int | None, in_time: bool, out: str, err: str) -> Outcome:
        for stream, text in (("stdout", out), ("stderr", err)):
            if text:
                self._log.info("Idle culler: %s of %s: %s", stream, self.name, text)
        program = self.argv[0]
        last = f": {err.splitlines()[-1].strip()}" if err else ""
        if not in_time:
            detail = f"{self.name} {program!r} ran longer than {self.timeout_seconds:g} s{last}"
        elif code == 0:
            return Outcome(ok=True, detail=f"{self.name} {program!r} succeeded")
        elif code is not None and code < 0:
            detail = f"{self.name} {program!r} was ended by signal {-code}{last}"
        else:
            detail = f"{self.name} {program!r} failed with exit code {code}{last}"
        return Outcome(ok=False, detail=detail)

    @staticmethod
    async def _end(transport: asyncio.SubprocessTransport, watch: _Watch) -> None:
        """Ask the process group to end, then make it."""
        for sig in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
            if watch.exited.done():
                return
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if hasattr(os, "killpg"):
                    os.killpg(transport.get_pid(), sig)
                else:
                    transport.send_signal(sig)
            await asyncio.wait({watch.exited}, timeout=KILL_AFTER_SECONDS)
