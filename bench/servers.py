"""Servers to measure: with the culler or without, otherwise alike, each in a pid namespace."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import websocket

_TABS = 50
TOKEN = "bench-token"  # noqa: S105 - of throw-away servers on the loopback interface
PATIENCE_SECONDS = 120.0
_REPOSITORY = Path(__file__).resolve().parent.parent
# The first process of a pid namespace must reap orphans, which a Jupyter server does not. A
# sleeper is a real process of the user that does nothing.
_INIT = 'for ((i = 0; i < SLEEPERS; i++)); do sleep infinity & done; "$@" & wait $!'

# What jupyter_server itself needs to get to 200 kernels. Of 1,000 ports that are free when they are
# chosen some are taken when the kernel comes to use them. And for each tab that was closed four
# sockets are kept to buffer what its kernel says: more than the 1,023 that ZeroMQ has.
_FOR_MANY_KERNELS = {
    "KernelManager": {"transport": "ipc"},
    "MappingKernelManager": {"buffer_offline_messages": False},
}


def wait_until(true: Callable[[], Any], what: str, pause_seconds: float = 0.02) -> Any:
    """Return the first true value of a condition. Raises: TimeoutError."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        value = true()
        if value:
            return value
        time.sleep(pause_seconds)
    message = f"waited {PATIENCE_SECONDS:g} s in vain for {what}"
    raise TimeoutError(message)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _other_extensions() -> dict[str, bool]:
    """Return every extension that this environment switches on, switched off.

    Next to JupyterLab an extension of a few modules looks cheaper than it is.
    """
    from jupyter_core.paths import jupyter_config_path

    found: dict[str, bool] = {}
    for directory in jupyter_config_path():
        for path in Path(directory, "jupyter_server_config.d").glob("*.json"):
            extensions = json.loads(path.read_text()).get("ServerApp", {})
            found |= dict.fromkeys(extensions.get("jpserver_extensions", {}), False)
    return found


