"""Keep-alives (U4): bounded, owned, kept across a restart, untouched by the wall clock."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import stat
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jupyter_idle_culler.clock import AwakeClock
from jupyter_idle_culler.core.model import (
    EVERYTHING,
    Kind,
    Observation,
    Resource,
    ResourceId,
    Strength,
    Verdict,
)
from jupyter_idle_culler.errors import NotOwner, OutOfBounds, UnknownKeepAlive
from jupyter_idle_culler.sources.base import Look
from jupyter_idle_culler.sources.keep_alive_file import KeepAliveFile, boot_id
from jupyter_idle_culler.sources.keep_alives import KeepAlives

LOG = logging.getLogger("test")
KERNEL = ResourceId(Kind.KERNEL, "a")
TERMINAL = ResourceId(Kind.TERMINAL, "1")


class Machine:
    """A machine with clocks moved by hand, on which servers come and go."""

    def __init__(self, path: Path | None, max_minutes: float = 1440.0) -> None:
        self.path = path
        self.max_minutes = max_minutes
        self.monotonic = 1000.0
        self.utc = datetime(2026, 3, 1, 16, 0, tzinfo=timezone.utc)
        self.boot = "first"
        self.server = self.start()

    def start(self) -> KeepAlives:
        """Make a server's keep-alives, reading this machine's clocks."""
        clock = AwakeClock(lambda: self.monotonic, lambda: self.monotonic, lambda: self.utc)
        self.server = KeepAlives(clock, lambda: self.max_minutes, LOG, self.path)
        if self.path is not None:
            self.server._file = KeepAliveFile(
                self.path,
                lambda: self.monotonic,
                lambda: self.wall_seconds,
                lambda: self.boot,
            )
        return self.server

    @property
    def wall_seconds(self) -> float:
        """The wall clock as `time.time` gives it."""
        return self.utc.timestamp()

    def wait(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self.monotonic += seconds
        self.utc += timedelta(seconds=seconds)

    async def restart(self) -> KeepAlives:
        """Start a new server and let it load."""
        server = self.start()
        await server.load()
        return server

    async def look(self, *resources: Resource) -> dict[ResourceId, Observation]:
        """Return what the server's keep-alives say now."""
        report = await self.server.observe(Look(self.monotonic, resources=resources))
        return {seen.resource: seen for seen in report.observations}


async def test_a_keep_alive_holds_everything_until_it_ends_and_is_evidence_of_its_end() -> None:
    """Active, unattended, with its reason and end in words; then idle since the very end."""
    machine = Machine(None)
    await machine.server.add(90, "a demo at\nfive")
    seen = (await machine.look())[EVERYTHING]
    assert (seen.verdict, seen.at, seen.strength) == (Verdict.ACTIVE, None, Strength.UNATTENDED)
    assert seen.detail == "kept awake until 17:30 UTC: a demo at five"
    end = machine.monotonic + 90 * 60
    machine.wait(90 * 60 + 20)
    seen = (await machine.look())[EVERYTHING]
    assert (seen.verdict, seen.at) == (Verdict.IDLE, end)
    assert machine.server.standing() == ()


@pytest.mark.parametrize("minutes", [0.0, -1.0, 1440.5, math.inf, math.nan])
async def test_what_lies_beyond_the_bounds_is_refused(minutes: float) -> None:
    """Nothing is kept, and the field at fault is named."""
    machine = Machine(None)
    with pytest.raises(OutOfBounds, match="max_keep_alive_minutes") as refusal:
        await machine.server.add(minutes, "")
    assert refusal.value.field == "minutes"
    assert machine.server.standing() == ()


async def test_none_may_be_asked_for_where_the_administrator_set_zero(tmp_path: Path) -> None:
    """Neither a new one nor one from before the configuration changed."""
    machine = Machine(tmp_path / "k.json")
    await machine.server.add(60, "")
    machine.max_minutes = 0
    server = await machine.restart()
    assert server.standing() == ()
    with pytest.raises(OutOfBounds):
        await server.add(1, "")


async def test_only_the_owner_or_an_administrator_cancels() -> None:
    """A stranger is told no, an unknown id is told apart, and all of one's own go at once."""
    server = Machine(None).server
    wish = await server.add(10, "mine", None, "ada")
    await server.add(10, "mine too", KERNEL, "ada")
    others = await server.add(10, "his", None, "bob")
    with pytest.raises(NotOwner):
        await server.cancel(wish.id, "bob")
    with pytest.raises(UnknownKeepAlive):
        await server.cancel("nonsense", "ada")
    assert await server.cancel(None, "ada") == 2
    assert [one.id for one in server.standing()] == [others.id]
    assert await server.cancel(others.id, "ada", is_admin=True) == 1


