"""Turns of real kernels: what counts is what a person or program asked for (K1, K2, K5, K6)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
import zmq
from traitlets.config import Config

from jupyter_idle_culler.core.model import Strength
from jupyter_idle_culler.sources.prompts import PromptWatch
from jupyter_idle_culler.sources.turns import KernelTurns

from .kernel_world import World, Worlds, until

pytestmark = pytest.mark.js214
_TAIL = {"hist_access_type": "tail", "n": 1, "output": False, "raw": True}


@pytest.fixture
def jp_server_config() -> Config:
    """Leave the extension off: the source under test is attached by the test."""
    return Config({"ServerApp": {"jpserver_extensions": {"jupyter_idle_culler": False}}})


async def test_a_silent_cell_is_active_until_it_ends(world: Worlds) -> None:
    """K1, K2: a cell that sleeps is occupied all along; its end is the newest evidence."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        request = tab.execute("import time; time.sleep(2)")
        active = await until(lambda: here.active(kernel_id))
        assert active.strength is Strength.OCCUPIED
        assert active.at is None
        assert active.detail.startswith("cell running for")
        await tab.message("iopub", "execute_input", request)  # the last that it says before its end
        started_at = await here.evidence_at(kernel_id)
        await asyncio.sleep(0.7)
        assert await here.active(kernel_id)
        assert await here.evidence_at(kernel_id) == started_at
        before_end = time.monotonic()
        await tab.replied(request)
        await until(lambda: _idle(here, kernel_id))
        assert before_end <= await here.evidence_at(kernel_id) <= time.monotonic()


async def test_a_printing_cell_is_work_at_each_output(world: Worlds) -> None:
    """K1: output of a running cell moves its evidence, so that a cap on quiet cells spares it."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        tab.execute("import time\nfor i in range(100): print(i, flush=True); time.sleep(0.3)")
        await until(lambda: here.active(kernel_id))
        first = await here.evidence_at(kernel_id)
        await until(lambda: _later(here, kernel_id, first + 0.5))
        assert await here.active(kernel_id)


async def test_output_of_a_background_thread_is_no_evidence(world: Worlds) -> None:
    """K5: a thread that prints after its cell ended leaves the kernel idle since that end."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        await tab.run(
            "import threading, time\n"
            "def beat():\n"
            "    for i in range(600): print('beat', i, flush=True); time.sleep(0.1)\n"
            "threading.Thread(target=beat, daemon=True).start()"
        )
        await until(lambda: _idle(here, kernel_id))
        ended_at = await here.evidence_at(kernel_id)
        heard = len(tab.received)
        await until(lambda: len(tab.received) > heard + 5, "output of the thread")
        assert not await here.active(kernel_id)
        assert await here.evidence_at(kernel_id) == ended_at


@pytest.mark.parametrize(
    ("message_type", "content", "channel"),
    [
        ("kernel_info_request", {}, "shell"),
        ("kernel_info_request", {}, "control"),
        ("comm_info_request", {}, "shell"),
        ("history_request", _TAIL, "shell"),
        ("is_complete_request", {"code": "1"}, "shell"),
        ("complete_request", {"code": "im", "cursor_pos": 2}, "shell"),
        ("inspect_request", {"code": "int", "cursor_pos": 3, "detail_level": 0}, "shell"),
        ("usage_request", {}, "control"),
        ("debug_request", {"seq": 1, "type": "request", "command": "debugInfo"}, "control"),
    ],
)  # fmt: skip
async def test_what_a_tab_asks_by_itself_is_no_evidence(
    world: Worlds, message_type: str, content: dict[str, Any], channel: str
) -> None:
    """K6: requests that a page sends on its own neither make a kernel active nor move anything."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        await tab.run("%config Completer.use_jedi = False")  # it takes seconds at first
        await until(lambda: _idle(here, kernel_id))
        evidence_at = await here.evidence_at(kernel_id)
        for _ in range(3):
            request = tab.send(message_type, content, channel)
            assert not await here.active(kernel_id)
            await tab.replied(request, channel)
        await asyncio.sleep(0.2)
        assert not await here.active(kernel_id)
        assert await here.evidence_at(kernel_id) == evidence_at


async def test_reconnecting_tabs_and_rest_polls_are_no_evidence(world: Worlds) -> None:
    """K6: tabs that come and go, and polls of the lists, leave a kernel as idle as it was."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        await tab.run("1")
        await until(lambda: _idle(here, kernel_id))
        evidence_at = await here.evidence_at(kernel_id)
        for _ in range(3):
            again = await here.connect(kernel_id)
            await here.fetch("api", "kernels")
            await here.fetch("api", "kernels", kernel_id)
            await here.sessions()
            await again.close()
            assert not await here.active(kernel_id)
        assert await here.evidence_at(kernel_id) == evidence_at


