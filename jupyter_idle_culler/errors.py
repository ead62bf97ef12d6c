"""The one root of this package's errors."""

from __future__ import annotations


class IdleCullerError(Exception):
    """What went wrong, where, and what to do about it."""


class ConfigurationError(IdleCullerError):
    """A trait or variable has a value that breaks its rule; the message is the one line users see."""
