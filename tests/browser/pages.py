"""What scenarios wait for before they begin: a server that answers, a page that has come up."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

from playwright.sync_api import Browser

from tests.live.harness import LiveServer

from .scenarios import Until
from .tab import Tab
from .widget import Widget


def answering(server: LiveServer) -> Until:
    """Wait until a server answers, whether or not the culler is on in it."""

    def answers() -> bool:
        assert not server.ended, server.log[-3000:]
        with contextlib.suppress(OSError):
            code, _ = server.request("GET", "api/status", ok=False)
            return bool(code == 200)
        return False

    return Until(answers, f"the server; its log: {server.log_path}")


def started(server: LiveServer) -> Until:
    """Wait until the culler of a server has looked once."""
    return Until(lambda: server.answers, f"the server; its log: {server.log_path}")


def in_the_lab(
    browser: Browser, server: LiveServer, **given: Any
) -> Generator[Until, Any, tuple[Tab, Widget]]:
    """Open a tab (see `Tab`) and wait until the application in it has come up."""
    tab = Tab(browser, server, wait=False, **given)
    yield Until(lambda: tab.ready, "the lab")
    return tab, Widget(tab)
