"""Machines for live servers: a namespace that several share, a user without rights, one process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import psutil

from .harness import LiveServer, wait_until

STRANGER = 65534
"""The uid of a user without rights: nobody, on every Linux."""


class Machine:
    """A pid namespace in which several servers run: start each with ``prefix``, not isolated."""

    def __init__(self) -> None:
        userns = () if os.geteuid() == 0 else ("--map-root-user",)
        namespace = ("unshare", *userns, "--pid", "--fork", "--mount-proc", "--kill-child")
        self._command = [*namespace, "bash", "-c", "sleep infinity & wait"]
        self._process: subprocess.Popen[bytes] | None = None
        self.prefix: tuple[str, ...] = ()

    def __enter__(self) -> Machine:
        self._process = process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)
        outer = psutil.Process(process.pid)
        # When its first process has a child, /proc is mounted.
        wait_until(lambda: len(outer.children(recursive=True)) > 1, "a pid namespace")
        (first,) = outer.children()
        user = () if os.geteuid() == 0 else ("--user", "--preserve-credentials")
        self.prefix = ("nsenter", "--target", str(first.pid), *user, "--mount", "--pid")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def run(self, server: LiveServer, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command there, as the user of a server would."""
        return subprocess.run(
            [*self.prefix, *command],
            env=server.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def processes_of(server: LiveServer) -> list[psutil.Process]:
    """Return every process of an isolated server's namespace."""
    assert server.process is not None
    return psutil.Process(server.process.pid).children(recursive=True)


def server_process(server: LiveServer) -> psutil.Process:
    """Return the server's own process: the first Python below what the harness started."""
    for process in processes_of(server):
        if process.name().startswith(("python", "jupyter")):
            return process
    message = "the server runs no more"
    raise AssertionError(message)


def as_stranger() -> tuple[str, ...]:
    """Return the prefix that takes every right away: a uid of its own where we are root.

    Elsewhere the test runs in a user namespace, and gives up the rights that it has there.
    """
    nobody = ("--reuid", str(STRANGER), "--regid", str(STRANGER), "--clear-groups")
    user = nobody if os.geteuid() == 0 else ("--bounding-set=-all",)
    return ("setpriv", *user, "--inh-caps=-all", "--no-new-privs")


@contextmanager
def strangers_home() -> Iterator[Path]:
    """Make a home where `as_stranger` can reach it; fail where that user can run nothing of ours.

    What is made in it is not that user's yet: see `give_to_stranger`.
    """
    with tempfile.TemporaryDirectory(prefix="idle-culler-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        home.chmod(0o755)
        command = [sys.executable, "-c", "import jupyter_idle_culler.app"]
        if os.geteuid() == 0:
            command = [*as_stranger(), *command]
        tried = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
        assert tried.returncode == 0, (
            f"uid {STRANGER} must be able to read this package and its Python: {tried.stderr}"
        )
        yield home


def give_to_stranger(home: Path) -> None:
    """Let that user own all of a home."""
    if os.geteuid() == 0:
        for path in (home, *home.rglob("*")):
            os.chown(path, STRANGER, STRANGER, follow_symlinks=False)


def shell(script: str, *, then: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the prefix that runs a script in the server's namespace, as root there, before it."""
    return ("bash", "-c", f'set -e; {script}; exec "$@"', "before", *then)
