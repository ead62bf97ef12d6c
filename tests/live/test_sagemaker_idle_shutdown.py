"""SageMaker's own idle shutdown asks jupyter-activity-monitor-extension: what it is answered.

The package is the one from PyPI, unmodified, in `.stamps/activity-monitor` (`make test-live`
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
BUSY_SECONDS = 100.0
"""How long each job runs: had nobody seen it, the age would be above `FRESH_SECONDS` at its end."""

WRITTEN_SECONDS = 65.0
"""So long after the last evidence it is in the file, which is written at most once a minute."""

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
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not (MONITOR / "jupyter_activity_monitor_extension").is_dir(),
        reason="jupyter-activity-monitor-extension is not in .stamps/activity-monitor",
    ),
]


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[None]]]:
    """Run the rows all at once: waiting is what they do."""
    yield from run_in_homes(request, tmp_path_factory, at_once=4)


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


def stays_fresh(server: LiveServer, began: float) -> None:
    """Watch the age for as long as a job runs that began then."""
    while time.monotonic() - began < BUSY_SECONDS - 2:
        assert age(server) < FRESH_SECONDS
        time.sleep(2)


def stood_still_for(server: LiveServer, what: str) -> float:
    """Return for how long the one kernel or terminal has shown jupyter_server no activity."""
    (model,) = server.request("GET", f"api/{what}")
    at = datetime.fromisoformat(model["last_activity"].replace("Z", "+00:00"))
    return (datetime.now(timezone.utc) - at).total_seconds()


@side_by_side
def test_a_silent_cell_keeps_the_answer_fresh(home: Home) -> None:
    """The kernel's own last activity, all that the package knows of it, stands still."""
    with space(home) as server, joined(server) as kernel:
        began = time.monotonic()
        kernel.execute(f"import time; time.sleep({BUSY_SECONDS + 20})", wait=False)
        stays_fresh(server, began)
        assert stood_still_for(server, "kernels") > FRESH_SECONDS


@side_by_side
def test_a_silent_job_in_a_terminal_keeps_the_answer_fresh(home: Home) -> None:
    """The terminal neither prints nor is typed into."""
    with space(home) as server, typing_in(server) as terminal:
        began = time.monotonic()
        terminal.run(f"sleep {BUSY_SECONDS + 20}")
        stays_fresh(server, began)
        assert stood_still_for(server, "terminals") > FRESH_SECONDS


@side_by_side
def test_a_nohup_job_keeps_the_answer_fresh(home: Home) -> None:
    """Its terminal is long closed: nothing is left that the package knows of."""
    job = script(home.path, "reads.py", READS)
    with space(home) as server:
        with typing_in(server) as terminal:
            began = time.monotonic()
            terminal.run(f"nohup {sys.executable} {job} > /dev/null 2>&1 & echo $((40 + 2))")
            terminal.read_until("42")
            server.request("DELETE", f"api/terminals/{terminal.name}")
        stays_fresh(server, began)
        assert not server.request("GET", "api/kernels") + server.request("GET", "api/terminals")


@side_by_side
def test_the_answer_ages_when_all_is_idle(home: Home) -> None:
    """A cell has run, a terminal was used, both tabs are open: from then on nothing but the age
    grows, second by second."""
    with space(home) as server, joined(server) as kernel, typing_in(server) as terminal:
        kernel.execute("1 + 1")
        terminal.run("echo $((40 + 2))")
        terminal.read_until("42")
        age(server)  # the package counts from when it was asked first
        last = time.monotonic()
        time.sleep(WRITTEN_SECONDS)
        for _ in range(12):
            assert age(server) == pytest.approx(time.monotonic() - last, abs=10)
            time.sleep(3)
        assert age(server) >= FRESH_SECONDS
