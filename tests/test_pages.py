"""The pages that are open, and the wait for what they save before a stop."""

from __future__ import annotations

import asyncio
import logging

import pytest

from jupyter_idle_culler.pages import Pages, Saves


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the instant."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Give a clock."""
    return Clock()


@pytest.fixture
def pages(clock: Clock) -> Pages:
    """Give the pages of a server."""
    return Pages(clock, logging.getLogger(__name__))


async def test_with_no_page_open_nothing_is_waited_for(pages: Pages) -> None:
    """Neither where none ever spoke, nor where all have gone."""
    pages.ask()
    assert await asyncio.wait_for(pages.saves(), 1) == Saves()
    pages.tell("a", is_open=True)
    pages.tell("a", is_open=False)
    pages.ask()
    assert await asyncio.wait_for(pages.saves(), 1) == Saves()


async def test_each_open_page_is_waited_for(pages: Pages) -> None:
    """The wait ends with the last answer, and adds up what was saved and what was not."""
    for page in "abc":
        pages.tell(page, is_open=True)
    pages.ask()
    pages.tell("a", is_open=True, saved=2)
    waiting = asyncio.create_task(pages.saves())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    pages.tell("b", is_open=True, saved=0, failed=["y.ipynb", "x.ipynb"])
    pages.tell("b", is_open=True)
    await asyncio.sleep(0.05)
    assert not waiting.done()
    pages.tell("c", is_open=False)
    assert await asyncio.wait_for(waiting, 1) == Saves(2, ("x.ipynb", "y.ipynb"), 0, True)
    assert pages.problem == "2 documents could not be saved before a stop"


async def test_a_page_that_does_not_answer_is_forgotten_and_named_in_the_health(
    pages: Pages,
) -> None:
    """It cannot hold a stop twice; when it speaks again it is known again."""
    pages.tell("a", is_open=True)
    pages.tell("b", is_open=True)
    pages.ask()
    pages.tell("b", is_open=True, saved=1)
    pages.patience_seconds = 0.05
    assert await pages.saves() == Saves(1, (), 1, True)
    assert pages.open == {"b"}
    assert pages.problem is not None
    assert "1 page did not answer within 0.05 s" in pages.problem
    pages.tell("a", is_open=True)
    assert pages.open == {"a", "b"}
    assert pages.problem is None


async def test_a_page_that_opens_during_the_wait_is_not_waited_for(pages: Pages) -> None:
    """It has not heard the question."""
    pages.tell("a", is_open=True)
    pages.ask()
    waiting = asyncio.create_task(pages.saves())
    await asyncio.sleep(0)
    pages.tell("late", is_open=True)
    pages.tell("a", is_open=True, saved=0)
    assert (await asyncio.wait_for(waiting, 1)).silent == 0
    assert pages.open == {"a", "late"}


async def test_what_the_asking_page_saved_just_before_counts(pages: Pages, clock: Clock) -> None:
    """Who presses Stop now has saved already; an answer of long before is another stop's."""
    pages.tell("a", is_open=True, saved=7)
    clock.now += 60.0
    pages.tell("a", is_open=True, saved=3)
    clock.now += 1.0
    pages.ask()
    pages.tell("a", is_open=True, saved=0)
    assert (await pages.saves()).saved == 3
    pages.ask()
    pages.tell("a", is_open=True, saved=1)
    assert (await pages.saves()).saved == 1


async def test_so_many_pages_at_most_are_remembered(pages: Pages) -> None:
    """Whoever may write cannot fill the memory, nor hold a stop longer than its patience."""
    for number in range(2000):
        pages.tell(f"p{number}", is_open=True)
    assert len(pages.open) == 500
    assert "p1999" in pages.open
