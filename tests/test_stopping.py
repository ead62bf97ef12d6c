"""A host stop in the server: pages save first, a record is left, and what fails takes it back."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp
from traitlets.config import Config

from jupyter_idle_culler.core.model import Action, Decision, Kind, ResourceId, Verdict
from jupyter_idle_culler.events import DECISION_SCHEMA
from jupyter_idle_culler.last_stop import LastStops

from .api_server import Api, merged, until

PAGE = "0a1b-page"
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0"}


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """Give the file that appears when the stop command has run."""
    return tmp_path / "stopped"


@pytest.fixture
def jp_server_config(jp_server_config: Config, marker: Path) -> Config:
    """Stop by a command that fails where the marker's directory says so."""
    script = f"test ! -e {marker}.refused && touch {marker}"
    return merged(jp_server_config, stop_action="command", stop_command=["sh", "-c", script])


class Page:
    """A page of the widget, as far as a stop is concerned: it hears events and answers."""

    def __init__(self, api: Api, socket: Any, name: str = PAGE) -> None:
        self.api = api
        self.name = name
        self.heard: list[dict[str, Any]] = []
        self._socket = socket
        self._listening = asyncio.create_task(self._listen())

    async def tell(self, **body: Any) -> None:
        """Say something about itself."""
        await self.api.ask("POST", "/page", {"page": self.name, "open": True, **body})

    async def hears(self, stage: str, count: int = 1) -> dict[str, Any]:
        """Wait for a stage of a stop, and return its event."""

        def of_stage() -> list[dict[str, Any]]:
            return [e for e in self.heard if (e["action"], e["stage"]) == ("stop", stage)]

        await until(lambda: len(of_stage()) >= count)
        return of_stage()[count - 1]

    async def close(self) -> None:
        """Leave."""
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        self._socket.close()

    async def _listen(self) -> None:
        while (message := await self._socket.read_message()) is not None:
            event = json.loads(message)
            if event.get("schema_id", event.get("__schema__")) == DECISION_SCHEMA:
                self.heard.append(event)


@pytest.fixture
def page(
    api: Api, jp_ws_fetch: Callable[..., Any], jp_asyncio_loop: asyncio.AbstractEventLoop
) -> Any:
    """Give an open page."""

    async def opened() -> Page:
        made = Page(api, await jp_ws_fetch("api", "events", "subscribe"))
        await made.tell()
        return made

    page = jp_asyncio_loop.run_until_complete(opened())
    yield page
    jp_asyncio_loop.run_until_complete(page.close())


def idle_stop(api: Api) -> Decision:
    """Return the decision to stop that the last look would have led to, two hours on."""
    assert api.service.culler.last is not None
    host = api.service.culler.last.decisions[-1]
    return host._replace(action=Action.STOP, reason="idle for 2 h of 2 h")


def record(api: Api) -> dict[str, Any]:
    """Return the record of the stop that lies on the disk."""
    return dict(json.loads(api.service.last_stops.path.read_text())["stop"])


async def test_a_page_saves_before_a_stop_that_a_person_asked_for(
    api: Api, page: Page, marker: Path
) -> None:
    """The event asks it; the stop waits for its answer, and the record tells of it."""
    asked = asyncio.create_task(api.ask("POST", "/stop", {"reason": "lunch"}))
    event = await page.hears("decided")
    assert "lunch" in event["reason"]
    await asyncio.sleep(0.2)
    assert not asked.done()
    assert not marker.exists()
    await page.tell(saved=2, failed=["broken.ipynb"])
    assert (await asked)["ok"]
    assert marker.exists()
    await page.hears("done")
    left = record(api)
    assert (left["saved_documents"], left["unsaved_documents"]) == (2, ["broken.ipynb"])
    assert (left["idle_seconds"], left["asked_by"]) == (None, "")
    assert left["stop_action"] == "command"
    # This run still tells of the stop before it, of which there was none.
    assert (await api.ask("GET", "/status"))["last_stop"] is None


async def test_a_stop_that_fails_takes_its_record_back(api: Api, page: Page, marker: Path) -> None:
    """502, the event that lets the page go back to normal, and no record."""
    marker.with_name("stopped.refused").touch()
    asked = asyncio.create_task(api.send("POST", "/stop"))
    await page.hears("decided")
    await page.tell(saved=0)
    response = await asked
    assert response.code == 502
    api.check("POST", "/stop", response)
    await page.hears("failed")
    assert not api.service.last_stops.path.exists()
    await api.ask("POST", "/page", {"page": PAGE, "open": False})
    marker.with_name("stopped.refused").unlink()
    assert (await api.ask("POST", "/stop"))["ok"]
    assert record(api)["saved_documents"] == 0


async def test_what_is_saved_for_the_stop_is_no_evidence_and_what_a_person_does_is(
    api: Api, page: Page, marker: Path, jp_fetch: Callable[..., Any]
) -> None:
    """The save, its checkpoint too, does not hold the host; a person meanwhile withdraws it."""
    model = {"type": "file", "format": "text", "content": "x"}

    async def save() -> None:
        body = json.dumps(model)
        await jp_fetch("api/contents/a.txt", method="PUT", body=body, headers=BROWSER)
        await jp_fetch(
            "api/contents/a.txt/checkpoints", method="POST", headers=BROWSER,
            allow_nonstandard_methods=True,
        )  # fmt: skip

    host_stop = api.service.host_stop
    assert host_stop is not None
    due = True

    async def still_due(_: object) -> bool:
        observed = await api.app._contents.observe(None)
        return due and not observed.observations

    host_stop.still_due = still_due
    for outcome_ok in (True, False):
        decision = idle_stop(api)
        api.service.stop_is_near()
        await api.service.records.decided([decision])
        stopping = asyncio.create_task(host_stop.apply(decision))
        await save()
        due = outcome_ok
        await page.tell(saved=1)
        outcome = await stopping
        assert (outcome.ok, outcome.withdrawn) == (outcome_ok, not outcome_ok)
    assert marker.exists()
    assert record(api)["idle_seconds"] > 0
    assert record(api)["asked_by"] is None


