"""See a person's input at the websocket of a terminal, and know it from a terminal's own replies.

A terminal emulator answers queries by itself (what are you, where is the cursor, which colour),
also when it replays old output on re-attach: those answers arrive as input, and are no person's.
Source of the forms: ctlseqs of xterm, the kitty keyboard protocol.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

from tornado.routing import Rule, RuleRouter

log = logging.getLogger(__name__)

_STRING = r"[^\x07\x1b]*(?:\x07|\x1b\\)"
_REPLY = re.compile(
    r"(?:"
    r"\x1b\[[?>=][\d;]*c"  # DA1, DA2
    r"|\x1bP!\|" + _STRING +  # DA3
    r"|\x1b\[\??[03]n|\x1b\[\?\d+(?:;\d+)*n"  # DSR
    # CPR; row 1 with columns 2 to 16 is what F3 with modifiers sends: that may be a person.
    r"|\x1b\[(?!1;(?:[2-9]|1[0-6])R)\d+;\d+R|\x1b\[\?\d+;\d+(?:;\d+)?R"
    r"|\x1b\](?:4;\d+|5;\d+|1[0-9]);(?:rgba?:)" + _STRING +  # colours
    r"|\x1b\[\??\d+;\d+\$y"  # DECRPM
    r"|\x1bP>\|" + _STRING +  # XTVERSION
    r"|\x1bP[01][$+]r" + _STRING +  # DECRQSS, XTGETTCAP
    r"|\x1b\[[IO]"  # focus in, focus out
    r"|\x1b\[(?:[1-9]|10);?[\d;]*t"  # window state and size
    r"|\x1b\[\?\d+u"  # keyboard flags
    r")+"
)  # fmt: skip
_STDIN = re.compile(r'\s*\[\s*"stdin"')


def is_keystroke(text: str) -> bool:
    """Whether input holds anything that a terminal does not send by itself (mouse counts)."""
    return bool(text) and _REPLY.fullmatch(text) is None


def is_input(message: str | bytes) -> bool:
    """Whether a message of the terminal's websocket brings a person's input.

    Resizing (``set_size``) and everything else but ``stdin`` does not.
    """
    text = message.decode("utf-8", "replace") if isinstance(message, bytes) else message
    if not _STDIN.match(text):
        return False
    try:
        content = json.loads(text)
    except ValueError:
        return False
    return len(content) > 1 and isinstance(content[1], str) and is_keystroke(content[1])


def install_keystroke_watch(web_app: Any, on_input: Callable[[str], None]) -> bool:
    """Have ``on_input`` called with a terminal's name for every input of a person.

    Call it after all extensions were loaded: it puts a subclass in the place of each terminal
    websocket handler that the application routes to. Returns False where there is none that it
    knows: then only the terminal device tells of input.
    """
    try:
        from terminado.websocket import TermSocket
    except ImportError:
        return False
    found = False
    for rule in _rules(web_app.default_router):
        if isinstance(rule.target, type) and issubclass(rule.target, TermSocket):
            rule.target = _watched(rule.target, on_input)
            found = True
    return found


def _rules(router: RuleRouter) -> Iterator[Rule]:
    for rule in router.rules:
        if isinstance(rule.target, RuleRouter):
            yield from _rules(rule.target)
        else:
            yield rule


def _watched(handler: type[Any], on_input: Callable[[str], None]) -> type[Any]:
    class WatchedTermSocket(handler):
        """The terminal websocket, with a word to us before each message."""

        def on_message(self, message: str | bytes) -> Any:
            try:
                if is_input(message):
                    on_input(self.term_name)
            except Exception:
                # Whatever is wrong with us, the person's key must reach their shell.
                log.exception("Input at a terminal was not noted")
            return super().on_message(message)

    WatchedTermSocket.__name__ = handler.__name__
    WatchedTermSocket.__qualname__ = handler.__qualname__
    return WatchedTermSocket
