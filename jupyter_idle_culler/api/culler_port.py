"""What the API needs of the culler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ..actions.base import Outcome
from ..core.model import ResourceId
from ..journal.journal import Journal
from ..status import Explanation, KeepAlive, Setting, Status


class CullerPort(Protocol):
    """The culler as the handlers see it: they show its state and pass wishes on.

    It stands in the web application's settings under ``idle_culler``. ``owner`` is a username,
    empty where the server knows no people apart.
    """

    @property
    def journal(self) -> Journal: ...

    def status(self) -> Status:
        """Say how everything stands, from memory: no look, no file, no database."""
        ...

    def explain(self) -> Explanation:
        """Say why, with every observation of the last look."""
        ...

    async def keep_alive(
        self, minutes: float, reason: str, resource: ResourceId | None, owner: str
    ) -> KeepAlive:
        """Keep the host (resource None) or one resource awake.

        Raises: OutOfBounds, UnknownResource.
        """
        ...

    async def cancel_keep_alive(self, keep_alive_id: str | None, owner: str, is_admin: bool) -> int:
        """End one keep-alive, or (None) all those of the owner; say how many were ended.

        Raises: NotOwner, UnknownKeepAlive.
        """
        ...

    def report_activity(self, resource: ResourceId | None, presence: bool, owner: str) -> None:
        """Take note of a person (presence) or of a script's word. Raises: UnknownResource."""
        ...

    def settings(self) -> Mapping[str, Setting]:
        """List what a user may change, by trait name."""
        ...

    async def update_settings(self, changes: Mapping[str, float | None]) -> None:
        """Set what the user wishes; None takes a wish back. All or nothing.

        Raises: OutOfBounds, ConfigurationError.
        """
        ...

    def report_page(
        self, page: str, is_open: bool, saved: int | None, failed: Sequence[str]
    ) -> None:
        """Take note that a page is open, has saved before a stop (None: no answer), or closes."""
        ...

    async def dismiss_last_stop(self) -> None:
        """Forget the last stop: somebody has read of it."""
        ...

    async def stop_now(self, owner: str, reason: str) -> Outcome:
        """Stop what `stop_action` names, at the user's own wish. Raises: OutOfBounds."""
        ...
