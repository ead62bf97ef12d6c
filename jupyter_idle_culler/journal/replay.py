"""What would have happened: the journal turned back into snapshots, and decided about again.

With the recorded policy the recorded decisions come out again; with another one, what that would
have culled and when. Pure: `replay` reads no file and no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..core.decision import decide
from ..core.model import (
    HOST,
    Action,
    Decision,
    Kind,
    Observation,
    Policy,
    ResourceId,
    Snapshot,
    State,
)
from .form import read_policy
from .recorded import RecordedRun, read_runs

_LATE_SECONDS = 2.0
"""A look that was recorded this soon after a deadline is the one that served it."""


@dataclass(frozen=True)
class Act:
    """Something that was, or would have been, done.

    ``time`` is the wall clock's, ``t`` the culler's. ``saved_seconds`` is how long the thing would
    have been off: until the next evidence of it (``used_again``: there was some), or until the
    record's end.
    """

    resource: str
    label: str
    action: str
    t: float
    time: str
    reason: str
    evidence_at: float
    saved_seconds: float = 0.0
    used_again: bool = False


@dataclass(frozen=True)
class ReplayReport:
    """What a record tells. Seconds; ``limits`` are sentences on what it cannot tell."""

    began: str = ""
    ended: str = ""
    runs: int = 0
    host_seconds_recorded: float = 0.0
    host_seconds_saved: float = 0.0
    kernel_seconds_saved: float = 0.0
    terminal_seconds_saved: float = 0.0
    acts: tuple[Act, ...] = ()
    recorded: tuple[Act, ...] = ()
    limits: tuple[str, ...] = ()


def recorded_policy(entries: Iterable[Mapping[str, Any]]) -> Policy | None:
    """Return the policy that was last in force, as the journal has it (None: it has none)."""
    found = None
    for entry in entries:
        if isinstance(entry.get("policy"), Mapping):
            found = entry["policy"]
    return None if found is None else read_policy(found)


def replay(
    entries: Sequence[Mapping[str, Any]],
    policy: Policy | None = None,
    now: datetime | None = None,
) -> ReplayReport:
    """Decide again about everything in a journal, by this policy (None: by the recorded one).

    ``now``, where given, lets the last run go on unchanged until then, unless it has ended.
    """
    runs, unusable = read_runs(entries)
    if now is not None and runs and not runs[-1].ended:
        runs[-1].extend_to(now)
    replayed = [_Replay(run, policy) for run in runs]
    for one in replayed:
        one.play()
    acts = tuple(act for one in replayed for act in one.acts)
    return ReplayReport(
        began=runs[0].time_at(runs[0].begin) if runs else "",
        ended=runs[-1].time_at(runs[-1].end) if runs else "",
        runs=len(runs),
        host_seconds_recorded=sum(run.end - run.begin for run in runs),
        host_seconds_saved=_saved(acts, Kind.HOST),
        kernel_seconds_saved=_saved(acts, Kind.KERNEL),
        terminal_seconds_saved=_saved(acts, Kind.TERMINAL),
        acts=acts,
        recorded=tuple(act for run in runs for act in _recorded_acts(run)),
        limits=_limits(runs, unusable + sum(run.unusable for run in runs)),
    )


def _saved(acts: Iterable[Act], kind: Kind) -> float:
    return sum(act.saved_seconds for act in acts if act.resource.partition(":")[0] == kind.value)


@dataclass
class _Off:
    """Something that would be off since ``since``; ``act`` is where that stands among the acts."""

    since: float
    act: int


@dataclass
class _Replay:
    """One run of one culler, decided about again."""

    run: RecordedRun
    policy: Policy | None
    acts: list[Act] = field(default_factory=list)
    _state: State = field(default_factory=State)
    _done: set[tuple[ResourceId, Action, float]] = field(default_factory=set)
    _off: dict[ResourceId, _Off] = field(default_factory=dict)
    _restarted_at: float | None = None

    def play(self) -> None:
        """Step through the run: at what was recorded, and at each deadline between."""
        run = self.run
        now: float | None = run.begin
        while now is not None:
            run.advance(now)
            seen = run.observations(now)
            self._notice_use(now)
            due = None if HOST in self._off else self._decide(seen, now)
            now = self._next(now, due)
        for off in self._off.values():
            self._close(off, run.end, used_again=False)

    def _next(self, now: float, due: float | None) -> float | None:
        recorded = self.run.next_time(now)
        if due is None or due > self.run.end:
            return recorded
        if recorded is not None and recorded <= due + _LATE_SECONDS:
            return recorded
        return due

    def _decide(self, seen: Sequence[Observation], now: float) -> float | None:
        """Decide, note what would be done, and return when the next decision is due."""
        run = self.run
        policy = self.policy or run.policy
        snapshot = Snapshot(
            self._restarted_at if self._restarted_at is not None else run.server_started_at,
            tuple(r for r in run.resources_at(now) if r.id not in self._off),
            tuple(o for o in seen if o.resource not in self._off),
            tuple(run.failures.values()),
        )
        decisions, self._state = decide(snapshot, policy, self._state, now)
        for decision in decisions:
            if decision.action is not Action.KEEP:
                self._do(decision, now)
        return min(
            (d.look_at for d in decisions if d.look_at is not None and d.look_at > now),
            default=None,
        )

    def _do(self, decision: Decision, now: float) -> None:
        done = (decision.resource, decision.action, decision.evidence_at)
        if done in self._done and decision.action is not Action.CANCEL_WARNING:
            return
        self._done.add(done)
        resource = self.run.resources.get(decision.resource)
        self.acts.append(
            Act(
                str(decision.resource),
                resource.label if resource else "",
                decision.action.value,
                now,
                self.run.time_at(now),
                decision.reason,
                decision.evidence_at,
            )
        )
        if decision.action in (Action.CULL, Action.STOP):
            self._off[decision.resource] = _Off(now, len(self.acts) - 1)
        if decision.action is Action.STOP:
            for other in self.run.resources:
                # It goes with the host, and comes back with its own next evidence.
                self._off.setdefault(other, _Off(now, -1))

    def _notice_use(self, now: float) -> None:
        """Bring back what was used again after it would have been ended."""
        if not self._off:
            return
        used = self.run.used_since({rid: off.since for rid, off in self._off.items()}, now)
        for resource, off in list(self._off.items()):
            gone = resource != HOST and resource not in self.run.resources
            if gone or resource in used:
                self._close(off, used.get(resource, now), used_again=not gone)
                del self._off[resource]
                if resource == HOST:
                    self._restarted_at, self._state = used[HOST], State()

    def _close(self, off: _Off, at: float, used_again: bool) -> None:
        if off.act >= 0:
            act = self.acts[off.act]
            changed = {"saved_seconds": max(0.0, at - off.since), "used_again": used_again}
            self.acts[off.act] = Act(**{**vars(act), **changed})


def _recorded_acts(run: RecordedRun) -> Iterable[Act]:
    done: set[tuple[object, ...]] = set()
    for entry in run.decisions:
        key = (entry.get("resource"), entry.get("action"), entry.get("evidence_at"))
        if key in done and entry.get("action") != Action.CANCEL_WARNING.value:
            continue
        done.add(key)
        yield Act(
            str(entry.get("resource")),
            str(entry.get("label", "")),
            str(entry.get("action")),
            float(entry["t"]),
            str(entry["time"]),
            str(entry.get("reason", "")),
            float(entry.get("evidence_at") or 0.0),
        )


def _limits(runs: Sequence[RecordedRun], unusable: int) -> tuple[str, ...]:
    """Say what the record cannot tell."""
    limits = []
    if not runs:
        limits.append("The record holds no look at all, so it tells nothing.")
    if unusable:
        limits.append(f"{unusable} entries could not be read and are left out.")
    culled = sum(run.really_culled for run in runs)
    if culled:
        limits.append(
            f"{culled} kernels or terminals were really culled: what they would have done after"
            " that is not known, so a longer timeout than the recorded one may look too good."
        )
    if any(not run.ended for run in runs):
        limits.append(
            "Where a run has no end in the record, nothing after its last entry is counted."
        )
    if len(runs) > 1:
        limits.append("The time between two runs of the server is not counted.")
    return tuple(limits)
