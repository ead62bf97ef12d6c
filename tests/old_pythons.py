"""Older Pythons that a version manager keeps beside the one that runs the tests."""

from __future__ import annotations

import sys
from pathlib import Path


def beside(minor: int) -> list[Path]:
    """Return the interpreters of Python 3.``minor`` there; empty: none."""
    return sorted(Path(sys.base_prefix).parent.glob(f"3.{minor}.*/bin/python3.{minor}"))
