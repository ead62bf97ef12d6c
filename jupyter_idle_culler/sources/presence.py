"""People who work in the page: what the widget reports of them (U1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..core.model import HOST, Observation, ResourceId, Verdict
from .base import Look, Report

CONNECTED_SECONDS = 600.0
_MOST_OWNERS = 1000
_GONE_SECONDS = 60.0  # a look may have begun before the kernel that was reported


class Presence(NamedTuple):
    """When a person was last seen in the page, and the kernel or terminal in front of them."""

    at: float
    resource: ResourceId | None


class PresenceSource:
    """Holds the host, and what a person has in front of them, active while they type or click.

    The widget reports at most once a minute and only from a visible page: no report is needed to
    know that a tab is open, and an open tab is no evidence. Details name nobody: they go into the
    journal. Who it was, `last` tells the view that shows each person their own.

    ``clock`` gives instants in seconds.
    """

    name = "presence"
    covers = HOST
    essential = False
    limitations: tuple[str, ...] = ()

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._people: dict[str, Presence] = {}
        self._resources: dict[ResourceId, float] = {}
        self._newest: float | None = None
        self._widget_at: float | None = None

    def report(self, owner: str, resource: ResourceId | None = None) -> None:
        """Take note that this person works in the page just now.

        ``resource`` is the kernel or terminal of the document in front (None: none has one).
        """
        now = self._clock()
        self._newest = self._widget_at = now
        self._people.pop(owner, None)
        self._people[owner] = Presence(now, resource)
        if len(self._people) > _MOST_OWNERS:
            del self._people[next(iter(self._people))]
        if resource is not None:
            self._resources[resource] = now

    def widget_seen(self) -> None:
        """Take note that a page with the widget is open: no evidence, but it will report."""
        self._widget_at = self._clock()

    def connected(self, now: float) -> bool:
        """Say whether a widget has spoken within the last ten minutes."""
        return self._widget_at is not None and now - self._widget_at <= CONNECTED_SECONDS

    def last(self, owner: str) -> Presence | None:
        """Return when this person was last seen (None: never in this server's life)."""
        return self._people.get(owner)

    @property
    def newest(self) -> float | None:
        """When anybody was last seen in the page (None: nobody ever)."""
        return self._newest

    async def observe(self, look: Look) -> Report:
        """Say when somebody was last seen, at the host and at each kernel and terminal."""
        if self._newest is None:
            nobody = "nobody was seen in the page yet"
            return Report((Observation(HOST, self.name, Verdict.IDLE, detail=nobody),))
        there = {resource.id for resource in look.resources}
        for resource_id, at in list(self._resources.items()):
            if resource_id not in there and look.now - at > _GONE_SECONDS:
                del self._resources[resource_id]
        somebody = "a person in the page"
        return Report(
            tuple(
                Observation(resource_id, self.name, Verdict.IDLE, at, somebody)
                for resource_id, at in [(HOST, self._newest), *self._resources.items()]
                if resource_id == HOST or resource_id in there
            )
        )
