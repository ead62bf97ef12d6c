"""See what clients send to a kernel, and the prompts at which a kernel waits for a person.

A prompt (``input()``, ``getpass()``, a debugger) is an ``input_request`` on the stdin channel. It
reaches only the client that asked for the cell, so it is seen where that client is connected: by a
subclass of the configured kernel websocket connection. Messages as in the Jupyter protocol
(https://jupyter-client.readthedocs.io/en/stable/messaging.html).
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

PASSIVE_TYPES = frozenset(
    {
        "comm_info_request",
        "complete_request",
        "connect_request",
        "create_subshell_request",
        "debug_request",
        "delete_subshell_request",
        "history_request",
        "inspect_request",
        "interrupt_request",
        "is_complete_request",
        "kernel_info_request",
        "list_subshell_request",
        "shutdown_request",
        "usage_request",
    }
)
"""Requests that clients send by themselves. A message of a type that is not here counts."""

EXECUTE = "execute_request"
_DELIMITER = b"<IDS|MSG>"
_V1_PROTOCOL = "v1.kernel.websocket.jupyter.org"
_WIDGET_CONTROL = "jupyter.widget.control"
_WIDGET_REFRESH = frozenset({"request_state", "request_states"})
_REMEMBERED_MESSAGES = 4096
_MAX_PARSED_BYTES = 65536
_OUTPUT_LATENESS = timedelta(seconds=1)
"""Captured output of a child process may be sent so long after the prompt that it came before."""


@dataclass
class Prompt:
    """An ``input_request`` that nobody answered yet.

    ``since`` is monotonic seconds; ``sent_at`` what the kernel's clock said (None: not known).
    ``polls``: whether its kernel was seen to poll for the answer (None: not looked at yet).
    ``doubted``: something happened after which it is over unless the kernel is seen to wait.
    """

    message_id: str
    since: float
    sent_at: datetime | None = None
    polls: bool | None = None
    doubted: bool = False


class PromptWatch:
    """Remember each kernel's open prompts, and what its clients sent it to do.

    A subscription to a new kernel may come about a moment later than a fast client's first cell:
    so a cell that was sent counts until IOPub or its reply tells more.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._prompts: dict[str, dict[str, Prompt]] = {}
        self._over: deque[str] = deque(maxlen=_REMEMBERED_MESSAGES)
        self._sent: dict[str, dict[str, float]] = {}
        self._evidence: dict[str, tuple[float, str]] = {}
        self._passive: set[str] = set()
        self._passive_order: deque[str] = deque()
        self._control_comms: deque[str] = deque(maxlen=_REMEMBERED_MESSAGES)
        self._buffers_read: dict[str, tuple[int, int]] = {}

    def open_prompts(self, kernel_id: str) -> Mapping[str, float]:
        """Return since when the requests (by msg_id) of this kernel wait for an answer."""
        return {parent: prompt.since for parent, prompt in self.prompts(kernel_id).items()}

    def prompts(self, kernel_id: str) -> Mapping[str, Prompt]:
        """Return the open prompts of a kernel, by the msg_id of the request that asks."""
        return self._prompts.get(kernel_id, {})

    def evidence(self, kernel_id: str) -> tuple[float, str] | None:
        """Return when a client last sent something that counts, and what; None: never seen."""
        return self._evidence.get(kernel_id)

    def sent_cells(self, kernel_id: str) -> Mapping[str, float]:
        """Return since when cells (by msg_id) are on their way of which nothing was heard yet."""
        return self._sent.get(kernel_id, {})

    def is_passive(self, message_type: str, message_id: str) -> bool:
        """Tell whether a message is one that clients send without a person or program asking."""
        return message_type in PASSIVE_TYPES or message_id in self._passive

    def prompt_opened(
        self, kernel_id: str, parent_id: str, message_id: str = "", date: object = None
    ) -> None:
        """Note that the request `parent_id` asks for input, as of now unless that is known.

        Another question of the same request means that the one before it is over. One that is over
        stays so, though jupyter_server sends it to a client that comes back.
        """
        prompts = self._prompts.setdefault(kernel_id, {})
        known = prompts.get(parent_id)
        if message_id not in self._over and (known is None or known.message_id != message_id):
            prompts[parent_id] = Prompt(message_id, self._clock(), _instant(date))

    def prompt_over(self, kernel_id: str, parent_id: str, prompt: Prompt) -> None:
        """Note that the kernel does not wait at this prompt any more, though nobody answered it."""
        if self.prompts(kernel_id).get(parent_id) is prompt:
            del self._prompts[kernel_id][parent_id]
            if prompt.message_id:
                self._over.append(prompt.message_id)

    def interrupted(self, kernel_id: str) -> None:
        """Note that the kernel was interrupted: what waited at a prompt may do anything now."""
        for prompt in self.prompts(kernel_id).values():
            prompt.doubted = True

    def output(self, kernel_id: str, parent_id: str, date: object) -> None:
        """Note that a request wrote something: if that was after its prompt, that may be over.

        What a thread prints goes by the name of the newest cell: so it is only doubted. When it
        was sent counts, by the kernel's clock (ISO 8601 or a datetime), because output from before
        a prompt may be heard after it.
        """
        prompt = self.prompts(kernel_id).get(parent_id)
        if prompt is None:
            return
        written_at = _instant(date)
        if prompt.sent_at is None or written_at is None:
            late = self._clock() - prompt.since > _OUTPUT_LATENESS.total_seconds()
        else:
            late = written_at - prompt.sent_at > _OUTPUT_LATENESS
        prompt.doubted = prompt.doubted or late

    def read_buffer(
        self, kernel_id: str, buffer: list[tuple[str, list[Any]]], unpack: Callable[[bytes], Any]
    ) -> None:
        """Find prompts among the messages that jupyter_server keeps for a client that is gone.

        They count from now: when they were sent is not known. Each message is read once.
        """
        buffer_id, start = self._buffers_read.get(kernel_id, (0, 0))
        start = start if buffer_id == id(buffer) else 0
        self._buffers_read[kernel_id] = (id(buffer), len(buffer))
        for channel, frames in buffer[start:]:
            if channel == "stdin":
                note_stdin(self, kernel_id, frames, unpack)

    def turn_began(self, kernel_id: str, parent_id: str) -> None:
        """Note that the kernel works on a request: from now on IOPub tells of it."""
        self._sent.get(kernel_id, {}).pop(parent_id, None)

    def turn_ended(self, kernel_id: str, parent_id: str) -> None:
        """Forget the prompt of a request that is over."""
        self._sent.get(kernel_id, {}).pop(parent_id, None)
        self._prompts.get(kernel_id, {}).pop(parent_id, None)

    def replied(self, kernel_id: str, parent_id: str) -> None:
        """Note the reply to a request. One that IOPub tells of is over when IOPub says so."""
        if self._sent.get(kernel_id, {}).pop(parent_id, None) is not None:
            self._evidence[kernel_id] = (self._clock(), "its last cell ended")
            self._prompts.get(kernel_id, {}).pop(parent_id, None)

    def restarted(self, kernel_id: str) -> None:
        """Forget what a kernel was at whose process is another one now."""
        self._prompts.pop(kernel_id, None)
        self._sent.pop(kernel_id, None)

    def keep_only(self, kernel_ids: Iterable[str]) -> None:
        """Forget every other kernel."""
        kept = set(kernel_ids)
        for known in (self._prompts, self._sent, self._evidence, self._buffers_read):
            for gone in known.keys() - kept:
                del known[gone]

    def client_message(
        self, kernel_id: str, channel: str, header: Mapping[str, Any], content: Any
    ) -> None:
        """Note one message of a client. `content` is called for the content when it matters."""
        message_type, message_id = str(header.get("msg_type")), str(header.get("msg_id"))
        if channel == "stdin" and message_type == "input_reply":
            self._prompts.pop(kernel_id, None)
            self._evidence[kernel_id] = (self._clock(), "its prompt was answered")
        elif channel == "control" and message_type == "interrupt_request":
            self.interrupted(kernel_id)
        elif channel == "shell":
            if message_type.startswith("comm_") and self._is_widget_refresh(message_type, content):
                self._remember_passive(message_id)
            elif not self.is_passive(message_type, message_id):
                self._evidence[kernel_id] = (self._clock(), f"a client sent {message_type}")
                if message_type == EXECUTE:
                    self._remember_sent(kernel_id, message_id)

    def _is_widget_refresh(self, message_type: str, content: Callable[[], Any]) -> bool:
        """Tell whether this is the widget manager's own question for the state after a reconnect.

        It asks for all states through a control comm that it opens and closes again, or, of
        older kernels, each widget for its own (ipywidgets, base-manager, ``_loadFromKernel``).
        """
        body = content()
        if not isinstance(body, dict):
            return False
        comm_id = body.get("comm_id")
        if message_type == "comm_open":
            if body.get("target_name") != _WIDGET_CONTROL:
                return False
            self._control_comms.append(str(comm_id))
            return True
        if message_type == "comm_close":
            return comm_id in self._control_comms
        data = body.get("data")
        return isinstance(data, dict) and data.get("method") in _WIDGET_REFRESH

    def _remember_sent(self, kernel_id: str, message_id: str) -> None:
        sent = self._sent.setdefault(kernel_id, {})
        sent[message_id] = self._clock()
        if len(sent) > _REMEMBERED_MESSAGES:
            del sent[next(iter(sent))]

    def _remember_passive(self, message_id: str) -> None:
        if message_id not in self._passive:
            self._passive.add(message_id)
            self._passive_order.append(message_id)
        if len(self._passive_order) > _REMEMBERED_MESSAGES:
            self._passive.discard(self._passive_order.popleft())


