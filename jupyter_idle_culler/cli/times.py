"""How people write times on the command line, and how it writes them back."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_DURATION = re.compile(
    r"(?:(?P<d>\d+(?:\.\d+)?)d)?(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m(?:in)?)?",
    re.ASCII,
)
_PLAIN = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_CLOCK = re.compile(r"until([01]?\d|2[0-3]):([0-5]\d)")
_MINUTES = {"d": 1440.0, "h": 60.0, "m": 1.0}


def parse_minutes(text: str, now: datetime) -> float:
    """Turn ``2h``, ``30m``, ``1h30m``, ``45`` (minutes) or ``until 17:30`` into minutes from now.

    ``now`` is the local time, without a zone for that of this machine; a clock time that has passed
    today means tomorrow's. Raises: ValueError.
    """
    written = "".join(text.lower().split())
    clock = _CLOCK.fullmatch(written)
    if clock:
        until = now.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0)
        if until <= now:
            until += timedelta(days=1)
        # By their UTC instants: the night in between may have 23 or 25 hours.
        return (until.timestamp() - now.timestamp()) / 60
    if _PLAIN.fullmatch(written):
        minutes = float(written)
    else:
        parts = _DURATION.fullmatch(written)
        given = {u: v for u, v in (parts.groupdict() if parts else {}).items() if v is not None}
        if not given:
            message = f"{text!r} is no time: write 2h, 30m, 1h30m, 45 (minutes) or 'until 17:30'"
            raise ValueError(message)
        minutes = sum(float(value) * _MINUTES[unit] for unit, value in given.items())
    if minutes <= 0:
        message = f"{text!r}: must be more than nothing"
        raise ValueError(message)
    return minutes


def local_clock(utc: str, now: datetime) -> str:
    """Show a UTC time as the local clock does, with the day where it is not today."""
    at = datetime.fromisoformat(utc).astimezone()
    return at.strftime("%H:%M" if at.date() == now.date() else "%a %d %b %H:%M")
