"""Commands of the administrator's, run for real."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from jupyter_idle_culler.actions import run_command
from jupyter_idle_culler.actions.run_command import RunCommand

LOG = logging.getLogger("test")


def python(code: str) -> list[str]:
    """Return the argument list of a program in Python."""
    return [sys.executable, "-S", "-c", code]


async def until_gone(pid: int) -> bool:
    """Wait until a process is gone (or only a zombie that its parent has not seen)."""
    for _ in range(300):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        await asyncio.sleep(0.05)
    return False


async def test_a_command_that_succeeds_is_done(caplog: pytest.LogCaptureFixture) -> None:
    """What it printed is in the log."""
    caplog.set_level(logging.INFO)
    outcome = await RunCommand(python("print('backup done')"), LOG).run()
    assert outcome.ok
    assert "backup done" in caplog.text


async def test_a_command_that_fails_says_its_exit_code_and_last_error_line() -> None:
    """In the one sentence that the journal and the page show."""
    code = "import sys; sys.stderr.write('trying\\nbucket is gone\\n'); sys.exit(3)"
    outcome = await RunCommand(python(code), LOG, name="pre_stop_command").run()
    assert not outcome.ok
    assert "pre_stop_command" in outcome.detail
    assert outcome.detail.endswith("exit code 3: bucket is gone")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["/nonexistent/program"], "No such file"),
        (["/"], "ermission denied"),
        (["a\0b"], "null byte"),
        ([], "nothing to run"),
        ([""], "nothing to run"),
    ],
)
async def test_what_cannot_be_run_is_a_failed_outcome(argv: list[str], words: str) -> None:
    """Never an exception."""
    outcome = await RunCommand(argv, LOG).run()
    assert not outcome.ok
    assert words in outcome.detail


async def test_no_shell_reads_the_arguments(tmp_path: Path) -> None:
    """Quotes, semicolons and dollars arrive as they are."""
    odd = f"; touch {tmp_path}/x $HOME `id` 'q' *"
    code = "import sys; sys.exit(0 if sys.argv[1] == sys.argv[2] else 1)"
    assert (await RunCommand([*python(code), odd, odd], LOG).run()).ok
    assert list(tmp_path.iterdir()) == []


async def test_a_command_that_runs_too_long_is_ended_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its child too, and even one that ignores the request to end."""
    monkeypatch.setattr(run_command, "KILL_AFTER_SECONDS", 0.3)
    pids = tmp_path / "pids"
    child = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
    code = (
        "import os, signal, subprocess, sys, time; signal.signal(15, signal.SIG_IGN);"
        f"p = subprocess.Popen([sys.executable, '-S', '-c', {child!r}]);"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{p.pid}}'); time.sleep(600)"
    )
    outcome = await RunCommand(python(code), LOG, timeout_seconds=1.5).run()
    assert not outcome.ok
    assert "longer than 1.5 s" in outcome.detail
    for pid in map(int, pids.read_text().split()):
        assert await until_gone(pid)


async def test_a_command_dies_with_the_server_that_runs_it() -> None:
    """Cancelled with its task it is ended, and the cancellation goes on."""
    command = RunCommand(python("import time; time.sleep(600)"), LOG)
    task = asyncio.create_task(command.run())
    while command.pid is None:
        await asyncio.sleep(0.01)
    pid = command.pid
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await until_gone(pid)
    assert command.pid is None


async def test_endless_output_neither_blocks_nor_fills_the_memory(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Ten megabytes are read and all but the last few kilobytes forgotten."""
    caplog.set_level(logging.INFO)
    code = "import sys\nfor _ in range(10000): sys.stdout.write('x' * 1023 + '\\n')"
    assert (await RunCommand(python(code), LOG, timeout_seconds=60).run()).ok
    assert len(caplog.text) < 20_000


async def test_a_detached_child_that_keeps_the_pipes_open_holds_nothing_up(
    tmp_path: Path,
) -> None:
    """A daemon that a stop command starts lives on; the outcome comes at once."""
    pid_file = tmp_path / "pid"
    code = (
        "import subprocess, sys;"
        "p = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'],"
        f"start_new_session=True); open({str(pid_file)!r}, 'w').write(str(p.pid))"
    )
    began = time.monotonic()
    assert (await RunCommand(python(code), LOG).run()).ok
    assert time.monotonic() - began < 20
    daemon = int(pid_file.read_text())
    assert psutil.pid_exists(daemon)
    os.kill(daemon, 9)


async def test_commands_leave_no_task_and_no_thread_behind() -> None:
    """After they ran, the loop has only this test on it."""
    await RunCommand(python("pass"), LOG).run()
    await asyncio.sleep(0.1)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert not [t for t in threading.enumerate() if t.name.startswith("idle-culler")]
