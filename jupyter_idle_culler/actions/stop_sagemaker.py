"""Stop the notebook instance, or delete the app, that this runs on.

``stop_action`` is ``notebook-instance`` or ``studio-app``. Storage, and what is on it, stays.
"""

from __future__ import annotations

import logging

from ..aws.errand import Errand
from ..core.model import Decision
from .base import Outcome


class StopSageMaker:
    """Stops the one thing that the metadata file names, and nothing else."""

    def __init__(self, errand: Errand, log: logging.Logger) -> None:
        target = errand.target
        self.name = f"sagemaker:{target.stop_operation}"
        self.would = f"called {self.name} for the {target.label}"
        self._errand = errand
        self._log = log

    @property
    def pid(self) -> int | None:
        """The session of the process that speaks to AWS: its work is ours, no evidence."""
        return self._errand.pid

    async def apply(self, decision: Decision) -> Outcome:
        """Have it stopped; what stops already is left to it."""
        del decision
        answer = await self._errand.stop()
        return Outcome(not answer.fault, answer.detail, mend=answer.mend)

    async def make_ready(self) -> None:
        """Have the process ready, so that the call goes out at the deadline and not after it."""
        try:
            await self._errand.make_ready()
        except (OSError, NotImplementedError) as error:
            self._log.debug("cannot be made ready: %s", error)

    async def stand_down(self) -> None:
        """The stop is off: let the process go."""
        await self._errand.stand_down()

    async def close(self) -> None:
        """End what is under way."""
        await self._errand.close()
