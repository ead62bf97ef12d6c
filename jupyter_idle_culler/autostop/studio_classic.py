"""Studio Classic: end idle kernels, then idle image terminals, then apps on which nothing is left.

Kernels run in other machines (KernelGateway apps), so no process shows here. A busy kernel works;
an idle one, and a terminal, was used when its `last_activity` changed since the look before (the
server's times are wall-clock times: they are compared for being equal, never with a clock). Where
it cannot be known on which app something is, every app is kept until it is gone.

Limits: a background job of an idle kernel is unseen unless it prints. On the old Jupyter of this
place a page that reconnects moves `last_activity` too: that keeps a kernel longer.
"""

from __future__ import annotations

import math
import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Set
from urllib.parse import quote

from ..core.decision import decide
from ..core.duration import duration
from ..core.model import (
    HOST,
    Action,
    Decision,
    Evidence,
    Kind,
    Mark,
    Observation,
    Policy,
    Resource,
    ResourceId,
    Snapshot,
    State,
    Verdict,
    Warned,
)
from .jupyter_api import ApiError, JupyterApi
from .memory import missed

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 60.0, 3600.0
_VERDICTS = {
    "busy": Verdict.ACTIVE,
    "restarting": Verdict.ACTIVE,
    "autorestarting": Verdict.ACTIVE,
    "idle": Verdict.IDLE,
    "starting": Verdict.IDLE,
    "dead": Verdict.IDLE,
}
_ORDER = (Kind.KERNEL, Kind.TERMINAL, Kind.HOST)
_PATHS = ("api/kernels/", "api/terminals/", "sagemaker/api/apps/")
_BUSY, _NOWHERE = "", ""
"""The trace of a busy kernel, unlike any other; the app of what is on no known one."""

Heartbeats = Callable[[JupyterApi, Set[str], Dict[str, Any]], Set[str]]
"""Given idle kernels whose `last_activity` moved, and all kernels by id as they were just listed:
returns those that only print by themselves, which is no evidence."""


class _Thing(NamedTuple):
    """A kernel or an image terminal. ``trace`` changes when it is used; None: nothing tells."""

    id: ResourceId
    label: str
    state: str
    trace: Any
    apps: List[str]


class _Look(NamedTuple):
    """What is due, in the order to end it, and why; what to say now; what stays; what it means."""

    due: Dict[ResourceId, str]
    news: List[str]
    unknown: List[str]
    verdict: str


def check(
    api: JupyterApi,
    memory: Dict[str, Any],
    *,
    timeout_seconds: float,
    keep_terminals: bool,
    warning_seconds: float,
    dry_run: bool,
    now: float,
    heartbeats: Heartbeats = lambda api, ids, kernels: set(),
) -> List[str]:
    """Look, end what is due in two looks in a row, and say so; the last line is the verdict.

    ``memory`` is kept between the checks of one boot, ``now`` is on a clock that never jumps.
    Each thing is ended after one more look of its own; the time that the answers take is added.
    """
    policy = Policy(
        timeout_seconds,
        timeout_seconds,
        timeout_seconds,
        warning_seconds=warning_seconds,
        cull_terminals=not keep_terminals,
    )
    ahead = now - time.monotonic()
    lines: List[str] = []
    before: Dict[ResourceId, str] = {}
    done: Set[ResourceId] = set()
    try:
        while True:
            look = _look(api, memory, policy, lambda: time.monotonic() + ahead, heartbeats)
            lines += look.news
            todo = [thing for thing in look.due if thing not in done]
            if not todo:
                break
            if todo[0] in before:
                done.add(todo[0])
                what = look.due[todo[0]]
                if dry_run:
                    lines.append("dry run: would end " + what)
                else:
                    lines.append(_end(api, memory, todo[0], what, time.monotonic() + ahead))
            before = look.due
        tries = memory.get("tries", {})
        memory["tries"] = {path: tries[path] for path in map(_path, look.due) if path in tries}
        lines += [*look.unknown, look.verdict]
    except ApiError as error:
        lines.append(f"unknown, so nothing is ended: {error}")
    # What people name their files goes into a log: one line each, of text that can be written.
    return [" ".join(line.encode("utf-8", "replace").decode().split()) for line in lines]


