"""One look at this machine: decide, look again before a stop, warn, stop."""

from __future__ import annotations

import argparse
import os
import time
from typing import Any, Dict, List, Optional, Sequence, Set, Tuple
from urllib.parse import urlsplit

from ..core.duration import duration
from ..core.host import HostVerdict, decide_host
from ..core.model import Action, Mark, Warned
from ..sources.procfs import environment
from . import instance, memory, options, sign, terminals
from .machine import Machine

_LOOK_AGAIN_SECONDS = 10.0


def look_and_stop(asked: argparse.Namespace, kept: Dict[str, Any]) -> str:
    """Make one look at this machine, and stop it where that is due; return what to say."""
    decision, evidence, paths = _decide(asked, kept)
    if decision.action is Action.STOP:
        # What began since, and what computes right now, is seen over this short a while.
        time.sleep(_LOOK_AGAIN_SECONDS)
        decision, evidence, paths = _decide(asked, kept)
    line = _act(asked, kept, decision, evidence, paths)
    if asked.sign_of_life and not asked.dry_run:
        now = time.monotonic()
        line += sign.show(asked.metadata_path, kept, decision.verdict, now - evidence.at, now)
    return line


def _act(
    asked: argparse.Namespace,
    kept: Dict[str, Any],
    decision: HostVerdict,
    evidence: Mark,
    paths: Sequence[str],
) -> str:
    """Warn or stop, where that is due; return what to say."""
    said = f"{decision.reason}; last evidence: {evidence.detail}"
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


def _decide(asked: argparse.Namespace, kept: Dict[str, Any]) -> Tuple[HostVerdict, Mark, List[str]]:
    """Look and decide; return the verdict, its evidence, and the terminals to warn at."""
    now = time.monotonic()
    started, seen, unknown, paths = _look(asked, kept, now)
    evidence = newest(seen, started, kept.get("evidence"), now)
    warned = kept.get("warned")
    verdict = decide_host(
        evidence, min(unknown, default=None), asked.time, 60 * asked.warning_minutes,
        warned and Warned(*warned), now,
    )  # fmt: skip
    kept["evidence"], kept["warned"] = evidence, verdict.warned
    if asked.explain:
        for words, at in seen:
            print(duration(now - at) + " ago" if at else "now", words, sep="\t")
        for why in unknown:
            print("unknown", why, sep="\t")
    return verdict, evidence, paths


def newest(
    seen: memory.Evidence, started: float, known: Optional[Sequence[Any]], now: float
) -> Mark:
    """Return the newest evidence: the server's start, what the look before knew, what was seen."""
    marks = [Mark(now if at is None else min(at, now), "autostop", words) for words, at in seen]
    return max([Mark(min(started, now), "start", "started"), *marks, Mark(*known or ())])


def _look(
    asked: argparse.Namespace, kept: Dict[str, Any], now: float
) -> Tuple[float, memory.Evidence, List[str], List[str]]:
    """Return the server's start, what was seen, why more could not be, and the terminals."""
    seen: memory.Evidence = []
    unknown: List[str] = []
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
        unknown.append(f"processes: {error!r}")
    if not editor:
        seen += _told_by_server(asked, kept, now, stopped, unknown)
    ended = set(kept.get("active", []))
    kept["active"] = [what for what, at in seen if at is None]
    if memory.missed(kept, now):
        ended.add("time without a look")
    seen += [("ended: " + what, now) for what in ended.difference(kept["active"])]
    return started, seen, unknown, paths


def _told_by_server(
    asked: argparse.Namespace,
    kept: Dict[str, Any],
    now: float,
    stopped: Set[str],
    unknown: List[str],
) -> memory.Evidence:
    """Return what the server says of its kernels; say to ``unknown`` where it says nothing."""
    from . import kernels
    from .jupyter_api import ApiError, JupyterApi

    try:
        api = JupyterApi(asked.base_url, asked.token)
        return kernels.observe(api, kept, now, stopped, not asked.ignore_connections)
    except ApiError as error:
        unknown.append(f"kernels: {error}")
        return []


def _warn(paths: Sequence[str], text: str) -> None:
    """Tell the people at terminals, as wall(1) does: one that takes nothing is never waited for."""
    for path in paths:
        try:
            tty = os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
            os.write(tty, f"\r\n\a*** {text} ***\r\n".encode())
            os.close(tty)
        except OSError:
            continue
