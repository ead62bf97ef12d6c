"""Other cullers beside this one: found, named, and switched off where that is asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from traitlets.config import Config

from jupyter_idle_culler.other_cullers import find_other_cullers, take_over

Ask = Callable[..., Awaitable[Any]]


@pytest.fixture
def jp_server_config() -> Config:
    """Start a server that has all of its own cullers on, at a second's notice."""
    return Config(
        {
            "ServerApp": {
                "jpserver_extensions": {"jupyter_server_terminals": True},
                "shutdown_no_activity_timeout": 1,
            },
            "MappingKernelManager": {
                "cull_idle_timeout": 1,
                "cull_interval": 1,
                "cull_busy": True,
                "cull_connected": True,
            },
            "TerminalManager": {"cull_inactive_timeout": 1, "cull_interval": 1},
        }
    )


@pytest.fixture
def stops(jp_serverapp: Any) -> list[str]:
    """Note each stop of the server instead of stopping it."""
    noted: list[str] = []
    jp_serverapp.stop = lambda *_: noted.append("stop")
    return noted


def test_each_of_the_servers_own_cullers_is_named_with_what_it_would_end(
    jp_serverapp: Any,
) -> None:
    """The setting as a user writes it, its value, and the wrong it does."""
    found = find_other_cullers(jp_serverapp, {})
    assert [(one.name.split(".")[1], one.value, one.can_take_over) for one in found] == [
        ("cull_idle_timeout", "1 s", True),
        ("cull_inactive_timeout", "1 s", True),
        ("shutdown_no_activity_timeout", "1 s", True),
    ]
    assert "cull_busy" in str(found[0])
    assert "cull_connected" in str(found[0])
    assert all(one.is_problem for one in found)


def test_a_hub_is_named_and_is_no_fault(jp_serverapp: Any) -> None:
    """Whether it culls is its administrator's; nothing here can switch it off."""
    found = find_other_cullers(jp_serverapp, {"JUPYTERHUB_API_TOKEN": "secret"})
    (hub,) = [one for one in found if one.name == "JupyterHub"]
    assert not hub.can_take_over
    assert not hub.is_problem
    assert "secret" not in str(hub)


@pytest.mark.parametrize("taken_over", [True, False])
async def test_what_was_taken_over_ends_nothing_any_more(
    taken_over: bool, jp_fetch: Ask, jp_serverapp: Any, stops: list[str]
) -> None:
    """A kernel and a terminal outlive timers that run already; otherwise those end both."""
    kernels = jp_serverapp.kernel_manager
    terminals = jp_serverapp.web_app.settings["terminal_manager"]
    kernel_id = await kernels.start_kernel()
    name = json.loads((await jp_fetch("api", "terminals", method="POST", body="")).body)["name"]
    assert kernels._culler_callback.is_running()
    assert terminals._culler_callback.is_running()
    if taken_over:
        assert len(take_over(jp_serverapp)) == 3
        assert find_other_cullers(jp_serverapp, {}) == ()
        assert take_over(jp_serverapp) == ()
    for _ in range(50 if taken_over else 300):
        if kernel_id not in kernels and name not in terminals.terminals:
            break
        await asyncio.sleep(0.1)
    assert (kernel_id in kernels, name in terminals.terminals) == (taken_over, taken_over)
    await kernels.shutdown_all()
    await terminals.terminate_all()
    await asyncio.sleep(1.1)
    jp_serverapp.shutdown_no_activity()
    assert stops == ([] if taken_over else ["stop"])


async def test_kernels_and_terminals_begun_after_the_take_over_are_left_alone(
    jp_fetch: Ask, jp_serverapp: Any
) -> None:
    """Their cullers begin with the first of them: not after this."""
    take_over(jp_serverapp)
    await jp_serverapp.kernel_manager.start_kernel()
    await jp_fetch("api", "terminals", method="POST", body="")
    assert jp_serverapp.kernel_manager._culler_callback is None
    assert jp_serverapp.web_app.settings["terminal_manager"]._culler_callback is None
    await jp_serverapp.kernel_manager.shutdown_all()
    await jp_serverapp.web_app.settings["terminal_manager"].terminate_all()


class TestOfAPlainServer:
    """A server that nobody configured."""

    @pytest.fixture
    def jp_server_config(self) -> Config:
        """Start it as it comes."""
        return Config()

    def test_nothing_is_found_where_nothing_is_on(self, jp_serverapp: Any) -> None:
        """Nor is anything changed by a take-over, with no terminals there at all."""
        assert find_other_cullers(jp_serverapp, {}) == ()
        assert take_over(jp_serverapp) == ()
        assert jp_serverapp.shutdown_no_activity_timeout == 0
