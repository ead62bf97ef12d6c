"""P3: GPUs, through the real nvidia-ml-py, over a driver's library that says what tests want."""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from jupyter_idle_culler.core.model import (
    EVERYTHING,
    HOST,
    Kind,
    Observation,
    Resource,
    ResourceId,
    Verdict,
)
from jupyter_idle_culler.sources import gpu as gpu_module
from jupyter_idle_culler.sources.base import Look
from jupyter_idle_culler.sources.gpu import GpuSource
from jupyter_idle_culler.sources.nvml import Nvml
from jupyter_idle_culler.sources.procfs import read_process_table

from .fake_gpus import (
    GIB,
    GPU_IS_LOST,
    LIBRARY,
    MISMATCH,
    NOT_LOADED,
    NOT_SUPPORTED,
    FakeGpus,
    build,
)

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="NVML is asked on Linux only"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc builds the driver's stand-in"),
]

TRAIN = ResourceId(Kind.KERNEL, "train")
OTHER = ResourceId(Kind.KERNEL, "other")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the library and load it: who then asks for that name gets it."""
    directory = build(tmp_path_factory.mktemp("nvml"))
    ctypes.CDLL(str(directory / LIBRARY))
    return directory


@pytest.fixture
def gpus(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGpus:
    """Return what this test's GPUs say."""
    del library
    fake = FakeGpus(tmp_path)
    for name, value in fake.env.items():
        monkeypatch.setenv(name, value)
    return fake


@pytest.fixture
def jobs() -> Iterator[list[int]]:
    """Return the pids of three processes that exist."""
    running = [subprocess.Popen(["sleep", "600"]) for _ in range(3)]
    yield [process.pid for process in running]
    for process in running:
        process.kill()
        process.wait()


def nobody(pid: int) -> ResourceId | None:
    """Say that no process counts."""
    del pid
    return None


def source_of(owners: Mapping[int, ResourceId], threshold: float = 1.0) -> GpuSource:
    """Return a source that waits for no GPU to settle."""
    return GpuSource(owners.get, threshold, Nvml(settle_seconds=0).read)


async def see(source: GpuSource) -> list[Observation]:
    """Look once."""
    resources = tuple(Resource(rid, 0.0, label=f"{rid.name}.ipynb") for rid in (TRAIN, OTHER))
    look = Look(time.monotonic(), read_process_table(), resources=resources)
    return list((await source.observe(look)).observations)


async def test_a_process_that_computes_on_a_gpu_keeps_its_owner(
    gpus: FakeGpus, jobs: list[int]
) -> None:
    """One kernel computes, the other only holds memory: only the first is active."""
    source = source_of({jobs[0]: TRAIN, jobs[1]: OTHER})
    gpus.say("0.percent 93", f"0.process {jobs[0]} 93 {GIB}", f"0.process {jobs[1]} 0 {8 * GIB}")
    (seen,) = await see(source)
    assert (seen.resource, seen.verdict, seen.value) == (TRAIN, Verdict.ACTIVE, 93)
    assert (seen.threshold, seen.unit, seen.at) == (1.0, "%", None)


async def test_a_kernel_that_only_holds_memory_of_a_gpu_is_idle(
    gpus: FakeGpus, jobs: list[int]
) -> None:
    """Memory is no work; but the explanation says who holds it."""
    gpus.say(f"0.process {jobs[0]} 0 {8 * GIB}", f"0.process {jobs[2]} 0 {GIB}")
    (seen,) = await see(source_of({jobs[0]: TRAIN}))
    assert (seen.resource, seen.verdict) == (HOST, Verdict.IDLE)
    assert seen.detail == "GPU 0 (Paper T4); train.ipynb holds 8.0 GiB, 0 %"


async def test_a_process_below_the_threshold_is_idle(gpus: FakeGpus, jobs: list[int]) -> None:
    """Five percent asked for, four seen."""
    gpus.say("0.percent 4", f"0.process {jobs[0]} 4 {GIB}")
    source = source_of({jobs[0]: TRAIN}, threshold=5.0)
    assert [seen.verdict for seen in await see(source)] == [Verdict.IDLE]
    gpus.say("0.percent 5", f"0.process {jobs[0]} 5 {GIB}")
    assert [seen.resource for seen in await see(source)] == [TRAIN]


