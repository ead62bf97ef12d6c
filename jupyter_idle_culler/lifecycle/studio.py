"""Attach a lifecycle configuration to Studio domains and user profiles, and detach it.

An update replaces nested settings: so they are read, changed where they must be, and sent whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..aws.faults import Fault
from . import configurations, merge, studio_settings
from .changes import Change, difference
from .configurations import Configuration
from .sagemaker_api import SageMakerApi, in_one_line
from .scripts import LifecycleError
from .studio_settings import Settings, default_of, listed_in, name_of

WAIT_SECONDS = 600.0
_UPDATABLE = ("InService", "Update_Failed")


@dataclass(frozen=True)
class Place:
    """Where settings are kept: a domain's for its users, for its shared spaces, or a profile's."""

    domain: str
    user: str = ""
    shared_spaces: bool = False

    @property
    def label(self) -> str:
        """What people call it."""
        if self.user:
            return f"user profile {self.user} of {self.domain}"
        return (
            f"shared spaces of domain {self.domain}"
            if self.shared_spaces
            else f"domain {self.domain}"
        )

    @property
    def operation(self) -> str:
        """What its operations end in."""
        return "UserProfile" if self.user else "Domain"

    @property
    def member(self) -> str:
        """What the API calls its settings."""
        if self.user:
            return "UserSettings"
        return "DefaultSpaceSettings" if self.shared_spaces else "DefaultUserSettings"

    @property
    def parameters(self) -> dict[str, str]:
        """How the API is told of it."""
        named = {"DomainId": self.domain}
        return {**named, "UserProfileName": self.user} if self.user else named


@dataclass(frozen=True)
class _Edit:
    """What becomes of settings: ``changed`` of them and ``arn``, once ``create`` is created."""

    changed: Callable[[Settings, str], Settings]
    arn: str
    told: str
    more: list[str] = field(default_factory=list)
    create: Configuration | None = None
    delete: str = ""


class Studio:
    """The domains of one account and region."""

    def __init__(self, api: SageMakerApi) -> None:
        self._api = api

    def users(self, domain: str, contains: str) -> list[str]:
        """Return the profiles of a domain whose name contains a text. Raises: Fault."""
        listed = self._api.every(
            "ListUserProfiles",
            "UserProfiles",
            DomainIdEquals=domain,
            UserProfileNameContains=contains,
        )
        found = (str(entry["UserProfileName"]) for entry in listed)
        return sorted(name for name in found if contains.lower() in name.lower())

    def attach(self, place: Place, wanted: Configuration, append: bool) -> Change:
        """Plan to have a configuration run by default. ``append``: after the one that does.

        Raises: LifecycleError, Fault.
        """
        app_type = str(wanted.app_type)
        self._check(place, app_type)
        status, before = self._described(place)
        default = default_of(before, app_type)
        if default == wanted.arn and wanted.arn in listed_in(before, app_type):
            return Change(place.label, needless=f"{wanted.name} is attached already")
        create, arn, more = None, wanted.arn, []
        if default and default != wanted.arn:
            there = configurations.existing(self._api, name_of(default), studio=True)
            if wanted.name in (merge.parts(there.on_start) or ()):
                return Change(place.label, needless=f"{there.name} runs {wanted.name} already")
            if not append:
                refusal = (
                    f"{there.name} runs by default, and only one does: --append makes one that"
                    " runs both"
                )
                return Change(place.label, refusal=refusal)
            create = configurations.merged(there, wanted)
            arn = f"{wanted.arn.rpartition('/')[0]}/{create.name}"
            more = [f"{create.name} is created: it runs {there.name}, then {wanted.name}"]
        elif place.user and not default:
            more = self._overridden(place.domain, app_type, wanted.arn)

        def changed(settings: Settings, arn: str) -> Settings:
            return studio_settings.with_default(settings, app_type, arn)

        edit = _Edit(changed, arn, f"{name_of(arn)} runs by default", more, create)
        return self._change(place, status, before, edit)

    def detach(self, place: Place, unwanted: str, app_type: str) -> Change:
        """Plan to detach a configuration, also one that was appended. Raises: as `attach`."""
        self._check(place, app_type)
        status, before = self._described(place)
        default = default_of(before, app_type)
        named = [a for a in {default, *listed_in(before, app_type)} if name_of(a) == unwanted]
        told = f"{unwanted} is detached"
        if named:
            arn = named[0]

            def removed(settings: Settings, instead: str) -> Settings:
                return studio_settings.without(settings, app_type, arn, instead)

            return self._change(place, status, before, _Edit(removed, "", told))
        there = default and configurations.described(self._api, name_of(default), studio=True)
        pair = merge.parts(there.on_start) if there else None
        if not there or pair is None or pair[1] != unwanted:
            return Change(place.label, needless=f"{unwanted} is not attached")
        first = configurations.described(self._api, pair[0], studio=True)
        more = [f"{there.name} is deleted, unless it is used elsewhere"]
        restore = None
        if first is None:
            restore = configurations.first_of(there, pair[0])
            more.append(f"{pair[0]} was deleted meanwhile, and is created anew")
        arn = first.arn if first else f"{default.rpartition('/')[0]}/{pair[0]}"

        def replaced(settings: Settings, instead: str) -> Settings:
            return studio_settings.without(settings, app_type, default, instead)

        told += f"; {pair[0]} runs by default"
        edit = _Edit(replaced, arn, told, more, restore, delete=there.name)
        return self._change(place, status, before, edit)

    def _overridden(self, domain: str, app_type: str, arn: str) -> list[str]:
        """Say that a profile's own default takes the place of its domain's, where that shows."""
        try:
            inherited = default_of(self._described(Place(domain))[1], app_type)
        except (LifecycleError, Fault):
            return []  # who may change the profile need not be allowed to see the domain
        if inherited in ("", arn):
            return []
        return [f"{name_of(inherited)}, the domain's default, no longer runs for this profile"]

    def _check(self, place: Place, app_type: str) -> None:
        if place.shared_spaces and app_type == "CodeEditor":
            message = "shared spaces have no Code Editor"
            raise LifecycleError(message)

    def _described(self, place: Place) -> tuple[str, Settings]:
        found = self._api.found(f"Describe{place.operation}", "Status", **place.parameters)
        if found is None:
            message = f"there is no {place.label}"
            raise LifecycleError(message)
        return str(found["Status"]), found.get(place.member) or {}

    def _change(self, place: Place, status: str, before: Settings, edit: _Edit) -> Change:
        lines = [*difference(before, edit.changed(before, edit.arn)), *edit.more]
        if status not in _UPDATABLE:
            return Change(place.label, lines, f"it is {status}: try again when it is InService")

        def apply() -> str:
            _, now = self._described(place)
            if now != before:
                message = "its settings have changed meanwhile: look again"
                raise LifecycleError(message)
            arn, made = edit.arn, False
            if edit.create is not None:
                old = configurations.described(self._api, edit.create.name, studio=True)
                arn, made = configurations.create(self._api, edit.create).arn, old is None
            try:
                self._update(place, edit.changed(before, arn))
            except BaseException:
                if made and edit.create is not None:
                    self._deleted(edit.create.name)
                raise
            return edit.told + (self._deleted(edit.delete) if edit.delete else "")

        return Change(place.label, lines, apply=apply)

    def _update(self, place: Place, wanted: Settings) -> None:
        """Send settings whole, wait until they hold, and see that they are there."""
        self._api.call(
            f"Update{place.operation}",
            f"{place.operation}Arn",
            **place.parameters,
            **{place.member: wanted},
        )
        self._api.wait(
            place.label,
            lambda: self._described(place)[0],
            {"InService"},
            {"Updating", "Pending"},
            WAIT_SECONDS,
        )
        present = self._described(place)[1]
        if not holds(present, wanted):
            message = (
                "AWS accepted the change, but the settings are not what was sent: look at them"
            )
            raise LifecycleError(message)

    def _deleted(self, name: str) -> str:
        """Delete a configuration; AWS refuses that where it is used. Say what became of it."""
        try:
            configurations.delete(self._api, name, studio=True)
        except Fault as fault:
            return f"; {name} is left over: {in_one_line(fault)}"
        return f"; {name} is deleted"


def holds(present: Settings, wanted: Settings) -> bool:
    """Tell whether what was wanted of lifecycle configurations is there."""
    apps = {key.removesuffix("AppSettings") for key in wanted if key.endswith("AppSettings")}
    return all(
        default_of(present, app) == default_of(wanted, app)
        and set(listed_in(present, app)) == set(listed_in(wanted, app))
        for app in apps
    )
