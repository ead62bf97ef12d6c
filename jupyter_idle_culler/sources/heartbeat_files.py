"""Files that other programs touch to say that they work (U5)."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path

from ..core.model import HOST, Observation, Strength, Verdict
from .base import Look, Report

TIME_LIMIT_SECONDS = 2.0


class _Reader:
    """Asks for one file's time in a thread of its own: a hung network path blocks nobody else.

    There is never a second thread for a file while one hangs, and none keeps the server from
    ending.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._answer: asyncio.Future[os.stat_result] | None = None

    async def read(self, time_limit_seconds: float) -> os.stat_result:
        """Return the file's status.

        Raises: OSError, asyncio.TimeoutError (and the next call waits for the same answer).
        """
        answer = self._answer
        if answer is None:
            loop = asyncio.get_running_loop()
            answer = self._answer = loop.create_future()
            threading.Thread(
                target=self._ask,
                args=(loop, answer),
                name=f"idle-culler heartbeat {self.path.name}",
                daemon=True,
            ).start()
        done, _ = await asyncio.wait({answer}, timeout=time_limit_seconds)
        if not done:
            raise asyncio.TimeoutError
        self._answer = None
        return answer.result()

    def _ask(self, loop: asyncio.AbstractEventLoop, answer: asyncio.Future[os.stat_result]) -> None:
        result: os.stat_result | Exception
        try:
            result = self.path.stat()
        except (OSError, ValueError) as error:  # ValueError: a null byte in the path
            result = error

        def deliver() -> None:
            if answer.cancelled():
                return
            if isinstance(result, Exception):
                answer.set_exception(result)
                answer.exception()  # nobody may be waiting any more
            else:
                answer.set_result(result)

        try:
            loop.call_soon_threadsafe(deliver)
        except RuntimeError:
            return  # the server has ended meanwhile


class HeartbeatFilesSource:
    """Holds the host active by changes of files' times between looks, so long as such evidence may.

    Times are only compared with those of the look before, never with a clock. A file that appears
    is a change, one that is missing or goes is none. What is no regular file, or cannot be looked
    at, is said once and is in ``problems``.
    """

    name = "heartbeat-files"
    covers = HOST
    essential = False
    limitations: tuple[str, ...] = ()

    def __init__(
        self,
        paths: Sequence[str],
        log: logging.Logger,
        time_limit_seconds: float = TIME_LIMIT_SECONDS,
    ) -> None:
        self._readers = [_Reader(Path(path).expanduser()) for path in dict.fromkeys(paths)]
        self._log = log
        self._time_limit_seconds = time_limit_seconds
        self._touched: dict[Path, int | None] = {}
        self._last: dict[Path, float] = {}
        self.problems: dict[Path, str] = {}

    async def observe(self, look: Look) -> Report:
        """Say for each file when its last change was seen."""
        return Report(
            tuple(await asyncio.gather(*(self._observe(reader, look) for reader in self._readers)))
        )

    async def _observe(self, reader: _Reader, look: Look) -> Observation:
        path = reader.path
        try:
            status = await reader.read(self._time_limit_seconds)
        except (FileNotFoundError, NotADirectoryError):
            self._mend(path)
            self._touched[path] = None
            return self._idle(path, f"heartbeat file {path.name} is missing")
        except asyncio.TimeoutError:
            return self._unknown(path, f"heartbeat file {path}: no answer from its file system")
        except (OSError, ValueError) as error:
            return self._unknown(path, f"heartbeat file {path} cannot be looked at: {error}")
        if not stat.S_ISREG(status.st_mode):
            self._complain(path, f"heartbeat file {path} is no regular file: it is not counted")
            return self._idle(path, self.problems[path])
        self._mend(path)
        if path in self._touched and self._touched[path] != status.st_mtime_ns:
            self._last[path] = look.now
        self._touched[path] = status.st_mtime_ns
        never = "" if path in self._last else " never"
        return self._idle(path, f"heartbeat file {path.name}{never} touched")

    def _idle(self, path: Path, detail: str) -> Observation:
        return Observation(
            HOST, self.name, Verdict.IDLE, self._last.get(path), detail, Strength.UNATTENDED
        )

    def _unknown(self, path: Path, detail: str) -> Observation:
        self._complain(path, detail)
        return Observation(
            HOST, self.name, Verdict.UNKNOWN, detail=detail, strength=Strength.UNATTENDED,
            essential=False,
        )  # fmt: skip

    def _complain(self, path: Path, detail: str) -> None:
        if self.problems.get(path) != detail:
            self.problems[path] = detail
            self._log.warning("Idle culler: %s.", detail)

    def _mend(self, path: Path) -> None:
        if self.problems.pop(path, None) is not None:
            self._log.info("Idle culler: heartbeat file %s can be looked at again.", path)
