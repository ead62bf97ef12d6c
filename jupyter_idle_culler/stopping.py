"""Stop the host: the command before it, a last look, what runs on it, then the stop itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .actions.base import ActionRunner, Outcome
from .actions.pre_stop import PreStop
from .actions.run_command import RunCommand
from .core.model import HOST, Decision, ResourceId


@dataclass
class HostStop:
    """Stops the host as `stop_action` says.

    ``still_due`` looks again (the command before a stop may take its time). ``end_resources`` ends
    every kernel and terminal first, where the stop itself would not spare detached jobs (None: the
    stop ends the machine, or may be refused, and then nothing must have been lost). ``commands``
    are those that it may run.
    """

    stop: ActionRunner
    still_due: Callable[[ResourceId], Awaitable[bool]]
    pre_stop: PreStop | None = None
    end_resources: Callable[[], Awaitable[None]] | None = None
    commands: tuple[RunCommand, ...] = ()
    name: str = "stop"

    def own_sessions(self) -> frozenset[int]:
        """Return the sessions of the commands that run now: their work is ours, no evidence."""
        return frozenset(command.pid for command in self.commands if command.pid is not None)

    async def apply(self, decision: Decision) -> Outcome:
        """Stop because of idleness: evidence that arrives before the very end wins."""
        put_off = await self._prepare()
        if put_off is not None:
            return put_off
        if self.pre_stop is not None and not await self.still_due(HOST):
            return Outcome(False, "new evidence came in before the stop", withdrawn=True)
        return await self._stop(decision)

    def warning_cancelled(self) -> None:
        """Forget what failed before a stop that is off."""
        if self.pre_stop is not None:
            self.pre_stop.reset()

    async def stop_now(self, decision: Decision) -> Outcome:
        """Stop because a person asked for it: the command before still runs, and may put it off."""
        return await self._prepare() or await self._stop(decision)

    async def _prepare(self) -> Outcome | None:
        """Run the command before a stop; return why the stop is put off, None if it is not."""
        if self.pre_stop is None:
            return None
        before = await self.pre_stop.run()
        if before.ok:
            return None
        return Outcome(False, before.detail, retry_in_seconds=before.retry_in_seconds)

    async def _stop(self, decision: Decision) -> Outcome:
        if self.end_resources is not None:
            await self.end_resources()
        return await self.stop.apply(decision)
