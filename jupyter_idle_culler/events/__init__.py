"""What is announced through jupyter_events, after the journal has it. Events name nobody."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from jupyter_events import EventLogger

from ..actions.base import Outcome
from ..core.model import Decision
from ..status import ResourceStatus, Status

DECISION_SCHEMA = "https://events.jupyter.org/jupyter_idle_culler/decision/v1"
STATUS_SCHEMA = "https://events.jupyter.org/jupyter_idle_culler/status/v1"

SHORTEST_PAUSE_SECONDS = 1.0
_SAME_SECONDS = 2.0
"""A deadline that moved by less than this is the same to people."""

_log = logging.getLogger(__name__)


class _Clock(Protocol):
    def now(self) -> float: ...

    def to_utc(self, instant: float) -> datetime: ...

    def utc_now(self) -> datetime: ...


class Events:
    """Emits events, on the event loop. A failure here is logged and stops nothing."""

    def __init__(self, logger: EventLogger | None, clock: _Clock) -> None:
        self._logger = logger
        self._clock = clock
        self._told: tuple[object, ...] | None = None
        self._waiting: Status | None = None
        self._timer: asyncio.TimerHandle | None = None
        if logger is not None:
            for folder, schema in (("decision", DECISION_SCHEMA), ("status", STATUS_SCHEMA)):
                # Several extensions, or several applications in one process, share one logger.
                if schema not in logger.schemas:
                    logger.register_event_schema(Path(__file__).parent / folder / "v1.yaml")

    def decided(self, decision: Decision) -> None:
        """Announce what is about to be done."""
        self._emit(DECISION_SCHEMA, self._about(decision, "decided", ""))

    def settled(self, decision: Decision, outcome: Outcome) -> None:
        """Announce what became of it."""
        stage = "withdrawn" if outcome.withdrawn else "done" if outcome.ok else "failed"
        self._emit(DECISION_SCHEMA, self._about(decision, stage, outcome.detail))

    def status(self, status: Status) -> None:
        """Announce how things stand, if that has changed; at most once a second."""
        self._waiting = status
        if self._timer is None:
            self._tell()

    def close(self) -> None:
        """Announce nothing more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._waiting = self._logger = None

    def _tell(self) -> None:
        self._timer, status, self._waiting = None, self._waiting, None
        if status is None:
            return
        shown = _what_people_see(status)
        if shown == self._told:
            return
        self._told = shown
        self._emit(STATUS_SCHEMA, _status_data(status))
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(SHORTEST_PAUSE_SECONDS, self._tell)

    def _about(self, decision: Decision, stage: str, detail: str) -> dict[str, Any]:
        deadline = decision.deadline
        left = None if deadline is None else round(max(0.0, deadline - self._clock.now()), 3)
        return {
            "time": _text(self._clock.utc_now()),
            "stage": stage,
            "action": decision.action.value,
            "kind": decision.resource.kind.value,
            "resource": decision.resource.name,
            "reason": decision.reason,
            "idle_since": _text(self._clock.to_utc(decision.evidence_at)),
            "in_seconds": left,
            "detail": detail,
        }

    def _emit(self, schema: str, data: dict[str, Any]) -> None:
        if self._logger is None:
            return
        try:
            self._logger.emit(schema_id=schema, data=data)
        except Exception:
            _log.exception("Idle culler: an event could not be announced; nothing else is lost.")


def _what_people_see(status: Status) -> tuple[object, ...]:
    """Return what makes a status differ from the one before, times to within seconds."""
    host, step = status.host, status.next
    return (
        host.verdict,
        _rough(host.stops_at),
        host.warning is not None,
        len(host.active),
        step and (step.resource, step.action, _rough(step.at)),
        status.health,
        tuple((k.id, k.verdict, k.label, _rough(k.culled_at)) for k in status.kernels),
        tuple((t.id, t.verdict, t.label, _rough(t.culled_at)) for t in status.terminals),
        tuple((k.id, _rough(k.ends_at)) for k in status.keep_alives),
        status.policy,
        status.last_stop is None,
    )


def _rough(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() / _SAME_SECONDS)


def _status_data(status: Status) -> dict[str, Any]:
    host, step = status.host, status.next
    return {
        "time": _text(status.time),
        "dry_run": status.dry_run,
        "host": {
            "verdict": host.verdict,
            "stop_action": host.stop_action,
            "stops_in_seconds": host.stops_in_seconds,
            "stops_at": host.stops_at and _text(host.stops_at),
        },
        "next": step
        and {
            "resource": step.resource,
            "action": step.action,
            "in_seconds": step.in_seconds,
            "at": _text(step.at),
        },
        "warning": host.warning
        and {
            "since": _text(host.warning.since),
            "ends_in_seconds": host.warning.ends_in_seconds,
            "stops_at": _text(host.warning.stops_at),
        },
        "health": status.health.status,
        "kernels": _counts(status.kernels),
        "terminals": _counts(status.terminals),
        "keep_alives": len(status.keep_alives),
    }


def _counts(resources: Iterable[ResourceStatus]) -> dict[str, int]:
    counts = {"active": 0, "idle": 0, "unknown": 0}
    for resource in resources:
        counts[resource.verdict] += 1
    return counts


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")
