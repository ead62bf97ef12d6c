"""The journal: every change, decision and outcome as JSON Lines, written before it is announced.

Each entry has ``time`` (aware UTC, ISO with microseconds, for people), ``t`` (seconds on the
culler's own clock, what `replay` counts with), ``run`` (one start of one culler) and ``event``.

Files are two of ``max_bytes``: the journal and ``….1``, the older half. Each server has a file of
its own, named after its root directory and base URL, which outlive a restart where ports do not.
Should two servers share one all the same, each line is one write in append mode and rotation
happens under a lock beside the file; ``run`` tells their entries apart.

No failure of the disk stops anything: it stands in `Journal.problem` until a later write succeeds,
and what could not be written waits in memory, bounded, for that.
"""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .files import Appender, encode, read_tail

EVENTS = frozenset(
    (
        *("start", "appeared", "changed", "gone", "evidence", "decision", "outcome"),
        *("warning", "keep-alive", "settings", "health", "stop", "end"),
    )
)
_IN_MEMORY = 1000
"""Entries kept for readers and for a disk that fails: about 300 KiB."""
_PATIENCE_SECONDS = 5.0
"""How long anybody waits for the disk; the write itself goes on."""

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Page:
    """The newest entries, newest last, and how many lines among them could not be read."""

    entries: tuple[Entry, ...]
    skipped: int = 0


def default_path(data_dir: Path, mark: str) -> Path:
    """Name the journal of the server with this mark."""
    return data_dir / "idle_culler" / f"journal-{mark}.jsonl"


class Journal:
    """Append to the journal and read it back, off the event loop, in order.

    ``clock`` is the culler's (monotonic seconds). One thread writes; it starts with the first entry
    and ends with `close`. ``problem`` says what the disk refuses (None: nothing), ``lost`` counts
    entries that were given up while it did.
    """

    def __init__(
        self, path: Path, max_bytes: int = 5 << 20, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.path = path
        self.run = uuid.uuid4().hex[:12]
        self.problem: str | None = None
        self.lost = 0
        self._clock = clock
        self._appender = Appender(path, max_bytes)
        self._recent: deque[Entry] = deque(maxlen=_IN_MEMORY)
        self._unwritten: deque[Entry] = deque()
        self._durable = False
        self._mutex = threading.Lock()
        self._writer = ThreadPoolExecutor(1, "idle-culler-journal")
        self._queued: Future[bool] | None = None
        self._closed = False

    @property
    def rotations(self) -> int:
        """How often older entries were dropped: what replay needs must then be written anew."""
        return self._appender.rotations

    async def append(self, event: str, *, durable: bool = False, **fields: Any) -> Entry:
        """Write one entry and return it; ``durable``: it is on the disk before this returns.

        A disk that fails or takes more than 5 s raises nothing: see `problem`.
        """
        entry = self._stamp(event, fields)
        await self._written(durable)
        return entry

    async def append_all(
        self, entries: Sequence[tuple[str, Mapping[str, Any]]], *, durable: bool = False
    ) -> None:
        """Write several entries, each an event and its fields, in one go; none: as `retry`."""
        for event, fields in entries:
            self._stamp(event, fields)
        if entries:
            await self._written(durable)
        else:
            await self.retry()

    async def retry(self) -> bool:
        """Try once more to write what a failing disk refused; say whether all is written."""
        return not self._unwritten or await self._written(durable=False)

    async def read(self, limit: int) -> Page:
        """Read the newest ``limit`` entries, what the disk refused included."""
        if self._closed or self.problem is not None:
            return self._from_memory(limit)
        try:
            reading = asyncio.wrap_future(self._writer.submit(read_tail, self.path, limit))
            entries, skipped = await asyncio.wait_for(reading, _PATIENCE_SECONDS)
        except (OSError, asyncio.TimeoutError):
            return self._from_memory(limit)
        return Page(tuple(entries), skipped)

    async def close(self) -> None:
        """Write what is left, and end the writer's thread."""
        if self._closed:
            return
        await self.retry()
        self._closed = True
        self._writer.shutdown(wait=False)
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        closing = threading.Thread(target=self._writer.shutdown, daemon=True)
        closing.start()
        closing.join(_PATIENCE_SECONDS)
        self._appender.close()

    def _from_memory(self, limit: int) -> Page:
        return Page(tuple(self._recent)[-limit:])

    def _stamp(self, event: str, fields: Mapping[str, Any]) -> Entry:
        if event not in EVENTS:
            message = f"no event of the journal: {event}"
            raise ValueError(message)
        now = datetime.now(timezone.utc).isoformat(timespec="microseconds")
        entry = {"time": now, "t": self._clock(), "run": self.run, "event": event, **fields}
        self._recent.append(entry)
        with self._mutex:
            self._unwritten.append(entry)
            if len(self._unwritten) > _IN_MEMORY:
                self._unwritten.popleft()
                self.lost += 1
        return entry

    async def _written(self, durable: bool) -> bool:
        """Have everything written that is not; one job runs and at most one waits."""
        if self._closed:
            return False
        with self._mutex:
            self._durable = self._durable or durable
            if self._queued is None:
                self._queued = self._writer.submit(self._write)
            job = self._queued
        try:
            return await asyncio.wait_for(
                asyncio.shield(asyncio.wrap_future(job)), _PATIENCE_SECONDS
            )
        except asyncio.TimeoutError:
            if not job.done():
                self.problem = f"{self.path}: the disk has not answered for {_PATIENCE_SECONDS:g} s"
            return False

    def _write(self) -> bool:
        """Write what waits (in the writer's thread)."""
        with self._mutex:
            self._queued = None
            batch, durable = tuple(self._unwritten), self._durable
            self._durable = False
        try:
            self._appender.append([encode(entry) for entry in batch], durable)
        except OSError as error:
            self.problem = f"{self.path}: {error.strerror or error}"
            return False
        else:
            self.problem = None
            return True
        finally:
            self._forget(batch[: self._appender.written])

    def _forget(self, written: Sequence[Entry]) -> None:
        with self._mutex:
            for entry in written:
                # While the disk failed the oldest may have been dropped.
                if self._unwritten and self._unwritten[0] is entry:
                    self._unwritten.popleft()
