"""The spaces of Studio: whose they are, and what their volumes hold while nothing runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from .clients import Clients, items


@dataclass(frozen=True)
class Space:
    """A space as AWS lists it. ``owner`` empty: shared, or of a time without owners."""

    domain: str
    name: str
    owner: str
    shared: bool
    volume_gb: int
    modified: datetime


def spaces(clients: Clients) -> dict[tuple[str, str], Space]:
    """Return all spaces of a region by domain and name. Raises: botocore's errors, BadAnswer."""
    found = {}
    for each in items(clients.sagemaker, "list_spaces", "Spaces", MaxResults=100):
        settings = each.get("SpaceSettingsSummary", {})
        storage = settings.get("SpaceStorageSettings", {}).get("EbsStorageSettings", {})
        sharing = each.get("SpaceSharingSettingsSummary", {}).get("SharingType")
        space = Space(
            each["DomainId"],
            each["SpaceName"],
            each.get("OwnershipSettingsSummary", {}).get("OwnerUserProfileName", ""),
            sharing != "Private",
            storage.get("EbsVolumeSizeInGb", 0),
            each["LastModifiedTime"],
        )
        found[space.domain, space.name] = space
    return found


class Owners:
    """The user profiles that own private spaces. Spaces are listed when the first is asked for.

    ``known``: the spaces, where they were listed before, or as many of them as could be; nothing
    is asked then.
    """

    def __init__(self, clients: Clients, known: Mapping[tuple[str, str], Space] | None) -> None:
        self._clients = clients
        self._given = known is not None
        self._known = known or {}
        self._missing: set[tuple[str, str]] = set()

    def of(self, domain: str, name: str) -> str | None:
        """Return whose a private space is; empty: it is shared; None: that is not known.

        Raises: botocore's errors, BadAnswer.
        """
        place = domain, name
        if place not in self._known and not self._given and place not in self._missing:
            self._known = spaces(self._clients)  # again, where it was made meanwhile
            if place not in self._known:
                self._missing.add(place)
        space = self._known.get(place)
        if space is None:
            return None
        return "" if space.shared else space.owner