def message_frames(frames: list[Any]) -> list[Any]:
    """Return header, parent header, metadata, content, … of a message from a zmq channel."""
    return frames[frames.index(_DELIMITER) + 2 :]


def note_stdin(
    watch: PromptWatch, kernel_id: str, frames: list[Any], unpack: Callable[[bytes], Any]
) -> None:
    """Note a message that a kernel sent on stdin: it is a prompt, or nothing that matters."""
    header, parent = (unpack(frame) for frame in message_frames(frames)[:2])
    if header.get("msg_type") == "input_request":
        _note_prompt(watch, kernel_id, header, parent)


def _note_prompt(
    watch: PromptWatch, kernel_id: str, header: Mapping[str, Any], parent: Mapping[str, Any]
) -> None:
    message_id = str(header.get("msg_id", ""))
    watch.prompt_opened(kernel_id, str(parent.get("msg_id")), message_id, header.get("date"))


def _instant(date: object) -> datetime | None:
    """Read the date of a message; None: it has none that can be read. UTC where no zone is told."""
    if isinstance(date, str):
        try:  # Python 3.10 does not take the Z of ISO 8601.
            date = datetime.fromisoformat(date.removesuffix("Z"))
        except ValueError:
            return None
    if not isinstance(date, datetime):
        return None
    return date if date.tzinfo else date.replace(tzinfo=timezone.utc)


