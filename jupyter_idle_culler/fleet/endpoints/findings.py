"""What is told of an endpoint that was looked at: in the report, the message, on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from .model import Endpoint, Judgement, Part, Verdict
from .window import Window

_CONSOLES = {"cn": "console.amazonaws.cn", "us-gov": "console.amazonaws-us-gov.com"}


def finding(
    endpoint: Endpoint,
    judgement: Judgement,
    window: Window,
    types: Mapping[str, str],
    prices: Mapping[str, float],
) -> dict[str, Any]:
    """Return what is to be said of an endpoint, as JSON.

    ``types``: the instance type of each variant, ``prices`` an hour of each type; what a table does
    not have makes the price unknown (None), not less.
    """
    variants = [_instances(part, types) for part in endpoint.variants]
    return {
        "name": endpoint.name,
        "region": endpoint.region,
        "kind": endpoint.kind,
        "verdict": judgement.verdict.value,
        "reason": judgement.reason,
        **_since(judgement, window),
        "instances": variants,
        **_peaks(judgement),
        "hourly_price": _price(variants, prices),
        "console": console_link(endpoint.region, endpoint.name),
    }


def part_finding(
    endpoint: Endpoint,
    part: Part,
    judgement: Judgement,
    window: Window,
    types: Mapping[str, str],
    prices: Mapping[str, float],
) -> dict[str, Any]:
    """Return what is to be said of an idle part of a busy endpoint."""
    variants = [] if part not in endpoint.variants else [_instances(part, types)]
    return {
        "name": endpoint.name,
        "part": part.name,
        "region": endpoint.region,
        "kind": part.kind.value + (", shadow" if part.shadow else ""),
        "verdict": judgement.verdict.value,
        "reason": judgement.reason,
        **_since(judgement, window),
        "instances": variants,
        **_peaks(judgement),
        "hourly_price": _price(variants, prices),
        "console": console_link(endpoint.region, endpoint.name),
    }


def _instances(part: Part, types: Mapping[str, str]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "variant": part.name,
        "shadow": part.shadow,
        "type": types.get(part.name, ""),
        "count": part.instances,
    }
    if part.provisioned:
        told["provisioned_concurrency"] = part.provisioned
    return told


def _since(judgement: Judgement, window: Window) -> dict[str, Any]:
    """Say since when it is idle; ``at_least``: nothing was seen in all that was looked back on."""
    if judgement.verdict not in (Verdict.IDLE, Verdict.FREE):
        return {"idle_since": None, "idle_since_at_least": False}
    since: datetime = judgement.last_activity or window.start
    return {
        "idle_since": since.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "idle_since_at_least": judgement.last_activity is None,
    }


def _peaks(judgement: Judgement) -> dict[str, Any]:
    return {
        "peak_cpu_percent": _rounded(judgement.peaks.cpu_percent),
        "peak_memory_percent": _rounded(judgement.peaks.memory_percent),
        "peak_gpu_percent": _rounded(judgement.peaks.gpu_percent),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _price(variants: Sequence[Mapping[str, Any]], prices: Mapping[str, float]) -> float | None:
    total = 0.0
    for variant in variants:
        if variant.get("provisioned_concurrency"):
            return None  # its price depends on memory; no table of instances has it
        if not variant["count"]:
            if variant["type"] and variant["count"] is None:
                return None
            continue
        if variant["type"] not in prices:
            return None
        total += variant["count"] * prices[variant["type"]]
    return round(total, 4) if prices else None


def console_link(region: str, name: str) -> str:
    """Return where the console shows an endpoint."""
    partition = next((key for key in _CONSOLES if region.startswith(key + "-")), "")
    host = _CONSOLES.get(partition, "console.aws.amazon.com")
    return f"https://{region}.{host}/sagemaker/home?region={region}#/endpoints/{name}"
