"""The truth table's P3 and P4 on real servers: GPUs, and containers that say that they work.

There is a driver's library without a GPU, loaded as the real one is (`tests/fake_nvml.c`), and
Docker's own HTTP interface on a socket; kernels, processes and sidecars are real.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.fake_docker import FakeDocker, Sidecar
from tests.fake_gpus import GIB, FakeGpus, build

from .harness import Kernel
from .rows import (
    HELD,
    TIMEOUT,
    Home,
    held_awake,
    is_culled,
    is_kept,
    joined,
    run_in_homes,
    set_up,
    side_by_side,
    stays_up,
    stops_after,
)


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[None]]]:
    """Run the rows side by side."""
    yield from run_in_homes(request, tmp_path_factory)


def pid_of(kernel: Kernel, path: Path) -> int:
    """Return the pid of a kernel, as its own namespace has it."""
    kernel.execute(f"import os, pathlib; pathlib.Path({str(path)!r}).write_text(str(os.getpid()))")
    return int(path.read_text())


@side_by_side
def test_a_kernel_that_computes_on_a_gpu_stays_and_one_that_holds_memory_goes(home: Home) -> None:
    """P3: the driver tells processes apart; nobody asks it while cells run."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc builds the driver's stand-in")
    gpus = FakeGpus(home.path)
    gpus.say("0.percent 0")
    env = {**gpus.env, "LD_LIBRARY_PATH": str(build(home.path))}
    with home.server({"stop_action": "none"}, env=env) as server, contextlib.ExitStack() as tabs:
        with held_awake(server) as release:
            trains = tabs.enter_context(joined(server))
            rests = tabs.enter_context(joined(server))
            pids = [pid_of(kernel, home.path / "pid") for kernel in (trains, rests)]
            holds = f"0.process {pids[1]} 0 {8 * GIB}"
            gpus.say("0.percent 93", f"0.process {pids[0]} 93 {GIB}", holds)
            after = time.monotonic()
            release()
        before = time.monotonic() + 1
        is_kept(server, trains.id, HELD, "gpu", "GPU 0 (Paper T4) busy, 93 %")
        is_culled(server, rests.id, TIMEOUT, after, before)

        trains.execute(f"import time; time.sleep({TIMEOUT})", wait=False)
        time.sleep(2)
        asked = len(gpus.calls())
        time.sleep(3)
        assert len(gpus.calls()) == asked
        gpus.say("0.percent 0", f"0.process {pids[0]} 0 {GIB}")
        is_culled(server, trains.id, TIMEOUT, before + HELD, time.monotonic() + TIMEOUT)


class Containers:
    """Docker and one sidecar, on a loop of their own in a thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sidecar: Sidecar
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Containers:
        self._thread.start()
        self._wait(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._wait(self._docker.close())
        self._wait(self.sidecar.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        self._docker, self.sidecar = FakeDocker(self.path), Sidecar({"jobs": 2})
        self._docker.run("trainer", self.sidecar.labels("jobs"))

    def _wait(self, what: object) -> None:
        assert asyncio.iscoroutine(what)
        asyncio.run_coroutine_threadsafe(what, self._loop).result(30)


@side_by_side
def test_a_sidecar_that_works_holds_its_host(home: Home) -> None:
    """P4: while it says so; then the host has its whole timeout to go."""
    path = home.path / "docker.sock"
    with Containers(path) as containers, home.server(env={"DOCKER_HOST": f"unix://{path}"}) as it:
        with set_up(it):
            pass
        stays_up(it, HELD, "sidecars", "container trainer says that it works")
        after = time.monotonic()
        containers.sidecar.answer = {"jobs": 0}
        stops_after(it, after - 1, time.monotonic() + 1)


@side_by_side
def test_a_sidecar_that_times_out_is_kept_for_its_grace_only(home: Home) -> None:
    """P4: unknown, and then left out: the host stops, not before the grace has passed."""
    path, grace = home.path / "docker.sock", TIMEOUT + 5
    config = {"source_failure_grace_minutes": grace / 60}
    env = {"DOCKER_HOST": f"unix://{path}"}
    with Containers(path) as containers, home.server(config, env=env) as server:
        containers.sidecar.delay_seconds = 60
        with set_up(server):
            after = time.monotonic()
        until = time.monotonic() + TIMEOUT + 1
        while time.monotonic() < until:
            assert not server.ended
            time.sleep(0.3)
        status = server.status()
        assert status["host"]["verdict"] == "unknown", status["host"]
        assert status["health"]["status"] == "degraded"
        assert "container trainer" in status["host"]["reason"]
        stops_after(server, after, time.monotonic() + grace)
