"""What is asked of Studio beside: apps with their instance types, tags of a kind of resource."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from .fleet_stand_in import FleetStandIn
from .stand_in import ACCOUNT, REGION, Refusal

_MADE = datetime(2026, 3, 1, tzinfo=timezone.utc)
_TAGS_A_PAGE = 2


class StudioStandIn(FleetStandIn):
    """The fleet's stand-in, with apps on instances of any type and the tags of their owners."""

    def __init__(self, linger_seconds: float = 30.0) -> None:
        super().__init__(linger_seconds)
        self._types: dict[tuple[str, str], str] = {}

    def studio_app(
        self,
        owner: str,
        app_type: str = "JupyterLab",
        *,
        user: bool = False,
        instance_type: str = "ml.t3.medium",
        tags: Mapping[str, str] | None = None,
        owner_tags: Mapping[str, str] | None = None,
    ) -> str:
        """Create an app of a space, or of a user profile; return its ARN."""
        named = {"user": owner} if user else {"space": owner}
        arn = self.add_running_app("d-abc123def456", app_type, created=_MADE, **named)
        self._types[owner, app_type] = instance_type
        if tags:  # Studio writes the type in small letters there
            self.tags[arn.replace(app_type, app_type.lower())] = dict(tags)
        if owner_tags:
            kind = "user-profile" if user else "space"
            place = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/d-abc123def456/{owner}"
            self.tags[place] = dict(owner_tags)
        return arn

    def _ListApps(self, parameters: Mapping[str, Any]) -> Any:
        if "apps" in self.refuses:
            raise Refusal("InternalFailure", "An internal error occurred.", 500)
        answer = super()._ListApps(parameters)
        for app in answer["Apps"]:
            owner = app.get("SpaceName") or app["UserProfileName"]
            app["ResourceSpec"] = {"InstanceType": self._types[owner, app["AppType"]]}
        return answer

    def _DeleteApp(self, parameters: Mapping[str, Any]) -> Any:
        owner = parameters.get("SpaceName") or parameters.get("UserProfileName")
        if owner in self.refuses:
            raise Refusal("ValidationException", "It may not be touched.")
        return super()._DeleteApp(parameters)

    def _GetResources(self, parameters: Mapping[str, Any]) -> Any:
        if "ResourceTypeFilters" not in parameters:
            return super()._GetResources(parameters)
        if "tags" in self.refuses:
            raise Refusal("InternalServiceException", "An internal error occurred.", 500)
        kinds = {each.partition(":")[2] for each in parameters["ResourceTypeFilters"]}
        found = [
            {"ResourceARN": arn, "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}
            for arn, tags in sorted(self.tags.items())
            if arn.split(":", 5)[5].partition("/")[0] in kinds
        ]
        start = int(parameters.get("PaginationToken") or 0)
        end = start + _TAGS_A_PAGE
        token = str(end) if end < len(found) else ""
        return {"PaginationToken": token, "ResourceTagMappingList": found[start:end]}
