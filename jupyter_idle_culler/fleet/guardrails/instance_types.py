"""The instance types that people may use: a list, wildcards too, in which a slip is found."""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Iterable

from ...errors import IdleCullerError

SYSTEM = "system"
"""What Studio runs its own JupyterServer apps on; it costs nothing (AWS::SageMaker::App)."""
_FORM = re.compile(r"ml\.[a-z0-9*?-]+(\.[a-z0-9*?-]+)?")


class BadInstanceType(IdleCullerError):
    """One of the instance types cannot be meant; the message names it."""


def read_types(given: Iterable[str]) -> tuple[str, ...]:
    """Return the instance types, each once, sorted. ``system`` is left out: it is always allowed.

    Commas and blanks part them as well. Raises: BadInstanceType.
    """
    words = {word for text in given for word in re.split(r"[,\s]+", text) if word}
    types = sorted(words - {SYSTEM})
    for name in types:
        if not _FORM.fullmatch(name):
            message = f"{name!r} is no instance type: they look like ml.t3.medium or ml.m5.*"
            raise BadInstanceType(message)
        _denies_something(name)
    if not types:
        message = "name at least one instance type, such as ml.t3.medium or ml.m5.*"
        raise BadInstanceType(message)
    if not _known() - {known for name in types for known in _matched(name)}:
        message = f"together they allow every instance type: {', '.join(types)}"
        raise BadInstanceType(message)
    return tuple(types)


def _denies_something(name: str) -> None:
    """Refuse a wildcard that no family escapes. Raises: BadInstanceType."""
    matched = _matched(name)
    allows = "every instance type" if matched == _known() else "instance types of every family"
    if _families(matched) >= _families(_known()):
        message = f"{name!r} allows {allows}: that would be no guardrail"
        raise BadInstanceType(message)


def _matched(name: str) -> set[str]:
    return {known for known in _known() if fnmatch.fnmatchcase(known, name)}


def _families(types: Iterable[str]) -> set[str]:
    """Return the families, such as m5, without Studio's one type for maps."""
    return {name.split(".")[1] for name in types} - {"geospatial"}


def unknown_types(types: Iterable[str]) -> list[str]:
    """Return those that name no instance type that the installed boto3 knows: slips, or newer."""
    return [name for name in types if not _matched(name)]


@functools.cache
def _known() -> frozenset[str]:
    """Return the instance types in SageMaker's service model."""
    import botocore.session

    model = botocore.session.get_session().get_service_model("sagemaker")
    shapes = (model.shape_for(name) for name in model.shape_names if name.endswith("InstanceType"))
    values = (value for shape in shapes for value in getattr(shape, "enum", ()))
    return frozenset(value for value in values if value.startswith("ml."))
