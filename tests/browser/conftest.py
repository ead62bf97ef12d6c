"""A browser. A pytest run of its own: Playwright's loop and pytest-jupyter's clash."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from .lab import chromium


@pytest.fixture(autouse=True)
def jp_asyncio_loop() -> None:
    """Stand in for pytest-jupyter's, which would run a second loop beside Playwright's."""


@pytest.fixture(autouse=True)
def jp_server_cleanup() -> None:
    """Stand in for pytest-jupyter's: no server of its kind is started here."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start the one browser of this run."""
    with chromium() as running:
        yield running
