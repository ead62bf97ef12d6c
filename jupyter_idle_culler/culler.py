"""The loop: observe, decide, record, look again, act; sleep until the next deadline."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from .actions.base import Outcome
from .actor import CUT_SHORT, Actor
from .clock import AwakeClock
from .core.decision import decide
from .core.model import Action, Decision, Policy, ResourceId, Snapshot, State, Verdict
from .observer import Observer

EARLY_LOOK_SECONDS = 1.5
"""How long before a deadline to look: so the last look has a short window to compare with."""

SHORTEST_PAUSE_SECONDS = 0.1
POKED_PAUSE_SECONDS = 0.25
"""What asks for a look waits this long for others that do."""

LONGEST_STEP_SECONDS = 60.0
"""What takes longer between two readings of the clock was a sleep of the machine, not our doing."""

RESTART_PAUSE_SECONDS = 5.0
_ENDS = frozenset({Action.CULL, Action.STOP})


class Records(Protocol):
    """Where everything is written down, before it is announced. Never raises."""

    async def looked(self, snapshot: Snapshot, decisions: Sequence[Decision], now: float) -> None:
        """Record what changed since the last look."""

    async def decided(self, decisions: Iterable[Decision]) -> None:
        """Record and announce what is about to be done."""

    async def settled(self, decision: Decision, outcome: Outcome) -> None:
        """Record and announce what became of it."""


@dataclass(frozen=True)
class Looked:
    """What the last look saw and what was decided from it."""

    at: float
    snapshot: Snapshot
    decisions: tuple[Decision, ...]
    state: State
    policy: Policy


@dataclass
class Culler:
    """Runs the loop. One step that fails never ends it; a loop that dies is started again, loudly.

    ``on_warning`` is awaited when a host warning begins to stand, and when it is cancelled.
    ``on_look`` is called after each look, ``on_stop`` before a decision to stop is announced.
    """

    observer: Observer
    actor: Actor
    policy: Policy
    clock: AwakeClock
    records: Records
    log: logging.Logger
    check_interval_seconds: float = 60.0
    on_warning: Callable[[Decision], Awaitable[None]] | None = None
    on_look: Callable[[Looked], None] | None = None
    on_stop: Callable[[], None] | None = None
    last: Looked | None = None
    problem: str | None = None
    _state: State = field(default_factory=State)
    _poked: asyncio.Event = field(default_factory=asyncio.Event)
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _task: asyncio.Task[None] | None = None
    _restart: asyncio.TimerHandle | None = None
    _stopped: bool = False

    def start(self) -> None:
        """Begin to look. Call on the running event loop; after `stop` it begins nothing.

        A server that is told to stop while it still starts stops its extensions first.
        """
        if self._stopped:
            return
        self._task = asyncio.create_task(self._run(), name="idle-culler loop")
        self._task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """End the loop and wait until nothing of it runs any more."""
        self._stopped = True
        if self._restart is not None:
            self._restart.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.actor.close()
        self.observer.close()

    def poke(self) -> None:
        """Look soon: something was asked for, or happened, that may change what is decided."""
        self._poked.set()

    async def look(self) -> Looked:
        """Look at everything and decide; nothing is carried out yet."""
        async with self._looking:
            snapshot = await self.observer.look()
            await asyncio.sleep(0)  # with hundreds of kernels each step takes milliseconds
            now = self.clock.now()
            decisions, state = decide(snapshot, self.policy, self._state, now)
            closer = await self.observer.look_closer(snapshot, self._undecided(decisions))
            if closer is not snapshot:
                snapshot, now = closer, self.clock.now()
                decisions, state = decide(snapshot, self.policy, self._state, now)
            self._state = state
            looked = Looked(now, snapshot, decisions, self._state, self.policy)
            self.last = looked
            self.actor.forget(frozenset(resource.id for resource in snapshot.resources))
            await self.records.looked(snapshot, decisions, now)
            await self._tell_of_warnings(decisions)
            await asyncio.sleep(0)
            if self.on_look is not None:
                self.on_look(looked)
            return looked

    async def still_due(self, resource: ResourceId) -> bool:
        """Look again, and say whether this is still to be ended."""
        looked = await self.look()
        return any(d.resource == resource and d.action in _ENDS for d in looked.decisions)

    async def step(self) -> None:
        """Look; where something is due, record it, look again, and begin what is still due."""
        due = self._due(await self.look())
        self._heed_the_end()
        if not due:
            return
        if self.on_stop is not None and any(d.action is Action.STOP for d in due):
            self.on_stop()
        try:
            await self.records.decided(due)
            again = {decision.resource: decision for decision in self._due(await self.look())}
            self._heed_the_end()
        except asyncio.CancelledError:
            for decision in due:
                await self.records.settled(decision, CUT_SHORT)
            raise
        for decision in due:
            if decision.resource in again:
                self.actor.begin(again[decision.resource])
            else:
                outcome = Outcome(False, "new evidence came in between", withdrawn=True)
                await self.records.settled(decision, outcome)

    def next_pause(self) -> float:
        """Return for how many seconds nothing can fall due, at most the check interval."""
        looked, now = self.last, self.clock.now()
        longest = min(
            self.check_interval_seconds,
            self.policy.kernel_timeout_seconds,
            self.policy.terminal_timeout_seconds,
        )
        if looked is None:
            return longest
        due = now + longest
        for decision in looked.decisions:
            at = decision.look_at
            if decision.action in _ENDS:
                at = self.actor.retry_at(decision.resource)
                if decision.resource in self.actor.running or self.actor.is_settled(decision):
                    at = None
            if at is not None and at < due + EARLY_LOOK_SECONDS:
                early = at - EARLY_LOOK_SECONDS
                due = min(due, early if early > now else at)
        return max(due - now, SHORTEST_PAUSE_SECONDS)

    def _due(self, looked: Looked) -> list[Decision]:
        return [
            decision
            for decision in looked.decisions
            if decision.action in _ENDS and self.actor.may_act(decision, looked.at)
        ]

    def _undecided(self, decisions: Iterable[Decision]) -> frozenset[ResourceId]:
        """Return what evidence from now would still change: what may end, and seems idle.

        The first look asks for no more, unless it would end something: a start costs as little
        as it can.
        """
        is_first = self.last is None
        return frozenset(
            decision.resource
            for decision in decisions
            if decision.verdict is not Verdict.ACTIVE
            and (decision.action in _ENDS if is_first else decision.look_at is not None)
        )

    async def _tell_of_warnings(self, decisions: Iterable[Decision]) -> None:
        for decision in decisions:
            if decision.action in (Action.WARN, Action.CANCEL_WARNING):
                await self.records.decided([decision])
                if self.on_warning is not None:
                    await self.on_warning(decision)

    def _heed_the_end(self) -> None:
        """Raise the cancellation that was lost, if one was.

        Before Python 3.12 asyncio.wait_for loses one that comes together with its answer. Telling
        the loop twice would cut off what it still records.
        """
        if self._stopped:
            raise asyncio.CancelledError

    async def _run(self) -> None:
        while not self._stopped:
            self._poked.clear()
            self.clock.expect(LONGEST_STEP_SECONDS)
            try:
                await self.step()
            except Exception as error:
                self.problem = f"a look failed: {type(error).__name__}: {error}"
                self.log.exception("Idle culler: a look failed; nothing was culled by it.")
            else:
                self.problem = None
            self._heed_the_end()
            await self._sleep(self.next_pause())

    async def _sleep(self, seconds: float) -> None:
        self.clock.expect(seconds)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._poked.wait(), seconds)
            await asyncio.sleep(min(seconds, POKED_PAUSE_SECONDS))

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Start the loop anew where it died, or where somebody else cancelled it."""
        if self._stopped:
            return
        error = None if task.cancelled() else task.exception()
        why = "it was cancelled" if error is None else f"{type(error).__name__}: {error}"
        self.problem = f"the loop died: {why}"
        self.log.error(
            "Idle culler: the loop died (%s). Nothing is culled until it starts again in %g s.",
            why,
            RESTART_PAUSE_SECONDS,
            exc_info=error,
        )
        self._restart = task.get_loop().call_later(RESTART_PAUSE_SECONDS, self.start)
