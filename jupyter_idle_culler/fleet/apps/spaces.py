"""The spaces of Studio: whose they are, and what their volumes hold while nothing runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ..clients import Clients, items


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
