"""What a user chose for themselves, the bounds it must keep, and the file that remembers it."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from ..errors import ConfigurationError, OutOfBounds
from ..private_file import replace_private_file
from .quantities import TEN_YEARS_MINUTES, why_no_number

_FILE_VERSION = 1
_LONGEST_FILE_BYTES = 65536


def in_words(minutes: float) -> str:
    """Say minutes as people set them: 0 and infinity are never."""
    return "never" if minutes == 0 or math.isinf(minutes) else f"{minutes:.10g} minutes"


def unending(minutes: float) -> float:
    """Return infinity for 0, which is how the configuration says never."""
    return minutes or math.inf


@dataclass(frozen=True)
class Bound:
    """Least and most minutes for one setting (``math.inf``: no limit), and what sets them.

    ``zero_is_never``: 0 counts as infinite, as it does for timeouts.
    """

    minimum: float = 0.0
    maximum: float = math.inf
    minimum_from: str = ""
    maximum_from: str = ""
    zero_is_never: bool = True

    def holds(self, minutes: float) -> bool:
        """Tell whether a setting keeps the bound."""
        return self.minimum <= self._counted(minutes) <= self.maximum

    def clamp(self, minutes: float) -> float:
        """Return the allowed value nearest to this one (``math.inf``: never)."""
        return min(max(self._counted(minutes), self.minimum), self.maximum)

    def _counted(self, minutes: float) -> float:
        return unending(minutes) if self.zero_is_never else minutes

    def rule(self, minutes: float) -> str:
        """Say which bound this timeout breaks."""
        if self._counted(minutes) < self.minimum:
            return f"must be at least {in_words(self.minimum)} ({self.minimum_from})"
        return f"must be at most {in_words(self.maximum)} ({self.maximum_from})"


@dataclass(frozen=True)
class UserSettings:
    """What the user chose, in minutes (0: never; None: as the administrator has it).

    ``timeout_minutes`` is for whatever has no choice of its own below it.
    """

    timeout_minutes: float | None = None
    kernel_timeout_minutes: float | None = None
    terminal_timeout_minutes: float | None = None
    host_timeout_minutes: float | None = None
    warning_minutes: float | None = None

    def changed(
        self, changes: Mapping[str, object], bounds: Mapping[str, Bound] | None = None
    ) -> UserSettings:
        """Return these settings with some replaced; None takes a choice back.

        Raises:
            ConfigurationError: an unknown name, or no number of minutes from 0 to ten years.
            OutOfBounds: a bound (by the name of its setting) forbids the value.
        """
        checked: dict[str, float | None] = {}
        for name, value in changes.items():
            if name not in SETTING_NAMES:
                message = f"{name}: no such setting; there are {_NAMES}"
                raise ConfigurationError(message, str(name))
            checked[name] = _minutes(name, value)
        for name, minutes in checked.items():
            bound = (bounds or {}).get(name)
            if bound is not None and minutes is not None and not bound.holds(minutes):
                message = f"{name} = {minutes:g}: {bound.rule(minutes)}"
                raise OutOfBounds(message, name)
        return replace(self, **checked)

    def to_dict(self) -> dict[str, float | None]:
        """Return the settings by name, as the interface shows and stores them."""
        return asdict(self)


SETTING_NAMES = tuple(field.name for field in fields(UserSettings))
_NAMES = ", ".join(SETTING_NAMES)


def _minutes(name: str, value: object) -> float | None:
    if value is None:
        return None
    why = why_no_number(value, 0, TEN_YEARS_MINUTES, "minutes")
    if why is not None or not isinstance(value, int | float):
        message = (
            f"{name} = {repr(value)[:80]}: {why} (0: never), or null to follow the administrator"
        )
        raise ConfigurationError(message, name)
    return float(value)


def load_user_settings(path: Path, log: logging.Logger) -> UserSettings:
    """Read the stored settings; whatever cannot be read is left out, with one warning.

    A file that is not there is no fault. Blocks: call it off the event loop. Raises nothing: a
    spoilt file must not keep a server from starting, nor its culler from culling.
    """
    try:
        stored = _read(path)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        log.warning("User settings in %s cannot be read and are left out: %s", path, error)
        return UserSettings()
    settings, faults = UserSettings(), []
    for name in SETTING_NAMES:
        try:
            settings = settings.changed({name: stored.get(name)})
        except ConfigurationError as error:
            faults.append(str(error))
    if faults:
        log.warning("User settings in %s are left out where wrong: %s", path, "; ".join(faults))
    return settings


def _read(path: Path) -> dict[str, object]:
    if not path.exists():
        return {}
    if not path.is_file() or path.stat().st_size > _LONGEST_FILE_BYTES:
        message = "not a settings file"
        raise ValueError(message)
    stored = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(stored, dict):
        message = "not a JSON object"
        raise TypeError(message)
    return stored


def save_user_settings(path: Path, settings: UserSettings) -> None:
    """Write the settings as a whole or not at all, readable by their owner only.

    Blocks: call it off the event loop. Raises: OSError where the directory cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = json.dumps({"version": _FILE_VERSION, **settings.to_dict()}, indent=2) + "\n"
    replace_private_file(path, text)
