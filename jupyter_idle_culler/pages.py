"""The pages with the widget that are open, and what they save before the host stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

PATIENCE_SECONDS = 10.0
"""How long a stop waits for the pages; and how long before it an answer still belongs to it."""

_MOST_PAGES = 500
_MOST_NAMES = 100


@dataclass(frozen=True)
class Saves:
    """What the open pages saved before a stop.

    ``failed`` names the documents that could not be saved, ``silent`` counts the pages that did
    not answer, ``waited`` tells whether any page was waited for.
    """

    saved: int = 0
    failed: tuple[str, ...] = ()
    silent: int = 0
    waited: bool = False


@dataclass(frozen=True)
class _Answer:
    at: float
    page: str
    saved: int
    failed: tuple[str, ...]


class Pages:
    """Knows which pages are open by what they say themselves, and waits for them before a stop.

    A page that crashed never said that it closed: it is waited for once and then forgotten.
    ``clock`` gives instants in seconds. ``problem`` says what the last wait missed (None: nothing).
    """

    def __init__(
        self,
        clock: Callable[[], float],
        log: logging.Logger,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.patience_seconds = patience_seconds
        self.problem: str | None = None
        self._clock = clock
        self._log = log
        self._open: dict[str, None] = {}
        self._awaited: set[str] = set()
        self._answers: deque[_Answer] = deque(maxlen=2 * _MOST_PAGES)
        self._asked_at: float | None = None
        self._answered = asyncio.Event()

    @property
    def open(self) -> frozenset[str]:
        """The ids of the pages that are open, as far as is known."""
        return frozenset(self._open)

    def tell(
        self, page: str, is_open: bool, saved: int | None = None, failed: Sequence[str] = ()
    ) -> None:
        """Take note of what a page says: that it is there, what it has saved, or that it goes.

        ``saved`` None: it only says that it is there. ``failed``: what it could not save.
        """
        self._open.pop(page, None)
        if is_open:
            self._open[page] = None
            if len(self._open) > _MOST_PAGES:
                self._leave(next(iter(self._open)))
            self.problem = None
        if saved is not None:
            self._answers.append(_Answer(self._clock(), page, saved, tuple(failed)))
        if saved is not None or not is_open:
            self._awaited.discard(page)
            self._answered.set()

    def ask(self) -> None:
        """Begin to take answers. Call it before the stop is announced, which is the question."""
        self.problem = None
        self._asked_at = self._clock()
        self._awaited = set(self._open)

    async def saves(self) -> Saves:
        """Wait until each page that was open when `ask` was called has answered, or has gone.

        Returns at once where none was open, or nobody asked.
        """
        asked_at, waited = self._asked_at, bool(self._awaited)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._all_answered(), self.patience_seconds)
        silent = self._awaited
        for page in silent:
            self._leave(page)
        self._awaited, self._asked_at = set(), None
        saves = self._count(asked_at, len(silent), waited)
        self._say(saves)
        return saves

    async def _all_answered(self) -> None:
        while self._awaited:
            self._answered.clear()
            await self._answered.wait()

    def _leave(self, page: str) -> None:
        self._open.pop(page, None)

    def _count(self, asked_at: float | None, silent: int, waited: bool) -> Saves:
        if asked_at is None:
            return Saves()
        # A page that asks for the stop itself has saved before it does.
        recent = [a for a in self._answers if a.at >= asked_at - PATIENCE_SECONDS]
        last = {answer.page: answer for answer in recent if answer.at >= asked_at}
        failed = sorted({name for answer in last.values() for name in answer.failed})
        saved = sum(answer.saved for answer in recent)
        self._answers.clear()
        return Saves(saved, tuple(failed[:_MOST_NAMES]), silent, waited)

    def _say(self, saves: Saves) -> None:
        found = []
        if saves.silent:
            pages = "1 page" if saves.silent == 1 else f"{saves.silent} pages"
            found.append(
                f"{pages} did not answer within {self.patience_seconds:g} s before a stop:"
                " what was not saved there may be lost"
            )
        if saves.failed:
            count = len(saves.failed)
            documents = "1 document" if count == 1 else f"{count} documents"
            found.append(f"{documents} could not be saved before a stop")
        self.problem = "; ".join(found) or None
        if self.problem:
            self._log.warning("Idle culler: %s.", self.problem)
