"""One look at this machine: decide, look again before a stop, warn, stop."""

from __future__ import annotations

import argparse
import os
import time
from typing import Any, Dict, List, Sequence, Set, Tuple
from urllib.parse import urlsplit

from ..core.decision import decide, duration
from ..core.model import (
    EVERYTHING,
    HOST,
    Action,
    Decision,
    Evidence,
    Mark,
    Observation,
    Policy,
    Snapshot,
    SourceFailure,
    State,
    Verdict,
    Warned,
)
from ..sources.procfs import environment
from . import instance, kernels, memory, options, terminals
from .jupyter_api import ApiError, JupyterApi
from .machine import Machine

_GAP_SECONDS = 900.0
"""What happened in so long a time without a look is not known: it counts as evidence."""
_LOOK_AGAIN_SECONDS = 10.0


def look_and_stop(asked: argparse.Namespace, kept: Dict[str, Any]) -> str:
    """Make one look at this machine, and stop it where that is due; return what to say."""
    decision, paths = _decide(asked, kept)
    if decision.action is Action.STOP:
        # What began since, and what computes right now, is seen over this short a while.
        time.sleep(_LOOK_AGAIN_SECONDS)
        decision, paths = _decide(asked, kept)
    said = f"{decision.reason}; last evidence: {decision.evidence}"
    if decision.deadline is None:
        kept.pop("stop", None)
        return "keeps: " + said
    left = f"stops in {duration(decision.deadline - time.monotonic())}: {said}"
    if decision.action is Action.WARN:
        _warn(paths, "this machine " + left)
        return "warns: " + left
    if decision.action is not Action.STOP:
        return left
    try:
        me = instance.target(asked.metadata_path)
    except ValueError as error:
        return f"UNHEALTHY, cannot stop: {error}; {said}"
    if asked.dry_run:
        return f"dry run: would stop {me.arn}: {said}"
    return f"stops: {said}; {instance.stop(me, kept, time.monotonic())}"


def _decide(asked: argparse.Namespace, kept: Dict[str, Any]) -> Tuple[Decision, List[str]]:
    """Look and decide; return the decision about the host, and the terminals to warn at."""
    now = time.monotonic()
    seen, paths = _look(asked, kept, now)
    policy = Policy(host_timeout_seconds=asked.time, warning_seconds=60 * asked.warning_minutes)
    mark, unknown, warned = kept.get("state") or ((), {}, None)
    known = State({HOST: Evidence(Mark(*mark))}, unknown, warned and Warned(*warned))
    (decision,), state = decide(seen, policy, known, now)
    warned = state.warned
    kept["state"] = (
        state.evidence[HOST].work,
        state.unknown_since,
        warned and (warned.since, warned.evidence_at),
    )
    if asked.explain:
        for one in seen.observations:
            print(duration(now - one.at) + " ago" if one.at else "now", one.detail, sep="\t")
        for failure in seen.failures:
            print("unknown", failure.source, failure.detail, sep="\t")
    return decision, paths


def _look(
    asked: argparse.Namespace, kept: Dict[str, Any], now: float
) -> Tuple[Snapshot, List[str]]:
    seen: memory.Evidence = []
    failures: List[SourceFailure] = []
    paths: List[str] = []
    started, stopped = kept.setdefault("began", now), set()
    editor = asked.environment == options.CODE_EDITOR
    try:
        machine = Machine(urlsplit(asked.base_url).port or 443)
        started = max(started, machine.started_at())
        for name, value in environment(machine.server.pid).items():
            if name.startswith("AWS_"):  # cron inherits no credentials
                os.environ.setdefault(name, value)
        stopped = {k for k, pid in machine.kernels.items() if machine.processes[pid].state in "Tt"}
        watching: Set[int] = set()
        if not asked.skip_terminals:
            seen, watching, paths = terminals.observe(machine, kept, now, editor)
        if editor:
            from . import code_editor

            watching |= machine.of_editor()
            seen += code_editor.evidence(kept.setdefault("editor", {}), now)
        seen += machine.work(kept, watching, now)
    except OSError as error:
        failures.append(SourceFailure("processes", EVERYTHING, True, repr(error)))
    try:
        if not editor:
            api = JupyterApi(asked.base_url, asked.token)
            seen += kernels.observe(api, kept, now, stopped, not asked.ignore_connections)
    except ApiError as error:
        failures.append(SourceFailure("kernels", EVERYTHING, True, str(error)))
    ended = set(kept.get("active", []))
    kept["active"] = [what for what, at in seen if at is None]
    if now - kept.get("looked", now) > _GAP_SECONDS:
        ended.add("time without a look")
    kept["looked"] = now
    seen += [("ended: " + what, now) for what in ended.difference(kept["active"])]
    observations = [
        Observation(HOST, "autostop", Verdict.IDLE if at else Verdict.ACTIVE, at, what)
        for what, at in seen
    ]
    return Snapshot(started, (), tuple(observations), tuple(failures)), paths


def _warn(paths: Sequence[str], text: str) -> None:
    """Tell the people at terminals, as wall(1) does: one that takes nothing is never waited for."""
    for path in paths:
        try:
            tty = os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
            os.write(tty, f"\r\n\a*** {text} ***\r\n".encode())
            os.close(tty)
        except OSError:
            continue
