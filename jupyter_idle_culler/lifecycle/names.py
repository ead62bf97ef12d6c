"""Names as the API takes them: checked before anything is asked of it."""

from __future__ import annotations

import re

_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*", re.ASCII)
_CONTAINED = re.compile(r"[a-zA-Z0-9-]+", re.ASCII)
_DOMAIN = re.compile(r"d-(-*[a-z0-9]){1,61}", re.ASCII)
_INSTANCE_TYPE = re.compile(r"ml\.[a-z0-9-]+\.[a-z0-9-]+", re.ASCII)
_LONGEST = 63


def resource_name(text: str) -> str:
    """Return the name of a configuration, instance or profile. Raises: ValueError."""
    rule = "must be 1 to 63 letters, digits and hyphens, with no hyphen first or last"
    return _checked(text, _NAME, rule)


def contained(text: str) -> str:
    """Return a part of names. Raises: ValueError."""
    return _checked(text, _CONTAINED, "must be 1 to 63 letters, digits and hyphens")


def domain_id(text: str) -> str:
    """Return the id of a Studio domain. Raises: ValueError."""
    return _checked(text, _DOMAIN, "must be the id of a domain, such as d-abc123def456")


def instance_type(text: str) -> str:
    """Return a type of instance. Raises: ValueError."""
    return _checked(text, _INSTANCE_TYPE, "must be a type of instance, such as ml.t3.medium")


def _checked(text: str, pattern: re.Pattern[str], rule: str) -> str:
    if len(text) > _LONGEST or not pattern.fullmatch(text):
        shown = "".join(c if c.isprintable() else "?" for c in text[:80])
        message = f"{shown!r}: {rule}"
        raise ValueError(message)
    return text
