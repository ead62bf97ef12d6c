"""Observe every kernel of the kernel manager: what it is, and what its messages tell.

What the processes of a kernel do is another source's part (sources/processes.py).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from jupyter_core.utils import ensure_async

from ..core.duration import duration
from ..core.model import Kind, Observation, Resource, ResourceId, Strength, Verdict
from .base import Look, Report
from .kernel_life import (
    RESTART_LIMIT_SECONDS,
    Life,
    is_gateway,
    is_local,
    is_owned,
    life_of,
    local_process,
)
from .kernel_names import KernelSpecs, SessionPaths, SpecWishes
from .prompt_polling import end_left_prompts
from .prompts import PromptWatch, install_prompt_watch, is_watched, remove_prompt_watch
from .turns import KernelTurns, TurnWatch

_NAME = "kernels"
_ACTIONS_SCHEMA = "https://events.jupyter.org/jupyter_server/kernel_actions/v1"
_KERNELS_A_SLICE = 10
_GATEWAY_TIME_LIMIT_SECONDS = 5.0
_UNHEARD_STATES = (None, "", "starting")
_PROMPT = "it waits at a prompt for an answer"
_VERBS = {
    "execute_request": "cell",
    "comm_msg": "widget callback",
    "comm_open": "widget callback",
    "comm_close": "widget callback",
}

_Since = tuple[float, str]


@dataclass
class _Memory:
    """What must be remembered of a kernel from look to look. Instants as the clock's."""

    started_at: float
    process_id: int | None = None
    ended_since: float | None = None
    state: str | None = None
    last_activity: object = None
    busy_since: float | None = None
    evidence: _Since | None = None


