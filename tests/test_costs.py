"""What idle time costs and stops save: counted from look to look, and read from the journal."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from jupyter_idle_culler.cli.text import status_lines
from jupyter_idle_culler.clock import AwakeClock
from jupyter_idle_culler.core.decision import decide
from jupyter_idle_culler.core.model import (
    HOST,
    Action,
    Decision,
    Observation,
    Policy,
    Snapshot,
    State,
    Verdict,
)
from jupyter_idle_culler.costs import Costs
from jupyter_idle_culler.culler import Looked
from jupyter_idle_culler.journal.form import policy_fields
from jupyter_idle_culler.journal.journal import Journal
from jupyter_idle_culler.journal.past import Past, read_past
from jupyter_idle_culler.journal.recorder import Recorder

from .api_server import Api, merged, until

LOG = logging.getLogger(__name__)
NOON = datetime(2026, 3, 2, 12, tzinfo=timezone.utc)
MIDNIGHT = NOON - timedelta(hours=12)
POLICY = Policy(host_timeout_seconds=7200.0)
HOUR = 3600.0


class World:
    """A host whose clocks the test moves."""

    def __init__(self, tmp_path: Path, utc: datetime = NOON) -> None:
        self.now = 1000.0
        self.utc = utc
        clock = AwakeClock(lambda: self.now, lambda: self.now, lambda: self.utc)
        self.journal = Journal(tmp_path / "j.jsonl")
        self.costs = Costs(2.0, clock, self.journal, LOG)
        self.costs._counted_until = self.now

    def passes(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.utc += timedelta(seconds=seconds)

    def look(self, evidence_at: float, verdict: Verdict = Verdict.IDLE) -> None:
        """Look at the host."""
        decision = Decision(HOST, Action.KEEP, verdict, "", evidence_at)
        snapshot = Snapshot(0.0, (), (), ())
        self.costs.looked(Looked(self.now, snapshot, (decision,), State(), POLICY))

    def idle(self) -> float:
        """Return the idle seconds of today."""
        return self.costs.shown().idle_today_seconds


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server stand in Greenwich."""
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Give a host at noon."""
    return World(tmp_path)


async def test_idle_time_counts_from_the_last_evidence_once_the_pause_is_long(
    world: World,
) -> None:
    """A pause of five minutes counts as a whole, a shorter one is thinking and does not."""
    evidence = world.now
    for _ in range(9):
        world.passes(30)
        world.look(evidence)
    assert world.idle() == 0
    world.passes(60)
    world.look(evidence)
    assert world.idle() == 330
    world.passes(70)
    assert world.idle() == 400
    world.look(world.now - 10)
    assert world.idle() == 330
    world.passes(HOUR)
    world.look(world.now, Verdict.ACTIVE)
    assert world.idle() == 330
    shown = world.costs.shown()
    assert shown.idle_today_cost == pytest.approx(330 / HOUR * 2.0)


async def test_what_is_unknown_is_not_idle(world: World) -> None:
    """A sensor that fails for an hour costs nothing in the figures."""
    evidence = world.now
    world.passes(HOUR)
    world.look(evidence, Verdict.UNKNOWN)
    world.passes(60)
    world.look(evidence)
    assert world.idle() == 60


async def test_a_new_day_begins_at_the_servers_midnight(tmp_path: Path) -> None:
    """What was idle before it is yesterday's."""
    world = World(tmp_path, MIDNIGHT - timedelta(hours=2))
    evidence = world.now
    world.passes(HOUR)
    world.look(evidence)
    assert world.idle() == HOUR
    world.passes(HOUR + 600)
    world.look(evidence)
    assert world.idle() == 600


def entry(run: str, event: str, at: datetime, **fields: Any) -> dict[str, Any]:
    """Return an entry of a journal."""
    t = (at - NOON).total_seconds() + 1e6
    return {"time": at.isoformat(), "t": t, "run": run, "event": event, **fields}


