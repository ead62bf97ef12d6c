"""Write down what happens, then announce it: journal first, then events and metrics."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .actions.base import Outcome
from .core.model import Decision, Policy, Snapshot
from .events import Events
from .journal.journal import Journal
from .journal.recorder import Recorder
from .metrics import Metrics


@dataclass
class JournalRecords:
    """Keeps the journal, and tells events and metrics after it. No failure of these stops anything.

    ``policy`` gives the one in force. ``to_utc`` gives the wall-clock time of an instant.
    """

    journal: Journal
    events: Events
    metrics: Metrics
    policy: Callable[[], Policy]
    log: logging.Logger
    recorder: Recorder = field(default_factory=Recorder)
    _said: str | None = None
    _rotations: int = 0
    _looked_at: float | None = None

    async def looked(self, snapshot: Snapshot, decisions: Sequence[Decision], now: float) -> None:
        """Record what changed since the last look."""
        if self.journal.rotations != self._rotations:
            self._rotations = self.journal.rotations
            self.recorder.forget()
        self._looked_at = now
        policy = self.policy()  # the one that was decided by, before anybody can change it
        await asyncio.sleep(0)  # deciding took its time, comparing takes as much
        entries = self.recorder.changes(snapshot, decisions, policy, now)
        if entries or self.journal.problem:
            await self.journal.append_all(entries)
        self._say_problem()
        self.metrics.looked(snapshot, decisions, now)

    def _say_problem(self) -> None:
        """Log once what keeps the journal from being written, and once when it is again."""
        problem = self.journal.problem
        if problem != self._said:
            if problem is None:
                self.log.warning("Idle culler: the journal is written again.")
            else:
                self.log.warning("Idle culler: the journal cannot be written: %s", problem)
            self._said = problem

    async def decided(self, decisions: Iterable[Decision]) -> None:
        """Record what is about to be done, on the disk, then announce it."""
        decisions = list(decisions)
        # The instant of the look, not of the writing: replay decides at it again.
        look = {} if self._looked_at is None else {"t": self._looked_at}
        entries = [("decision", {**decision_fields(decision), **look}) for decision in decisions]
        await self.journal.append_all(entries, durable=True)
        for decision in decisions:
            self.log.warning(
                "Idle culler: %s %s: %s (last evidence: %s, from %s).",
                decision.action.value,
                decision.resource,
                decision.reason,
                decision.evidence,
                decision.evidence_source,
            )
            self.events.decided(decision)
            self.metrics.decided(decision)

    async def asked_to_stop(self, decision: Decision, owner: str, reason: str) -> None:
        """Record a person's own wish to stop, on the disk, then announce it as a decision is."""
        await self.journal.append("stop", durable=True, owner=owner, reason=reason)
        self.log.warning("Idle culler: stopping %s: %s.", decision.resource, decision.reason)
        self.events.decided(decision)
        self.metrics.decided(decision)

    async def settled(self, decision: Decision, outcome: Outcome) -> None:
        """Record what became of it, then announce it."""
        mend: dict[str, Any] = {"mend": outcome.mend} if outcome.mend else {}
        await self.journal.append(
            "outcome",
            resource=str(decision.resource),
            action=decision.action.value,
            ok=outcome.ok,
            withdrawn=outcome.withdrawn,
            detail=outcome.detail,
            **mend,
        )
        self.log.info(
            "Idle culler: %s %s: %s.", decision.action.value, decision.resource, outcome.detail
        )
        self.events.settled(decision, outcome)
        self.metrics.settled(decision, outcome)


def decision_fields(decision: Decision) -> dict[str, Any]:
    """Return a decision as the journal keeps it."""
    return {
        "resource": str(decision.resource),
        "action": decision.action.value,
        "verdict": decision.verdict.value,
        "reason": decision.reason,
        "evidence_at": decision.evidence_at,
        "evidence": decision.evidence,
        "evidence_source": decision.evidence_source,
        "deadline": decision.deadline,
    }
