"""Before the first deadline: can what is to be stopped be described with the credentials at hand?

It tells no credentials, no region, no route and denied apart, and says what would mend each. It
needs no STS, changes nothing, and keeps no server from starting. Whether the stop itself is allowed
cannot be tried without stopping: the statement that allows it is said instead.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .aws.errand import Errand
from .aws.sagemaker import Answer
from .environment import Environment

FIRST_PAUSE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 600.0
"""A policy that was mended is noticed within this time."""


@dataclass(frozen=True)
class Report:
    """What a preflight found. ``ready``: what is to be stopped was described, or nothing is.

    ``statement`` is the IAM statement that the role needs, None where none is needed.
    """

    ready: bool
    environment: str
    stop: str
    found: str
    fault: str = ""
    mend: str = ""
    status: str = ""
    statement: dict[str, Any] | None = None

    def lines(self) -> list[str]:
        """Say it to people."""
        lines = [f"This is {self.environment}.", f"A stop: {self.stop}."]
        lines.append(f"{'ok' if self.ready else 'FAILED'}: {self.found}.")
        if self.mend:
            lines.append(f"To mend it: {self.mend}.")
        elif self.fault:
            lines.append("To mend it: try again; if it stays so, see what AWS says of its health.")
        if self.ready and self.statement is not None:
            text = json.dumps(self.statement)
            lines.append("Whether the role may also stop it cannot be tried without stopping it.")
            lines.append(f"It may with this statement: {text}")
        return lines


def nothing_to_ask(environment: Environment) -> Report:
    """Report where nothing of AWS is stopped."""
    return Report(
        ready=not environment.warning,
        environment=environment.in_words,
        stop="nothing of AWS is stopped from here",
        found=environment.warning or "AWS is not needed",
        fault="environment" if environment.warning else "",
        mend="mend the metadata file, or choose another stop_action" if environment.warning else "",
    )


async def preflight(environment: Environment, errand: Errand) -> Report:
    """Describe what would be stopped, and report. Raises nothing that AWS or the network does."""
    target = errand.target
    answer = await errand.describe()
    return Report(
        ready=not answer.fault,
        environment=f"{environment.in_words} ({target.arn})",
        stop=f"sagemaker:{target.stop_operation} of the {target.label}",
        found=_found(answer),
        fault=answer.fault,
        mend=answer.mend,
        status=answer.status,
        statement=target.statement(),
    )


def _found(answer: Answer) -> str:
    if answer.fault:
        return answer.detail
    return f"credentials, region and route are there; {answer.detail}"


def pauses() -> Iterator[float]:
    """Yield for how many seconds to wait after each preflight that failed."""
    pause = FIRST_PAUSE_SECONDS
    while True:
        yield pause
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


class Preflight:
    """Runs the preflight at the start of a server, and again while it fails, ever more seldom."""

    def __init__(
        self,
        environment: Environment,
        errand: Errand,
        log: logging.Logger,
        after_seconds: float,
        on_report: Callable[[], None],
    ) -> None:
        self._environment = environment
        self._errand = errand
        self._log = log
        self._after_seconds = after_seconds
        self._on_report = on_report
        self._task: asyncio.Task[None] | None = None
        self.report: Report | None = None

    @property
    def pid(self) -> int | None:
        """The session of the process that speaks to AWS: its work is ours, no evidence."""
        return self._errand.pid

    def start(self) -> None:
        """Begin, on the running event loop."""
        self._task = asyncio.create_task(self._run(), name="idle-culler preflight")

    async def stop(self) -> None:
        """End it, and wait until nothing of it runs any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._errand.close()

    async def _run(self) -> None:
        await asyncio.sleep(self._after_seconds)
        for pause in pauses():
            if (await self.once()).ready:
                return
            await asyncio.sleep(pause)

    async def once(self) -> Report:
        """Run it now, tell what it found where that is new, and return it."""
        try:
            report = await preflight(self._environment, self._errand)
        except Exception as error:
            self._log.exception("Idle culler: the preflight failed")
            report = Report(False, "", "", f"the preflight failed: {error!r}", "unexpected")
        self._tell(report)
        self.report = report
        self._on_report()
        return report

    def _tell(self, report: Report) -> None:
        if report.ready:
            self._log.info("Idle culler: preflight: %s.", report.found)
        elif self.report is None or _gist(self.report) != _gist(report):
            mend = f" To mend it: {report.mend}." if report.mend else ""
            text = "Idle culler: the host may not be stopped when it is idle: %s.%s"
            self._log.warning(text, report.found, mend)


def _gist(report: Report) -> tuple[str, str]:
    """Return what makes a report a new one: texts of AWS name times and requests, always others."""
    return report.fault, report.mend
