"""Attach a lifecycle configuration to notebook instances, and detach it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..aws.faults import Fault
from . import configurations, merge
from .changes import Change
from .configurations import Configuration
from .sagemaker_api import SageMakerApi, in_one_line
from .scripts import LifecycleError

WAIT_SECONDS = 900.0
_STEADY = ("Stopped", "Failed")
"""The states from which AWS takes an update."""


class NotebookInstances:
    """The instances of one account and region.

    ``stop_first``: one that runs is stopped for the change and started again after it. Without
    that it is left as it is, and the change is refused.
    """

    def __init__(self, api: SageMakerApi, stop_first: bool = False) -> None:
        self._api = api
        self._stop_first = stop_first

    def names(self, contains: str) -> list[str]:
        """Return the names that contain a text. Raises: Fault."""
        listed = self._api.every(
            "ListNotebookInstances", "NotebookInstances", NameContains=contains
        )
        found = (str(entry["NotebookInstanceName"]) for entry in listed)
        # AWS ignores the case of letters here.
        return sorted(name for name in found if contains.lower() in name.lower())

    def attach(self, name: str, wanted: Configuration, append: bool) -> Change:
        """Plan to attach a configuration. ``append``: run it after the one that is there.

        Raises: LifecycleError, Fault.
        """
        target, status, present = self._described(name)
        if present == wanted.name:
            return Change(target, needless=f"{wanted.name} is attached already")
        if not present:
            lines = [f"lifecycle configuration: none -> {wanted.name}"]
            return self._change(name, status, "", wanted.name, lines)
        there = configurations.existing(self._api, present, studio=False)
        if wanted.name in (merge.parts(there.on_start) or ()):
            return Change(target, needless=f"{present} runs {wanted.name} already")
        if not append:
            refusal = (
                f"{present} is attached already, and an instance has one: --append makes one that"
                " runs both"
            )
            return Change(target, refusal=refusal)
        both = configurations.merged(there, wanted)
        lines = [
            f"lifecycle configuration: {present} -> {both.name}",
            f"  which runs {present}, then {wanted.name} ({len(both.on_start):,} bytes)",
        ]
        return self._change(name, status, present, both.name, lines, create=both)

    def detach(self, name: str, unwanted: str) -> Change:
        """Plan to detach a configuration, also one that was appended. Raises: as `attach`."""
        target, status, present = self._described(name)
        if present == unwanted:
            lines = [f"lifecycle configuration: {present} -> none"]
            return self._change(name, status, present, "", lines)
        there = present and configurations.existing(self._api, present, studio=False)
        pair = merge.parts(there.on_start) if there else None
        if not there or pair is None or unwanted != pair[1]:
            attached = f"{present} is" if present else "none is"
            return Change(target, needless=f"{unwanted} is not attached ({attached})")
        lines = [f"lifecycle configuration: {present} -> {pair[0]}"]
        restore = None
        if configurations.described(self._api, pair[0], studio=False) is None:
            restore = configurations.first_of(there, pair[0])
            lines.append(f"  {pair[0]} was deleted meanwhile, and is created anew")
        lines.append(f"  {present} is deleted, unless another instance uses it")
        return self._change(name, status, present, pair[0], lines, create=restore, delete=present)

    def _described(self, name: str) -> tuple[str, str, str]:
        """Return what people call it, its state, and the name of its configuration."""
        found = self._api.found(
            "DescribeNotebookInstance", "NotebookInstanceStatus", NotebookInstanceName=name
        )
        if found is None:
            message = f"there is no notebook instance {name}"
            raise LifecycleError(message)
        present = str(found.get("NotebookInstanceLifecycleConfigName") or "")
        return f"notebook instance {name}", str(found["NotebookInstanceStatus"]), present

    def _change(
        self,
        name: str,
        status: str,
        before: str,
        after: str,
        lines: list[str],
        create: Configuration | None = None,
        delete: str = "",
    ) -> Change:
        target = f"notebook instance {name}"
        stoppable = status in ("InService", "Stopping")
        if stoppable and not self._stop_first:
            refusal = (
                f"it is {status}, and must be stopped for this: stop it, or say --stop-first (what"
                " runs on it ends)"
            )
            return Change(target, lines, refusal)
        if not stoppable and status not in _STEADY:
            return Change(target, lines, f"it is {status}: try again when it is Stopped")
        if status == "InService":
            lines = [*lines, "it is InService: it is stopped first, and started again"]
        apply = partial(self._apply, name, before, after, create, delete)
        return Change(target, lines, apply=apply)

    def _apply(
        self, name: str, before: str, after: str, create: Configuration | None, delete: str
    ) -> str:
        _, status, present = self._described(name)
        if present != before:
            message = f"its configuration has become {present or 'none'} meanwhile: look again"
            raise LifecycleError(message)
        undo = self._created(create)
        try:
            self._updated(name, status, before, after)
        except BaseException:
            undo()
            raise
        told = f"{after} is attached" if after else f"{before} is detached"
        if status == "InService":
            told += ", and it starts again"
        return told + (self._deleted(delete) if delete else "")

    def _created(self, wanted: Configuration | None) -> Callable[[], None]:
        """Create a configuration; return what takes it back, where it was not there before."""
        if wanted is None:
            return _nothing
        there = configurations.described(self._api, wanted.name, studio=False)
        if there is not None and there.same_as(wanted):
            return _nothing
        configurations.create(self._api, wanted)

        def undo() -> None:
            try:
                configurations.delete(self._api, wanted.name, studio=False)
            except Fault as fault:
                self._api.progress(f"{wanted.name} is left over: {in_one_line(fault)}")

        return undo

    def _updated(self, name: str, status: str, before: str, after: str) -> None:
        """Update an instance: stop it before, and start it again whatever became of that."""
        ran = status == "InService"
        if ran:
            self._api.call("StopNotebookInstance", NotebookInstanceName=name)
        try:
            if ran or status == "Stopping":
                self._wait(name, {"InService", "Stopping"})
            asked: dict[str, Any] = {"LifecycleConfigName": after} if after else {}
            if not after:
                asked = {"DisassociateLifecycleConfig": True}
            self._api.call("UpdateNotebookInstance", NotebookInstanceName=name, **asked)
            self._wait(name, {"Updating"})
        except BaseException:
            if ran:
                self._start_after_failure(name)
            raise
        present = self._described(name)[2]
        if present != after:
            message = f"AWS accepted the change, but {present or before or 'none'} is attached"
            raise LifecycleError(message)
        if ran:
            self._api.call("StartNotebookInstance", NotebookInstanceName=name)

    def _start_after_failure(self, name: str) -> None:
        try:
            self._wait(name, {"Stopping", "Updating"})
            self._api.call("StartNotebookInstance", NotebookInstanceName=name)
        except (LifecycleError, Fault) as error:
            self._api.progress(f"{name} could not be started again: {in_one_line(error)}")

    def _wait(self, name: str, meanwhile: set[str]) -> None:
        self._api.wait(name, lambda: self._described(name)[1], _STEADY, meanwhile, WAIT_SECONDS)

    def _deleted(self, name: str) -> str:
        """Delete a configuration that nobody uses any more; say so where that cannot be done."""
        try:
            used = any(
                entry.get("NotebookInstanceLifecycleConfigName") == name
                for entry in self._api.every(
                    "ListNotebookInstances",
                    "NotebookInstances",
                    NotebookInstanceLifecycleConfigNameContains=name,
                )
            )
            if used:
                return f"; {name} stays: another instance uses it"
            configurations.delete(self._api, name, studio=False)
        except Fault as fault:
            return f"; {name} is left over: {in_one_line(fault)}"
        return f"; {name} is deleted"


def _nothing() -> None:
    """Take nothing back."""
