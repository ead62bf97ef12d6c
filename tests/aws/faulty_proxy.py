"""A reverse proxy on loopback that fails as asked, at the describes or the stop."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
import time
from collections.abc import Mapping
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

BEFORE, STOP, AFTER = "before", "stop", "after"
_PAGE = b"<html><head><title>Welcome to the hotel</title></head><body>Log in</body></html>"
HANG_SECONDS = 20.0


class FaultyProxy:
    """Stands between a client and the stand-in. Use it as a context manager.

    ``faults`` says for each phase which fault befalls its requests, and ``times`` how many of them
    (None: all). The phases: describes before a stop was sent, stops, describes after one.
    """

    def __init__(self, upstream: str, faults: Mapping[str, str], times: int | None = None) -> None:
        self._upstream = urlsplit(upstream)
        self._faults = dict(faults)
        self._left: dict[str, int | None] = dict.fromkeys(faults, times)
        self._stop_seen = False
        self._lock = threading.Lock()
        self.befallen: list[tuple[str, str]] = []
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.closing = threading.Event()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FaultyProxy:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def fault_for(self, operation: str) -> str:
        """Return what befalls this request; empty: nothing."""
        with self._lock:
            stops = operation in ("StopNotebookInstance", "DeleteApp")
            phase = STOP if stops else AFTER if self._stop_seen else BEFORE
            self._stop_seen |= stops
            left = self._left.get(phase)
            if phase not in self._faults or left == 0:
                return ""
            self._left[phase] = None if left is None else left - 1
            self.befallen.append((phase, self._faults[phase]))
            return self._faults[phase]

    def forward(self, body: bytes, headers: Message) -> tuple[int, bytes]:
        """Have the stand-in answer."""
        connection = http.client.HTTPConnection(
            self._upstream.hostname or "", self._upstream.port, timeout=30
        )
        try:
            connection.request("POST", "/", body, dict(headers.items()))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


_ERRORS = {
    "throttle": (400, "ThrottlingException", "Rate exceeded"),
    "too-many": (429, "TooManyRequestsException", "Slow down"),
    "internal": (500, "InternalFailure", "An internal error occurred."),
    "unavailable": (503, "ServiceUnavailable", "Service is unavailable."),
    "denied": (
        400,
        "AccessDeniedException",
        "User: arn:aws:sts::123456789012:assumed-role/R/S is not authorized to perform this",
    ),
    "explicit-deny": (
        400,
        "AccessDeniedException",
        "User is not authorized with an explicit deny in a service control policy",
    ),
    "expired": (400, "ExpiredTokenException", "The security token is expired"),
    "invalid-token": (403, "UnrecognizedClientException", "The security token is invalid"),
    "clock": (403, "InvalidSignatureException", "Signature not yet current: 20991231T000000Z"),
    "not-found": (400, "ResourceNotFound", "It does not exist."),
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultyProxy

    def do_POST(self) -> None:
        """Answer, or do to it what was asked."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        operation = self.headers.get("X-Amz-Target", "").partition(".")[2]
        fault = self.proxy.fault_for(operation)
        if fault in _ERRORS:
            status, code, text = _ERRORS[fault]
            self._answer(status, json.dumps({"__type": code, "Message": text}).encode())
        elif fault == "reset":
            self._reset()
        elif fault == "hang":
            self.proxy.closing.wait(HANG_SECONDS)
            self._reset()
        elif fault == "garbage":
            self._answer(200, _PAGE, "text/html")
        elif fault == "forbidden-page":
            self._answer(403, _PAGE, "text/html")
        elif fault == "empty":
            self._answer(200, b"{}")
        elif fault == "bare":
            self._answer(200, b"", signed=False)
        else:
            if fault == "delay":
                time.sleep(0.5)
            self._pass_on(fault, body)

    def _pass_on(self, fault: str, body: bytes) -> None:
        """Perform the call; what becomes of its answer is another matter."""
        status, answer = self.proxy.forward(body, self.headers)
        if fault == "lose":
            self._reset()
        elif fault == "lose-and-hang":
            self.proxy.closing.wait(HANG_SECONDS)
            self._reset()
        elif fault == "lose-and-500":
            self._answer(500, b'{"__type": "InternalFailure", "Message": "late"}')
        elif fault == "truncate":
            self._answer(status, answer[: len(answer) // 2])
        elif fault == "cut":
            self._answer(status, answer[: len(answer) // 2], length=max(len(answer), 10))
            self._reset()
        else:
            self._answer(status, answer)

    def _answer(
        self,
        status: int,
        body: bytes,
        kind: str = "application/x-amz-json-1.1",
        *,
        length: int | None = None,
        signed: bool = True,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if signed and kind != "text/html":
            self.send_header("x-amzn-RequestId", "0f0f0f0f-0000-4000-8000-000000000000")
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _reset(self) -> None:
        """End the connection as a crash does."""
        self.close_connection = True
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def handle_one_request(self) -> None:
        """Take a request; a connection that was reset has no more of them."""
        try:
            super().handle_one_request()
        except (OSError, ValueError):
            self.close_connection = True
