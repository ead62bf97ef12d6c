"""What happened, written down, and played again with other timeouts."""

from .journal import Journal

__all__ = ["Journal"]
