"""The one root of this package's errors."""

from __future__ import annotations


class IdleCullerError(Exception):
    """What went wrong, where, and what to do about it."""


class ConfigurationError(IdleCullerError):
    """A trait or variable has a value that breaks its rule; the message is the one line users see.

    ``field`` names the setting at fault where a user sent several (None: the message names it).
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class OutOfBounds(IdleCullerError):
    """A wish lies beyond what the administrator allows (409); ``field`` names the value."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class UnknownResource(IdleCullerError):
    """No kernel or terminal of that name exists (404)."""


class UnknownKeepAlive(IdleCullerError):
    """No keep-alive of that id stands (404)."""


class NotOwner(IdleCullerError):
    """Somebody else's keep-alive: only its owner or an administrator may cancel it (403)."""
