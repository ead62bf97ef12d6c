"""Where do we run: from SageMaker's metadata file and the process environment, no network call.

Standard library only, Python 3.8 syntax: autostop shares it.
"""

from __future__ import annotations

import json
import os
import re
from enum import Enum
from typing import Any, Dict, Mapping, NamedTuple, Optional, Tuple

from .aws.target import APP, NOTEBOOK_INSTANCE, Target

_LARGEST_BYTES = 65536
_ARN = re.compile(r"arn:(aws[a-z-]*):sagemaker:([a-z0-9-]+):(\d{12}):([a-z-]+)/(.+)")
_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_DOMAIN = re.compile(r"d-(-*[a-z0-9]){1,61}")
_SAGEMAKER_VARIABLES = ("SAGEMAKER_APP_TYPE", "SAGEMAKER_SPACE_NAME", "SAGEMAKER_DOMAIN_ID")
_HUB_VARIABLES = ("JUPYTERHUB_SERVICE_PREFIX", "JUPYTERHUB_API_TOKEN", "JUPYTERHUB_ACTIVITY_URL")
_COUNTS_AS_PLAIN = "so this counts as a plain machine, which is not stopped by itself"


class Place(Enum):
    """A kind of machine, app or account that Jupyter runs on."""

    NOTEBOOK_INSTANCE = "notebook-instance"
    JUPYTERLAB_SPACE = "jupyterlab-space"
    CODE_EDITOR_SPACE = "code-editor-space"
    UNIFIED_STUDIO = "unified-studio"
    STUDIO_CLASSIC = "studio-classic"
    JUPYTERHUB = "jupyterhub"
    PLAIN = "plain"


_IN_WORDS = {
    Place.NOTEBOOK_INSTANCE: "a SageMaker notebook instance",
    Place.JUPYTERLAB_SPACE: "a JupyterLab space of SageMaker Studio",
    Place.CODE_EDITOR_SPACE: "a Code Editor space of SageMaker Studio",
    Place.UNIFIED_STUDIO: "a space of SageMaker Unified Studio",
    Place.STUDIO_CLASSIC: "SageMaker Studio Classic",
    Place.JUPYTERHUB: "a server of JupyterHub",
    Place.PLAIN: "a plain machine",
}
_SPACES = {"JupyterLab": Place.JUPYTERLAB_SPACE, "CodeEditor": Place.CODE_EDITOR_SPACE}
_CLASSIC = ("JupyterServer", "KernelGateway")


class Environment(NamedTuple):
    """Where this runs, and what there stops what costs money (``target`` None: nothing).

    ``warning`` says why SageMaker's metadata could not be used (empty: there is nothing to say).
    """

    place: Place
    target: Optional[Target] = None
    warning: str = ""

    @property
    def stop_action(self) -> str:
        """What `stop_action = auto` is here: notebook-instance, studio-app or none."""
        if self.target is None:
            return "none"
        return "notebook-instance" if self.target.kind == NOTEBOOK_INSTANCE else "studio-app"

    @property
    def in_words(self) -> str:
        """What it is, for people."""
        return _IN_WORDS[self.place]


class _Unusable(Exception):
    """The file does not say what it should; the message says why, after its path."""


def detect(
    metadata_path: str, environ: Mapping[str, str] = os.environ, expected: bool = False
) -> Environment:
    """Say where this runs. Reads one small file; raises nothing.

    A file that is damaged, foreign or contradicts itself counts as none, with a warning: what is
    not surely this machine is never stopped. A file that is not there is worth a warning only on
    SageMaker, or where somebody ``expected`` it.
    """
    elsewhere = Place.PLAIN
    if any(environ.get(name) for name in _HUB_VARIABLES):
        elsewhere = Place.JUPYTERHUB
    try:
        place, target = _understood(_read(metadata_path), environ)
    except FileNotFoundError:
        hint = next((name for name in _SAGEMAKER_VARIABLES if environ.get(name)), None)
        if hint is None and not expected:
            return Environment(elsewhere)
        known = "" if hint is None else ", though {} is set".format(hint)
        why = "does not exist" + known
    except OSError as error:
        why = "cannot be read ({})".format(error.strerror or error)
    except _Unusable as error:
        why = str(error)
    else:
        return Environment(place, target)
    warning = "{} {}: {}".format(metadata_path, why, _COUNTS_AS_PLAIN)
    return Environment(elsewhere, None, warning)


