"""What AWS Budgets says by SNS: a letter in English, with six lines that a program can read.

Budgets documents no other form (user guide, "Creating an Amazon SNS topic for budget
notifications"); the lines are those that it has sent since 2019.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from .events import EventError

ACTUAL, FORECASTED = "ACTUAL", "FORECASTED"
_NAME, _TYPE, _BUDGETED = "Budget Name", "Budget Type", "Budgeted Amount"
_ALERT, _THRESHOLD = "Alert Type", "Alert Threshold"
_ALWAYS = (_NAME, _TYPE, _BUDGETED, _ALERT, _THRESHOLD)
_AMOUNTS = {alert: f"{alert} Amount" for alert in (ACTUAL, FORECASTED)}
_LINE = re.compile(rf"({'|'.join((*_ALWAYS, *_AMOUNTS.values()))}):\s*(.*)")
_MINUS = r"\-\u2212"
_AMOUNT = re.compile(
    rf"(?P<minus>[{_MINUS}]?)\s*[^\d\s.,()+{_MINUS}]*\s*(?P<other>[{_MINUS}]?)\s*"
    r"(?P<number>(?:\d{1,3}(?:,\d{2,3})*,\d{3}|\d+)(?:\.\d+)?)"
    rf"(?:(?![eE][+-]?\d)\s*[^\d\s.,()+{_MINUS}].*)?"
)
"""A number with thousands, its currency before it or its unit behind, a sign beside either."""
_HALF_A_CENT = 0.005 + 1e-9
_SPENDING = ("Cost", "Usage")
"""Budgets of reservations and Savings Plans warn of too little; nothing is to be stopped then."""


@dataclass(frozen=True)
class BudgetAlert:
    """One notification. ``budgeted`` and ``amount`` are in the budget's own unit.

    ``kind``: Cost, Usage, or another; ``alert``: ACTUAL or FORECASTED; ``threshold``: as written.
    """

    name: str
    kind: str
    alert: str
    threshold: str
    budgeted: float
    amount: float

    @property
    def percent(self) -> float:
        """How much of the budget is used, or will be; infinite where nothing was to be."""
        if self.budgeted <= 0:
            return math.inf if self.amount > 0 else 0.0
        return 100 * self.amount / self.budgeted

    @property
    def used(self) -> str:
        """How much of the budget is used, in words."""
        percent = f"{self.percent:.0f} % of" if math.isfinite(self.percent) else "more than"
        return f"{percent} the budget {self.name}"

    def holds_back(self, above_percent: float, on_forecast: bool) -> str:
        """Return why nothing is to be done; empty: the budget is used up."""
        if self.kind not in _SPENDING or self.threshold.startswith("<"):
            return f"a budget of {self.kind} ({self.threshold}) says nothing of too much spending"
        if self.alert == FORECASTED and not on_forecast:
            return f"it is forecast to come to {self.used}; on_forecast is not set"
        if self.amount < 0:
            return f"{self.amount:g} is a credit of the budget {self.name}"
        if self.percent < above_percent and not self._rounded_down_to(above_percent):
            return f"it has come to {self.used}; it acts from {above_percent:g} % on"
        return ""

    def _rounded_down_to(self, percent: float) -> bool:
        """Tell whether it may be so much: the letter has cents, AWS Budgets counts less than these.

        It tells once a period: what is held back for half a cent is never told again.
        """
        return 0 < self.budgeted * percent / 100 - self.amount <= _HALF_A_CENT

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in the report."""
        finite = round(self.percent, 1) if math.isfinite(self.percent) else None
        return {
            "name": self.name,
            "type": self.kind,
            "alert": self.alert,
            "threshold": self.threshold,
            "budgeted": self.budgeted,
            "amount": self.amount,
            "percent": finite,
        }


def read_alert(text: str, field: str) -> BudgetAlert:
    """Read a notification. Raises: EventError with the field, where it is none."""
    found = _lines(text, field)
    alert = found.get(_ALERT, "")
    if alert and alert not in _AMOUNTS:
        raise EventError(field, f"the {_ALERT} is {alert[:40]!r}")
    # The amount of another type of alert says nothing of this one.
    wanted = (*_ALWAYS, _AMOUNTS.get(alert, "Amount"))
    missing = [name for name in wanted if not found.get(name)]
    if missing:
        raise EventError(field, f"is no notification of AWS Budgets: it has no {missing[0]}")
    budgeted = _number(found[_BUDGETED], field)
    if budgeted < 0:
        raise EventError(field, f"the {_BUDGETED} is {found[_BUDGETED][:40]!r}")
    return BudgetAlert(
        found[_NAME],
        found[_TYPE],
        alert,
        found[_THRESHOLD],
        budgeted,
        _number(found[_AMOUNTS[alert]], field),
    )


def _lines(text: str, field: str) -> dict[str, str]:
    """Return what stands in each line. Of two that differ nobody knows which is true."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match and match[1] in found:
            raise EventError(field, f"has the line {match[1]} twice")
        if match:
            found[match[1]] = match[2]
    return found


def _number(text: str, field: str) -> float:
    found = _AMOUNT.fullmatch(text)
    if found is None or (found["minus"] and found["other"]):
        raise EventError(field, f"{text[:40]!r} is no amount")
    number = float(found["number"].replace(",", ""))
    return -number if found["minus"] or found["other"] else number
