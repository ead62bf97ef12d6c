"""One tab of a browser with JupyterLab in it, and the documents that stand open there."""

from __future__ import annotations

import uuid
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Error, Locator

from tests.live.harness import TOKEN, LiveServer

from .traffic import Traffic

_LOAD_MS = 60_000
_CLICK_MS = 10_000  # While one scenario tries to click, all others stand still.
# The sockets of a page are not within reach otherwise, and going offline does not close them.
_REMEMBER_SOCKETS = """
    window.sockets = [];
    window.WebSocket = class extends WebSocket {
        constructor(...given) { super(...given); window.sockets.push(this); }
    };
"""
_RESTORED = "() => window.jupyterapp && window.jupyterapp.restored.then(() => true)"
_IS_RESTORED = """() => {
    window.jupyterapp?.restored.then(() => { window.isRestored = true; });
    return window.isRestored === true;
}"""
_EXECUTE = "async ([name, given]) => (await window.jupyterapp.commands.execute(name, given))?.id"
_KERNEL = """id => {
    for (const widget of window.jupyterapp.shell.widgets('main')) {
        if (widget.id === id) {
            const kernel = widget.sessionContext?.session?.kernel;
            return kernel ? [kernel.id, kernel.connectionStatus, kernel.status] : null;
        }
    }
}"""
_OPEN_PATHS = """() => !window.jupyterapp ? [] : Array.from(
    window.jupyterapp.shell.widgets('main'),
    widget => [widget.id, widget.context?.path])"""


class Tab:
    """A tab with a lab of its own workspace, in a browser profile of its own."""

    def __init__(
        self,
        browser: Browser,
        server: LiveServer,
        *,
        path: str | None = None,
        context: BrowserContext | None = None,
        headers: dict[str, str] | None = None,
        wait: bool = True,
    ) -> None:
        """Open it.

        ``path`` None: a lab of its own workspace. ``context`` None: a browser profile of its own,
        which sends the ``headers``. ``wait`` False: `ready` tells when it is there.
        """
        self.context = context or browser.new_context(
            viewport={"width": 1100, "height": 800}, extra_http_headers=headers
        )
        self.context.set_default_timeout(_CLICK_MS)
        self.context.add_init_script(_REMEMBER_SOCKETS)
        self.page = self.context.new_page()
        self.traffic = Traffic(self.page, server.url)
        self.errors: list[str] = []
        """Exceptions that nothing in the page caught."""
        self.page.on("pageerror", lambda error: self.errors.append(f"{error}\n{error.stack}"))
        self.workspace = uuid.uuid4().hex[:8]
        self.page.goto(
            f"{server.url}{path or f'lab/workspaces/{self.workspace}'}?token={TOKEN}",
            timeout=_LOAD_MS,
            wait_until="load" if wait else "commit",
        )
        if wait:
            self.page.wait_for_function(_RESTORED, timeout=_LOAD_MS)

    @property
    def ready(self) -> bool:
        """Whether the application has come up, with what was open in it."""
        try:
            return bool(self.page.evaluate(_IS_RESTORED))
        except Error:  # it is just being loaded
            return False

    def close(self) -> None:
        """Close the tab."""
        self.context.close()

    def open(self, path: str) -> Document:
        """Open a document."""
        return Document(self, self.execute("docmanager:open", path=path))

    def open_terminal(self, name: str) -> Document:
        """Open a terminal that the server has."""
        return Document(self, self.execute("terminal:open", name=name))

    def reload(self) -> None:
        """Reload the page, and do not wait for what it brings back."""
        self.page.reload(timeout=_LOAD_MS, wait_until="commit")

    def reopened(self, path: str) -> Document | None:
        """Return a document that a reload brought back; None: not yet."""
        for widget_id, its_path in self.page.evaluate(_OPEN_PATHS):
            if its_path == path:
                return Document(self, widget_id)
        return None

    def saved_layouts(self) -> list[Any]:
        """Return what the lab has noted, each time, of what is to be opened after a reload."""
        path = f"/lab/api/workspaces/{self.workspace}"
        return [one.content for one in self.traffic.requests("PUT", path)]

    def lose_connection(self) -> None:
        """Cut the page off the server."""
        self.context.set_offline(True)

    def find_connection(self) -> None:
        """Let the page reach the server again; that its websockets are dead, it notices now."""
        self.context.set_offline(False)
        self.page.evaluate("() => window.sockets.forEach(socket => socket.close())")

    def execute(self, command: str, **given: Any) -> str:
        """Execute a command of the lab; return the id of the widget that comes of it."""
        return str(self.page.evaluate(_EXECUTE, [command, given]))


class Document:
    """A notebook, a text or a terminal that is open in a tab. It is brought to the front first."""

    def __init__(self, tab: Tab, widget_id: str) -> None:
        self.tab = tab
        self.widget_id = widget_id

    @property
    def kernel_id(self) -> str | None:
        """The kernel of a notebook once it is connected and idle, None before."""
        kernel_id, *states = self.tab.page.evaluate(_KERNEL, self.widget_id) or ("",)
        return str(kernel_id) if states == ["connected", "idle"] else None

    def find(self, selector: str) -> Locator:
        """Find something in it."""
        return self.tab.page.locator(f'[id="{self.widget_id}"]').locator(selector).first

    def shows(self, selector: str, text: str = "") -> bool:
        """Tell whether it shows something, in which this text stands."""
        found = self.find(selector)
        return found.count() > 0 and text in (found.text_content() or "")

    def come_forward(self) -> None:
        """Bring it to the front, as a click on its handle does."""
        self.tab.page.evaluate("id => window.jupyterapp.shell.activateById(id)", self.widget_id)

    def run_cell(self) -> None:
        """Click into the first cell and press Shift+Enter."""
        self.come_forward()
        self.find(".jp-Cell .cm-content").click()
        self.tab.page.keyboard.press("Shift+Enter")

    def run_unseen(self) -> None:
        """Run the first cell as a script does: no key is pressed, and nobody clicks."""
        self.come_forward()
        run = "() => { void window.jupyterapp.commands.execute('notebook:run-cell'); }"
        self.tab.page.evaluate(run)

    def answer(self, text: str) -> None:
        """Answer a prompt of a cell."""
        self.come_forward()
        self.find(".jp-Stdin-input").click()
        self.tab.page.keyboard.type(text + "\n")

    def type(self, text: str) -> None:
        """Click into a text, and type there."""
        self.come_forward()
        self.find(".cm-content").click()
        self.tab.page.keyboard.type(text)

    def type_in_terminal(self, text: str) -> None:
        """Click into a terminal, and type there."""
        self.come_forward()
        self.find(".xterm-screen").click()
        self.tab.page.keyboard.type(text)
