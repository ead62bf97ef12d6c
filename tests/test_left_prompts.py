"""Prompts of real kernels that end without an answer, and those that only seem to (K2, K3)."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

import pytest
from traitlets.config import Config

from .kernel_world import Client, World, Worlds, until, waits

pytestmark = pytest.mark.js214
BOTH_CHANNELS = pytest.mark.parametrize("through_rest", [True, False], ids=["rest", "control"])


TIMED_OUT = """
import signal
def no(*_): raise KeyboardInterrupt
signal.signal(signal.SIGALRM, no); signal.alarm(1)
try: input('go on? ')
except KeyboardInterrupt: pass
"""  # ipykernel's input() swallows every Exception and asks on.
LEFT_BY_A_TIMER = """
import _thread, subprocess, threading
threading.Timer(1, _thread.interrupt_main).start()
try: input('go on? ')
except KeyboardInterrupt: pass
"""
SLEEP = "import time; time.sleep(600)"
SUBPROCESS = "import subprocess; subprocess.run(['sleep', '600'], timeout=900)"
AWAIT = "import asyncio; await asyncio.sleep(600)"


@pytest.fixture
def jp_server_config() -> Config:
    """Leave the extension off: the source under test is attached by the test."""
    return Config({"ServerApp": {"jpserver_extensions": {"jupyter_idle_culler": False}}})


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what a thread does is in /proc")
@pytest.mark.parametrize(
    ("left", "then"),
    [
        (TIMED_OUT, SLEEP),
        (TIMED_OUT, AWAIT),  # An interrupt would not end a prompt of such a cell.
        (LEFT_BY_A_TIMER, SLEEP),
        (LEFT_BY_A_TIMER, SUBPROCESS),
    ],
    ids=["alarm-sleep", "alarm-await", "timer-sleep", "timer-subprocess"],
)
async def test_a_cell_that_left_its_prompt_in_silence_is_active(
    world: Worlds, left: str, then: str
) -> None:
    """K2, K3: nothing tells that the prompt is over but what the kernel's main thread does."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        request = tab.execute(left + then)
        await tab.message("stdin", "input_request", request)
        await until(lambda: here.active(kernel_id))
        for _ in range(5):
            assert await here.active(kernel_id)
        assert not here.source.prompts.open_prompts(kernel_id)


@BOTH_CHANNELS
async def test_a_cell_that_survives_the_interrupt_of_its_prompt_is_active(
    world: Worlds, through_rest: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K2, K3: an interrupt ends the prompt, not the cell; also where no main thread is seen."""
    monkeypatch.setattr(
        "jupyter_idle_culler.sources.prompt_polling.waiting_for_input", _see_nothing
    )
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        catching = "try: input('name? ')\nexcept KeyboardInterrupt: pass\n"
        request = tab.execute(catching + SLEEP)
        await tab.message("stdin", "input_request", request)
        await until(lambda: waits(here, kernel_id))
        if through_rest:
            await here.fetch("api", "kernels", kernel_id, "interrupt", method="POST", body="")
        else:
            tab.send("interrupt_request", channel="control")
        await until(lambda: here.active(kernel_id))


async def test_a_cell_that_writes_after_its_prompt_is_active(
    world: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K1, K3: output tells that a prompt is over, also where no main thread is seen."""
    monkeypatch.setattr(
        "jupyter_idle_culler.sources.prompt_polling.waiting_for_input", _see_nothing
    )
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        code = f"{TIMED_OUT}\nimport time; time.sleep(1); print('epoch'); time.sleep(600)"
        request = tab.execute(code)
        await tab.message("stdin", "input_request", request)
        assert await waits(here, kernel_id)
        await until(lambda: here.active(kernel_id))


async def test_output_that_was_written_before_a_prompt_leaves_it_open(world: Worlds) -> None:
    """K3: the text above a question is not an answer, nor is what another cell's thread prints."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        beat = "import threading, time\ndef beat():\n  while True: time.sleep(.2); print('.')\n"
        await tab.run(f"{beat}threading.Thread(target=beat, daemon=True).start()")
        request = tab.execute("print('a\\n' * 999)\nimport os; os.system('echo b')\ninput('c? ')")
        await tab.message("stdin", "input_request", request)
        await asyncio.sleep(1.5)
        for _ in range(5):
            assert await waits(here, kernel_id)


async def test_a_question_asked_again_after_an_interrupt_is_idle_since_then(
    world: Worlds,
) -> None:
    """K3: a cell that asks until it is answered waits for a person, as a debugger does."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        request = tab.execute("try: input('a? ')\nexcept KeyboardInterrupt: input('b? ')")
        await tab.message("stdin", "input_request", request)
        await until(lambda: waits(here, kernel_id))
        interrupted = time.monotonic()
        await here.fetch("api", "kernels", kernel_id, "interrupt", method="POST", body="")
        await until(lambda: _prompts(tab, 2))
        await until(lambda: waits(here, kernel_id))
        assert await here.evidence_at(kernel_id) >= interrupted


async def test_a_prompt_is_still_one_on_a_crowded_machine(world: Worlds) -> None:
    """K3: a kernel that gets little of the processor still polls, and is seen to."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        request = tab.execute("import os; os.nice(10); input('name? ')")
        await tab.message("stdin", "input_request", request)
        spin = [sys.executable, "-c", "while True: pass"]
        crowd = [subprocess.Popen(spin) for _ in range(2 * (os.cpu_count() or 1))]
        try:
            for _ in range(10):
                assert await waits(here, kernel_id)
        finally:
            for one in crowd:
                one.kill()
                one.wait()
        assert here.source.prompts.open_prompts(kernel_id)


async def test_a_stopped_kernel_keeps_its_prompt(world: Worlds) -> None:
    """K3, K8: a kernel that is stopped cannot poll, and has not left its prompt."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        request = tab.execute("input('name? ')")
        await tab.message("stdin", "input_request", request)
        await until(lambda: waits(here, kernel_id))
        pid = here.manager.get_kernel(kernel_id).provisioner.pid
        os.kill(pid, signal.SIGSTOP)
        await until(lambda: _detail(here, kernel_id, "stopped by a signal"))
        os.kill(pid, signal.SIGCONT)
        assert await waits(here, kernel_id)


def _see_nothing(pids: Sequence[int]) -> dict[int, None]:
    """Look at no main thread, as where there is no /proc."""
    return dict.fromkeys(pids)


async def _detail(here: World, kernel_id: str, detail: str) -> bool:
    return (await here.idle(kernel_id)).detail == detail


def _prompts(tab: Client, count: int) -> bool:
    types = [body["header"]["msg_type"] for _, body in tab.received]
    return types.count("input_request") >= count
