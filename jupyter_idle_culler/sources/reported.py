"""What scripts say of themselves through ``POST activity`` (U5)."""

from __future__ import annotations

from collections.abc import Callable

from ..core.model import HOST, Observation, ResourceId, Strength, Verdict
from .base import Look, Report

_GONE_SECONDS = 60.0  # a look may have begun before the kernel that was reported


class ReportedSource:
    """Counts a script's word as evidence that nobody stands behind: it holds the host only so long.

    ``clock`` gives instants in seconds.
    """

    name = "reported"
    covers = HOST
    essential = False
    limitations: tuple[str, ...] = ()

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last: dict[ResourceId, float] = {}

    def report(self, resource: ResourceId | None = None) -> None:
        """Take note that a program says it works (None: for the host, not for one resource)."""
        self._last[resource or HOST] = self._clock()

    async def observe(self, look: Look) -> Report:
        """Say when each was last reported; a kernel or terminal that is gone is forgotten."""
        there = {HOST, *(resource.id for resource in look.resources)}
        for resource_id, at in list(self._last.items()):
            if resource_id not in there and look.now - at > _GONE_SECONDS:
                del self._last[resource_id]
        detail = "activity reported by a program"
        return Report(
            tuple(
                Observation(resource_id, self.name, Verdict.IDLE, at, detail, Strength.UNATTENDED)
                for resource_id, at in self._last.items()
                if resource_id in there
            )
        )
