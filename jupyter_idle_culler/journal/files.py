"""The journal's file: one write a line, rotation under a lock, a tail that survives bad lines."""

from __future__ import annotations

import errno
import json
import math
import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows: there each server's own file name has to do
    fcntl = None  # type: ignore[assignment]  # a module that is not there

_LOCK_PATIENCE_SECONDS = 1.0
_BLOCK_BYTES = 64 << 10


def encode(entry: Mapping[str, Any]) -> bytes:
    """Make one line of JSON; what is infinite becomes null, what JSON does not know its text."""
    return json.dumps(_finite(entry), default=str, separators=(",", ":")).encode() + b"\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def older(path: Path) -> Path:
    """Name the older half of a journal."""
    return path.with_name(path.name + ".1")


class Appender:
    """Append lines to a regular file that only its owner can read; keep it small.

    ``written`` counts the lines of the last `append` that are in the file, also when it failed;
    ``rotations`` how often the older half was dropped.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self.written = self.rotations = 0
        self._file: int | None = None

    def append(self, lines: Sequence[bytes], durable: bool) -> None:
        """Write each line whole or not at all; ``durable``: down to the disk. Raises: OSError."""
        self.written = 0
        if not lines:
            return
        try:
            with _locked(self._path):
                for line in lines:
                    self._append(line)
                    self.written += 1
                if durable and self._file is not None:
                    os.fsync(self._file)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Let the file go; the next line opens it again."""
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)
            self._file = None

    def _append(self, line: bytes) -> None:
        file = self._current()
        size = os.fstat(file).st_size
        if size and size + len(line) > self._max_bytes:
            self.close()
            self._path.replace(older(self._path))
            self.rotations += 1
            file, size = self._current(), 0
        elif size:
            os.lseek(file, size - 1, os.SEEK_SET)
            if os.read(file, 1) != b"\n":
                line = b"\n" + line  # a crash cut the last line: do not lose this one to it
        if os.write(file, line) != len(line):
            os.ftruncate(file, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _current(self) -> int:
        """Return the file at the path, which another server may have rotated away."""
        if self._file is not None:
            with suppress(FileNotFoundError):
                here, there = os.fstat(self._file), self._path.lstat()
                if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino):
                    return self._file
            self.close()
            self.rotations += 1
        self._file = _open(self._path)
        return self._file


def _open(path: Path) -> int:
    # O_NOFOLLOW: a link here could make us write somewhere that nobody meant. O_NONBLOCK: opening a
    # pipe must fail, not wait.
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
    for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):
        flags |= getattr(os, name, 0)
    try:
        file = os.open(path, flags, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "is a symbolic link: name the file itself") from error
        raise
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "is not a regular file")
    if stat.S_IMODE(found.st_mode) & 0o077 and hasattr(os, "fchmod"):
        with suppress(OSError):
            os.fchmod(file, 0o600)
    return file


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock beside the journal; go on without it where the file system has no locks."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    file = os.open(path.with_name(path.name + ".lock"), flags, 0o600)
    try:
        _take(file)
        yield
    finally:
        os.close(file)


def _take(file: int) -> None:
    give_up = time.monotonic() + _LOCK_PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up:
                raise OSError(errno.EAGAIN, "is locked by another process") from None
            time.sleep(0.01)
        except OSError:
            return
        else:
            return


def read_tail(path: Path, limit: int) -> tuple[list[dict[str, Any]], int]:
    """Read the newest ``limit`` entries of a journal and its older half; count unreadable lines.

    Raises: OSError.
    """
    lines: list[bytes] = []
    for half in (path, older(path)):
        with suppress(FileNotFoundError):
            lines = _last_lines(half, limit - len(lines)) + lines
        if len(lines) >= limit:
            break
    return parse(lines)


def each_entry(path: Path) -> Iterator[dict[str, Any]]:
    """Yield every entry of a journal, its older half first, one at a time. Raises: OSError."""
    for half in (older(path), path):
        if half.is_file():
            with half.open("rb") as file:
                for line in file:
                    yield from parse([line])[0]


def parse(lines: Sequence[bytes]) -> tuple[list[dict[str, Any]], int]:
    """Parse lines of a journal; return the entries, and how many lines were none."""
    entries, skipped = [], 0
    for line in lines:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if isinstance(entry, dict) and isinstance(entry.get("event"), str):
            entries.append(entry)
        else:
            skipped += 1
    return entries, skipped


def _last_lines(path: Path, limit: int) -> list[bytes]:
    with path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
        tail = b""
        while position and tail.count(b"\n") <= limit:
            step = min(_BLOCK_BYTES, position)
            position = file.seek(position - step)
            tail = file.read(step) + tail
    lines = [line for line in tail.split(b"\n") if line.strip()]
    return lines[-limit:] if limit > 0 else []
