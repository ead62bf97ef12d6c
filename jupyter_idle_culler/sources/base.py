"""What every source is, and what it is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from ..core.model import Observation, Resource, ResourceId
from .procfs import ProcessTable


@dataclass(frozen=True)
class Look:
    """One look at the machine: what all sources of this look share.

    ``now`` is the instant of the look (monotonic seconds). ``processes`` is the process table, read
    once a look off the event loop (None: this system has no readable ``/proc``, and
    ``processes_error`` says why; both None: not Linux). ``resources`` are the kernels and terminals
    that exist; it is empty while the kernels and terminals sources themselves are asked.
    """

    now: float
    processes: ProcessTable | None = None
    processes_error: str | None = None
    resources: tuple[Resource, ...] = ()


@dataclass(frozen=True)
class Report:
    """What a source saw: resources that it found (kernels, terminals) and observations.

    ``again_in_seconds``: nobody can tell yet. This look counts for nothing, and the one after such
    a pause is to be relied on: it asks for no other.
    """

    observations: tuple[Observation, ...] = ()
    resources: tuple[Resource, ...] = field(default=())
    again_in_seconds: float = 0.0


class Source(Protocol):
    """A source of evidence. An exception from `observe` means that all it covers is unknown.

    ``essential`` sources are never left out of a decision. ``limitations`` are what this source
    cannot see on this system, in sentences for people (shown once at start and in explain).
    """

    name: str
    covers: ResourceId
    essential: bool

    @property
    def limitations(self) -> tuple[str, ...]: ...

    async def observe(self, look: Look) -> Report: ...
