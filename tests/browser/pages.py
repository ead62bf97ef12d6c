"""What scenarios wait for before they begin: a server that answers, a page that has come up."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

from playwright.sync_api import Browser

from tests.live.harness import LiveServer

from .lab import write_notebook
from .scenarios import Until
from .tab import Document, Tab
from .widget import Widget

HEARTBEAT = """import threading, time
def beat():
    while True:
        time.sleep(1)
        print('beat')
threading.Thread(target=beat, daemon=True).start()"""


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


def notebook_in(
    tab: Tab, server: LiveServer, name: str, cell: str
) -> Generator[Until, Any, tuple[Document, str]]:
    """Open a notebook of one cell; return it and its kernel, once that is ready."""
    write_notebook(server, name, cell)
    notebook = tab.open(name)
    kernel_id = yield Until(lambda: notebook.kernel_id, f"the kernel of {name}")
    return notebook, f"kernel:{kernel_id}"


def stops_in(server: LiveServer) -> float:
    """Return the seconds until a host stops."""
    seconds = server.status()["host"]["stops_in_seconds"]
    assert seconds is not None, server.status()
    return float(seconds)
