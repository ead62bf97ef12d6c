"""The API of a culler in the test's own server, and requests to it as strangers send them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

from jupyter_server.auth import Authorizer, IdentityProvider, User
from jupyter_server.serverapp import ServerApp
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.ioloop import IOLoop
from traitlets.config import Config

from jupyter_idle_culler.api.document import document, validator
from jupyter_idle_culler.service import CullerService

PREFIX = "api/idle-culler/v1"
VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_DOCUMENTED = ("get", "post", "put", "patch", "delete")


def operations() -> list[tuple[str, str]]:
    """Return each route and verb of the document."""
    return [(r, v.upper()) for r, verbs in document()["paths"].items() for v in verbs]


class NamedPeople(IdentityProvider):
    """A server shared by several people: who asks says so (and has the token all the same)."""

    async def get_user(self, handler: Any) -> User | None:
        """Believe the header, once the token is right."""
        user = await self._get_user(handler)
        name = handler.request.headers.get("X-Test-User")
        if user is None or name is None:
            return user
        return User(username=name, name=name.title())


class ReadOnly(Authorizer):
    """Lets everybody look at everything and change nothing."""

    def is_authorized(self, handler: Any, user: User, action: str, resource: str) -> bool:
        """Allow reading."""
        return action == "read"


class OneAdministrator(Authorizer):
    """Lets everybody use the culler, and only Ada administer it."""

    def is_authorized(self, handler: Any, user: User, action: str, resource: str) -> bool:
        """Look at the resource, as an authorizer of a shared server does."""
        return resource == "idle-culler" or user.username == "ada"


def merged(config: Config, **culler: Any) -> Config:
    """Return the server's configuration with the culler's added."""
    return Config({**config, "IdleCuller": culler})


class Api:
    """Asks the running culler of one server, and sees whether anything changed."""

    def __init__(self, server: ServerApp, port: int) -> None:
        (self.app,) = server.extension_manager.extension_apps["jupyter_idle_culler"]
        self.service: CullerService = server.web_app.settings["idle_culler"]
        self.server = server
        self.token = server.identity_provider.token
        self.url = f"http://127.0.0.1:{port}{server.base_url}"
        self.cookies = ""
        self._client = AsyncHTTPClient()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the culler, as the server does once it listens, and wait for its first look."""

        async def started() -> None:
            await self.app._start_jupyter_server_extension(self.server)
            await until(lambda: self.service.culler.last is not None)

        loop.run_until_complete(started())

    async def send(
        self,
        verb: str,
        route: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        token: str | None = "",
        headers: dict[str, str] | None = None,
    ) -> HTTPResponse:
        """Send a request and return the answer, a refusal too. ``token`` None: without one."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"token {token or self.token}"
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        if data is None and verb in ("POST", "PATCH", "PUT"):
            data = b""
        request = HTTPRequest(
            self.url + PREFIX + route,
            method=verb,
            headers=sent,
            body=data,
            allow_nonstandard_methods=True,
            follow_redirects=False,
            request_timeout=60,
        )
        return await self._client.fetch(request, raise_error=False)

    async def ask(self, verb: str, route: str, body: Any = None, **more: Any) -> Any:
        """Send a good request and return its answer, which the document must describe."""
        response = await self.send(verb, route, body, **more)
        assert response.code < 300, response.body
        self.check(verb, route, response)
        return json.loads(response.body) if response.body else None

    def check(self, verb: str, route: str, response: HTTPResponse) -> None:
        """Assert that the document describes this answer of this route."""
        path = route.partition("?")[0]
        described = document()["paths"][path][verb.lower()]["responses"]
        assert str(response.code) in described, (verb, route, response.code, response.body)
        answer = described[str(response.code)]
        if "$ref" in answer:
            answer = document()["components"]["responses"][answer["$ref"].rpartition("/")[2]]
        if "content" not in answer:
            assert response.body == b""
            return
        assert response.headers["Content-Type"].startswith("application/json")
        schema = answer["content"]["application/json"]["schema"]["$ref"]
        errors = [e.message for e in validator(schema).iter_errors(json.loads(response.body))]
        assert not errors, (verb, route, errors)

    async def login(self) -> None:
        """Get the cookies that a browser has after logging in."""
        response = await self.send("GET", "/status")
        page = await self._client.fetch(
            HTTPRequest(f"{self.url}login", follow_redirects=False), raise_error=False
        )
        jar = SimpleCookie()
        for answer in (response, page):
            for header in answer.headers.get_list("Set-Cookie"):
                jar.load(header)
        self.cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in jar.items())
        assert "username-" in self.cookies

    def state(self) -> tuple[object, ...]:
        """Return everything that a request could change."""
        service = self.service
        return (
            service.keep_alives.standing(),
            service.user_settings,
            service.culler.policy,
            service.presence.newest,
            dict(service.reported._last),
            (service.pages.open, tuple(service.pages._answers)),
            service.last_stops.loaded,
            tuple(
                entry["event"]
                for entry in service.journal._recent
                if entry["event"] in ("keep-alive", "settings", "stop")
                and "server_started_at" not in entry
            ),
            self.server.io_loop is IOLoop.current(),
        )


async def until(condition: Callable[[], Any]) -> Any:
    """Wait until a condition holds, and return what it gave."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        await asyncio.sleep(0.02)
    message = "it did not come about within 30 s"
    raise AssertionError(message)


def stopping(marker: Path) -> dict[str, Any]:
    """Return a configuration whose stop leaves a mark."""
    return {"stop_action": "command", "stop_command": ["touch", str(marker)]}