async def test_what_others_compute_on_a_gpu_is_no_evidence(gpus: FakeGpus, jobs: list[int]) -> None:
    """The driver names the process, and it is nobody's that counts."""
    gpus.say("0.percent 90", f"0.process {jobs[2]} 90 {GIB}")
    (seen,) = await see(source_of({jobs[0]: TRAIN}))
    assert (seen.resource, seen.verdict) == (HOST, Verdict.IDLE)
    assert "used by others" in seen.detail


async def test_where_the_driver_tells_no_processes_apart_the_gpu_counts(gpus: FakeGpus) -> None:
    """A card too old for figures of processes, and none seen to have it open: it holds all."""
    gpus.say("0.percent 40", f"0.processes {NOT_SUPPORTED}")
    (seen,) = await see(source_of({}))
    assert (seen.resource, seen.verdict, seen.value) == (EVERYTHING, Verdict.ACTIVE, 40)
    gpus.say("0.percent 0", f"0.processes {NOT_SUPPORTED}")
    assert [seen.verdict for seen in await see(source_of({}))] == [Verdict.IDLE]


async def test_in_a_container_pids_of_the_machine_are_not_taken_for_its_own(
    gpus: FakeGpus, jobs: list[int]
) -> None:
    """A pid that is not in the process table tells nothing of those that are: the GPU counts."""
    unseen = int(Path("/proc/sys/kernel/pid_max").read_text()) + 5
    gpus.say("0.percent 60", f"0.process {unseen} 60 {GIB}")
    (seen,) = await see(source_of({jobs[0]: TRAIN}))
    assert (seen.resource, seen.verdict, seen.value) == (EVERYTHING, Verdict.ACTIVE, 60)


