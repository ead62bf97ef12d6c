"""What EventBridge Scheduler takes as a schedule expression: no linter of templates checks it.

After the Scheduler user guide, "Schedule types on EventBridge Scheduler".
"""

from __future__ import annotations

import re

_UNITS = ("minute", "hour", "day")
_MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
_DAYS = "SUN MON TUE WED THU FRI SAT".split()
_FIELDS = (
    ("minutes", 0, 59, (), ""),
    ("hours", 0, 23, (), ""),
    ("day of the month", 1, 31, (), "?LW"),
    ("month", 1, 12, _MONTHS, ""),
    ("day of the week", 1, 7, _DAYS, "?L#"),
    ("year", 1970, 2199, (), ""),
)


def faults_of(expression: str) -> list[str]:
    """Return what is wrong with an expression; empty: EventBridge Scheduler takes it."""
    found = re.fullmatch(r"(rate|cron|at)\((.*)\)", expression)
    if found is None:
        return [f"{expression}: neither rate(…), cron(…) nor at(…)"]
    kind, inner = found.groups()
    if kind == "at":
        good = re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", inner)
        return [] if good else [f"{inner}: no time such as 2026-11-24T07:00:00"]
    return _rate(inner) if kind == "rate" else _cron(inner)


def _rate(inner: str) -> list[str]:
    found = re.fullmatch(r"([1-9]\d*) (minute|hour|day)(s?)", inner)
    if found is None:
        return [f"rate({inner}): a positive number and one of {', '.join(_UNITS)}"]
    return [] if (found[1] != "1") == bool(found[3]) else [f"rate({inner}): singular or plural"]


def _cron(inner: str) -> list[str]:
    parts = inner.split(" ")
    if len(parts) != len(_FIELDS):
        return [f"cron({inner}): six fields are wanted, not {len(parts)}"]
    faults = [
        f"cron({inner}): {part!r} is no {name}"
        for part, (name, least, most, words, marks) in zip(parts, _FIELDS, strict=True)
        if not all(_item(item, least, most, tuple(words), marks) for item in part.split(","))
    ]
    if (parts[2] == "?") == (parts[4] == "?"):
        faults.append(f"cron({inner}): one of the two days, and only one, must be ?")
    return faults


def _item(item: str, least: int, most: int, words: tuple[str, ...], marks: str) -> bool:
    if item == "*" or (item == "?" and "?" in marks):
        return True
    if "L" in marks and re.fullmatch(r"L|\d+L" if "#" in marks else r"L|L-\d+", item):
        return True
    if "W" in marks and re.fullmatch(r"\d+W", item):
        item = item[:-1]
    if "#" in marks and re.fullmatch(r"\w+#[1-5]", item):
        item = item[:-2]
    span, _, step = item.partition("/")
    if step and not (step.isdigit() and int(step) > 0):
        return False
    if "/" in item and not step:
        return False
    ends = ["*"] if span == "*" and step else span.split("-")
    numbers = [words.index(end) + 1 if end in words else end for end in ends if end != "*"]
    return len(ends) <= 2 and all(
        str(number).isdigit() and least <= int(number) <= most for number in numbers
    )
