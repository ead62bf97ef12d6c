"""What the routes answer: status, explain, settings and journal as JSON, for the one who asks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

from ..core.model import Kind, ResourceId
from ..journal.journal import Page
from ..status import Evidence, Explanation, KeepAlive, ObservationReport, Setting, Status
from .identity import Asker

SOMEBODY = "a person"
"""What others read of somebody's presence."""


_Secret: TypeAlias = Evidence | ObservationReport


def parse_resource(text: str | None) -> ResourceId | None:
    """Turn ``kernel:<id>`` or ``terminal:<name>``, which the schema has checked, into an id."""
    if text is None:
        return None
    kind, _, name = text.partition(":")
    return ResourceId(Kind(kind), name)


def status_view(status: Status, asker: Asker) -> dict[str, Any]:
    """Show the status to this person."""
    view: dict[str, Any] = _View(asker, _status_secrets(status)).plain(status)
    view["may"] = {
        "write": asker.may_write,
        "stop": asker.may_stop,
        "administer": asker.is_admin,
    }
    return view


def explanation_view(explanation: Explanation, asker: Asker) -> dict[str, Any]:
    """Show the explanation to this person."""
    secrets: tuple[_Secret, ...] = (*_status_secrets(explanation.status), *explanation.observations)
    rest = {name: part for name, part in vars(explanation).items() if name != "status"}
    return {"status": status_view(explanation.status, asker), **_View(asker, secrets).plain(rest)}


def keep_alive_view(keep_alive: KeepAlive, asker: Asker) -> dict[str, Any]:
    """Show one keep-alive to this person."""
    view: dict[str, Any] = _View(asker, ()).plain(keep_alive)
    return view


def settings_view(settings: Mapping[str, Setting], asker: Asker) -> dict[str, Any]:
    """Show the settings, and which of them this person cannot change."""
    return {
        name: {**vars(setting), "locked": not asker.may_write or setting.is_fixed}
        for name, setting in settings.items()
    }


def journal_view(page: Page, problem: str | None, asker: Asker) -> dict[str, Any]:
    """Show the journal; an entry that names a ``person`` shows its details only to that person."""
    entries = []
    for entry in page.entries:
        person = entry.get("person")
        if person and not asker.owns(person):
            public = ("time", "t", "run", "event", "resource", "source", "action", "verdict")
            entries.append(
                {key: entry[key] for key in public if key in entry} | {"detail": SOMEBODY}
            )
        else:
            entries.append(dict(entry))
    return {"entries": entries, "skipped": page.skipped, "problem": problem}


def _status_secrets(status: Status) -> list[Evidence]:
    resources = (*status.kernels, *status.terminals)
    return [status.host.evidence, *(resource.evidence for resource in resources)]


class _View:
    """Turn dataclasses into JSON for one person, without what is only another's to see."""

    def __init__(self, asker: Asker, secrets: Iterable[_Secret]) -> None:
        self._asker = asker
        self._hidden = {s.detail for s in secrets if s.detail and not self._shows(s)}
        self._as_is = frozenset({int, bool, type(None)} | (set() if self._hidden else {str}))

    def _shows(self, seen: _Secret) -> bool:
        return not seen.person or self._asker.owns(seen.person)

    def plain(self, value: Any) -> Any:  # noqa: PLR0911 - one return a type; it runs for each value
        """Turn one value into what JSON knows."""
        kind = type(value)
        if kind in self._as_is:
            return value
        if kind is float:
            return round(value, 3) if math.isfinite(value) else None
        if kind is str:
            return self._text(value)
        if kind is datetime:
            return value.isoformat(timespec="milliseconds")
        if kind is Evidence or kind is ObservationReport:
            shown = self._members(vars(value))
            del shown["person"]
            shown["detail"] = value.detail if self._shows(value) else SOMEBODY
            return shown
        if kind is KeepAlive:
            return {**self._members(vars(value)), "mine": self._asker.owns(value.owner)}
        if hasattr(kind, "__dataclass_fields__"):
            return self._members(vars(value))
        if kind is tuple or kind is list:
            return [self.plain(item) for item in value]
        if isinstance(value, Mapping):
            return self._members(value)
        return str(value)

    def _members(self, members: Mapping[str, Any]) -> dict[str, Any]:
        # Most values are shown as they are; a call for each of thousands is what would take time.
        as_is, plain = self._as_is, self.plain
        return {k: v if type(v) in as_is else plain(v) for k, v in members.items()}

    def _text(self, text: str) -> str:
        for hidden in self._hidden:
            text = text.replace(hidden, SOMEBODY)
        return text
