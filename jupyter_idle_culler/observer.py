"""One look: ask every source, each under its own time limit; what fails is unknown."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from .core.model import (
    EVERYTHING,
    Observation,
    Resource,
    ResourceId,
    Snapshot,
    SourceFailure,
)
from .sources.base import Look, Report, Source
from .sources.procfs import ProcessTable, TableReader

SOURCE_TIME_LIMIT_SECONDS = 5.0


@dataclass
class SourceHealth:
    """How one source fares: since when it fails (clock instant), what it said, how long it took."""

    failing_since: float | None = None
    detail: str = ""
    look_seconds: float | None = None


@dataclass
class Observer:
    """Asks the sources.

    ``finding`` are the sources that find resources (kernels, terminals): the others are asked after
    them, and told what there is. ``on_demand`` are asked only by `look_closer`: theirs is evidence
    that costs something to get. ``clock`` gives the instant of a look.
    """

    finding: Sequence[Source]
    others: Sequence[Source]
    clock: Callable[[], float]
    log: logging.Logger
    server_started_at: float
    time_limit_seconds: float = SOURCE_TIME_LIMIT_SECONDS
    read_table: Callable[[], ProcessTable] = field(default_factory=TableReader)
    on_demand: Sequence[Source] = ()
    health: dict[str, SourceHealth] = field(default_factory=dict)
    last_look_seconds: float = 0.0
    _table_reader: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="idle-culler-proc")
    )
    _reading: asyncio.Future[ProcessTable] | None = None
    _look: Look | None = None

    @property
    def sources(self) -> tuple[Source, ...]:
        """All sources, the finding ones first."""
        return (*self.finding, *self.others, *self.on_demand)

    @property
    def limitations(self) -> tuple[str, ...]:
        """What cannot be known on this system, in sentences for people."""
        return tuple(sentence for source in self.sources for sentence in source.limitations)

    async def look(self) -> Snapshot:
        """Look at everything, where a source cannot tell yet once more after a pause.

        Takes at most a few time limits and that pause, whatever the sources do.
        """
        snapshot, pause = await self._look_once()
        if pause:
            await asyncio.sleep(pause)
            snapshot, _ = await self._look_once()
        return snapshot

    async def _look_once(self) -> tuple[Snapshot, float]:
        """Look at everything; return what there is, and how soon a source wants to see it again."""
        began = time.monotonic()
        table, error = await self._read_table()
        look = Look(now=self.clock(), processes=table, processes_error=error)
        failures: list[SourceFailure] = []
        found = await self._ask(self.finding, look, failures)
        resources: list[Resource] = [r for report in found for r in report.resources]
        look = Look(
            now=look.now,
            processes=table,
            processes_error=error,
            resources=tuple(resources),
        )
        self._look = look
        reports = found + await self._ask(self.others, look, failures)
        observations: list[Observation] = [o for report in reports for o in report.observations]
        self.last_look_seconds = time.monotonic() - began
        pause = max((report.again_in_seconds for report in reports), default=0.0)
        return Snapshot(
            self.server_started_at, tuple(resources), tuple(observations), tuple(failures)
        ), pause

    async def look_closer(self, snapshot: Snapshot, undecided: Collection[ResourceId]) -> Snapshot:
        """Add to the last look what the sources on demand see of what is undecided.

        Returns the snapshot itself where they add nothing.
        """
        sources = [s for s in self.on_demand if s.covers == EVERYTHING or s.covers in undecided]
        if not sources or not undecided or self._look is None:
            return snapshot
        began = time.monotonic()
        failures: list[SourceFailure] = []
        reports = await self._ask(sources, self._look, failures)
        self.last_look_seconds += time.monotonic() - began
        seen = [o for report in reports for o in report.observations]
        if not seen and not failures:
            return snapshot
        return replace(
            snapshot,
            observations=(*snapshot.observations, *seen),
            failures=(*snapshot.failures, *failures),
        )

    def close(self) -> None:
        """Let go of the thread that reads the process table."""
        self._table_reader.shutdown(wait=False, cancel_futures=True)

    async def _read_table(self) -> tuple[ProcessTable | None, str | None]:
        """Read the process table in its thread: at most one reading at a time, even a hung one."""
        if not sys.platform.startswith("linux"):
            return None, None
        if self._reading is None or self._reading.done():
            loop = asyncio.get_running_loop()
            self._reading = loop.run_in_executor(self._table_reader, self.read_table)
        try:
            table = await asyncio.wait_for(asyncio.shield(self._reading), self.time_limit_seconds)
        except asyncio.TimeoutError:
            return None, f"/proc did not answer within {self.time_limit_seconds:g} s"
        except Exception as error:
            return None, f"/proc cannot be read: {error}"
        return table, None

    async def _ask(
        self, sources: Sequence[Source], look: Look, failures: list[SourceFailure]
    ) -> list[Report]:
        answers = await asyncio.gather(*(self._ask_one(source, look) for source in sources))
        reports = []
        for source, answer in zip(sources, answers, strict=True):
            if isinstance(answer, str):
                failures.append(
                    SourceFailure(
                        source.name,
                        source.covers,
                        source.essential,
                        answer,
                        local_only=getattr(source, "local_only", False),
                    )
                )
            else:
                reports.append(answer)
        return reports

    async def _ask_one(self, source: Source, look: Look) -> Report | str:
        """Return what the source saw, or why it could not see."""
        began = time.monotonic()
        try:
            report = await asyncio.wait_for(source.observe(look), self.time_limit_seconds)
        except asyncio.TimeoutError:
            return self._failed(source, f"no answer within {self.time_limit_seconds:g} s")
        except Exception as error:
            self.log.debug("source %s failed", source.name, exc_info=True)
            return self._failed(source, str(error) or type(error).__name__)
        health = self.health.setdefault(source.name, SourceHealth())
        health.look_seconds = time.monotonic() - began
        if health.failing_since is not None:
            self.log.warning("Idle culler: source %r works again.", source.name)
            health.failing_since = None
        return report

    def _failed(self, source: Source, detail: str) -> str:
        health = self.health.setdefault(source.name, SourceHealth())
        if health.failing_since is None:
            health.failing_since = self.clock()
            kept = "what it cannot see is kept" if source.essential else "it may be left out later"
            self.log.warning(
                "Idle culler: source %r failed (%s); its verdict is unknown, and %s.",
                source.name,
                detail,
                kept,
            )
        health.detail = detail
        return detail
