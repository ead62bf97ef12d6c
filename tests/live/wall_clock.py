"""A wall clock that is stepped while the monotonic one runs on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

# libfaketime (0.9.10) lets clock_nanosleep fail, by which time.sleep waits since Python 3.11.
_SLEEP = """
import select, time
time.sleep = lambda seconds: select.select((), (), (), seconds) and None
"""


class WallClock:
    """Steps the wall clock of what is started with ``env``; the monotonic one runs on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.step(timedelta())
        customized = path.with_suffix(".python")
        customized.mkdir()
        (customized / "sitecustomize.py").write_text(_SLEEP)
        (library,) = {
            str(found)
            for directory in ("/usr/lib", "/usr/lib64", "/usr/local/lib")
            for found in Path(directory).glob("**/faketime/libfaketime.so.1")
        } or {"libfaketime is not installed"}
        self.env = {
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": str(path),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_CACHE_DURATION": "1",
            # A step does not move the times that files have.
            "NO_FAKE_STAT": "1",
            "PYTHONPATH": str(customized),
        }

    def step(self, offset: timedelta) -> None:
        """Let it be off by so much from now on."""
        beside = self._path.with_suffix(".new")
        beside.write_text(f"{offset.total_seconds():+.0f}\n")
        beside.replace(self._path)
