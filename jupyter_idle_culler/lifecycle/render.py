"""A script with its parameters filled in, and shortened where the limit asks for it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from . import size
from .scripts import LifecycleError

BEGIN, END = "# Parameters", "# End of parameters"
ONLINE, END_ONLINE = "# Online only", "# End of online only"
"""Between these lines lies what fetches: the form with autostop inlined never runs it."""
_LINE = re.compile(r"([A-Z][A-Z0-9_]*)=(.*)")
_HERE = re.compile(r"<<-?\s*(['\"]?)([A-Za-z_][A-Za-z0-9_]*)\1")


@dataclass(frozen=True)
class Rendered:
    """A script as AWS gets it. ``shortened``: what it does not need was taken out."""

    script: bytes
    shortened: bool


def parameters_of(script: str) -> dict[str, str]:
    """Return the parameters of a script with their defaults. Raises: LifecycleError."""
    lines = script.splitlines()
    return dict(_parameter(lines[n]) for n in _block(lines) if _LINE.fullmatch(lines[n]))


def render(script: str, values: Mapping[str, str], name: str) -> Rendered:
    """Fill in the values. ``name`` is what messages call the script.

    Each value becomes one word of the shell, whatever is in it. Raises: LifecycleError where the
    script has no such parameter, a value holds a control character, or all is too long for AWS.
    """
    lines = script.replace("\r\n", "\n").split("\n")
    known = parameters_of(script)
    for parameter, value in values.items():
        if parameter not in known:
            message = f"{name} has no parameter {parameter}"
            raise LifecycleError(message)
        if any(ord(c) < 32 or ord(c) == 127 or c in "\x85\u2028\u2029" for c in value):
            message = f"{parameter}: there must be no control character in it"
            raise LifecycleError(message)
        if not _encodable(value):
            message = f"{parameter}: there must be no character in it that is no text"
            raise LifecycleError(message)
    for number in _block(lines):
        found = _LINE.fullmatch(lines[number])
        if found and found[1] in values:
            lines[number] = f"{found[1]}={_word(values[found[1]])}"
    whole = "\n".join(lines)
    if size.fits(whole.encode()):
        return Rendered(whole.encode(), shortened=False)
    if values.get("AUTOSTOP"):
        whole = without_indentation(without_comments(without_fetching(whole)))
    short = without_comments(whole).encode()
    return Rendered(size.checked(short, name), shortened=True)


def without_comments(script: str) -> str:
    """Return a script without comment lines and empty ones; shebang and here-documents stay."""
    kept = []
    ends_at: str | None = None
    for number, line in enumerate(script.split("\n")):
        if ends_at is not None:
            kept.append(line)
            if line.strip() == ends_at:
                ends_at = None
            continue
        if number > 0 and (line.lstrip().startswith("#") or not line.strip()):
            continue
        kept.append(line)
        # What is packed may hold anything, << too.
        opened = None if _LINE.fullmatch(line) else _HERE.search(line)
        ends_at = opened[2] if opened and "<<<" not in line else None
    return "\n".join([*kept, ""])


def without_indentation(script: str) -> str:
    """Return a script without the blanks that begin its lines, but for those in quoted text."""
    kept, quote = [], ""
    for line in script.split("\n"):
        kept.append(line if quote else line.lstrip())
        rest = iter(line)
        for character in rest:
            if character == "\\" and quote != "'":
                next(rest, "")
            elif quote:
                quote = "" if character == quote else quote
            elif character in "'\"":
                quote = character
    return "\n".join(kept)


def without_fetching(script: str) -> str:
    """Return a script without what only its online form runs, and parameters of that alone."""
    kept, online = [], False
    for line in script.split("\n"):
        online = online or line.strip() == ONLINE
        if not online:
            kept.append(line)
        online = online and line.strip() != END_ONLINE
    rest = "\n".join(kept)
    names = [line.partition("=")[0] for line in kept if _LINE.fullmatch(line)]
    unused = [name for name in names if not re.search(rf"\$\{{?{name}\b", rest)]
    return "\n".join(line for line in kept if line.partition("=")[0] not in unused)


def _block(lines: list[str]) -> range:
    stripped = [line.strip() for line in lines]
    if stripped.count(BEGIN) != 1 or stripped.count(END) != 1:
        message = f"the script has no block of parameters ({BEGIN} … {END})"
        raise LifecycleError(message)
    return range(stripped.index(BEGIN) + 1, stripped.index(END))


def _parameter(line: str) -> tuple[str, str]:
    name, _, value = line.strip().partition("=")
    words = shlex.split(value)
    return name, words[0] if words else ""


def _word(value: str) -> str:
    """Quote a value always, so that its line reads as the one that it replaces."""
    return "'" + value.replace("'", "'\"'\"'") + "'"


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
