"""What an endpoint is made of, and what can be said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum


class Kind(str, Enum):
    """What a part of an endpoint is; each kind has metrics of its own."""

    REAL_TIME = "real-time"
    SERVERLESS = "serverless"
    ASYNCHRONOUS = "asynchronous"
    COMPONENT = "inference component"
    HOST = "real-time, for inference components"


class Verdict(str, Enum):
    """What an endpoint or a part of it is."""

    BUSY = "busy"
    IDLE = "idle"
    FREE = "idle, costs nothing"
    UNKNOWN = "unknown"
    YOUNG = "young"
    UPDATING = "updating"


@dataclass(frozen=True)
class Part:
    """A variant (production or shadow) or an inference component: what is invoked by name.

    ``instances``: how many run now; None where the kind has none of its own. ``provisioned``: the
    provisioned concurrency of a serverless variant. ``proof``: the name whose utilization proves
    that metrics come (an adapter's is its base component's).
    """

    name: str
    kind: Kind
    shadow: bool = False
    instances: int | None = None
    provisioned: int = 0
    proof: str = ""

    @property
    def free(self) -> bool:
        """Whether it costs nothing as it is now."""
        if self.kind is Kind.SERVERLESS:
            return self.provisioned == 0
        return self.instances == 0


@dataclass(frozen=True)
class Endpoint:
    """An endpoint as SageMaker describes it, with its tags."""

    name: str
    arn: str
    region: str
    status: str
    created: datetime
    modified: datetime
    config: str
    parts: tuple[Part, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    components_known: bool = True
    """False: SageMaker did not list its inference components."""

    @property
    def variants(self) -> tuple[Part, ...]:
        """The parts that cost: variants, not the components upon them."""
        return tuple(part for part in self.parts if part.kind is not Kind.COMPONENT)

    @property
    def components(self) -> tuple[Part, ...]:
        """The inference components."""
        return tuple(part for part in self.parts if part.kind is Kind.COMPONENT)

    @property
    def kind(self) -> str:
        """Its kinds, in words."""
        kinds = {part.kind.value: None for part in self.variants}
        if self.components:
            return Kind.COMPONENT.value + "s"
        return ", ".join(kinds) or "unknown"

    @property
    def free(self) -> bool:
        """Whether all of it costs nothing as it is now."""
        return bool(self.variants) and all(part.free for part in self.variants)


@dataclass(frozen=True)
class Peaks:
    """The highest utilization seen; percent as CloudWatch counts it, None where it says nothing."""

    cpu_percent: float | None = None
    memory_percent: float | None = None
    gpu_percent: float | None = None

    def joined(self, other: Peaks) -> Peaks:
        """Return the higher of each."""
        return Peaks(
            _higher(self.cpu_percent, other.cpu_percent),
            _higher(self.memory_percent, other.memory_percent),
            _higher(self.gpu_percent, other.gpu_percent),
        )


def _higher(one: float | None, other: float | None) -> float | None:
    return max((value for value in (one, other) if value is not None), default=None)


@dataclass(frozen=True)
class Judgement:
    """What a part or an endpoint is, and why.

    ``last_activity``: the end of the latest period with traffic that was seen; None: none was.
    ``proven``: that no traffic was seen is known to mean that there was none.
    """

    verdict: Verdict
    reason: str
    last_activity: datetime | None = None
    proven: bool = False
    peaks: Peaks = Peaks()
    idle_parts: tuple[tuple[Part, Judgement], ...] = ()
    """Of a busy endpoint: its variants and components that are idle."""
