"""What a person typed, told from what a terminal answers by itself."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.web import Application, RequestHandler

from jupyter_idle_culler.sources.keystrokes import (
    install_keystroke_watch,
    is_input,
    is_keystroke,
)

REPLIES = [
    "\x1b[?1;2c",  # DA1
    "\x1b[?62;22c",
    "\x1b[>0;276;0c",  # DA2
    "\x1bP!|00000000\x1b\\",  # DA3
    "\x1b[0n",  # DSR: ready
    "\x1b[24;80R",  # CPR
    "\x1b[1;1R",
    "\x1b[1;17R",
    "\x1b[?24;80;1R",
    "\x1b]10;rgb:ffff/ffff/ffff\x1b\\",
    "\x1b]11;rgb:0000/0000/0000\x07",
    "\x1b]4;1;rgb:cdcd/0000/0000\x1b\\",
    "\x1b[?2026;2$y",  # DECRPM
    "\x1b[4;1$y",
    "\x1bP>|xterm.js(5.5.0)\x1b\\",  # XTVERSION
    "\x1bP1$r0m\x1b\\",  # DECRQSS
    "\x1bP0$r\x1b\\",
    "\x1bP1+r544e=787465726d\x1b\\",  # XTGETTCAP
    "\x1b[I",
    "\x1b[O",
    "\x1b[8;24;80t",
    "\x1b[?0u",
]
KEYS = [
    "a",
    "\r",
    "\x03",
    "\x1b",
    "\t",
    "é",
    "\x1b[A",  # up
    "\x1bOA",
    "\x1b[1;5C",  # Ctrl-right
    "\x1bOR",  # F3
    "\x1b[1;2R",  # Shift-F3, or a cursor at row 1: may be a person
    "\x1b[1;16R",
    "\x1b[13~",
    "\x1b[3~",
    "\x1b[200~pasted\x1b[201~",
    "\x1b[<0;10;10M",  # a click
    "\x1b[M !!",
    "\x1b[97;5u",  # kitty keyboard: a key
    "\x1b[?1;2cx",
    "x\x1b[?1;2c",
    "\x1b]11;rgb:0000/0000/0000",  # not ended
]


@pytest.mark.parametrize("text", REPLIES)
def test_an_automatic_reply_is_no_keystroke(text: str) -> None:
    """Answers to queries come when old output is replayed, with nobody there."""
    assert not is_keystroke(text)


@pytest.mark.parametrize("text", KEYS)
def test_what_a_person_can_send_is_a_keystroke(text: str) -> None:
    """In doubt it is a person: never early."""
    assert is_keystroke(text)


@given(st.lists(st.sampled_from(REPLIES), min_size=1, max_size=6), st.sampled_from(KEYS[:10]))
def test_replies_in_one_message_are_replies_until_a_key_is_among_them(
    replies: list[str], key: str
) -> None:
    """Several answers may come at once; one key makes the message a person's."""
    assert not is_keystroke("".join(replies))
    assert is_keystroke("".join(replies) + key)


def test_only_stdin_is_input() -> None:
    """Sizes and whatever else a page sends by itself are not."""
    assert is_input(json.dumps(["stdin", "a"]))
    assert is_input(b'["stdin","a"]')
    assert not is_input(json.dumps(["stdin", ""]))
    assert not is_input(json.dumps(["stdin", "\x1b[I"]))
    assert not is_input(json.dumps(["set_size", 24, 80, 400, 800]))


@pytest.mark.parametrize(
    "message", ["", "[", '["stdin"', '["stdin"]', '["stdin", 1]', '{"stdin": 1}', "null", b"\xff"]
)
def test_a_malformed_message_is_no_input(message: str | bytes) -> None:
    """What the server itself will refuse is nobody's keystroke, and breaks nothing."""
    assert not is_input(message)


@given(st.text() | st.binary())
def test_no_message_breaks_the_watch(message: str | bytes) -> None:
    """Whatever arrives has an answer."""
    assert isinstance(is_input(message), bool)


def test_a_server_without_terminals_cannot_be_watched() -> None:
    """No rule leads to a terminal websocket that we know: the device has to tell."""
    application = Application([("/", RequestHandler)])
    assert install_keystroke_watch(application, print) is False


class OtherHandler(RequestHandler):
    """Some other extension's terminal."""


def test_handlers_of_others_are_left_alone() -> None:
    """Only terminado's websockets are replaced."""
    application = Application([("/terminals/websocket/x", OtherHandler)])
    assert install_keystroke_watch(application, print) is False
    (rule,) = application.wildcard_router.rules
    assert rule.target is OtherHandler
