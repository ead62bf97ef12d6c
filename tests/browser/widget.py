"""The widget of the culler in one tab: what it says, and its buttons."""

from __future__ import annotations

import re
from dataclasses import dataclass

from playwright.sync_api import Locator, Page

from .tab import Tab

TOAST = ".Toastify__toast"
_STATUS = ".jp-IdleCuller-status"
_NEAR = re.compile(r" in (\d+):(\d\d)$")
_FAR = re.compile(r" in (\d+) min$")
_READ = """selector => {
    const node = document.querySelector(selector);
    return node && {
        text: node.textContent.trim(),
        title: node.title,
        state: node.dataset.state,
    };
}"""


@dataclass(frozen=True)
class Line:
    """What the status item says."""

    text: str
    title: str
    state: str

    def off(self, seconds: float) -> float:
        """Return by how many seconds it is wrong where so many are left in truth.

        Minutes and seconds are rounded down; infinite where it does not count down.
        """
        if near := _NEAR.search(self.text):
            least, step = int(near[1]) * 60 + int(near[2]), 1
        elif far := _FAR.search(self.text):
            least, step = int(far[1]) * 60, 60
        else:
            return float("inf")
        return max(least - seconds, seconds - (least + step), 0.0)


class Widget:
    """The widget in a tab."""

    def __init__(self, tab: Tab) -> None:
        self.tab = tab

    @property
    def page(self) -> Page:
        """The page that it is in."""
        return self.tab.page

    @property
    def line(self) -> Line | None:
        """What the status item says; None: it is not there."""
        read = self.page.evaluate(_READ, _STATUS)
        return None if read is None else Line(**read)

    def off(self, seconds: float) -> float:
        """Return by how many seconds its countdown is wrong; infinite: it has none."""
        line = self.line
        return float("inf") if line is None else line.off(seconds)

    def says(self, state: str) -> bool:
        """Tell whether the status item is in this state."""
        line = self.line
        return line is not None and line.state == state

    @property
    def status_item(self) -> Locator:
        """The status item."""
        return self.page.locator(_STATUS)

    @property
    def panel(self) -> Locator:
        """The panel."""
        return self.page.locator(".jp-IdleCuller-panel")

    def open_panel(self) -> None:
        """Open the panel as a command does: nobody clicks."""
        self.tab.execute("idle-culler:show")

    def row(self, resource: str) -> Locator:
        """Return the row of a kernel, a terminal or a source."""
        return self.panel.locator(f'[data-resource="{resource}"]')

    def shows(self, text: str) -> bool:
        """Tell whether this stands in the panel."""
        return text in (self.panel.text_content() or "")

    def toast(self, text: str) -> Locator:
        """Return the notifications in front of the page in which this stands."""
        return self.page.locator(TOAST, has_text=text)

    def press_in_toast(self, label: str) -> None:
        """Press a button of a notification."""
        self.page.locator(TOAST).get_by_role("button", name=label, exact=True).first.click()

    def dialog(self, title: str) -> Locator:
        """Return a dialog of the lab."""
        return self.page.locator(".jp-Dialog", has_text=title)

    @property
    def overlay(self) -> Locator:
        """What lies over the page after a stop."""
        return self.page.locator(".jp-IdleCuller-stopped")
