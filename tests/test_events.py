"""What is announced: after the journal, valid, only what changed, and naming nobody."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from jupyter_events import EventLogger
from jupyter_server.serverapp import ServerApp
from traitlets.config import Config

from jupyter_idle_culler.actions.base import Outcome
from jupyter_idle_culler.core.model import (
    HOST,
    Action,
    Decision,
    Kind,
    Policy,
    ResourceId,
    Verdict,
)
from jupyter_idle_culler.events import DECISION_SCHEMA, STATUS_SCHEMA, Events
from jupyter_idle_culler.journal.journal import Journal
from jupyter_idle_culler.metrics import Metrics
from jupyter_idle_culler.records import JournalRecords
from jupyter_idle_culler.status import (
    Evidence,
    HostStatus,
    KeepAlive,
    NextStep,
    PolicySummary,
    ResourceStatus,
    Status,
    WarningStatus,
)

from .api_server import Api, merged, until

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
KERNEL = ResourceId(Kind.KERNEL, "a")
CULL = Decision(KERNEL, Action.CULL, Verdict.IDLE, "idle for 2 h of 2 h", 100.0, deadline=7300.0)


class Clock:
    """A clock that stands at 7300."""

    def now(self) -> float:
        """Return the instant."""
        return 7300.0

    def to_utc(self, instant: float) -> datetime:
        """Return its wall-clock time."""
        return NOW + timedelta(seconds=instant - 7300.0)

    def utc_now(self) -> datetime:
        """Return the wall-clock time."""
        return NOW


class Heard(logging.Handler):
    """Hears each event at the moment when it is announced."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def emit(self, record: logging.LogRecord) -> None:
        """Take one event."""
        self.meanwhile()
        data = dict(record.msg) if isinstance(record.msg, dict) else {}
        schema = str(data.get("__schema__"))
        self.events.append((schema, {k: v for k, v in data.items() if not k.startswith("__")}))

    def of(self, schema: str) -> list[dict[str, Any]]:
        """Return the events of one schema."""
        return [data for name, data in self.events if name == schema]


def listening() -> tuple[Events, Heard]:
    """Return events that are heard."""
    heard = Heard()
    logger = EventLogger(handlers=[])
    events = Events(logger, Clock())
    logger.register_handler(heard)
    return events, heard


def a_status() -> Status:
    """Return a status with one of everything."""
    evidence = Evidence(NOW, 5.0, "presence", "typed in secret.ipynb", person="ada")
    kernel = ResourceStatus("a", "secret.ipynb", "idle", "idle", evidence, 60.0, NOW)
    return Status(
        time=NOW,
        version="1",
        dry_run=False,
        host=HostStatus(
            "idle", "idle", evidence, "server", ("secret.ipynb",), 300.0, NOW,
            WarningStatus(NOW, 300.0, NOW),
        ),
        policy=PolicySummary(1.0, 1.0, 1.0, 1.0, None, None, 1.0, None),
        kernels=(kernel, replace(kernel, id="b", verdict="active")),
        keep_alives=(KeepAlive("k", "ada", "because", None, 60.0, NOW),),
        next=NextStep("kernel:a", "cull", 60.0, NOW),
    )  # fmt: skip


def test_several_applications_may_register_the_same_schemas() -> None:
    """A second culler on the same logger changes nothing; a server without a logger is no fault."""
    logger = EventLogger()
    Events(logger, Clock())
    Events(logger, Clock())
    assert {DECISION_SCHEMA, STATUS_SCHEMA} <= set(logger.schemas.schema_ids)
    quiet = Events(None, Clock())
    quiet.decided(CULL)
    quiet.close()


@pytest.mark.parametrize(
    ("outcome", "stage"),
    [
        (Outcome(True, "gone"), "done"),
        (Outcome(False, "refused"), "failed"),
        (Outcome(False, "new evidence", withdrawn=True), "withdrawn"),
    ],
)
def test_a_decision_and_what_became_of_it_are_announced(outcome: Outcome, stage: str) -> None:
    """First that it is decided, then how it ended; valid by the schema, with times for people."""
    events, heard = listening()
    events.decided(CULL)
    events.settled(CULL, outcome)
    decided, settled = heard.of(DECISION_SCHEMA)
    assert decided == {
        "time": "2026-03-01T12:00:00.000+00:00",
        "stage": "decided",
        "action": "cull",
        "kind": "kernel",
        "resource": "a",
        "reason": "idle for 2 h of 2 h",
        "idle_since": "2026-03-01T10:00:00.000+00:00",
        "in_seconds": 0.0,
        "detail": "",
    }
    assert (settled["stage"], settled["detail"]) == (stage, outcome.detail)


