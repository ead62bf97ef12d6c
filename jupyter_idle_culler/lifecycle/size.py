"""What AWS takes of a script: 16,384 characters of base64."""

from __future__ import annotations

import base64

from .scripts import LifecycleError

MOST_CHARACTERS = 16_384
MOST_BYTES = MOST_CHARACTERS // 4 * 3


def encoded(script: bytes) -> str:
    """Return a script as AWS wants it."""
    return base64.b64encode(script).decode("ascii")


def characters(script: bytes) -> int:
    """Return how many characters of base64 a script takes."""
    return (len(script) + 2) // 3 * 4


def fits(script: bytes) -> bool:
    """Tell whether AWS takes it."""
    return characters(script) <= MOST_CHARACTERS


def figures(script: bytes) -> str:
    """Say how large it is, and what the limit is."""
    return (
        f"{len(script):,} bytes, {characters(script):,} of {MOST_CHARACTERS:,} characters of base64"
    )


def checked(script: bytes, name: str) -> bytes:
    """Return the script. Raises: LifecycleError with the figures where it is too long."""
    if not fits(script):
        over = len(script) - MOST_BYTES
        message = f"{name} is too long for AWS by {over:,} bytes: {figures(script)}"
        raise LifecycleError(message)
    return script
