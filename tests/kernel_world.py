"""A real Jupyter server with real kernels and real websocket clients, and a source that looks."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from jupyter_server.services.kernels.connection.base import (
    deserialize_msg_from_ws_v1,
    serialize_msg_to_ws_v1,
)

from jupyter_idle_culler.core.model import Observation, Resource, Verdict
from jupyter_idle_culler.sources.base import Look
from jupyter_idle_culler.sources.kernels import KernelsSource
from jupyter_idle_culler.sources.procfs import read_process_table

V1 = "v1.kernel.websocket.jupyter.org"
PATIENCE_SECONDS = 30.0


async def until(condition: Callable[[], Any], what: str = "the condition") -> Any:
    """Wait until a condition (plain or awaitable) holds, and return what it gave."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        value = condition()
        if isinstance(value, Awaitable):
            value = await value
        if value:
            return value
        await asyncio.sleep(0.05)
    message = f"{what} did not come about within {PATIENCE_SECONDS:g} s"
    raise AssertionError(message)


class Client:
    """A client of one kernel over a websocket, as a browser's tab is."""

    def __init__(self, socket: Any, session_id: str, protocol: str | None) -> None:
        self.socket = socket
        self.session_id = session_id
        self.received: list[tuple[str, dict[str, Any]]] = []
        self._protocol = protocol
        self._reader = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        while True:
            message = await self.socket.read_message()
            if message is None:
                return
            if self._protocol == V1:
                channel, parts = deserialize_msg_from_ws_v1(message)
                header, parent, _, content = (json.loads(part) for part in parts[:4])
                body = {"header": header, "parent_header": parent, "content": content}
            else:
                body = json.loads(message)
                channel = body["channel"]
            self.received.append((channel, body))

    def send(
        self,
        message_type: str,
        content: dict[str, Any] | None = None,
        channel: str = "shell",
        parent: dict[str, Any] | None = None,
    ) -> str:
        """Send one message; returns its id."""
        header = {
            "msg_id": uuid.uuid4().hex,
            "msg_type": message_type,
            "username": "tester",
            "session": self.session_id,
            "date": "2026-01-01T00:00:00.000000Z",
            "version": "5.3",
        }
        body = {
            "header": header,
            "parent_header": parent or {},
            "metadata": {},
            "content": content or {},
        }
        if self._protocol == V1:
            packed = [json.dumps(part).encode() for part in body.values()]
            self.socket.write_message(serialize_msg_to_ws_v1(packed, channel), binary=True)
        else:
            self.socket.write_message(json.dumps({**body, "channel": channel, "buffers": []}))
        return str(header["msg_id"])

    def execute(self, code: str, *, allow_stdin: bool = True) -> str:
        """Run a cell; returns the id of its request without waiting for it."""
        return self.send(
            "execute_request",
            {
                "code": code,
                "silent": False,
                "store_history": True,
                "user_expressions": {},
                "allow_stdin": allow_stdin,
                "stop_on_error": True,
            },
        )

    async def message(
        self, channel: str, message_type: str, parent_id: str | None = None
    ) -> dict[str, Any]:
        """Wait for a message of that type (and parent)."""

        def found() -> dict[str, Any] | None:
            for at, body in self.received:
                is_child = parent_id in (None, body["parent_header"].get("msg_id"))
                if at == channel and body["header"]["msg_type"] == message_type and is_child:
                    return body
            return None

        return dict(await until(found, f"{message_type} on {channel}"))

    async def replied(self, parent_id: str, channel: str = "shell") -> dict[str, Any]:
        """Wait for the reply to a request."""

        def found() -> dict[str, Any] | None:
            for at, body in self.received:
                is_reply = body["header"]["msg_type"].endswith("_reply")
                if at == channel and is_reply and body["parent_header"]["msg_id"] == parent_id:
                    return body
            return None

        return dict(await until(found, f"a reply on {channel}"))

    async def run(self, code: str) -> dict[str, Any]:
        """Run a cell to its end."""
        return await self.replied(self.execute(code))

    async def text(self, parent_id: str) -> str:
        """Wait until a cell wrote something, and return what."""
        body = await self.message("iopub", "stream", parent_id)
        return str(body["content"]["text"])

    async def close(self) -> None:
        """Close the tab."""
        self.socket.close()
        await self._reader


