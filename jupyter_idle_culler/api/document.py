"""``openapi.yaml``, read once, and requests checked against it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.protocols import Validator

from ..errors import IdleCullerError

LONGEST_BODY_BYTES = 64 << 10
_CACHE_BUSTER = re.compile(r"\d+")
"""JupyterLab appends the time to each address."""
_SERVER_PARAMETERS = frozenset({"token", "no_track_activity", "_xsrf"})
"""What jupyter_server itself reads from the address."""


class InvalidRequest(IdleCullerError):
    """A request breaks a rule of the document; ``field`` names the member or parameter."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


@cache
def document() -> Mapping[str, Any]:
    """Return the document as plain data. Reads a file: not on the event loop."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = (Path(__file__).parent / "openapi.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader, in C
    return loaded


@cache
def validator(reference: str) -> Validator:
    """Return what checks data against one schema of the document."""
    return Draft202012Validator({"$ref": reference, "components": document()["components"]})


def check_body(route: str, verb: str, body: bytes) -> dict[str, Any]:
    """Return the checked body of a request; what it leaves out is not in it.

    Raises: InvalidRequest.
    """
    described = document()["paths"][route][verb].get("requestBody")
    if described is None:
        if body.strip():
            message = "this request takes no body"
            raise InvalidRequest(message)
        return {}
    if not body.strip():
        if described["required"]:
            message = "a JSON object is required as the body"
            raise InvalidRequest(message)
        return {}
    value = _parse(body)
    if not isinstance(value, dict):
        message = "the body must be a JSON object"
        raise InvalidRequest(message)
    _check(validator(described["content"]["application/json"]["schema"]["$ref"]), value)
    return value


def check_query(route: str, verb: str, query: Mapping[str, Sequence[bytes]]) -> dict[str, Any]:
    """Return the checked query parameters of a request, defaults filled in.

    Raises: InvalidRequest.
    """
    described = {
        p["name"]: p["schema"] for p in document()["paths"][route][verb].get("parameters", [])
    }
    found = {name: schema["default"] for name, schema in described.items() if "default" in schema}
    for name, values in query.items():
        if name in _SERVER_PARAMETERS or (_CACHE_BUSTER.fullmatch(name) and not any(values)):
            continue
        if name not in described:
            message = f"{name}: no such query parameter here"
            raise InvalidRequest(message, name)
        if len(values) != 1:
            message = f"{name}: give it once"
            raise InvalidRequest(message, name)
        found[name] = _parameter(name, described[name], values[0])
    return found


def _parameter(name: str, schema: Mapping[str, Any], raw: bytes) -> Any:
    value: Any = raw.decode("utf-8", "replace")
    if schema["type"] == "integer" and re.fullmatch(r"-?[0-9]{1,9}", value):
        value = int(value)
    _check(Draft202012Validator(schema), value, name)
    return value


def _parse(body: bytes) -> Any:
    if len(body) > LONGEST_BODY_BYTES:
        message = f"the body must not be longer than {LONGEST_BODY_BYTES} bytes"
        raise InvalidRequest(message)
    try:
        value = json.loads(
            body.decode("utf-8"),
            parse_constant=_no_number,
            parse_float=_finite,
            object_pairs_hook=_no_duplicates,
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        message = f"the body is not JSON: {str(error)[:200]}"
        raise InvalidRequest(message) from error
    return value


def _no_number(text: str) -> float:
    message = f"{text} is no number in JSON"
    raise ValueError(message)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        message = f"{text} is too large"
        raise ValueError(message)
    return value


def _no_duplicates(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        message = "a member is given twice"
        raise ValueError(message)
    return found


def _check(checker: Validator, value: Any, name: str | None = None) -> None:
    error = min(checker.iter_errors(value), key=lambda e: list(map(str, e.path)), default=None)
    if error is not None:
        field = ".".join(map(str, error.path)) or name or _named_by(error)
        message = f"{field}: {_rule(error)}" if field else _rule(error)
        raise InvalidRequest(message, field)


def _named_by(error: ValidationError) -> str | None:
    """Name the member that is missing or too much, which the path does not."""
    schema: Any = error.schema
    given: Any = error.instance
    if error.validator == "required":
        return next((name for name in schema["required"] if name not in given), None)
    if error.validator == "additionalProperties":
        return next((str(name)[:64] for name in given if name not in schema["properties"]), None)
    return None


def _rule(error: ValidationError) -> str:
    """Say the rule that was broken, without repeating a long value."""
    limit = error.validator_value
    if error.validator == "type":
        names = limit if isinstance(limit, list) else [limit]
        return f"must be {' or '.join(map(str, names))}"
    return {
        "required": "is required",
        "additionalProperties": "is not known here",
        "minimum": f"must be at least {limit}",
        "exclusiveMinimum": f"must be more than {limit}",
        "maximum": f"must be at most {limit}",
        "maxLength": f"must not be longer than {limit} characters",
        "maxItems": f"must not have more than {limit} members",
        "minProperties": "at least one member is required",
        "pattern": f"must match {limit}",
    }.get(str(error.validator), error.message[:200])
