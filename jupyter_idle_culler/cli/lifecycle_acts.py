"""What ``jupyter idle-culler lifecycle-config …`` does: show, ask, act, tell."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from functools import partial, wraps
from pathlib import Path
from typing import Any

from ..aws.faults import Fault
from ..lifecycle import cloudformation, configurations, names, size
from ..lifecycle.changes import PLANNED, Change, Outcome, carried_out, planned
from ..lifecycle.choices import Choices, Filled, WrongUse, fill
from ..lifecycle.configurations import Configuration
from ..lifecycle.notebook_instances import NotebookInstances
from ..lifecycle.sagemaker_api import SageMakerApi, in_one_line
from ..lifecycle.scripts import ENVIRONMENTS, Environment, LifecycleError
from ..lifecycle.studio import Place, Studio

DONE, FAILED, USAGE = 0, 1, 2
_APP_TYPES = ("JupyterLab", "CodeEditor", "JupyterServer")
Act = Callable[[argparse.Namespace], int]


def _in_one_line(act: Act) -> Act:
    """Have what goes wrong said on one line."""

    @wraps(act)
    def run(arguments: argparse.Namespace) -> int:
        try:
            return act(arguments)
        except WrongUse as error:
            _tell(f"jupyter idle-culler: {in_one_line(error)}")
            return USAGE
        except (LifecycleError, Fault) as error:
            _tell(f"jupyter idle-culler: {in_one_line(error)}")
            return FAILED

    return run


@_in_one_line
def render(arguments: argparse.Namespace) -> int:
    """Write a script, its base64, or a template with it."""
    environment = _environment(arguments.environment)
    template = arguments.format == "cloudformation"
    if template and environment.app_type is not None:
        message = "a template has a notebook instance: for Studio use create and attach"
        raise WrongUse(message)
    if not template and (arguments.instance_types or arguments.max_volume):
        message = "--instance-types and --max-volume are of --format cloudformation"
        raise WrongUse(message)
    filled = fill(environment, _choices(arguments))
    script = filled.rendered.script
    text = script.decode()
    if template:
        text = _template(text, arguments)
    elif arguments.json:
        text = json.dumps(_as_json(environment, filled), indent=2) + "\n"
    elif arguments.format == "base64":
        text = size.encoded(script) + "\n"
    if arguments.output:
        try:
            Path(arguments.output).write_bytes(text.encode())
        except OSError as error:
            message = f"{arguments.output}: {error.strerror or error}"
            raise LifecycleError(message) from error
    else:
        sys.stdout.write(text)
    _remark(filled)
    return DONE


@_in_one_line
def create(arguments: argparse.Namespace) -> int:
    """Create a configuration; one of that name that does the same is left as it is."""
    environment = _environment(arguments.environment)
    name = _named(names.resource_name, "NAME", arguments.name)
    filled = fill(environment, _choices(arguments))
    wanted = Configuration(name, environment.app_type, filled.rendered.script)
    studio = environment.app_type is not None
    with _api(arguments) as api:
        change = planned(f"lifecycle configuration {name}", partial(_creation, api, wanted))
        _remark(filled)
        more = {"kind": environment.app_type or "notebook instance", "name": name}
        return _act(arguments, [change], "Create it", {**more, "studio": studio})


def _creation(api: SageMakerApi, wanted: Configuration) -> Change:
    """Plan to create a configuration. Raises: Fault."""
    label = f"lifecycle configuration {wanted.name}"
    there = None
    try:
        there = configurations.described(api, wanted.name, wanted.app_type is not None)
    except Fault as fault:
        # Creating never changes what is there: who may do that need not be allowed to look.
        if fault.code != "denied":
            raise
    if there is not None and there.same_as(wanted):
        return Change(label, needless="it exists already, with the same script")
    if there is not None:
        refusal = "one of this name exists with another script: choose another name"
        return Change(label, refusal=refusal)
    kind = f"Studio, {wanted.app_type}" if wanted.app_type else "notebook instances"
    lines = [f"new, for {kind}: {size.figures(wanted.on_start)}"]

    def apply() -> str:
        return f"created: {configurations.create(api, wanted).arn}"

    return Change(label, lines, apply=apply)


@_in_one_line
def attach(arguments: argparse.Namespace) -> int:
    """Attach a configuration to what was named, or to all that match."""
    _check_targets(arguments)
    with _api(arguments) as api:
        studio = arguments.domain is not None
        wanted = configurations.existing(api, arguments.name, studio)
        append = arguments.append
        if studio:
            places, there = _places(api, arguments), Studio(api)
            changes = [
                planned(place.label, partial(there.attach, place, wanted, append))
                for place in places
            ]
        else:
            instances = NotebookInstances(api, arguments.stop_first)
            changes = [
                planned(
                    f"notebook instance {name}", partial(instances.attach, name, wanted, append)
                )
                for name in _instances(instances, arguments)
            ]
        return _act(arguments, changes, f"Attach {arguments.name}")


@_in_one_line
def detach(arguments: argparse.Namespace) -> int:
    """Detach a configuration from what was named, or from all that match."""
    _check_targets(arguments)
    with _api(arguments) as api:
        if arguments.domain is not None:
            known = configurations.described(api, arguments.name, studio=True)
            types = (str(known.app_type),) if known else _APP_TYPES
            there = Studio(api)
            changes = [
                planned(place.label, partial(_detached, there, place, arguments.name, types))
                for place in _places(api, arguments)
            ]
        else:
            instances = NotebookInstances(api, arguments.stop_first)
            changes = [
                planned(
                    f"notebook instance {name}", partial(instances.detach, name, arguments.name)
                )
                for name in _instances(instances, arguments)
            ]
        return _act(arguments, changes, f"Detach {arguments.name}")


def _detached(studio: Studio, place: Place, name: str, app_types: Sequence[str]) -> Change:
    """Plan to detach from the first kind of app that has it."""
    change = Change(place.label, needless=f"{name} is not attached")
    for app_type in app_types:
        if not (place.shared_spaces and app_type == "CodeEditor"):
            change = studio.detach(place, name, app_type)
        if not change.needless:
            break
    return change


def _act(
    arguments: argparse.Namespace,
    changes: Sequence[Change],
    question: str,
    more: dict[str, Any] | None = None,
) -> int:
    """Show changes, ask once, carry them out, and tell what became of each."""
    shown = sys.stderr if arguments.json else sys.stdout
    for change in changes:
        known = change.without_acting()
        print(_clean(f"{change.target}:" + (f" {known.detail}" if known else "")), file=shown)
        if not (known and change.needless):
            print("".join(f"  {_clean(line)}\n" for line in change.lines), end="", file=shown)
    to_do = sum(change.without_acting() is None for change in changes)
    if arguments.dry_run:
        outcomes = [c.without_acting() or Outcome(c.target, PLANNED, "") for c in changes]
    else:
        if to_do and not arguments.yes:
            _ask(f"{question} ({to_do} of {len(changes)})" if len(changes) > 1 else question)
        shown.flush()
        outcomes = []
        for change in changes:
            outcome = carried_out(change)
            outcomes.append(outcome)
            if change.without_acting() is None:
                print(_clean(f"{outcome.target}: {outcome.detail}"), file=shown, flush=True)
    if arguments.json:
        results = [{**asdict(o), "lines": c.lines} for o, c in zip(outcomes, changes, strict=True)]
        print(json.dumps({**(more or {}), "results": results}, indent=2))
    bad = [outcome for outcome in outcomes if not outcome.well]
    for outcome in bad:
        _tell(f"jupyter idle-culler: {outcome.target}: {outcome.detail}")
    return FAILED if bad else DONE


def _ask(question: str) -> None:
    """Ask a person. Raises: LifecycleError where the answer is not yes, or nobody can be asked."""
    if not sys.stdin or not sys.stdin.isatty():
        message = "nobody can be asked here, and nothing was changed: say --yes"
        raise LifecycleError(message)
    print(f"{question}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        message = "nothing was changed"
        raise LifecycleError(message)


def _check_targets(arguments: argparse.Namespace) -> None:
    _named(names.resource_name, "NAME", arguments.name)
    instances = arguments.notebook_instance or []
    users = arguments.user_profile or []
    for flag, check, texts in (
        ("--notebook-instance", names.resource_name, instances),
        ("--user-profile", names.resource_name, users),
        ("--domain", names.domain_id, [arguments.domain] if arguments.domain is not None else []),
        (
            "--name-contains",
            names.contained,
            [arguments.name_contains] if arguments.name_contains is not None else [],
        ),
    ):
        for text in texts:
            _named(check, flag, text)
    domain, contains = arguments.domain is not None, arguments.name_contains is not None
    chosen = (bool(instances), bool(users), arguments.shared_spaces, contains)
    message = ""
    if domain and instances:
        message = "--domain and --notebook-instance: one at a time"
    elif not domain and (users or arguments.shared_spaces):
        message = "--user-profile and --shared-spaces need --domain"
    elif sum(chosen) > 1:
        message = (
            "give one of --notebook-instance, --user-profile, --shared-spaces, --name-contains"
        )
    elif not domain and not any(chosen):
        message = "say where: --notebook-instance, --name-contains or --domain"
    elif domain and arguments.stop_first:
        message = "--stop-first is of notebook instances"
    if message:
        raise WrongUse(message)


def _instances(instances: NotebookInstances, arguments: argparse.Namespace) -> list[str]:
    if arguments.name_contains is None:
        return list(dict.fromkeys(arguments.notebook_instance))
    found = instances.names(arguments.name_contains)
    if not found:
        message = f"there is no notebook instance whose name contains {arguments.name_contains}"
        raise LifecycleError(message)
    return found


def _places(api: SageMakerApi, arguments: argparse.Namespace) -> list[Place]:
    users = list(dict.fromkeys(arguments.user_profile or []))
    if arguments.name_contains is not None:
        users = Studio(api).users(arguments.domain, arguments.name_contains)
        if not users:
            message = f"there is no user profile whose name contains {arguments.name_contains}"
            raise LifecycleError(message)
    if users:
        return [Place(arguments.domain, user) for user in users]
    return [Place(arguments.domain, shared_spaces=arguments.shared_spaces)]


@contextmanager
def _api(arguments: argparse.Namespace) -> Iterator[SageMakerApi]:
    progress = _Progress()
    api = SageMakerApi(arguments.region, arguments.profile, progress=progress.show)
    try:
        yield api
    finally:
        progress.end()
        api.close()


class _Progress:
    """One line that changes on a terminal; elsewhere a line when something new is said."""

    def __init__(self) -> None:
        self._last = ""

    def show(self, line: str) -> None:
        """Show a line."""
        state = line.partition(",")[0]
        if sys.stderr.isatty():
            print(f"\r\x1b[K{_clean(line)}", end="", file=sys.stderr, flush=True)
        elif state != self._last:
            _tell(line)
        self._last = state

    def end(self) -> None:
        """Leave the line."""
        if self._last and sys.stderr.isatty():
            print(file=sys.stderr)


def _environment(name: str) -> Environment:
    if name not in ENVIRONMENTS:
        message = f"{_clean(name[:60])!r} is no environment: one of {', '.join(ENVIRONMENTS)}"
        raise WrongUse(message)
    return ENVIRONMENTS[name]


def _choices(arguments: argparse.Namespace) -> Choices:
    return Choices(**{field.name: getattr(arguments, field.name) for field in fields(Choices)})


def _named(check: Callable[[str], str], flag: str, text: str) -> str:
    try:
        return check(text)
    except ValueError as error:
        message = f"{flag} {error}"
        raise WrongUse(message) from error


def _template(script: str, arguments: argparse.Namespace) -> str:
    types: tuple[str, ...] = cloudformation.INSTANCE_TYPES
    most = cloudformation.DEFAULT_MOST_VOLUME_GB
    if arguments.instance_types is not None:
        try:
            types = cloudformation.instance_types(arguments.instance_types)
        except ValueError as error:
            message = f"--instance-types {error}"
            raise WrongUse(message) from error
    if arguments.max_volume is not None:
        text = arguments.max_volume
        low, high = cloudformation.LEAST_VOLUME_GB, cloudformation.MOST_VOLUME_GB
        if not (text.isascii() and text.isdigit() and low <= int(text[:9]) <= high):
            message = (
                f"--max-volume {_clean(text[:40])}: must be a whole number from {low} to {high}"
            )
            raise WrongUse(message)
        most = int(text)
    return cloudformation.as_text(cloudformation.template(script, types, most), arguments.json)


def _as_json(environment: Environment, filled: Filled) -> dict[str, Any]:
    script = filled.rendered.script
    return {
        "environment": environment.name,
        "app_type": environment.app_type,
        "parameters": dict(filled.values),
        "bytes": len(script),
        "base64_characters": size.characters(script),
        "base64_limit": size.MOST_CHARACTERS,
        "comments_removed": filled.rendered.shortened,
        "content": size.encoded(script),
    }


def _remark(filled: Filled) -> None:
    for remark in filled.remarks:
        _tell(remark)
    _tell(f"Size: {size.figures(filled.rendered.script)}.")


def _tell(line: str) -> None:
    print(_clean(line), file=sys.stderr, flush=True)


def _clean(text: str) -> str:
    """Return a text without what a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in text)
