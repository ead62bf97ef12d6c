"""Files that people save, create, rename and delete through the server (U2).

The contents events of jupyter_events say ``save`` for a person's save, for an autosave, for a
collaboration room that writes its document, for an upload and for a new file. The request tells
them apart, and so requests are what is looked at here, as they end:

- a checkpoint is what JupyterLab, Notebook 7 and nbclassic make after a save that a person asked
  for, and never after an autosave;
- 201 is something new (a file, a copy, an upload), PATCH a rename, DELETE a deletion;
- a chunk of a large upload says ``chunk`` in its body;
- any other PUT from a browser overwrites a file and may be an autosave: no evidence. From another
  program it is evidence, but nobody need stand behind it: it holds the host only so long;
- without a request (a collaboration room) there is no evidence.

Where a widget is connected it knows better whether somebody is there: then all this counts only
within two minutes of their presence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Protocol

from tornado.web import RequestHandler

from ..core.model import HOST, Observation, Strength, Verdict
from .base import Look, Report

PRESENCE_SECONDS = 120.0
OWN_SAVE_SECONDS = 30.0

_CHECKPOINTS = re.compile(r"/checkpoints(/[\w-]+)?$")
_CHUNK = re.compile(rb'"chunk":\s*-?\d')
_BODY_START = 1024


class _Presence(Protocol):
    """What is asked of the presence source."""

    @property
    def newest(self) -> float | None: ...

    def connected(self, now: float) -> bool: ...


def classify(method: str, path: str, status: int, user_agent: str, body: bytes) -> Strength | None:
    """Say what a finished request under ``api/contents`` is evidence of (None: of nothing).

    ``path`` is what follows ``api/contents``; ``body`` needs only its beginning.
    """
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    browser = "Mozilla/" in user_agent
    person = Strength.WORK if browser else Strength.UNATTENDED
    if _CHECKPOINTS.search(path):
        return person if method in ("POST", "DELETE") else None
    if method in ("POST", "PATCH", "DELETE"):
        return person
    if method != "PUT":
        return None
    is_new = status == HTTPStatus.CREATED
    is_chunk = _CHUNK.search(body[:_BODY_START].partition(b'"content"')[0]) is not None
    return person if is_new or is_chunk or not browser else None


class ContentsSource:
    """Holds the host active by what people do to files through the server.

    ``settings`` are the web application's: `start` wraps its ``log_function``, which Tornado calls
    as each request ends; `close` puts it back. ``clock`` gives instants in seconds.
    """

    name = "contents"
    covers = HOST
    essential = False
    limitations: tuple[str, ...] = ()

    def __init__(
        self,
        settings: MutableMapping[str, Any],
        presence: _Presence,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._presence = presence
        self._clock = clock
        self._own_save_until = float("-inf")
        self._last: dict[Strength, float] = {}
        self._prefix = str(settings.get("base_url", "/")).rstrip("/") + "/api/contents"
        self._wrapped: Callable[[RequestHandler], None] | None = None
        self._log_function: Callable[[RequestHandler], None] = self._finished

    def start(self) -> None:
        """Begin to look at requests. Call it once every extension is loaded.

        While one is, jupyter_server writes a copy of the settings back over them.
        """
        if self._settings.get("log_function") is not self._log_function:
            self._wrapped = self._settings.get("log_function")
            self._settings["log_function"] = self._log_function

    def close(self) -> None:
        """Put the log function back, where nobody has wrapped it since."""
        if self._settings.get("log_function") is self._log_function:
            self._settings["log_function"] = self._wrapped

    def expect_own_save(self, seconds: float = OWN_SAVE_SECONDS) -> None:
        """Count nothing for so long: the widget saves because a stop of ours is about to happen."""
        self._own_save_until = self._clock() + seconds

    async def observe(self, look: Look) -> Report:
        """Say when a person, and when a program, last did something to a file."""
        del look
        details = {
            Strength.WORK: "a person changed files",
            Strength.UNATTENDED: "a program changed files through the server",
        }
        return Report(
            tuple(
                Observation(HOST, self.name, Verdict.IDLE, at, details[strength], strength)
                for strength, at in self._last.items()
            )
        )

    def _finished(self, handler: RequestHandler) -> None:
        try:
            self._note(handler)
        finally:
            if self._wrapped is not None:
                self._wrapped(handler)

    def _note(self, handler: RequestHandler) -> None:
        request = handler.request
        if request.method == "GET" or not f"{request.path}/".startswith(f"{self._prefix}/"):
            return
        strength = classify(
            request.method or "",
            request.path[len(self._prefix) :],
            handler.get_status(),
            request.headers.get("User-Agent", ""),
            request.body,
        )
        now = self._clock()
        if strength is None or now < self._own_save_until or not self._somebody_may_be_there(now):
            return
        self._last[strength] = now

    def _somebody_may_be_there(self, now: float) -> bool:
        if not self._presence.connected(now):
            return True
        newest = self._presence.newest
        return newest is not None and now - newest <= PRESENCE_SECONDS
