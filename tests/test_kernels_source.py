"""What the kernels source finds out about real kernels (K7 to K10, kernelspec metadata, names)."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from jupyter_idle_culler.core.model import Kind, ResourceId, Verdict
from jupyter_idle_culler.sources.base import Look
from jupyter_idle_culler.sources.kernels import KernelsSource

from .kernel_world import World, Worlds, until

pytestmark = pytest.mark.js214


@pytest.fixture
def jp_server_config() -> Config:
    """Leave the extension off: the source under test is attached by the test."""
    return Config({"ServerApp": {"jpserver_extensions": {"jupyter_idle_culler": False}}})


def make_kernelspec(data_dir: Path, name: str, metadata: dict[str, Any]) -> None:
    """Install a kernelspec that runs the ipykernel of this Python."""
    folder = data_dir / "kernels" / name
    folder.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": name.title(), "language": "python", "metadata": metadata}
    (folder / "kernel.json").write_text(json.dumps(spec))


async def test_a_kernel_that_nobody_joined_is_starting_and_without_evidence(world: Worlds) -> None:
    """K7, K9: found without a session; idle since its start until a client is answered."""
    async with world() as here:
        before = time.monotonic()
        kernel_id = await here.start_kernel()
        after = time.monotonic()
        await asyncio.sleep(2)
        resource = await here.resource(kernel_id)
        assert resource.starting
        assert before <= resource.started_at <= after
        assert resource.pid == here.manager.get_kernel(kernel_id).provisioner.pid
        assert resource.label == "Python 3 (ipykernel)"
        assert (await here.idle(kernel_id)).at is None
        tab = await here.connect(kernel_id)
        resource = await here.resource(kernel_id)
        assert not resource.starting
        assert resource.connections == 1
        assert (await here.idle(kernel_id)).at is None
        await tab.close()
        await until(lambda: _connections(here, kernel_id, 0))


async def test_a_kernel_is_called_by_its_document(world: Worlds) -> None:
    """The label is the notebook's path, and follows a renaming when names are read anew."""
    async with world() as here:
        kernel_id, _ = await here.start_session("work/train.ipynb")
        resource = await here.resource(kernel_id)
        assert resource.label == "work/train.ipynb"
        assert resource.facts["path"] == "work/train.ipynb"
        assert resource.facts["display_name"] == "Python 3 (ipykernel)"


async def test_no_session_manager_hides_a_kernel(world: Worlds) -> None:
    """Names are only for people: without or with a broken session manager kernels are found."""
    async with world() as here:
        kernel_id = await here.start_kernel()

        class Broken:
            async def list_sessions(self) -> None:
                message = "broken on purpose"
                raise RuntimeError(message)

        for sessions in (None, Broken()):
            settings = {**here.settings, "session_manager": sessions}
            source = KernelsSource(settings, log=logging.getLogger("tests.kernels"))
            try:
                report = await source.observe(Look(now=time.monotonic()))
            finally:
                source.close()
            assert [resource.id.name for resource in report.resources] == [kernel_id]
            assert report.resources[0].label == "Python 3 (ipykernel)"


@pytest.mark.parametrize(
    ("metadata", "timeout", "holds"),
    [
        ({}, None, False),
        ({"cull_idle_timeout": 90}, 90.0, False),
        ({"cull_idle_timeout": 0}, math.inf, False),
        ({"idle_culler_hold_host": True}, None, True),
    ],
)
async def test_a_kernelspec_sets_its_own_timeout(
    world: Worlds, jp_data_dir: Path, metadata: dict[str, Any], timeout: float | None, holds: bool
) -> None:
    """cull_idle_timeout is seconds and 0 is never; idle_culler_hold_host holds the host."""
    make_kernelspec(jp_data_dir, "own", metadata)
    async with world() as here:
        kernel_id = await here.start_kernel("own")
        resource = await here.resource(kernel_id)
        assert resource.timeout_seconds == timeout
        assert resource.hold_host is holds
        assert resource.label == "Own"


