"""Shut a kernel down: its sessions go with it, its ordinary children end, detached jobs live on.

jupyter_client's own shutdown signals the kernel's whole process group, which would kill a job that
a cell started with ``os.system("nohup job &")``. Where such a job lives the kernel is ended without
those signals.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from jupyter_core.utils import ensure_async

from ..core.model import Decision
from ..sources.procfs import Process
from .base import Outcome
from .kernel_processes import KernelSession, Members, SharedReading

_ACTIONS_SCHEMA = "https://events.jupyter.org/jupyter_server/kernel_actions/v1"
_SHUTDOWN_SECONDS = 15.0
_POLITE_SECONDS = 3.0
_SIGNALLED_SECONDS = 2.0
_FORGET_SECONDS = 5.0
_POLL_SECONDS = 0.05
_NAMED = 3

_log = logging.getLogger(__name__)


class CullKernel:
    """Ends the kernel that a decision names, and all that goes with it."""

    name = "cull-kernel"

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._read = SharedReading()

    async def apply(self, decision: Decision) -> Outcome:
        """End the kernel. Takes at most about half a minute, however it hangs."""
        return await end_kernel(self._settings, decision.resource.name, self._read)


async def end_all_kernels(settings: Mapping[str, Any]) -> dict[str, Outcome]:
    """End every kernel that the server started, at the same time; returns what became of each."""
    manager = settings["kernel_manager"]
    kernel_ids = [kid for kid in manager.list_kernel_ids() if _owned(manager.get_kernel(kid))]
    read = SharedReading()
    outcomes = await asyncio.gather(*(end_kernel(settings, kid, read) for kid in kernel_ids))
    return dict(zip(kernel_ids, outcomes, strict=True))


async def end_kernel(
    settings: Mapping[str, Any], kernel_id: str, read: SharedReading | None = None
) -> Outcome:
    """End one kernel and verify that it is gone. A kernel that is gone already is a success.

    ``read`` is shared by those that are ended at the same time.
    """
    read = read or SharedReading()
    manager = settings["kernel_manager"]
    sessions = settings.get("session_manager")
    if kernel_id not in manager:
        await _drop_sessions(sessions, kernel_id)
        return Outcome(True, "the kernel was gone already")
    kernel = manager.get_kernel(kernel_id)
    if not _owned(kernel):
        return Outcome(False, "the kernel was not started by this server, which cannot end it")
    process = _process(kernel)
    session: KernelSession | None = None
    if process is not None and sys.platform == "linux":
        session = await asyncio.to_thread(KernelSession, process.pid)
    members = await asyncio.to_thread(session.members, await read()) if session else Members()
    problem: str | None
    if process is not None and (members.in_group or process.poll() is not None):
        # Of a process that ended, the group id may be another's by now: no signals to it either.
        problem = await _end_alone(manager, kernel_id, kernel, process, not members.in_reach)
    else:
        problem = await _end_ordinarily(manager, sessions, kernel_id)
        if problem and process is not None:
            problem = await _end_alone(manager, kernel_id, kernel, process, polite=False)
    left = await session.end_ordinary(read) if session else Members()
    await _drop_sessions(sessions, kernel_id)
    if kernel_id in manager:
        return Outcome(False, problem or "the server still lists the kernel after its shutdown")
    if process is not None and process.poll() is None:
        return Outcome(False, f"process {process.pid} of the kernel does not end")
    return Outcome(True, _told(members, left))


def _owned(kernel: Any) -> bool:
    return bool(getattr(kernel, "owns_kernel", True))


def _process(kernel: Any) -> subprocess.Popen[bytes] | None:
    process = getattr(getattr(kernel, "provisioner", None), "process", None)
    return process if isinstance(process, subprocess.Popen) else None


async def _end_ordinarily(manager: Any, sessions: Any, kernel_id: str) -> str | None:
    """Let the server shut it down, through its session where there is one. Returns the problem."""

    async def shut_down() -> None:
        for session_id in await _session_ids(sessions, kernel_id):
            if kernel_id in manager:
                try:
                    await ensure_async(sessions.delete_session(session_id))
                except Exception:  # The kernel itself is what matters: see below.
                    _log.debug("session %s could not be deleted", session_id, exc_info=True)
        if kernel_id in manager:
            await ensure_async(manager.shutdown_kernel(kernel_id))

    try:
        await asyncio.wait_for(shut_down(), _SHUTDOWN_SECONDS)
    except asyncio.TimeoutError:
        return f"it did not shut down within {_SHUTDOWN_SECONDS:g} s"
    except Exception as error:  # jupyter_server's and a gateway's errors are of many kinds
        return f"the server could not shut it down: {error!r}" if kernel_id in manager else None
    return None


async def _end_alone(
    manager: Any, kernel_id: str, kernel: Any, process: subprocess.Popen[bytes], polite: bool
) -> str | None:
    """End the kernel's own process only, and have the manager forget it. Returns the problem."""
    kernel.shutting_down = True  # What jupyter_client's restarter looks at.
    kernel.stop_restarter()
    if polite and process.poll() is None:
        process.send_signal(2)  # SIGINT: a running cell would hold the shutdown up.
        with suppress(Exception):  # A broken control channel: the signals below do it.
            await ensure_async(kernel.request_shutdown())
        await _ended(process, _POLITE_SECONDS)
    for signal_it in (process.terminate, process.kill):
        if process.poll() is None:
            signal_it()
            await _ended(process, _SIGNALLED_SECONDS)
    try:
        await asyncio.wait_for(_forget(manager, kernel_id, kernel), _FORGET_SECONDS)
    except Exception as error:  # Whatever cleaning up raises, the kernel is out of the list.
        manager.remove_kernel(kernel_id)
        _log.warning("Idle culler: kernel %s was not cleaned up after: %r", kernel_id, error)
    return None