def _path(thing: ResourceId, safe: str = "") -> str:
    return _PATHS[_ORDER.index(thing.kind)] + quote(thing.name, safe)


def _end(api: JupyterApi, memory: Dict[str, Any], thing: ResourceId, what: str, at: float) -> str:
    """End one thing, unless a pause after the last try lasts; that it is gone the next look tells.

    A terminal's name holds slashes, and servers differ in how they take them: each second try
    sends them as they are.
    """
    tries = memory.setdefault("tries", {})
    count, pause_until = tries.get(_path(thing), (0, at))
    said = "ends "
    if at >= pause_until:
        pause = min(_FIRST_PAUSE_SECONDS * 2**count, _LONGEST_PAUSE_SECONDS)
        tries[_path(thing)] = count + 1, at + pause
        try:
            api.delete(_path(thing, "/" * (count % 2)))
            return "ends " + what + (f", try {count + 1}" if count else "")
        except ApiError as error:
            said, pause_until = f"{error}: ", at + pause
    else:
        said = f"still there after {count} tries: "
    return f"UNHEALTHY, again in {duration(pause_until - at)}: {said}{what}"


def _text(found: Any, field: str) -> str:
    value = found.get(field) if isinstance(found, dict) else None
    if isinstance(value, str) and value:
        return value
    raise ApiError(f"the server listed something without {field}")


def _look(
    api: JupyterApi,
    memory: Dict[str, Any],
    policy: Policy,
    clock: Callable[[], float],
    heartbeats: Heartbeats,
) -> _Look:
    """List everything and decide, app by app. Raises: ApiError, and ``memory`` is as it was."""
    kernels = api.kernels()
    for session in api.list("api/sessions"):
        kernel = session.get("kernel", "")
        if kernel is not None:
            known = kernels.get(_text(kernel, "id"), {})
            kernels[kernel["id"]] = {**known, **kernel, "path": session.get("path")}
    terminals = api.list("api/terminals")
    apps = {
        _text(app, "app_name"): [_text(app, "environment_arn"), _text(app, "instance_type")]
        for app in api.list("sagemaker/api/apps")
        if app.get("app_type", "KernelGateway") == "KernelGateway"
    }
    things = [*_kernels(kernels, apps), *_terminals(terminals, apps)]
    traces = memory.get("traces", {})
    moved = {
        thing.id.name
        for thing in things
        if traces.get(thing.id.name, [thing.trace])[0] != thing.trace
    }
    # Of what was busy in the look before it is known that it worked, whatever it prints now.
    quiet = {
        thing.id.name
        for thing in things
        if thing.id.name in moved and thing.state == "idle" and traces[thing.id.name][0] != _BUSY
    }
    if quiet:
        moved -= heartbeats(api, quiet, kernels)
    at = clock()
    memory["traces"] = {
        thing.id.name: [
            thing.trace,
            at if thing.id.name in moved else traces.get(thing.id.name, [0, at])[1],
        ]
        for thing in things
    }
    if missed(memory, at):  # what was on an app meanwhile is not known: it is empty from now on
        for kept in memory.get("apps", {}).values():
            kept.pop("empty", None)
    return _decide(memory, things, list(apps), policy, at)


def _kernels(kernels: Dict[str, Any], apps: Dict[str, List[str]]) -> Iterator[_Thing]:
    for kernel in kernels.values():
        name = _text(kernel, "id")
        state, trace = _text(kernel, "execution_state"), _text(kernel, "last_activity")
        label = "kernel {}".format(kernel.get("path") or name[:8])
        on = [app for app in apps if app == kernel.get("app_name")]
        trace = _BUSY if state == "busy" else trace
        yield _Thing(ResourceId(Kind.KERNEL, name), label, state, trace, on)


def _terminals(terminals: List[Dict[str, Any]], apps: Dict[str, List[str]]) -> Iterator[_Thing]:
    """Yield the image terminals, named ``<environment arn>__<id>__<instance type>…``."""
    for terminal in terminals:
        name = _text(terminal, "name")
        if name.startswith("arn:"):  # others are system terminals, which cost nothing
            trace = terminal.get("last_activity")
            label = "terminal " + name.rsplit("/", 1)[-1]
            state = "idle" if isinstance(trace, str) else "without last_activity"
            parts = name.split("__")
            on = [app for app, place in apps.items() if place == parts[:1] + parts[2:3]]
            yield _Thing(ResourceId(Kind.TERMINAL, name), label, state, trace, on)


