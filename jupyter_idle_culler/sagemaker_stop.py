"""All that a stop through SageMaker needs: asked before, made ready in time, and let go of."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from .actions.stop_sagemaker import StopSageMaker
from .aws.errand import Errand
from .config.idle_culler import AWS_ACTIONS, Settings
from .preflight import Preflight
from .preparation import Preparation

PREFLIGHT_AFTER_SECONDS = 10.0
"""A server that starts has more urgent things to do (a quarter of the host's timeout at most)."""


@dataclass(frozen=True)
class SageMakerStop:
    """The action that stops, the preflight before it, and what has the action ready."""

    action: StopSageMaker
    preflight: Preflight
    preparation: Preparation
    dry_run: bool

    @classmethod
    def for_settings(
        cls,
        chosen: Settings,
        host_timeout_seconds: float,
        log: logging.Logger,
        on_report: Callable[[], None],
    ) -> SageMakerStop | None:
        """Make it where it is what stops the host, else return None."""
        target = chosen.environment.target
        if chosen.stop_action not in AWS_ACTIONS or target is None:
            return None
        after = min(PREFLIGHT_AFTER_SECONDS, host_timeout_seconds / 4)
        action = StopSageMaker(Errand(target), log)
        preflight = Preflight(chosen.environment, Errand(target), log, after, on_report)
        return cls(action, preflight, Preparation(action), chosen.dry_run)

    def looked(self, deadline: float | None, now: float) -> None:
        """Take note of the host's deadline; a dry run needs nothing ready."""
        if not self.dry_run:
            self.preparation.looked(deadline, now)

    async def close(self) -> None:
        """Let go of everything, for good."""
        await self.preflight.stop()
        await self.preparation.close()
