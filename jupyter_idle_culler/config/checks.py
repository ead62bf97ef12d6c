"""What the configuration may not be, each fault said in one line that ends the server's start."""

from __future__ import annotations

import difflib
import math
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from traitlets.config import Config

from ..errors import ConfigurationError
from .quantities import TEN_YEARS_MINUTES, why_no_number
from .user_settings import unending

if TYPE_CHECKING:
    from .idle_culler import IdleCuller

_CLASS = "IdleCuller"
_LONGEST_LINE = 600


def one_line(error: Exception) -> str:
    """Return an error's message on one line, cut where it quotes something endless."""
    text = " ".join(str(error).split())
    return text if len(text) <= _LONGEST_LINE else text[: _LONGEST_LINE - 1] + "…"


def minutes_from(variable: str, text: str) -> float:
    """Read minutes from an environment variable. Raises: ConfigurationError, naming it."""
    try:
        minutes: float = float(text)
    except ValueError:
        minutes = math.nan
    why = why_no_number(minutes, 0, TEN_YEARS_MINUTES, "minutes")
    if why is not None:
        _refuse(f"{variable} = {repr(text)[:80]}", f"{why} (0: never)")
    return minutes


def refuse_unknown(section: Mapping[str, object], known: Iterable[str]) -> None:
    """Refuse a name that is no trait: a slip would silently bill, or end work.

    Raises: ConfigurationError, naming the trait that was probably meant.
    """
    known = list(known)
    for name, value in section.items():
        if name not in known and not isinstance(value, Config):
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else "--help-all lists what there is"
            _refuse(f"IdleCuller.{name}", f"there is no such trait; {hint}")


def refuse_misspelt_class(config: Mapping[str, object], known: Iterable[str]) -> None:
    """Refuse a section that is one slip away from `IdleCuller` and belongs to nobody else.

    ``known`` are the classes that may be configured. Raises: ConfigurationError.
    """
    for name, section in config.items():
        if isinstance(section, Config) and name not in known and _is_one_slip_from(name, _CLASS):
            for trait in section:
                _refuse(f"{name}.{trait}", f"there is no such class; did you mean {_CLASS}?")


def _is_one_slip_from(name: str, meant: str) -> bool:
    """Tell whether a letter is too much, missing, wrong or in its neighbour's place."""
    if name == meant:
        return False
    if name.lower() == meant.lower():
        return True
    longer, shorter = sorted((name, meant), key=len, reverse=True)
    if len(longer) == len(shorter) + 1:
        return any(longer[:i] + longer[i + 1 :] == shorter for i in range(len(longer)))
    wrong = [i for i, (a, b) in enumerate(zip(name, meant, strict=False)) if a != b]
    if len(name) != len(meant) or len(wrong) > 2:
        return False
    swapped = [name[i] for i in reversed(wrong)] == [meant[i] for i in wrong]
    return len(wrong) == 1 or (swapped and wrong[1] == wrong[0] + 1)


def check(culler: IdleCuller) -> None:
    """Check what traits may not be together. Raises: ConfigurationError."""
    _check_bounds(culler)
    _check_stop(culler)
    for name in culler.heartbeat_files:
        if not Path(name).expanduser().is_absolute():
            _refuse(f"IdleCuller.heartbeat_files = {name!r}", "must be absolute, or start with ~/")
    for trait in ("metadata_path", "sagemaker_activity_path", "journal_path"):
        path = getattr(culler, trait)
        if "\0" in path or not (path or trait == "journal_path"):
            _refuse(f"IdleCuller.{trait} = {path!r}", "must be the path of a file")


def _check_bounds(culler: IdleCuller) -> None:
    low, high = culler.min_timeout_minutes, culler.max_timeout_minutes
    if low is not None and high is not None and low > unending(high):
        _refuse(
            f"IdleCuller.min_timeout_minutes = {low:g}",
            f"must not be above max_timeout_minutes = {high:g}",
        )
    for name, bound in culler.bounds().items():
        minutes, giver = culler.given_timeout(name)
        if giver and not bound.holds(minutes):
            _refuse(f"{giver} = {minutes:g}", bound.rule(minutes))


def _check_stop(culler: IdleCuller) -> None:
    action, command = culler.stop_action, culler.stop_command
    if action == "command" and not command:
        _refuse(
            "IdleCuller.stop_command = []", "must name a program where stop_action is 'command'"
        )
    if command and action not in ("command", "none"):
        _refuse(
            f"IdleCuller.stop_action = {action!r}",
            "must be 'command' where there is a stop_command, or 'none' to leave it unused",
        )
    for trait in ("stop_command", "pre_stop_command"):
        arguments = getattr(culler, trait)
        if not arguments or shutil.which(arguments[0]) is not None:
            continue
        if len(arguments) == 1 and len(arguments[0].split()) > 1:
            rule = "is one name with spaces; no shell takes it apart: give a list"
            _refuse(f"IdleCuller.{trait} = {arguments!r}", rule)
        culler.log.warning("IdleCuller.%s: there is no program %r now", trait, arguments[0])


def _refuse(what: str, rule: str) -> None:
    message = f"{what}: {rule}"
    raise ConfigurationError(message)