def _decide(
    memory: Dict[str, Any], things: List[_Thing], apps: List[str], policy: Policy, at: float
) -> _Look:
    """Decide for each app as if it were a host, and for what is on no known app."""
    before, memory["apps"] = memory.get("apps", {}), {}
    labels = {thing.id: thing.label for thing in things}
    lost = [thing.label for thing in things if not thing.apps]
    decisions: Dict[ResourceId, Decision] = {}
    for app in [_NOWHERE, *apps]:
        kept = memory["apps"][app] = before.get(app, {"began": at})
        here = [thing for thing in things if app in (thing.apps or [_NOWHERE])]
        observations = [_of_app(kept, here, lost, at)]
        observations += [_of_thing(thing, memory["traces"][thing.id.name][1]) for thing in here]
        resources = [Resource(thing.id, -math.inf, dead=thing.state == "dead") for thing in here]
        snapshot = Snapshot(kept["began"], tuple(resources), tuple(observations))
        mark, warned = kept.get("state") or ((), None)
        known = State({HOST: Evidence(Mark(*mark))}, {}, warned and Warned(*warned))
        (*about_things, about_app), state = decide(snapshot, policy, known, at)
        warned = state.warned
        kept["state"] = (
            state.evidence[HOST].work,
            warned and (warned.since, warned.evidence_at),
        )
        decisions.update((decision.resource, decision) for decision in about_things)
        if app:
            decisions[ResourceId(Kind.HOST, app)] = about_app
            labels[ResourceId(Kind.HOST, app)] = "app " + app
    return _in_words(decisions, labels, at)


def _of_app(kept: Dict[str, Any], here: List[_Thing], lost: List[str], at: float) -> Observation:
    """Say what is on an app; since when nothing is, ``kept`` remembers."""
    empty = kept.pop("empty", at)
    if here:
        return Observation(HOST, "apps", Verdict.ACTIVE, at, here[0].label + " is left on it")
    if lost:
        return Observation(HOST, "apps", Verdict.UNKNOWN, at, lost[0] + " is on no known app")
    kept["empty"] = empty
    return Observation(HOST, "apps", Verdict.IDLE, empty, "nothing is left on it")


def _of_thing(thing: _Thing, used_at: float) -> Observation:
    verdict = _VERDICTS.get(thing.state, Verdict.UNKNOWN)
    what = "used" if verdict is Verdict.IDLE else thing.state
    at = None if verdict is Verdict.ACTIVE else used_at
    return Observation(thing.id, "lists", verdict, at, f"{thing.label} {what}")


def _in_words(
    decisions: Dict[ResourceId, Decision], labels: Dict[ResourceId, str], at: float
) -> _Look:
    look = _Look({}, [], [], "")
    active, held, deadlines = [], [], []
    for thing, decision in sorted(decisions.items(), key=lambda item: _ORDER.index(item[0].kind)):
        label, action = labels[thing], decision.action
        what = f"{label}: {decision.reason}"
        if action in (Action.CULL, Action.STOP):
            look.due[thing] = what
        elif decision.deadline is not None:
            deadlines.append((decision.deadline, label))
            if action is Action.WARN:
                left = duration(decision.deadline - at)
                look.news.append(f"warns: {label} ends in {left}")
        if action is Action.CANCEL_WARNING:
            look.news.append("warns no more of " + what)
        if decision.verdict is Verdict.UNKNOWN:
            look.unknown.append(what)
        if thing.kind is Kind.HOST:
            held.append(label)
        elif decision.verdict is Verdict.ACTIVE:
            active.append(decision.reason)
    said = []
    if deadlines:
        deadline, label = min(deadlines)
        said.append(f"next: {label} in {duration(deadline - at)}")
    kept = active or ([] if deadlines else held)
    if kept:
        said.append("keeps: {}{}".format(", ".join(kept[:3]), ", …" * (len(kept) > 3)))
    return look._replace(verdict="; ".join(said) or "nothing is left")
