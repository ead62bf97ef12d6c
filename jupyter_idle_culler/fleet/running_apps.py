"""The Studio apps that run, with the tags of each and of its space or user profile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .clients import Clients, items
from .selection import Selection
from .signals import of_this_life

IN_SERVICE = "InService"
_KINDS = ("sagemaker:app", "sagemaker:space", "sagemaker:user-profile")
_GONE = ("ResourceNotFound", "is in Deleting", "is in Deleted")
"""A call whose answer got lost is repeated by boto3, and then refused like this."""


@dataclass(frozen=True)
class App:
    """An app as AWS lists it. ``owner``: its space or user profile; ``has_space``: it is a space.

    ``tags`` are those of the owner, and above them its own.
    """

    domain: str
    owner: str
    has_space: bool
    kind: str
    name: str
    status: str
    created: datetime
    instance_type: str
    tags: Mapping[str, str]
    lifecycle_config: str = ""

    @property
    def path(self) -> str:
        """What names it among all apps of a region, as in its ARN."""
        return f"{self.domain}/{self.owner}/{self.kind}/{self.name}"

    @property
    def costs_nothing(self) -> bool:
        """Whether Studio itself runs it: a JupyterServer or RStudioServerPro app."""
        return self.instance_type == "system"

    @property
    def key(self) -> dict[str, str]:
        """What an operation of SageMaker names it by."""
        owner = "SpaceName" if self.has_space else "UserProfileName"
        return {
            "DomainId": self.domain,
            owner: self.owner,
            "AppType": self.kind,
            "AppName": self.name,
        }


def running_apps(clients: Clients, selection: Selection) -> Iterator[App]:
    """Yield the apps in service that a selection means, by the name of the owner and the tags.

    Raises: botocore's errors, BadAnswer. Tags come first: who cannot read them knows no exemption.
    """
    tags = _tags(clients)
    for each in items(clients.sagemaker, "list_apps", "Apps", MaxResults=100):
        if each["Status"] != IN_SERVICE:
            continue
        app = _app(each, tags)
        if selection.matches(app.owner, app.tags):
            yield app


def delete_app(clients: Clients, app: App) -> None:
    """Delete an app. Raises: botocore's errors, unless it is being deleted already."""
    from botocore.exceptions import ClientError

    try:
        clients.sagemaker.delete_app(**app.key)
    except ClientError as error:
        if not any(text in str(error) for text in _GONE):
            raise


def _tags(clients: Clients) -> dict[str, dict[str, str]]:
    """Return the tags of apps and their owners by what follows the account in the ARN.

    Studio writes the type of an app in capitals or not, so all is in lower case.
    """
    found = items(
        clients.tagging,
        "get_resources",
        "ResourceTagMappingList",
        ResourceTypeFilters=list(_KINDS),
        ResourcesPerPage=100,
    )
    return {
        each["ResourceARN"].split(":", 5)[5].lower(): {t["Key"]: t["Value"] for t in each["Tags"]}
        for each in found
    }


def _app(listed: Mapping[str, Any], tags: Mapping[str, Mapping[str, str]]) -> App:
    space, domain = listed.get("SpaceName", ""), listed["DomainId"]
    owner = space or listed.get("UserProfileName", "")
    kind, name, created = listed["AppType"], listed["AppName"], listed["CreationTime"]
    place = f"{'space' if space else 'user-profile'}/{domain}/{owner}".lower()
    own = f"app/{domain}/{owner}/{kind}/{name}".lower()
    resources = listed.get("ResourceSpec", {})
    return App(
        domain,
        owner,
        bool(space),
        kind,
        name,
        listed["Status"],
        created,
        resources.get("InstanceType", ""),
        of_this_life({**tags.get(place, {}), **tags.get(own, {})}, created),
        resources.get("LifecycleConfigArn", ""),
    )
