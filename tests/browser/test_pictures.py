"""The pictures of the README: a lab in the middle of its work, half a minute before a stop.

``make pictures`` writes them to ``docs/images``; a test run looks at the same without keeping it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FloatRect, Locator

from tests.live.harness import wait_until

from .lab import make_lab, write_notebook
from .tab import Tab
from .widget import Widget

pytestmark = pytest.mark.timeout(300)

LARGEST_BYTES = 60_000
_MARGIN = 6
_SOON_MINUTES = 1
_WARNED = "This server stops in"


def taken(widget: Widget, name: str, *parts: Locator) -> Path:
    """Take a picture of what holds these parts; return where it lies."""
    boxes = [box for part in parts if (box := part.bounding_box()) is not None]
    assert len(boxes) == len(parts), f"of {name} not all is to be seen"
    left = min(box["x"] for box in boxes) - _MARGIN
    top = min(box["y"] for box in boxes) - _MARGIN
    right = max(box["x"] + box["width"] for box in boxes) + _MARGIN
    bottom = max(box["y"] + box["height"] for box in boxes) + _MARGIN
    size = widget.page.viewport_size
    assert size is not None
    clip: FloatRect = {
        "x": max(left, 0),
        "y": max(top, 0),
        "width": min(right, size["width"]) - max(left, 0),
        "height": min(bottom, size["height"]) - max(top, 0),
    }
    path = Path(os.environ["PICTURES"]) / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    widget.page.screenshot(path=path, clip=clip)
    return path


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the pictures where nobody keeps them, unless it was said where."""
    if "PICTURES" not in os.environ:
        monkeypatch.setenv("PICTURES", str(tmp_path / "pictures"))


@pytest.mark.usefixtures("pictures")
def test_status_bar_panel_and_warning_are_to_be_seen(browser: Browser, tmp_path: Path) -> None:
    """Each is there, whole and of the size that a README can bear."""
    config = {
        "timeout_minutes": 60,
        "kernel_timeout_minutes": 42,
        "hourly_price": 1.41,
        "stop_action": "server",
    }
    with make_lab(tmp_path, config) as server:
        for name in ("analysis.ipynb", "train.ipynb"):
            write_notebook(server, name, "import time\ntime.sleep(30)")
        tab = Tab(browser, server)
        widget = Widget(tab)
        train, analysis = tab.open("train.ipynb"), tab.open("analysis.ipynb")
        for notebook in (train, analysis):
            wait_until(lambda: notebook.kernel_id, "a kernel", pause_seconds=0.5)  # noqa: B023 - here
        terminal = server.terminal()
        terminal.run("top")
        terminal.read_until("load average")
        widget.open_panel()
        train.run_unseen()
        analysis.come_forward()
        tab.page.set_viewport_size({"width": 1280, "height": 860})
        wait_until(lambda: widget.says("active"), "the work", pause_seconds=0.2)
        tab.page.wait_for_timeout(1500)
        active = taken(widget, "panel", widget.panel)
        soon = {"timeout_minutes": _SOON_MINUTES}
        server.request("PATCH", "api/idle-culler/v1/settings", soon)
        said = lambda: widget.toast(_WARNED).count()  # noqa: E731 - it is short
        wait_until(said, "the warning", 60 * _SOON_MINUTES + 60, pause_seconds=0.5)
        tab.page.wait_for_timeout(1500)  # it slides in
        warning = taken(widget, "warning", widget.toast(_WARNED))
        right = tab.page.locator("#jp-main-statusbar .jp-StatusBar-Right")
        status_bar = taken(widget, "status-bar", widget.status_item, right)
        tab.page.screenshot(path=tmp_path / "whole.png")
        for picture in (active, warning, status_bar):
            assert 1000 < picture.stat().st_size <= LARGEST_BYTES, picture
        terminal.close()
        tab.close()