async def _ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait until a process ended, at most so long."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while process.poll() is None and loop.time() < deadline:  # noqa: ASYNC110  # Popen has no event
        await asyncio.sleep(_POLL_SECONDS)
    return process.poll() is not None


async def _forget(manager: Any, kernel_id: str, kernel: Any) -> None:
    """Do what jupyter_server's shutdown does around the signals."""
    starting = getattr(manager, "_pending_kernel_tasks", {}).pop(kernel_id, None)
    if starting is not None:
        starting.cancel()
    if kernel_id in manager:
        for stop in ("stop_watching_activity", "stop_buffering"):
            if hasattr(manager, stop):
                getattr(manager, stop)(kernel_id)
    process = _process(kernel)
    if process is not None and process.poll() is not None:
        await kernel.provisioner.wait()
    await ensure_async(kernel.cleanup_resources())
    if manager.remove_kernel(kernel_id) is not None:
        _count_down(kernel)
    for table in ("_kernel_connections", "_kernel_ports", "_pending_kernels"):
        getattr(manager, table, {}).pop(kernel_id, None)
    if hasattr(kernel, "emit"):
        kernel.emit(
            schema_id=_ACTIONS_SCHEMA,
            data={
                "kernel_id": kernel_id,
                "kernel_name": kernel.kernel_name,
                "action": "shutdown",
                "status": "success",
                "msg": f"Kernel {kernel_id} was shutdown.",
            },
        )


def _count_down(kernel: Any) -> None:
    """Keep the server's own gauge of running kernels right."""
    from jupyter_server.prometheus.metrics import KERNEL_CURRENTLY_RUNNING_TOTAL

    KERNEL_CURRENTLY_RUNNING_TOTAL.labels(type=kernel.kernel_name).dec()


async def _session_ids(sessions: Any, kernel_id: str) -> list[str]:
    """Return the sessions of a kernel; none where the session manager cannot tell."""
    if sessions is None:
        return []
    try:
        if hasattr(sessions, "cursor"):  # Listing builds a model of every kernel there is.
            query = "SELECT session_id FROM session WHERE kernel_id=?"
            return [str(row[0]) for row in sessions.cursor.execute(query, (kernel_id,)).fetchall()]
        models = await ensure_async(sessions.list_sessions())
        return [str(model["id"]) for model in models if model["kernel"]["id"] == kernel_id]
    except Exception:  # A session manager may be of any make; the kernel goes without it.
        _log.debug("sessions cannot be listed", exc_info=True)
        return []


async def _drop_sessions(sessions: Any, kernel_id: str) -> None:
    """Remove what is left of the sessions of a kernel that is gone."""
    for session_id in await _session_ids(sessions, kernel_id):
        with suppress(Exception):  # Asked for one without a kernel, it deletes it and reports 404.
            await ensure_async(sessions.get_session(session_id=session_id))


def _told(members: Members, left: Members) -> str:
    said = ["the kernel was shut down"]
    if left.ordinary:
        said.append(f"{_names(left.ordinary)} of it does not end")
    elif members.ordinary:
        said.append(f"{_names(members.ordinary)} ended with it")
    if left.detached:
        said.append(f"{_names(left.detached)} was detached and runs on")
    return "; ".join(said)


def _names(processes: Iterable[Process]) -> str:
    """Name a few processes: ``sleep (pid 12), python (pid 13) and 4 more``."""
    named = [f"{process.comm} (pid {process.pid})" for process in processes]
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return ", ".join(named[:_NAMED]) + more