async def test_a_page_that_never_answers_holds_a_stop_only_so_long(
    api: Api, page: Page, marker: Path
) -> None:
    """It is forgotten, the health says so, and the record too."""
    api.service.pages.patience_seconds = 0.3
    assert (await api.ask("POST", "/stop"))["ok"]
    assert marker.exists()
    assert record(api)["silent_pages"] == 1
    health = (await api.ask("GET", "/status"))["health"]
    assert health["status"] == "degraded"
    (problem,) = [p for p in health["problems"] if p["source"] == "pages"]
    assert "1 page did not answer" in problem["detail"]
    await page.tell()
    assert (await api.ask("GET", "/status"))["health"]["problems"] == []


async def test_two_stops_at_once_are_one(api: Api, page: Page, marker: Path) -> None:
    """Idleness and a person, or two tabs: the command runs once; later it may run again."""
    host_stop = api.service.host_stop
    assert host_stop is not None
    runs = []
    run = host_stop.stop.apply

    async def counted(decision: Decision) -> Any:
        runs.append(decision)
        return await run(decision)

    host_stop.stop.apply = counted  # type: ignore[method-assign]  # it still runs
    asked = [asyncio.create_task(api.ask("POST", "/stop")) for _ in range(3)]
    await page.hears("decided", 3)
    await page.tell(saved=1)
    assert all(outcome["ok"] for outcome in await asyncio.gather(*asked))
    assert len(runs) == 1
    await api.ask("POST", "/page", {"page": PAGE, "open": False})
    assert (await api.ask("POST", "/stop"))["ok"]
    assert len(runs) == 2


async def test_the_next_start_tells_of_the_stop_until_it_is_dismissed(api: Api, page: Page) -> None:
    """What the run before left is in the status; DELETE forgets it for good, and may come twice."""
    stop = asyncio.create_task(api.ask("POST", "/stop"))
    await page.hears("decided")
    await page.tell(saved=1)
    await stop
    await api.service.last_stops.load()
    shown = (await api.ask("GET", "/status"))["last_stop"]
    assert shown["saved_documents"] == 1
    assert await api.ask("DELETE", "/last-stop") is None
    assert (await api.ask("GET", "/status"))["last_stop"] is None
    assert await api.ask("DELETE", "/last-stop") is None


async def test_kernels_that_go_with_the_host_are_named(api: Api, jp_serverapp: ServerApp) -> None:
    """Those that are there when the stop is decided, and those culled since the last evidence."""
    culler = api.service.culler
    before = idle_stop(api).evidence_at
    first = ResourceId(Kind.KERNEL, await jp_serverapp.kernel_manager.start_kernel())
    await culler.look()
    await culler.actor.begin(Decision(first, Action.CULL, Verdict.IDLE, "idle", before))
    second = await jp_serverapp.kernel_manager.start_kernel()
    await culler.look()
    api.service.stop_is_near()
    decision = idle_stop(api)._replace(evidence_at=before)
    assert api.service.host_stop is not None
    assert (await api.service.host_stop.apply(decision)).ok
    assert len(record(api)["kernels"]) == 2
    await jp_serverapp.kernel_manager.shutdown_kernel(second)


async def test_a_dry_run_asks_no_page(api: Api, page: Page, marker: Path) -> None:
    """Nothing is waited for, nothing is stopped, and no record is left."""
    object.__setattr__(api.service.settings_in_force, "dry_run", True)
    assert (await asyncio.wait_for(api.ask("POST", "/stop"), 5))["ok"]
    api.service.stop_is_near()
    assert not api.service.pages._awaited
    assert not marker.exists()
    assert not api.service.last_stops.path.exists()
    del page


async def test_a_host_that_outlives_its_stop_takes_the_record_back(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that succeeded and stopped nothing: the next start must not claim a stop."""
    monkeypatch.setattr("jupyter_idle_culler.last_stop.LONGEST_STOP_SECONDS", 0.2)
    assert (await api.ask("POST", "/stop"))["ok"]
    assert api.service.last_stops.path.exists()
    await until(lambda: not api.service.last_stops.path.exists())


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "null", "{", '{"stop": null}', '{"stop": {"at": "yesterday"}}',
        '{"stop": {"at": "2026-03-01T00:00:00"}}', "[" * 100_000, "\x00",
    ],
)  # fmt: skip
async def test_a_broken_record_stops_nothing_and_is_visible(tmp_path: Path, text: str) -> None:
    """The start goes on; the health says what is wrong until it is dismissed."""
    path = tmp_path / "last-stop.json"
    path.write_text(text)
    stops = LastStops(path, logging.getLogger(__name__))
    await stops.load()
    assert stops.loaded is None
    assert stops.problem is not None
    assert str(path) in stops.problem
    await stops.dismiss()
    assert stops.problem is None
    assert not path.exists()


async def test_a_directory_that_cannot_be_written_stops_no_stop(
    api: Api, marker: Path, tmp_path: Path
) -> None:
    """The host stops without a record, and the health says why there is none."""
    (tmp_path / "file").touch()
    api.service.last_stops.path = tmp_path / "file" / "last-stop.json"
    assert (await api.ask("POST", "/stop"))["ok"]
    assert marker.exists()
    problems = (await api.ask("GET", "/status"))["health"]["problems"]
    assert any(p["source"] == "last stop" and "written" in p["detail"] for p in problems)