class World:
    """The server under test, and what the source sees of it."""

    def __init__(self, app: Any, fetch: Any, ws_fetch: Any) -> None:
        self.app = app
        self.fetch = fetch
        self.settings = app.web_app.settings
        self.manager = self.settings["kernel_manager"]
        self.source = KernelsSource(self.settings, log=logging.getLogger("tests.kernels"))
        self._ws_fetch = ws_fetch
        self._clients: list[Client] = []

    async def start_kernel(self, name: str | None = None) -> str:
        """Start a kernel as POST /api/kernels does: without a session."""
        body = json.dumps({"name": name} if name else {})
        response = await self.fetch("api", "kernels", method="POST", body=body)
        return str(json.loads(response.body)["id"])

    async def start_session(self, path: str) -> tuple[str, str]:
        """Start a kernel for a notebook; returns the kernel's id and the session's."""
        body = json.dumps({"path": path, "name": "", "type": "notebook", "kernel": {}})
        response = await self.fetch("api", "sessions", method="POST", body=body)
        model = json.loads(response.body)
        return str(model["kernel"]["id"]), str(model["id"])

    async def sessions(self) -> list[dict[str, Any]]:
        """List the sessions as a client sees them."""
        response = await self.fetch("api", "sessions")
        return list(json.loads(response.body))

    async def connect(
        self, kernel_id: str, *, session_id: str | None = None, protocol: str | None = V1
    ) -> Client:
        """Open a tab: a websocket that is ready to run cells."""
        session_id = session_id or uuid.uuid4().hex
        socket = await self._ws_fetch(
            "api",
            "kernels",
            kernel_id,
            "channels",
            params={"session_id": session_id},
            subprotocols=[protocol] if protocol else None,
        )
        client = Client(socket, session_id, protocol)
        self._clients.append(client)
        kernel = self.manager.get_kernel(kernel_id)
        if getattr(kernel, "execution_state", None) != "busy":
            await client.replied(client.send("kernel_info_request"))
        return client

    async def look(self) -> tuple[dict[str, Resource], dict[str, list[Observation]]]:
        """Look once; returns resources and observations by kernel id."""
        table = await asyncio.to_thread(read_process_table)
        report = await self.source.observe(Look(now=time.monotonic(), processes=table))
        seen: dict[str, list[Observation]] = {}
        for observation in report.observations:
            seen.setdefault(observation.resource.name, []).append(observation)
        return {resource.id.name: resource for resource in report.resources}, seen

    async def resource(self, kernel_id: str) -> Resource:
        """Look at one kernel: what it is."""
        return (await self.look())[0][kernel_id]

    async def active(self, kernel_id: str) -> Observation | None:
        """Look at one kernel: the observation that calls it active now, if there is one."""
        for observation in (await self.look())[1][kernel_id]:
            if observation.verdict is Verdict.ACTIVE:
                return observation
        return None

    async def idle(self, kernel_id: str) -> Observation:
        """Look at one kernel: its newest evidence."""
        found = [o for o in (await self.look())[1][kernel_id] if o.verdict is Verdict.IDLE]
        assert len(found) == 1
        return found[0]

    async def evidence_at(self, kernel_id: str) -> float:
        """Look at one kernel: when its newest evidence was (0: none)."""
        return (await self.idle(kernel_id)).at or 0.0

    async def end(self) -> None:
        """Close every tab and let go of the server."""
        for client in self._clients:
            await client.close()
        self.source.close()


async def waits(here: World, kernel_id: str) -> bool:
    """Tell whether the kernel is seen to wait at a prompt."""
    return await here.active(kernel_id) is None and "prompt" in (await here.idle(kernel_id)).detail


@asynccontextmanager
async def kernel_world(app: Any, fetch: Any, ws_fetch: Any) -> AsyncIterator[World]:
    """Attach a source to a running server, as the extension does at its load."""
    world = World(app, fetch, ws_fetch)
    world.source.start()
    try:
        yield world
    finally:
        await world.end()
        await world.manager.shutdown_all(now=True)


Worlds = Callable[[], AbstractAsyncContextManager[World]]
"""What the fixture `world` gives: a world, opened and closed by the test."""