class Server:
    """One server. ``culler`` None: a plain one; else `c.IdleCuller`. Use it as a context manager.

    ``sleepers`` are processes of the same user beside it. ``many_kernels``: more than some dozens.
    ``env`` is added to its environment.
    """

    def __init__(
        self,
        culler: Mapping[str, Any] | None,
        *,
        sleepers: int = 0,
        many_kernels: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.has_culler = culler is not None
        self.home = Path(tempfile.mkdtemp(prefix="bench-"))
        self.notes = self.home / "notes"
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._local = threading.local()
        self._pid: int | None = None
        for name in ("config", "data/kernels/light", "work", "notes"):
            (self.home / name).mkdir(parents=True)
        extensions = {
            **_other_extensions(),
            "jupyter_server_terminals": True,
            "bench.probe": True,
            "jupyter_idle_culler": self.has_culler,
        }
        settings = {
            "ServerApp": {
                "ip": "127.0.0.1",
                "port_retries": 0,
                "open_browser": False,
                "root_dir": str(self.home / "work"),
                "allow_root": True,
                "jpserver_extensions": extensions,
            },
            "IdentityProvider": {"token": TOKEN},
            **(_FOR_MANY_KERNELS if many_kernels else {}),
            "IdleCuller": dict(culler or {}),
        }
        (self.home / "config/jupyter_server_config.json").write_text(json.dumps(settings))
        light = Path(__file__).with_name("light_kernel.py")
        spec = {
            "argv": [sys.executable, str(light), "{connection_file}"],
            "display_name": "Light",
            "language": "none",
        }
        (self.home / "data/kernels/light/kernel.json").write_text(json.dumps(spec))
        self._env = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(_REPOSITORY),
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "SHELL": "/bin/bash",
            "JUPYTER_CONFIG_DIR": str(self.home / "config"),
            "JUPYTER_DATA_DIR": str(self.home / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.home / "runtime"),
            "IPYTHONDIR": str(self.home / "ipython"),
            "JUPYTER_PREFER_ENV_PATH": "1",
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
            "BENCH_KERNEL_NOTES": str(self.notes),
            "SLEEPERS": str(sleepers),
            **(env or {}),
        }

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the server; return when it answers, the culler's first look behind it."""
        self.launch()
        wait_until(self.answers, f"the server ({self.home}/server.log)")
        if self.has_culler:
            status = "api/idle-culler/v1/status"
            wait_until(
                lambda: self.request("GET", status)["host"]["reason"] != "not looked yet",
                "the first look",
            )

    def launch(self) -> None:
        """Start the server's process, and wait for nothing."""
        userns = () if os.geteuid() == 0 else ("--map-root-user",)
        unshare = shutil.which("unshare") or "unshare"
        namespace = (unshare, *userns, "--pid", "--fork", "--mount-proc", "--kill-child")
        server = (sys.executable, "-m", "jupyter_server", f"--port={self.port}")
        with (self.home / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*namespace, "bash", "-c", _INIT, "init", *server],
                env=self._env,
                cwd=self.home / "work",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def answers(self) -> bool:
        """Tell whether the API answers."""
        assert self._process is not None
        if self._process.poll() is not None:
            message = (self.home / "server.log").read_text(errors="replace")[-3000:]
            raise RuntimeError(message)
        with contextlib.suppress(OSError, http.client.HTTPException):
            return bool(self.request("GET", "api"))
        return False

    def close(self) -> None:
        """End the server and everything in its namespace; remove what it wrote."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The server's own process, as seen from here."""
        if self._pid is None:
            assert self._process is not None
            (self._pid,) = (
                child.pid
                for child in psutil.Process(self._process.pid).children(recursive=True)
                if child.cmdline()[:1] == [sys.executable]
                and f"--port={self.port}" in child.cmdline()
            )
        return self._pid

    @property
    def proc(self) -> Path:
        """Its /proc: there processes have the numbers that the server knows."""
        return Path(f"/proc/{self.pid}/root/proc")

    def cpu_seconds(self) -> float:
        """Return the CPU time that the server's process ever used, to the nanosecond.

        By the clock of that process, clock_getcpuclockid(3): /proc counts in ticks of 10 ms.
        """
        return time.clock_gettime((~self.pid << 3) | 2)

    def unshared_megabytes(self) -> float:
        """Return the memory that only this process has (USS)."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        private = [line.split() for line in rollup.splitlines() if line.startswith("Private_")]
        return sum(int(words[1]) for words in private) / 1024

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request over a connection that each thread keeps; return the JSON answer."""
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            self._local.connection = connection
        try:
            connection.request(
                method,
                f"/{path}",
                None if body is None else json.dumps(body),
                {"Authorization": f"token {TOKEN}"},
            )
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            self._local.connection = None
            raise
        if response.status >= 400:
            message = f"{method} {path}: {response.status} {text[:500]!r}"
            raise RuntimeError(message)
        return json.loads(text) if text else None

    def start_kernels(self, count: int, name: str = "python3") -> list[str]:
        """Start kernels one after the other, and join each once, as a tab does that is closed."""
        ids = [str(self.request("POST", "api/kernels", {"name": name})["id"]) for _ in range(count)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self.run_cells, [[kernel_id] for kernel_id in ids]))
        return ids

    def run_cells(self, kernel_ids: Sequence[str], code: str = "1 + 1") -> None:
        """Run one cell in each of the kernels, in many at once; then leave them.

        Not in all: 200 open tabs need more than the 1,023 sockets that ZeroMQ has.
        """
        for start in range(0, len(kernel_ids), _TABS):
            with contextlib.ExitStack() as stack:
                sockets = [
                    stack.enter_context(self._joined(kernel_id))
                    for kernel_id in kernel_ids[start : start + _TABS]
                ]
                asked = [_send(joined, "execute_request", _cell(code)) for joined in sockets]
                for joined, message_id in zip(sockets, asked, strict=True):
                    _wait_for_idle(joined, message_id)

    @contextmanager
    def _joined(self, kernel_id: str) -> Iterator[websocket.WebSocket]:
        joined = websocket.create_connection(
            f"ws://127.0.0.1:{self.port}/api/kernels/{kernel_id}/channels"
            f"?session_id={uuid.uuid4().hex}&token={TOKEN}",
            timeout=PATIENCE_SECONDS,
        )
        try:
            asked = _send(joined, "kernel_info_request", {})
            while json.loads(joined.recv())["parent_header"].get("msg_id") != asked:
                pass
            yield joined
        finally:
            joined.close()

    def journal(self) -> list[dict[str, Any]]:
        """Return what the culler wrote down."""
        return [
            json.loads(line)
            for path in sorted(self.home.rglob("journal-*.jsonl"))
            for line in path.read_text().splitlines()
        ]


def _wait_for_idle(joined: websocket.WebSocket, message_id: str) -> None:
    while True:
        message = json.loads(joined.recv())
        is_ours = message["parent_header"].get("msg_id") == message_id
        if is_ours and message["content"].get("execution_state") == "idle":
            return


def _cell(code: str) -> dict[str, Any]:
    return {
        "code": code,
        "silent": False,
        "store_history": False,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": True,
    }


def _send(joined: websocket.WebSocket, kind: str, content: Mapping[str, Any]) -> str:
    message_id = uuid.uuid4().hex
    header = {
        "msg_id": message_id,
        "msg_type": kind,
        "session": message_id,
        "username": "bench",
        "version": "5.3",
        "date": "",
    }
    message = {
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content,
        "buffers": [],
        "channel": "shell",
    }
    joined.send(json.dumps(message))
    return message_id
