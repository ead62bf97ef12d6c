"""Heartbeat files (U5), with real files and a pipe that blocks."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from pathlib import Path

import pytest

from jupyter_idle_culler.core.model import Observation, Strength, Verdict
from jupyter_idle_culler.sources.base import Look
from jupyter_idle_culler.sources.heartbeat_files import HeartbeatFilesSource

LOG = logging.getLogger("test")


async def seen(source: HeartbeatFilesSource, now: float) -> Observation:
    """Return the only observation of a look."""
    (only,) = (await source.observe(Look(now))).observations
    return only


async def test_a_touch_between_two_looks_is_evidence_at_the_later_one(tmp_path: Path) -> None:
    """The file's own time is never compared with a clock: one years off counts all the same."""
    beat = tmp_path / "beat"
    beat.touch()
    source = HeartbeatFilesSource([str(beat)], LOG)
    assert (await seen(source, 10.0)).at is None
    assert (await seen(source, 20.0)).at is None
    os.utime(beat, (1e9, 1e9))
    touched = await seen(source, 30.0)
    assert (touched.at, touched.verdict, touched.strength) == (
        30.0,
        Verdict.IDLE,
        Strength.UNATTENDED,
    )
    assert (await seen(source, 40.0)).at == 30.0


async def test_a_file_that_appears_is_evidence_and_one_that_goes_is_none(tmp_path: Path) -> None:
    """A missing file is an ordinary state, not a fault."""
    beat = tmp_path / "later"
    source = HeartbeatFilesSource([str(beat)], LOG)
    assert (await seen(source, 10.0)).at is None
    beat.touch()
    assert (await seen(source, 20.0)).at == 20.0
    beat.unlink()
    assert (await seen(source, 30.0)).at == 20.0
    assert source.problems == {}


@pytest.mark.parametrize("kind", ["directory", "pipe"])
async def test_what_is_no_regular_file_is_said_once_and_never_blocks(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A directory or a pipe without a writer is left out, loudly, and the look goes on."""
    path = tmp_path / kind
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    source = HeartbeatFilesSource([str(path)], LOG)
    began = time.monotonic()
    for now in (1.0, 2.0, 3.0):
        os.utime(path)
        assert (await seen(source, now)).at is None
    assert time.monotonic() - began < 2.0
    assert len([r for r in caplog.records if "no regular file" in r.getMessage()]) == 1
    assert path in source.problems


async def test_a_file_that_cannot_be_looked_at_is_unknown_and_the_others_still_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A name too long for the file system stands for every path that refuses."""
    beat = tmp_path / "beat"
    beat.touch()
    source = HeartbeatFilesSource(["/" + "x" * 300, str(beat)], LOG)
    for now in (1.0, 2.0):
        os.utime(beat, (now, now))
        unreadable, fine = (await source.observe(Look(now))).observations
    assert (unreadable.verdict, unreadable.essential) == (Verdict.UNKNOWN, False)
    assert fine.at == 2.0
    assert len(caplog.records) == 1


class Hung(type(Path())):  # type: ignore[misc] # Path's class depends on the system
    """A path on a network file system that does not answer."""

    release: threading.Event

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Answer when the network does."""
        self.release.wait(30.0)
        return super().stat(follow_symlinks=follow_symlinks)  # type: ignore[no-any-return] # as above


async def test_a_hung_file_system_is_unknown_takes_one_thread_and_recovers(tmp_path: Path) -> None:
    """However many looks: one thread waits, none blocks the loop, and its end is noticed."""
    Hung.release = threading.Event()
    beat = tmp_path / "beat"
    beat.touch()
    source = HeartbeatFilesSource([str(beat)], LOG, time_limit_seconds=0.05)
    source._readers[0].path = Hung(beat)
    before = threading.active_count()
    for now in range(5):
        assert (await seen(source, float(now))).verdict is Verdict.UNKNOWN
    assert threading.active_count() == before + 1
    Hung.release.set()
    for _ in range(100):
        await asyncio.sleep(0.02)
        if (await seen(source, 9.0)).verdict is Verdict.IDLE:
            break
    else:
        pytest.fail("it never answered")
    assert source.problems == {}
