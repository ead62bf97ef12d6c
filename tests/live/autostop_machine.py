"""A real https Jupyter server without the extension, and autostop run beside it, look by look.

Looks are made by turns from the package and from the packed file, by the oldest Python that can be
had: they share their state, and must agree.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil

import build_autostop
from build_autostop.lettering import unpacked

from ..old_pythons import beside
from .harness import TOKEN, Kernel, LiveServer, Terminal

ROOT = Path(__file__).parent.parent.parent
METADATA = ROOT / "tests" / "fixtures" / "metadata" / "notebook-instance.json"
IDLE, WARNING = 20.0, 3.0
"""Idle seconds until the stop, and how long a warning stands."""


@lru_cache
def oldest_python() -> str:
    """Return the oldest Python from 3.8 on that is to be found here."""
    for minor in range(8, 30):
        for path in filter(None, [*map(str, beside(minor)), shutil.which(f"python3.{minor}")]):
            command = [path, "-c", "import ssl, termios"]
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                return path
    return sys.executable


@lru_cache
def packed_file(environment: str, folder: Path) -> Path:
    """Write autostop as an offline script unpacks it; return its path."""
    text = unpacked(build_autostop.packed(ROOT, environment))
    path = folder / "autostop.py"
    path.write_text(text)
    return path


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a self-signed certificate, as a notebook instance has one; return it and its key."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


class AutostopMachine(LiveServer):
    """A machine with a Jupyter server that has no extension, looked at by autostop."""

    def __init__(self, home: Path, packed_python: str = "", **more: Any) -> None:
        certificate, key = make_certificate(home)
        config = {
            "ServerApp": {
                "certfile": str(certificate),
                "keyfile": str(key),
                "jpserver_extensions": {"jupyter_idle_culler": False},
            },
            **more.pop("server_config", {}),
        }
        super().__init__(home, {}, server_config=config, **more)
        self.url = self.url.replace("http:", "https:")
        self.env["PATH"] = f"{home}/bin:{self.env['PATH']}"
        self.packed = packed_file("notebook-instance", home)
        self.state = home / "autostop.json"
        self._open: list[Kernel | Terminal] = []
        self._turns = itertools.cycle(
            [
                [sys.executable, "-m", "jupyter_idle_culler.autostop"],
                [packed_python or oldest_python(), str(self.packed)],
            ]
        )

    def __enter__(self) -> AutostopMachine:
        self.start()
        return self

    @property
    def answers(self) -> bool:
        """Whether the server answers. An ended server fails the test."""
        if self.process is not None and self.process.poll() is not None:
            raise AssertionError("the server ended: " + self.log[-3000:])
        with contextlib.suppress(OSError):
            self.request("GET", "api/status")
            return True
        return False

    def kernel(self, *args: Any, **more: Any) -> Kernel:
        """Join a kernel; the end of the machine closes the tab."""
        joined = super().kernel(*args, **more)
        self._open.append(joined)
        return joined

    def terminal(self, name: str | None = None) -> Terminal:
        """Open a terminal; the end of the machine closes the tab."""
        opened = super().terminal(name)
        self._open.append(opened)
        return opened

    def close(self) -> None:
        """Close all tabs, and end the server."""
        for one in self._open:
            with contextlib.suppress(OSError):
                one.close()
        super().close()

    def inside(self, *command: str) -> list[str]:
        """Return the command that runs a command in the server's pid namespace."""
        assert self.process is not None
        first = psutil.Process(self.process.pid).children()[0].pid
        return ["nsenter", "--target", str(first), "--mount", "--pid", *command]

    def look(self, *args: str, **env: str) -> str:
        """Make one run; return what it printed."""
        command = [
            *next(self._turns), "--base-url", self.url, "--token", TOKEN, "--time",
            f"{IDLE:g}", "--warning-minutes", str(WARNING / 60), "--state-file", str(self.state),
            "--metadata-path", str(METADATA), "--explain", *args,
        ]  # fmt: skip
        env = {**self.env, "AUTOSTOP_TRIED": "/home/ec2-user/opt/conda/usr/bin", **env}
        done = subprocess.run(
            self.inside(*command), env=env, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done
        assert done.stderr == "", done.stderr
        return done.stdout

    def verdict(self, *args: str) -> str:
        """Make one run; return its last line, without the time."""
        return self.look(*args).splitlines()[-1].partition(" ")[2]
