"""How a snapshot and a policy are written in the journal, and read back from it.

Numbers that are infinite are written as ``never``: JSON knows no infinity, and null means unset.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any, NamedTuple

from ..core.model import (
    Kind,
    Observation,
    Policy,
    Resource,
    ResourceId,
    SourceFailure,
    Strength,
    Verdict,
)

NEVER = "never"
JITTER_SECONDS = 0.25
"""Instants that a source computes anew at each look differ by this much without meaning it."""


class Sight(NamedTuple):
    """What one source says of one resource with one verdict and strength.

    ``at`` is the newest instant of it; None: now (active), or without one (unknown).
    """

    verdict: Verdict
    strength: Strength
    at: float | None
    essential: bool
    detail: str


Cell = tuple[ResourceId, str]
"""One resource as one source sees it."""

Facet = tuple[object, ...]
"""What two sights of a cell are told apart by."""


def sights(observations: Iterable[Observation]) -> dict[Cell, dict[Facet, Sight]]:
    """Gather what counts in a decision, by cell and by the kind of sight.

    An idle observation without an instant says nothing that counts: its cell is there, and empty.
    """
    found: dict[Cell, dict[Facet, Sight]] = {}
    is_idle, is_unknown = Verdict.IDLE, Verdict.UNKNOWN  # looked up once, not thousands of times
    for seen in observations:
        cell = found.setdefault((seen.resource, seen.source), {})
        if seen.verdict is is_idle and seen.at is None:
            continue
        unknown = seen.verdict is is_unknown
        at = None if unknown else seen.at
        essential = not unknown or seen.essential
        key = (seen.verdict, unknown or seen.strength, essential, at is None)
        known = cell.get(key)
        if known is None or (at is not None and known.at is not None and at > known.at):
            cell[key] = Sight(seen.verdict, seen.strength, at, seen.essential, seen.detail)
    return found


def sight_fields(sight: Sight, moving: bool) -> dict[str, Any]:
    """Write one sight; what is usual is left out."""
    written: dict[str, Any] = {"verdict": sight.verdict.value}
    if sight.at is not None:
        written["at"] = sight.at
    if sight.strength is not Strength.WORK:
        written["strength"] = sight.strength.value
    if not sight.essential:
        written["essential"] = False
    if sight.detail:
        written["detail"] = sight.detail
    if moving and sight.at is not None:
        written["moving"] = True
    return written


def read_sight(written: Mapping[str, Any]) -> tuple[Sight, bool]:
    """Read one sight, and whether its instant keeps moving. Raises: KeyError, ValueError."""
    at = written.get("at")
    sight = Sight(
        Verdict(written["verdict"]),
        Strength(written.get("strength", Strength.WORK.value)),
        None if at is None else float(at),
        bool(written.get("essential", True)),
        str(written.get("detail", "")),
    )
    return sight, bool(written.get("moving"))


def resource_fields(resource: Resource) -> dict[str, Any]:
    """Write what a decision needs to know of a resource, and its name for people."""
    written: dict[str, Any] = {
        "resource": str(resource.id),
        "label": resource.label,
        "started_at": resource.started_at,
        "local": resource.pid is not None,
        "connected": resource.connections > 0,
    }
    if resource.timeout_seconds is not None:
        written["timeout_seconds"] = write_number(resource.timeout_seconds)
    for flag in ("hold_host", "dead", "starting"):
        if getattr(resource, flag):
            written[flag] = True
    return written


def read_resource(written: Mapping[str, Any]) -> Resource:
    """Read a resource back. Raises: KeyError, ValueError."""
    timeout = written.get("timeout_seconds")
    return Resource(
        id=read_id(written["resource"]),
        started_at=float(written["started_at"]),
        label=str(written.get("label", "")),
        pid=1 if written.get("local", True) else None,
        timeout_seconds=None if timeout is None else read_number(timeout),
        hold_host=bool(written.get("hold_host")),
        connections=int(bool(written.get("connected"))),
        dead=bool(written.get("dead")),
        starting=bool(written.get("starting")),
    )


def failure_fields(failure: SourceFailure) -> dict[str, Any]:
    """Write a source's failure."""
    return {
        "source": failure.source,
        "covers": str(failure.covers),
        "essential": failure.essential,
        "local_only": failure.local_only,
    }


def read_failure(written: Mapping[str, Any]) -> SourceFailure:
    """Read a failure back. Raises: KeyError, ValueError."""
    return SourceFailure(
        str(written["source"]),
        read_id(written["covers"]),
        bool(written["essential"]),
        str(written.get("detail", "")),
        bool(written.get("local_only", False)),
    )


def policy_fields(policy: Policy) -> dict[str, Any]:
    """Write a policy."""
    return {name: write_number(value) for name, value in asdict(policy).items()}


def read_policy(written: Mapping[str, Any]) -> Policy:
    """Read a policy back; what another version wrote and this one does not know is left out."""
    known = {field.name for field in fields(Policy)}
    return Policy(**{name: read_number(v) for name, v in written.items() if name in known})


def write_number(value: Any) -> Any:
    """Write infinity as a word."""
    return NEVER if isinstance(value, float) and math.isinf(value) else value


def read_number(value: Any) -> Any:
    """Read a number or flag as it was written. Raises: ValueError for anything else."""
    if value == NEVER:
        return math.inf
    if isinstance(value, (bool, int, float)):
        return value
    message = f"neither a number nor a flag: {value!r}"
    raise ValueError(message)


def read_id(text: str) -> ResourceId:
    """Read ``kernel:<id>``, ``terminal:<name>``, ``host``, ``everything``. Raises: ValueError."""
    kind, _, name = str(text).partition(":")
    return ResourceId(Kind(kind), name)
