"""A figure: what was measured, the bound it must keep, and how it is printed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Statistic = Literal["median", "p99", "max"]


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


@dataclass(frozen=True)
class Figure:
    """One figure. ``statistic`` of ``values`` must be at most ``bound``; units are ``unit``.

    ``bound`` None: it is only told. ``compared`` says what a plain server had in the same run.
    """

    name: str
    values: tuple[float, ...]
    unit: str
    statistic: Statistic = "median"
    bound: float | None = None
    compared: str = ""

    @property
    def value(self) -> float:
        """What is held against the bound."""
        if self.statistic == "median":
            return statistics.median(self.values)
        return percentile(self.values, 99) if self.statistic == "p99" else max(self.values)

    @property
    def kept(self) -> bool:
        """Whether the bound is kept."""
        return self.bound is None or self.value <= self.bound

    @property
    def result(self) -> str:
        """The bound's fate in a word."""
        if self.bound is None:
            return ""
        return "pass" if self.kept else "FAIL"

    @property
    def spread(self) -> str:
        """Least, middle and greatest value."""
        middle = statistics.median(self.values)
        return " / ".join(_number(v) for v in (min(self.values), middle, max(self.values)))


def in_unit(value: float, unit: str) -> str:
    """Write a value with its unit, where it has one."""
    return f"{_number(value)} {unit}".rstrip()


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def table(figures: Iterable[Figure]) -> str:
    """Return the figures as a Markdown table."""
    rows = [
        ("figure", "bound", "measured", "min / median / max", "samples", "in the same run", ""),
        ("---", "--:", "--:", "--:", "--:", "---", "---"),
    ]
    rows += [
        (
            figure.name,
            "" if figure.bound is None else in_unit(figure.bound, figure.unit),
            f"{figure.statistic} {in_unit(figure.value, figure.unit)}",
            figure.spread,
            str(len(figure.values)),
            figure.compared,
            figure.result,
        )
        for figure in figures
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    )
