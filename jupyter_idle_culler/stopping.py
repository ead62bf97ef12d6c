"""Stop the host: pages save, the command before it, a last look, what runs on it, then the stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from .actions.base import ActionRunner, Outcome, SlowRunner, StillWanted
from .actions.pre_stop import PreStop
from .core.model import HOST, Decision, ResourceId
from .farewell import Farewell
from .pages import Saves

FRESH_SECONDS = 0.5
"""A look that is no older is not repeated."""


class Worker(Protocol):
    """What runs processes for a stop: ``pid`` is the session of the one that runs now, if any."""

    @property
    def pid(self) -> int | None: ...


@dataclass
class HostStop:
    """Stops the host as `stop_action` says.

    By ``farewell`` the open pages save first, and a record is left. ``still_due`` looks again
    (pages, and the command before a stop, may take their time). ``end_resources`` ends every kernel
    and terminal first, where the stop itself would not spare detached jobs (None: the stop ends the
    machine, or may be refused, and then nothing must have been lost). ``commands`` are what
    runs processes for it.
    """

    stop: ActionRunner
    still_due: Callable[[ResourceId], Awaitable[bool]]
    farewell: Farewell
    pre_stop: PreStop | None = None
    end_resources: Callable[[], Awaitable[None]] | None = None
    commands: tuple[Worker, ...] = ()
    name: str = "stop"
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _accepted: int = 0

    @property
    def would(self) -> str:
        """What a stop would do, in words for a dry run; empty: it needs none."""
        return str(getattr(self.stop, "would", ""))

    def own_sessions(self) -> frozenset[int]:
        """Return the sessions of the processes that run now: their work is ours, no evidence."""
        return frozenset(command.pid for command in self.commands if command.pid is not None)

    async def apply(self, decision: Decision) -> Outcome:
        """Stop because of idleness: evidence that arrives before the very end wins."""
        return await self._once(self._stop_idle, decision)

    def warning_cancelled(self) -> None:
        """Forget what failed before a stop that is off."""
        if self.pre_stop is not None:
            self.pre_stop.reset()

    async def stop_now(self, decision: Decision, asked_by: str) -> Outcome:
        """Stop because a person asked for it: the command before still runs, and may put it off."""

        async def stop(decision: Decision) -> Outcome:
            saves = await self.farewell.pages.saves()
            return await self._prepare() or await self._stop(decision, saves, asked_by)

        return await self._once(stop, decision)

    async def _once(
        self, stop: Callable[[Decision], Awaitable[Outcome]], decision: Decision
    ) -> Outcome:
        """Stop, unless another stop was accepted while this one waited for its end."""
        accepted = self._accepted
        async with self._turn:
            if self._accepted != accepted:
                return Outcome(True, "the host is being stopped already")
            outcome = await stop(decision)
            self._accepted += outcome.ok
            return outcome

    async def _stop_idle(self, decision: Decision) -> Outcome:
        looked = time.monotonic()
        saves = await self.farewell.pages.saves()
        put_off = await self._prepare()
        if put_off is not None:
            return put_off
        took_time = saves.waited or self.pre_stop is not None
        if took_time:
            looked = time.monotonic()
            if not await self.still_due(HOST):
                return Outcome(False, "new evidence came in before the stop", withdrawn=True)

        async def still_wanted() -> bool:
            return time.monotonic() - looked <= FRESH_SECONDS or await self.still_due(HOST)

        return await self._stop(decision, saves, None, still_wanted)

    async def _prepare(self) -> Outcome | None:
        """Run the command before a stop; return why the stop is put off, None if it is not."""
        if self.pre_stop is None:
            return None
        before = await self.pre_stop.run()
        if before.ok:
            return None
        return Outcome(False, before.detail, retry_in_seconds=before.retry_in_seconds)

    async def _stop(
        self,
        decision: Decision,
        saves: Saves,
        asked_by: str | None,
        still_wanted: StillWanted | None = None,
    ) -> Outcome:
        await self.farewell.write(decision, saves, asked_by)
        try:
            if self.end_resources is not None:
                await self.end_resources()
            if still_wanted is not None and isinstance(self.stop, SlowRunner):
                outcome = await self.stop.apply_while(decision, still_wanted)
            else:
                outcome = await self.stop.apply(decision)
        except Exception:
            await self.farewell.record.take_back()
            raise
        # Where the server ends meanwhile, this is never reached: the stop has come.
        if outcome.ok:
            self.farewell.record.accepted()
        else:
            await self.farewell.record.take_back()
        return outcome
