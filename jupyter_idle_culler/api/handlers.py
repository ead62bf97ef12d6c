"""The routes: each verb checks its request, passes the wish to the culler, and shows the answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, ClassVar

from jupyter_server.auth.decorator import allow_unauthenticated, authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from ..errors import (
    ConfigurationError,
    IdleCullerError,
    NotOwner,
    OutOfBounds,
    UnknownKeepAlive,
    UnknownResource,
)
from . import views
from .culler_port import CullerPort
from .document import InvalidRequest, check_body, check_query
from .identity import RESOURCE, Asker, asker, is_admin, name_of

PREFIX = "api/idle-culler/v1"

_ANSWERS: dict[type[IdleCullerError], tuple[HTTPStatus, str]] = {
    InvalidRequest: (HTTPStatus.BAD_REQUEST, "invalid"),
    ConfigurationError: (HTTPStatus.BAD_REQUEST, "invalid"),
    NotOwner: (HTTPStatus.FORBIDDEN, "not-owner"),
    UnknownResource: (HTTPStatus.NOT_FOUND, "unknown-resource"),
    UnknownKeepAlive: (HTTPStatus.NOT_FOUND, "unknown-keep-alive"),
    OutOfBounds: (HTTPStatus.CONFLICT, "out-of-bounds"),
}
_REASONS: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "invalid",
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.NOT_FOUND: "not-found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method-not-allowed",
    HTTPStatus.SERVICE_UNAVAILABLE: "unavailable",
    HTTPStatus.BAD_GATEWAY: "failed",
}


class Fault(web.HTTPError):
    """An answer that says what was wrong: a message, a word for programs, the field at fault."""

    def __init__(
        self, status: HTTPStatus, message: str, word: str, field: str | None = None
    ) -> None:
        super().__init__(status, message)
        self.message, self.word, self.field = message, word, field


class IdleCullerHandler(APIHandler):
    """What the routes share. ``route`` is the path in ``openapi.yaml``."""

    auth_resource = RESOURCE
    route: ClassVar[str] = ""
    # A program that asks how idle things are must not keep them from being idle.
    _track_activity = False

    @property
    def culler(self) -> CullerPort:
        """The culler. Raises: Fault (503) where it did not start."""
        culler: CullerPort | None = self.settings.get("idle_culler")
        if culler is None:
            message = "the idle culler is not running on this server"
            raise Fault(HTTPStatus.SERVICE_UNAVAILABLE, message, "unavailable")
        return culler

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn this package's errors into answers."""
        try:
            yield
        except IdleCullerError as error:
            for kind, (status, word) in _ANSWERS.items():
                if isinstance(error, kind):
                    field = getattr(error, "field", None)
                    raise Fault(status, str(error), word, field) from error
            raise Fault(HTTPStatus.SERVICE_UNAVAILABLE, str(error), "unavailable") from error

    async def checked(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the request's body and query, checked. Raises: Fault (400)."""
        body, query = self.request.body, self.request.query_arguments
        verb = (self.request.method or "").lower()
        with self.told():
            # The first check reads the document from its file.
            return await asyncio.to_thread(
                lambda: (check_body(self.route, verb, body), check_query(self.route, verb, query))
            )

    async def checked_read(self) -> dict[str, Any]:
        """Check a request that carries nothing, as most do, without the document."""
        if not self.request.body and not self.request.query_arguments:
            return {}
        return (await self.checked())[1]

    def answer(self, view: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        """Send the answer."""
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(view, allow_nan=False))

    async def who(self) -> Asker:
        """Describe who asks."""
        return await asker(self)

    @allow_unauthenticated
    def options(self, *args: Any, **kwargs: Any) -> None:
        """Answer a preflight as the server does, with this route's own verbs."""
        super().options(*args, **kwargs)
        self.set_header("Access-Control-Allow-Methods", self._verbs())
        self.set_header("Allow", self._verbs())
        self.set_status(HTTPStatus.NO_CONTENT)
        self.finish()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer in JSON what was wrong."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        reason, field = _REASONS.get(status_code), None
        if isinstance(error, Fault):
            message, reason, field = error.message, error.word, error.field
        elif isinstance(error, web.HTTPError):
            message = (error.log_message or "refused").replace("%%", "%")  # as tornado escapes it
        else:
            message = "the server failed at this; its log says why"
        if status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            self.set_header("Allow", self._verbs())
        self.finish(json.dumps({"message": message, "reason": reason, "field": field}))

    def _verbs(self) -> str:
        missing = web.RequestHandler._unimplemented_method
        own = (v for v in self.SUPPORTED_METHODS if getattr(type(self), v.lower()) is not missing)
        return ", ".join(own)


class StatusHandler(IdleCullerHandler):
    """How everything stands."""

    route = "/status"

    @web.authenticated
    @authorized("read")
    async def get(self) -> None:
        """Show the status."""
        await self.checked_read()
        with self.told():
            status = self.culler.status()
        self.answer(views.status_view(status, await self.who()))


class ExplainHandler(IdleCullerHandler):
    """Why everything stands so."""

    route = "/explain"

    @web.authenticated
    @authorized("read")
    async def get(self) -> None:
        """Show every observation, and what would happen."""
        await self.checked_read()
        with self.told():
            explanation = self.culler.explain()
        self.answer(views.explanation_view(explanation, await self.who()))


class KeepAliveHandler(IdleCullerHandler):
    """Keep something awake, or no longer."""

    route = "/keep-alive"

    @web.authenticated
    @authorized("write")
    async def post(self) -> None:
        """Keep the host or one resource awake."""
        body, _ = await self.checked()
        resource = views.parse_resource(body.get("resource"))
        with self.told():
            kept = await self.culler.keep_alive(
                float(body["minutes"]), body.get("reason", ""), resource, name_of(self)
            )
        self.answer(views.keep_alive_view(kept, await self.who()), HTTPStatus.CREATED)

    @web.authenticated
    @authorized("write")
    async def delete(self) -> None:
        """End one keep-alive, or all of one's own."""
        _, query = await self.checked()
        with self.told():
            count = await self.culler.cancel_keep_alive(
                query.get("id"), name_of(self), await is_admin(self)
            )
        self.answer({"cancelled": count})


class ActivityHandler(IdleCullerHandler):
    """A person's presence, or a script's word."""

    route = "/activity"

    @web.authenticated
    @authorized("write")
    async def post(self) -> None:
        """Take note of it."""
        body, _ = await self.checked()
        resource = views.parse_resource(body.get("resource"))
        with self.told():
            self.culler.report_activity(resource, body.get("presence", False), name_of(self))
        self.set_status(HTTPStatus.NO_CONTENT)
        self.finish()


class PageHandler(IdleCullerHandler):
    """A page with the widget: that it is there, and what it saved before a stop."""

    route = "/page"

    @web.authenticated
    @authorized("write")
    async def post(self) -> None:
        """Take note of it."""
        body, _ = await self.checked()
        with self.told():
            self.culler.report_page(
                body["page"], body["open"], body.get("saved"), body.get("failed", ())
            )
        self.set_status(HTTPStatus.NO_CONTENT)
        self.finish()


class LastStopHandler(IdleCullerHandler):
    """The stop before this start, which `status` tells of until somebody has read it."""

    route = "/last-stop"

    @web.authenticated
    @authorized("write")
    async def delete(self) -> None:
        """Forget it."""
        await self.checked()
        with self.told():
            await self.culler.dismiss_last_stop()
        self.set_status(HTTPStatus.NO_CONTENT)
        self.finish()


class SettingsHandler(IdleCullerHandler):
    """What a user may change."""

    route = "/settings"

    @web.authenticated
    @authorized("read")
    async def get(self) -> None:
        """Show the settings."""
        await self.checked_read()
        self.answer(views.settings_view(self.culler.settings(), await self.who()))

    @web.authenticated
    @authorized("write")
    async def patch(self) -> None:
        """Change some, all or none."""
        body, _ = await self.checked()
        with self.told():
            await self.culler.update_settings(body)
        self.answer(views.settings_view(self.culler.settings(), await self.who()))


class StopHandler(IdleCullerHandler):
    """The user's own wish to stop."""

    route = "/stop"

    @web.authenticated
    @authorized("execute")
    async def post(self) -> None:
        """Stop now."""
        body, _ = await self.checked()
        with self.told():
            outcome = await self.culler.stop_now(name_of(self), body.get("reason", ""))
        if not outcome.ok:
            told = f"{outcome.detail}. {outcome.mend}" if outcome.mend else outcome.detail
            raise Fault(HTTPStatus.BAD_GATEWAY, told, "failed")
        self.answer({"ok": outcome.ok, "detail": outcome.detail}, HTTPStatus.ACCEPTED)


class JournalHandler(IdleCullerHandler):
    """What happened."""

    route = "/journal"

    @web.authenticated
    @authorized("read")
    async def get(self) -> None:
        """Show the newest entries, newest last."""
        _, query = await self.checked()
        journal = self.culler.journal
        page = await journal.read(query["limit"])
        self.answer(views.journal_view(page, journal.problem, await self.who()))


class NoSuchRouteHandler(IdleCullerHandler):
    """Every other address under the prefix: 404 in JSON, whatever the verb."""

    async def prepare(self) -> None:  # type: ignore[override]  # as in APIHandler itself
        """Refuse once the server knows who asks."""
        await super().prepare()
        message = f"no such route: {self.request.path}"
        raise Fault(HTTPStatus.NOT_FOUND, message, "not-found")


HANDLERS: tuple[type[IdleCullerHandler], ...] = (
    StatusHandler,
    ExplainHandler,
    KeepAliveHandler,
    ActivityHandler,
    PageHandler,
    LastStopHandler,
    SettingsHandler,
    StopHandler,
    JournalHandler,
)


def routes(base_url: str) -> list[tuple[str, type[IdleCullerHandler]]]:
    """Return the routes for the web application of a server with this base URL."""
    known = [(url_path_join(base_url, PREFIX, h.route), h) for h in HANDLERS]
    return [*known, (url_path_join(base_url, PREFIX) + "(?:/.*)?", NoSuchRouteHandler)]
