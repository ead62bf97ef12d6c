"""The stand-in for SageMaker with lifecycle configurations, domains and user profiles.

As strict as the rest: an instance is updated only while it is stopped, a domain only while it is in
service, and an update replaces the settings that it is given.
"""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Mapping
from typing import Any

from .stand_in import ACCOUNT, REGION, Allows, Refusal, SageMakerStandIn, _now, _Thing

_PAGE = 2
"""So few entries a page, that whoever reads only the first one is found out."""


class LifecycleStandIn(SageMakerStandIn):
    """The API with what lifecycle configurations need.

    ``broken_updates`` names instances whose update AWS refuses though they are stopped.
    """

    def __init__(self, linger_seconds: float = 0.2, allows: Allows | None = None) -> None:
        super().__init__(linger_seconds, allows)
        self.configurations: dict[str, dict[str, Any]] = {}
        self.studio_configurations: dict[str, dict[str, Any]] = {}
        self.attached: dict[str, str] = {}
        self.domains: dict[str, dict[str, Any]] = {}
        self.profiles: dict[tuple[str, str], dict[str, Any]] = {}
        self.broken_updates: set[str] = set()
        self._ends: dict[str, str] = {}
        self._settings: dict[str, _Thing] = {}

    def __enter__(self) -> LifecycleStandIn:
        super().__enter__()
        return self

    def add_stopped(self, name: str, configuration: str = "") -> str:
        """Create a notebook instance that is Stopped; return its ARN."""
        arn = self.add_notebook(name)
        self.set_status(arn, "Stopped")
        if configuration:
            self.attached[name] = configuration
        return arn

    def add_domain(self, domain: str, users: Any = None, spaces: Any = None) -> None:
        """Create a domain with settings for its users and its shared spaces."""
        self.domains[domain] = {"DefaultUserSettings": users or {}}
        if spaces is not None:
            self.domains[domain]["DefaultSpaceSettings"] = spaces
        self._settings[domain] = _Thing(f"{_arn('domain')}/{domain}")

    def add_profile(self, domain: str, user: str, settings: Any = None) -> None:
        """Create a user profile of a domain."""
        self.profiles[domain, user] = {"UserSettings": settings or {}}
        self._settings[f"{domain}/{user}"] = _Thing(f"{_arn('user-profile')}/{domain}/{user}")

    def changes(self) -> list[str]:
        """Return the operations that were carried out and changed something."""
        reads = ("Describe", "List")
        return [c.operation for c in self.calls if not c.code and not c.operation.startswith(reads)]

    def _pass_time(self) -> None:
        for thing in [*self._all(), *self._settings.values()]:
            if thing.until is not None and time.monotonic() >= thing.until:
                ends = {"Stopping": "Stopped", "Deleting": "Deleted", **self._ends}
                thing.turn(ends.get(f"{thing.arn} {thing.status}") or ends[thing.status])

    def _turn(self, thing: _Thing, status: str, then: str) -> None:
        self._ends[f"{thing.arn} {status}"] = then
        thing.turn(status, time.monotonic() + self.linger_seconds)

    def _DescribeNotebookInstance(self, parameters: Mapping[str, Any]) -> Any:
        answer = super()._DescribeNotebookInstance(parameters)
        configuration = self.attached.get(parameters["NotebookInstanceName"])
        if configuration:
            answer["NotebookInstanceLifecycleConfigName"] = configuration
        return answer

    def _ListNotebookInstances(self, parameters: Mapping[str, Any]) -> Any:
        self._authorize("ListNotebookInstances", f"{_arn('notebook-instance')}/*")
        part = parameters.get("NameContains", "").lower()
        of = parameters.get("NotebookInstanceLifecycleConfigNameContains", "")
        entries = [
            {
                "NotebookInstanceName": name,
                "NotebookInstanceArn": thing.arn,
                "NotebookInstanceStatus": thing.status,
                **_given("NotebookInstanceLifecycleConfigName", self.attached.get(name)),
            }
            for name, thing in self._notebooks.items()
            if part in name.lower() and of in self.attached.get(name, "")
        ]
        return _page("NotebookInstances", entries, parameters)

    def _UpdateNotebookInstance(self, parameters: Mapping[str, Any]) -> Any:
        thing = self._notebook("UpdateNotebookInstance", parameters)
        name = parameters["NotebookInstanceName"]
        if thing.status not in ("Stopped", "Failed"):
            text = (
                f"Status ({thing.status}) not in ([Stopped, Failed]). Unable to transition to"
                f" (Updating) for Notebook Instance ({thing.arn})"
            )
            raise Refusal("ValidationException", text)
        wanted = parameters.get("LifecycleConfigName", "")
        if name in self.broken_updates:
            raise Refusal("ValidationException", "The platform of this instance is not supported")
        if bool(wanted) == parameters.get("DisassociateLifecycleConfig", False):
            raise Refusal("ValidationException", "Either a configuration or none")
        if wanted and wanted not in self.configurations:
            text = f"Unable to describe Notebook Instance Lifecycle Config '{wanted}'"
            raise Refusal("ValidationException", text)
        self.attached[name] = wanted
        self._turn(thing, "Updating", thing.status)
        return {}

    def _StartNotebookInstance(self, parameters: Mapping[str, Any]) -> Any:
        thing = self._notebook("StartNotebookInstance", parameters)
        if thing.status not in ("Stopped", "Failed"):
            text = f"Status ({thing.status}) not in ([Stopped, Failed])"
            raise Refusal("ValidationException", text)
        self._turn(thing, "Pending", "InService")

    def _CreateNotebookInstanceLifecycleConfig(self, parameters: Mapping[str, Any]) -> Any:
        name = parameters["NotebookInstanceLifecycleConfigName"]
        arn = f"{_arn('notebook-instance-lifecycle-config')}/{name.lower()}"
        self._authorize("CreateNotebookInstanceLifecycleConfig", arn)
        if name in self.configurations:
            text = f"Cannot create a duplicate Notebook Instance Lifecycle Config '{name}'"
            raise Refusal("ValidationException", text)
        hooks = {hook: parameters[hook] for hook in ("OnStart", "OnCreate") if hook in parameters}
        self.configurations[name] = {"arn": arn, **hooks}
        return {"NotebookInstanceLifecycleConfigArn": arn}

    def _notebook_config(self, operation: str, name: str) -> dict[str, Any]:
        arn = f"{_arn('notebook-instance-lifecycle-config')}/{name.lower()}"
        self._authorize(operation, arn)
        if name not in self.configurations:
            text = f"Unable to describe Notebook Instance Lifecycle Config '{name}'. RecordNotFound"
            raise Refusal("ValidationException", text)
        return self.configurations[name]

    def _DescribeNotebookInstanceLifecycleConfig(self, parameters: Mapping[str, Any]) -> Any:
        name = parameters["NotebookInstanceLifecycleConfigName"]
        found = self._notebook_config("DescribeNotebookInstanceLifecycleConfig", name)
        return {
            "NotebookInstanceLifecycleConfigArn": found["arn"],
            "NotebookInstanceLifecycleConfigName": name,
            "OnStart": found.get("OnStart", []),
            "OnCreate": found.get("OnCreate", []),
            "CreationTime": _now(),
            "LastModifiedTime": _now(),
        }

    def _DeleteNotebookInstanceLifecycleConfig(self, parameters: Mapping[str, Any]) -> Any:
        name = parameters["NotebookInstanceLifecycleConfigName"]
        self._notebook_config("DeleteNotebookInstanceLifecycleConfig", name)
        if name in self.attached.values():
            raise Refusal("ValidationException", f"'{name}' is in use")
        del self.configurations[name]

    def _CreateStudioLifecycleConfig(self, parameters: Mapping[str, Any]) -> Any:
        name = parameters["StudioLifecycleConfigName"]
        arn = f"{_arn('studio-lifecycle-config')}/{name}"
        self._authorize("CreateStudioLifecycleConfig", arn)
        if name in self.studio_configurations:
            raise Refusal("ResourceInUse", f"StudioLifecycleConfig [{arn}] already exists")
        self.studio_configurations[name] = {**parameters, "StudioLifecycleConfigArn": arn}
        return {"StudioLifecycleConfigArn": arn}

    def _studio_config(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        name = parameters["StudioLifecycleConfigName"]
        arn = f"{_arn('studio-lifecycle-config')}/{name}"
        self._authorize(operation, arn)
        if name not in self.studio_configurations:
            raise Refusal("ResourceNotFound", f"StudioLifecycleConfig [{arn}] does not exist")
        return self.studio_configurations[name]

    def _DescribeStudioLifecycleConfig(self, parameters: Mapping[str, Any]) -> Any:
        found = self._studio_config("DescribeStudioLifecycleConfig", parameters)
        return {**found, "CreationTime": _now(), "LastModifiedTime": _now()}

    def _DeleteStudioLifecycleConfig(self, parameters: Mapping[str, Any]) -> Any:
        found = self._studio_config("DeleteStudioLifecycleConfig", parameters)
        arn = found["StudioLifecycleConfigArn"]
        if arn in str([*self.domains.values(), *self.profiles.values()]).split("'"):
            raise Refusal("ResourceInUse", f"StudioLifecycleConfig [{arn}] is in use")
        del self.studio_configurations[parameters["StudioLifecycleConfigName"]]

    def _place(self, operation: str, parameters: Mapping[str, Any]) -> tuple[_Thing, Any]:
        domain, user = parameters["DomainId"], parameters.get("UserProfileName", "")
        path = f"{domain}/{user}" if user else domain
        kind = "user-profile" if user else "domain"
        self._authorize(operation, f"{_arn(kind)}/{path}")
        if path not in self._settings:
            raise Refusal("ResourceNotFound", f"{kind} [{path}] does not exist")
        return self._settings[path], self.profiles[domain, user] if user else self.domains[domain]

    def _DescribeDomain(self, parameters: Mapping[str, Any]) -> Any:
        thing, held = self._place("DescribeDomain", parameters)
        return {
            **copy.deepcopy(held),
            "DomainId": parameters["DomainId"],
            "DomainArn": thing.arn,
            "Status": thing.status,
            "CreationTime": thing.created,
            "LastModifiedTime": thing.modified,
        }

    def _DescribeUserProfile(self, parameters: Mapping[str, Any]) -> Any:
        thing, held = self._place("DescribeUserProfile", parameters)
        return {
            **copy.deepcopy(held),
            **parameters,
            "UserProfileArn": thing.arn,
            "Status": thing.status,
        }

    def _ListUserProfiles(self, parameters: Mapping[str, Any]) -> Any:
        self._authorize("ListUserProfiles", f"{_arn('user-profile')}/*")
        part = parameters.get("UserProfileNameContains", "").lower()
        entries = [
            {"DomainId": domain, "UserProfileName": user, "Status": "InService"}
            for domain, user in self.profiles
            if domain == parameters.get("DomainIdEquals", domain) and part in user.lower()
        ]
        return _page("UserProfiles", entries, parameters)

    def _UpdateDomain(self, parameters: Mapping[str, Any]) -> Any:
        return {"DomainArn": self._update("UpdateDomain", parameters)}

    def _UpdateUserProfile(self, parameters: Mapping[str, Any]) -> Any:
        return {"UserProfileArn": self._update("UpdateUserProfile", parameters)}

    def _update(self, operation: str, parameters: Mapping[str, Any]) -> str:
        thing, held = self._place(operation, parameters)
        if thing.status not in ("InService", "Update_Failed"):
            raise Refusal("ResourceInUse", f"[{thing.arn}] is in {thing.status}")
        for member in ("DefaultUserSettings", "DefaultSpaceSettings", "UserSettings"):
            if member in parameters:
                self._check_settings(parameters[member])
                held[member] = copy.deepcopy(parameters[member])
        self._turn(thing, "Updating", "InService")
        return thing.arn

    def _check_settings(self, settings: Mapping[str, Any]) -> None:
        known = {
            found["StudioLifecycleConfigArn"]: found["StudioLifecycleConfigAppType"]
            for found in self.studio_configurations.values()
        }
        for key, app in settings.items():
            if not key.endswith("AppSettings") or not isinstance(app, dict):
                continue
            arns, spec = app.get("LifecycleConfigArns"), app.get("DefaultResourceSpec")
            if arns is not None and spec is None:
                raise Refusal("ValidationException", f"{key}: DefaultResourceSpec is required")
            default = (spec or {}).get("LifecycleConfigArn")
            if default and default not in (arns or []):
                raise Refusal("ValidationException", f"{key}: the default is not in the list")
            for arn in arns or []:
                if known.get(arn) != re.sub("AppSettings$", "", key):
                    raise Refusal("ValidationException", f"{key}: {arn} is not for this app")


def _arn(kind: str) -> str:
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}"


def _given(member: str, value: Any) -> dict[str, Any]:
    return {member: value} if value else {}


def _page(member: str, entries: list[Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    start = int(parameters.get("NextToken", "0"))
    more = {"NextToken": str(start + _PAGE)} if len(entries) > start + _PAGE else {}
    return {member: entries[start : start + _PAGE], **more}
