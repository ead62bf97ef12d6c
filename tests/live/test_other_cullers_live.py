"""jupyter_server's own cullers beside ours: named where they are on, harmless where taken over."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from .harness import LiveServer, wait_until
from .rows import (
    WORK,
    held_awake,
    is_culled,
    is_kept,
    joined,
    minutes,
    run_side_by_side,
    side_by_side,
    typing_in,
)

THEIRS = 4
"""Seconds after which theirs would end a kernel, a terminal, and the server."""
TIMEOUT = 8.0
IN_A_THREAD = f"import threading; threading.Thread(target=exec, args=({WORK!r},)).start()"
BUILTIN: dict[str, dict[str, Any]] = {
    "MappingKernelManager": {
        "cull_idle_timeout": THEIRS,
        "cull_interval": 1,
        "cull_connected": True,
    },
    "TerminalManager": {"cull_inactive_timeout": THEIRS, "cull_interval": 1},
    "ServerApp": {"shutdown_no_activity_timeout": 3600},
}
NAMES = ("cull_idle_timeout", "cull_inactive_timeout", "shutdown_no_activity_timeout")


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[None]]]:
    """Run the scenarios side by side."""
    tmp_path_factory.getbasetemp()  # made here: not by several threads at once
    yield from run_side_by_side(
        request, 2, lambda scenario: tmp_path_factory.mktemp("others", numbered=True)
    )


@pytest.mark.js214
@side_by_side
def test_cullers_that_are_on_are_named_and_end_what_works(home: Path) -> None:
    """In the log, in explain and in the health, with what would mend it. That they are on shows:
    they end a kernel with a computing thread and a terminal with a silent job, long before ours."""
    config = {"timeout_minutes": 60}
    with (
        LiveServer(home, config, server_config=BUILTIN) as server,
        joined(server) as working,
        typing_in(server) as terminal,
    ):
        working.execute(IN_A_THREAD)
        terminal.run("sleep 1000")
        explained = server.explain()
        for name in NAMES:
            (other,) = [one for one in explained["other_cullers"] if name in one]
            problems = explained["status"]["health"]["problems"]
            (problem,) = [one for one in problems if name in one["detail"]]
            assert problem["source"] == "other culler"
            assert "take_over_builtin_culling" in problem["mend"]
            assert f"another culler is on: {other}" in server.log
        assert explained["status"]["health"]["status"] == "degraded"
        wait_until(lambda: working.id not in server.kernel_ids(), "the end of the kernel")
        wait_until(lambda: terminal.name not in server.terminal_names(), "that of the terminal")


@pytest.mark.js214
@side_by_side
def test_after_a_take_over_what_works_survives_both(home: Path) -> None:
    """A kernel with a computing thread and a terminal with a silent job are kept, past any of the
    timeouts; an idle kernel goes by ours. The log says what was switched off, the health is ok."""
    config = {
        "timeout_minutes": minutes(TIMEOUT),
        "check_interval_seconds": 1,
        "take_over_builtin_culling": True,
    }
    server_config = {**BUILTIN, "ServerApp": {"shutdown_no_activity_timeout": THEIRS}}
    with (
        LiveServer(home, config, server_config=server_config) as server,
        held_awake(server) as let_go,
        joined(server) as working,
        joined(server) as idle,
        typing_in(server) as terminal,
    ):
        working.execute(IN_A_THREAD)
        terminal.run("sleep 1000")
        began = time.monotonic()
        let_go()
        idle.execute("1 + 1")
        decision = is_culled(server, idle.id, TIMEOUT, began, time.monotonic())
        assert "idle for 8" in decision["reason"], decision
        is_kept(server, working.id, TIMEOUT, "processes", "CPU")
        assert terminal.name in server.terminal_names()
        assert not server.ended
        assert server.explain()["other_cullers"] == []
        assert server.status()["health"] == {"status": "ok", "problems": []}
        for name in NAMES:
            assert any(
                "switched off another culler" in line and name in line
                for line in server.log.splitlines()
            ), name
