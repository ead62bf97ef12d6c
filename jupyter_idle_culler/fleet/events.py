"""Read the event that a function was called with: every field by its rule, no field unread."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import IdleCullerError
from .selection import Selection

PREFIX = "IDLE_CULLER_"
REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}", re.ASCII)
"""How a region is called: eu-central-1, us-gov-west-1, eusc-de-east-1."""
_WHOLE = "event"
_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}")


class EventError(IdleCullerError):
    """A field of the event breaks its rule; ``field`` names it. Nothing was changed."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field


class EventReader:
    """Reads fields of an event; those that are absent come from the environment.

    The field ``name_contains`` has the variable ``IDLE_CULLER_NAME_CONTAINS``; what is no text is
    JSON there. Call `finish` when all is read.
    """

    def __init__(self, event: Any, environ: Mapping[str, str]) -> None:
        if not isinstance(event, Mapping):
            raise EventError(_WHOLE, f"must be an object, not {_short(event)}")
        self._event = event
        self._environ = environ
        self._read: set[str] = set()

    def text(self, name: str, default: str = "") -> str:
        """Return a text."""
        value = self._value(name, default, is_text=True)
        if not isinstance(value, str):
            raise EventError(name, f"must be a text, not {_short(value)}")
        return value

    def choice(self, name: str, allowed: Sequence[str], default: str | None = None) -> str:
        """Return one of some words. ``default`` None: it must be given."""
        value = self._value(name, default, is_text=True)
        if value not in allowed:
            given = "is missing; it" if value is None else f"is {_short(value)}; it"
            raise EventError(name, f"{given} must be one of {', '.join(allowed)}")
        return str(value)

    def flag(self, name: str, default: bool) -> bool:
        """Return true or false; nothing else will do."""
        value = self._value(name, default)
        if not isinstance(value, bool):
            raise EventError(name, f"must be true or false, not {_short(value)}")
        return value

    def number(
        self, name: str, default: float, *, least: float = 0, most: float = math.inf
    ) -> float:
        """Return a number within bounds."""
        value = self._value(name, default)
        good = isinstance(value, int | float) and not isinstance(value, bool)
        # Python compares whole numbers with floats exactly: none beyond all floats fits here.
        if not good or not least <= value <= min(most, sys.float_info.max):
            rule = f"from {least:g} to {most:g}" if most < math.inf else f"of at least {least:g}"
            raise EventError(name, f"must be a number {rule}, not {_short(value)}")
        return float(value)

    def words(self, name: str, default: Sequence[str] = ()) -> tuple[str, ...]:
        """Return a list of texts."""
        value = self._value(name, list(default))
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise EventError(name, f"must be a list of texts, not {_short(value)}")
        return tuple(value)

    def object(self, name: str) -> Mapping[str, Any]:
        """Return an object; empty where it is absent."""
        value = self._value(name, {})
        if not isinstance(value, Mapping):
            raise EventError(name, f"must be an object, not {_short(value)}")
        return value

    def texts(self, name: str) -> Mapping[str, str]:
        """Return an object of texts, such as tags."""
        value = self.object(name)
        for key, text in value.items():
            if not isinstance(text, str):
                raise EventError(".".join((name, key)), f"must be a text, not {_short(text)}")
        return value

    def topic(self) -> str:
        """Return ``topic_arn``, the SNS topic that is told; empty: none."""
        name = "topic_arn"
        arn = self.text(name)
        if arn and not _TOPIC.fullmatch(arn):
            raise EventError(name, f"must be the ARN of an SNS topic, not {_short(arn)}")
        return arn

    def dry_run(self) -> bool:
        """Return ``dry_run``: absent, there and in the environment, means true."""
        return self.flag("dry_run", True)

    def selection(self, *, may_be_all: bool = False) -> Selection:
        """Return what is meant: name_contains, name_pattern, tags, match_all.

        ``may_be_all``: nothing given matches all, for what only reports.
        """
        chosen = Selection(
            self.text("name_contains"),
            self.text("name_pattern"),
            self.texts("tags"),
            self.flag("match_all", may_be_all),
        )
        if chosen.empty:
            field = "match_all"
            rule = (
                "must be true where neither name_contains, name_pattern nor tags is given,"
                " and where name_pattern has only * and ?"
            )
            raise EventError(field, rule)
        return chosen

    def finish(self) -> None:
        """Refuse what was not read: a misspelt field would be a wish that nobody heard."""
        unknown = sorted(str(name) for name in self._event if name not in self._read)
        if unknown:
            known = ", ".join(sorted(self._read))
            raise EventError(unknown[0], f"is no field of this event; there are {known}")

    def _value(self, name: str, default: Any, *, is_text: bool = False) -> Any:
        self._read.add(name)
        if name in self._event:
            return self._event[name]
        variable = PREFIX + name.upper()
        given = self._environ.get(variable, "")
        if not given:
            return default
        if is_text:
            return given
        try:
            return json.loads(given)
        except ValueError:
            raise EventError(name, f"{variable} must be JSON, not {_short(given)}") from None


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:59] + "…"
