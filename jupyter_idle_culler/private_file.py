"""Replace a small file in one step, so that a crash leaves the old one or the new one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def replace_private_file(path: Path, text: str) -> None:
    """Write ``text`` as the whole of a file that only its owner can read; its folder must be there.

    Blocks until it is on the disk: call it off the event loop. Raises: OSError: nothing changed.
    """
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # made with mode 0600
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException:  # a cancelled start included: what was written so far is nobody's
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
