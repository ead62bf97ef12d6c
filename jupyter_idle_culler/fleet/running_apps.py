"""The Studio apps that run, with the tags of each and of its space or user profile."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from .clients import Clients, items
from .selection import OPT_OUT_TAG, Selection
from .signals import FRESH_SECONDS, of_this_life
from .spaces import Owners, Space

IN_SERVICE = "InService"
UNKNOWN_USER = "unknown: whose space it is, and so whether that user is exempt"
_FREE = ("JupyterServer", "RStudioServerPro")
_KINDS = ("sagemaker:app", "sagemaker:space", "sagemaker:user-profile")
_GONE = ("ResourceNotFound", "is in Deleting", "is in Deleted")
"""A call whose answer got lost is repeated by boto3, and then refused like this."""


@dataclass(frozen=True)
class App:
    """An app as AWS lists it. ``owner``: its space or user profile; ``has_space``: it is a space.

    ``tags`` are those of the user profile (also of the one whose private space the owner is),
    above them those of the space, and above these its own; ``places`` are what they are on.
    ``user_known`` False: those of the user may be missing.
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
    user_known: bool = True
    places: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """What names it among all apps of a region, as in its ARN."""
        return f"{self.domain}/{self.owner}/{self.kind}/{self.name}"

    @property
    def costs_nothing(self) -> bool:
        """Whether Studio itself runs it: a JupyterServer or RStudioServerPro app."""
        return self.instance_type == "system" and self.kind in _FREE

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


class RunningApps:
    """The apps in service that a selection means, by the name of the owner and the tags.

    ``known``: spaces that were listed before; None: they are listed here, where a user profile has
    a tag that matters.
    """

    def __init__(
        self,
        clients: Clients,
        selection: Selection,
        known: Mapping[tuple[str, str], Space] | None = None,
    ) -> None:
        self._clients, self._selection, self._known = clients, selection, known
        self._tags: dict[str, dict[str, str]] = {}
        self._users_mattered = False
        self._read_at = float("-inf")

    def __iter__(self) -> Iterator[App]:
        """Yield them. Raises: botocore's errors, BadAnswer.

        Tags come first: who cannot read them knows no exemption.
        """
        self._read_tags()
        self._users_mattered = _users_matter(self._tags, self._selection)
        owners = Owners(self._clients, self._known) if self._users_mattered else None
        for each in items(self._clients.sagemaker, "list_apps", "Apps", MaxResults=100):
            if each["Status"] != IN_SERVICE:
                continue
            space, user = each.get("SpaceName", ""), each.get("UserProfileName")
            if space and owners is not None:
                user = owners.of(each["DomainId"], space)
            app = _app(each, self._tags, "" if space and owners is None else user)
            if self._selection.matches(app.owner, app.tags):
                yield app

    def as_now(self, app: App) -> App | None:
        """Return an app with what its tags say now; itself, where they were read a moment ago.

        None: it is not selected any more. Raises: botocore's errors, BadAnswer.
        """
        if time.monotonic() - self._read_at > FRESH_SECONDS:
            self._read_tags()
        tags = of_this_life(_tags_on(app.places, self._tags), app.created)
        if not self._selection.matches(app.owner, tags):
            return None
        # Whose a space is was not asked for, where no user had a tag that decides.
        missed = not self._users_mattered and _users_matter(self._tags, self._selection)
        return replace(app, tags=tags, user_known=app.user_known and not (missed and app.has_space))

    def _read_tags(self) -> None:
        self._tags = _tags(self._clients)
        self._read_at = time.monotonic()


def _users_matter(tags: Mapping[str, Mapping[str, str]], selection: Selection) -> bool:
    """Tell whether any user profile has a tag that decides about apps in its spaces."""
    deciding = {OPT_OUT_TAG, *selection.tags}
    return any(
        place.startswith("user-profile/") and not deciding.isdisjoint(own)
        for place, own in tags.items()
    )


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


def _app(listed: Mapping[str, Any], tags: Mapping[str, Mapping[str, str]], user: str | None) -> App:
    """Return an app. ``user``: whose it is; empty: nobody's, or it does not matter."""
    space, domain = listed.get("SpaceName", ""), listed["DomainId"]
    owner = space or listed.get("UserProfileName", "")
    kind, name, created = listed["AppType"], listed["AppName"], listed["CreationTime"]
    places = (
        f"user-profile/{domain}/{user or ''}",
        f"space/{domain}/{space}",
        f"app/{domain}/{owner}/{kind}/{name}",
    )
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
        of_this_life(_tags_on(places, tags), created),
        resources.get("LifecycleConfigArn", ""),
        user is not None,
        places,
    )


def _tags_on(places: tuple[str, ...], tags: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for place in places:
        found |= tags.get(place.lower(), {})
    return found
