"""A change to one instance, domain or profile: shown first, then carried out, then told of."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..aws.faults import Fault
from .sagemaker_api import in_one_line
from .scripts import LifecycleError

CHANGED, UNCHANGED, REFUSED, FAILED, PLANNED = (
    "changed", "unchanged", "refused", "failed", "planned",
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What became of a change. ``outcome`` is one of this module's words."""

    target: str
    outcome: str
    detail: str

    @property
    def well(self) -> bool:
        """Whether it is as it was asked for."""
        return self.outcome not in (REFUSED, FAILED)


@dataclass(frozen=True)
class Change:
    """What would be done to ``target``: ``lines`` show it.

    ``refusal``: why it cannot be done. ``needless``: why nothing has to be. Else ``apply`` does it
    and returns what it did.
    """

    target: str
    lines: list[str] = field(default_factory=list)
    refusal: str = ""
    needless: str = ""
    apply: Callable[[], str] = lambda: ""

    def without_acting(self) -> Outcome | None:
        """Return what is known of the outcome beforehand, None where there is something to do."""
        if self.refusal:
            return Outcome(self.target, REFUSED, self.refusal)
        return Outcome(self.target, UNCHANGED, self.needless) if self.needless else None


def planned(target: str, plan: Callable[[], Change]) -> Change:
    """Plan a change; what cannot even be planned is refused with its reason."""
    try:
        return plan()
    except (LifecycleError, Fault) as error:
        return Change(target, refusal=in_one_line(error))


def carried_out(change: Change) -> Outcome:
    """Carry a change out; a failure is told of, and does not stop the others."""
    known = change.without_acting()
    if known is not None:
        return known
    try:
        return Outcome(change.target, CHANGED, change.apply())
    except (LifecycleError, Fault) as error:
        return Outcome(change.target, FAILED, in_one_line(error))


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Show settings before and after as a diff, with little around what changes."""
    old, new = (json.dumps(s, indent=2, sort_keys=True).splitlines() for s in (before, after))
    return list(difflib.unified_diff(old, new, "before", "after", lineterm="", n=2))
