"""What the tests of Studio Classic share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .studio_driver import APP
from .studio_stand_in import Studio, serving


@pytest.fixture
def studio() -> Iterator[Studio]:
    """Studio with one app, on which nothing is."""
    with serving(Studio()) as studio:
        studio.add_app(APP)
        yield studio
