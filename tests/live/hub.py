"""What a single-user server needs of JupyterHub: it knows its user, and takes reports of activity.

A stand-in on loopback for the hub; the single-user server that speaks with it is the real one.
"""

from __future__ import annotations

import json
import threading
import time
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from .harness import TOKEN, LiveServer

USER = "test"
BASE_URL = f"/user/{USER}/"
_SCOPE = f"access:servers!user={USER}"
_MODEL = {"name": USER, "kind": "user", "admin": False, "groups": [], "scopes": [_SCOPE]}


class Hub:
    """Answers as the hub does. ``reports`` are (when it came, the activity that it told)."""

    def __init__(self) -> None:
        self.reports: list[tuple[float, datetime]] = []
        reports = self.reports

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = self.headers.get("Authorization", "").removeprefix("token ") == TOKEN
                if self.path == "/hub/api/user":
                    self._answer(200 if known else 403, _MODEL if known else {})
                else:
                    self._answer(200, {"version": "5.0.0"})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path == f"/hub/api/users/{USER}/activity":
                    at = datetime.fromisoformat(body["last_activity"].replace("Z", "+00:00"))
                    reports.append((time.monotonic(), at))
                self._answer(200, {})

            def _answer(self, code: int, body: Any) -> None:
                text = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: Any) -> None:
                """Keep the test's output its own."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hub/api"

    def __enter__(self) -> Hub:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def single_user_server(home: Path, config: dict[str, Any], hub: Hub, **more: Any) -> LiveServer:
    """Make a server as JupyterHub spawns it: ``jupyterhub-singleuser`` with its environment."""
    server = LiveServer(home, config, base_url=BASE_URL, **more)
    server.env |= {
        "JUPYTERHUB_ACTIVITY_INTERVAL": "1",
        "JUPYTERHUB_ACTIVITY_URL": f"{hub.url}/users/{USER}/activity",
        "JUPYTERHUB_ALLOW_TOKEN_IN_URL": "1",
        "JUPYTERHUB_API_TOKEN": TOKEN,
        "JUPYTERHUB_API_URL": hub.url,
        "JUPYTERHUB_BASE_URL": "/",
        "JUPYTERHUB_CLIENT_ID": f"jupyterhub-user-{USER}",
        "JUPYTERHUB_HOST": "",
        "JUPYTERHUB_OAUTH_ACCESS_SCOPES": json.dumps([_SCOPE]),
        "JUPYTERHUB_OAUTH_CALLBACK_URL": f"{BASE_URL}oauth_callback",
        "JUPYTERHUB_OAUTH_SCOPES": json.dumps([_SCOPE]),
        "JUPYTERHUB_SERVER_NAME": "",
        "JUPYTERHUB_SERVICE_PREFIX": BASE_URL,
        "JUPYTERHUB_SERVICE_URL": server.url,
        "JUPYTERHUB_USER": USER,
    }
    module = server.command.index("-m") + 1
    assert server.command[module : module + 2] == ["jupyter", "server"]
    server.command[module : module + 2] = ["jupyterhub.singleuser"]
    return server