def _split_v1(message: bytes) -> tuple[str, bytes, bytes]:
    """Return channel, header and content of a message in the v1 websocket protocol."""
    count = int.from_bytes(message[:8], "little")
    offsets = [int.from_bytes(message[8 * i : 8 * i + 8], "little") for i in range(1, count + 1)]
    channel = message[offsets[0] : offsets[1]].decode()
    return channel, message[offsets[1] : offsets[2]], message[offsets[4] : offsets[5]]


def _read_incoming(connection: Any, message: Any) -> tuple[str, Any, Callable[[], Any]]:
    """Return channel, header and what gives the content of a client's websocket message."""
    if getattr(connection, "subprotocol", None) == _V1_PROTOCOL:
        channel, header, content = _split_v1(message)
        small = len(content) <= _MAX_PARSED_BYTES
        return channel, json.loads(header), lambda: json.loads(content) if small else None
    if isinstance(message, bytes):
        # Buffers behind the JSON: their number, then one offset each (jupyter_server's own form).
        count = int.from_bytes(message[:4], "big")
        start = int.from_bytes(message[4:8], "big")
        end = int.from_bytes(message[8:12], "big") if count > 1 else None
        message = message[start:end]
    body = json.loads(message)
    return body.get("channel") or "shell", body["header"], lambda: body.get("content")


