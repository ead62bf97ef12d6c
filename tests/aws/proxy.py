"""Stands before any service of AWS: a request can be refused, or passed on and its answer lost.

What is passed on goes to one address (moto's), whichever service it is for.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Request:
    """A request: ``operation`` is that of its target, or the method where it has none."""

    operation: str
    path: str
    body: bytes


Fault = Callable[[Request], tuple[int, bytes] | None]


class AwsProxy:
    """Use it as a context manager. ``fault`` gives status and body of a refusal, or None."""

    def __init__(self, upstream: str, fault: Fault = lambda request: None) -> None:
        self.upstream, self.fault = urlsplit(upstream), fault
        self.refused: list[str] = []
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> AwsProxy:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class FirstTries:
    """A fault: the first try of each request that differs from those before is throttled."""

    def __init__(self) -> None:
        self._seen: set[Request] = set()

    def __call__(self, request: Request) -> tuple[int, bytes] | None:
        """Refuse what was not asked before."""
        if request in self._seen:
            return None
        self._seen.add(request)
        # Every protocol has its own form of an error; a 503 says the same in all of them.
        return 503, b""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: AwsProxy

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2] or self.command
        refusal = self.proxy.fault(Request(operation, self.path, body))
        if refusal is not None:
            self.proxy.refused.append(operation)
            self._answer(refusal[0], [("Content-Type", "application/x-amz-json-1.1")], refusal[1])
            return
        upstream = self.proxy.upstream
        connection = http.client.HTTPConnection(upstream.hostname or "", upstream.port, timeout=30)
        headers = {key: value for key, value in self.headers.items() if key != "Expect"}
        connection.request(self.command, self.path, body, headers)
        response = connection.getresponse()
        text = response.read()
        dropped = ("content-length", "transfer-encoding", "connection", "server", "date")
        kept = [(k, v) for k, v in response.getheaders() if k.lower() not in dropped]
        connection.close()
        self._answer(response.status, kept, text)

    do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = _any

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