async def test_a_control_request_does_not_end_the_cell_around_it(world: Worlds) -> None:
    """K1: a usage or kernel_info request in the middle of a cell leaves it active."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        request = tab.execute("import time; time.sleep(6)")
        await until(lambda: here.active(kernel_id))
        for message_type in ("usage_request", "kernel_info_request"):
            await tab.replied(tab.send(message_type, channel="control"), "control")
        await asyncio.sleep(0.2)
        assert not [b for _, b in tab.received if b["header"]["msg_type"] == "execute_reply"]
        assert await here.active(kernel_id)
        await tab.replied(request)
        await until(lambda: _idle(here, kernel_id))


async def test_a_cell_whose_begin_was_not_heard_is_active_all_the_same(world: Worlds) -> None:
    """K1: a fast client's first cell may begin before the subscription to its kernel stands."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        iopub = here.source._turns._subscriptions[kernel_id].stream.socket
        iopub.setsockopt(zmq.UNSUBSCRIBE, b"")
        await asyncio.sleep(0.2)
        request = tab.execute("import time; time.sleep(4)")
        short = tab.execute("1")
        assert await here.active(kernel_id)
        await tab.message("iopub", "execute_input", request)
        iopub.setsockopt(zmq.SUBSCRIBE, b"")
        for message_type in ("usage_request", "kernel_info_request"):
            await tab.replied(tab.send(message_type, channel="control"), "control")
        iopub.setsockopt(zmq.UNSUBSCRIBE, b"")
        assert await here.active(kernel_id)
        await tab.replied(request)
        before = time.monotonic()
        await tab.replied(short)
        await until(lambda: _idle(here, kernel_id))
        assert before - 1.0 <= await here.evidence_at(kernel_id) <= time.monotonic()


async def test_a_second_cell_that_waits_its_turn_is_still_to_come(world: Worlds) -> None:
    """K1: the kernel stays active through two cells, and is idle after the second."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        first = tab.execute("import time; time.sleep(1)")
        second = tab.execute("time.sleep(2)")
        await tab.replied(first)
        await until(lambda: here.active(kernel_id))
        await tab.replied(second)
        await until(lambda: _idle(here, kernel_id))


async def test_a_widget_callback_counts_but_the_widget_managers_refresh_does_not(
    world: Worlds,
) -> None:
    """K6: comm messages are evidence, except the question for the state after a reconnect."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        await tab.run(
            "from comm import get_comm_manager\n"
            "get_comm_manager().register_target('tests', lambda comm, message: None)\n"
            "get_comm_manager().register_target('jupyter.widget.control', lambda c, m: None)"
        )
        await until(lambda: _idle(here, kernel_id))
        before = await here.evidence_at(kernel_id)
        control = {"comm_id": "c1", "target_name": "jupyter.widget.control", "data": {}}
        tab.send("comm_open", control)
        tab.send("comm_msg", {"comm_id": "c1", "data": {"method": "request_states"}})
        tab.send("comm_close", {"comm_id": "c1", "data": {}})
        tab.send("comm_msg", {"comm_id": "unknown", "data": {"method": "request_state"}})
        await tab.replied(tab.send("kernel_info_request"))
        assert not await here.active(kernel_id)
        assert await here.evidence_at(kernel_id) == before
        tab.send("comm_open", {"comm_id": "c2", "target_name": "tests", "data": {}})
        await until(lambda: _later(here, kernel_id, before))
        opened_at = await here.evidence_at(kernel_id)
        tab.send("comm_msg", {"comm_id": "c2", "data": {"method": "update", "state": {}}})
        await until(lambda: _later(here, kernel_id, opened_at))


