"""Record what a JupyterLab that stands open sends: ``python -m tests.browser.record``.

Writes ``tests/fixtures/lab_idle_requests.json``, which ``tests/live/test_open_lab.py`` sends again
without a browser, to the oldest jupyter_server too. Takes two minutes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .lab import chromium, make_lab, write_notebook
from .tab import Document, Tab
from .traffic import Sent

RECORD = Path(__file__).parent.parent / "fixtures" / "lab_idle_requests.json"
QUERIES = r"printf '\033[c\033[6n\033]10;?\007\033]11;?\007'" + "\n"
_SETTLING_MS = 15_000
_MINUTE_MS = 60_000


def main() -> None:
    """Open a notebook and a terminal, do nothing for a minute, then what may happen to a page."""
    phases: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as home, chromium() as browser:
        server = make_lab(Path(home), {"timeout_minutes": 60, "stop_action": "none"}, widget=False)
        write_notebook(server, "idle.ipynb", "1 + 1")
        with server:
            tab = Tab(browser, server)
            notebook = tab.open("idle.ipynb")
            kernel = _kernel_of(notebook)
            notebook.run_cell()
            terminal = server.request("POST", "api/terminals")["name"]
            tab.open_terminal(terminal).type_in_terminal(QUERIES)
            names = {kernel: "{kernel}", tab.workspace: "{workspace}"}
            names |= {one["id"]: "{session}" for one in server.request("GET", "api/sessions")}
            names[f"terminals/websocket/{terminal}"] = "terminals/websocket/{terminal}"
            tab.page.wait_for_timeout(_SETTLING_MS)

            def recorded(act: Any, wait_ms: int) -> dict[str, Any]:
                sent, opened = len(tab.traffic.sent), len(tab.traffic.sockets_opened)
                act()
                tab.page.wait_for_timeout(wait_ms)
                traffic = tab.traffic
                return _phase(traffic.sockets_opened[opened:], traffic.sent[sent:], names)

            smaller = {"width": 800, "height": 600}
            phases["idle_minute"] = recorded(lambda: None, _MINUTE_MS)
            phases["resize"] = recorded(lambda: tab.page.set_viewport_size(smaller), 2_000)  # type: ignore[arg-type] # a TypedDict
            phases["reload"] = recorded(tab.reload, _SETTLING_MS)
            tab.lose_connection()
            tab.page.wait_for_timeout(2_000)
            phases["reconnect"] = recorded(tab.find_connection, _SETTLING_MS)
    versions = {name: version(name) for name in ("jupyterlab", "jupyter_server", "ipywidgets")}
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps({"versions": versions, **phases}, indent=1) + "\n")


def _kernel_of(notebook: Document) -> str:
    while (kernel := notebook.kernel_id) is None:
        notebook.tab.page.wait_for_timeout(200)
    return kernel


def _phase(opened: list[str], sent: list[Sent], names: Mapping[str, str]) -> dict[str, Any]:
    """Count what was sent; in the order in which each was sent first."""
    counts: dict[str, int] = {}
    for one in sent:
        entry: dict[str, Any] = {"verb": one.verb, "path": one.path}
        if one.verb == "websocket":
            entry["path"] = one.path.partition("?")[0]
            entry["message"] = one.content
        elif one.content is not None and one.path.startswith("/api/"):
            entry["body"] = one.content
        text = _named(json.dumps(entry), names)
        counts[text] = counts.get(text, 0) + 1
    sockets = [_named(path.partition("?")[0], names) for path in opened]
    return {
        "sockets": sockets,
        "sent": [{**json.loads(text), "count": count} for text, count in counts.items()],
    }


def _named(text: str, names: Mapping[str, str]) -> str:
    for value, name in names.items():
        text = text.replace(value, name)
    return text


if __name__ == "__main__":
    main()
