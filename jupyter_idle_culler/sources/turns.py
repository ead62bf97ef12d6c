"""Follow the turns (busy, then idle) of each kernel on its IOPub channel.

A kernel wraps the handling of every request in a ``busy`` and an ``idle`` status that name the
request as their parent. Only turns whose parent asks for work are evidence. The server's own
``execution_state`` cannot tell: requests on the control channel turn it to idle in the middle of a
cell, and on jupyter_server 2.14 a ``kernel_info_request`` turns it to busy.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from .prompts import EXECUTE, PromptWatch, message_frames

_SHELL_ONLY_TYPES = frozenset(
    {"complete_request", "history_request", "inspect_request", "is_complete_request"}
)
_REMEMBERED_TURNS = 64
_RESTARTED_STATES = frozenset({"starting", "restarting", "autorestarting"})


@dataclass
class Turn:
    """A request that a kernel is working on. Instants are monotonic seconds.

    ``last_header`` is the header of its last output, as it came: few are ever looked into.
    """

    message_type: str
    subshell: str | None
    since: float
    last_output: float | None = None
    last_header: bytes | None = None


class KernelTurns:
    """The turns of one kernel.

    ``open`` are the requests it works on, by msg_id. ``ended_at`` is when the last one that counts
    was done. ``joined``: some client was answered. ``is_new``: nothing was heard of it yet, so the
    server may know more. ``assumed_since``: it was busy when we came, with what we cannot know;
    that counts until a message shows that its shell is free again.
    """

    def __init__(
        self,
        kernel_id: str,
        prompts: PromptWatch,
        clock: Callable[[], float],
        unpack: Callable[[bytes], Any],
    ) -> None:
        self.open: dict[str, Turn] = {}
        self.ended_at: float | None = None
        self.joined = False
        self.is_new = True
        self.assumed_since: float | None = None
        self.kernel_id = kernel_id
        self._prompts = prompts
        self._clock = clock
        self._unpack = unpack
        self._keys: dict[str, bytes] = {}
        self._over: deque[str] = deque(maxlen=_REMEMBERED_TURNS)

    def is_over(self, message_id: str) -> bool:
        """Tell whether this request was handled, not long ago."""
        return message_id in self._over

    def assume_busy(self) -> None:
        """Note that the server calls it busy and nothing was heard of why."""
        if self.assumed_since is None and self.is_new:
            self.assumed_since = self._clock()

    def restarted(self) -> None:
        """Forget what the former process was working on."""
        self.open.clear()
        self._keys.clear()
        self.joined = False
        self.is_new = False  # All of the new process is heard; the server's state may be stale.
        self.assumed_since = None
        self._prompts.restarted(self.kernel_id)

    def message(self, frames: list[bytes]) -> None:
        """Take one IOPub message. Cheap for output, of which there may be thousands a second."""
        header, parent, _, content = message_frames(frames)[:4]
        if b"status" in header and self._unpack(header).get("msg_type") == "status":
            self._status(self._unpack(parent) or {}, self._unpack(content))
            return
        for message_id, key in self._keys.items():
            # Output of a background thread names the cell that started it, which is not open.
            if key in parent:
                self.open[message_id].last_output = self._clock()
                self.open[message_id].last_header = header
        if self._prompts.prompts(self.kernel_id):
            message_id = str((self._unpack(parent) or {}).get("msg_id"))
            self._prompts.output(self.kernel_id, message_id, self._unpack(header).get("date"))

    def doubt_prompts(self) -> None:
        """Doubt the prompts after which their request wrote output before they were found."""
        for message_id in list(self._prompts.prompts(self.kernel_id)):
            turn = self.open.get(message_id)
            if turn is not None and turn.last_header is not None:
                date = self._unpack(turn.last_header).get("date")
                self._prompts.output(self.kernel_id, message_id, date)

    def _status(self, parent: dict[str, Any], content: dict[str, Any]) -> None:
        state = content.get("execution_state")
        if state in _RESTARTED_STATES:
            self.restarted()
            return
        if not parent.get("msg_id"):
            return
        self.joined = True
        self.is_new = False
        message_id, message_type = str(parent["msg_id"]), str(parent.get("msg_type"))
        passive = self._prompts.is_passive(message_type, message_id)
        if state == "busy" and not passive:
            self._begin(message_id, message_type, parent.get("subshell_id"))
        elif state == "idle":
            if not passive or message_type in _SHELL_ONLY_TYPES:
                self.assumed_since = None
            if not passive:
                self.ended_at = self._clock()
                self._end(message_id)

    def _begin(self, message_id: str, message_type: str, subshell: str | None) -> None:
        if message_type == EXECUTE:
            # Cells of one shell run one after the other: an older one ended, its idle was lost.
            over = [key for key, turn in self.open.items() if turn.subshell == subshell]
            for key in over:
                self._end(key)
            self.assumed_since = None
        self.open[message_id] = Turn(message_type, subshell, self._clock())
        self._keys[message_id] = message_id.encode()
        self._prompts.turn_began(self.kernel_id, message_id)

    def _end(self, message_id: str) -> None:
        self.open.pop(message_id, None)
        self._keys.pop(message_id, None)
        self._over.append(message_id)
        self._prompts.turn_ended(self.kernel_id, message_id)


@dataclass
class _Subscription:
    stream: Any
    port: int
    process_id: int | None
    turns: KernelTurns


class TurnWatch:
    """Own one IOPub subscription for each kernel of the manager that has such a channel."""

    def __init__(
        self,
        manager: Any,
        prompts: PromptWatch,
        clock: Callable[[], float],
        log: logging.Logger,
    ) -> None:
        self._manager = manager
        self._prompts = prompts
        self._clock = clock
        self._log = log
        self._subscriptions: dict[str, _Subscription] = {}

    def of(self, kernel_id: str) -> KernelTurns | None:
        """Return the turns of a kernel; None where its messages cannot be heard (a gateway's)."""
        subscription = self._subscriptions.get(kernel_id)
        return subscription.turns if subscription else None

    def sync(self) -> None:
        """Subscribe to new kernels, follow those that restarted, let go of those that are gone."""
        kernel_ids = set(self._manager.list_kernel_ids())
        for kernel_id in self._subscriptions.keys() - kernel_ids:
            _close(self._subscriptions.pop(kernel_id).stream)
        for kernel_id in kernel_ids:
            try:
                self._follow(kernel_id, self._manager.get_kernel(kernel_id))
            except Exception:  # One strange kernel must not hide the others.
                self._log.exception("Idle culler: cannot follow kernel %s", kernel_id)

    def close(self) -> None:
        """Let go of every kernel."""
        for subscription in self._subscriptions.values():
            _close(subscription.stream)
        self._subscriptions.clear()

    def _follow(self, kernel_id: str, kernel: Any) -> None:
        known = self._subscriptions.get(kernel_id)
        process_id = getattr(getattr(kernel, "provisioner", None), "pid", None)
        if known and process_id != known.process_id:
            known.process_id = process_id
            known.turns.restarted()
        if known and known.port == kernel.iopub_port:
            return  # The common case, of each look: nothing has changed.
        port = _iopub_port(kernel)
        if port is None:
            return
        stream = kernel.connect_iopub()
        if not hasattr(stream, "on_recv"):
            stream.close()
            return
        if known:  # Restarted with other ports: the turns stay, the old subscription goes.
            _close(known.stream)
            turns = known.turns
        else:
            turns = KernelTurns(kernel_id, self._prompts, self._clock, kernel.session.unpack)
            if getattr(kernel, "execution_state", None) == "busy":
                turns.assume_busy()
        stream.on_recv(self._receiver(kernel_id, kernel, turns))
        self._subscriptions[kernel_id] = _Subscription(stream, port, process_id, turns)

    def _receiver(
        self, kernel_id: str, kernel: Any, turns: KernelTurns
    ) -> Callable[[list[bytes]], None]:
        complained = False

        def receive(frames: list[bytes]) -> None:
            nonlocal complained
            subscription = self._subscriptions.get(kernel_id)
            process_id = getattr(getattr(kernel, "provisioner", None), "pid", None)
            if subscription and process_id != subscription.process_id:
                subscription.process_id = process_id
                turns.restarted()
            try:
                turns.message(frames)
            except Exception as error:  # A kernel may send anything; its next message is read.
                if not complained:
                    complained = True
                    self._log.warning(
                        "Idle culler: cannot read a message of kernel %s: %r", kernel_id, error
                    )

        return receive


def _iopub_port(kernel: Any) -> int | None:
    """Return the port of the IOPub channel; None: it has none, or none yet."""
    if not hasattr(kernel, "connect_iopub"):
        return None
    ready = getattr(kernel, "ready", None)
    if ready is not None and not ready.done():
        return None  # It starts or restarts: its ports may still change.
    return int(kernel.iopub_port) or None


def _close(stream: Any) -> None:
    with suppress(OSError):  # pyzmq's errors for a socket that is closed already are OSErrors
        if not stream.closed():
            stream.on_recv(None)
            stream.close(linger=0)