async def test_a_restart_in_the_middle_of_a_cell_ends_its_turn(world: Worlds) -> None:
    """K1: what ran is gone with the process, and a cell of the new process is seen again."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        tab.execute("import time; time.sleep(600)")
        await until(lambda: here.active(kernel_id))
        before = await here.resource(kernel_id)
        await here.fetch("api", "kernels", kernel_id, "restart", method="POST", body="")
        await until(lambda: _idle(here, kernel_id))
        after = await here.resource(kernel_id)
        assert after.pid != before.pid
        assert after.started_at > before.started_at
        again = await here.connect(kernel_id)
        request = again.execute("import time; time.sleep(2)")
        await until(lambda: here.active(kernel_id))
        await again.replied(request)
        await until(lambda: _idle(here, kernel_id))


def _turns() -> tuple[KernelTurns, Callable[..., None]]:
    """Give turns that are fed by hand, for orders of messages that no kernel sends on demand."""
    import json

    instants = iter(range(1000))
    turns = KernelTurns("k", PromptWatch(lambda: 0.0), lambda: float(next(instants)), json.loads)

    def status(state: str, parent_id: str, parent_type: str, subshell: str | None = None) -> None:
        parent = {"msg_id": parent_id, "msg_type": parent_type, "subshell_id": subshell}
        parts = [{"msg_type": "status"}, parent, {}, {"execution_state": state}]
        frames = [b"kernel.status", b"<IDS|MSG>", b"signature"]
        turns.message([*frames, *(json.dumps(part).encode() for part in parts)])

    return turns, status


def test_a_lost_idle_does_not_keep_a_kernel_for_ever() -> None:
    """The next cell of the same shell ends a turn of which the end was not heard."""
    turns, status = _turns()
    status("busy", "a", "execute_request")
    status("busy", "b", "execute_request")
    status("idle", "b", "execute_request")
    assert not turns.open


def test_a_cell_of_a_subshell_does_not_end_that_of_the_main_shell() -> None:
    """Subshells run beside the main shell, each with turns of its own."""
    turns, status = _turns()
    status("busy", "a", "execute_request")
    status("busy", "b", "execute_request", "sub")
    status("idle", "b", "execute_request", "sub")
    assert list(turns.open) == ["a"]


def test_a_request_of_an_unknown_type_counts() -> None:
    """In doubt a kernel is kept: what is not known to be passive is work."""
    turns, status = _turns()
    status("busy", "a", "compile_everything_request")
    assert list(turns.open) == ["a"]
    status("idle", "a", "compile_everything_request")
    assert not turns.open
    assert turns.ended_at is not None


def test_a_nested_request_does_not_end_the_cell_that_handles_it() -> None:
    """A cell may let the kernel handle comm messages while it runs (jupyter_ui_poll does)."""
    turns, status = _turns()
    status("busy", "a", "execute_request")
    status("busy", "b", "comm_msg")
    status("idle", "b", "comm_msg")
    assert list(turns.open) == ["a"]


def test_busy_for_a_reason_that_was_not_heard_counts_until_the_shell_is_free() -> None:
    """Who comes late assumes work; a poll on the control channel does not end the assumption."""
    turns, status = _turns()
    turns.assume_busy()
    status("idle", "a", "usage_request")
    status("idle", "b", "kernel_info_request")
    assert turns.assumed_since is not None
    status("idle", "c", "execute_request")
    assert turns.assumed_since is None
    assert turns.ended_at is not None


async def _idle(here: World, kernel_id: str) -> bool:
    return await here.active(kernel_id) is None


async def _later(here: World, kernel_id: str, instant: float) -> bool:
    return await here.evidence_at(kernel_id) > instant
