"""What the server says of its kernels, and what the notebooks in their sessions show of people.

Only what changed since the look before is evidence, dated now: the server's times are wall-clock
times, which jump. `last_activity` also moves with whatever a kernel prints by itself; what moves
it again and again while nothing runs is such a heartbeat, and none.
"""

from __future__ import annotations

import time
import zlib
from typing import Any, Dict, Set

from .jupyter_api import ApiError, JupyterApi
from .memory import Evidence, moved

_HEARTBEATS, _LOOKS = 3, 5
_MOST_PIECES = 500
_RESTING = ("idle", "starting", "dead")


def observe(
    api: JupyterApi, kept: Dict[str, Any], now: float, stopped: Set[str], open_counts: bool
) -> Evidence:
    """Return what is to be seen of the kernels. Raises: ApiError.

    ``stopped`` are those whose processes are stopped (SIGSTOP); ``open_counts``: so does a kernel
    with a connected page.
    """
    kernels = api.kernels()
    paths = {}
    for session in api.list("api/sessions"):
        paths[str((session.get("kernel") or {}).get("id"))] = str(session.get("path") or "")
    specs = api.get("api/kernelspecs").get("kernelspecs") or {}
    used = moved(kept, "kernels", {k: kernels[k]["last_activity"] for k in kernels})
    quiet = {k for k in used if kernels[k]["execution_state"] == "idle"}
    used -= heartbeats(api, quiet, kernels)
    used |= moved(kept, "documents", _documents(api, kept, paths))
    found: Evidence = []
    for k, kernel in kernels.items():
        state, label = kernel["execution_state"], "kernel " + (paths.get(k) or k)
        spec = (specs.get(kernel.get("name")) or {}).get("spec") or {}
        if state not in _RESTING and k not in stopped:
            found.append((f"{label} is {state}", None))
        elif open_counts and kernel.get("connections"):
            found.append((f"{label} has a page open", None))
        elif state != "dead" and (spec.get("metadata") or {}).get("idle_culler_hold_host"):
            found.append((f"{label} holds the host", None))
        elif k in used:
            found.append((f"{label} was used", now))
    return found


def heartbeats(api: JupyterApi, idle: Set[str], seen: Dict[str, Any]) -> Set[str]:
    """Return the idle kernels that say something again and again while nobody asks."""
    beats = dict.fromkeys(idle, 0)
    for _ in range(_LOOKS if idle else 0):
        time.sleep(1)
        latest = {**seen, **api.kernels()}
        for k in beats:
            if latest[k]["execution_state"] != "idle":
                beats[k] = -_LOOKS  # somebody runs something right now
            beats[k] += latest[k]["last_activity"] != seen[k]["last_activity"]
        seen = latest
    beating = {k for k in beats if beats[k] >= _HEARTBEATS}
    return beating - _asked(api, beating)


def _asked(api: JupyterApi, beating: Set[str]) -> Set[str]:
    """Return those on which a program runs short cells all the time, or that cannot be heard.

    Between two looks such a cell is over; each is told to all that listen, in plain JSON.
    """
    ears = {k: api.listen(k) for k in beating}
    time.sleep(_LOOKS if ears else 0)
    found = set()
    for k, ear in ears.items():
        ear.setblocking(False)
        said = b""
        try:
            for _ in range(_MOST_PIECES):
                said += ear.recv(65536)
        except OSError:  # that was all
            pass
        ear.close()
        if b" 101 " not in said[:20] or b"execute_input" in said:
            found.add(k)
    return found


def _documents(api: JupyterApi, kept: Dict[str, Any], paths: Dict[str, str]) -> Dict[str, Any]:
    """Return a mark of what people do in each kernel's document: what they wrote, and ran.

    An autosave that stores new outputs is no person.
    """
    saved, marks = {}, {}
    before, known = kept.get("saved", {}), kept.get("documents", {})
    for k, name in paths.items():
        path = "api/contents/" + name
        try:
            saved[k] = [path, api.get(path, "&content=0")["last_modified"]]
            marks[k] = known.get(k)
            if saved[k] != before.get(k):
                marks[k] = saved[k]
                cells = api.get(path)["content"]["cells"]
                done = repr([[cell["source"], cell.get("execution_count")] for cell in cells])
                marks[k] = zlib.crc32(done.encode())
        except (ApiError, LookupError, TypeError):
            continue  # a console has no file, a text no cells
    kept["saved"] = saved
    return marks
