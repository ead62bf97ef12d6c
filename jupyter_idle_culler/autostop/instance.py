"""The one thing that may be stopped from here: this machine itself, through the SageMaker API."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, NamedTuple

_COMES_SECONDS = 180.0
"""What AWS accepted ends this machine by then, or it is looked after."""
_LONGEST_PAUSE_SECONDS = 1800.0
_ARN = re.compile(r"arn:aws[a-z-]*:sagemaker:([\w-]+):\d+:(?:notebook-instance|(app))/(.+)")


class Target(NamedTuple):
    """This machine: ``kind`` is NotebookInstance or App, ``names`` are the API's parameters."""

    kind: str
    names: Dict[str, str]
    region: str
    arn: str


def target(metadata_path: str) -> Target:
    """Read what this machine is. Raises: ValueError, which says what is wrong with the file."""
    try:
        with open(metadata_path, encoding="utf-8-sig") as stream:
            told = json.load(stream)
        arn = told["ResourceArn"]
        region, app, named = _ARN.findall(arn)[0]
        names = {"NotebookInstanceName": told["ResourceName"]}
        if app:
            from .space import names_of

            names = names_of(told, named)
        if "/".join(names.values()).lower() != named.lower():
            raise ValueError("its names and its ARN differ")
    except Exception as error:
        raise ValueError(f"{metadata_path} does not tell what this is: {error!r}") from None
    return Target("App" if app else "NotebookInstance", names, region, arn)


def stop(me: Target, kept: Dict[str, Any], now: float) -> str:
    """Stop it, once: say what became of that. What AWS refuses is tried again, ever more rarely."""
    failures, again, said = kept.get("stop", (0, now, ""))
    if now < again:
        return f"{said}; looked at again in {again - now:.0f} s"
    verb = "Delete" if me.kind == "App" else "Stop"
    try:
        said, delay, failures = _stop(me, verb), _COMES_SECONDS, 0
    except Exception as error:  # whatever boto3 raises: told, and tried again
        failures += 1
        delay = min(30.0 * 2**failures, _LONGEST_PAUSE_SECONDS)
        said = (
            f"UNHEALTHY, the stop failed: {error!r}; it needs a way to the SageMaker API, and"
            f" sagemaker:Describe{me.kind} and sagemaker:{verb}{me.kind} allowed on {me.arn}"
        )
    kept["stop"] = failures, now + delay, said
    return said


def client(me: Target) -> Any:
    """Return a client of SageMaker in the region of this machine, that waits for some seconds."""
    import boto3
    from botocore.config import Config

    # One try: a stop that is sent again after a lost answer would be refused. The next look tells.
    config = Config(connect_timeout=4, read_timeout=10, retries={"total_max_attempts": 1})
    return boto3.session.Session(region_name=me.region).client("sagemaker", config=config)


def _stop(me: Target, verb: str) -> str:
    sagemaker = client(me)
    call = sagemaker._make_api_call
    status = "InService"
    try:
        status = call("Describe" + me.kind, me.names)[me.kind.replace("App", "") + "Status"]
    except sagemaker.exceptions.ClientError as error:
        if "AccessDenied" not in str(error):  # it may be stopped, but not be described
            raise
    if status == "InService":
        call(verb + me.kind, me.names)
        return "AWS accepted the stop"
    if status in ("Stopping", "Deleting"):
        return f"it is {status} already"
    raise ValueError(f"it is {status}: from that it cannot be stopped")
