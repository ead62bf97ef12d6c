"""What a page sends: its requests, and the messages on its websockets."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1
from playwright.sync_api import Page, Request, WebSocket

_CACHE_BUSTER_DIGITS = 13
_KERNEL_SOCKET = "/api/kernels/"


@dataclass(frozen=True)
class Sent:
    """One request (``verb`` is its method) or one message (``verb`` is ``websocket``).

    ``at`` is the monotonic instant at which it was heard of. ``content`` is a request's body, a
    terminal's message, or a kernel's as channel, type and content; None: there is none.
    """

    at: float
    verb: str
    path: str
    content: Any = None

    @property
    def message_type(self) -> str:
        """Name a message: a kernel's, or a terminal's (``stdin``, ``set_size``)."""
        if isinstance(self.content, dict):
            return str(self.content.get("type"))
        return str(self.content[0]) if isinstance(self.content, list) else ""


class Traffic:
    """Everything that one page has sent to its server, in order, but files of the page itself."""

    def __init__(self, page: Page, url: str) -> None:
        self.sent: list[Sent] = []
        self.sockets_opened: list[str] = []
        self.sockets_closed: list[str] = []
        self._url = url
        page.on("request", self._requested)
        page.on("websocket", self._opened)

    def __iter__(self) -> Iterator[Sent]:
        return iter(list(self.sent))

    def requests(self, method: str, path: str) -> list[Sent]:
        """Return the requests of one method to a path (without its query)."""
        return [one for one in self if one.verb == method and one.path.split("?")[0] == path]

    def messages(self, message_type: str, path: str = "") -> list[Sent]:
        """Return the messages of one type on websockets whose path begins so."""
        return [
            one
            for one in self
            if one.verb == "websocket"
            and one.message_type == message_type
            and one.path.startswith(path)
        ]

    def _requested(self, request: Request) -> None:
        path = self._path(request.url)
        if "/api/" not in path:
            return
        body = request.post_data
        content = json.loads(body) if body else None
        self.sent.append(Sent(time.monotonic(), request.method, path, content))

    def _opened(self, socket: WebSocket) -> None:
        path = self._path(socket.url)
        self.sockets_opened.append(path)
        socket.on("close", lambda _: self.sockets_closed.append(path))
        socket.on(
            "framesent",
            lambda frame: self.sent.append(
                Sent(time.monotonic(), "websocket", path, _message(path, frame))
            ),
        )

    def _path(self, url: str) -> str:
        """Return path and query, without the number that keeps caches from answering."""
        parts = urlsplit(url)
        query = [
            f"{name}={value}" if value else name
            for name, value in parse_qsl(parts.query, keep_blank_values=True)
            if not (name.isdigit() and len(name) == _CACHE_BUSTER_DIGITS)
        ]
        return parts.path + ("?" + "&".join(query) if query else "")


def _message(path: str, frame: str | bytes) -> Any:
    if not path.startswith(_KERNEL_SOCKET):
        return json.loads(frame)
    if isinstance(frame, str):
        body = json.loads(frame)
        channel, header, content = body["channel"], body["header"], body["content"]
    else:
        channel, parts = deserialize_msg_from_ws_v1(frame)
        header, content = json.loads(parts[0]), json.loads(parts[3])
    return {"channel": channel, "type": header["msg_type"], "content": content}
