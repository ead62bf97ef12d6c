"""What the API answers, and that its document says the same."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate
from traitlets.config import Config

from jupyter_idle_culler.api.document import document
from jupyter_idle_culler.api.handlers import HANDLERS, PREFIX
from jupyter_idle_culler.api.identity import Asker
from jupyter_idle_culler.api.views import explanation_view, journal_view, status_view
from jupyter_idle_culler.journal.journal import Page
from jupyter_idle_culler.status import (
    Evidence,
    Explanation,
    HostStatus,
    ObservationReport,
    ResourceStatus,
    Status,
)

from .api_server import Api, NamedPeople, OneAdministrator, merged, operations, stopping, until

ADA, BOB = {"X-Test-User": "ada"}, {"X-Test-User": "bob"}
NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """Give the file that appears when the stop command has run."""
    return tmp_path / "stopped"


@pytest.fixture
def jp_server_config(jp_server_config: Config, marker: Path) -> Config:
    """Make a stop leave a mark, and let people be told apart by a header."""
    config = merged(jp_server_config, **stopping(marker), timeout_minutes=90, min_timeout_minutes=5)
    config.ServerApp.identity_provider_class = NamedPeople
    return config


def test_the_document_is_valid() -> None:
    """`openapi.yaml` is OpenAPI 3.1, and every operation has a name of its own."""
    validate(dict(document()))
    names = [op["operationId"] for verbs in document()["paths"].values() for op in verbs.values()]
    assert len(set(names)) == len(names)


def test_routes_and_document_agree() -> None:
    """Each handler's route and verbs are described, nothing else is, and each needs a login."""
    served = {
        (handler.route, verb)
        for handler in HANDLERS
        for verb in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
        if verb.lower() in vars(handler)
    }
    assert served == set(operations())
    assert all(handler.auth_resource == "idle-culler" for handler in HANDLERS)
    assert not any(handler._track_activity for handler in HANDLERS)
    assert document()["servers"][0]["url"].endswith(PREFIX)


@pytest.mark.parametrize(("route", "verb"), operations())
def test_each_operation_describes_its_refusals(route: str, verb: str) -> None:
    """400, 403 and 503 everywhere; what changes or stops something needs more than reading."""
    operation = document()["paths"][route][verb.lower()]
    assert {"400", "403", "503"} <= set(operation["responses"])
    action = "execute" if route == "/stop" else "read" if verb == "GET" else "write"
    assert operation["x-jupyter-action"] == action


async def test_every_good_request_is_answered_as_described(api: Api, marker: Path) -> None:
    """Each operation once, for the host, with its answer checked against the document."""
    status = await api.ask("GET", "/status")
    assert status["policy"]["host_timeout_minutes"] == 90
    assert status["keep_alives"] == []
    kept = await api.ask("POST", "/keep-alive", {"minutes": 30, "reason": "lunch"})
    assert 1790 < kept["ends_in_seconds"] <= 1800
    ends = datetime.fromisoformat(kept["ends_at"])
    assert abs(ends - datetime.now(timezone.utc) - timedelta(minutes=30)) < timedelta(seconds=30)
    status = await api.ask("GET", "/status")
    assert [k["id"] for k in status["keep_alives"]] == [kept["id"]]
    assert await api.ask("DELETE", f"/keep-alive?id={kept['id']}") == {"cancelled": 1}
    assert await api.ask("DELETE", "/keep-alive") == {"cancelled": 0}
    assert await api.ask("POST", "/activity") is None
    assert await api.ask("POST", "/activity", {"presence": True}) is None
    changed = await api.ask("PATCH", "/settings", {"kernel_timeout_minutes": 20})
    assert changed["kernel_timeout_minutes"]["value"] == 20
    assert changed["kernel_timeout_minutes"]["source"] == "user"
    assert await api.ask("GET", "/settings") == changed
    explanation = await api.ask("GET", "/explain")
    assert {source["name"] for source in explanation["sources"]} >= {"kernels", "processes"}
    journal = await api.ask("GET", "/journal?limit=1000")
    assert [entry["event"] for entry in journal["entries"]].count("keep-alive") == 2
    assert len((await api.ask("GET", "/journal?limit=2"))["entries"]) == 2
    outcome = await api.ask("POST", "/stop", {"reason": "done for today"})
    assert outcome["ok"]
    assert await until(marker.exists)


async def test_settings_keep_the_bounds_and_null_takes_a_wish_back(api: Api) -> None:
    """Outside the bounds 409 and no change, not even of what was allowed; null: as it was."""
    before = await api.ask("GET", "/settings")
    changes = {"terminal_timeout_minutes": 30, "kernel_timeout_minutes": 1}
    for bad in (changes, {"host_timeout_minutes": 0}, {"timeout_minutes": 5000}):
        response = await api.send("PATCH", "/settings", bad)
        assert response.code == 409, response.body
        api.check("PATCH", "/settings", response)
        assert await api.ask("GET", "/settings") == before
    await api.ask("PATCH", "/settings", {"kernel_timeout_minutes": 30})
    assert (await api.ask("GET", "/status"))["policy"]["kernel_timeout_minutes"] == 30
    assert await api.ask("PATCH", "/settings", {"kernel_timeout_minutes": None}) == before


async def test_asking_is_no_activity_and_no_evidence(api: Api) -> None:
    """Neither the server's own clock nor ours moves because somebody asks how idle it is."""
    settings = api.server.web_app.settings
    before = settings.get("api_last_activity")
    observed = api.service.presence.newest, dict(api.service.reported._last)
    for route, verb in operations():
        if verb == "GET":
            await api.ask(verb, route)
    assert settings.get("api_last_activity") == before
    assert (api.service.presence.newest, dict(api.service.reported._last)) == observed