@pytest.mark.parametrize("value", [-5, "3600", True, [1]])
async def test_a_bad_timeout_of_a_kernelspec_is_ignored_loudly_once(
    world: Worlds, jp_data_dir: Path, caplog: pytest.LogCaptureFixture, value: object
) -> None:
    """A value that is no number of seconds leaves the policy's timeout, and one line in the log."""
    make_kernelspec(jp_data_dir, "own", {"cull_idle_timeout": value})
    async with world() as here:
        kernel_id = await here.start_kernel("own")
        for _ in range(3):
            assert (await here.resource(kernel_id)).timeout_seconds is None
        lines = [r.getMessage() for r in caplog.records if "cull_idle_timeout" in r.getMessage()]
        assert len(lines) == 1
        assert repr(value) in lines[0]


async def test_a_crash_with_restarts_left_is_starting_and_then_a_new_kernel(world: Worlds) -> None:
    """K8: while jupyter_client is going to restart it, a kernel is not dead."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        tab.execute("import time; time.sleep(600)")
        await until(lambda: here.active(kernel_id))
        before = await here.resource(kernel_id)
        assert before.pid is not None
        os.kill(before.pid, signal.SIGKILL)
        states = set()

        async def again() -> bool:
            resource = await here.resource(kernel_id)
            states.add((resource.dead, resource.starting))
            return resource.pid not in (None, before.pid)

        await until(again, "the restart")
        assert (False, True) in states
        assert not any(dead for dead, _ in states)
        await asyncio.sleep(0.5)
        for _ in range(3):
            assert await _idle(here, kernel_id)
        # Stale (older servers sometimes hear the new kernel start), and not believed.
        assert here.manager.get_kernel(kernel_id).execution_state in ("busy", "starting")
        joined = await here.connect(kernel_id)
        joined.execute("import time; time.sleep(600)")
        await until(lambda: here.active(kernel_id))


async def test_a_kernel_is_followed_to_other_ports(world: Worlds) -> None:
    """K1: a restart that chooses new ports, as after an early crash, loses sight of nothing."""
    async with world() as here:
        here.manager.config.KernelManager.cache_ports = False
        kernel_id = await here.start_kernel()
        kernel = here.manager.get_kernel(kernel_id)
        ports = kernel.ports
        await kernel.restart_kernel(newports=True)
        assert kernel.ports != ports
        client = kernel.client()
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=30)
            client.execute("import time; time.sleep(600)")
            await until(lambda: here.active(kernel_id))
            turns = here.source._turns.of(kernel_id)
            assert turns is not None
            assert turns.open
        finally:
            client.stop_channels()


async def test_a_kernel_that_ended_for_good_is_dead(world: Worlds) -> None:
    """K8: with restarts switched off a kernel whose process ended stays listed, and is dead."""
    async with world() as here:
        here.app.config.KernelManager.autorestart = False
        here.manager.config.KernelManager.autorestart = False
        kernel_id = await here.start_kernel()
        kernel = here.manager.get_kernel(kernel_id)
        assert not kernel.autorestart
        tab = await here.connect(kernel_id)
        tab.execute("import time; time.sleep(600)")
        await until(lambda: here.active(kernel_id))
        os.kill(kernel.provisioner.pid, signal.SIGKILL)
        await until(lambda: _dead(here, kernel_id))
        assert not await here.active(kernel_id)
        assert (await here.resource(kernel_id)).pid is None


async def test_a_restart_that_never_happens_ends_in_death(
    world: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K8: a process that stays away although the restarter is on is dead after a while."""
    monkeypatch.setattr("jupyter_idle_culler.sources.kernels.RESTART_LIMIT_SECONDS", 1.0)
    async with world() as here:
        kernel_id = await here.start_kernel()
        kernel = here.manager.get_kernel(kernel_id)
        kernel._restarter._pcallback.stop()
        os.kill(kernel.provisioner.pid, signal.SIGKILL)
        await until(lambda: _starting_without_process(here, kernel_id))
        await until(lambda: _dead(here, kernel_id))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="states are read in /proc")
