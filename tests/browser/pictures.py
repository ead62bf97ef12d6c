"""The pictures of the README: a lab in the middle of its work, and half a minute before a stop.

``make pictures`` writes them to ``docs/images``; a test run looks at the same without keeping it.
"""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import Browser, FloatRect, Locator

from .lab import make_lab, write_notebook
from .pages import in_the_lab, started
from .scenarios import Steps, Until, pause
from .widget import Widget

LARGEST_BYTES = 60_000
_MARGIN = 6
_SETTLING_SECONDS = 1.5
_WARNED = "This server stops in"


def take_pictures(browser: Browser, home: Path) -> Steps:
    """Take them all; each must be whole, and of the size that a README can bear."""
    config = {
        "timeout_minutes": 60,
        "kernel_timeout_minutes": 42,
        "hourly_price": 1.41,
        "stop_action": "server",
    }
    folder = Path(os.environ.get("PICTURES") or home / "pictures")
    folder.mkdir(parents=True, exist_ok=True)
    server = make_lab(home / "lab", config)
    for name in ("analysis.ipynb", "train.ipynb"):
        write_notebook(server, name, "import time\ntime.sleep(30)")
    server.start(wait=False)
    try:
        yield started(server)
        tab, widget = yield from in_the_lab(browser, server)
        train, analysis = tab.open("train.ipynb"), tab.open("analysis.ipynb")
        yield Until(lambda: train.kernel_id and analysis.kernel_id, "the kernels")
        terminal = server.terminal()
        terminal.run("top")
        terminal.read_until("load average")
        tab.page.set_viewport_size({"width": 1280, "height": 860})
        widget.open_panel()
        train.run_unseen()
        analysis.come_forward()
        yield Until(lambda: widget.says("active"), "the work")
        yield pause(_SETTLING_SECONDS)
        _take(widget, folder / "panel.png", widget.panel)
        soon = {"timeout_minutes": 1}
        server.request("PATCH", "api/idle-culler/v1/settings", soon)
        yield Until(lambda: widget.toast(_WARNED).count(), "the warning", 150)
        yield pause(_SETTLING_SECONDS)  # it slides in
        _take(widget, folder / "warning.png", widget.toast(_WARNED))
        right = tab.page.locator("#jp-main-statusbar .jp-StatusBar-Right")
        _take(widget, folder / "status-bar.png", widget.status_item, right)
        terminal.close()
        tab.close()
    finally:
        server.close()


def _take(widget: Widget, path: Path, *parts: Locator) -> None:
    """Take a picture of what holds these parts."""
    boxes = [box for part in parts if (box := part.bounding_box()) is not None]
    assert len(boxes) == len(parts), f"for {path.name} not all is to be seen"
    left = max(min(box["x"] for box in boxes) - _MARGIN, 0)
    top = max(min(box["y"] for box in boxes) - _MARGIN, 0)
    right = max(box["x"] + box["width"] for box in boxes) + _MARGIN
    bottom = max(box["y"] + box["height"] for box in boxes) + _MARGIN
    size = widget.page.viewport_size
    assert size is not None
    clip: FloatRect = {
        "x": left,
        "y": top,
        "width": min(right, size["width"]) - left,
        "height": min(bottom, size["height"]) - top,
    }
    widget.page.screenshot(path=path, clip=clip)
    assert 1000 < path.stat().st_size <= LARGEST_BYTES, path
