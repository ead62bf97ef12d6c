"""Durations in words."""

from __future__ import annotations

import math

_TENTHS_MATTER, _MINUTE, _HOUR, _DAY = 10.0, 60.0, 3600.0, 86400.0


def duration(seconds: float) -> str:
    """Say a duration as people do: ``4.2 s``, ``18 min``, ``2 h 10 min``, ``3 d 4 h``."""
    if seconds < _TENTHS_MATTER:
        return "{:g} s".format(math.floor(max(seconds, 0.0) * 10) / 10)
    if seconds < _MINUTE:
        return "{:.0f} s".format(math.floor(seconds))
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)} min"
    if seconds < _DAY:
        return f"{int(seconds // _HOUR)} h {int(seconds % _HOUR // _MINUTE)} min"
    return f"{seconds // _DAY:.0f} d {seconds % _DAY // _HOUR:.0f} h"
