"""The file from which SageMaker's own idle shutdown learns of the evidence seen here.

It takes the newest of what jupyter-activity-monitor-extension sees and of the time in this file.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import os
import secrets
import stat
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

from .environment import Environment, Place

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"
LEAST_SECONDS = 60.0
"""The file is written at most this often."""

_MONITOR = "jupyter_activity_monitor_extension"
_SAME_SECONDS = 1.0
"""Some sources compute an instant anew at each look: so little later is no later evidence."""
_CLOCKS_DIFFER = timedelta(seconds=5)
_MOST_BYTES = 64
_SPACES = (Place.JUPYTERLAB_SPACE, Place.CODE_EDITOR_SPACE, Place.UNIFIED_STUDIO)


def native_shutdown_runs(environment: Environment) -> bool:
    """Tell whether SageMaker's own idle shutdown may run: in a space, or where its monitor is."""
    return environment.place in _SPACES or importlib.util.find_spec(_MONITOR) is not None


class ActivityFile:
    """Keeps the file as fresh as the evidence, and leaves it to age when there is none.

    ``again`` is called when evidence that came too soon after a writing may be written: with newer
    evidence, if there is any. ``clock`` gives seconds.
    """

    def __init__(
        self,
        path: Path,
        log: logging.Logger,
        again: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        least_seconds: float = LEAST_SECONDS,
    ) -> None:
        self.path = path
        self.problem: str | None = None
        self._log, self._again, self._clock = log, again, clock
        self._least_seconds = least_seconds
        self._written = float("-inf")
        self._next_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    def note(self, instant: float, at: datetime) -> None:
        """Take note of the newest evidence: its instant, and that in UTC. Call on the loop."""
        if instant - self._written <= _SAME_SECONDS or self._writing is not None:
            return
        pause = self._next_at - self._clock()
        if pause <= 0:
            self._next_at = self._clock() + self._least_seconds
            self._writing = asyncio.create_task(self._write(instant, at), name="activity file")
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(pause, self._ask_again)

    async def close(self) -> None:
        """Finish what is being written, and write no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)

    def _ask_again(self) -> None:
        self._timer = None
        self._again()

    async def _write(self, instant: float, at: datetime) -> None:
        try:
            await asyncio.to_thread(write_activity, self.path, at)
        except (OSError, ValueError, AttributeError) as error:  # Windows lacks these flags
            problem = f"{self.path}: {getattr(error, 'strerror', None) or error}"
            if problem != self.problem:
                self._log.warning(
                    "Idle culler: SageMaker's own idle shutdown is not told of evidence: %s",
                    problem,
                )
            self.problem = problem
        else:
            self._written, self.problem = instant, None
        finally:
            self._writing = None


def write_activity(path: Path, at: datetime) -> None:
    """Put a time into the file, all at once, unless a later one is there already.

    The file is never written through a symbolic link, nor is anybody else's file replaced.

    Raises: OSError: what stands there is not ours to replace, or cannot be written.
    """
    there = _time_in(path)
    if there is not None and at <= there <= datetime.now(timezone.utc) + _CLOCKS_DIFFER:
        return
    partial = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(partial, flags, 0o644), "w", encoding="ascii") as file:
            file.write(at.astimezone(timezone.utc).strftime(TIME_FORMAT))
        if there is None and not os.path.lexists(path):
            os.link(partial, path)  # unlike a renaming, not over what came meanwhile
        else:
            partial.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            partial.unlink()


def _time_in(path: Path) -> datetime | None:
    """Return the time in our file; None: there is no file, or no time in it.

    Raises: OSError: it is a link, no regular file, or somebody else's.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(status.st_mode):
        message = "it is a symbolic link: nothing is written through it"
        raise OSError(message)
    if not stat.S_ISREG(status.st_mode):
        message = "it is no regular file"
        raise OSError(message)
    if status.st_uid != os.geteuid():
        message = f"it belongs to somebody else (uid {status.st_uid})"
        raise OSError(message)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        text = file.read(_MOST_BYTES).decode("ascii", "replace").strip()
    try:
        return datetime.strptime(text, TIME_FORMAT).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
