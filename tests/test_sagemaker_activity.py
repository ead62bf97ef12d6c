"""The file that SageMaker's own idle shutdown reads: fresh with evidence, ageing without."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import stat
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from traitlets.config import Config

from jupyter_idle_culler import sagemaker_activity
from jupyter_idle_culler.environment import Environment, Place
from jupyter_idle_culler.sagemaker_activity import (
    TIME_FORMAT,
    ActivityFile,
    native_shutdown_runs,
    write_activity,
)

from .api_server import Api, merged, until

LOG = logging.getLogger(__name__)
AT = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=timezone.utc)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the file is to be."""
    return tmp_path / ".sagemaker-last-active-timestamp"


def alone(path: Path) -> bool:
    """Tell whether nothing else lies beside the file: no half-written one."""
    return [other.name for other in path.parent.iterdir()] == [path.name]


def test_the_time_is_written_in_the_format_that_is_read(path: Path) -> None:
    """With microseconds even where there are none, and readable for the others who look."""
    write_activity(path, AT.replace(microsecond=0))
    assert path.read_text() == "2026-03-01T12:00:00.000000Z"
    write_activity(path, AT.astimezone(timezone(timedelta(hours=9))))
    assert path.read_text() == "2026-03-01T12:00:00.000005Z"
    assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444
    assert alone(path)


def test_a_later_time_of_somebody_who_writes_too_is_left(path: Path) -> None:
    """Code Editor writes the same file; but a time that is still to come is none."""
    path.write_text(datetime.now(timezone.utc).strftime(TIME_FORMAT))
    before = path.read_text()
    write_activity(path, AT)
    assert path.read_text() == before
    path.write_text((datetime.now(timezone.utc) + timedelta(days=1)).strftime(TIME_FORMAT))
    write_activity(path, AT)
    assert path.read_text() == AT.strftime(TIME_FORMAT)


@pytest.mark.parametrize("left", ["", "yesterday", "2026-03-01", "\0" * 4096])
def test_what_is_no_time_is_replaced(path: Path, left: str) -> None:
    """A damaged file does not end the writing for ever."""
    path.write_text(left)
    write_activity(path, AT)
    assert path.read_text() == AT.strftime(TIME_FORMAT)


@pytest.mark.parametrize("exists", [True, False])
def test_nothing_is_written_through_a_symbolic_link(path: Path, exists: bool) -> None:
    """Whoever can make files in /tmp must not choose what this user overwrites."""
    target = path.with_name("precious")
    if exists:
        target.write_text("precious")
    path.symlink_to(target)
    with pytest.raises(OSError, match="symbolic link"):
        write_activity(path, AT)
    assert path.is_symlink()
    assert target.exists() == exists
    assert not exists or target.read_text() == "precious"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another's file")
def test_somebody_elses_file_is_left_even_by_root(path: Path) -> None:
    """It is theirs, and what they say stays."""
    path.write_text("theirs")
    os.chown(path, 65534, 65534)
    with pytest.raises(OSError, match="somebody else"):
        write_activity(path, AT)
    assert path.read_text() == "theirs"
    assert alone(path)


def test_what_is_no_file_is_left(path: Path) -> None:
    """A directory, or a pipe that would never let go of its reader."""
    path.mkdir()
    with pytest.raises(OSError, match="no regular file"):
        write_activity(path, AT)
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(OSError, match="no regular file"):
        write_activity(path, AT)


