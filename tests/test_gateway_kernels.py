"""Kernels behind a gateway (K10): a second real server plays the gateway."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_server.gateway.gateway_client import GatewayClient
from traitlets.config import Config

from jupyter_idle_culler.actions.cull_kernel import end_kernel
from jupyter_idle_culler.core.model import Verdict

from .kernel_world import World, Worlds, until


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a Jupyter server whose kernels are used by another one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = tmp_path / "gateway"
    home.mkdir()
    places = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")
    process = subprocess.Popen(
        [
            sys.executable, "-m", "jupyter_server", "--ip=127.0.0.1", f"--port={port}",
            "--ServerApp.port_retries=0", "--no-browser", "--allow-root",
            "--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True",
            "--ServerApp.allow_unauthenticated_access=True",
            f"--ServerApp.root_dir={home}",
            "--ServerApp.jpserver_extensions={'jupyter_idle_culler': False, 'jupyterlab': False}",
        ],
        env={**os.environ, **{f"JUPYTER_{place}": str(home / place) for place in places}},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}", process
    process.terminate()
    process.wait(30)


@pytest.fixture
def jp_server_config(gateway: tuple[str, subprocess.Popen[bytes]]) -> Iterator[Config]:
    """Use the gateway's kernels; leave the extension off."""
    GatewayClient.clear_instance()
    yield Config(
        {
            "ServerApp": {"jpserver_extensions": {"jupyter_idle_culler": False}},
            "GatewayClient": {"url": gateway[0]},
        }
    )
    GatewayClient.clear_instance()


async def test_a_remote_kernel_is_judged_by_its_reported_state(world: Worlds) -> None:
    """K10: busy is active, its end is evidence, no process is claimed, and the words say so."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        resource = await here.resource(kernel_id)
        assert resource.pid is None
        assert resource.facts["remote"] is True
        assert resource.label == "Python 3 (ipykernel)"
        assert not resource.dead
        assert any("gateway" in sentence for sentence in here.source.limitations)
        tab = await here.connect(kernel_id, protocol=None)
        request = tab.execute("import time; time.sleep(3)")
        await until(lambda: here.active(kernel_id))
        before_end = time.monotonic()
        await tab.replied(request)
        await until(lambda: _idle(here, kernel_id))
        seen = await here.idle(kernel_id)
        assert seen.at is not None
        assert seen.at >= before_end
        assert "remote: no process evidence" in seen.detail
        assert (await end_kernel(here.settings, kernel_id)).ok
        assert kernel_id not in here.manager


async def test_a_remote_prompt_is_idle(world: Worlds) -> None:
    """K3, K10: a prompt is seen on its way through this server."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id, protocol=None)
        request = tab.execute("input('name? ')")
        await tab.message("stdin", "input_request", request)
        await until(lambda: _waits(here, kernel_id))
        assert await here.active(kernel_id) is None
        await end_kernel(here.settings, kernel_id)


async def test_a_silent_gateway_makes_its_kernels_unknown(
    world: Worlds, gateway: tuple[str, subprocess.Popen[bytes]]
) -> None:
    """K10: what the gateway does not tell any more is not taken for idle."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        await here.look()
        gateway[1].kill()
        gateway[1].wait()
        _, seen = await here.look()
        assert [o.verdict for o in seen[kernel_id]] == [Verdict.UNKNOWN]
        assert "gateway" in seen[kernel_id][0].detail
        outcome = await end_kernel(here.settings, kernel_id)
        assert not outcome.ok
        here.manager.remove_kernel(kernel_id)


async def _idle(here: World, kernel_id: str) -> bool:
    return await here.active(kernel_id) is None


async def _waits(here: World, kernel_id: str) -> bool:
    return "prompt" in (await here.idle(kernel_id)).detail
