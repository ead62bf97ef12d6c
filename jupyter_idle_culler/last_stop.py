"""The record of the last stop: written just before it, shown by the next start, once."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from .journal.past import LONGEST_STOP_SECONDS
from .private_file import replace_private_file
from .status import LastStop

_VERSION = 1
_LARGEST_BYTES = 1 << 20


class LastStops:
    """Keeps the record of the stop before this start, and writes the next one.

    ``loaded`` is what this start found and nobody has dismissed yet (None: nothing). ``problem``
    says what the disk refuses, or what is wrong with the file (None: nothing): no failure here
    stops a stop, or a start.
    """

    def __init__(self, path: Path, log: logging.Logger) -> None:
        self.path = path
        self.loaded: LastStop | None = None
        self.problem: str | None = None
        self._log = log
        self._pending: LastStop | None = None
        self._outliving: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    async def load(self) -> None:
        """Read what the run before left."""
        try:
            self.loaded = await asyncio.to_thread(_read, self.path)
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            self._fail(f"the record of the last stop cannot be read: {self.path} ({error})")

    async def write(self, stop: LastStop) -> None:
        """Write the record of a stop that is about to happen."""
        await self._stay()
        self._pending = stop
        await self._put()

    def accepted(self) -> None:
        """Take note that the stop was accepted: from here on it should come."""
        if self._outliving is None:
            self._outliving = asyncio.create_task(self._outlive(), name="idle-culler last stop")

    async def take_back(self) -> None:
        """Put back what was there before a stop that did not come."""
        self._pending = None
        await self._put()

    async def dismiss(self) -> None:
        """Forget what this start found: somebody has read it."""
        self.loaded = None
        await self._put()

    async def close(self) -> None:
        """Leave the record as it is: this server ends."""
        await self._stay()

    async def _stay(self) -> None:
        waiting, self._outliving = self._outliving, None
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    async def _outlive(self) -> None:
        await asyncio.sleep(LONGEST_STOP_SECONDS)
        await self.take_back()

    async def _put(self) -> None:
        """Have the file say what is to be said at the next start."""
        async with self._turn:
            try:
                await asyncio.to_thread(_replace, self.path, self._pending or self.loaded)
            except (OSError, ValueError) as error:
                self._fail(f"the record of the last stop cannot be written: {self.path} ({error})")
            else:
                self.problem = None

    def _fail(self, problem: str) -> None:
        self.problem = problem
        self._log.warning("Idle culler: %s.", problem)


def _read(path: Path) -> LastStop | None:
    """Read the record. Raises: OSError, ValueError, LookupError, TypeError, RecursionError."""
    try:
        # A pipe or a device there must not keep the start waiting.
        file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return None
    with os.fdopen(file, "rb") as stream:
        found = json.loads(stream.read(_LARGEST_BYTES))
    return _parse(found["stop"])


def _parse(stop: Mapping[str, Any]) -> LastStop:
    at = datetime.fromisoformat(stop["at"])
    idle, asked_by = stop["idle_seconds"], stop["asked_by"]
    if at.tzinfo is None or not (idle is None or math.isfinite(float(idle))):
        message = "it is damaged"
        raise ValueError(message)
    return LastStop(
        at=at,
        reason=str(stop["reason"]),
        evidence=str(stop["evidence"]),
        idle_seconds=None if idle is None else float(idle),
        asked_by=None if asked_by is None else str(asked_by),
        stop_action=str(stop["stop_action"]),
        saved_documents=max(0, int(stop["saved_documents"])),
        unsaved_documents=_names(stop["unsaved_documents"]),
        silent_pages=max(0, int(stop["silent_pages"])),
        kernels=_names(stop["kernels"]),
        terminals=_names(stop["terminals"]),
    )


def _names(names: object) -> tuple[str, ...]:
    if not isinstance(names, list):
        message = "names are not a list"
        raise TypeError(message)
    return tuple(map(str, names))


def _replace(path: Path, stop: LastStop | None) -> None:
    """Replace the file in one step, readable by nobody else; None: remove it. Raises: OSError."""
    if stop is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = json.dumps({"version": _VERSION, "stop": {**asdict(stop), "at": stop.at.isoformat()}})
    replace_private_file(path, text)
