"""``jupyter idle-culler …``."""

from .commands import main

__all__ = ["main"]