async def test_asking_again_replaces_the_shorter_wish_and_never_shortens() -> None:
    """Renewing each minute does not pile up; a shorter wish leaves the longer one standing."""
    machine = Machine(None)
    for _ in range(200):
        await machine.server.add(30, "renewed")
        machine.wait(60)
    assert len(machine.server.standing()) == 1
    longest = machine.server.standing()[0].ends_at
    await machine.server.add(1, "short")
    assert machine.server.standing()[-1].ends_at == longest


async def test_wishes_without_number_are_refused() -> None:
    """A loop of ever shorter wishes meets an end."""
    server = Machine(None).server
    for n in range(100):
        await server.add(1000 - n, "")
    with pytest.raises(OutOfBounds):
        await server.add(1, "")
    assert len(server.standing()) == 100


async def test_a_wish_for_one_kernel_holds_that_kernel_and_goes_with_it() -> None:
    """It says nothing of others; a look that misses the kernel does not yet drop it."""
    machine = Machine(None)
    await machine.server.add(600, "long run", KERNEL)
    assert set(await machine.look(Resource(KERNEL, 0.0))) == {KERNEL}
    assert await machine.look() == {}
    machine.wait(60)
    assert set(await machine.look(Resource(KERNEL, 0.0))) == {KERNEL}
    await machine.look()
    machine.wait(301)
    await machine.look()
    assert machine.server.standing() == ()


async def test_a_terminal_that_takes_the_name_of_one_that_is_gone_is_not_kept() -> None:
    """Names of terminals are used again: another shell is another terminal."""
    machine = Machine(None)
    await machine.server.add(600, "", TERMINAL)
    assert set(await machine.look(Resource(TERMINAL, 0.0, pid=10))) == {TERMINAL}
    assert await machine.look(Resource(TERMINAL, 0.0, pid=11)) == {}
    assert machine.server.standing() == ()


async def test_a_restart_keeps_what_stands_readable_by_nobody_else(tmp_path: Path) -> None:
    """Same end, same id; a terminal's wish went with its terminal; the ended one stays ended."""
    path = tmp_path / "new" / "k.json"
    machine = Machine(path)
    kept = await machine.server.add(60, "ünï", KERNEL, "ada")
    await machine.server.add(60, "", TERMINAL, "ada")
    await machine.server.add(1, "", None, "ada")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["k.json"]
    machine.wait(600)
    (again,) = (await machine.restart()).standing()
    assert (again.id, again.owner, again.reason) == (kept.id, "ada", "ünï")
    assert again.resource == KERNEL
    assert again.ends_at == pytest.approx(kept.ends_at)
    await machine.server.cancel(again.id, "ada")
    assert not path.exists()


@pytest.mark.parametrize("hours", [-5, 8])
async def test_a_stepped_wall_clock_changes_no_end_within_one_boot(
    hours: int, tmp_path: Path
) -> None:
    """Neither in the server that stands nor in the one that follows it."""
    machine = Machine(tmp_path / "k.json")
    wish = await machine.server.add(60, "")
    machine.utc += timedelta(hours=hours)
    assert (await machine.look())[EVERYTHING].verdict is Verdict.ACTIVE
    (again,) = (await machine.restart()).standing()
    assert again.ends_at == pytest.approx(wish.ends_at)
    machine.wait(60 * 60 + 1)
    assert (await machine.look())[EVERYTHING].verdict is Verdict.IDLE


