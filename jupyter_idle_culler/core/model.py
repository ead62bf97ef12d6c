"""The words in which the decision is made.

Instants are seconds (float) on one clock that never jumps and does not run while the machine
sleeps; durations are seconds (float), ``math.inf`` where the configuration says 0 = never.
Nothing here knows the wall clock: it is for people to read, not for deciding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Mapping, NamedTuple, Optional, Tuple


class Kind(Enum):
    """What can be observed, and culled."""

    KERNEL = "kernel"
    TERMINAL = "terminal"
    HOST = "host"
    EVERYTHING = "everything"

    # Enum's own hash is Python code, and each look hashes thousands of ids; members are unique.
    __hash__ = object.__hash__


class ResourceId(NamedTuple):
    """Name one thing: a kernel by its id, a terminal by its name."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.name}" if self.name else self.kind.value


HOST = ResourceId(Kind.HOST, "")
EVERYTHING = ResourceId(Kind.EVERYTHING, "")
"""What is said of EVERYTHING holds for the host and for each kernel and terminal."""


class Verdict(Enum):
    """What one source says of one resource."""

    ACTIVE = "active"
    IDLE = "idle"
    UNKNOWN = "unknown"

    __hash__ = object.__hash__  # as in Kind


class Strength(Enum):
    """How far an ACTIVE observation carries.

    WORK is computing or a person. OCCUPIED is a busy cell or a foreground job, which may be only
    waiting: `Policy.max_quiet_seconds` after the last WORK it no longer counts. UNATTENDED (a
    heartbeat file, a script's report, proxied traffic, a keep-alive) holds the host at most
    `Policy.max_unattended_seconds` after the last WORK or OCCUPIED anywhere.
    """

    WORK = "work"
    OCCUPIED = "occupied"
    UNATTENDED = "unattended"

    __hash__ = object.__hash__  # as in Kind


@dataclass(frozen=True)
class Observation:
    """What one source saw of one resource in one look.

    ``at`` is when the evidence was (ACTIVE; None: it is there now), since when there has been
    none (IDLE; None: the source only says that it sees nothing), and without meaning for UNKNOWN.
    An IDLE observation with ``at`` is evidence of activity at that moment. Where a time is known
    only to within some seconds, give the later bound.

    ``essential`` speaks only of UNKNOWN: whether it holds for as long as it lasts, or may be left
    out after `Policy.source_failure_grace_seconds`.

    ``detail`` is a phrase that a person reads after the resource's name ("cell running",
    "python train.py, 98 % CPU"). ``value``, ``threshold`` and ``unit`` are the figures behind the
    verdict, where it rests on one.
    """

    resource: ResourceId
    source: str
    verdict: Verdict
    at: Optional[float] = None
    detail: str = ""
    strength: Strength = Strength.WORK
    value: Optional[float] = None
    threshold: Optional[float] = None
    unit: str = ""
    essential: bool = True


@dataclass(frozen=True)
class Resource:
    """A kernel or terminal that exists.

    ``timeout_seconds`` is its own timeout (a kernelspec's ``cull_idle_timeout``; None: the
    policy's; ``math.inf``: never). ``pid`` is its root process on this machine, None where there
    is none (a remote kernel): then the processes source cannot speak of it and is not waited for.
    ``dead`` is a kernel whose process ended and will not be restarted: reaped at once.
    ``starting``: no client ever joined, so what its own process computes is still startup.
    ``excluded_pids`` are processes of its tree that are no work whatever they compute (viewers).
    ``facts`` is what status and explain show beside the verdict (execution_state, path, …).
    """

    id: ResourceId
    started_at: float
    label: str = ""
    pid: Optional[int] = None
    timeout_seconds: Optional[float] = None
    hold_host: bool = False
    connections: int = 0
    dead: bool = False
    starting: bool = False
    excluded_pids: Tuple[int, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class SourceFailure:
    """A source that failed as a whole: whatever it covers is unknown.

    ``covers`` with kind KERNEL or TERMINAL and an empty name is every one of them, and the host,
    which cannot be idle while one of them is unknown. ``essential`` sources (kernels, terminals,
    processes) are never left out of a decision, others are after
    `Policy.source_failure_grace_seconds`.
    ``local_only``: it could only ever have spoken of resources with a process on this machine.
    """

    source: str
    covers: ResourceId
    essential: bool
    detail: str
    local_only: bool = False


@dataclass(frozen=True)
class Snapshot:
    """Everything that one look saw. The order of its parts has no meaning."""

    server_started_at: float
    resources: Tuple[Resource, ...] = ()
    observations: Tuple[Observation, ...] = ()
    failures: Tuple[SourceFailure, ...] = ()


@dataclass(frozen=True)
class Policy:
    """What the configuration asks for, checked; durations in seconds, ``math.inf`` = never."""

    kernel_timeout_seconds: float = 7200.0
    terminal_timeout_seconds: float = 7200.0
    host_timeout_seconds: float = 7200.0
    host_stops: bool = True
    warning_seconds: float = 300.0
    startup_grace_seconds: float = 600.0
    max_unattended_seconds: float = 86400.0
    max_quiet_seconds: float = math.inf
    source_failure_grace_seconds: float = 1800.0
    ignore_connections: bool = True
    cull_terminals: bool = True
    cull_on_unknown: bool = False


class Action(Enum):
    """What is to be done about one resource."""

    KEEP = "keep"
    CULL = "cull"
    WARN = "warn"
    CANCEL_WARNING = "cancel-warning"
    STOP = "stop"


class Decision(NamedTuple):
    """What is to be done about one resource, and why.

    ``evidence_at``, ``evidence`` and ``evidence_source`` are the newest evidence that counts.
    ``deadline`` is when it will be culled or stopped if no evidence comes (None: not while things
    stay as they are), ``look_at`` the
    earliest instant at which something can fall due. ``reason`` is a sentence
    for people.
    """

    resource: ResourceId
    action: Action
    verdict: Verdict
    reason: str
    evidence_at: float
    evidence: str = ""
    evidence_source: str = ""
    deadline: Optional[float] = None
    look_at: Optional[float] = None


class Mark(NamedTuple):
    """One piece of evidence: when (``-math.inf``: never), which source, what it was."""

    at: float = -math.inf
    source: str = ""
    detail: str = ""


class Evidence(NamedTuple):
    """The newest evidence of each strength."""

    work: Mark = Mark()
    occupied: Mark = Mark()
    unattended: Mark = Mark()


class Warned(NamedTuple):
    """A host warning that stands: since when, and which evidence it counted from."""

    since: float
    evidence_at: float


@dataclass(frozen=True)
class State:
    """What a decision must remember of the ones before it. Never outlives the server.

    ``evidence`` of HOST holds what is remembered of resources that are gone. ``unknown_since``
    names the sources that fail, and when each was first seen to.
    """

    evidence: Mapping[ResourceId, Evidence] = field(default_factory=dict)
    unknown_since: Mapping[str, float] = field(default_factory=dict)
    warned: Optional[Warned] = None
