"""What a user may fill into a script, each value with its rule."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

LEAST_SECONDS, MOST_SECONDS = 5 * 60, 30 * 24 * 3600
LEAST_CHECK_SECONDS, MOST_CHECK_SECONDS = 10, 3600
LONGEST_TEXT = 1024

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?:in)?)?(?:(\d+)s)?", re.ASCII)
_UNITS = (86400, 3600, 60, 1)
_VERSION = re.compile(r"\d+(\.\d+)*((a|b|rc)\d+)?(\.(post|dev)\d+)*", re.ASCII)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_STEP = re.compile(r"(\*|[^/-]+(?:-[^/-]+)?)(?:/(\d{1,2}))?", re.ASCII)
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_DAYS = "sun mon tue wed thu fri sat".split()
_FIELDS: tuple[tuple[str, int, int, list[str]], ...] = (
    ("minute", 0, 59, []),
    ("hour", 0, 23, []),
    ("day of the month", 1, 31, []),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)


def seconds(text: str, plain_unit_seconds: int) -> int:
    """Turn ``3600``, ``60m``, ``1h``, ``1h30m`` or ``90s`` into whole seconds.

    ``plain_unit_seconds`` is what a number without a unit counts: 1 or 60. Raises: ValueError.
    """
    written = "".join(text.lower().split())
    if written.isascii() and written.isdigit():
        found = int(written[:12]) * plain_unit_seconds
    else:
        parts = _DURATION.fullmatch(written)
        if parts is None or not any(parts.groups()):
            message = f"{text[:40]!r} is no time: write 60m, 1h, 1h30m or a whole number"
            raise ValueError(message)
        found = sum(int(n[:12]) * unit for n, unit in zip(parts.groups(), _UNITS, strict=True) if n)
    return found


def timeout_seconds(text: str, plain_unit_seconds: int) -> int:
    """Return a time-out in seconds, within the bounds. Raises: ValueError."""
    found = seconds(text, plain_unit_seconds)
    if not LEAST_SECONDS <= found <= MOST_SECONDS:
        unit = "seconds" if plain_unit_seconds == 1 else "minutes"
        message = (
            f"{text[:40]}: must be from 5 minutes to 30 days (a number without a unit is {unit}"
            " here; write 60m or 1h)"
        )
        raise ValueError(message)
    return found


def timeout_minutes(text: str, plain_unit_seconds: int) -> int:
    """Return a time-out in whole minutes, within the bounds. Raises: ValueError."""
    found = timeout_seconds(text, plain_unit_seconds)
    if found % 60:
        message = f"{text[:40]}: must be whole minutes"
        raise ValueError(message)
    return found // 60


def check_seconds(text: str) -> int:
    """Return how often to look, in seconds. Raises: ValueError."""
    found = seconds(text, 1)
    if not LEAST_CHECK_SECONDS <= found <= MOST_CHECK_SECONDS:
        message = f"{text[:40]}: must be from 10 seconds to 1 hour"
        raise ValueError(message)
    return found


def cron_schedule(text: str) -> str:
    """Return a schedule of cron's, five fields with one blank between. Raises: ValueError."""
    fields = text.split()
    if len(fields) != len(_FIELDS) or not _printable(text):
        message = (
            f"{text[:60]!r} is no cron schedule: five fields (minute, hour, day of the month,"
            " month, day of the week), such as '*/5 * * * *'"
        )
        raise ValueError(message)
    for field, (title, low, high, names) in zip(fields, _FIELDS, strict=True):
        if not all(_cron_part(part, low, high, names) for part in field.split(",")):
            message = f"{field[:40]!r} is no {title} of a cron schedule ({low} to {high})"
            raise ValueError(message)
    return " ".join(fields)


def _cron_part(part: str, low: int, high: int, names: list[str]) -> bool:
    found = _STEP.fullmatch(part)
    if found is None:
        return False
    span, step = found.groups()
    if step is not None and (not 0 < int(step) <= high or ("-" not in span and span != "*")):
        return False
    if span == "*":
        return True
    numbers = []
    for word in span.split("-"):
        if word.lower() in names:
            numbers.append(names.index(word.lower()) + (1 if names is _MONTHS else 0))
        elif word.isascii() and word.isdigit() and len(word) <= 2:
            numbers.append(int(word))
        else:
            return False
    return all(low <= number <= high for number in numbers) and numbers == sorted(numbers)


def index_url(text: str) -> str:
    """Return the address of a package index. Raises: ValueError."""
    rule = "must be an address such as https://index.example/simple, without blanks or quotes"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    host = parts.hostname or ""
    fits = (
        _one_line(text)
        and not re.search(r"[\s'\"`\\<>]", text)
        and (
            (parts.scheme == "file" and not host and parts.path.startswith("/"))
            or (parts.scheme in ("http", "https") and _HOST.fullmatch(host) and port != 0)
        )
    )
    if not fits:
        message = f"{_shown(text)}: {rule}"
        raise ValueError(message)
    return text


def has_secret(address: str) -> bool:
    """Tell whether an address holds a password, which whoever may describe the script can read."""
    return "@" in urlsplit(address).netloc


def wheel(text: str) -> str:
    """Return where a wheel lies: an absolute path there or ``s3://bucket/key``.

    Raises: ValueError.
    """
    bucket, _, key = text.removeprefix("s3://").partition("/")
    in_s3 = text.startswith("s3://") and _BUCKET.fullmatch(bucket) and key
    if not (_one_line(text) and text.endswith(".whl") and (in_s3 or text.startswith("/"))):
        message = (
            f"{_shown(text)}: must be s3://bucket/key or an absolute path on the machine where the"
            " script runs, to a file that ends in .whl"
        )
        raise ValueError(message)
    return text


def sha256(text: str) -> str:
    """Return a SHA-256 as 64 hexadecimal digits. Raises: ValueError."""
    if not _SHA256.fullmatch(text.lower()):
        message = f"{_shown(text)}: must be 64 hexadecimal digits (sha256sum prints them)"
        raise ValueError(message)
    return text.lower()


def version(text: str) -> str:
    """Return a version of the package. Raises: ValueError."""
    if len(text) > 40 or not _VERSION.fullmatch(text):
        message = f"{_shown(text)}: must be a version such as 0.1.0"
        raise ValueError(message)
    return text


def in_words(found: int) -> str:
    """Say a time-out as people do: ``1 h 30 min``."""
    names = ("d", "h", "min", "s")
    words, rest = [], found
    for name, unit in zip(names, _UNITS, strict=True):
        number, rest = divmod(rest, unit)
        if number:
            words.append(f"{number} {name}")
    return " ".join(words) or "0 s"


def _printable(text: str) -> bool:
    """Tell whether nothing in it moves a cursor or ends a line (blanks and tabs may be in it)."""
    return all(c.isprintable() or c == "\t" for c in text)


def _one_line(text: str) -> bool:
    return bool(text) and len(text) <= LONGEST_TEXT and text.isprintable()


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:80])
