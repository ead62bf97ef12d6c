"""What autostop keeps between two looks."""

from __future__ import annotations

import pytest

from jupyter_idle_culler.autostop.memory import missed


def looks(*pauses: float) -> list[bool]:
    """Tell of each look after the first, so many seconds after the one before, what was missed."""
    kept: dict[str, float] = {}
    now = 5000.0
    assert not missed(kept, now)
    found = []
    for pause in pauses:
        now += pause
        found.append(missed(kept, now))
    return found


def test_a_pause_longer_than_any_look_is_a_gap() -> None:
    """A machine that stood still for hours: what happened then is not known."""
    assert looks(60, 60, 900, 901, 60, 7200) == [False, False, False, True, False, True]


@pytest.mark.parametrize("every", [1200, 3600, 3 * 3600, 86400])
def test_looks_that_are_always_rare_miss_nothing(every: float) -> None:
    """By cron each 20 minutes, each hour, once a day: but for the first nothing is a gap."""
    assert looks(*[every] * 4) == [True, False, False, False]
    assert looks(every, 10, every, every * 1.6, every) == [True, False, False, True, False]


def test_what_is_usual_is_a_day_at_most() -> None:
    """However long a machine once stood still, two days are a gap again."""
    assert looks(10 * 86400, 60, 2 * 86400) == [True, False, True]