async def test_a_stopped_kernel_is_idle_since_its_last_evidence(world: Worlds) -> None:
    """K8: SIGSTOP makes a busy kernel idle since its last output; SIGCONT makes it active again."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        tab.execute("import time; time.sleep(600)")
        await until(lambda: here.active(kernel_id))
        await tab.message("iopub", "execute_input")  # the last that it says before it sleeps
        evidence_at = await here.evidence_at(kernel_id)
        pid = here.manager.get_kernel(kernel_id).provisioner.pid
        os.kill(pid, signal.SIGSTOP)
        await until(lambda: _idle(here, kernel_id))
        seen = await here.idle(kernel_id)
        assert seen.at == evidence_at
        assert seen.detail == "stopped by a signal"
        assert not (await here.resource(kernel_id)).dead
        os.kill(pid, signal.SIGCONT)
        await until(lambda: here.active(kernel_id))


async def test_without_a_process_table_kernels_are_seen_all_the_same(world: Worlds) -> None:
    """Where there is no /proc the messages still tell."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        tab.execute("import time; time.sleep(600)")
        await until(lambda: here.active(kernel_id))
        report = await here.source.observe(Look(now=time.monotonic()))
        assert Verdict.ACTIVE in {seen.verdict for seen in report.observations}


async def test_one_kernel_that_cannot_be_read_is_unknown_and_the_others_are_not(
    world: Worlds,
) -> None:
    """A broken kernel manager object makes its own kernel unknown, which keeps it."""
    async with world() as here:
        good, bad = await here.start_kernel(), await here.start_kernel()
        kernel = here.manager._kernels[bad]

        class Strange:
            kernel_id = bad
            owns_kernel = True
            provisioner = kernel.provisioner

        here.manager._kernels[bad] = Strange()
        try:
            resources, seen = await here.look()
        finally:
            here.manager._kernels[bad] = kernel
        assert set(resources) == {good, bad}
        assert [o.verdict for o in seen[bad]] == [Verdict.UNKNOWN]
        assert Verdict.UNKNOWN not in {o.verdict for o in seen[good]}


async def test_a_culled_kernel_is_forgotten(world: Worlds) -> None:
    """Nothing is kept of kernels that are gone: no subscription, no memory."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        await tab.run("1")
        await tab.close()
        await here.fetch("api", "kernels", kernel_id, method="DELETE")
        await until(lambda: here.source._turns.of(kernel_id) is None, "the end of the subscription")
        assert await here.look() == ({}, {})
        assert here.source._memories == {}
        assert here.source.prompts.evidence(kernel_id) is None


async def test_kernels_of_an_external_directory_are_watched_but_never_culled(
    world: Worlds, tmp_path: Path
) -> None:
    """A kernel that the server did not start has no timeout: ending it is not ours."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        await here.connect(kernel_id)
        source_file = Path(here.manager.get_kernel(kernel_id).connection_file)
        directory = tmp_path / "external"
        directory.mkdir()
        (directory / "other.json").write_text(source_file.read_text())
        here.manager.external_connection_dir = str(directory)
        try:
            resources, _ = await here.look()
            (external,) = set(resources) - {kernel_id}
            assert resources[external].timeout_seconds == math.inf
            assert resources[external].pid is None
        finally:
            here.manager.external_connection_dir = None
            here.source._manager._kernels.pop(external, None)


def test_the_source_speaks_for_every_kernel_and_is_essential() -> None:
    """A failure of the whole source is never left out of a decision."""
    assert KernelsSource.covers == ResourceId(Kind.KERNEL, "")
    assert KernelsSource.essential
    assert KernelsSource.name == "kernels"


async def test_a_replaced_connection_class_is_said(world: Worlds) -> None:
    """Where prompts cannot be seen, the limitations name the class that is in the way."""
    async with world() as here:
        assert not here.source.limitations

        class Foreign:
            pass

        watched = here.settings["kernel_websocket_connection_class"]
        here.settings["kernel_websocket_connection_class"] = Foreign
        assert "Foreign" in here.source.limitations[0]
        here.settings["kernel_websocket_connection_class"] = watched


async def _idle(here: World, kernel_id: str) -> bool:
    return await here.active(kernel_id) is None


async def _dead(here: World, kernel_id: str) -> bool:
    return (await here.resource(kernel_id)).dead


async def _starting_without_process(here: World, kernel_id: str) -> bool:
    resource = await here.resource(kernel_id)
    return resource.starting and resource.pid is None


async def _connections(here: World, kernel_id: str, count: int) -> bool:
    return (await here.resource(kernel_id)).connections == count
