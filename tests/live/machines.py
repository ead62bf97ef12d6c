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


def as_stranger(home: Path, before: str = "true") -> tuple[str, ...]:
    """Return the prefix that takes every right away, in the server's namespace, after a script.

    As root: a uid of its own, which owns ``home`` and can reach this package and its Python,
    wherever they lie. Elsewhere the test runs in a user namespace, and gives up its rights there.
    """
    user: tuple[str, ...] = ("--bounding-set=-all",)
    if os.geteuid() == 0:
        user = ("--reuid", str(STRANGER), "--regid", str(STRANGER), "--clear-groups")
        before = f"{before}; {_opened(home / 'held')}"
    return shell(before, then=("setpriv", *user, "--inh-caps=-all", "--no-new-privs"))


def _opened(held: Path) -> str:
    """Return a script that makes closed directories on the way to this Python passable.

    Each is covered by an empty one, in which only the way appears: nothing of the rest.
    """
    ways: dict[Path, set[str]] = {}
    for end in (Path(sys.executable), Path(sys.executable).resolve(), Path(__file__)):
        for directory in end.parents:
            if not directory.stat().st_mode & 0o001:
                ways.setdefault(directory, set()).add(end.relative_to(directory).parts[0])
    script = ["true"]
    for number, (directory, names) in enumerate(sorted(ways.items())):
        places = [(f"{held}/{number}/{name}", f"{directory}/{name}") for name in sorted(names)]
        script += [f"mkdir -p {kept}; mount --bind {place} {kept}" for kept, place in places]
        script.append(f"mount -t tmpfs -o mode=755 none {directory}")
        script += [f"mkdir {place}; mount --bind {kept} {place}" for kept, place in places]
    return "; ".join(script)


@contextmanager
def strangers_home() -> Iterator[Path]:
    """Make a home where `as_stranger` can reach it; give it to that user when all is in it."""
    with tempfile.TemporaryDirectory(prefix="idle-culler-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        home.chmod(0o755)
        yield home


def give_to_stranger(home: Path) -> None:
    """Let that user own all of a home."""
    if os.geteuid() == 0:
        for path in (home, *home.rglob("*")):
            os.chown(path, STRANGER, STRANGER, follow_symlinks=False)


def shell(script: str, *, then: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the prefix that runs a script in the server's namespace, as root there, before it."""
    return ("bash", "-c", f'set -e; {script}; exec "$@"', "before", *then)
