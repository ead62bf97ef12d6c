"""What a run found, changed, skipped and could not do: the answer of every handler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import IdleCullerError

MOST_NAMED = 10
DRY = "Dry run: nothing was changed. What follows would have been done."


def groups(rows: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a paragraph for each title that has lines: the title, and a line each."""
    return [
        "\n".join([f"{title}:", *(f"  {line}" for line in lines)])
        for title, lines in rows.items()
        if lines
    ]


@dataclass
class Report:
    """What a run did; under ``dry_run``, what it would have done.

    ``matched``: how many things the selection matched. ``remaining``: what time did not suffice
    for; the next run does it. ``details`` are further members of the JSON (``not_listed_after``:
    the name up to which it was listed).
    """

    dry_run: bool
    matched: int = 0
    changed: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)
    remaining: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    def change(self, name: str, **what: object) -> None:
        """Note something that was changed, with what is to be said of it."""
        self.changed.append({"name": name, **what})

    def skip(self, name: str, reason: str) -> None:
        """Note something that was left alone, and why."""
        self.skipped.append({"name": name, "reason": reason})

    def fail(self, name: str, error: object) -> None:
        """Note something that could not be done, and why."""
        self.failed.append({"name": name, "error": str(error)})

    def left(self) -> list[str]:
        """Return what remains, in words: also that it was not listed to its end."""
        after = self.details.get("not_listed_after")
        return [*self.remaining, *([f"and what comes after {after} in the list"] if after else [])]

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        return {
            "dry_run": self.dry_run,
            "matched": self.matched,
            "changed": self.changed,
            "skipped": self.skipped,
            "failed": self.failed,
            "remaining": self.remaining,
            **self.details,
        }

    def raise_if_failed(self) -> None:
        """End the run as a failure, now that everything else is done. Raises: FleetFailed."""
        if self.failed:
            raise FleetFailed(self)


class FleetFailed(IdleCullerError):
    """Something failed; everything else was done. ``report`` says all of it."""

    def __init__(self, report: Report) -> None:
        told = [f"{failure['name']}: {failure['error']}" for failure in report.failed]
        more = f"; and {len(told) - MOST_NAMED} more" if len(told) > MOST_NAMED else ""
        super().__init__(
            f"{len(told)} failed, the rest is done ({len(report.changed)} changed): "
            + "; ".join(told[:MOST_NAMED])
            + more
        )
        self.report = report
