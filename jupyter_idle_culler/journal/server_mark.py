"""Tell the servers of one user apart, who may share every directory there is."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: there root directory and base URL have to do
    fcntl = None  # type: ignore[assignment]  # a module that is not there

_MOST = 50


class ServerMark:
    """Names a server's own files: by its root directory and base URL, which outlive a restart.

    Ports do not. Where such a server runs already (a second `jupyter lab` in the same directory),
    the next gets a number; a lock in ``directory`` is held until `close`, or the process ends. A
    directory that cannot be written or locked gives the name without one. ``str()`` is the name.
    """

    def __init__(self, directory: Path, root_dir: str, base_url: str) -> None:
        self._lock: int | None = None
        self._text = text = mark_of_server(root_dir, base_url)
        for number in range(2, _MOST):
            if self._claimed(directory / f"server-{self._text}.lock"):
                return
            self._text = f"{text}-{number}"
        self._text = text

    def __str__(self) -> str:
        return self._text

    def close(self) -> None:
        """Let another server have the name."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _claimed(self, path: Path) -> bool:
        """Try to hold a name; where that cannot be done at all, have it without holding it."""
        if fcntl is None:
            return True
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # O_NOFOLLOW: a link here could make a file where nobody meant one. O_NONBLOCK: a pipe.
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
            lock = os.open(path, flags, 0o600)
        except OSError:
            return True
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        except OSError:  # a file system without locks
            os.close(lock)
            return True
        self._lock = lock
        return True


def mark_of_server(root_dir: str, base_url: str) -> str:
    """Return the name that a server has whom no other shares its root directory and base URL with.

    It says nothing of either to who reads it.
    """
    return hashlib.sha256(f"{root_dir}\n{base_url}".encode()).hexdigest()[:10]
