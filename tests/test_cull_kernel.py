"""Culling real kernels: what goes with them, and what is never killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from jupyter_idle_culler.actions.base import Outcome
from jupyter_idle_culler.actions.cull_kernel import CullKernel, end_all_kernels
from jupyter_idle_culler.actions.kernel_processes import KernelSession, SharedReading
from jupyter_idle_culler.core.model import Action, Decision, Kind, ResourceId, Verdict
from jupyter_idle_culler.sources.procfs import read_process, read_process_table

from .kernel_world import Client, World, Worlds, until

pytestmark = [
    pytest.mark.js214,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are seen in /proc"),
]


@pytest.fixture
def jp_server_config() -> Config:
    """Leave the extension off: the action under test is called by the test."""
    return Config({"ServerApp": {"jpserver_extensions": {"jupyter_idle_culler": False}}})


@pytest.fixture
def strays() -> Iterator[list[int]]:
    """Collect the pids that a test must not leave behind."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def cull(here: World, kernel_id: str) -> Outcome:
    """Have the action end a kernel."""
    resource = ResourceId(Kind.KERNEL, kernel_id)
    decision = Decision(resource, Action.CULL, Verdict.IDLE, "idle for 2 h", 0.0)
    return await CullKernel(here.settings).apply(decision)


async def pid_from(tab: Client, code: str) -> int:
    """Run a cell that prints a pid."""
    return int(await tab.text(tab.execute(code)))


def lives(pid: int) -> bool:
    """Tell whether a process runs (a zombie does not)."""
    process = read_process(pid)
    return process is not None and process.state not in "ZX"


def _ended(process: Any) -> bool:
    return process.poll() is not None


def detached_by(command: str) -> str:
    """Return a cell that starts a shell command in the background and prints the job's pid."""
    return (
        "import os, tempfile, time\n"
        "path = tempfile.mktemp()\n"
        f"os.system('{command} & echo $! > ' + path)\n"
        "print(open(path).read())"
    )


NOHUP = detached_by("nohup sleep 600 >/dev/null 2>&1")


async def test_the_sessions_of_a_kernel_go_with_it(world: Worlds) -> None:
    """Neither the kernel, nor its process, nor any of its sessions is left."""
    async with world() as here:
        kernel_id, _ = await here.start_session("a.ipynb")
        kernel = here.manager.get_kernel(kernel_id)
        await here.settings["session_manager"].create_session(
            path="b.ipynb", name="", type="notebook", kernel_id=kernel_id
        )
        pid = kernel.provisioner.pid
        assert len(await here.sessions()) == 2
        outcome = await cull(here, kernel_id)
        assert outcome == Outcome(True, "the kernel was shut down")
        assert kernel_id not in here.manager
        assert not lives(pid)
        assert await here.sessions() == []


async def test_a_kernel_without_a_session_goes_too(world: Worlds) -> None:
    """K9: a kernel of POST /api/kernels is culled as any, and a second time is no failure."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        assert (await cull(here, kernel_id)).ok
        assert kernel_id not in here.manager
        again = await cull(here, kernel_id)
        assert again == Outcome(True, "the kernel was gone already")


@pytest.mark.parametrize(
    "kwargs", ["", ", process_group=0"], ids=["its group", "a group of its own"]
)
async def test_an_ordinary_child_ends_with_its_kernel(
    world: Worlds, strays: list[int], kwargs: str
) -> None:
    """A Popen child ends, also where a shell's job control gave it a process group of its own."""
    if kwargs and sys.version_info < (3, 11):
        kwargs = ", preexec_fn=__import__('os').setpgrp"
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        code = f"import subprocess; print(subprocess.Popen(['sleep', '600']{kwargs}).pid)"
        child = await pid_from(tab, code)
        strays.append(child)
        outcome = await cull(here, kernel_id)
        assert outcome.ok
        assert f"sleep (pid {child}) ended with it" in outcome.detail
        assert not lives(child)


async def test_a_child_in_a_session_of_its_own_is_never_killed(
    world: Worlds, strays: list[int]
) -> None:
    """A job of `setsid` or start_new_session is detached, and outlives its kernel."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        code = (
            "import subprocess\n"
            "print(subprocess.Popen(['sleep', '600'], start_new_session=True).pid)"
        )
        child = await pid_from(tab, code)
        strays.append(child)
        assert (await cull(here, kernel_id)).ok
        await asyncio.sleep(0.5)
        assert lives(child)


@pytest.mark.parametrize(
    "code",
    [
        NOHUP,
        "import subprocess; print(subprocess.Popen(['nohup', 'sleep', '600']).pid)",
        "import subprocess, signal\n"
        "job = ['sh', '-c', 'nohup sh -c \"echo \\\\$\\\\$; sleep 600; true\" & wait']\n"
        "print(subprocess.Popen(job, stdout=subprocess.PIPE).stdout.readline().decode())",
    ],
    ids=["os.system", "a direct child", "under a shell that waits"],
)
async def test_a_nohup_job_is_never_killed(world: Worlds, strays: list[int], code: str) -> None:
    """A job that ignores SIGHUP lives on, though it is in the kernel's process group."""
    async with world() as here:
        kernel_id, _ = await here.start_session("a.ipynb")
        tab = await here.connect(kernel_id)
        job = await pid_from(tab, code)
        strays.append(job)
        kernel_pid = here.manager.get_kernel(kernel_id).provisioner.pid
        ordinary = await pid_from(
            tab, "import subprocess; print(subprocess.Popen(['sleep', '601']).pid)"
        )
        strays.append(ordinary)
        outcome = await cull(here, kernel_id)
        assert outcome.ok
        assert "was detached and runs on" in outcome.detail
        assert str(job) in outcome.detail
        await asyncio.sleep(0.5)
        assert lives(job)
        assert not lives(ordinary)
        assert not lives(kernel_pid)
        assert kernel_id not in here.manager
        assert await here.sessions() == []
        started = await here.start_kernel()
        assert (await cull(here, started)).ok


