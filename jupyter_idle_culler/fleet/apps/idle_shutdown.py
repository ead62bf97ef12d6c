"""Whether SageMaker's own idle shutdown looks after an app: the settings of domain and user.

It exists for JupyterLab and Code Editor. The user's settings stand above the domain's; a shared
space follows the domain's defaults for spaces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..clients import Clients
from ..running_apps import App
from ..spaces import Space

ON, OFF, UNKNOWN = "on", "off", "unknown"
_SETTINGS = {"JupyterLab": "JupyterLabAppSettings", "CodeEditor": "CodeEditorAppSettings"}
Failed = Callable[[str, object], None]
Json = Mapping[str, Any]


class IdleShutdown:
    """Asks each domain and each user once. What cannot be read is told to ``failed``: unknown."""

    def __init__(self, clients: Clients, failed: Failed) -> None:
        self._clients, self._failed = clients, failed
        self._domains: dict[str, Json | None] = {}
        self._users: dict[tuple[str, str], Json | None] = {}

    def of(self, app: App, space: Space | None) -> str:
        """Say whether it is on, off, or not to be found out."""
        member = _SETTINGS.get(app.kind)
        if member is None:
            return OFF
        domain = self._domain(app.domain)
        if app.has_space and space is None:
            return UNKNOWN
        if domain is None:
            return UNKNOWN
        if space is not None and space.shared:
            return _state(domain.get("DefaultSpaceSettings", {}), member) or OFF
        owner = space.owner if space is not None else app.owner
        user = self._user(app.domain, owner) if owner else {}
        if user is None:
            return UNKNOWN
        own = _state(user.get("UserSettings", {}), member)
        return own or _state(domain.get("DefaultUserSettings", {}), member) or OFF

    def _domain(self, domain: str) -> Json | None:
        if domain not in self._domains:
            self._domains[domain] = self._asked(
                f"the domain {domain}", self._clients.sagemaker.describe_domain, DomainId=domain
            )
        return self._domains[domain]

    def _user(self, domain: str, name: str) -> Json | None:
        if (domain, name) not in self._users:
            self._users[domain, name] = self._asked(
                f"the user profile {domain}/{name}",
                self._clients.sagemaker.describe_user_profile,
                DomainId=domain,
                UserProfileName=name,
            )
        return self._users[domain, name]

    def _asked(self, what: str, call: Callable[..., Json], **parameters: str) -> Json | None:
        try:
            answer = call(**parameters)
        except Exception as error:  # boto3's: the others are not to suffer
            self._failed(what, error)
            return None
        if "DomainId" not in answer:
            self._failed(what, "answered without its id: cut short, or not by AWS")
            return None
        return answer


def _state(settings: Json, member: str) -> str:
    """Return ON or OFF where it is said; else nothing."""
    managed = settings.get(member, {}).get("AppLifecycleManagement", {})
    said = managed.get("IdleSettings", {}).get("LifecycleManagement")
    return {"ENABLED": ON, "DISABLED": OFF}.get(said, "")
