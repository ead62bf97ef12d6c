"""Shows whoever looks from outside that this culler lives, and whether anything works here.

A tag on the notebook instance or app says so. It is written when what it says turns, and a quarter
of an hour after it was written; never twice within a minute.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from .aws.errand import Errand
from .aws.sign_of_life import IDLE, UNKNOWN, WORKING, value
from .config.idle_culler import Settings
from .core.model import Decision, Verdict

AGAIN_SECONDS = 900.0
LEAST_SECONDS = 60.0
QUIET_SECONDS = 600.0
"""A pause that is shorter counts as work: the tag does not turn with each cell."""
RETRY_SECONDS = 300.0


class SignOfLife:
    """Keeps the tag fresh. ``again`` is called when something may be written that came too soon.

    ``problem`` says why the last writing failed, ``mend`` what mends that; None: it did not.
    """

    def __init__(self, errand: Errand, log: logging.Logger, again: Callable[[], None]) -> None:
        self._errand, self._log, self._again = errand, log, again
        self._word = self._saying = ""
        self._missed = False
        self._next_at = self._refresh_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        self.problem: str | None = None
        self.mend = ""

    @classmethod
    def for_settings(
        cls, chosen: Settings, log: logging.Logger, again: Callable[[], None]
    ) -> SignOfLife | None:
        """Make it where it is wanted and there is something to put it on, else return None."""
        if not chosen.sign_of_life or chosen.dry_run:
            return None
        if chosen.environment.target is None:
            text = "Idle culler: sign_of_life shows nothing: this is %s."
            log.warning(text, chosen.environment.in_words)
            return None
        return cls(Errand(chosen.environment.target), log, again)

    @property
    def pid(self) -> int | None:
        """The session of the process that speaks to AWS: its work is ours, no evidence."""
        return self._errand.pid

    def looked(self, host: Decision, now: float, at: datetime) -> None:
        """Take note of how the host stands, now and in UTC. Call on the loop."""
        idle_seconds = now - host.evidence_at
        word = WORKING
        if host.verdict is Verdict.UNKNOWN:
            word = UNKNOWN
        elif host.verdict is Verdict.IDLE and idle_seconds >= QUIET_SECONDS:
            word = IDLE
        if self._writing is not None:
            self._missed = self._missed or word != self._saying
            return
        if word == self._word and now < self._refresh_at:
            return
        if now < self._next_at:
            if self._timer is None:
                pause = self._next_at - now
                self._timer = asyncio.get_running_loop().call_later(pause, self._ask_again)
            return
        self._saying, self._missed = word, False
        text = value(at, word, idle_seconds / 60)
        self._writing = asyncio.create_task(self._write(word, text, now), name="sign of life")

    async def close(self) -> None:
        """Write no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        await self._errand.close()

    def _ask_again(self) -> None:
        self._timer = None
        self._again()

    async def _write(self, word: str, text: str, now: float) -> None:
        try:
            answer = await self._errand.sign(text)
            if answer.fault:
                self._failed(answer.detail, answer.mend)
                # While the tag says idle and work has begun, a scheduled stop would end it.
                urgent = self._word == IDLE and word != IDLE
                self._next_at = now + (LEAST_SECONDS if urgent else RETRY_SECONDS)
            else:
                self.problem, self.mend = None, ""
                self._word = word
                self._next_at, self._refresh_at = now + LEAST_SECONDS, now + AGAIN_SECONDS
        finally:
            self._writing = None
        if self._missed:
            self._again()

    def _failed(self, detail: str, mend: str) -> None:
        if self.problem is None:
            told = f" To mend it: {mend}." if mend else ""
            self._log.warning("Idle culler: no sign of life is shown: %s.%s", detail, told)
        self.problem, self.mend = detail, mend
