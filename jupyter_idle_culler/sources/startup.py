"""Keep what a kernel computes while it starts (imports) from looking like work.

A kernel's own process counts from the first look at which a client had joined it, or from when it
is too old to be starting still. What it had used till then is a baseline. Pure; Python 3.8 syntax.
"""

from __future__ import annotations

import math
from typing import Dict, Iterable, Sequence

from ..core.model import Kind, Resource
from .accounting import Sample
from .procfs import TICKS_PER_SECOND, ProcessTable, ProcKey

STARTUP_SECONDS = 30.0
"""So long a kernel that nobody joined may compute before it counts."""


class Startup:
    """Remembers when each kernel's process was first seen with a client."""

    def __init__(self) -> None:
        self._joined_at: Dict[ProcKey, float] = {}

    def look(self, table: ProcessTable, resources: Iterable[Resource]) -> None:
        """Take note of who is joined in this table; drop what is gone."""
        joined = {}
        for resource in resources:
            process = table.processes.get(resource.pid) if resource.pid is not None else None
            if process is not None and resource.id.kind is Kind.KERNEL:
                at = math.inf if resource.starting else table.read_at
                joined[process.key] = min(at, self._joined_at.get(process.key, math.inf))
        self._joined_at = joined

    def over(self, process: ProcKey, history: Sequence[Sample]) -> Sequence[Sample]:
        """Return the part of a history (oldest first) from which this process counts."""
        joined_at = self._joined_at.get(process, -math.inf)
        too_old = process.start_ticks + STARTUP_SECONDS * TICKS_PER_SECOND
        for index, sample in enumerate(history):
            if sample.table.read_at >= joined_at or sample.table.boot_ticks >= too_old:
                return history[index:]
        return ()
