"""Say what a kernel is called and what its kernelspec asks for."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from jupyter_core.utils import ensure_async

from .kernel_life import is_gateway

_PATHS_MAX_AGE_SECONDS = 30.0
_TIME_LIMIT_SECONDS = 2.0


@dataclass(frozen=True)
class SpecWishes:
    """What a kernelspec says of culling. ``timeout_seconds`` None: nothing; ``math.inf``: never."""

    display_name: str = ""
    timeout_seconds: float | None = None
    hold_host: bool = False


class SessionPaths:
    """Know which document each kernel belongs to, as far as the session manager tells.

    A name is only for people: whatever the session manager does, no kernel is hidden by it. Names
    are read anew when kernels come or go, and otherwise every 30 seconds (a notebook was renamed).
    """

    def __init__(self, settings: Mapping[str, Any], log: logging.Logger) -> None:
        self._settings = settings
        self._log = log
        self._paths: dict[str, str] = {}
        self._kernel_ids: frozenset[str] = frozenset()
        self._read_at = -math.inf
        self._complained = False

    async def read(self, kernel_ids: frozenset[str], now: float) -> Mapping[str, str]:
        """Return the path of the document of each kernel that has one."""
        if kernel_ids == self._kernel_ids and now - self._read_at < _PATHS_MAX_AGE_SECONDS:
            return self._paths
        self._kernel_ids, self._read_at = kernel_ids, now
        manager = self._settings.get("session_manager")
        if manager is None:
            return self._paths
        try:
            self._paths = await asyncio.wait_for(_paths(manager), _TIME_LIMIT_SECONDS)
        except Exception as error:  # a session manager may be of any make
            if not self._complained:
                self._complained = True
                self._log.warning(
                    "Idle culler: kernels have no document names, sessions cannot be listed: %r",
                    error,
                )
        return self._paths


async def _paths(manager: Any) -> dict[str, str]:
    paths: dict[str, str] = {}
    if hasattr(manager, "cursor"):
        # `list_sessions` builds a model of every kernel and deletes rows: too much for a name.
        rows = manager.cursor.execute("SELECT kernel_id, path, name, type FROM session").fetchall()
        for kernel_id, path, name, kind in rows:
            paths.setdefault(str(kernel_id), _document(path, name, kind))
    else:
        for model in await ensure_async(manager.list_sessions()):
            document = _document(model.get("path"), model.get("name"), model.get("type"))
            paths.setdefault(str(model["kernel"]["id"]), document)
    return paths


def _document(path: object, name: object, kind: object) -> str:
    """Return a path, but a console's name: its path is made up."""
    return str((name if kind == "console" else path) or path or name or "")


class KernelSpecs:
    """Read what kernelspecs wish. A gateway's are fetched from it, once each."""

    def __init__(self, manager: Any, log: logging.Logger) -> None:
        self._manager = manager
        self._log = log
        self._remote: dict[str, SpecWishes] = {}
        self._local: WeakKeyDictionary[Any, SpecWishes] = WeakKeyDictionary()
        self._complained: set[str] = set()

    async def of(self, kernel: Any) -> SpecWishes:
        """Return the wishes of a kernel's spec. Raises: what the lookup raises."""
        if is_gateway(kernel):
            name = str((kernel.kernel or {}).get("name") or kernel.kernel_name)
            if name not in self._remote:
                lookup = ensure_async(self._manager.kernel_spec_manager.get_kernel_spec(name))
                found = await asyncio.wait_for(lookup, _TIME_LIMIT_SECONDS)
                spec = found.get("spec", {}) if isinstance(found, dict) else {}
                self._remote[name] = self._wishes(name, spec.get)
            return self._remote[name]
        spec = kernel.kernel_spec
        if spec is None:
            return SpecWishes()
        wishes = self._local.get(spec)
        if wishes is None:
            name = str(kernel.kernel_name)
            wishes = self._wishes(name, lambda key: getattr(spec, key, None))
            self._local[spec] = wishes
        return wishes

    def _wishes(self, name: str, field: Callable[[str], Any]) -> SpecWishes:
        metadata = field("metadata")
        if not isinstance(metadata, Mapping):
            metadata = {}
        timeout = metadata.get("cull_idle_timeout")
        seconds: float | None = None
        if timeout is not None:
            number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
            if number and math.isfinite(timeout) and timeout >= 0:
                seconds = float(timeout) if timeout else math.inf
            else:
                self._complain(name, "cull_idle_timeout", timeout, "a number of seconds, 0 = never")
        hold_host = metadata.get("idle_culler_hold_host", False)
        if not isinstance(hold_host, bool):
            self._complain(name, "idle_culler_hold_host", hold_host, "true or false")
        return SpecWishes(str(field("display_name") or name), seconds, hold_host is True)

    def _complain(self, name: str, key: str, value: object, rule: str) -> None:
        if f"{name}:{key}" not in self._complained:
            self._complained.add(f"{name}:{key}")
            self._log.warning(
                "Idle culler: kernelspec %r: metadata.%s is %r and ignored: it must be %s.",
                name, key, value, rule,
            )  # fmt: skip