async def test_a_busy_gpu_keeps_those_who_have_it_open(
    gpus: FakeGpus, jobs: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the process with the device's file open can be at work on it."""
    device = tmp_path / "nvidia0"
    device.touch()
    monkeypatch.setattr(gpu_module, "_DEVICE_FILES", str(device))
    with device.open() as file:
        holder = subprocess.Popen(["sleep", "600"], stdin=file)
    try:
        gpus.say("0.percent 60", f"0.processes {NOT_SUPPORTED}")
        seen = await see(source_of({jobs[0]: OTHER, holder.pid: TRAIN}))
    finally:
        holder.kill()
        holder.wait()
    assert [(one.resource, one.verdict) for one in seen] == [(TRAIN, Verdict.ACTIVE)]


async def test_use_between_two_looks_is_seen(gpus: FakeGpus) -> None:
    """The driver's samples since the last look count, not only this moment."""
    source = source_of({})
    gpus.say("0.percent 0", f"0.processes {NOT_SUPPORTED}")
    assert [seen.verdict for seen in await see(source)] == [Verdict.IDLE]
    gpus.say("0.percent 0", "0.samples 30", f"0.processes {NOT_SUPPORTED}")
    assert [seen.value for seen in await see(source)] == [30]


async def test_waking_a_gpu_up_is_not_taken_for_its_use(gpus: FakeGpus) -> None:
    """The first reading after the driver was opened is taken again a moment later."""

    def settled(seconds: float) -> None:
        assert seconds == 1.0
        gpus.say("0.percent 0")

    source = GpuSource(nobody, read=Nvml(sleep=settled).read)
    gpus.say("0.percent 100")
    assert [seen.verdict for seen in await see(source)] == [Verdict.IDLE]


async def test_with_mig_on_and_no_figures_a_gpu_is_unknown(gpus: FakeGpus) -> None:
    """Unknown, of an auxiliary source: kept for a while, and said why."""
    gpus.say(f"0.percent {NOT_SUPPORTED}", f"0.processes {NOT_SUPPORTED}", "0.mig 1")
    (seen,) = await see(source_of({}))
    assert (seen.resource, seen.verdict, seen.essential) == (EVERYTHING, Verdict.UNKNOWN, False)
    assert seen.detail == "GPU 0: the driver gives no figure of its use (MIG is on)"


async def test_a_gpu_that_disappears_is_unknown_and_then_gone(
    gpus: FakeGpus, jobs: list[int]
) -> None:
    """Its neighbour is read on; the driver is opened anew, and then says that there is one less."""
    source = source_of({jobs[0]: TRAIN})
    gpus.say("0.percent 0", count=2)
    assert [seen.verdict for seen in await see(source)] == [Verdict.IDLE, Verdict.IDLE]
    lost = f"1.handle {GPU_IS_LOST}"
    gpus.say("0.percent 9", f"0.process {jobs[0]} 9 {GIB}", lost, count=2)
    active, unknown = await see(source)
    assert (active.resource, active.verdict) == (TRAIN, Verdict.ACTIVE)
    assert (unknown.resource, unknown.verdict) == (EVERYTHING, Verdict.UNKNOWN)
    assert "GPU is lost" in unknown.detail
    gpus.say("0.percent 0", count=1)
    assert [seen.verdict for seen in await see(source)] == [Verdict.IDLE]
    assert gpus.calls().count("init") == 2
    gpus.say(count=0)
    assert await see(source) == []


async def test_a_driver_that_is_not_loaded_is_no_gpu_and_one_that_comes_is_seen(
    gpus: FakeGpus,
) -> None:
    """None, not unknown; and nothing is remembered against it."""
    source = source_of({})
    gpus.say(init=NOT_LOADED)
    assert await see(source) == []
    gpus.say("0.percent 0")
    assert [seen.verdict for seen in await see(source)] == [Verdict.IDLE]


async def test_a_driver_that_does_not_fit_its_library_is_unknown(gpus: FakeGpus) -> None:
    """After an update without a restart there is a GPU, and nobody can ask it."""
    gpus.say(init=MISMATCH)
    with pytest.raises(RuntimeError, match=r"cannot be asked: .*version mismatch"):
        await see(source_of({}))


async def test_a_driver_that_hangs_is_unknown_and_is_not_asked_twice_at_once(
    gpus: FakeGpus,
) -> None:
    """The look goes on without it, and a second thread does not join the first."""
    source = GpuSource(nobody, read=Nvml(settle_seconds=0).read, time_limit_seconds=0.3)
    gpus.say("0.percent 0", "0.hang 2")
    for _ in range(2):
        with pytest.raises(asyncio.TimeoutError):
            await see(source)
    assert gpus.calls().count("init") == 1
    gpus.say("0.percent 0")
    await asyncio.sleep(2)
    assert [seen.verdict for seen in await see(source)] == [Verdict.IDLE]


async def test_without_the_package_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the extra is not installed nothing is seen and nothing fails."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert await see(source_of({})) == []


async def test_a_gpu_that_nobody_can_ask_is_said_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is the device, but no package: the limitation says what to install."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert GpuSource(nobody).limitations == ()
    monkeypatch.setattr(gpu_module, "_DEVICE", str(tmp_path))
    (sentence,) = GpuSource(nobody).limitations
    assert "jupyter_idle_culler[gpu]" in sentence


def test_without_a_driver_there_is_no_gpu_and_making_the_source_loads_nothing() -> None:
    """In a process of its own, where there is no such library: none, and no cost before a look."""
    script = """if True:
        import asyncio, sys, time
        from jupyter_idle_culler.sources.base import Look
        from jupyter_idle_culler.sources.gpu import GpuSource
        source = GpuSource({}.get)
        assert "pynvml" not in sys.modules and "ctypes" not in sys.modules
        report = asyncio.run(source.observe(Look(time.monotonic())))
        print(report.observations, len(source.limitations))
        assert "pynvml" in sys.modules
    """
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.stdout.strip(), ran.stderr) == ("() 0", "")
