"""What is asked for on the command line, turned into the parameters of a script."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from . import parameters
from .render import Rendered, parameters_of, render
from .scripts import Environment, LifecycleError, payload, script_of


class WrongUse(LifecycleError):
    """What was asked for does not go together: wrong usage (exit code 2)."""


@dataclass(frozen=True)
class Choices:
    """What may be chosen, each None where it was not. Texts are as the user wrote them."""

    timeout: str | None = None
    idle_time: str | None = None
    cron_schedule: str | None = None
    check_every: str | None = None
    keep_connected: bool | None = None
    keep_terminals: bool | None = None
    sign_of_life: bool | None = None
    wheel: str | None = None
    sha256: str | None = None
    index_url: str | None = None
    package_version: str | None = None
    offline: bool = False


_FLAGS = {
    "CRON_SCHEDULE": "--cron-schedule",
    "CHECK_EVERY": "--check-every",
    "IGNORE_CONNECTIONS": "--keep-connected",
    "KEEP_TERMINALS": "--keep-terminals",
    "SIGN_OF_LIFE": "--sign-of-life",
    "WHEEL": "--wheel",
    "WHEEL_SHA256": "--sha256",
    "INDEX_URL": "--index-url",
    "VERSION": "--package-version",
    "IDLE_TIME": "--idle-time",
    "TIMEOUT_IN_MINS": "--timeout",
    "AUTOSTOP": "--offline",
}


@dataclass(frozen=True)
class Filled:
    """A script filled in. ``remarks``: what the user should know of it, a sentence each."""

    rendered: Rendered
    values: Mapping[str, str]
    remarks: tuple[str, ...]


def fill(environment: Environment, choices: Choices) -> Filled:
    """Fill in the script of an environment.

    Raises: WrongUse where a choice breaks its rule or is none there; LifecycleError where the
    script is too long for AWS, or lacks the packed autostop.
    """
    script = script_of(environment)
    known = parameters_of(script)
    remarks: list[str] = []
    values = _values(environment, choices, known, remarks)
    for name in values:
        if name not in known:
            message = f"{_FLAGS[name]} is nothing that the script of {environment.name} knows"
            raise WrongUse(message)
    if choices.offline:
        _check_offline(environment, choices)
        if "AUTOSTOP" in known and not environment.extension:
            values["AUTOSTOP"] = payload(environment.name)
    rendered = render(script, values, f"the script of {environment.name}")
    if rendered.shortened:
        remarks.append(
            "Its comments (and what fetches, where autostop is inlined) are taken out for its size."
        )
    return Filled(rendered, values, tuple(remarks))


def _values(
    environment: Environment, choices: Choices, known: Mapping[str, str], remarks: list[str]
) -> dict[str, str]:
    values: dict[str, str] = {}
    _add_timeout(environment, choices, known, values, remarks)
    checks = (
        ("CRON_SCHEDULE", choices.cron_schedule, parameters.cron_schedule),
        ("CHECK_EVERY", choices.check_every, lambda text: str(parameters.check_seconds(text))),
        ("WHEEL", choices.wheel, parameters.wheel),
        ("WHEEL_SHA256", choices.sha256, parameters.sha256),
        ("INDEX_URL", choices.index_url, parameters.index_url),
        ("VERSION", choices.package_version, parameters.version),
    )
    for name, text, check in checks:
        if text is not None:
            values[name] = _checked(_FLAGS[name], check, text)
    if choices.keep_connected is not None:
        values["IGNORE_CONNECTIONS"] = "no" if choices.keep_connected else "yes"
    if choices.keep_terminals is not None:
        values["KEEP_TERMINALS"] = "yes" if choices.keep_terminals else "no"
    if choices.sign_of_life is not None:
        values["SIGN_OF_LIFE"] = "yes" if choices.sign_of_life else "no"
    if choices.wheel is not None and choices.index_url is not None:
        message = "--wheel and --index-url: the extension comes from one of them"
        raise WrongUse(message)
    if choices.index_url is not None and parameters.has_secret(choices.index_url):
        remarks.append("Whoever may describe the script can read the password in --index-url.")
    return values


def _add_timeout(
    environment: Environment,
    choices: Choices,
    known: Mapping[str, str],
    values: dict[str, str],
    remarks: list[str],
) -> None:
    """Add the time-out by the name and in the unit that the script has for it."""
    if choices.timeout is not None and choices.idle_time is not None:
        message = "--timeout and --idle-time are the same: give one of them"
        raise WrongUse(message)
    minutes = "TIMEOUT_IN_MINS" in known
    if choices.idle_time is not None:
        flag, text, unit = "--idle-time", choices.idle_time, 1
    elif choices.timeout is not None:
        flag, text, unit = "--timeout", choices.timeout, 60 if minutes else 1
    else:
        return
    if minutes:
        found = _checked(flag, lambda t: str(parameters.timeout_minutes(t, unit)), text)
        values["TIMEOUT_IN_MINS"] = found
        words = parameters.in_words(int(found) * 60)
    else:
        found = _checked(flag, lambda t: str(parameters.timeout_seconds(t, unit)), text)
        values["IDLE_TIME"] = found
        words = parameters.in_words(int(found))
    remarks.append(f"It stops what has been idle for {words}.")


def _check_offline(environment: Environment, choices: Choices) -> None:
    """Check that nothing has to come from the internet, and that what comes is checked."""
    if not environment.extension:
        if choices.wheel is not None or choices.index_url is not None:
            message = (
                "--offline puts autostop into the script: --wheel and --index-url are not used"
            )
            raise WrongUse(message)
        return
    if choices.wheel is None and choices.index_url is None:
        message = (
            f"--offline for {environment.name} needs --wheel (a path there, or s3://bucket/key) or"
            " --index-url: the extension is too large for the script"
        )
        raise WrongUse(message)
    if choices.sha256 is None:
        message = "--offline needs --sha256, the checksum of the wheel"
        raise WrongUse(message)


def _checked(flag: str, check: Callable[[str], str], text: str) -> str:
    try:
        return check(text)
    except ValueError as error:
        message = f"{flag} {error}"
        raise WrongUse(message) from error
