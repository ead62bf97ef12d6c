"""What is saved of an endpoint before it is changed: JSON in a folder or in S3."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ...errors import IdleCullerError
from ..clients import Clients
from .marks import MARK_TAG
from .model import Endpoint
from .reading import components_of, is_missing, tags_of
from .scaling import has_ours, limits_were_set, read_scaling

FORMAT = 1
ENDPOINT, SCALING = "endpoint", "scaling"
_PARTS: Mapping[str, type] = {
    "region": str,
    "endpoint": dict,
    "config": dict,
    "tags": dict,
    "config_tags": dict,
    "components": list,
    "scaling": dict,
}
_SCALING = ("targets", "policies", "scheduled_actions", "alarms")
_S3 = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?")
_NO_BUCKET = re.compile(r"\d+\.\d+\.\d+\.\d+|.*(\.\.|\.-|-\.).*")
"""An address, or dots that S3 does not take, though the letters are right."""


class SavingFailed(IdleCullerError):
    """What was saved is not there, or is not what was saved; nothing was changed."""


class NotSavable(IdleCullerError):
    """What a restore would need is gone already: the endpoint stays."""


def is_bucket_place(place: str) -> bool:
    """Tell whether it is written as a place in S3, ``s3://bucket`` or ``s3://bucket/prefix``."""
    s3 = _S3.fullmatch(place)
    return s3 is not None and not _NO_BUCKET.fullmatch(s3[1])


def described_in_full(clients: Clients, endpoint: Endpoint, what: str) -> dict[str, Any]:
    """Return all that is needed to make an endpoint again. Raises: NotSavable, botocore's errors.

    ``what``: ``endpoint``, or ``scaling`` where only that is going to change.
    """
    sagemaker = clients.sagemaker
    told = sagemaker.describe_endpoint(EndpointName=endpoint.name)
    name = told["EndpointConfigName"]
    try:
        config = sagemaker.describe_endpoint_config(EndpointConfigName=name)
    except sagemaker.exceptions.ClientError as error:
        if not is_missing(error):
            raise
        message = f"its configuration {name} was deleted: without it, it could not be restored"
        raise NotSavable(message) from error
    saved = {
        "format": FORMAT,
        "what": what,
        "region": clients.region,
        "endpoint": _plain(told),
        "config": _plain(config),
        "tags": _without_mark(tags_of(sagemaker, told["EndpointArn"])),
        "config_tags": tags_of(sagemaker, config["EndpointConfigArn"]),
        "components": [_component(sagemaker, name) for name in _component_names(clients, endpoint)],
        "scaling": read_scaling(clients, endpoint),
    }
    return json.loads(json.dumps(saved, default=_text))  # type: ignore[no-any-return]  # as read


def _component_names(clients: Clients, endpoint: Endpoint) -> list[str]:
    if not endpoint.components:
        return []
    found = components_of(clients.sagemaker, endpoint.name)
    return [component["InferenceComponentName"] for component in found]


def _component(sagemaker: Any, name: str) -> dict[str, Any]:
    told = _plain(sagemaker.describe_inference_component(InferenceComponentName=name))
    tags = tags_of(sagemaker, told["InferenceComponentArn"])
    return {"described": told, "tags": tags}


def _plain(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name != "ResponseMetadata"}


def _without_mark(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key != MARK_TAG}


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    message = f"{type(value).__name__} cannot be saved"
    raise TypeError(message)


def save(clients: Clients, place: str, saved: Mapping[str, Any]) -> str:
    """Save, read back, and return where it is. Raises: SavingFailed, OSError, botocore's errors.

    One file an endpoint: its name holds region, name and time of creation. Where one is there whose
    inference components are gone meanwhile (a removal that was interrupted), they are kept. Where
    somebody has set another scaling since one was saved, that gets a file of its own.
    """
    created = re.sub(r"[^0-9T]", "", saved["endpoint"]["CreationTime"][:19])
    suffix = "" if saved["what"] == ENDPOINT else f"-{saved['what']}"
    region = saved["region"]
    name = f"{region}/{saved['endpoint']['EndpointName']}-{created}{suffix}.json"
    where = f"{place.rstrip('/')}/{name}"
    before = _load_or_none(clients, where)
    if before is not None and before["components"] and not saved["components"]:
        saved = {
            **saved,
            "components": before["components"],
            "scaling": _joined(before["scaling"], saved["scaling"]),
        }
    if before is not None and saved["what"] == SCALING and has_ours(saved["scaling"]):
        if not limits_were_set(before["scaling"], saved["scaling"]):
            return where  # a change that was interrupted: what was former is there already
        at = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        where = where.removesuffix(".json") + f"-{at}.json"
    text = json.dumps(saved, indent=2, sort_keys=True)
    _write(clients, where, text)
    if load(clients, where) != saved:
        message = f"{where}: what was read back is not what was saved"
        raise SavingFailed(message)
    return where


def _joined(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scaling of now, and of what is gone that of before."""
    there = {target["ResourceId"] for target in now["targets"]}
    joined = {}
    for key, held in now.items():
        gone = [e for e in before[key] if e.get("ResourceId") not in there and e not in held]
        joined[key] = [*held, *gone]
    return joined


def load(clients: Clients, where: str) -> dict[str, Any]:
    """Read what was saved. Raises: SavingFailed, OSError, botocore's errors."""
    s3 = _in_s3(where)
    if s3:
        answer = clients.s3.get_object(Bucket=s3[1], Key=s3[2])
        with answer["Body"] as body:
            text = body.read().decode()
    else:
        text = Path(where).read_text(encoding="utf-8")
    try:
        found = json.loads(text)
        good = _is_saved(found)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        good = False
    if not good:
        message = f"{where}: this is no saved endpoint of format {FORMAT}"
        raise SavingFailed(message)
    return dict(found)


def _is_saved(found: Any) -> bool:
    """Tell whether it has what a restore needs: nothing is begun with a part of it.

    Raises: ValueError, KeyError, TypeError, AttributeError where it has not.
    """
    datetime.fromisoformat(found["endpoint"]["CreationTime"])
    names = (found["endpoint"]["EndpointName"], found["config"]["EndpointConfigName"])
    return (
        found["format"] == FORMAT
        and found["what"] in (ENDPOINT, SCALING)
        and all(isinstance(found[part], kind) for part, kind in _PARTS.items())
        and all(isinstance(name, str) for name in names)
        and all(isinstance(found["scaling"][kind], list) for kind in _SCALING)
        and all(isinstance(one["described"], dict) for one in found["components"])
    )


def _in_s3(where: str) -> re.Match[str] | None:
    """Return bucket and key of an object; None: it is a file. Raises: SavingFailed."""
    s3 = _S3.fullmatch(where)
    if where.lower().startswith("s3:") and not (s3 and s3[2] and is_bucket_place(where)):
        message = f"{where}: this is no s3://bucket/key"
        raise SavingFailed(message)
    return s3


def _load_or_none(clients: Clients, where: str) -> dict[str, Any] | None:
    if _in_s3(where):
        try:
            return load(clients, where)
        except clients.s3.exceptions.NoSuchKey:
            return None
    return load(clients, where) if Path(where).exists() else None


def _write(clients: Clients, where: str, text: str) -> None:
    s3 = _in_s3(where)
    if s3:
        clients.s3.put_object(
            Bucket=s3[1], Key=s3[2], Body=text.encode(), ContentType="application/json"
        )
        return
    path = Path(where)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    # Environment variables of containers are in it: it is for its owner's eyes.
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
