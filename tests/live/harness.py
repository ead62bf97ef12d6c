"""A real Jupyter server in a pid namespace of its own, and clients that speak to it.

The namespace keeps the processes of the test runner, and of other tests, out of sight: no ignore
list that a user would not have.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import websocket

TOKEN = "live-test-token"
PATIENCE_SECONDS = 60.0
# The first process of a pid namespace must reap orphans, which a Jupyter server does not.
_UNVERIFIED = ssl._create_unverified_context()  # noqa: S323 - see below
"""A server's own certificate is trusted here: it is on this machine."""
_INIT = '"$@" & wait $!'


def wait_until(
    true: Callable[[], Any],
    what: str,
    patience_seconds: float = PATIENCE_SECONDS,
    pause_seconds: float = 0.05,
) -> Any:
    """Return the first true value of a condition; fail with what was waited for."""
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        value = true()
        if value:
            return value
        time.sleep(pause_seconds)
    message = f"waited {patience_seconds:g} s in vain for {what}"
    raise AssertionError(message)


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Tell whether anybody takes connections on a port of the loopback interface."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Kernel:
    """A client of one kernel's websocket, in the JSON protocol that browsers of old speak."""

    def __init__(
        self, server: LiveServer, kernel_id: str, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self.id = kernel_id
        self.session = uuid.uuid4().hex
        self.socket = websocket.create_connection(
            f"{server.url.replace('http', 'ws', 1)}api/kernels/{kernel_id}/channels"
            f"?session_id={self.session}&token={TOKEN}",
            timeout=patience_seconds,
            sslopt={"cert_reqs": ssl.CERT_NONE},
        )

    def send(
        self, msg_type: str, content: Mapping[str, Any], channel: str = "shell", **parent: Any
    ) -> str:
        """Send a message; return its id."""
        msg_id = uuid.uuid4().hex
        header = {
            "msg_id": msg_id,
            "msg_type": msg_type,
            "session": self.session,
            "username": "test",
            "version": "5.3",
            "date": "",
        }
        message = {
            "header": header,
            "parent_header": parent.get("parent_header", {}),
            "metadata": {},
            "content": content,
            "buffers": [],
            "channel": channel,
        }
        self.socket.send(json.dumps(message))
        return msg_id

    def execute(self, code: str, wait: bool = True, allow_stdin: bool = True) -> str:
        """Run code; with ``wait``, until the kernel is idle again. A cell's error is raised."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": allow_stdin,
            "stop_on_error": True,
        }
        msg_id = self.send("execute_request", content)
        if wait:
            self.wait_for(
                lambda m: (
                    m["msg_type"] == "status"
                    and m["parent_header"].get("msg_id") == msg_id
                    and m["content"]["execution_state"] == "idle"
                )
            )
        return msg_id

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read messages until the wanted one; an error message of a cell is raised."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            message = json.loads(self.socket.recv())
            if message["msg_type"] == "error":
                raise AssertionError("\n".join(message["content"]["traceback"]))
            if wanted(message):
                return dict(message)
        message = "the kernel did not answer"
        raise AssertionError(message)

    def close(self) -> None:
        """Leave, as a closed tab does."""
        self.socket.close()


class Terminal:
    """A client of one terminal's websocket."""

    def __init__(self, server: LiveServer, name: str) -> None:
        self.name = name
        self.output = ""
        self.socket = websocket.create_connection(
            f"{server.url.replace('http', 'ws', 1)}terminals/websocket/{name}?token={TOKEN}",
            timeout=1.0,
            sslopt={"cert_reqs": ssl.CERT_NONE},
        )

    def type(self, text: str) -> None:
        """Type, as a person does."""
        self.socket.send(json.dumps(["stdin", text]))

    def send(self, *message: Any) -> None:
        """Send any message of the terminal protocol."""
        self.socket.send(json.dumps(message))

    def read_until(self, text: str) -> str:
        """Read output until this text stands in it; return all of it since the last call."""

        def there() -> bool:
            with contextlib.suppress(websocket.WebSocketTimeoutException):
                message = json.loads(self.socket.recv())
                if message[0] == "stdout":
                    self.output += message[1]
            return text in self.output

        wait_until(there, f"{text!r} in the terminal; it shows {self.output[-500:]!r}")
        output, self.output = self.output, ""
        return output

    def run(self, command: str) -> None:
        """Type a command line, and wait until the shell has taken it."""
        self.type(command + "\r")

    def close(self) -> None:
        """Leave, as a closed tab does."""
        self.socket.close()


class LiveServer:
    """One Jupyter server with the culler on. Use it as a context manager.

    ``config`` is `c.IdleCuller`; ``server_config`` everything else, by class. ``home`` holds all
    that is written. ``isolate`` False starts it in the test runner's own pid namespace. ``prefix``
    is put before the command (``faketime``, ``setpriv``, …).
    """

    def __init__(
        self,
        home: Path,
        config: Mapping[str, Any],
        *,
        server_config: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
        isolate: bool = True,
        base_url: str = "/",
        subcommand: str = "server",
        python: str = sys.executable,
        prefix: tuple[str, ...] = (),
        args: tuple[str, ...] = (),
    ) -> None:
        self.home = home
        self.isolated = isolate
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}{base_url}"
        self.config_dir = home / "config"
        self.data_dir = home / "data"
        self.root_dir = home / "work"
        for directory in (self.config_dir, self.data_dir, self.root_dir):
            directory.mkdir(parents=True, exist_ok=True)
        settings: dict[str, dict[str, Any]] = {
            "ServerApp": {
                "ip": "127.0.0.1",
                "port": self.port,
                "port_retries": 0,
                "open_browser": False,
                "base_url": base_url,
                "root_dir": str(self.root_dir),
                "allow_root": True,
                "jpserver_extensions": {"jupyter_idle_culler": True},
            },
            "IdentityProvider": {"token": TOKEN},
            "IdleCuller": dict(config),
        }
        for section, values in (server_config or {}).items():
            settings.setdefault(section, {}).update(values)
        (self.config_dir / "jupyter_server_config.json").write_text(json.dumps(settings))
        self.env = {
            "PATH": f"{Path(python).parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "SHELL": "/bin/bash",
            "TERM": "xterm-256color",
            "TMUX_TMPDIR": str(home),
            "JUPYTER_CONFIG_DIR": str(self.config_dir),
            "JUPYTER_DATA_DIR": str(self.data_dir),
            "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            "IPYTHONDIR": str(home / "ipython"),
            "JUPYTERLAB_SETTINGS_DIR": str(home / "lab-settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(home / "lab-workspaces"),
            "JUPYTER_PREFER_ENV_PATH": "1",
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
            **(env or {}),
        }
        command = [*prefix, python, "-m", "jupyter", subcommand, "--debug", *args]
        if isolate:
            userns = () if os.geteuid() == 0 else ("--map-root-user",)
            unshare = shutil.which("unshare") or "unshare"
            namespace = (unshare, *userns, "--pid", "--fork", "--mount-proc", "--kill-child")
            command = [*namespace, "bash", "-c", _INIT, "init", *command]
        self.command = command
        self.process: subprocess.Popen[bytes] | None = None
        self.log_path = home / "server.log"

    def __enter__(self) -> LiveServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, wait: bool = True) -> None:
        """Start the server; with ``wait``, until it answers and the culler has looked once."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env=self.env,
                cwd=self.root_dir,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            wait_until(lambda: self.answers, f"the server; its log: {self.log_path}")

    @property
    def answers(self) -> bool:
        """Whether the culler has looked once. An ended server fails the test."""
        if self.process is not None and self.process.poll() is not None:
            raise AssertionError("the server ended: " + self.log[-3000:])
        with contextlib.suppress(OSError, AssertionError):
            return bool(self.status()["host"]["reason"] != "not looked yet")
        return False

    @property
    def log(self) -> str:
        """Everything the server has logged."""
        return self.log_path.read_text(errors="replace")

    @property
    def ended(self) -> bool:
        """Whether the server's process is gone."""
        return self.process is not None and self.process.poll() is not None

    def close(self) -> None:
        """End the server, and all of its namespace with it."""
        if self.process is not None and self.process.poll() is None:
            if self.isolated:
                self.process.kill()  # unshare does not heed SIGTERM
            else:
                self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)

    def kill(self) -> None:
        """End the server as a crash does, and wait until it answers nobody any more."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)
        # What the namespace held is told to end when its maker has ended, not before.
        wait_until(lambda: not listens(self.port), "the end of the killed server")

    def request(
        self, method: str, path: str, body: Any = None, *, ok: bool = True, browser: bool = False
    ) -> Any:
        """Send a request; return the JSON answer (with ``ok`` False: status and answer).

        ``browser``: as a page does.
        """
        agent = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0"} if browser else {}
        request = urllib.request.Request(
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={
                "Authorization": f"token {TOKEN}",
                "Content-Type": "application/json",
                **agent,
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=30, context=_UNVERIFIED) as response:
                text, code = response.read(), response.status
        except urllib.error.HTTPError as error:
            text, code = error.read(), error.code
        answer = json.loads(text) if text else None
        if not ok:
            return code, answer
        assert code < 400, (code, answer)
        return answer

    def status(self) -> dict[str, Any]:
        """Return `GET status`."""
        return dict(self.request("GET", "api/idle-culler/v1/status"))

    def explain(self) -> dict[str, Any]:
        """Return `GET explain`."""
        return dict(self.request("GET", "api/idle-culler/v1/explain"))

    def kernel_ids(self) -> set[str]:
        """Return the kernels that the server knows.

        jupyter_server cannot list them (500) while one is about to start: then it is asked again.
        """

        def listed() -> tuple[Any] | None:
            code, models = self.request("GET", "api/kernels", ok=False)
            return (models,) if code == HTTPStatus.OK else None

        (models,) = wait_until(listed, "the list of kernels")
        return {model["id"] for model in models}

    def terminal_names(self) -> set[str]:
        """Return the terminals that the server knows."""
        return {model["name"] for model in self.request("GET", "api/terminals")}

    def start_kernel(self, name: str = "python3") -> str:
        """Start a kernel that nobody joins; return its id."""
        return str(self.request("POST", "api/kernels", {"name": name})["id"])

    def kernel(self, kernel_id: str | None = None) -> Kernel:
        """Join a kernel (None: a new one) and wait until it answers."""
        kernel = Kernel(self, kernel_id or self.start_kernel())
        kernel.send("kernel_info_request", {})
        kernel.wait_for(lambda m: m["msg_type"] == "kernel_info_reply")
        return kernel

    def terminal(self, name: str | None = None) -> Terminal:
        """Open a terminal (None: a new one)."""
        return Terminal(self, name or self.request("POST", "api/terminals")["name"])

    def journal(self) -> Iterator[dict[str, Any]]:
        """Read the journal from the disk."""
        for path in sorted(self.data_dir.rglob("journal-*.jsonl")):
            for line in path.read_text().splitlines():
                yield json.loads(line)
