"""In which order a run goes over what it found, so that what one run leaves another looks at.

Nothing is stored between runs. Each begins at another place, by the hour, and goes round from
there: what a run that is cut short does not reach is where one of the next begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

Thing = TypeVar("Thing")

TURN = 0.3919158327989075
"""Of a whole round, by so much the beginning moves on each hour.

Runs that each reach a share of all have together reached everything after at most three times as
many runs as one would need that knew where to go on; so it is for runs every 1, 2, 3, 4, 6, 8, 12,
24, 48, 72 and 168 hours and on weekdays, and for shares from a twentieth (a test goes over them).
"""


def turned(things: Sequence[Thing], now: datetime) -> list[Thing]:
    """Return them in the order of a run that begins now."""
    hours = int(now.timestamp()) // 3600
    first = int(len(things) * (hours * TURN % 1))
    return [*things[first:], *things[:first]]
