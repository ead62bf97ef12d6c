"""What SageMaker's own service model says of a request or an answer: every rule, not some.

boto3 checks types and required members; enums, patterns and lengths are checked here too, and that
an answer has no member that the model does not know.
"""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Iterator
from typing import Any

import botocore.session
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.validate import ParamValidator


@functools.cache
def service_model(service: str = "sagemaker") -> ServiceModel:
    """Return the model that boto3 itself works by."""
    return botocore.session.get_session().get_service_model(service)


def operation(name: str, service: str = "sagemaker") -> OperationModel:
    """Return an operation of the model. Raises: botocore's OperationNotFoundError."""
    return service_model(service).operation_model(name)


def faults_of(value: Any, shape: Shape | None) -> list[str]:
    """Return every rule that a value breaks. ``shape`` None: there must be nothing."""
    if shape is None:
        return [] if value in (None, {}) else ["there must be nothing"]
    report = ParamValidator().validate(value, shape)
    found = [report.generate_report()] if report.has_errors() else []
    return found + list(_broken(value, shape, shape.name))


def _broken(value: Any, shape: Shape, path: str) -> Iterator[str]:
    if shape.type_name == "structure" and isinstance(value, dict):
        for name, member in value.items():
            if name not in shape.members:
                yield f"{path}.{name}: no such member"
            else:
                yield from _broken(member, shape.members[name], f"{path}.{name}")
    elif shape.type_name == "list" and isinstance(value, list):
        yield from _out_of_range(len(value), shape, path)
        for number, member in enumerate(value):
            yield from _broken(member, shape.member, f"{path}[{number}]")
    elif shape.type_name == "string" and isinstance(value, str):
        yield from _out_of_range(len(value), shape, path)
        allowed, pattern = getattr(shape, "enum", []), shape.metadata.get("pattern")
        if allowed and value not in allowed:
            yield f"{path}: {value!r} is none of {allowed}"
        if pattern and not re.fullmatch(_as_python(pattern), value):
            yield f"{path}: {value!r} does not match {pattern}"
    elif shape.type_name in ("integer", "long", "float", "double"):
        yield from _out_of_range(value, shape, path)


def _as_python(pattern: str) -> str:
    """Return a pattern of the model, which is Java's: classes of Unicode as Python has them."""
    return pattern.replace(r"\p{L}", r"\w").replace(r"\p{N}", r"\d").replace(r"\p{Z}", r"\s")


def _out_of_range(size: float, shape: Shape, path: str) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < least:
        yield f"{path}: {size} is less than {least}"
    if most is not None and size > most:
        yield f"{path}: {size} is more than {most}"


def as_json(value: Any) -> Any:
    """Return an answer as JSON 1.1 has it: times are seconds."""
    if isinstance(value, dict):
        return {name: as_json(member) for name, member in value.items()}
    if isinstance(value, list):
        return [as_json(member) for member in value]
    return value.timestamp() if isinstance(value, datetime.datetime) else value
