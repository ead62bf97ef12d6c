"""Code Editor: what people saved, and what they wrote and did not save.

The editor keeps each save in ``User/History/<file>/`` and what is unsaved in
``User/Backups/<workspace>/<scheme>/``. Saves within ten seconds go into the last entry
(``workbench.localHistory.mergeWindow``), so only that file changes, not its folder. Any change
since the look before is evidence, dated now: times of files are wall-clock times.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, Dict, Sequence

from .memory import Evidence

DEFAULT_ROOTS = tuple(
    "{}/sagemaker-code-editor-server-data/data/User/{}".format(home, folder)
    for home in ("/opt/amazon/sagemaker", "/home/sagemaker-user")
    for folder in ("History", "Backups")
)
_NEWEST, _DEPTH = 32, 2
"""Into so many folders of each level a look goes, the newest: what was saved lately is there."""


def evidence(memory: Dict[str, Any], now: float, roots: Sequence[str] = DEFAULT_ROOTS) -> Evidence:
    """Return a person's saves; a folder that cannot be read is told, dated when that began.

    ``memory`` is kept between the looks of one boot; the first only learns how things are. A root
    that does not exist holds nothing yet.
    """
    seen: Evidence = []
    for root in roots:
        try:
            mark = _mark(root, _DEPTH)
        except FileNotFoundError:
            mark = 0
        except OSError as error:
            began = memory.setdefault("unseen", {}).setdefault(root, now)
            seen.append((f"saves in the editor are not seen: {error}", began))
            continue
        if memory.get(root, mark) != mark:
            seen.append(("somebody saved in the editor", now))
        memory[root] = mark
    return seen


def _mark(folder: str, depth: int) -> int:
    """Return a number that changes when something in a folder does. Raises: OSError."""
    total, folders = 0, []
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # gone meanwhile
                changed_at = entry.stat(follow_symlinks=False).st_mtime_ns
                total += changed_at
                if depth and entry.is_dir(follow_symlinks=False):
                    folders.append((changed_at, entry.path))
    for _, path in sorted(folders)[-_NEWEST:]:
        with suppress(OSError):  # of one that cannot be read its own time is known
            total += _mark(path, depth - 1)
    return total