def test_a_warning_says_how_long_it_stands() -> None:
    """For the host: no name, and the seconds until the stop."""
    events, heard = listening()
    events.decided(Decision(HOST, Action.WARN, Verdict.IDLE, "idle", 100.0, deadline=7600.0))
    events.decided(Decision(HOST, Action.CANCEL_WARNING, Verdict.ACTIVE, "a cell runs", 7300.0))
    warned, cancelled = heard.of(DECISION_SCHEMA)
    assert (warned["kind"], warned["resource"], warned["in_seconds"]) == ("host", "", 300.0)
    assert (cancelled["action"], cancelled["in_seconds"]) == ("cancel-warning", None)


def test_an_event_that_breaks_its_schema_is_logged_and_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is announced is checked; a mistake of ours is no reason not to cull."""
    events, heard = listening()
    events.decided(CULL._replace(reason=None))  # type: ignore[arg-type]  # the mistake
    assert heard.events == []
    assert "could not be announced" in caplog.text


async def test_status_is_announced_when_it_has_changed_and_at_most_once_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first at once; of a burst the last; what only counted down, never."""
    monkeypatch.setattr("jupyter_idle_culler.events.SHORTEST_PAUSE_SECONDS", 0.2)
    events, heard = listening()
    status = a_status()
    events.status(status)
    assert len(heard.of(STATUS_SCHEMA)) == 1
    later = replace(status.host, stops_in_seconds=200.0, warning=None)
    events.status(replace(status, host=replace(status.host, verdict="active")))
    events.status(replace(status, host=later))
    assert len(heard.of(STATUS_SCHEMA)) == 1
    await until(lambda: len(heard.of(STATUS_SCHEMA)) == 2)
    assert heard.of(STATUS_SCHEMA)[1]["host"]["stops_in_seconds"] == 200.0
    await asyncio.sleep(0.3)
    counted = replace(later, stops_in_seconds=100.0)
    events.status(replace(status, host=counted, time=NOW + timedelta(seconds=100)))
    await asyncio.sleep(0.3)
    assert len(heard.of(STATUS_SCHEMA)) == 2


async def test_after_closing_nothing_is_announced_and_no_timer_is_left() -> None:
    """The server that ends finds nothing of ours on its loop."""
    events, heard = listening()
    events.status(a_status())
    events.status(replace(a_status(), dry_run=True, next=None))
    events.close()
    events.status(a_status())
    events.decided(CULL)
    assert len(heard.events) == 1
    assert events._timer is None


async def test_a_status_event_carries_what_a_page_counts_with_and_names_nobody() -> None:
    """Deadlines, warning, health and counts; no person, no document, no reason."""
    events, heard = listening()
    events.status(a_status())
    events.close()
    (data,) = heard.of(STATUS_SCHEMA)
    assert data["warning"]["ends_in_seconds"] == 300.0
    assert data["next"]["action"] == "cull"
    assert data["kernels"] == {"active": 1, "idle": 1, "unknown": 0}
    assert (data["health"], data["keep_alives"]) == ("ok", 1)
    text = json.dumps(data)
    assert not any(word in text for word in ("ada", "secret", "because"))


async def test_an_announcement_comes_after_its_record(tmp_path: Path) -> None:
    """Whoever hears of a decision or its outcome finds it in the journal on the disk."""
    events, heard = listening()
    journal = Journal(tmp_path / "j.jsonl")
    on_disk: list[int] = []
    heard.meanwhile = lambda: on_disk.append(len(journal.path.read_text().splitlines()))
    records = JournalRecords(journal, events, Metrics(), Policy, logging.getLogger(__name__))
    await records.decided([CULL, CULL._replace(resource=ResourceId(Kind.TERMINAL, "1"))])
    await records.settled(CULL, Outcome(True, "gone"))
    assert on_disk == [2, 2, 3]
    await journal.close()


@pytest.fixture
def jp_server_config(jp_server_config: Config) -> Config:
    """Stop the server when it is idle, so that it has a deadline."""
    return merged(jp_server_config, stop_action="server", timeout_minutes=90, min_timeout_minutes=1)


async def test_a_page_hears_of_a_change_through_the_servers_own_websocket(
    jp_serverapp: ServerApp,
    jp_ws_fetch: Callable[..., Any],
    jp_http_port: int,
    jp_asyncio_loop: asyncio.AbstractEventLoop,
) -> None:
    """A subscriber of `api/events/subscribe` gets the new deadline after the settings changed."""
    api = Api(jp_serverapp, jp_http_port)
    socket = await jp_ws_fetch("api", "events", "subscribe")
    await api.app._start_jupyter_server_extension(jp_serverapp)
    await api.ask("PATCH", "/settings", {"host_timeout_minutes": 30})
    while True:
        event = json.loads(await asyncio.wait_for(socket.read_message(), 30))
        if event.get("schema_id", event.get("__schema__")) == STATUS_SCHEMA:
            stops = event["host"]["stops_in_seconds"]
            if stops is not None and stops <= 1800:
                break
    assert event["host"]["stop_action"] == "server"
    assert event["host"]["stops_at"]
    socket.close()