def _note_incoming(watch: PromptWatch, connection: Any, message: Any) -> None:
    if not getattr(connection, "channels", True):
        return  # It is closed already, and drops the message.
    channel, header, content = _read_incoming(connection, message)
    allowed = getattr(connection.multi_kernel_manager, "allowed_message_types", None)
    if not allowed or header["msg_type"] in allowed:  # What is not allowed is dropped, too.
        watch.client_message(connection.kernel_id, channel, header, content)


def _note_outgoing(watch: PromptWatch, connection: Any, args: tuple[Any, ...]) -> None:
    if isinstance(args[0], str | bytes) and len(args) == 1:
        _note_gateway_text(watch, connection.kernel_id, args[0])
        return
    stream, frames = args[0], args[1]
    channel = stream if isinstance(stream, str) else getattr(stream, "channel", None)
    if channel == "stdin":
        note_stdin(watch, connection.kernel_id, frames, connection.session.unpack)
    elif channel == "shell":
        parent = connection.session.unpack(message_frames(frames)[1])
        watch.replied(connection.kernel_id, str(parent.get("msg_id")))


def _note_gateway_text(watch: PromptWatch, kernel_id: str, text: Any) -> None:
    """Note a message as a gateway's connection passes it on: as JSON."""
    asks = ("input_request" if isinstance(text, str) else b"input_request") in text
    if not asks and not watch.prompts(kernel_id):
        return
    body = json.loads(text)
    header, parent = body["header"], body.get("parent_header") or {}
    if body.get("channel") == "stdin" and header["msg_type"] == "input_request":
        _note_prompt(watch, kernel_id, header, parent)
    elif body.get("channel") == "iopub" and header["msg_type"] != "status":
        watch.output(kernel_id, str(parent.get("msg_id")), header.get("date"))


def _watched(connection_class: type[Any], watch: PromptWatch, log: logging.Logger) -> type[Any]:
    complained: set[str] = set()

    def guard(note: Callable[..., None], *args: Any) -> None:
        try:
            note(*args)
        except Exception as error:  # Whatever a message holds, the connection must live on.
            if note.__name__ not in complained:
                complained.add(note.__name__)
                log.warning("Idle culler: cannot read a kernel message: %r", error)

    class WatchedConnection(connection_class):
        """The configured kernel websocket connection, overheard by the idle culler."""

        idle_culler_original = connection_class

        def handle_incoming_message(self, incoming_msg: Any) -> None:
            guard(_note_incoming, watch, self, incoming_msg)
            super().handle_incoming_message(incoming_msg)

        def handle_outgoing_message(self, *args: Any) -> None:
            guard(_note_outgoing, watch, self, args)
            super().handle_outgoing_message(*args)

    WatchedConnection.__name__ = connection_class.__name__
    WatchedConnection.__qualname__ = connection_class.__qualname__
    return WatchedConnection


def install_prompt_watch(
    settings: MutableMapping[str, Any], watch: PromptWatch, log: logging.Logger
) -> bool:
    """Put a subclass that tells `watch` in the place of the kernel websocket connection class.

    Connections that are already open are not watched. False: the configured class is none of
    jupyter_server's (jupyter_server_documents replaces it), and was left as it is.
    """
    from jupyter_server.gateway.connections import (
        GatewayWebSocketConnection,
    )
    from jupyter_server.services.kernels.connection.channels import (
        ZMQChannelsWebsocketConnection,
    )

    connection_class = settings.get("kernel_websocket_connection_class")
    known = (ZMQChannelsWebsocketConnection, GatewayWebSocketConnection)
    if not (isinstance(connection_class, type) and issubclass(connection_class, known)):
        return False
    settings["kernel_websocket_connection_class"] = _watched(connection_class, watch, log)
    return True


def is_watched(settings: Mapping[str, Any]) -> bool:
    """Tell whether the watching class is (still) the one that new connections get."""
    connection_class = settings.get("kernel_websocket_connection_class")
    return hasattr(connection_class, "idle_culler_original")


def remove_prompt_watch(settings: MutableMapping[str, Any]) -> None:
    """Give the original connection class back, where ours is still in its place."""
    if is_watched(settings):
        original = settings["kernel_websocket_connection_class"].idle_culler_original
        settings["kernel_websocket_connection_class"] = original