def test_a_file_that_comes_meanwhile_is_not_replaced(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the place and the writing somebody may put something there."""
    original = os.link

    def late(source: Path, target: Path) -> None:
        path.write_text("came meanwhile")
        original(source, target)

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(FileExistsError):
        write_activity(path, AT)
    assert path.read_text() == "came meanwhile"
    assert alone(path)


class Watched:
    """An activity file on a clock of the test's own, and how often it was written."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.asked = 100.0, 0
        self.written: list[datetime] = []
        self.error: OSError | None = None
        self.file = ActivityFile(path, LOG, self.again, lambda: self.now, least_seconds=60.0)
        monkeypatch.setattr(sagemaker_activity, "write_activity", self.write)

    def again(self) -> None:
        """Count how often newer evidence was asked for."""
        self.asked += 1

    def write(self, path: Path, at: datetime) -> None:
        """Write in earnest, unless told to fail."""
        if self.error is not None:
            raise self.error
        write_activity(path, at)
        self.written.append(at)

    async def note(self, instant: float) -> None:
        """Tell of evidence, and wait until what comes of it is done."""
        self.file.note(instant, AT + timedelta(seconds=instant))
        if self.file._writing is not None:
            await self.file._writing


@pytest.fixture
def watch(path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Watched]:
    """Return what makes the file, on the loop."""
    return lambda: Watched(path, monkeypatch)


async def test_the_file_is_written_at_most_once_a_minute(watch: Callable[[], Watched]) -> None:
    """Evidence in each second for five minutes: five times, and one at the end."""
    watched = watch()
    for second in range(301):
        watched.now = 100.0 + second
        await watched.note(watched.now)
    assert [(at - AT).total_seconds() for at in watched.written] == [100, 160, 220, 280, 340, 400]
    await watched.file.close()


async def test_without_evidence_the_file_is_left_to_age(
    watch: Callable[[], Watched], path: Path
) -> None:
    """Looks go on, and the same evidence, computed anew to within a moment, is not newer."""
    watched = watch()
    await watched.note(100.0)
    inode, text = path.stat().st_ino, path.read_text()
    for minute in range(1, 60):
        watched.now = 100.0 + minute * 60
        await watched.note(100.0 + minute % 3 * 0.2)
    assert (path.stat().st_ino, path.read_text()) == (inode, text)
    assert watched.asked == 0


async def test_evidence_that_came_too_soon_is_asked_for_again(
    path: Path,
) -> None:
    """So the file is never older than the pause between two writings and one look."""
    asked = asyncio.Event()
    file = ActivityFile(path, LOG, asked.set, least_seconds=0.3)
    loop = asyncio.get_running_loop()
    file.note(100.0, AT)
    began = loop.time()
    await asyncio.sleep(0.05)
    file.note(200.0, AT + timedelta(seconds=100))
    file.note(300.0, AT + timedelta(seconds=200))
    await asyncio.wait_for(asked.wait(), 10)
    assert loop.time() - began >= 0.25
    file.note(400.0, AT + timedelta(seconds=300))
    await file.close()
    assert path.read_text() == (AT + timedelta(seconds=300)).strftime(TIME_FORMAT)


async def test_what_cannot_be_written_is_said_once_and_tried_again(
    watch: Callable[[], Watched], caplog: pytest.LogCaptureFixture, path: Path
) -> None:
    """A full disk: one warning, a problem for as long as it lasts, and no loss of the evidence."""
    watched = watch()
    watched.error = OSError(errno.ENOSPC, "No space left on device")
    for second in range(0, 180, 20):
        watched.now = 100.0 + second
        await watched.note(100.0)
    assert watched.file.problem == f"{path}: No space left on device"
    assert caplog.text.count("is not told of evidence") == 1
    watched.error, watched.now = None, 400.0
    await watched.note(100.0)
    assert watched.file.problem is None
    assert len(watched.written) == 1


SPACES = (Place.JUPYTERLAB_SPACE, Place.CODE_EDITOR_SPACE, Place.UNIFIED_STUDIO)


@pytest.mark.parametrize("place", Place)
def test_it_is_written_where_the_idle_shutdown_may_run(place: Place) -> None:
    """In a space; not on a notebook instance, nor on any other machine."""
    assert native_shutdown_runs(Environment(place)) is (place in SPACES)


def test_it_is_written_wherever_its_monitor_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever installed that wants its answer to be right."""
    (tmp_path / "jupyter_activity_monitor_extension.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert native_shutdown_runs(Environment(Place.PLAIN))


@pytest.fixture
def jp_server_config(
    request: pytest.FixtureRequest, jp_server_config: Config, path: Path
) -> Config:
    """Name the file, and what the test adds."""
    settings = {
        "check_interval_seconds": 300,
        "sagemaker_activity_path": str(path),
        "write_sagemaker_activity_file": True,
        **getattr(request, "param", {}),
    }
    return merged(jp_server_config, **settings)


@pytest.mark.js214
async def test_a_server_writes_the_newest_evidence_there(api: Api, path: Path) -> None:
    """And looks at least once a minute, so that what it writes is never older."""
    await until(path.exists)
    written = datetime.strptime(path.read_text(), TIME_FORMAT).replace(tzinfo=timezone.utc)
    newest = api.service.status().host.evidence.at
    assert abs((written - newest).total_seconds()) < 1
    assert api.service.culler.check_interval_seconds == 60


@pytest.fixture
def linked(path: Path) -> Path:
    """Put a link where the file is to be, before the server starts."""
    path.symlink_to(path.with_name("precious"))
    return path


async def test_what_it_cannot_write_shows_in_the_health(linked: Path, api: Api) -> None:
    """Where somebody put a link, people are told, and the rest works on."""
    await until(lambda: api.service.status().health.problems)
    (problem,) = api.service.status().health.problems
    assert problem.source == "activity file"
    assert "symbolic link" in problem.detail
    assert api.service.status().health.status == "degraded"
    assert linked.is_symlink()


@pytest.mark.parametrize(
    "jp_server_config",
    [{"dry_run": True}, {"write_sagemaker_activity_file": False}],
    indirect=True,
)
async def test_a_dry_run_and_who_does_not_want_it_write_nothing(api: Api, path: Path) -> None:
    """A dry run changes nothing, and SageMaker would stop later for it."""
    await api.service.culler.look()
    assert api.service.activity_file is None
    assert not path.exists()