async def test_a_nohup_job_survives_the_culling_of_a_busy_and_of_a_dead_kernel(
    world: Worlds, strays: list[int]
) -> None:
    """A running cell is interrupted alone; the group of a process that ended gets no signal."""
    async with world() as here:
        for is_dead in (False, True):
            kernel_id = await here.start_kernel()
            kernel = here.manager.get_kernel(kernel_id)
            tab = await here.connect(kernel_id)
            job = await pid_from(tab, NOHUP)
            strays.append(job)
            if is_dead:
                kernel.stop_restarter()
                os.kill(kernel.provisioner.pid, signal.SIGKILL)
                process = kernel.provisioner.process
                await until(partial(_ended, process))
            else:
                tab.execute("import time; time.sleep(600)")
            outcome = await cull(here, kernel_id)
            assert outcome.ok, outcome
            assert lives(job)
            assert kernel_id not in here.manager


async def test_a_kernel_that_hangs_is_killed_in_bounded_time(world: Worlds) -> None:
    """A stopped kernel answers nothing; it is gone within seconds nevertheless."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        pid = here.manager.get_kernel(kernel_id).provisioner.pid
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        assert (await cull(here, kernel_id)).ok
        assert time.monotonic() - began < 25
        assert not lives(pid)


async def test_a_hanging_server_side_shutdown_is_cut_short(
    world: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the manager's own shutdown does not come back, the process is ended without it."""
    async with world() as here:
        kernel_id, _ = await here.start_session("a.ipynb")
        pid = here.manager.get_kernel(kernel_id).provisioner.pid

        async def never(*args: object, **kwargs: object) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr("jupyter_idle_culler.actions.cull_kernel._SHUTDOWN_SECONDS", 0.5)
        monkeypatch.setattr(here.manager.get_kernel(kernel_id), "shutdown_kernel", never)
        assert (await cull(here, kernel_id)).ok
        assert kernel_id not in here.manager
        assert not lives(pid)
        assert await here.sessions() == []


async def test_all_kernels_end_together(world: Worlds, strays: list[int]) -> None:
    """The stop of the host ends every kernel, and spares each one's detached jobs."""
    async with world() as here:
        kernel_ids = [await here.start_kernel() for _ in range(3)]
        tab = await here.connect(kernel_ids[0])
        job = await pid_from(tab, NOHUP)
        strays.append(job)
        outcomes = await end_all_kernels(here.settings)
        assert set(outcomes) == set(kernel_ids)
        assert all(outcome.ok for outcome in outcomes.values())
        assert here.manager.list_kernel_ids() == []
        assert lives(job)


def test_under_a_nohup_server_only_orphans_were_left_behind_on_purpose(
    tmp_path: Path, strays: list[int]
) -> None:
    """Where SIGHUP is ignored by inheritance, a child that has its parent is ordinary."""
    pids = tmp_path / "pids"
    script = (
        "import os, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '600']).pid\n"
        f"os.system('sleep 601 & echo $! > {pids}.job')\n"
        f"open('{pids}', 'w').write(f'{{child}}\\n')\n"
        "time.sleep(600)\n"
    )
    leader = subprocess.Popen(
        ["nohup", sys.executable, "-c", script], start_new_session=True, stdout=subprocess.DEVNULL
    )
    strays.append(leader.pid)
    deadline = time.monotonic() + 30
    while not (pids.exists() and pids.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    child, job = int(pids.read_text()), int(Path(f"{pids}.job").read_text())
    strays.extend([child, job])
    session = KernelSession(leader.pid)
    members = session.members(read_process_table().processes)
    assert [process.pid for process in members.ordinary] == [child]
    assert [process.pid for process in members.detached] == [job]
    leader.kill()
    leader.wait()
    left = asyncio.run(session.end_ordinary(SharedReading()))
    assert not lives(child)
    assert lives(job)
    assert [process.pid for process in left.detached] == [job]


def test_all_who_ask_at_once_share_a_reading_that_began_after_they_asked() -> None:
    """A process that was born before the question is in the answer, also while another runs."""

    async def ask() -> None:
        read = SharedReading()
        first = asyncio.create_task(read())
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # the first reading is under way now
        with subprocess.Popen(["sleep", "60"]) as born:
            later = await asyncio.gather(read(), read(), read())
            born.kill()
        await first
        assert all(born.pid in processes for processes in later)
        assert later[0] is later[1] is later[2]

    asyncio.run(ask())
