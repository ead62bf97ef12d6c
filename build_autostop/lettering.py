"""Bytes as one line of text that stands between single quotes in a script.

Base 85 would be the usual form; it takes two bytes of a hundred more, which a script has not. The
letters are the 93 that can be seen and are no single quote. Scripts read it in a line of Python.
"""

from __future__ import annotations

import lzma

LETTERS = "".join(chr(number) for number in range(33, 127) if number != 39)
_MOST_BYTES = 9999


class CannotBeWritten(Exception):
    """The bytes begin with a zero, which a number does not keep, or they are too many."""


def written(data: bytes) -> str:
    """Return bytes as a number in base 93, first digit first. Raises: CannotBeWritten."""
    if data[:1] in (b"", b"\0") or len(data) > _MOST_BYTES:
        message = f"{len(data)} bytes that begin with {data[:1]!r}"
        raise CannotBeWritten(message)
    number, digits = int.from_bytes(data, "big"), []
    while number:
        number, digit = divmod(number, len(LETTERS))
        digits.append(LETTERS[digit])
    return "".join(reversed(digits))


def unpacked(text: str) -> str:
    """Return the program that a script carries, as the script itself unpacks it."""
    number = 0
    for letter in text:
        number = number * len(LETTERS) + LETTERS.index(letter)
    return lzma.decompress(number.to_bytes(_MOST_BYTES, "big").lstrip(b"\0")).decode()