def a_run(name: str, began: datetime, ended: datetime, **outcome: Any) -> list[dict[str, Any]]:
    """Return a run that ended with this outcome of a stop."""
    return [
        entry(name, "start", began, dry_run=outcome.pop("dry_run", False)),
        entry(name, "outcome", ended, resource="host", action="stop", **outcome),
        entry(name, "end", ended + timedelta(seconds=2)),
    ]


def past(path: Path, *runs: list[dict[str, Any]], now: datetime = NOON) -> Past:
    """Write these runs, and read them back."""
    lines = [json.dumps(one) for run in runs for one in run]
    path.write_text("\n".join(lines) + "\nnot an entry\n")
    return read_past(path, "now", MIDNIGHT, now)


def hours(before: float) -> datetime:
    """Return the moment so many hours before noon."""
    return NOON - timedelta(hours=before)


def test_a_stop_saves_until_the_next_start(tmp_path: Path) -> None:
    """From each stop of ours to the next start, whoever asked for it; the last one until now."""
    path = tmp_path / "j.jsonl"
    assert read_past(path, "now", MIDNIGHT, NOON) == Past()
    first = a_run("a", hours(30), hours(28), ok=True)
    second = a_run("b", hours(20), hours(18), ok=True)
    assert past(path, first, second).saved_seconds == (8 + 18) * HOUR
    own = [entry("now", "start", NOON)]
    assert past(path, first, second, own).saved_seconds == (8 + 18) * HOUR


@pytest.mark.parametrize("outcome", [{"ok": False}, {"ok": True, "dry_run": True}])
def test_what_was_no_stop_of_ours_saves_nothing(tmp_path: Path, outcome: dict[str, Any]) -> None:
    """A stop that failed, a dry run, an end by hand, a run that outlived its stop by far."""
    path = tmp_path / "j.jsonl"
    assert past(path, a_run("a", hours(30), hours(28), **outcome)).saved_seconds == 0
    by_hand = [entry("a", "start", hours(3)), entry("a", "end", hours(2))]
    outlived = [*a_run("b", hours(9), hours(8), ok=True), entry("b", "end", hours(7))]
    assert past(path, outlived, by_hand).saved_seconds == 0


def test_only_thirty_days_count(tmp_path: Path) -> None:
    """Of a stop long ago what lies within them."""
    old = a_run("a", hours(50 * 24), hours(40 * 24), ok=True)
    saved = past(tmp_path / "j.jsonl", old).saved_seconds
    assert saved == timedelta(days=30).total_seconds()


class Recording:
    """A run of a culler whose looks are recorded, with what it was idle by its own count."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.state = State()
        self.entries: list[dict[str, Any]] = []

    def look(self, at: datetime, seen: Observation) -> None:
        """Look once."""
        t = (at - NOON).total_seconds() + 1e6
        snapshot = Snapshot((hours(8) - NOON).total_seconds() + 1e6, (), (seen,), ())
        decisions, self.state = decide(snapshot, POLICY, self.state, t)
        changes = self.recorder.changes(snapshot, decisions, POLICY, t)
        self.entries += [entry("a", event, at, **fields) for event, fields in changes]


def test_what_earlier_runs_were_idle_today_is_read_from_their_evidence(tmp_path: Path) -> None:
    """Work until ten, a person until half past ten, then nothing until the server's end at noon."""
    recording = Recording()
    minute = timedelta(minutes=1)
    at = hours(8)
    while at <= NOON:
        t = (at - NOON).total_seconds() + 1e6
        if at <= hours(2):
            seen = Observation(HOST, "processes", Verdict.ACTIVE, None, "sweep.py")
        elif at <= hours(1.5):
            seen = Observation(HOST, "presence", Verdict.IDLE, t - 20, "a person")
        else:
            last = (hours(1.5) - NOON).total_seconds() + 1e6 - 20
            seen = Observation(HOST, "presence", Verdict.IDLE, last, "a person")
        recording.look(at, seen)
        at += minute
    run = [*recording.entries, entry("a", "end", NOON)]
    idle = past(tmp_path / "j.jsonl", run).idle_seconds
    assert idle == pytest.approx(1.5 * HOUR, abs=120)
    late = read_past(tmp_path / "j.jsonl", "now", NOON - timedelta(minutes=30), NOON)
    assert late.idle_seconds == pytest.approx(HOUR / 2, abs=1)
    assert read_past(tmp_path / "j.jsonl", "now", NOON + minute, NOON).idle_seconds == 0


