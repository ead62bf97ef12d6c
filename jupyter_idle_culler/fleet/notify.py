"""Tell people by SNS: a long list in several messages, a short form for SMS."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

MOST_BYTES = 256 * 1024
"""The longest message that SNS takes, all forms of it together."""
MOST_SUBJECT = 100
MOST_SMS = 140
_TEXT_BYTES = MOST_BYTES // 2 - 2048
"""JSON may double a text (escapes), and holds the short form beside it."""


def publish(sns: Any, topic_arn: str, subject: str, paragraphs: Sequence[str], short: str) -> None:
    """Publish to a topic. Paragraphs are kept whole, unless one alone is longer than a message.

    Raises: botocore's errors.
    """
    parts = list(messages(paragraphs))
    for number, text in enumerate(parts, 1):
        count = f" ({number}/{len(parts)})" if len(parts) > 1 else ""
        sns.publish(
            TopicArn=topic_arn,
            Subject=_subject(subject, count),
            MessageStructure="json",
            Message=json.dumps(
                {"default": text, "sms": _cut(short, MOST_SMS - len(count)) + count},
                ensure_ascii=False,
            ),
        )


def messages(paragraphs: Sequence[str], most_bytes: int = _TEXT_BYTES) -> Iterator[str]:
    """Yield texts that hold all paragraphs, in order, each at most so long in UTF-8."""
    pieces = (piece for paragraph in paragraphs for piece in _pieces(paragraph, most_bytes))
    yield from _joined(pieces, "\n\n", most_bytes)


def _pieces(paragraph: str, most_bytes: int) -> Iterator[str]:
    """Yield a paragraph, in lines or less where it is longer than a message."""
    if len(paragraph.encode()) <= most_bytes:
        yield paragraph
        return
    parts = (part for line in paragraph.splitlines() for part in _parts(line, most_bytes))
    yield from _joined(parts, "\n", most_bytes)


def _joined(parts: Iterable[str], between: str, most_bytes: int) -> Iterator[str]:
    """Yield as few texts as hold the parts in order, each at most so long."""
    text = ""
    for part in parts:
        longer = f"{text}{between}{part}" if text else part
        if text and len(longer.encode()) > most_bytes:
            yield text
            text = part
        else:
            text = longer
    if text:
        yield text


def _parts(line: str, most_bytes: int) -> Iterator[str]:
    step = max(1, most_bytes // 4)  # the longest character of UTF-8
    if len(line.encode()) <= most_bytes:
        yield line
        return
    yield from (line[start : start + step] for start in range(0, len(line), step))


def _subject(subject: str, count: str) -> str:
    """Return a subject as SNS takes it: ASCII, one line, begins with a letter or the like."""
    plain = " ".join(subject.encode("ascii", "replace").decode().split())
    return _cut(plain or "idle culler", MOST_SUBJECT - len(count), "...") + count


def _cut(text: str, most: int, end: str = "…") -> str:
    return text if len(text) <= most else text[: most - len(end)] + end