class KernelsSource:
    """Finds the kernels, and evidence in their turns, prompts and clients' messages.

    `start` attaches to the server: call it when the extension is loaded, before the first kernel
    and the first websocket (the first look does it otherwise). `close` undoes that. Both on the
    event loop. ``on_change`` is called when a kernel was started, restarted or shut down.
    """

    name = _NAME
    covers = ResourceId(Kind.KERNEL, "")
    essential = True

    def __init__(
        self,
        settings: MutableMapping[str, Any],
        *,
        clock: Callable[[], float] = time.monotonic,
        log: logging.Logger,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self._settings = settings
        self._on_change = on_change
        self._clock = clock
        self._log = log
        self._manager = settings["kernel_manager"]
        self.prompts = PromptWatch(clock)
        self._turns = TurnWatch(self._manager, self.prompts, clock, log)
        self._specs = KernelSpecs(self._manager, log)
        self._paths = SessionPaths(settings, log)
        self._memories: dict[str, _Memory] = {}
        self._complained: set[str] = set()
        self._started = False

    @property
    def limitations(self) -> tuple[str, ...]:
        """What cannot be known of kernels here."""
        found = []
        if self._started and not is_watched(self._settings):
            connection_class = self._settings.get("kernel_websocket_connection_class")
            found.append(
                "A kernel that waits at a prompt counts as busy: prompts cannot be seen, because "
                f"kernel connections are of the class {_class_name(connection_class)}."
            )
        if hasattr(self._manager, "kernels_url"):
            found.append(
                "Kernels behind a gateway are judged by the state that it reports: their "
                "processes are not seen, and background output counts as activity."
            )
        return tuple(found)

    def start(self) -> None:
        """Watch new kernel connections, and follow each kernel from its start."""
        if self._started:
            return
        self._started = True
        install_prompt_watch(self._settings, self.prompts, self._log)
        events = self._settings.get("event_logger")
        if events is not None:
            events.add_listener(schema_id=_ACTIONS_SCHEMA, listener=self._on_kernel_action)
        self._follow()

    def close(self) -> None:
        """Let go of every subscription and give the connection class back."""
        self._turns.close()
        if not self._started:
            return
        self._started = False
        remove_prompt_watch(self._settings)
        events = self._settings.get("event_logger")
        if events is not None:
            with suppress(KeyError):  # jupyter_events: its listener table lost the schema
                events.remove_listener(schema_id=_ACTIONS_SCHEMA, listener=self._on_kernel_action)

    async def observe(self, look: Look) -> Report:
        """Look at every kernel. One that cannot be read is unknown, the others are not."""
        self.start()
        gateway_error = await self._refresh_gateway()
        kernel_ids = self._follow()
        paths = await self._paths.read(frozenset(kernel_ids), look.now)
        await self._look_at_prompts(look)
        resources: list[Resource] = []
        observations: list[Observation] = []
        for index, kernel_id in enumerate(kernel_ids):
            if index % _KERNELS_A_SLICE == _KERNELS_A_SLICE - 1:
                await asyncio.sleep(0)
            if kernel_id not in self._manager:
                continue  # It went while the others were asked.
            memory = self._memories[kernel_id]
            kernel = self._manager.get_kernel(kernel_id)
            identity = ResourceId(Kind.KERNEL, kernel_id)
            try:
                if gateway_error and is_gateway(kernel):
                    raise ConnectionError(gateway_error)
                wishes = await self._specs.of(kernel)
                life = self._life(kernel_id, kernel, memory, look.now)
                path = paths.get(kernel_id, "")
                resource = self._resource(identity, kernel, life, wishes, path)
                seen = self._observations(resource, kernel, life, memory, look)
            except Exception as error:  # One strange kernel must not hide the others.
                self._complain(kernel_id, error)
                resource = Resource(identity, memory.started_at, label=paths.get(kernel_id, ""))
                detail = f"it cannot be read: {error}"
                seen = [Observation(identity, _NAME, Verdict.UNKNOWN, None, detail)]
            resources.append(resource)
            observations.extend(seen)
        return Report(tuple(observations), tuple(resources))

    async def _on_kernel_action(self, logger: object, schema_id: str, data: object) -> None:
        """Follow a kernel from its start, and let go of it at its end."""
        if self._started:
            self._follow()
            self._note_interrupt(data)
            if self._on_change is not None:
                self._on_change()

    def _note_interrupt(self, action: object) -> None:
        if not isinstance(action, dict) or action.get("action") != "interrupt":
            return
        kernel_id = str(action.get("kernel_id"))
        if action.get("status") != "error" and kernel_id in self._manager:
            with suppress(Exception):  # What cannot be read is said at the next look.
                self._read_buffer(kernel_id, self._manager.get_kernel(kernel_id))
            self.prompts.interrupted(kernel_id)

    def _follow(self) -> list[str]:
        """Keep subscriptions and memories in step with the manager. Returns its kernels' ids."""
        kernel_ids = list(self._manager.list_kernel_ids())
        self._turns.sync()
        self.prompts.keep_only(kernel_ids)
        now = self._clock()
        for gone in self._memories.keys() - set(kernel_ids):
            del self._memories[gone]
            self._complained.discard(gone)
        for kernel_id in kernel_ids:
            memory = self._memories.setdefault(kernel_id, _Memory(now))
            process = local_process(self._manager.get_kernel(kernel_id))
            process_id = process.pid if process else None
            if process_id is not None and process_id != memory.process_id:
                if memory.process_id is not None:
                    memory.started_at = now
                memory.process_id = process_id
        return kernel_ids

    async def _look_at_prompts(self, look: Look) -> None:
        """End the prompts at which kernels do not wait any more."""
        kernel_ids = self._manager.list_kernel_ids()
        asking = {
            one: self._manager.get_kernel(one) for one in kernel_ids if self.prompts.prompts(one)
        }
        processes = {kernel_id: local_process(kernel) for kernel_id, kernel in asking.items()}
        pids = {one: process.pid if process else None for one, process in processes.items()}
        await end_left_prompts(self.prompts, pids, look.processes)

    async def _refresh_gateway(self) -> str | None:
        """Ask the gateway, if there is one, for its kernels' states. Returns the failure."""
        if not hasattr(self._manager, "kernels_url") or not len(self._manager):
            return None
        try:
            listing = ensure_async(self._manager.list_kernels())
            await asyncio.wait_for(listing, _GATEWAY_TIME_LIMIT_SECONDS)
        except Exception as error:  # Whatever the way to the gateway raises.
            return f"the gateway does not answer: {error!r}"
        return None

    def _life(self, kernel_id: str, kernel: Any, memory: _Memory, now: float) -> Life:
        life = life_of(self._manager, kernel_id, kernel)
        if life is not Life.CHANGING:
            memory.ended_since = None
        elif memory.ended_since is None:
            memory.ended_since = now
        elif now - memory.ended_since > RESTART_LIMIT_SECONDS and is_local(kernel):
            return Life.DEAD
        return life

    def _resource(
        self,
        identity: ResourceId,
        kernel: Any,
        life: Life,
        wishes: SpecWishes,
        path: str,
    ) -> Resource:
        state = getattr(kernel, "execution_state", None)
        turns = self._turns.of(identity.name)
        joined = state not in _UNHEARD_STATES or (turns is not None and turns.joined)
        process = local_process(kernel)
        pid = process.pid if process is not None and life is Life.ALIVE else None
        connections = getattr(self._manager, "_kernel_connections", {}).get(identity.name, 0)
        resource = Resource(
            identity,
            self._memories[identity.name].started_at,
            label=path or wishes.display_name,
            pid=pid,
            timeout_seconds=wishes.timeout_seconds,
            hold_host=wishes.hold_host,
            connections=max(int(connections), 0),
            dead=life is Life.DEAD,
            starting=life is Life.CHANGING or (life is Life.ALIVE and not joined),
            facts={
                "name": str(getattr(kernel, "kernel_name", "")),
                "display_name": wishes.display_name,
                "execution_state": state or "unknown",
                "path": path,
                "connections": max(int(connections), 0),
                "kernel_pid": pid,
                "remote": pid is None and life is Life.ALIVE,
            },
        )
        if not is_owned(kernel):
            # The server did not start it, and jupyter_client would not end it.
            never = float("inf")
            return replace(
                resource, timeout_seconds=never, facts={**resource.facts, "owned": False}
            )
        return resource

    def _observations(
        self, resource: Resource, kernel: Any, life: Life, memory: _Memory, look: Look
    ) -> list[Observation]:
        turns = self._turns.of(resource.id.name)
        if turns is None:
            busy, evidence = self._polled(kernel, memory, look.now)
            waiting: list[float] = sorted(self.prompts.open_prompts(resource.id.name).values())
            if waiting and busy:
                busy, evidence = None, [*evidence, (waiting[-1], _PROMPT)]
        else:
            busy, evidence = self._heard(kernel, turns, memory, look.now)
        client = self.prompts.evidence(resource.id.name)
        newest = max([*evidence, *([client] if client else [])], default=None)
        at, phrase = newest or (None, "starting, nobody joined" if resource.starting else "idle")
        if busy is None and self.prompts.open_prompts(resource.id.name):
            phrase = _PROMPT
        if life is Life.DEAD:
            busy, phrase = None, "its process has ended"
        elif life is Life.CHANGING:
            busy, phrase = None, "it starts or restarts"
        elif _is_stopped(resource, look):
            busy, phrase = None, "stopped by a signal"
        if resource.facts["remote"]:
            phrase += " (remote: no process evidence)"
        seen = [Observation(resource.id, _NAME, Verdict.IDLE, at, phrase)]
        if busy is not None:
            since, what = busy
            detail = f"{what} running for {duration(look.now - since)}"
            seen.append(
                Observation(
                    resource.id, _NAME, Verdict.ACTIVE, None, detail, strength=Strength.OCCUPIED
                )
            )
        return seen

    def _heard(
        self, kernel: Any, turns: KernelTurns, memory: _Memory, now: float
    ) -> tuple[_Since | None, list[_Since]]:
        """Return what runs since when (None: nothing), and the evidence of the kernel's turns."""
        state, before = getattr(kernel, "execution_state", None), memory.state
        memory.state = state
        running: list[_Since] = []
        is_unexplained = state == "busy" and turns.is_new  # The server may have heard more.
        if is_unexplained and before == "busy":
            turns.assume_busy()
        sent = self.prompts.sent_cells(turns.kernel_id)
        if turns.open or sent or is_unexplained or turns.assumed_since is not None:
            self._read_buffer(turns.kernel_id, kernel)
            turns.doubt_prompts()
        for message_id in list(self.prompts.open_prompts(turns.kernel_id)):
            if turns.is_over(message_id):
                self.prompts.turn_ended(turns.kernel_id, message_id)
        prompts = self.prompts.open_prompts(turns.kernel_id)
        evidence: list[_Since] = [(at, _PROMPT) for at in prompts.values()]
        if turns.ended_at is not None:
            evidence.append((turns.ended_at, "its last cell or request ended"))
        for message_id, turn in turns.open.items():
            what = _VERBS.get(turn.message_type, turn.message_type)
            evidence.append((turn.since, f"a {what} was started"))
            if turn.last_output is not None:
                evidence.append((turn.last_output, f"its {what} wrote output"))
            if message_id not in prompts:
                running.append((turn.since, what))
        running.extend((at, "cell") for message_id, at in sent.items() if message_id not in prompts)
        if (is_unexplained or turns.assumed_since is not None) and not prompts:
            since = now if turns.assumed_since is None else turns.assumed_since
            running.append((since, "something"))
        return min(running, default=None), evidence

    def _read_buffer(self, kernel_id: str, kernel: Any) -> None:
        """Find a prompt that waits in the server's buffer, because its tab was closed before it."""
        buffers = getattr(self._manager, "_kernel_buffers", None) or {}
        if kernel_id in buffers:
            self.prompts.read_buffer(kernel_id, buffers[kernel_id]["buffer"], kernel.session.unpack)

    def _polled(
        self, kernel: Any, memory: _Memory, now: float
    ) -> tuple[_Since | None, list[_Since]]:
        """As `_heard`, of a kernel of which only the reported state is known. Later bounds."""
        state, activity = kernel.execution_state, kernel.last_activity
        if state == "busy":
            if memory.busy_since is None:
                memory.busy_since = now
                memory.evidence = (now, "it became busy")
        elif memory.busy_since is not None:
            self.prompts.restarted(str(kernel.kernel_id))
            memory.busy_since = None
            memory.evidence = (now, "its last cell or request ended")
        if memory.last_activity not in (None, activity) and memory.state not in _UNHEARD_STATES:
            memory.evidence = (now, "its last activity moved")
        memory.state, memory.last_activity = state, activity
        busy = None if memory.busy_since is None else (memory.busy_since, "cell")
        return busy, [memory.evidence] if memory.evidence else []

    def _complain(self, kernel_id: str, error: Exception) -> None:
        if kernel_id not in self._complained:
            self._complained.add(kernel_id)
            self._log.warning("Idle culler: kernel %s cannot be read: %r", kernel_id, error)


def _is_stopped(resource: Resource, look: Look) -> bool:
    if look.processes is None or resource.pid is None:
        return False
    process = look.processes.processes.get(resource.pid)
    return process is not None and process.state == "T"


def _class_name(connection_class: object) -> str:
    if isinstance(connection_class, type):
        return f"{connection_class.__module__}.{connection_class.__qualname__}"
    return repr(connection_class)
