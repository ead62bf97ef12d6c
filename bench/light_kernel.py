"""A kernel that is a process and speaks the Jupyter protocol, and weighs little: it runs nothing.

It answers ``kernel_info_request``, ``execute_request`` and ``shutdown_request``, with ``busy`` and
``idle`` around each, and ends when it is told to. In the directory that the variable
``BENCH_KERNEL_NOTES`` names it notes, in a file named as its connection file, when it was last
idle and when it was told to end (monotonic seconds, the same clock in all processes).

Messages: https://jupyter-client.readthedocs.io/en/stable/messaging.html. pyzmq only: the import
of jupyter_client would cost four times as much as everything else here, 200 times.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import zmq

_DELIMITER = b"<IDS|MSG>"
_INFO = {
    "status": "ok",
    "protocol_version": "5.3",
    "implementation": "light",
    "implementation_version": "1",
    "language_info": {
        "name": "none",
        "version": "1",
        "mimetype": "text/plain",
        "file_extension": ".txt",
    },
    "banner": "",
    "help_links": [],
}


class LightKernel:
    """One kernel, from its connection file."""

    def __init__(self, connection_file: Path) -> None:
        connection = json.loads(connection_file.read_text())
        self._key = connection["key"].encode()
        self._session = uuid.uuid4().hex
        self._context = zmq.Context()
        separator = "-" if connection["transport"] == "ipc" else ":"
        at = f"{connection['transport']}://{connection['ip']}{separator}"

        def bound(kind: int, port: str) -> zmq.Socket[bytes]:
            socket = self._context.socket(kind)
            socket.linger = 1000
            socket.bind(at + str(connection[port]))
            return socket

        self._shell = bound(zmq.ROUTER, "shell_port")
        self._control = bound(zmq.ROUTER, "control_port")
        self._stdin = bound(zmq.ROUTER, "stdin_port")
        self._iopub = bound(zmq.PUB, "iopub_port")
        self._heartbeat = bound(zmq.REP, "hb_port")
        notes = os.environ.get("BENCH_KERNEL_NOTES")
        self._notes = Path(notes) / connection_file.stem if notes else None
        # A shutdown begins with an interrupt: it is the first that a kernel hears of its end.
        signal.signal(signal.SIGINT, lambda *_: self._note("told to end"))

    def run(self) -> None:
        """Answer until told to end."""
        poller = zmq.Poller()
        for socket in (self._shell, self._control, self._heartbeat):
            poller.register(socket, zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if self._heartbeat in ready:
                self._heartbeat.send(self._heartbeat.recv())
            for socket in (self._control, self._shell):
                if socket in ready and self._answer(socket):
                    self._context.destroy(linger=200)
                    return

    def _answer(self, socket: zmq.Socket[bytes]) -> bool:
        """Answer one message; True: it told this kernel to end."""
        frames = socket.recv_multipart()
        at = frames.index(_DELIMITER)
        parent = json.loads(frames[at + 2])
        content = json.loads(frames[at + 5])
        self._send(self._iopub, [b"status"], "status", parent, {"execution_state": "busy"})
        kind = parent["msg_type"]
        reply: dict[str, Any] = {"status": "ok"}
        if kind == "kernel_info_request":
            reply = _INFO
        elif kind == "execute_request":
            reply |= {"execution_count": 1, "user_expressions": {}, "payload": []}
        elif kind == "shutdown_request":
            self._note("told to end")
            reply |= {"restart": content.get("restart", False)}
        self._send(socket, frames[:at], kind.replace("request", "reply"), parent, reply)
        self._send(self._iopub, [b"status"], "status", parent, {"execution_state": "idle"})
        if kind == "execute_request":
            self._note("idle")
        return bool(kind == "shutdown_request")

    def _note(self, what: str) -> None:
        if self._notes is not None:
            with self._notes.open("a") as notes:
                notes.write(f"{time.monotonic()} {what}\n")

    def _send(
        self,
        socket: zmq.Socket[bytes],
        to: list[bytes],
        kind: str,
        parent: dict[str, Any],
        content: dict[str, Any],
    ) -> None:
        header = {
            "msg_id": uuid.uuid4().hex,
            "msg_type": kind,
            "session": self._session,
            "username": "light",
            "version": "5.3",
            "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        parts = [json.dumps(part).encode() for part in (header, parent, {}, content)]
        signature = hmac.new(self._key, b"".join(parts), hashlib.sha256).hexdigest().encode()
        socket.send_multipart([*to, _DELIMITER, signature, *parts])


if __name__ == "__main__":
    LightKernel(Path(sys.argv[1])).run()
