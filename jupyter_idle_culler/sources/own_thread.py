"""Ask what may hang (a network path, a driver) in a thread of its own, never twice at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class OwnThread(Generic[T]):
    """Runs one question at a time in a daemon thread: a hung one blocks nobody else.

    There is never a second thread while one hangs, and none keeps the server from ending.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._answer: asyncio.Future[T] | None = None

    async def run(self, ask: Callable[[], T], time_limit_seconds: float) -> T:
        """Return the answer; where an earlier question still hangs, the answer to that one.

        Raises: asyncio.TimeoutError (and the next call waits for the same answer), and whatever
        ``ask`` raises.
        """
        answer = self._answer
        if answer is None:
            loop = asyncio.get_running_loop()
            answer = self._answer = loop.create_future()
            threading.Thread(
                target=_ask, args=(ask, loop, answer), name=self._name, daemon=True
            ).start()
        done, _ = await asyncio.wait({answer}, timeout=time_limit_seconds)
        if not done:
            raise asyncio.TimeoutError
        self._answer = None
        return answer.result()


def _ask(ask: Callable[[], T], loop: asyncio.AbstractEventLoop, answer: asyncio.Future[T]) -> None:
    result: T
    failure: Exception | None = None
    try:
        result = ask()
    except Exception as error:
        failure = error

    def deliver() -> None:
        if answer.cancelled():
            return
        if failure is not None:
            answer.set_exception(failure)
            answer.exception()  # nobody may be waiting any more
        else:
            answer.set_result(result)

    try:
        loop.call_soon_threadsafe(deliver)
    except RuntimeError:
        return  # the server has ended meanwhile
