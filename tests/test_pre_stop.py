"""What must succeed before a stop."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Literal

import pytest

from jupyter_idle_culler.actions.pre_stop import PreStop
from jupyter_idle_culler.actions.run_command import RunCommand

LOG = logging.getLogger("test")


def backup(mended: Path) -> RunCommand:
    """Return a command that fails until what is in its way is mended."""
    code = f"import os, sys; sys.exit(not os.path.exists({str(mended)!r}))"
    return RunCommand([sys.executable, "-S", "-c", code], LOG, name="pre_stop_command")


async def test_without_a_command_the_stop_goes_on() -> None:
    """Nothing to wait for."""
    assert (await PreStop(None).run()).ok


async def test_a_command_that_succeeds_lets_the_stop_go_on(tmp_path: Path) -> None:
    """At its first try."""
    outcome = await PreStop(backup(tmp_path)).run()
    assert (outcome.ok, outcome.gave_up, outcome.retry_in_seconds) == (True, False, None)


@pytest.mark.parametrize("failure", ["keep", "stop"])
async def test_after_three_failures_the_configuration_decides(
    failure: Literal["keep", "stop"], tmp_path: Path
) -> None:
    """Twice the stop is put off, with growing pauses; then it is kept, or stopped all the same."""
    pre_stop = PreStop(backup(tmp_path / "mended"), failure)
    first, second, third = [await pre_stop.run() for _ in range(3)]
    assert not first.ok
    assert not second.ok
    assert first.retry_in_seconds is not None
    assert second.retry_in_seconds is not None
    assert 0 < first.retry_in_seconds < second.retry_in_seconds
    assert "failure 2 of 3" in second.detail
    assert (third.ok, third.gave_up) == (failure == "stop", True)
    assert "exit code 1" in third.detail


async def test_a_kept_host_is_stopped_once_the_command_is_mended(tmp_path: Path) -> None:
    """It is tried again, at longest once an hour, and never bills for ever."""
    mended = tmp_path / "mended"
    pre_stop = PreStop(backup(mended))
    for _ in range(9):
        outcome = await pre_stop.run()
    assert outcome.retry_in_seconds == 3600.0
    mended.touch()
    assert (await pre_stop.run()).ok
    assert pre_stop.failures == 0


async def test_a_stop_that_was_cancelled_begins_to_count_anew(tmp_path: Path) -> None:
    """Failures of yesterday's stop do not decide today's."""
    pre_stop = PreStop(backup(tmp_path / "mended"), "stop")
    await pre_stop.run()
    await pre_stop.run()
    pre_stop.reset()
    assert not (await pre_stop.run()).ok