async def test_the_past_is_read_once_at_the_start_and_added(world: World) -> None:
    """In a thread; what cannot be read is said in the health and stops nothing."""
    policy = {"policy": policy_fields(POLICY), "server_started_at": 0.0}
    run = [entry("a", "settings", hours(2), **policy), *a_run("a", hours(2), hours(1), ok=True)]
    world.journal.path.write_text("\n".join(map(json.dumps, run)) + "\n")
    world.costs.start()
    await until(lambda: world.costs.shown().saved_seconds)
    shown = world.costs.shown()
    assert shown.saved_seconds == HOUR
    assert shown.saved_cost == 2.0
    assert shown.idle_today_seconds == pytest.approx(HOUR, abs=3)
    await world.costs.close()
    await world.journal.close()


async def test_a_journal_that_cannot_be_read_is_said(world: World) -> None:
    """The figures then count from the start only."""
    world.journal.path = Path("/proc/self/mem")  # a file that even root cannot read
    world.costs.start()
    await until(lambda: world.costs.problem)
    assert "not counted" in str(world.costs.problem)
    assert world.costs.shown().saved_seconds == 0
    await world.costs.close()
    await world.journal.close()


@pytest.fixture
def jp_server_config(jp_server_config: Config) -> Config:
    """Say what the machine costs."""
    return merged(
        jp_server_config,
        hourly_price=1.5,
        stop_action="server",
        timeout_minutes=1,
        min_timeout_minutes=1,
        max_timeout_minutes=1,
    )


async def test_the_status_has_the_figures_where_a_price_is_configured(api: Api) -> None:
    """And null where none is."""
    costs = (await api.ask("GET", "/status"))["costs"]
    assert costs["hourly_price"] == 1.5
    assert all(math.isfinite(value) and value >= 0 for value in costs.values())
    assert any(
        line.startswith("Idle today ") and line.endswith("in 30 days.")
        for line in status_lines(await api.ask("GET", "/status"), NOON)
    )
    api.service.costs = None
    assert (await api.ask("GET", "/status"))["costs"] is None


async def test_a_setting_that_the_bounds_leave_one_value_is_locked(api: Api) -> None:
    """The timeouts here; the warning may still be chosen."""
    settings = await api.ask("GET", "/settings")
    assert {name for name, one in settings.items() if one["locked"]} == {
        *("timeout_minutes", "kernel_timeout_minutes"),
        *("terminal_timeout_minutes", "host_timeout_minutes"),
    }


async def test_a_page_learns_within_two_seconds_that_presence_moved_the_deadline(
    api: Api, jp_ws_fetch: Callable[..., Any]
) -> None:
    """One report, one status event with the new countdown; more of them at once cause no more."""
    socket = await jp_ws_fetch("api", "events", "subscribe")
    await asyncio.sleep(2.5)
    loop = asyncio.get_running_loop()
    began = loop.time()
    before = (await api.ask("GET", "/status"))["host"]["stops_in_seconds"]
    assert before < 58
    looks: list[Looked] = []
    on_look = api.service.culler.on_look
    assert on_look is not None

    def counted(looked: Looked) -> None:
        looks.append(looked)
        on_look(looked)

    api.service.culler.on_look = counted
    for _ in range(20):
        await api.ask("POST", "/activity", {"presence": True})
    stops = None
    while stops is None or stops < 58.5:
        event = json.loads(await asyncio.wait_for(socket.read_message(), 2))
        if "/status/" in str(event.get("schema_id", event.get("__schema__"))):
            stops = event["host"]["stops_in_seconds"]
    assert loop.time() - began < 2
    assert len(looks) <= 2
    socket.close()
