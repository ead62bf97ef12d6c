"""Prompts of real kernels, seen at the websocket (K3)."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest
import zmq
from traitlets.config import Config

from jupyter_idle_culler.sources.prompts import (
    PromptWatch,
    install_prompt_watch,
    is_watched,
    remove_prompt_watch,
)

from .kernel_world import V1, Client, World, Worlds, until, waits

pytestmark = pytest.mark.js214
BOTH_PROTOCOLS = pytest.mark.parametrize("protocol", [V1, None], ids=["v1", "json"])


@pytest.fixture
def jp_server_config() -> Config:
    """Leave the extension off: the source under test is attached by the test."""
    return Config({"ServerApp": {"jpserver_extensions": {"jupyter_idle_culler": False}}})


def answer(tab: Client, text: str) -> None:
    """Answer the prompt that the tab got."""
    tab.send("input_reply", {"value": text, "status": "ok"}, "stdin")


@BOTH_PROTOCOLS
@pytest.mark.parametrize("code", ["input('name? ')", "import getpass; getpass.getpass()"])
async def test_an_unanswered_prompt_is_idle_since_it_was_asked(
    world: Worlds, protocol: str | None, code: str
) -> None:
    """K3: a kernel that waits for a person (a password too) is idle, though its state is busy."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id, protocol=protocol)
        before = time.monotonic()
        request = tab.execute(code)
        await tab.message("stdin", "input_request", request)
        asked = time.monotonic()
        await until(lambda: waits(here, kernel_id))
        await asyncio.sleep(0.3)  # what it wrote just before the prompt may arrive just after it
        prompt_at = await here.evidence_at(kernel_id)
        assert before < prompt_at < asked + 1.0
        await asyncio.sleep(0.5)
        assert here.manager.get_kernel(kernel_id).execution_state == "busy"
        assert await waits(here, kernel_id)
        assert await here.evidence_at(kernel_id) == prompt_at


@BOTH_PROTOCOLS
async def test_an_answer_is_evidence_and_the_cell_goes_on(
    world: Worlds, protocol: str | None
) -> None:
    """K3: who answers is a person; what the cell then does is work as before the prompt."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id, protocol=protocol)
        request = tab.execute("input('go? '); import time; time.sleep(2)")
        await tab.message("stdin", "input_request", request)
        await until(lambda: waits(here, kernel_id))
        before = time.monotonic()
        answer(tab, "yes")
        await until(lambda: here.active(kernel_id))
        assert before <= await here.evidence_at(kernel_id) <= time.monotonic()
        await tab.replied(request)
        await until(lambda: _idle(here, kernel_id))
        assert "prompt" not in (await here.idle(kernel_id)).detail


async def test_a_prompt_of_a_cell_whose_begin_was_not_heard_is_idle(world: Worlds) -> None:
    """K3: also where the subscription to a new kernel stands only after its first cell began."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        iopub = here.source._turns._subscriptions[kernel_id].stream.socket
        iopub.setsockopt(zmq.UNSUBSCRIBE, b"")
        tab = await here.connect(kernel_id)
        request = tab.execute("input('go? '); import time; time.sleep(600)")
        await tab.message("stdin", "input_request", request)
        await until(lambda: _is_busy(here, kernel_id), "the server's own view")
        for _ in range(3):
            assert await waits(here, kernel_id)
        answer(tab, "yes")
        await until(lambda: here.active(kernel_id))


async def test_a_second_prompt_of_a_cell_counts_from_its_own_instant(world: Worlds) -> None:
    """K3: after an answer the next prompt of the same cell is idle from when it was asked."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        request = tab.execute("input('one? '); input('two? ')")
        await tab.message("stdin", "input_request", request)
        answer(tab, "1")
        answered = time.monotonic()
        await until(lambda: _prompts(tab, 2))
        await until(lambda: waits(here, kernel_id))
        assert await here.evidence_at(kernel_id) >= answered


async def test_an_interrupted_prompt_is_over(world: Worlds) -> None:
    """K3: an interrupt ends the cell, and the next cell is active as any."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        request = tab.execute("input('name? ')")
        await tab.message("stdin", "input_request", request)
        await until(lambda: waits(here, kernel_id))
        await here.fetch("api", "kernels", kernel_id, "interrupt", method="POST", body="")
        await tab.replied(request)
        tab.execute("import time; time.sleep(600)")
        await until(lambda: here.active(kernel_id))


