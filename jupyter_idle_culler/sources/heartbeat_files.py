"""Files that other programs touch to say that they work (U5)."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from ..core.model import HOST, Observation, Strength, Verdict
from .base import Look, Report
from .own_thread import OwnThread

TIME_LIMIT_SECONDS = 2.0


class _Reader:
    """Asks for one file's time, in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread: OwnThread[os.stat_result] = OwnThread(f"idle-culler heartbeat {path.name}")

    async def read(self, time_limit_seconds: float) -> os.stat_result:
        """Return the file's status.

        Raises: OSError, ValueError (a null byte in the path), asyncio.TimeoutError.
        """
        return await self._thread.run(self.path.stat, time_limit_seconds)


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
