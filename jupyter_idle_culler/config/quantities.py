"""Traits that are numbers with a unit and a range, so that a bad one is refused with its rule."""

from __future__ import annotations

import math
from typing import Any

from traitlets import Float, Int, List, TraitError, Unicode

TEN_YEARS_MINUTES = 10 * 365 * 24 * 60.0
"""Longer than any machine waits: what is above it is a slip of the unit."""


def why_no_number(value: object, low: float, high: float, unit: str) -> str | None:
    """Return the rule that a value breaks, None where it is a number within the range.

    True and False are no numbers here: as a number of minutes they can only be a mistake.
    """
    rule = f"must be a number of {unit} from {low:g} to {high:.10g}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return rule
    try:
        number = float(value)
    except OverflowError:
        return rule
    return None if math.isfinite(number) and low <= number <= high else rule


class Quantity(Float):  # type: ignore[type-arg] # generic in newer traitlets only
    """A finite number within a range."""

    unit = "units"
    low, high = 0.0, 1e12

    def __init__(
        self,
        default_value: float | None,
        *,
        low: float | None = None,
        high: float | None = None,
        help: str,  # noqa: A002, RUF100 - traitlets calls it so
    ) -> None:
        self.low = self.low if low is None else low
        self.high = self.high if high is None else high
        options: dict[str, Any] = {"allow_none": default_value is None, "help": help}
        super().__init__(default_value, **options)
        self.tag(config=True)

    def validate(self, obj: Any, value: Any) -> float:
        """Return the number. Raises: TraitError that names trait, value and rule."""
        rule = why_no_number(value, self.low, self.high, self.unit)
        if rule is not None:
            message = f"IdleCuller.{self.name} = {repr(value)[:80]}: {rule}"
            raise TraitError(message)
        return float(value)


class Minutes(Quantity):
    """A duration in minutes."""

    unit = "minutes"
    high = TEN_YEARS_MINUTES


class Seconds(Quantity):
    """A duration in seconds."""

    unit = "seconds"
    high = 3600.0


class Percent(Quantity):
    """A share of one core, or of one GPU, in percent."""

    unit = "percent"
    low, high = 0.001, 1e6


class Rate(Quantity):
    """Bytes a second."""

    unit = "bytes per second"
    low, high = 1.0, 1e12


class Price(Quantity):
    """Money an hour, in any currency."""

    unit = "currency units an hour"
    high = 1e6


class Bytes(Int):  # type: ignore[type-arg] # generic in newer traitlets only
    """A size of a file in bytes."""

    def __init__(self, default_value: int, *, low: int, high: int, help: str) -> None:  # noqa: A002, RUF100 - as above
        self.low, self.high = low, high
        super().__init__(default_value, help=help)
        self.tag(config=True)

    def validate(self, obj: Any, value: Any) -> int:
        """Return the number. Raises: TraitError that names trait, value and rule."""
        bad = isinstance(value, bool) or not isinstance(value, int)
        if bad or not self.low <= value <= self.high:
            message = (
                f"IdleCuller.{self.name} = {repr(value)[:80]}: "
                f"must be a whole number of bytes from {self.low} to {self.high}"
            )
            raise TraitError(message)
        return int(value)


class Texts(List):  # type: ignore[type-arg] # generic in newer traitlets only
    """A list of strings of which none is empty."""

    def __init__(self, default_value: tuple[str, ...] = (), *, help: str) -> None:  # noqa: A002, RUF100 - as above
        super().__init__(Unicode(), default_value=list(default_value), help=help)
        self.tag(config=True)

    def validate(self, obj: Any, value: Any) -> Any:
        """Return the list. Raises: TraitError that names trait, value and rule."""
        bad = not isinstance(value, list | tuple) or any(
            not isinstance(entry, str) or not entry or "\0" in entry for entry in value
        )
        if bad:
            message = (
                f"IdleCuller.{self.name} = {repr(value)[:80]}: must be a list of non-empty strings"
            )
            raise TraitError(message)
        return list(value)