async def test_a_script_and_a_person_are_told_apart(api: Api) -> None:
    """`presence` is a person at the page; without it, it is a program's word."""
    await api.ask("POST", "/activity", {})
    assert api.service.presence.newest is None
    assert len(api.service.reported._last) == 1
    await api.ask("POST", "/activity", {"presence": True})
    assert api.service.presence.newest is not None


async def test_what_the_page_of_a_lab_adds_to_an_address_is_allowed(api: Api) -> None:
    """JupyterLab's time against caches and the server's own parameters are no unknown ones."""
    for query in ("?1795494594248", "?no_track_activity=1", f"?token={api.token}"):
        await api.ask("GET", "/status" + query)
        await api.ask("GET", "/journal" + query)


async def test_one_persons_keep_alive_is_not_anothers_to_cancel(api: Api) -> None:
    """On a shared server it names its owner; others get 403, and cancel only their own."""
    kept = await api.ask("POST", "/keep-alive", {"minutes": 30}, headers=ADA)
    assert (kept["owner"], kept["mine"]) == ("ada", True)
    (seen,) = (await api.ask("GET", "/status", headers=BOB))["keep_alives"]
    assert (seen["owner"], seen["mine"]) == ("ada", False)
    response = await api.send("DELETE", f"/keep-alive?id={kept['id']}", headers=BOB)
    assert response.code == 403
    api.check("DELETE", "/keep-alive", response)
    assert b"not-owner" in response.body
    assert await api.ask("DELETE", "/keep-alive", headers=BOB) == {"cancelled": 0}
    assert len(api.service.keep_alives.standing()) == 1
    assert await api.ask("DELETE", "/keep-alive", headers=ADA) == {"cancelled": 1}


@pytest.mark.parametrize("how", ["authorizer", "owner of the Hub's server", "Hub administrator"])
async def test_an_administrator_may_cancel_what_others_asked_for(
    api: Api, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whom the authorizer names, the owner of a JupyterHub server, and the Hub's administrators."""
    kept = await api.ask("POST", "/keep-alive", {"minutes": 30}, headers=BOB)
    cancel = f"/keep-alive?id={kept['id']}"
    assert (await api.send("DELETE", cancel, headers=ADA)).code == 403
    if how == "authorizer":
        api.server.web_app.settings["authorizer"] = OneAdministrator(parent=api.server)
    elif how == "owner of the Hub's server":
        monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    else:
        monkeypatch.setattr("jupyter_server.auth.User.hub_user", {"admin": True}, raising=False)
    assert (await api.ask("GET", "/status", headers=ADA))["may"]["administer"]
    assert await api.ask("DELETE", cancel, headers=ADA) == {"cancelled": 1}


async def test_without_people_of_their_own_all_who_hold_the_token_are_one(api: Api) -> None:
    """The server draws a new name for each bare token: what one request asked, the next cancels."""
    kept = await api.ask("POST", "/keep-alive", {"minutes": 30})
    assert (kept["owner"], kept["mine"]) == ("", True)
    assert await api.ask("DELETE", f"/keep-alive?id={kept['id']}") == {"cancelled": 1}


def asker(name: str) -> Asker:
    """Return somebody who may use the culler."""
    return Asker(name, may_write=True, may_stop=True, is_admin=False)


async def test_each_person_sees_only_their_own_presence(api: Api) -> None:
    """Others read `a person`: in evidence, in the words made of it, in explain, in the journal."""
    secret = "typed in salaries.ipynb"
    evidence = Evidence(NOW, 5.0, "presence", secret, person="ada")
    status = await _status(api)
    status = replace(
        status,
        host=replace(status.host, evidence=evidence, reason=secret, active=(secret, "x.ipynb")),
    )
    seen = ObservationReport("host", "presence", "active", "work", secret, person="ada")
    explanation = Explanation(status, observations=(seen,), would_happen=(f"after: {secret}",))
    entry = {"time": "", "t": 0.0, "run": "r", "event": "evidence", "person": "ada"}
    page = Page(({**entry, "resource": "host", "sees": [{"detail": secret}]},))
    for viewer, shown in (("ada", True), ("bob", False)):
        views: list[Any] = [
            status_view(status, asker(viewer)),
            explanation_view(explanation, asker(viewer)),
            journal_view(page, None, asker(viewer)),
        ]
        for view in views:
            assert (secret in str(view)) is shown
            assert ("a person" in str(view)) is not shown
        assert "'person'" not in str(views[:2])
    assert "x.ipynb" in str(status_view(status, asker("bob")))


async def _status(api: Api) -> Status:
    return api.service.status()


async def test_status_with_200_kernels_is_fast(api: Api) -> None:
    """The view of 200 kernels takes a few milliseconds: no search in a search, no database."""
    status = await _status(api)
    evidence = Evidence(NOW, 5.0, "kernels", "a cell ran", person="bob")
    kernels = tuple(
        ResourceStatus(
            f"{n:032x}", f"n{n}.ipynb", "idle", "idle for 5 s of 2 h", evidence, 100.0, NOW,
            {"execution_state": "idle", "path": f"n{n}.ipynb", "pid": n},
        )
        for n in range(200)
    )  # fmt: skip
    host: HostStatus = replace(status.host, evidence=replace(evidence, person="ada"))
    status = replace(status, kernels=kernels, host=host)
    took = []
    for _ in range(50):
        began = time.process_time()
        status_view(status, asker("eve"))
        took.append(time.process_time() - began)
    assert statistics.median(took) < 0.010
