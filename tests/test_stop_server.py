"""Stopping the server itself (stop_action = server)."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from jupyter_idle_culler.actions.stop_server import StopServer
from jupyter_idle_culler.core.model import HOST, Action, Decision, Verdict

STOP = Decision(HOST, Action.STOP, Verdict.IDLE, "idle", 0.0)

EXTENSION = """
    import asyncio
    from jupyter_idle_culler.actions.stop_server import StopServer
    from tests.test_stop_server import STOP

    def _jupyter_server_extension_points():
        return [{"module": "stops_soon"}]

    def _load_jupyter_server_extension(serverapp):
        async def stop_soon():
            action = StopServer(serverapp)
            for _ in range(2):
                outcome = await action.apply(STOP)
                print("OUTCOME", outcome.ok, outcome.detail, flush=True)

        async def begin():
            await serverapp.kernel_manager.start_kernel()
            for pid in [m.provisioner.pid for m in serverapp.kernel_manager._kernels.values()]:
                print("KERNEL", pid, flush=True)
            await stop_soon()

        serverapp.io_loop.call_later(
            0.5, lambda: setattr(serverapp, "_task", asyncio.ensure_future(begin()))
        )
"""


def test_a_real_server_ends_cleanly_with_its_kernels(tmp_path: Path) -> None:
    """It answers for its outcome first, asks once, exits with 0, and leaves no kernel."""
    (tmp_path / "stops_soon.py").write_text(textwrap.dedent(EXTENSION))
    root = Path(__file__).parent.parent
    env = {
        **os.environ,
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{root}",
        **{f"JUPYTER_{n}_DIR": str(tmp_path / n) for n in ("CONFIG", "DATA", "RUNTIME")},
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "jupyter_server", "--no-browser", "--ip=127.0.0.1", "--port=0",
         "--allow-root", "--ServerApp.jpserver_extensions=stops_soon=True",
         "--ServerApp.jpserver_extensions=jupyter_idle_culler=False",
         "--IdentityProvider.token=secret", f"--ServerApp.root_dir={tmp_path}"],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=90,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    outcomes = [line for line in lines if line.startswith("OUTCOME")]
    assert outcomes == [
        "OUTCOME True the server was asked to stop",
        "OUTCOME True the server was already stopping",
    ], done.stdout
    complaints = lines[lines.index(outcomes[0]) :]
    assert not [line for line in complaints if line.startswith(("[W ", "[E "))], done.stdout
    (kernel,) = [int(line.split()[1]) for line in lines if line.startswith("KERNEL")]
    assert not Path(f"/proc/{kernel}").exists()


async def test_a_server_that_is_stopping_is_not_asked_again() -> None:
    """Stop once: what ^C began is left to it."""

    class Stopping:
        _stopping = True

        def stop(self) -> None:
            raise AssertionError

    assert (await StopServer(Stopping()).apply(STOP)).ok
