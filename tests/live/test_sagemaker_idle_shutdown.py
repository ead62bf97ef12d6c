"""SageMaker's own idle shutdown asks jupyter-activity-monitor-extension: what it is answered.

The package is the one from PyPI, unmodified, in `.stamps/activity-monitor` (`make test-python`
puts it there, or the variable ACTIVITY_MONITOR says where it is). By itself it sees no silent cell,
no silent job in a terminal, and no background job.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import datetime, timezone
from pathlib import Path

import pytest

from .harness import LiveServer
from .machines import shell
from .rows import Home, joined, run_in_homes, script, side_by_side, typing_in

ROOT = Path(__file__).parents[2]
MONITOR = Path(os.environ.get("ACTIVITY_MONITOR", ROOT / ".stamps/activity-monitor"))
FORMAT = "%Y-%m-%dT%H:%M:%S.%fz"

FRESH_SECONDS = 90.0
BUSY_SECONDS = 130.0
"""How long each job runs: had nobody seen it, the age would be above `FRESH_SECONDS` at its end."""

SETTLED_SECONDS = 70.0
"""So long after the end of a job its last evidence is in the file, written once a minute."""

READS = f"""
import time
end = time.monotonic() + {BUSY_SECONDS}
with open("/dev/zero", "rb", 0) as file:
    while time.monotonic() < end:
        file.read(8 << 20)
        time.sleep(0.5)
"""
"""A job that reads: unlike one that computes, it is above the threshold on any crowded machine."""

pytestmark = [
    pytest.mark.timeout(500),
    pytest.mark.skipif(
        not (MONITOR / "jupyter_activity_monitor_extension").is_dir(),
        reason="jupyter-activity-monitor-extension is not in .stamps/activity-monitor",
    ),
]


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[None]]]:
    """Run the rows side by side."""
    yield from run_in_homes(request, tmp_path_factory)


def tmp_of_its_own(home: Path) -> str:
    """Return a script that gives a server a /tmp with nothing in it but what the test needs."""
    kept = {path.resolve() for path in (home, ROOT, Path(sys.prefix), MONITOR)}
    places = sorted(str(path) for path in kept if path.is_relative_to("/tmp"))
    lines = ["mount -t tmpfs none /mnt"]
    lines += [f"mkdir /mnt/{n}; mount --bind {place} /mnt/{n}" for n, place in enumerate(places)]
    lines += ["mount -t tmpfs -o mode=1777 none /tmp"]
    lines += [f"mkdir -p {p}; mount --bind /mnt/{n} {p}" for n, p in enumerate(places)]
    return "; ".join(lines)


@contextlib.contextmanager
def space(home: Home) -> Iterator[LiveServer]:
    """Start a server with both extensions; the file that both know is in a /tmp of its own."""
    both = {"jupyter_activity_monitor_extension": True, "jupyter_idle_culler": True}
    server = LiveServer(
        home.path,
        {},
        server_config={"ServerApp": {"jpserver_extensions": both}},
        env={"PYTHONPATH": str(MONITOR)},
        prefix=shell(tmp_of_its_own(home.path)),
    )
    with server:
        assert (
            "jupyter_activity_monitor_extension | extension was successfully loaded" in server.log
        )
        yield server


def age(server: LiveServer) -> float:
    """Return how many seconds ago the newest activity was, as SageMaker is told."""
    newest = server.request("GET", "api/idle")["lastActiveTimestamp"]
    at = datetime.strptime(newest, FORMAT).replace(tzinfo=timezone.utc)
    return (datetime.now(timezone.utc) - at).total_seconds()


def stays_fresh(server: LiveServer, began: float, seconds: float = BUSY_SECONDS) -> None:
    """Watch the age for so long after a job began."""
    while time.monotonic() - began < seconds:
        assert age(server) < FRESH_SECONDS
        time.sleep(2)


def ages(server: LiveServer, began: float) -> None:
    """Wait for the end of a job of `BUSY_SECONDS`; from then on the age grows, and nothing else."""
    stays_fresh(server, began, BUSY_SECONDS + SETTLED_SECONDS)
    first, at = age(server), time.monotonic()
    time.sleep(FRESH_SECONDS + 5 - first)
    last = age(server)
    assert last >= FRESH_SECONDS
    assert last - first == pytest.approx(time.monotonic() - at, abs=2)


@side_by_side
def test_a_silent_cell_keeps_the_answer_fresh(home: Home) -> None:
    """The kernel's own last activity, all that the package knows of it, stands still."""

    def last_activity() -> object:
        (model,) = server.request("GET", "api/kernels")
        return model["last_activity"]

    with space(home) as server, joined(server) as kernel:
        began = time.monotonic()
        kernel.execute(f"import time; time.sleep({BUSY_SECONDS})", wait=False)
        time.sleep(2)
        before = last_activity()
        stays_fresh(server, began, BUSY_SECONDS - 5)
        assert last_activity() == before
        ages(server, began)


@side_by_side
def test_a_silent_job_in_a_terminal_keeps_the_answer_fresh(home: Home) -> None:
    """The terminal neither prints nor is typed into."""
    with space(home) as server, typing_in(server) as terminal:
        began = time.monotonic()
        terminal.run(f"sleep {BUSY_SECONDS}")
        stays_fresh(server, began)
        ages(server, began)


@side_by_side
def test_a_nohup_job_keeps_the_answer_fresh(home: Home) -> None:
    """Its terminal is long closed; it works, and ends by itself."""
    job = script(home.path, "reads.py", READS)
    with space(home) as server:
        with typing_in(server) as terminal:
            began = time.monotonic()
            terminal.run(f"nohup {sys.executable} {job} > /dev/null 2>&1 & echo $((40 + 2))")
            terminal.read_until("42")
            server.request("DELETE", f"api/terminals/{terminal.name}")
        stays_fresh(server, began)
        ages(server, began)
