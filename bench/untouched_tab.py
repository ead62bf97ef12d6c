"""A tab that nobody touches: what it sends beyond a plain lab's, and what that counts for."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from playwright.sync_api import Browser, Request

from tests.browser.lab import chromium, make_lab, write_notebook
from tests.browser.tab import Tab
from tests.live.harness import LiveServer

from .figures import Figure
from .pages import beyond

_SETTLING_SECONDS = 20.0
_SAME_SECONDS = 0.5
_NAMES = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=/workspaces/)[^/]+")


def measure(quick: bool, seconds: float) -> Iterator[Figure]:
    """Let a notebook and a terminal stand open side by side in a plain lab and in one with it.

    The culler is on in both. Nothing falls due meanwhile, but its first minute ends.
    """
    del quick  # how long it takes is the figure
    config = {
        "timeout_minutes": 30 + seconds / 60,
        "startup_grace_minutes": 1,
        "stop_action": "server",
    }
    with tempfile.TemporaryDirectory(prefix="bench-") as home, chromium() as browser:
        plain = make_lab(Path(home, "plain"), config, widget=False)
        ours = make_lab(Path(home, "ours"), config)
        with plain, ours:
            tabs = [_Watched(browser, server) for server in (plain, ours)]
            tabs[0].wait(_SETTLING_SECONDS)
            for tab in tabs:
                tab.begin()
            tabs[0].wait(seconds)
            sent = [tab.sent() for tab in tabs]
            touched = tabs[1].touched()
            left = ours.status()["host"]
    assert left["verdict"] == "idle", left
    assert sent[0], "a plain lab polls"
    length = f"{seconds:g} s"
    more = beyond(*sent)
    told = [f"plain lab {sent[0].total()}, with the widget {sent[1].total()}", *sorted(more)]
    yield Figure(
        f"requests and messages of an untouched tab that a plain lab does not send, {length}",
        (more.total(),),
        "",
        "max",
        bound=0,
        compared="; ".join(told),
    )
    yield Figure(
        f"evidence that an untouched tab caused, {length}",
        (len(touched),),
        "",
        "max",
        bound=0,
        compared="; ".join(touched),
    )


class _Watched:
    """A tab with a notebook and a terminal, and what it sends."""

    def __init__(self, browser: Browser, server: LiveServer) -> None:
        self._server = server
        self._requests: list[str] = []
        write_notebook(server, "open.ipynb", "1 + 1")
        context = browser.new_context(viewport={"width": 1100, "height": 800})
        context.on("request", self._requested)
        self._tab = Tab(browser, server, context=context)
        notebook = self._tab.open("open.ipynb")
        while notebook.kernel_id is None:
            self.wait(0.2)
        notebook.run_unseen()
        self._tab.open_terminal(server.request("POST", "api/terminals")["name"])
        self._before: dict[str, str] = {}

    def wait(self, seconds: float) -> None:
        """Wait, and hear what all tabs send meanwhile."""
        self._tab.page.wait_for_timeout(1000 * seconds)

    def begin(self) -> None:
        """Count from now on."""
        assert self._tab.page.evaluate("() => document.visibilityState") == "visible"
        self._requests.clear()
        self._tab.traffic.sent.clear()
        self._before = self._evidence()

    def sent(self) -> Counter[str]:
        """Return how often it sent what."""
        assert not self._tab.errors, self._tab.errors
        messages = [
            f"{one.message_type} to {_named(urlsplit(one.path).path)}"
            for one in self._tab.traffic
            if one.verb == "websocket"
        ]
        return Counter([*self._requests, *messages])

    def touched(self) -> list[str]:
        """Name the host, kernels and terminals whose last evidence is another than it was."""
        now = self._evidence()
        assert now.keys() == self._before.keys(), "nothing ended"
        return [name for name, was in self._before.items() if not _same(was, now[name])]

    def _evidence(self) -> dict[str, str]:
        status: dict[str, Any] = self._server.status()
        assert status["kernels"], status
        assert status["terminals"], status
        resources = {one["id"]: one for one in [*status["kernels"], *status["terminals"]]}
        resources["host"] = status["host"]
        return {name: one["evidence"]["at"] for name, one in resources.items()}

    def _requested(self, request: Request) -> None:
        url = urlsplit(request.url)
        query = "&".join(name for name, _ in parse_qsl(url.query) if not name.isdigit())
        self._requests.append(f"{request.method} {_named(url.path)}?{query}".rstrip("?"))


def _named(path: str) -> str:
    return _NAMES.sub("ID", path)


def _same(one: str, other: str) -> bool:
    apart = datetime.fromisoformat(one) - datetime.fromisoformat(other)
    return abs(apart.total_seconds()) < _SAME_SECONDS
