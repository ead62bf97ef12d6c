"""`GET api/idle`, as jupyter-activity-monitor-extension answers it, where that is not on."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.auth import Authorizer, User
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from traitlets.config import Config

from jupyter_idle_culler.api.idle import OWNER

from .api_server import Api, merged

FORMAT = "%Y-%m-%dT%H:%M:%S.%fz"


class NotToHim(Authorizer):
    """Lets nobody look."""

    def is_authorized(self, handler: Any, user: User, action: str, resource: str) -> bool:
        """Refuse."""
        return resource != "idle-culler"


@pytest.fixture
def jp_base_url() -> str:
    """Return a base URL as a space has one."""
    return "/jupyterlab/default/"


ORIGINAL = """
from jupyter_server.base.handlers import APIHandler
from tornado import web


class Original(APIHandler):
    @web.authenticated
    def get(self):
        self.finish("the original")


def _jupyter_server_extension_points():
    return [{"module": "jupyter_activity_monitor_extension"}]


def _load_jupyter_server_extension(server):
    server.web_app.add_handlers(".*$", [(server.base_url + "api/idle", Original)])
"""


@pytest.fixture
def installed(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Install the package that the route belongs to (or what a test has in its place)."""
    package = tmp_path / OWNER
    package.mkdir()
    (package / "__init__.py").write_text(getattr(request, "param", ORIGINAL))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop(OWNER, None)


@pytest.fixture
def jp_server_config(request: pytest.FixtureRequest, jp_server_config: Config) -> Config:
    """Let the test choose an authorizer, or further extensions."""
    config = merged(jp_server_config, timeout_minutes=90)
    config.ServerApp.update(getattr(request, "param", {}))
    return config


async def ask(api: Api, token: str | None) -> HTTPResponse:
    """Ask as SageMaker does."""
    headers = {} if token is None else {"Authorization": f"token {token}"}
    request = HTTPRequest(f"{api.url}api/idle", headers=headers, follow_redirects=False)
    return await AsyncHTTPClient().fetch(request, raise_error=False)


@pytest.mark.js214
async def test_it_says_when_the_newest_evidence_was(api: Api) -> None:
    """In the one field, and the format, that SageMaker reads."""
    response = await ask(api, api.token)
    assert response.code == 200
    answer = json.loads(response.body)
    assert list(answer) == ["lastActiveTimestamp"]
    at = datetime.strptime(answer["lastActiveTimestamp"], FORMAT).replace(tzinfo=timezone.utc)
    assert abs((at - api.service.status().host.evidence.at).total_seconds()) < 0.001
    assert (datetime.now(timezone.utc) - at).total_seconds() < 60


async def test_asking_is_no_activity(api: Api) -> None:
    """SageMaker asks every few minutes, for ever."""
    settings = api.server.web_app.settings
    before = settings.get("api_last_activity")
    assert (await ask(api, api.token)).code == 200
    assert settings.get("api_last_activity") == before
    request = HTTPRequest(f"{api.url}api/kernels", headers={"Authorization": f"token {api.token}"})
    await AsyncHTTPClient().fetch(request)
    assert settings.get("api_last_activity") != before  # as other requests are


async def test_a_stranger_is_told_nothing(api: Api) -> None:
    """It needs the server's token, as the original does."""
    for token in (None, "wrong"):
        response = await ask(api, token)
        assert response.code in (302, 403), response.code
        assert b"lastActive" not in response.body


@pytest.mark.parametrize("jp_server_config", [{"authorizer_class": NotToHim}], indirect=True)
async def test_who_may_not_look_at_the_culler_is_refused(api: Api) -> None:
    """The same authorization as for the rest of the API."""
    assert (await ask(api, api.token)).code == 403


async def test_without_a_culler_it_says_so(api: Api) -> None:
    """No answer that could be taken for idleness."""
    api.server.web_app.settings["idle_culler"] = None
    assert (await ask(api, api.token)).code == 503


def extensions(original: bool) -> dict[str, Any]:
    """Say whether the original is on."""
    return {"jpserver_extensions": {"jupyter_idle_culler": True, OWNER: original}}


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("jp_server_config", [extensions(True)], indirect=True)
async def test_where_the_original_is_on_the_route_is_its_own(api: Api) -> None:
    """Nothing is put before it."""
    response = await ask(api, api.token)
    assert (response.code, response.body) == (200, b"the original")


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("jp_server_config", [extensions(False), {}], indirect=True)
async def test_where_the_original_is_installed_and_not_on_somebody_answers(api: Api) -> None:
    """Switched off, or never switched on: it serves nothing, and SageMaker asks all the same."""
    response = await ask(api, api.token)
    assert response.code == 200
    assert list(json.loads(response.body)) == ["lastActiveTimestamp"]


@pytest.mark.parametrize("installed", ["raise RuntimeError('broken')"], indirect=True)
@pytest.mark.parametrize("jp_server_config", [extensions(True)], indirect=True)
async def test_where_the_original_cannot_be_imported_somebody_answers(
    installed: None, api: Api
) -> None:
    """The server goes on without it."""
    del installed
    assert (await ask(api, api.token)).code == 200
