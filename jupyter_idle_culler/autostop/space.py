"""What names an app of SageMaker Studio: it belongs to a space or to a user profile."""

from __future__ import annotations

from typing import Dict


def names_of(told: Dict[str, str], named: str) -> Dict[str, str]:
    """Return the parameters of DescribeApp and DeleteApp for the app that this runs in.

    ``told`` is the metadata file, ``named`` the end of its ARN, which says whose the app is where
    both a space and a user are named. Raises: LookupError.
    """
    owner = named.split("/")[1].lower()
    mine = [key for key in ("SpaceName", "UserProfileName") if told.get(key, "").lower() == owner]
    return {
        "DomainId": told["DomainId"],
        mine[0]: told[mine[0]],
        "AppType": told["AppType"],
        "AppName": told.get("ResourceName", "default"),
    }