async def test_after_another_boot_the_wall_clock_counts_within_the_bounds(tmp_path: Path) -> None:
    """The monotonic clock began anew: UTC says what is left, never more than was asked for."""
    machine = Machine(tmp_path / "k.json")
    await machine.server.add(60, "")
    machine.boot, machine.monotonic = "second", 5.0
    machine.utc += timedelta(minutes=20)
    (again,) = (await machine.restart()).standing()
    assert again.ends_at - machine.monotonic == pytest.approx(40 * 60)
    machine.utc -= timedelta(days=3)
    machine.max_minutes = 30
    (again,) = (await machine.restart()).standing()
    assert again.ends_at - machine.monotonic == pytest.approx(30 * 60)
    machine.utc += timedelta(days=30)
    assert (await machine.restart()).standing() == ()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"boot_id": null, "keep_alives": [{}]}',
        b'{"boot_id": null, "keep_alives": [{"id": 1, "owner": "", "reason": "", "kind": "host",'
        b' "name": "", "left_seconds": 60, "ends_monotonic": 1e9, "ends_utc": 1e12}]}',
        b'{"boot_id": null, "keep_alives": [{"id": "a", "owner": "", "reason": "", "kind": "moon",'
        b' "name": "", "left_seconds": 60, "ends_monotonic": 1e9, "ends_utc": 1e12}]}',
        b'{"boot_id": null, "keep_alives": [{"id": "a", "owner": "", "reason": "", "kind": "host",'
        b' "name": "", "left_seconds": 60, "ends_monotonic": 1, "ends_utc": NaN}]}',
        b"[" * 100_000,
    ],
)
async def test_a_damaged_file_starts_afresh_and_says_so(content: bytes, tmp_path: Path) -> None:
    """No exception, no wish made up; what is asked for next is kept as ever."""
    path = tmp_path / "k.json"
    path.write_bytes(content)
    machine = Machine(path)
    await machine.server.load()
    assert machine.server.standing() == ()
    assert "cannot be read" in (machine.server.problem or "")
    await machine.server.add(5, "")
    assert machine.server.problem is None
    assert len((await machine.restart()).standing()) == 1


async def test_a_disk_that_cannot_be_written_keeps_wishes_in_memory(tmp_path: Path) -> None:
    """A file where the folder should be stands for a read-only or full disk."""
    (tmp_path / "file").touch()
    machine = Machine(tmp_path / "file" / "k.json")
    await machine.server.load()
    await machine.server.add(5, "")
    assert "will not survive a restart" in (machine.server.problem or "")
    assert (await machine.look())[EVERYTHING].verdict is Verdict.ACTIVE


async def test_many_at_once_leave_a_whole_file(tmp_path: Path) -> None:
    """Concurrent requests end with all of their wishes in the file."""
    machine = Machine(tmp_path / "k.json")
    await asyncio.gather(*(machine.server.add(5, "", None, f"user{n}") for n in range(20)))
    assert len(json.loads((tmp_path / "k.json").read_text())["keep_alives"]) == 20


def test_the_boot_of_this_machine_has_a_name() -> None:
    """Linux names it; where it has none, nothing is taken for the same boot."""
    assert boot_id() == boot_id()
    assert boot_id(Path("/nonexistent")) is None


class KeepAliveLife(RuleBasedStateMachine):
    """Wishes, waits, wall-clock steps, restarts and reboots, against a model of their ends."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.machine = Machine(Path(self.folder.name) / "k.json", max_minutes=100.0)
        self.latest_end = -math.inf

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.folder.cleanup()

    @rule(minutes=st.floats(0.01, 100.0))
    def ask(self, minutes: float) -> None:
        """Ask for a keep-alive."""
        self.loop.run_until_complete(self.machine.server.add(minutes, "why"))
        self.latest_end = max(self.latest_end, self.machine.monotonic + minutes * 60)

    @rule(minutes=st.floats(100.01, 1e9))
    def ask_too_much(self, minutes: float) -> None:
        """Ask for more than is allowed."""
        with pytest.raises(OutOfBounds):
            self.loop.run_until_complete(self.machine.server.add(minutes, "why"))

    @rule(seconds=st.floats(0, 8000))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.machine.wait(seconds)

    @rule(seconds=st.floats(-1e6, 1e6))
    def step_the_wall_clock(self, seconds: float) -> None:
        """Set the wall clock."""
        self.machine.utc += timedelta(seconds=seconds)

    @rule()
    def restart(self) -> None:
        """End the server and start another."""
        self.loop.run_until_complete(self.machine.restart())

    @precondition(lambda self: self.latest_end > self.machine.monotonic)
    @rule()
    def cancel(self) -> None:
        """Cancel all."""
        self.loop.run_until_complete(self.machine.server.cancel())
        self.latest_end = -math.inf

    @invariant()
    def it_is_awake_exactly_until_the_latest_end(self) -> None:
        """Whatever the wall clock did and however often the server started."""
        left = self.latest_end - self.machine.monotonic
        seen = self.loop.run_until_complete(self.machine.look()).get(EVERYTHING)
        active = seen is not None and seen.verdict is Verdict.ACTIVE
        if abs(left) > 1e-3:
            assert active == (left > 0)


KeepAliveLife.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestKeepAliveLife = KeepAliveLife.TestCase