async def test_a_prompt_outlives_the_tab_that_got_it(world: Worlds) -> None:
    """K3: closing the tab and opening it again leave the kernel idle since the prompt."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        request = tab.execute("input('name? ')")
        await tab.message("stdin", "input_request", request)
        await until(lambda: waits(here, kernel_id))
        await asyncio.sleep(0.3)
        prompt_at = await here.evidence_at(kernel_id)
        await tab.close()
        assert await waits(here, kernel_id)
        again = await here.connect(kernel_id, session_id=tab.session_id)
        again.send("kernel_info_request", channel="control")
        await asyncio.sleep(0.5)
        assert await waits(here, kernel_id)
        assert await here.evidence_at(kernel_id) == prompt_at


async def test_a_prompt_that_comes_after_the_tab_was_closed_is_found_in_the_buffer(
    world: Worlds,
) -> None:
    """K3: a prompt kept for the tab that is gone is idle from when it was found, also later on."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        tab.execute("import time; time.sleep(1.5); input('name? ')")
        await until(lambda: here.active(kernel_id))
        await tab.close()
        assert await here.active(kernel_id)
        await until(lambda: waits(here, kernel_id))
        await asyncio.sleep(0.3)
        found_at = await here.evidence_at(kernel_id)
        again = await here.connect(kernel_id, session_id=tab.session_id)
        await again.message("stdin", "input_request")
        assert await waits(here, kernel_id)
        assert await here.evidence_at(kernel_id) == found_at
        answer(again, "x")
        await until(lambda: _detail(here, kernel_id, "its last cell or request ended"))


async def test_a_restart_forgets_the_prompt(world: Worlds) -> None:
    """K3: a new process has no prompt open; its first cell is active."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        request = tab.execute("input('name? ')")
        await tab.message("stdin", "input_request", request)
        await until(lambda: waits(here, kernel_id))
        await here.fetch("api", "kernels", kernel_id, "restart", method="POST", body="")
        again = await here.connect(kernel_id)
        again.execute("import time; time.sleep(600)")
        await until(lambda: here.active(kernel_id))


def test_a_replaced_connection_class_is_left_alone() -> None:
    """A class that is none of jupyter_server's (jupyter_server_documents' own) is not touched."""

    class Foreign:
        pass

    settings: dict[str, Any] = {"kernel_websocket_connection_class": Foreign}
    log = logging.getLogger("tests.prompts")
    assert not install_prompt_watch(settings, PromptWatch(time.monotonic), log)
    assert settings == {"kernel_websocket_connection_class": Foreign}


def test_the_watch_can_be_removed(jp_serverapp: Any) -> None:
    """What was put into the settings is taken out again, and the subclass keeps its config name."""
    settings = jp_serverapp.web_app.settings
    original = settings["kernel_websocket_connection_class"]
    log = logging.getLogger("tests.prompts")
    assert install_prompt_watch(settings, PromptWatch(time.monotonic), log)
    watched = settings["kernel_websocket_connection_class"]
    assert is_watched(settings)
    assert watched is not original
    assert original.__name__ in watched.section_names()
    remove_prompt_watch(settings)
    assert settings["kernel_websocket_connection_class"] is original


async def test_a_broken_message_does_not_break_the_connection(world: Worlds) -> None:
    """What cannot be read is passed on as without the watch, and the tab goes on working."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        here.source.prompts.client_message = _explode  # type: ignore[method-assign, assignment]  # a fault
        reply = await tab.run("1")
        assert reply["content"]["status"] == "ok"


async def test_a_message_that_the_server_refuses_is_no_evidence(world: Worlds) -> None:
    """K6: what allowed_message_types keeps from the kernel does not count as sent to it."""
    async with world() as here:
        kernel_id = await here.start_kernel()
        tab = await here.connect(kernel_id)
        here.manager.allowed_message_types = ["kernel_info_request"]
        tab.execute("1")
        await tab.replied(tab.send("kernel_info_request"))
        assert await _idle(here, kernel_id)
        assert (await here.idle(kernel_id)).at is None


def _explode(*args: object) -> None:
    message = "broken on purpose"
    raise ValueError(message)


async def _idle(here: World, kernel_id: str) -> bool:
    return await here.active(kernel_id) is None


async def _detail(here: World, kernel_id: str, detail: str) -> bool:
    return (await here.idle(kernel_id)).detail == detail


def _is_busy(here: World, kernel_id: str) -> bool:
    return bool(here.manager.get_kernel(kernel_id).execution_state == "busy")


def _prompts(tab: Client, count: int) -> bool:
    types = [body["header"]["msg_type"] for _, body in tab.received]
    return types.count("input_request") >= count