def _read(path: str) -> Dict[str, Any]:
    """Return the file's object. Raises: OSError, _Unusable."""
    # Whoever put a pipe there must not hang the start of the server.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        raw = os.read(descriptor, _LARGEST_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(raw) > _LARGEST_BYTES:
        raise _Unusable("is far too long")
    if not raw.strip(b"\0 \t\r\n"):
        raise _Unusable("is empty")
    try:
        value = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise _Unusable("is not JSON (damaged?)") from None
    if not isinstance(value, dict):
        raise _Unusable("is not a JSON object")
    return value


def _understood(
    metadata: Mapping[str, Any], environ: Mapping[str, str]
) -> Tuple[Place, Optional[Target]]:
    """Return the place and its target. Raises: _Unusable."""
    arn = _text(metadata, "ResourceArn")
    found = _ARN.fullmatch(arn) if arn else None
    if arn and found is None:
        raise _Unusable("has a ResourceArn that is none of SageMaker's ({})".format(arn[:100]))
    app_type = _text(metadata, "AppType")
    if app_type in _SPACES or app_type in _CLASSIC:
        return _app(metadata, app_type, found, environ)
    if found is not None and not app_type and found.group(4) == NOTEBOOK_INSTANCE:
        return Place.NOTEBOOK_INSTANCE, _notebook_instance(metadata, found)
    what = app_type or (found.group(4) if found else "")
    if what:
        raise _Unusable("describes something that is not stopped from here ({})".format(what[:100]))
    raise _Unusable("names neither a notebook instance nor an app")


def _notebook_instance(metadata: Mapping[str, Any], found: re.Match[str]) -> Target:
    named = found.group(5)
    # SageMaker writes names in ARNs in lower case, so the ARN does not tell the name.
    name = _text(metadata, "ResourceName")
    if name.lower() != named.lower() or not _NAME.fullmatch(name):
        raise _Unusable("contradicts itself: ResourceName and ResourceArn differ")
    return Target(NOTEBOOK_INSTANCE, {"NotebookInstanceName": name}, found.group(2), found.group(0))


def _app(
    metadata: Mapping[str, Any],
    app_type: str,
    found: Optional[re.Match[str]],
    environ: Mapping[str, str],
) -> Tuple[Place, Optional[Target]]:
    if found is not None and found.group(4) != APP:
        raise _Unusable("contradicts itself: AppType and ResourceArn differ")
    if app_type in _CLASSIC:
        return Place.STUDIO_CLASSIC, None
    parts = found.group(5).split("/") if found else ["", "", "", ""]
    if len(parts) != 4:
        raise _Unusable("has a ResourceArn that names no app")
    domain = _text(metadata, "DomainId")
    name = _text(metadata, "ResourceName") or parts[3]
    owners = {key: _text(metadata, key) for key in ("SpaceName", "UserProfileName")}
    # An app belongs to a space or to a user profile; the ARN says to which where both are named.
    owner_key = next((k for k, v in owners.items() if v and v.lower() == parts[1].lower()), None)
    if owner_key is None and found is None:
        owner_key = next((k for k, v in owners.items() if v), None)
    if owner_key is None:
        raise _Unusable("does not say whose app this is (SpaceName, UserProfileName)")
    said = [domain, owners[owner_key], app_type, name]
    if not _DOMAIN.fullmatch(domain) or not all(map(_NAME.fullmatch, said)):
        raise _Unusable("has a name in it that SageMaker would not give")
    if found is not None and [s.lower() for s in said] != [p.lower() for p in parts]:
        raise _Unusable("contradicts itself: its names and its ResourceArn differ")
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or ""
    arn = "arn:{}:sagemaker:{}:*:app/{}".format(_partition(region), region or "*", "/".join(said))
    target = Target(
        APP,
        {"DomainId": domain, owner_key: said[1], "AppType": app_type, "AppName": name},
        found.group(2) if found else region,
        found.group(0) if found else arn,
    )
    place = Place.UNIFIED_STUDIO if metadata.get("AdditionalMetadata") else _SPACES[app_type]
    return place, target


def _partition(region: str) -> str:
    prefixes = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
    return next((name for start, name in prefixes.items() if region.startswith(start)), "aws")


def _text(metadata: Mapping[str, Any], key: str) -> str:
    """Return a member that must be text where it is there. Raises: _Unusable."""
    value = metadata.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _Unusable("has a {} that is no text".format(key))
    return value.strip()
