"""People in proxied applications (U3), through a real jupyter-server-proxy."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from traitlets.config import Config

from jupyter_idle_culler.core.model import HOST, Strength, Verdict
from jupyter_idle_culler.sources.base import Look
from jupyter_idle_culler.sources.proxied import ProxiedSource, proxy_version

APPLICATION = """
import asyncio, tornado.web, tornado.websocket

class Page(tornado.web.RequestHandler):
    def get(self):
        self.write("a page")

class Echo(tornado.websocket.WebSocketHandler):
    def check_origin(self, origin):
        return True
    def on_message(self, message):
        self.write_message(message)

async def main():
    app = tornado.web.Application([("/page", Page), ("/ws", Echo)])
    server = app.listen(0, "127.0.0.1")
    print(next(iter(server._sockets.values())).getsockname()[1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
LAB_POLLS = (
    "api/kernels",
    "api/sessions",
    "api/terminals",
    "api/contents",
    "api/kernelspecs",
    "api/status",
    "api/me",
)
Ask = Callable[..., Awaitable[Any]]


@pytest.fixture
def application() -> Iterator[int]:
    """Run an application to be proxied; give its port."""
    process = subprocess.Popen(
        [sys.executable, "-c", APPLICATION], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield int(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def jp_server_config(application: int) -> Config:
    """Proxy the application; without this extension: the source is made by the test."""
    return Config(
        {
            "ServerApp": {"jpserver_extensions": {"jupyter_server_proxy": True}},
            "ServerProxy": {"servers": {"app": {"command": [], "port": application}}},
        }
    )


async def test_requests_and_messages_of_a_proxied_application_are_evidence(
    jp_fetch: Ask, jp_ws_fetch: Ask, jp_serverapp: Any
) -> None:
    """HTTP and a websocket, both ways; an open websocket on which nothing passes is none."""
    source = ProxiedSource(jp_serverapp.web_app.settings)
    assert (await source.observe(Look(10.0))).observations == ()
    assert (await jp_fetch("app", "page")).body == b"a page"
    (found,) = (await source.observe(Look(20.0))).observations
    assert (found.resource, found.verdict, found.at) == (HOST, Verdict.IDLE, 20.0)
    assert found.strength is Strength.UNATTENDED
    socket = await jp_ws_fetch("app", "ws")
    await asyncio.sleep(0.5)  # until the proxy has its own connection, too
    (found,) = (await source.observe(Look(30.0))).observations
    assert found.at == 30.0
    await asyncio.sleep(0.3)
    (found,) = (await source.observe(Look(40.0))).observations
    assert found.at == 30.0
    await socket.write_message("x = 1")
    assert await socket.read_message() == "x = 1"
    (found,) = (await source.observe(Look(50.0))).observations
    assert found.at == 50.0
    socket.close()
    assert await socket.read_message() is None


async def test_what_the_lab_polls_is_no_evidence(jp_fetch: Ask, jp_serverapp: Any) -> None:
    """It moves the server's own last activity, and not this."""
    source = ProxiedSource(jp_serverapp.web_app.settings)
    await jp_fetch("app", "page")
    await source.observe(Look(10.0))
    before = jp_serverapp.web_app.last_activity()
    await asyncio.sleep(0.01)
    for path in LAB_POLLS:
        if path != "api/terminals":
            await jp_fetch(*path.split("/"))
    assert jp_serverapp.web_app.last_activity() > before
    (found,) = (await source.observe(Look(20.0))).observations
    assert found.at == 10.0


@pytest.mark.parametrize("hours", [-5, 8])
async def test_a_stepped_wall_clock_neither_makes_nor_hides_traffic(hours: int) -> None:
    """The time written down is only compared with the one before."""
    then = datetime(2026, 3, 1, tzinfo=timezone.utc)
    times = {"jupyter-server-proxy": then}
    source = ProxiedSource({"last_activity_times": times})
    assert (await source.observe(Look(10.0))).observations == ()
    times["jupyter-server-proxy"] = then + timedelta(hours=hours)
    (found,) = (await source.observe(Look(20.0))).observations
    assert found.at == 20.0


class OldHandler:
    """The part of a handler before 4.6 that records traffic, as its source has it."""

    def __init__(self, settings: dict[str, Any], update_last_activity: bool = True) -> None:
        self.settings = settings
        self.update_last_activity = update_last_activity

    def _record_activity(self) -> None:
        if self.update_last_activity:
            self.settings["api_last_activity"] = datetime.now(timezone.utc)


class Module:
    """What is imported as jupyter_server_proxy.handlers."""

    def __init__(self, handler: type | None) -> None:
        if handler is not None:
            self.ProxyHandler = handler


async def test_an_older_proxy_is_taught_to_write_its_traffic_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it did before it still does; an application that asks not to count does not."""
    handler = type("ProxyHandler", (OldHandler,), {"_record_activity": OldHandler._record_activity})
    monkeypatch.setitem(sys.modules, "jupyter_server_proxy.handlers", Module(handler))
    settings: dict[str, Any] = {}
    source = ProxiedSource(settings, lambda: (4, 5))
    for now in (10.0, 20.0):
        assert (await source.observe(Look(now))).observations == ()
        assert source.limitations == ()
    assert (await ProxiedSource({}, lambda: (4, 5)).observe(Look(1.0))).observations == ()
    handler(settings, False)._record_activity()
    assert (await source.observe(Look(30.0))).observations == ()
    handler(settings)._record_activity()
    assert "api_last_activity" in settings
    (found,) = (await source.observe(Look(40.0))).observations
    assert found.at == 40.0


@pytest.mark.parametrize(("version", "said"), [((1, 0), 1), ((4, 6), 0), ((10, 0), 0), (None, 0)])
async def test_a_proxy_that_cannot_be_taught_is_a_limitation(
    version: tuple[int, ...] | None, said: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be seen is said, with what would mend it."""
    monkeypatch.setitem(sys.modules, "jupyter_server_proxy.handlers", Module(None))
    source = ProxiedSource({}, lambda: version)
    await source.prepare()
    assert len(source.limitations) == said
    assert all("Upgrade" in sentence for sentence in source.limitations)


def test_the_installed_version_is_known() -> None:
    """By its package's metadata."""
    version = proxy_version()
    assert version is not None
    assert version >= (3, 2)
