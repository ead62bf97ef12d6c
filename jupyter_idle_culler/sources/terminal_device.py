"""What a terminal tells of its input where the websocket and ``/proc`` do not."""

from __future__ import annotations

import datetime
import os
import time
from typing import Any

from ..core.model import Observation, ResourceId, Strength, Verdict

ATIME_STEP_SECONDS = 8.0
_CLOCK_JUMP_SECONDS = 0.5


class DeviceInput:
    """Reads the last input of one terminal from its device's time of access.

    The kernel sets it in steps of 8 seconds, whatever the mount options are (tty_update_time in
    drivers/tty/tty_io.c): input within 8 seconds of the last recorded, or of the terminal's
    birth, leaves no trace, so that much later counts. It is wall time, and only believed where the
    wall clock ran evenly since the look before.
    """

    def __init__(self) -> None:
        self._atime_ns: int | None = None
        self._offset: float | None = None
        self._read_at: float | None = None

    def last_input(self, path: str | None, now: float) -> float | None:
        """Return the latest instant at which the last input may have been; None: it is unreadable.

        Blocks for one stat: never on the event loop.
        """
        if path is None:
            return None
        try:
            atime_ns = os.stat(path).st_atime_ns  # noqa: PTH116 - one call a terminal and look
        except OSError:
            return None
        offset = time.time() - time.monotonic()
        even = self._offset is not None and abs(offset - self._offset) < _CLOCK_JUMP_SECONDS
        if self._read_at is None or atime_ns != self._atime_ns:
            self._read_at = min(now, atime_ns / 1e9 - offset) if even else now
        self._atime_ns, self._offset = atime_ns, offset
        return min(now, self._read_at + ATIME_STEP_SECONDS)


def without_proc(
    id: ResourceId, source: str, pty: Any, now: float, knows_input: bool
) -> list[Observation]:
    """Say what can be said of a terminal on a system that is not Linux."""
    foreground = _foreground_group(pty)
    if foreground is not None:
        if foreground != pty.ptyproc.pid:
            detail = "a job in the foreground"
            strength = Strength.OCCUPIED
            return [Observation(id, source, Verdict.ACTIVE, detail=detail, strength=strength)]
        if knows_input:
            return [Observation(id, source, Verdict.IDLE, detail="at its prompt")]
    last = getattr(pty, "last_activity", None)
    at = None
    if isinstance(last, datetime.datetime) and last.tzinfo is not None:
        age = datetime.datetime.now(datetime.timezone.utc) - last
        at = now - max(0.0, age.total_seconds())
    return [Observation(id, source, Verdict.IDLE, at, "its last input or output")]


def _foreground_group(pty: Any) -> int | None:
    try:
        return os.tcgetpgrp(pty.ptyproc.fd)
    except (AttributeError, OSError, TypeError, ValueError):
        return None  # Windows has none; a closed terminal has no descriptor
