"""A stand-in for the Jupyter server of Studio Classic: real HTTP on loopback, faults as asked.

Kernels and image terminals are in apps; only a session tells the app of its kernel. A DELETE needs
the XSRF word twice, as tornado does.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

BASE = "/jupyter/default/"
DATA_SCIENCE = "arn:aws:sagemaker:eu-west-1:081325390199:image/datascience-1.0"
PYTORCH = "arn:aws:sagemaker:eu-west-1:081325390199:image/pytorch-1.8"
SMALL, LARGE = "ml.t3.medium", "ml.g4dn.xlarge"

Fault = tuple[int, str, float]
"""Status, body and delay in seconds of an answer that is not the right one."""

HTML: Fault = (200, "<html><body>Sign in</body></html>", 0.0)
ERROR_PAGE: Fault = (502, "<html><body>Bad gateway</body></html>", 0.0)
ERROR: Fault = (500, '{"message": "internal error"}', 0.0)
LOGIN: Fault = (302, "", 0.0)


class Studio:
    """What runs, and what was asked. ``faults`` are answered first, one each, by method and path.

    ``stubborn`` are paths whose DELETE is answered by this status while the thing stays listed.
    """

    def __init__(self) -> None:
        self.kernels: dict[str, dict[str, Any]] = {}
        self.sessions: list[dict[str, Any]] = []
        self.terminals: list[dict[str, Any]] = []
        self.apps: list[dict[str, Any]] = []
        self.faults: dict[tuple[str, str], list[Fault]] = {}
        self.always: dict[tuple[str, str], Fault] = {}
        self.stubborn: dict[str, int] = {}
        self.asked: list[tuple[str, str]] = []
        self.url = ""
        self._at = 0

    def add_app(self, name: str, environment: str = DATA_SCIENCE, instance: str = SMALL) -> None:
        """Start a KernelGateway app."""
        self.apps.append(
            {"app_name": name, "environment_arn": environment, "instance_type": instance}
        )

    def add_kernel(self, kernel_id: str, app: str | None = None, state: str = "idle") -> None:
        """Start a kernel; with an app, also a notebook's session that has it."""
        self.kernels[kernel_id] = {
            "id": kernel_id,
            "name": "python3",
            "last_activity": self._stamp(),
            "execution_state": state,
            "connections": 1,
        }
        if app is not None:
            path = f"{kernel_id}.ipynb"
            self.sessions.append({"id": "s-" + kernel_id, "path": path, "app": app})

    def add_terminal(self, name: str) -> None:
        """Open a terminal."""
        self.terminals.append({"name": name, "last_activity": self._stamp()})

    def use_kernel(self, kernel_id: str, state: str | None = None) -> None:
        """Let a message of a kernel's come: its time of activity moves."""
        self.kernels[kernel_id]["last_activity"] = self._stamp()
        self.kernels[kernel_id]["execution_state"] = state or "idle"

    def use_terminal(self, name: str) -> None:
        """Let a terminal print."""
        for terminal in self.terminals:
            if terminal["name"] == name:
                terminal["last_activity"] = self._stamp()

    @property
    def deleted(self) -> list[str]:
        """What DELETE was sent for, in order, the successful and the others."""
        return [unquote(path) for method, path in self.asked if method == "DELETE"]

    @property
    def app_names(self) -> list[str]:
        """The apps that run."""
        return [app["app_name"] for app in self.apps]

    def _stamp(self) -> str:
        # The wall clock of this place goes backwards: nobody may compare it with anything.
        self._at += 1
        return f"2026-03-29T01:{59 - self._at // 60 % 60:02}:{59 - self._at % 60:02}.000000Z"

    def listing(self, path: str) -> Any:
        """Return what a GET is answered."""
        if path == "api/kernels":
            return list(self.kernels.values())
        if path == "api/sessions":
            return [self._session(session) for session in self.sessions]
        return {"api/terminals": self.terminals, "sagemaker/api/apps": self.apps}[path]

    def _session(self, session: dict[str, Any]) -> dict[str, Any]:
        kernel = self.kernels.get(session["id"][2:])
        shown = {**kernel, "app_name": session["app"]} if kernel else None
        return {"id": session["id"], "path": session["path"], "type": "notebook", "kernel": shown}

    def end(self, path: str) -> int:
        """Answer a DELETE, and do what it asks."""
        if path in self.stubborn:
            return self.stubborn[path]
        kind, _, name = path.rpartition("/") if "arn:" not in path else path.partition("/arn:")
        name = name if "arn:" not in path else "arn:" + name
        if kind == "api/kernels" and name in self.kernels:
            del self.kernels[name]
            self.sessions = [one for one in self.sessions if one["id"] != "s-" + name]
        elif kind == "api/terminals" and any(one["name"] == name for one in self.terminals):
            self.terminals = [one for one in self.terminals if one["name"] != name]
        elif kind == "sagemaker/api/apps" and name in self.app_names:
            self.apps = [one for one in self.apps if one["app_name"] != name]
        else:
            return 404
        return 204


class _Handler(BaseHTTPRequestHandler):
    studio: Studio

    def do_GET(self) -> None:
        path = urlsplit(self.path).path.removeprefix(BASE)
        if path == "login":
            self._answer(200, HTML[1])
        elif not self._fails("GET", path):
            self._answer(200, json.dumps(self.studio.listing(path)))

    def do_DELETE(self) -> None:
        path = urlsplit(self.path).path.removeprefix(BASE)
        cookie = SimpleCookie(self.headers.get("Cookie", "")).get("_xsrf")
        if cookie is None or cookie.value != self.headers.get("X-XSRFToken"):
            self._answer(403, '{"message": "_xsrf argument missing"}')
        elif not self._fails("DELETE", path):
            self._answer(self.studio.end(unquote(path)), "")

    def _fails(self, method: str, path: str) -> bool:
        self.studio.asked.append((method, path))
        asked = (method, unquote(path))
        faults = self.studio.faults.get(asked, [])
        fault = faults.pop(0) if faults else self.studio.always.get(asked)
        if fault is not None:
            status, body, delay = fault
            time.sleep(delay)
            self._answer(status, body or json.dumps(self.studio.listing(path)) * (status == 200))
        return fault is not None

    def _answer(self, status: int, body: str) -> None:
        content = b"" if status == 204 else body.encode()
        self.send_response(status)
        if status == 302:
            self.send_header("Location", BASE + "login?next=%2Fjupyter%2Fdefault")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the tests' output clean."""


@contextmanager
def serving(studio: Studio) -> Iterator[Studio]:
    """Serve it on a free port of loopback."""
    handler = type("Handler", (_Handler,), {"studio": studio})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    studio.url = f"http://127.0.0.1:{server.server_port}{BASE}"
    try:
        yield studio
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
