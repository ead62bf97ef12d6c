"""Keep-alives: what people and programs asked to be kept awake, and until when (U4)."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from ..clock import AwakeClock
from ..core.model import EVERYTHING, Kind, Observation, Resource, ResourceId, Strength, Verdict
from ..errors import NotOwner, OutOfBounds, UnknownKeepAlive
from .base import Look, Report
from .keep_alive_file import KeepAliveFile, Stored

MOST_KEEP_ALIVES = 100
_LONGEST_REASON = 500
_GONE_SECONDS = 300.0


@dataclass(frozen=True)
class StandingKeepAlive:
    """One wish: whose, why, for what (EVERYTHING: the host and all in it), from when until when.

    Instants are those of the `AwakeClock`.
    """

    id: str
    owner: str
    reason: str
    resource: ResourceId
    began_at: float
    ends_at: float


class KeepAlives:
    """Keeps the wishes, bounds them, and holds what they name active until they end.

    ``max_minutes`` asks for the longest that may be asked for (0: none at all); ``path`` is this
    server's own state file (None: kept in memory only). What the file cannot hold or give back is
    in ``problem`` and loses at worst the wishes: it never raises.
    """

    name = "keep-alives"
    covers = EVERYTHING
    essential = False
    limitations: tuple[str, ...] = ()

    def __init__(
        self,
        clock: AwakeClock,
        max_minutes: Callable[[], float],
        log: logging.Logger,
        path: Path | None = None,
    ) -> None:
        self._clock = clock
        self._max_minutes = max_minutes
        self._log = log
        self._file = None if path is None else KeepAliveFile(path)
        self._standing: dict[str, StandingKeepAlive] = {}
        self._ended: dict[ResourceId, float] = {}
        self._pids: dict[ResourceId, int | None] = {}
        self._missing_since: dict[ResourceId, float] = {}
        self._saving = asyncio.Lock()
        self._loaded = False
        self.problem: str | None = None

    async def load(self) -> None:
        """Take up what the server's life before this one promised; call it once, before any other.

        What ended meanwhile is gone (stale state never culls, nor keeps), what the bounds of today
        forbid is cut, and a wish for a terminal went with its terminal: its name is used again.
        """
        if self._file is None or self._loaded:
            return
        self._loaded = True
        stored, self.problem = await asyncio.to_thread(self._file.load)
        self._say_problem()
        now, longest = self._clock.now(), self._max_minutes() * 60.0
        for one in stored:
            left = min(one.left_seconds, longest)
            if left > 0.0 and one.resource.kind is not Kind.TERMINAL:
                self._standing[one.id] = StandingKeepAlive(
                    one.id, one.owner, one.reason, one.resource, now, now + left
                )

    async def add(
        self, minutes: float, reason: str, resource: ResourceId | None = None, owner: str = ""
    ) -> StandingKeepAlive:
        """Keep the host (resource None) or one kernel or terminal awake for so many minutes.

        A wish of the same owner for the same thing that ends no later is replaced.

        Raises: OutOfBounds.
        """
        most = self._max_minutes()
        if most <= 0.0:
            message = "keep-alives are switched off (max_keep_alive_minutes = 0)"
            raise OutOfBounds(message, "minutes")
        if not 0.0 < minutes <= most:  # NaN too
            message = f"minutes must be above 0 and at most {most:g} (max_keep_alive_minutes)"
            raise OutOfBounds(message, "minutes")
        now = self._clock.now()
        self._end_those_due(now)
        wish = StandingKeepAlive(
            secrets.token_hex(8),
            owner,
            " ".join(reason.split())[:_LONGEST_REASON],
            resource or EVERYTHING,
            now,
            now + minutes * 60.0,
        )
        for old in list(self._standing.values()):
            same = old.owner == wish.owner and old.resource == wish.resource
            if same and old.ends_at <= wish.ends_at:
                del self._standing[old.id]
        if len(self._standing) >= MOST_KEEP_ALIVES:
            message = f"{MOST_KEEP_ALIVES} keep-alives stand already: cancel some first"
            raise OutOfBounds(message)
        self._standing[wish.id] = wish
        await self._save()
        return wish

    async def cancel(
        self, keep_alive_id: str | None = None, owner: str = "", is_admin: bool = False
    ) -> int:
        """End one wish, or (None) all those of the owner. Returns how many ended.

        Raises: UnknownKeepAlive, NotOwner.
        """
        now = self._clock.now()
        self._end_those_due(now)
        if keep_alive_id is None:
            chosen = [w for w in self._standing.values() if w.owner == owner]
        elif keep_alive_id not in self._standing:
            message = f"there is no keep-alive {keep_alive_id!r}"
            raise UnknownKeepAlive(message)
        else:
            chosen = [self._standing[keep_alive_id]]
            if not is_admin and chosen[0].owner != owner:
                message = "only its owner or an administrator may cancel this keep-alive"
                raise NotOwner(message)
        for wish in chosen:
            self._end(wish, now)
        if chosen:
            await self._save()
        return len(chosen)

    def standing(self) -> tuple[StandingKeepAlive, ...]:
        """Return those that stand, the one that ends first first."""
        now = self._clock.now()
        now_standing = (wish for wish in self._standing.values() if wish.ends_at > now)
        return tuple(sorted(now_standing, key=lambda wish: (wish.ends_at, wish.id)))

    @property
    def next_end(self) -> float | None:
        """When the next one ends (None: none stands)."""
        return min((wish.ends_at for wish in self._standing.values()), default=None)

    async def observe(self, look: Look) -> Report:
        """Say what is kept awake now, and when what no longer is ceased to be."""
        before = len(self._standing)
        now = max(look.now, self._clock.now())
        self._end_those_due(now)
        self._forget_the_gone(look)
        if len(self._standing) != before:
            await self._save()
        there = {resource.id for resource in look.resources} | {EVERYTHING}
        latest: dict[ResourceId, StandingKeepAlive] = {}
        for wish in sorted(self._standing.values(), key=lambda wish: wish.ends_at):
            if wish.resource in there:
                latest[wish.resource] = wish
        active = [self._active(wish) for wish in latest.values()]
        ended = [
            Observation(
                resource, self.name, Verdict.IDLE, at, "a keep-alive ended", Strength.UNATTENDED
            )
            for resource, at in self._ended.items()
            if resource in there and resource not in latest
        ]
        return Report((*active, *ended))

    def _active(self, wish: StandingKeepAlive) -> Observation:
        until = self._clock.to_utc(wish.ends_at) + timedelta(seconds=30)  # to the nearest minute
        today = until.date() == self._clock.utc_now().date()
        form = "%H:%M UTC" if today else "%Y-%m-%d %H:%M UTC"
        why = f": {wish.reason}" if wish.reason else ""
        detail = f"kept awake until {until.strftime(form)}{why}"
        return Observation(
            wish.resource, self.name, Verdict.ACTIVE, None, detail, Strength.UNATTENDED
        )

    def _end(self, wish: StandingKeepAlive, at: float) -> None:
        del self._standing[wish.id]
        self._ended[wish.resource] = max(self._ended.get(wish.resource, -math.inf), at)

    def _end_those_due(self, now: float) -> None:
        for wish in list(self._standing.values()):
            if wish.ends_at <= now:
                self._end(wish, wish.ends_at)

    def _forget_the_gone(self, look: Look) -> None:
        """Drop what names a kernel or terminal that is gone.

        A kernel that is missing from one look may only not have been seen; a terminal's name is
        used again, and another process is another terminal.
        """
        there: dict[ResourceId, Resource] = {resource.id: resource for resource in look.resources}
        named = {w.resource for w in self._standing.values()} | set(self._ended)
        named.discard(EVERYTHING)
        for kept in (self._pids, self._missing_since):
            for resource_id in set(kept) - named:
                del kept[resource_id]
        for resource_id in named:
            resource = there.get(resource_id)
            if resource is None:
                since = self._missing_since.setdefault(resource_id, look.now)
                gone = look.now - since >= _GONE_SECONDS
            else:
                self._missing_since.pop(resource_id, None)
                pid = self._pids.setdefault(resource_id, resource.pid)
                gone = resource_id.kind is Kind.TERMINAL and pid != resource.pid
            if gone:
                self._ended.pop(resource_id, None)
                self._pids.pop(resource_id, None)
                self._missing_since.pop(resource_id, None)
                for wish in [w for w in self._standing.values() if w.resource == resource_id]:
                    del self._standing[wish.id]

    async def _save(self) -> None:
        """Write what stands now; the last one of several saves wins, whatever their order."""
        if self._file is None:
            return
        async with self._saving:
            now = self._clock.now()
            stored = [
                Stored(w.id, w.owner, w.reason, w.resource, w.ends_at - now)
                for w in self._standing.values()
            ]
            self.problem = await asyncio.to_thread(self._file.save, stored)
        self._say_problem()

    def _say_problem(self) -> None:
        if self.problem is not None:
            self._log.warning("Idle culler: %s", self.problem)
