"""Carry decisions out: one at a time for each resource, once, and again after a failure."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from .actions.base import ActionRunner, Outcome
from .core.duration import duration
from .core.model import Decision, Kind, ResourceId

FIRST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 900.0
CLOSING_SECONDS = 2.0

CUT_SHORT = Outcome(False, "the server ended meanwhile")
"""What becomes of a decision that the end of the server overtakes: the record is not silent on it.
"""


def dry_run_text(would: str) -> str:
    """Say what a dry run did not do."""
    more = f"; without it, this would have {would}" if would else ""
    return f"dry run: nothing was changed{more}"


@dataclass
class Failure:
    """An action that failed: how often, what it said, when it is tried again, what mends it."""

    count: int
    detail: str
    since: float
    retry_at: float
    mend: str = ""


@dataclass
class Actor:
    """Carries out decisions.

    ``settled`` is awaited when it is known what became of one.
    """

    runners: Mapping[Kind, ActionRunner]
    clock: Callable[[], float]
    settled: Callable[[Decision, Outcome], Awaitable[None]]
    log: logging.Logger
    dry_run: bool = False
    failures: dict[ResourceId, Failure] = field(default_factory=dict)
    _running: dict[ResourceId, asyncio.Task[None]] = field(default_factory=dict)
    _done_for: dict[ResourceId, float] = field(default_factory=dict)
    _again_at: dict[ResourceId, float] = field(default_factory=dict)

    @property
    def running(self) -> frozenset[ResourceId]:
        """What is being acted on just now."""
        return frozenset(self._running)

    def may_act(self, decision: Decision, now: float) -> bool:
        """Say whether to act on this now: not while it runs, not twice for the same idleness."""
        resource = decision.resource
        if resource in self._running or decision.resource.kind not in self.runners:
            return False
        if self.is_settled(decision):
            return False
        failure = self.failures.get(resource)
        return failure is None or now >= failure.retry_at

    def retry_at(self, resource: ResourceId) -> float | None:
        """Return when a failed action on this resource will be tried again."""
        failure = self.failures.get(resource)
        return None if failure is None else failure.retry_at

    def is_settled(self, decision: Decision) -> bool:
        """Say whether this idleness was already dealt with (done, or shown in a dry run).

        What was done and has not come by the time that its action gave is not.
        """
        resource = decision.resource
        return self._done_for.get(
            resource
        ) == decision.evidence_at and self.clock() < self._again_at.get(resource, math.inf)

    def begin(self, decision: Decision) -> asyncio.Task[None]:
        """Start to carry a decision out; the loop goes on meanwhile."""
        task = asyncio.create_task(
            self._carry_out(decision), name=f"idle-culler {decision.action.value}"
        )
        self._running[decision.resource] = task
        task.add_done_callback(lambda _: self._running.pop(decision.resource, None))
        return task

    def forget(self, existing: frozenset[ResourceId]) -> None:
        """Drop what is remembered of resources that are gone."""
        for memory in (self.failures, self._done_for, self._again_at):
            for resource in [r for r in memory if r.kind is not Kind.HOST and r not in existing]:
                del memory[resource]

    async def close(self) -> None:
        """Let what runs come to its end for a moment, then cancel it and wait for it."""
        tasks = list(self._running.values())
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSING_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry_out(self, decision: Decision) -> None:
        if self.dry_run:
            would = getattr(self.runners[decision.resource.kind], "would", "")
            outcome = Outcome(True, dry_run_text(would))
        else:
            try:
                outcome = await self.runners[decision.resource.kind].apply(decision)
            except asyncio.CancelledError:
                await self.settled(decision, CUT_SHORT)
                raise
            except Exception as error:
                self.log.exception("Idle culler: %s failed", decision.action.value)
                outcome = Outcome(False, f"{type(error).__name__}: {error}")
        self._settle(decision, outcome)
        await self.settled(decision, outcome)

    def _settle(self, decision: Decision, outcome: Outcome) -> None:
        resource, now = decision.resource, self.clock()
        if outcome.ok:
            self.failures.pop(resource, None)
            self._done_for[resource] = decision.evidence_at
            again = outcome.again_in_seconds
            self._again_at[resource] = math.inf if again is None else now + again
        elif not outcome.withdrawn:
            known = self.failures.get(resource)
            count = known.count + 1 if known else 1
            pause = outcome.retry_in_seconds
            if pause is None:
                pause = min(FIRST_PAUSE_SECONDS * 2 ** (count - 1), LONGEST_PAUSE_SECONDS)
            self.failures[resource] = Failure(
                count, outcome.detail, known.since if known else now, now + pause, outcome.mend
            )
            self.log.error(
                "Idle culler: could not %s %s: %s. Trying again in %s.%s",
                decision.action.value,
                resource,
                outcome.detail,
                duration(pause),
                f" To mend it: {outcome.mend}." if outcome.mend else "",
            )
