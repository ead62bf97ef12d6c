"""What status and explain say: plain frozen data that the culler fills and the views show.

Instants are aware UTC datetimes, for people; ``…_seconds`` are what programs count with. Where an
`Evidence` or `ObservationReport` names a ``person``, only that person sees its detail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Evidence:
    """The newest evidence: when, how long ago, which source, what it was.

    ``person`` is the username whose presence it was (None: not a person, or nobody known by name).
    """

    at: datetime
    age_seconds: float
    source: str
    detail: str
    person: str | None = None


@dataclass(frozen=True)
class WarningStatus:
    """A host warning that stands, and when it ends in a stop."""

    since: datetime
    ends_in_seconds: float
    stops_at: datetime


@dataclass(frozen=True)
class HostStatus:
    """How the host stands. ``stops_in_seconds`` None: no stop while things stay as they are.

    ``verdict`` is active, idle or unknown; ``stop_action`` what a stop does here (none: nothing).
    ``active`` names what is at work now, in words ("train.ipynb", "python sweep.py").
    """

    verdict: str
    reason: str
    evidence: Evidence
    stop_action: str
    active: tuple[str, ...] = ()
    stops_in_seconds: float | None = None
    stops_at: datetime | None = None
    warning: WarningStatus | None = None


@dataclass(frozen=True)
class ResourceStatus:
    """How one kernel or terminal stands; ``id`` is the kernel's id or the terminal's name."""

    id: str
    label: str
    verdict: str
    reason: str
    evidence: Evidence
    culled_in_seconds: float | None = None
    culled_at: datetime | None = None
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class KeepAlive:
    """A wish to keep the host, or one resource (``kernel:…``, ``terminal:…``), awake until then.

    ``owner`` is a username, empty where the server knows no people apart.
    """

    id: str
    owner: str
    reason: str
    resource: str | None
    ends_in_seconds: float
    ends_at: datetime


@dataclass(frozen=True)
class NextStep:
    """What happens next if no evidence comes: ``action`` is cull, warn or stop."""

    resource: str
    action: str
    in_seconds: float
    at: datetime


@dataclass(frozen=True)
class Problem:
    """One thing that keeps the culler from doing its work, and what would mend it."""

    source: str
    since: datetime
    detail: str
    mend: str


@dataclass(frozen=True)
class Health:
    """``status`` is ok, degraded (something is kept or left out) or unhealthy (none is culled)."""

    status: str = "ok"
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class PolicySummary:
    """The times in force, in minutes; None: never, or no bound."""

    kernel_timeout_minutes: float | None
    terminal_timeout_minutes: float | None
    host_timeout_minutes: float | None
    warning_minutes: float
    min_timeout_minutes: float | None
    max_timeout_minutes: float | None
    max_keep_alive_minutes: float
    max_unattended_minutes: float | None


@dataclass(frozen=True)
class LastStop:
    """The stop that ended the run before this one.

    ``idle_seconds`` None: a person asked for it, and ``asked_by`` is their username (empty where
    the server knows no people apart); ``asked_by`` None: idleness. ``unsaved_documents`` could not
    be saved, ``silent_pages`` did not answer when they were asked to. ``kernels`` and ``terminals``
    are the labels of what was shut down since the last evidence.
    """

    at: datetime
    reason: str
    evidence: str
    idle_seconds: float | None
    asked_by: str | None
    stop_action: str
    saved_documents: int = 0
    unsaved_documents: tuple[str, ...] = ()
    silent_pages: int = 0
    kernels: tuple[str, ...] = ()
    terminals: tuple[str, ...] = ()


@dataclass(frozen=True)
class Costs:
    """What the host's idle time today costs, and what stops of the last 30 days saved.

    Compute only: storage is billed on. ``hourly_price`` is the configured one.
    """

    hourly_price: float
    idle_today_seconds: float
    idle_today_cost: float
    saved_seconds: float
    saved_cost: float


@dataclass(frozen=True)
class Status:
    """Everything that `GET status` says.

    ``last_stop`` None: none, or somebody has read of it. ``costs`` None: no price is configured.
    """

    time: datetime
    version: str
    dry_run: bool
    host: HostStatus
    policy: PolicySummary
    kernels: tuple[ResourceStatus, ...] = ()
    terminals: tuple[ResourceStatus, ...] = ()
    keep_alives: tuple[KeepAlive, ...] = ()
    next: NextStep | None = None
    health: Health = Health()
    last_stop: LastStop | None = None
    costs: Costs | None = None


@dataclass(frozen=True)
class ObservationReport:
    """One observation of the last look. ``at`` None: now (active), or nothing is known (idle)."""

    resource: str
    source: str
    verdict: str
    strength: str
    detail: str
    at: datetime | None = None
    age_seconds: float | None = None
    value: float | None = None
    threshold: float | None = None
    unit: str = ""
    person: str | None = None


@dataclass(frozen=True)
class SourceReport:
    """How one source does: ``ok``, since when not, and for how long its last look took."""

    name: str
    covers: str
    essential: bool
    ok: bool
    detail: str = ""
    since: datetime | None = None
    look_seconds: float | None = None


@dataclass(frozen=True)
class Ended:
    """A kernel or terminal that was ended lately: why, and what became of it.

    ``done`` False: it could not be ended, or new evidence came in between; ``detail`` says so.
    """

    resource: str
    label: str
    at: datetime
    reason: str
    evidence: str
    done: bool
    detail: str


@dataclass(frozen=True)
class Explanation:
    """Everything that `GET explain` says.

    ``limitations`` are what cannot be seen on this system, ``other_cullers`` what else may end
    things here, ``would_happen`` one sentence for each thing that falls due. ``ended`` are the last
    few that were ended since the server started, oldest first.
    """

    status: Status
    observations: tuple[ObservationReport, ...] = ()
    sources: tuple[SourceReport, ...] = ()
    limitations: tuple[str, ...] = ()
    other_cullers: tuple[str, ...] = ()
    would_happen: tuple[str, ...] = ()
    ended: tuple[Ended, ...] = ()


@dataclass(frozen=True)
class Setting:
    """One setting that a user may change, as its trait has it: in the unit of its name, 0 = never.

    ``value`` None: unset; ``minimum`` and ``maximum`` None: no bound. ``source`` says where the
    value comes from: user, configuration, environment, default.
    """

    value: float | None
    source: str
    minimum: float | None = None
    maximum: float | None = None

    @property
    def is_fixed(self) -> bool:
        """Whether the bounds leave a single value."""
        return self.minimum is not None and self.minimum == self.maximum
