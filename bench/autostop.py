"""What a look of autostop costs, and how long the scripts hold a start up."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import build_autostop
from jupyter_idle_culler.lifecycle.render import render
from jupyter_idle_culler.lifecycle.scripts import ENVIRONMENTS, script_of
from tests.lifecycle.scripts import AUTOSTOPS, EXTENSIONS, WHEEL_NAME, Machine, Script
from tests.lifecycle.throwaway_root import can_be_made
from tests.live.autostop_machine import packed_file

from .figures import Figure
from .servers import TOKEN, Server

_ROOT = Path(__file__).resolve().parent.parent
_KERNELS = 10
_MEASURED = """
import os, sys
_, status, used = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ), 0)
print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
sys.exit(status != 0)
"""
"""Run by a small process: the peak that Linux tells is at least that of who started it."""


def measure(quick: bool) -> Iterator[Figure]:
    """Look at an idle server again and again; attach each script in a machine to throw away."""
    with tempfile.TemporaryDirectory() as folder:
        yield from _looks(5 if quick else 20, Path(folder))
    if not can_be_made():
        print("the scripts are not timed: that needs root and overlayfs", file=sys.stderr)
        return
    for script in (*AUTOSTOPS[3:], *EXTENSIONS[2:]):
        yield Figure(
            f"{script.environment} {Path(script.path).name}, offline, in the foreground",
            tuple(_attached(script) for _ in range(2 if quick else 5)),
            "s",
            bound=2,
        )


def _looks(count: int, folder: Path) -> Iterator[Figure]:
    forms = {
        "the package": [sys.executable, "-m", "jupyter_idle_culler.autostop"],
        "the packed file": [sys.executable, str(packed_file("notebook-instance", folder))],
    }
    with Server(None) as server:
        server.start_kernels(_KERNELS)
        for name, program in forms.items():
            command = [
                *program, "-c", "--base-url", f"http://127.0.0.1:{server.port}/", "--token", TOKEN,
                "--state-file", str(folder / f"{name}.json"), "--log-file", str(folder / "log"),
            ]  # fmt: skip
            used = [_look(command) for _ in range(count)]
            cpu, memory = zip(*used, strict=True)
            yield Figure(f"CPU of one look by {name}", cpu, "s", bound=0.3)
            yield Figure(f"memory of one look by {name}", memory, "MB", "max", bound=64)
        imports = subprocess.run(
            [sys.executable, "-X", "importtime", *command[1:]],
            capture_output=True, text=True, check=True,
        ).stderr  # fmt: skip
        loaded = sum("boto" in line for line in imports.splitlines())
        yield Figure("modules of boto3 in a look with nothing to do", (loaded,), "", "max", bound=0)


def _look(command: list[str]) -> tuple[float, float]:
    """Return CPU seconds and the largest memory in MB of one run."""
    said = subprocess.run(
        [sys.executable, "-S", "-c", _MEASURED, *command],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    cpu, memory = said.split()
    return float(cpu), float(memory)


def _attached(script: Script) -> float:
    """Return how long the offline form of a script holds the start up, in a machine of its own."""
    extension = script in EXTENSIONS
    name = "notebook-instance-extension" if script == EXTENSIONS[2] else script.environment
    if extension:
        values = {"WHEEL": f"/mnt/{WHEEL_NAME}"}
    else:
        values = {"AUTOSTOP": build_autostop.packed(_ROOT, script.environment)}
    text = render(script_of(ENVIRONMENTS[name]), values, name).script.decode()
    with Machine() as machine:
        if extension:
            (wheel,) = (_ROOT / ".stamps" / "wheels").glob("*.whl")
            machine.write(f"/mnt/{WHEEL_NAME}", wheel.read_bytes())
        machine.place(script, text)
        began = time.monotonic()
        ran = machine.run_placed(script)
        took = time.monotonic() - began
        assert ran.returncode == 0, ran.stdout
        return took
