"""Scenarios that take turns in one thread, as Playwright wants it: waiting is most of what they do.

A scenario is a generator: it yields what it waits for, and goes on with the value of that. All of
a module run at the same time; each is a test. `EVERYBODY` lets them do in step what must not be
timed: opening documents and starting kernels takes long.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Page

_TURN_MS = 200


@dataclass(frozen=True)
class Until:
    """A condition to wait for. Its first true value is what the scenario gets."""

    true: Callable[[], Any]
    what: str
    patience_seconds: float = 90.0


EVERYBODY = Until(lambda: False, "the others", float("inf"))
"""Wait until every scenario waits for this, or has ended. All come to it as often."""

Steps = Generator[Until, Any, None]
Scenario = Callable[[Any], Steps]
Outcomes = dict[str, Exception | None]


def after(instant: float) -> Until:
    """Wait for a monotonic instant."""
    return Until(lambda: time.monotonic() >= instant, "a moment", float("inf"))


def pause(seconds: float) -> Until:
    """Wait so long from now on."""
    return after(time.monotonic() + seconds)


def side_by_side(scenario: Scenario) -> Callable[[Outcomes], None]:
    """Make a test of a scenario: its outcome is taken from the module's fixture ``outcomes``."""

    def test(outcomes: Outcomes) -> None:
        failure = outcomes[scenario.__name__]
        if failure is not None:
            raise failure

    for name in ("__name__", "__qualname__", "__doc__", "__module__"):
        setattr(test, name, getattr(scenario, name))
    test.scenario = scenario  # type: ignore[attr-defined] # a function takes attributes
    return test


def run_side_by_side(request: pytest.FixtureRequest, page: Page, argument: Any) -> Outcomes:
    """Run the selected scenarios of a module to their ends; return what each failed with.

    ``page`` is any one of the browser: while it waits, what all pages send is heard.
    """
    waiting: dict[str, _Waiting] = {}
    outcomes: Outcomes = {}
    for item in request.session.items:
        if isinstance(item, pytest.Function) and item.module is request.module:
            scenario = getattr(item.obj, "scenario", None)
            if scenario is not None:
                waiting[scenario.__name__] = _Waiting(scenario(argument))
    while waiting:
        everybody = all(one.waits_for_everybody for one in waiting.values())
        for name, one in list(waiting.items()):
            try:
                if one.take_turn(everybody):
                    continue
                outcomes[name] = None
            except Exception as error:  # the test of this name raises it
                outcomes[name] = error
            del waiting[name]
        page.wait_for_timeout(_TURN_MS)
    return outcomes


class _Waiting:
    """A scenario between two of its steps."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._until: Until | None = None
        self._give_up_at = 0.0

    @property
    def waits_for_everybody(self) -> bool:
        """Whether it goes on when all others have come so far."""
        return self._until is EVERYBODY

    def take_turn(self, everybody: bool) -> bool:
        """Go on where the condition holds. False: the scenario has come to its end."""
        value = None
        if self._until is not None:
            value = self._until.true()
            if everybody and self._until is EVERYBODY:
                value = True
            if not value and time.monotonic() < self._give_up_at:
                return True
        try:
            if self._until is not None and not value:
                failure = AssertionError(f"waited in vain for {self._until.what}")
                self._until = self._steps.throw(failure)
            else:
                self._until = self._steps.send(value)
        except StopIteration:
            return False
        self._give_up_at = time.monotonic() + self._until.patience_seconds
        return True
