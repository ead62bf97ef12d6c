"""The message about idle endpoints, in paragraphs and in a form short enough for SMS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..report import Report

Json = Mapping[str, Any]
_LISTS = (
    ("idle", "Idle endpoints"),
    ("idle_variants", "Idle variants and components of endpoints that are busy"),
    ("idle_costs_nothing", "Idle, cost nothing"),
    ("unknown", "Unknown: nothing proves that they are idle"),
)


def subject(report: Report) -> str:
    """Return the subject."""
    return f"SageMaker: {_count(len(report.details['idle']), 'idle endpoint')}"


def short(report: Report) -> str:
    """Return the short form."""
    price = sum(f["hourly_price"] or 0 for f in report.details["idle"])
    cost = f", {price:.2f} an hour" if price else ""
    parts = [f"{_count(len(report.details['idle']), 'idle endpoint')}{cost}"]
    parts += [f"{len(report.changed)} changed"] if report.changed and not report.dry_run else []
    parts += [f"{len(report.failed)} failed"] if report.failed else []
    return "SageMaker: " + ", ".join(parts)


def paragraphs(report: Report) -> list[str]:
    """Return the message: what is done first, then each list, an endpoint a paragraph."""
    looked = report.matched - len(report.remaining)
    told = [f"{_count(looked, 'endpoint')} {'was' if looked == 1 else 'were'} looked at."]
    if report.dry_run and report.changed:
        told.append("This is a dry run: nothing was changed. What would be:")
    told += [change_line(change) for change in report.changed]
    for key, title in _LISTS:
        found = report.details[key]
        if found:
            told.append(f"{title} ({len(found)})")
            told += ["\n".join(lines(one)) for one in found]
    told += [f"Failed: {f['name']}: {f['error']}" for f in report.failed]
    if report.remaining:
        told.append(f"Time did not suffice for {len(report.remaining)}; the next runs do them.")
    return told


def worth_telling(report: Report) -> bool:
    """Tell whether there is anything in it that somebody should know."""
    lists = any(report.details[key] for key, _ in _LISTS)
    return bool(lists or report.changed or report.failed or report.remaining)


def change_line(change: Json) -> str:
    """Say one change in a line."""
    details = [f"{key.replace('_', ' ')} {value}" for key, value in change.items() if value]
    return f"{change['name']}: " + ", ".join(d for d in details if not d.startswith("name "))


def lines(found: Json) -> Iterable[str]:
    """Say one finding in some lines."""
    part = f" / {found['part']}" if "part" in found else ""
    yield f"{found['name']}{part} ({found['region']}), {found['kind']}: {instances(found)}"
    yield f"  {since(found)}; {peaks(found)}"
    if found["hourly_price"] is not None:
        yield f"  {found['hourly_price']:.2f} an hour"
    yield f"  {found['reason']}"
    if found.get("may_be_deleted_after"):
        yield f"  marked; may be deleted after {found['may_be_deleted_after']}"
    yield f"  {found['console']}"


def instances(found: Json) -> str:
    """Say which instances it has: ``2 x ml.m5.large``."""
    told = []
    for one in found["instances"]:
        if one.get("provisioned_concurrency"):
            told.append(f"provisioned concurrency {one['provisioned_concurrency']}")
        elif one["count"] is None:
            told.append(one["type"] or "no instances of its own")
        else:
            told.append(f"{one['count']} x {one['type'] or 'instance'}")
    return ", ".join(told) or "no instances of its own"


def since(found: Json) -> str:
    """Say since when it is idle."""
    if found["idle_since"] is None:
        return str(found["verdict"])
    least = "at least " if found["idle_since_at_least"] else ""
    return f"idle since {least}{found['idle_since'].replace('T', ' ').replace(':00Z', ' UTC')}"


def peaks(found: Json) -> str:
    """Say the peaks."""
    names = (("CPU", "cpu"), ("GPU", "gpu"), ("memory", "memory"))
    told = [
        f"{name} {found[f'peak_{key}_percent']:g} %"
        for name, key in names
        if found[f"peak_{key}_percent"] is not None
    ]
    return "peak " + ", ".join(told) if told else "no utilization was published"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
