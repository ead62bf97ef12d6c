"""Who asks: the name a keep-alive is owned by, and who may cancel other people's."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from jupyter_core.utils import ensure_async
from jupyter_server.auth import AllowAllAuthorizer
from jupyter_server.base.handlers import JupyterHandler

RESOURCE = "idle-culler"
ADMINISTRATION = "idle-culler-administration"
"""The resource that an authorizer may grant `write` on to name administrators."""

_DRAWN_NAME = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Asker:
    """Somebody who asks. ``name`` is empty where the server cannot tell people apart."""

    name: str
    may_write: bool
    may_stop: bool
    is_admin: bool

    def owns(self, owner: str) -> bool:
        """Tell whether this is the owner's own."""
        return owner == self.name


def name_of(handler: JupyterHandler) -> str:
    """Return the username, empty for a name that jupyter_server drew by lot.

    With its own identity provider whoever holds the server's token is a new anonymous person with
    each request, and all of them hold the same key: for us they are one.
    """
    user = handler.current_user
    username = str(getattr(user, "username", "") or "")
    drawn = str(getattr(user, "name", "")).startswith("Anonymous ")
    return "" if drawn and _DRAWN_NAME.fullmatch(username) else username


async def asker(handler: JupyterHandler) -> Asker:
    """Describe who asks."""
    return Asker(
        name=name_of(handler),
        may_write=await _allows(handler, "write", RESOURCE),
        may_stop=await _allows(handler, "execute", RESOURCE),
        is_admin=await is_admin(handler),
    )


async def is_admin(handler: JupyterHandler) -> bool:
    """Tell whether the asking user may cancel what others own.

    So may the one user of a server that knows no people apart; the owner of a JupyterHub server and
    the Hub's administrators; and whom an authorizer that looks at resources allows to write on
    ``idle-culler-administration``. The authorizers that allow everybody everything name nobody.
    """
    name = name_of(handler)
    if not name or name == os.environ.get("JUPYTERHUB_USER"):
        return True
    hub_user = getattr(handler.current_user, "hub_user", None)
    if isinstance(hub_user, dict) and hub_user.get("admin"):
        return True
    authorizer = handler.authorizer
    if type(authorizer) is AllowAllAuthorizer or type(authorizer).__module__.startswith(
        "jupyterhub"
    ):
        return False
    return await _allows(handler, "write", ADMINISTRATION)


async def _allows(handler: JupyterHandler, action: str, resource: str) -> bool:
    answer = handler.authorizer.is_authorized(handler, handler.current_user, action, resource)
    return bool(await ensure_async(answer))
