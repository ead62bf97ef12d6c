"""Tell whether a kernel lives, from what jupyter_client knows of it and without asking others."""

from __future__ import annotations

import subprocess  # only to recognise a Popen: nothing is started here
from enum import Enum
from typing import Any

RESTART_LIMIT_SECONDS = 60.0
"""A restart that did not happen for so long will not happen: jupyter_client polls every 3 s."""


class Life(Enum):
    """How a kernel is. CHANGING: it starts, restarts, or is about to be restarted or removed."""

    ALIVE = "alive"
    CHANGING = "changing"
    DEAD = "dead"


def local_process(kernel: Any) -> subprocess.Popen[bytes] | None:
    """Return the kernel's process on this machine; None for a remote one, or before its start."""
    process = getattr(getattr(kernel, "provisioner", None), "process", None)
    return process if isinstance(process, subprocess.Popen) else None


def is_owned(kernel: Any) -> bool:
    """Tell whether the server started this kernel (one of an external directory it did not)."""
    return bool(getattr(kernel, "owns_kernel", True))


def is_gateway(kernel: Any) -> bool:
    """Tell whether the kernel lives behind a gateway, which is asked for its state."""
    return hasattr(kernel, "refresh_model")


def is_local(kernel: Any) -> bool:
    """Tell whether the kernel's process is, or when there is one will be, on this machine."""
    provisioner = getattr(kernel, "provisioner", None)
    return provisioner is not None and hasattr(provisioner, "process") and is_owned(kernel)


def life_of(manager: Any, kernel_id: str, kernel: Any) -> Life:
    """Say whether the kernel lives. Of a remote one only ``execution_state`` tells.

    A process that ended is CHANGING as long as jupyter_client's restarter watches it: the caller
    bounds that with `RESTART_LIMIT_SECONDS`.
    """
    if not is_owned(kernel):
        return Life.ALIVE
    pending = getattr(manager, "_pending_kernels", {}).get(kernel_id)
    ready = getattr(kernel, "ready", None)
    moving = (pending is not None and not pending.done()) or (
        not is_gateway(kernel) and ready is not None and not ready.done()
    )
    if is_local(kernel):
        process = local_process(kernel)
        if process is not None and process.poll() is None:
            return Life.ALIVE
        return Life.CHANGING if moving or _restarter_watches(kernel) else Life.DEAD
    if moving:
        return Life.CHANGING
    never_started = getattr(kernel, "provisioner", None) is None and not is_gateway(kernel)
    dead = getattr(kernel, "execution_state", None) == "dead" or never_started
    return Life.DEAD if dead else Life.ALIVE


def _restarter_watches(kernel: Any) -> bool:
    """Tell whether jupyter_client will restart the kernel: its restarter exists and still polls."""
    restarter = getattr(kernel, "_restarter", None)
    if restarter is None or getattr(kernel, "shutting_down", False):
        return False
    return getattr(restarter, "_pcallback", restarter) is not None
