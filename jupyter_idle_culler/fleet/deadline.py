"""When a run has to stop early, because what runs it would cut it off."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

RESERVE_SECONDS = 45.0
"""Time for the calls that are under way, their retries, and to tell of it."""
_MOST_OF_ALL = 0.25
"""A function that may run for a minute only must not spend it all on the reserve."""


class Deadline:
    """Says when the time is up but for a reserve. ``seconds_left`` is what remains in all."""

    def __init__(
        self, seconds_left: Callable[[], float], reserve_seconds: float = RESERVE_SECONDS
    ) -> None:
        self._seconds_left = seconds_left
        self._reserve_seconds = reserve_seconds

    def near(self) -> bool:
        """Tell whether nothing new should be begun."""
        return self._seconds_left() <= self._reserve_seconds

    @classmethod
    def never(cls) -> Deadline:
        """Return the deadline of a run that nobody cuts off."""
        return cls(lambda: math.inf)

    @classmethod
    def of_lambda(cls, context: Any) -> Deadline:
        """Return the deadline of a Lambda invocation (``context`` None: it has none)."""
        left = getattr(context, "get_remaining_time_in_millis", None)
        if left is None:
            return cls.never()
        reserve = min(RESERVE_SECONDS, float(left()) / 1000 * _MOST_OF_ALL)
        return cls(lambda: float(left()) / 1000, reserve)
