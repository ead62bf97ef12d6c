"""Stop the notebook instance, or delete the app, that this runs on.

``stop_action`` is ``notebook-instance`` or ``studio-app``. Storage, and what is on it, stays.

A stop that went out is remembered: the next try looks first what became of it, and sends another
only where the first has surely not been taken, or has not come.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ..aws import faults
from ..aws.errand import Errand, StillWanted
from ..aws.sagemaker import Answer
from ..core.model import Decision
from .base import Outcome

COMES_SECONDS = 180.0
"""What AWS accepted ends this machine by then, or it is looked after (minutes are usual)."""
SHOWS_SECONDS = 120.0
"""So long after a stop went out AWS may still say that the thing is InService."""
SURELY_SECONDS = 600.0
"""So long after a stop that cannot be seen, one that was taken would have come."""
_LOOK_AGAIN_SECONDS = 30.0
_STOPS = frozenset({"Stopping", "Stopped", "Deleting", "Deleted"})


class StopSageMaker:
    """Stops the one thing that the metadata file names, and nothing else."""

    def __init__(
        self, errand: Errand, log: logging.Logger, clock: Callable[[], float] = time.monotonic
    ) -> None:
        target = errand.target
        self.name = f"sagemaker:{target.stop_operation}"
        self.would = f"called {self.name} for the {target.label}"
        self._errand = errand
        self._log = log
        self._clock = clock
        self._sent_at: float | None = None
        self._accepted = False

    @property
    def pid(self) -> int | None:
        """The session of the process that speaks to AWS: its work is ours, no evidence."""
        return self._errand.pid

    async def apply(self, decision: Decision) -> Outcome:
        """Have it stopped, whatever comes in between; what stops already is left to it."""

        async def wanted() -> bool:
            return True

        return await self.apply_while(decision, wanted)

    async def apply_while(self, decision: Decision, still_wanted: StillWanted) -> Outcome:
        """Have it stopped, unless that is not wanted any more when the stop is about to go out."""
        del decision
        if self._sent_at is not None:
            ago = self._clock() - self._sent_at
            outcome = self._became(await self._errand.describe(), ago)
            if outcome is not None:
                return outcome
            self._sent_at = None
        answer = await self._errand.stop(still_wanted)
        if answer.sent:
            self._sent_at, self._accepted = self._clock(), not answer.fault
        if answer.fault == faults.WITHDRAWN:
            return Outcome(False, answer.detail, withdrawn=True)
        if answer.fault:
            return Outcome(False, answer.detail, mend=answer.mend)
        return Outcome(True, answer.detail, again_in_seconds=COMES_SECONDS)

    def _became(self, seen: Answer, ago: float) -> Outcome | None:
        """Say what became of a stop that went out so long ago; None: it is to be sent anew."""
        if seen.status in _STOPS or seen.fault == faults.NOT_FOUND:
            said = f"{seen.detail} (a stop went out {ago:.0f} s ago)"
            return Outcome(True, said, again_in_seconds=COMES_SECONDS)
        if ago >= SURELY_SECONDS:
            return None
        if not seen.status:
            said = f"a stop went out {ago:.0f} s ago, and what became of it cannot be seen"
            if self._accepted:
                return Outcome(True, f"AWS accepted it: {said}", again_in_seconds=COMES_SECONDS)
            return Outcome(
                False,
                f"{said}: {seen.detail}",
                retry_in_seconds=_LOOK_AGAIN_SECONDS,
                mend=seen.mend,
            )
        if ago >= SHOWS_SECONDS:
            self._sent_at = None
        then = "it is sent anew" if self._sent_at is None else "it is looked at again"
        return Outcome(
            False,
            f"a stop went out {ago:.0f} s ago, but {seen.detail}; {then}",
            retry_in_seconds=_LOOK_AGAIN_SECONDS,
        )

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
