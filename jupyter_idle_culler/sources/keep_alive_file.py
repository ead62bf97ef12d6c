"""The file in which keep-alives outlive the server."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.model import EVERYTHING, Kind, ResourceId
from ..private_file import replace_private_file

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_VERSION = 1
_LARGEST_BYTES = 1 << 20


def boot_id(path: Path = _BOOT_ID) -> str | None:
    """Return what names this boot of the machine (None: this system has no such name)."""
    try:
        return path.read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None


@dataclass(frozen=True)
class Stored:
    """One keep-alive as the file has it, with the seconds that it has left at this moment."""

    id: str
    owner: str
    reason: str
    resource: ResourceId
    left_seconds: float


class KeepAliveFile:
    """Reads and writes one server's keep-alives. Blocks: call it off the event loop.

    Ends are kept twice: on the monotonic clock, which is right while the machine has not been
    started anew, whatever was done to the wall clock; and in UTC, for after that. Nothing here
    raises: what went wrong is returned as a sentence.
    """

    def __init__(
        self,
        path: Path,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        boot: Callable[[], str | None] = boot_id,
    ) -> None:
        self.path = path
        self._monotonic = monotonic
        self._wall = wall
        self._boot = boot

    def save(self, keep_alives: Sequence[Stored]) -> str | None:
        """Replace the file in one step, readable by nobody else. Returns what went wrong, if so."""
        document = {
            "version": _VERSION,
            "boot_id": self._boot(),
            "keep_alives": [
                {
                    "id": one.id,
                    "owner": one.owner,
                    "reason": one.reason,
                    "kind": one.resource.kind.value,
                    "name": one.resource.name,
                    "left_seconds": one.left_seconds,
                    "ends_monotonic": self._monotonic() + one.left_seconds,
                    "ends_utc": self._wall() + one.left_seconds,
                }
                for one in keep_alives
            ],
        }
        try:
            if not keep_alives:
                self.path.unlink(missing_ok=True)
                return None
            self.path.parent.mkdir(parents=True, exist_ok=True)
            replace_private_file(self.path, json.dumps(document))
        except (OSError, ValueError) as error:
            return (
                f"keep-alives will not survive a restart: {self.path} cannot be written ({error})"
            )
        return None

    def load(self) -> tuple[list[Stored], str | None]:
        """Return what the file has left, and what was wrong with it, if anything was."""
        try:
            with self.path.open("rb") as stream:
                document = json.loads(stream.read(_LARGEST_BYTES))
            same_boot = document["boot_id"] is not None and document["boot_id"] == self._boot()
            found = [self._parse(entry, same_boot) for entry in document["keep_alives"]]
        except FileNotFoundError:
            return [], None
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            return [], f"keep-alives of before are lost: {self.path} cannot be read ({error!r})"
        return [one for one in found if one.left_seconds > 0.0], None

    def _parse(self, entry: dict[str, Any], same_boot: bool) -> Stored:
        """Read one entry; it never has more left than it had when it was written.

        Raises: ValueError, LookupError, TypeError.
        """
        if same_boot:
            left = float(entry["ends_monotonic"]) - self._monotonic()
        else:
            left = float(entry["ends_utc"]) - self._wall()
        left = min(left, float(entry["left_seconds"]))
        texts = (entry["id"], entry["owner"], entry["reason"], entry["name"])
        if not math.isfinite(left) or not all(isinstance(text, str) for text in texts):
            message = "an entry is damaged"
            raise ValueError(message)
        resource = ResourceId(Kind(entry["kind"]), entry["name"])
        if resource.kind not in (Kind.KERNEL, Kind.TERMINAL):
            resource = EVERYTHING
        return Stored(entry["id"], entry["owner"], entry["reason"], resource, left)
