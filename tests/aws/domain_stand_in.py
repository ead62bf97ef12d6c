"""What is asked of Studio's domains: their settings, those of users, and spaces."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .stand_in import ACCOUNT, REGION, Refusal
from .studio_stand_in import StudioStandIn

DOMAIN = "d-abc123def456"
_CONFIG = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:studio-lifecycle-config/"


def idle_shutdown(state: str, member: str = "JupyterLabAppSettings") -> dict[str, Any]:
    """Return settings with SageMaker's own idle shutdown ENABLED or DISABLED."""
    settings = {"LifecycleManagement": state, "IdleTimeoutInMinutes": 60}
    return {member: {"AppLifecycleManagement": {"IdleSettings": settings}}}


class DomainStandIn(StudioStandIn):
    """The stand-in with one domain: ``user_defaults`` and ``space_defaults`` are its settings.

    ``users`` holds what a user profile has of its own.
    """

    def __init__(self, linger_seconds: float = 30.0) -> None:
        super().__init__(linger_seconds)
        self.user_defaults: dict[str, Any] = {}
        self.space_defaults: dict[str, Any] = {}
        self.users: dict[str, dict[str, Any]] = {}
        self.configured: dict[str, str] = {}
        """Lifecycle configurations by the names of notebook instances, or of apps' owners."""
        self._spaces: dict[str, dict[str, Any]] = {}

    def add_space(
        self, name: str, owner: str = "", *, modified: datetime, volume_gb: int = 5
    ) -> None:
        """Create a space: of one owner, or shared."""
        self.users.setdefault(owner, {})
        self._spaces[name] = {
            "DomainId": DOMAIN,
            "SpaceName": name,
            "Status": "InService",
            "CreationTime": modified,
            "LastModifiedTime": modified,
            "SpaceSettingsSummary": {
                "SpaceStorageSettings": {"EbsStorageSettings": {"EbsVolumeSizeInGb": volume_gb}}
            },
            "SpaceSharingSettingsSummary": {"SharingType": "Private" if owner else "Shared"},
        }
        if owner:
            self._spaces[name]["OwnershipSettingsSummary"] = {"OwnerUserProfileName": owner}

    def made(self, owner: str, app_type: str, when: datetime) -> None:
        """Say when the app of an owner was made."""
        for (_, space, user, kind, _), thing in self._apps.items():
            if owner in (space, user) and kind == app_type:
                thing.created = when

    def _ListSpaces(self, parameters: Mapping[str, Any]) -> Any:
        if "spaces" in self.refuses:
            raise Refusal("AccessDeniedException", "not allowed")
        names = sorted(self._spaces)
        start = int(parameters.get("NextToken", "0"))
        end = start + min(self.page_size, parameters.get("MaxResults", 10))
        more = {"NextToken": str(end)} if end < len(names) else {}
        return {"Spaces": [self._spaces[name] for name in names[start:end]], **more}

    def _DescribeDomain(self, parameters: Mapping[str, Any]) -> Any:
        self._authorize("DescribeDomain", parameters["DomainId"])
        return {
            "DomainId": parameters["DomainId"],
            "DefaultUserSettings": self.user_defaults,
            "DefaultSpaceSettings": self.space_defaults,
        }

    def _DescribeUserProfile(self, parameters: Mapping[str, Any]) -> Any:
        name = parameters["UserProfileName"]
        self._authorize("DescribeUserProfile", name)
        if name not in self.users:
            raise Refusal("ResourceNotFound", f"UserProfile [{name}] does not exist.")
        return {"DomainId": DOMAIN, "UserProfileName": name, "UserSettings": self.users[name]}

    def _ListApps(self, parameters: Mapping[str, Any]) -> Any:
        answer = super()._ListApps(parameters)
        for app in answer["Apps"]:
            config = self.configured.get(app.get("SpaceName") or app["UserProfileName"])
            if config:
                app["ResourceSpec"]["LifecycleConfigArn"] = _CONFIG + config
        return answer

    def _ListNotebookInstances(self, parameters: Mapping[str, Any]) -> Any:
        answer = super()._ListNotebookInstances(parameters)
        for told in answer["NotebookInstances"]:
            config = self.configured.get(told["NotebookInstanceName"])
            if config:
                told["NotebookInstanceLifecycleConfigName"] = config
        return answer
