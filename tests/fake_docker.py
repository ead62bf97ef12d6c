"""Docker's own HTTP interface on a Unix socket, and containers that say whether they work."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets, bind_unix_socket
from tornado.web import Application, RequestHandler

LABEL = "com.amazon.jupyter.activity."


class _Containers(RequestHandler):
    """`GET /containers/json`, as far as its filters for labels go."""

    async def get(self) -> None:
        """Answer with the containers that have all the labels asked for."""
        docker: FakeDocker = self.settings["docker"]
        await asyncio.sleep(docker.delay_seconds)
        docker.requests.append(self.request.uri or "")
        if docker.raw is not None:
            self.set_status(docker.status)
            self.finish(docker.raw)
            return
        wanted = json.loads(self.get_query_argument("filters", "{}")).get("label", [])
        found = [c for c in docker.containers if all(label in c["Labels"] for label in wanted)]
        self.finish(json.dumps(found))


class FakeDocker:
    """Listens on ``path``. ``raw`` replaces the answer, ``delay_seconds`` comes before it."""

    def __init__(self, path: Path) -> None:
        self.containers: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.raw: bytes | None = None
        self.status = 200
        self.delay_seconds = 0.0
        application = Application([("/containers/json", _Containers)], docker=self)
        self._server = HTTPServer(application)
        self._server.add_socket(bind_unix_socket(str(path)))

    def run(self, name: str, labels: dict[str, str]) -> None:
        """Have a container run, as Docker describes one."""
        self.containers.append(
            {
                "Id": f"{name:0<64}",
                "Names": [f"/{name}"],
                "Image": "sidecar:latest",
                "Labels": labels,
                "State": "running",
                "Status": "Up 5 minutes",
                "Ports": [],
            }
        )

    async def close(self) -> None:
        """End it."""
        self._server.stop()
        await self._server.close_all_connections()


class _Activity(RequestHandler):
    """What the container is asked."""

    async def get(self) -> None:
        """Answer as the test says."""
        await self._answer()

    async def post(self) -> None:
        """Answer as the test says."""
        await self._answer()

    async def _answer(self) -> None:
        sidecar: Sidecar = self.settings["sidecar"]
        request = self.request
        sidecar.requests.append((request.method or "", request.uri or "", request.body))
        await asyncio.sleep(sidecar.delay_seconds)
        self.set_status(sidecar.status)
        body = sidecar.answer
        self.finish(body if isinstance(body, bytes) else json.dumps(body))


class Sidecar:
    """A container's HTTP server on 127.0.0.1, and the labels that tell of it."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.status = 200
        self.delay_seconds = 0.0
        self.requests: list[tuple[str, str, bytes]] = []
        sockets = bind_sockets(0, "127.0.0.1")
        self.port = int(sockets[0].getsockname()[1])
        self._server = HTTPServer(Application([("/.*", _Activity)], sidecar=self))
        self._server.add_sockets(sockets)

    def labels(self, response: str, endpoint: str = "idle", **more: str) -> dict[str, str]:
        """Return the labels of its container."""
        words = {"port": str(self.port), "endpoint": endpoint, "response": response, **more}
        return {LABEL + word: value for word, value in words.items()}

    async def close(self) -> None:
        """End it."""
        self._server.stop()
        await self._server.close_all_connections()
