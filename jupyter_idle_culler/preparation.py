"""Have a stop ready a little before its deadline, so that it goes out at it and not after it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Protocol

READY_SECONDS = 10.0
"""So long before the deadline of the host whatever speaks to AWS is made ready."""


class Preparable(Protocol):
    """A stop that goes out faster where it is told a little before."""

    async def make_ready(self) -> None: ...

    async def stand_down(self) -> None: ...

    async def close(self) -> None: ...


class Preparation:
    """Makes a stop ready as the deadline nears, and lets go of it where the deadline moves away."""

    def __init__(self, stop: Preparable) -> None:
        self._stop = stop
        self._timer: asyncio.TimerHandle | None = None
        self._under_way: asyncio.Future[None] | None = None

    def looked(self, deadline: float | None, now: float) -> None:
        """Take note of the host's deadline as it is now (None: there is none)."""
        self._cancel()
        left = math.inf if deadline is None else deadline - now
        if 0 < left < math.inf:
            wait = max(left - READY_SECONDS, 0.0)
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(wait, self._begin, self._stop.make_ready)
        if left > READY_SECONDS:
            self._begin(self._stop.stand_down)

    async def close(self) -> None:
        """Let go of everything, for good."""
        self._cancel()
        if self._under_way is not None:
            await asyncio.gather(self._under_way, return_exceptions=True)
        await self._stop.close()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self, how: Callable[[], Awaitable[None]]) -> None:
        """Begin this, unless something else is under way: the next look asks again."""
        if self._under_way is None or self._under_way.done():
            self._under_way = asyncio.ensure_future(how())
