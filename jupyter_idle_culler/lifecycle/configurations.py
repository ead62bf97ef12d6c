"""Lifecycle configurations at AWS: described, created, deleted."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from ..aws import faults
from ..aws.faults import Fault
from . import merge, size
from .sagemaker_api import SageMakerApi
from .scripts import LifecycleError

_NOTEBOOK = "NotebookInstanceLifecycleConfig"
_STUDIO = "StudioLifecycleConfig"


@dataclass(frozen=True)
class Configuration:
    """A configuration: its scripts, decoded.

    ``app_type`` is None for notebook instances, which alone have a script for their creation.
    """

    name: str
    app_type: str | None
    on_start: bytes
    on_create: bytes = b""
    arn: str = ""

    def same_as(self, other: Configuration) -> bool:
        """Tell whether both do the same."""
        mine = (self.app_type, self.on_start, self.on_create)
        return mine == (other.app_type, other.on_start, other.on_create)


def described(api: SageMakerApi, name: str, studio: bool) -> Configuration | None:
    """Return a configuration, None where there is none of that name. Raises: Fault."""
    if studio:
        found = api.found(f"Describe{_STUDIO}", f"{_STUDIO}Arn", **{f"{_STUDIO}Name": name})
        if found is None:
            return None
        content = _decoded(found.get(f"{_STUDIO}Content", ""))
        kind = str(found.get(f"{_STUDIO}AppType", ""))
        return Configuration(name, kind, content, arn=str(found[f"{_STUDIO}Arn"]))
    found = api.found(f"Describe{_NOTEBOOK}", f"{_NOTEBOOK}Arn", **{f"{_NOTEBOOK}Name": name})
    if found is None:
        return None
    start, create = (
        _decoded(hooks[0].get("Content", "")) if (hooks := found.get(hook)) else b""
        for hook in ("OnStart", "OnCreate")
    )
    return Configuration(name, None, start, create, str(found[f"{_NOTEBOOK}Arn"]))


def existing(api: SageMakerApi, name: str, studio: bool) -> Configuration:
    """Return a configuration. Raises: LifecycleError where there is none; Fault."""
    found = described(api, name, studio)
    if found is None:
        kind = "Studio" if studio else "notebook instances"
        message = f"there is no lifecycle configuration {name} for {kind}: create it first"
        raise LifecycleError(message)
    return found


def create(api: SageMakerApi, wanted: Configuration) -> Configuration:
    """Create a configuration, or take the one of that name that does the same.

    An answer may be lost, and a second try be refused because the first was done: so after a
    refusal what is there decides. Raises: LifecycleError, Fault.
    """
    size.checked(wanted.on_start, wanted.name)
    try:
        arn = _created(api, wanted)
    except Fault as fault:
        if fault.code == faults.DENIED:
            raise
        try:
            there = described(api, wanted.name, wanted.app_type is not None)
        except Fault:
            raise fault from None
        if there is None or not there.same_as(wanted):
            raise
        return there
    return Configuration(wanted.name, wanted.app_type, wanted.on_start, wanted.on_create, arn)


def _created(api: SageMakerApi, wanted: Configuration) -> str:
    if wanted.app_type is None:
        hooks = {"OnStart": wanted.on_start, "OnCreate": wanted.on_create}
        given = {hook: [{"Content": size.encoded(text)}] for hook, text in hooks.items() if text}
        answer = api.call(
            f"Create{_NOTEBOOK}", f"{_NOTEBOOK}Arn", **{f"{_NOTEBOOK}Name": wanted.name}, **given
        )
        return str(answer[f"{_NOTEBOOK}Arn"])
    answer = api.call(
        f"Create{_STUDIO}",
        f"{_STUDIO}Arn",
        **{
            f"{_STUDIO}Name": wanted.name,
            f"{_STUDIO}Content": size.encoded(wanted.on_start),
            f"{_STUDIO}AppType": wanted.app_type,
        },
    )
    return str(answer[f"{_STUDIO}Arn"])


def merged(first: Configuration, second: Configuration) -> Configuration:
    """Return the configuration that runs both. Raises: LifecycleError where that is too long.

    What runs at the creation of an instance has run where one is appended: the first one's stays.
    """
    start = merge.merge(first.on_start, first.name, second.on_start, second.name)
    name = merge.merged_name(first.name, second.name)
    return Configuration(name, first.app_type, start, first.on_create)


def first_of(both: Configuration, name: str) -> Configuration:
    """Return the first of two that were merged, by its name. Raises: LifecycleError."""
    return Configuration(name, both.app_type, merge.first_of(both.on_start), both.on_create)


def delete(api: SageMakerApi, name: str, studio: bool) -> None:
    """Delete a configuration. Raises: Fault (AWS refuses it for Studio while it is in use)."""
    kind = _STUDIO if studio else _NOTEBOOK
    api.call(f"Delete{kind}", **{f"{kind}Name": name})


def _decoded(content: str) -> bytes:
    try:
        return base64.b64decode(content, validate=False)
    except (binascii.Error, ValueError) as error:
        message = "the content of a lifecycle configuration at AWS is no base64"
        raise LifecycleError(message) from error
