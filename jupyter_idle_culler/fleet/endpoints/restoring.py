"""Make an endpoint again from what was saved: configuration, components, scaling, tags."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from ...errors import IdleCullerError
from ..clients import Clients
from ..report import Report
from .model import Endpoint
from .reading import IN_SERVICE, components_of, described, is_missing, tags_of
from .saving import SCALING, load
from .scaling import accepted, put_back, remove_others

Json = Mapping[str, Any]
_POLL_SECONDS = 10.0
_MOST_WAITED_SECONDS = 3600.0
RESTORING_TAG = "idle-culler:restoring"
"""On an endpoint that a restore has begun, until it is whole: of which, by its time of creation."""
_NOT_COMPARED = ("CreationTime", "EndpointConfigArn", "ResponseMetadata")


class RestoreFailed(IdleCullerError):
    """It cannot be restored as things are; the message says why."""


def restore(
    clients: Clients,
    where: str,
    *,
    dry_run: bool = True,
    sleep: Callable[[float], None] = time.sleep,
    progress: Callable[[str], None] = lambda text: None,
) -> Report:
    """Restore what was saved in a file or in S3; a restore that was interrupted goes on.

    It comes back in the region that it was saved in, whichever ``clients`` speak to. An endpoint of
    its name that no restore of this file has begun is somebody's: it is left as it is. Models are
    not saved: they must still be there. Raises: SavingFailed, OSError, botocore's errors where
    nothing was begun; what fails later is in the report.
    """
    saved = load(clients, where)
    if saved["region"] != clients.region:
        clients = type(clients)(saved["region"], clients.session)
    name = saved["endpoint"]["EndpointName"]
    report = Report(dry_run, matched=1)
    try:
        steps = _Restorer(clients, saved, sleep, progress).run(dry_run)
        report.change(name, action="restore", steps=steps)
    except Exception as error:  # whatever it is, the report says it, and the run fails
        report.fail(name, error)
    return report


class _Restorer:
    def __init__(
        self,
        clients: Clients,
        saved: Json,
        sleep: Callable[[float], None],
        progress: Callable[[str], None],
    ) -> None:
        self._clients, self._sleep, self._progress = clients, sleep, progress
        self._saved = saved
        self._sagemaker = clients.sagemaker
        self._name: str = saved["endpoint"]["EndpointName"]
        self._born: str = saved["endpoint"]["CreationTime"]

    def run(self, dry_run: bool) -> list[str]:
        steps = []
        only_scaling = self._saved["what"] == SCALING
        there = self._described()
        if there is None and only_scaling:
            message = "it is not there, and only its scaling was saved"
            raise RestoreFailed(message)
        if there and there["EndpointConfigName"] != self._saved["config"]["EndpointConfigName"]:
            message = f"it is there with another configuration, {there['EndpointConfigName']}"
            raise RestoreFailed(message)
        if not only_scaling:
            if there and not self._is_ours(there):
                message = f"it is there again, made at {there['CreationTime']:%Y-%m-%d %H:%M %Z}"
                raise RestoreFailed(message)
            if self._config_is_missing():
                steps.append("configuration")
                if not dry_run:
                    self._make_config()
            if there is None:
                steps.append("endpoint")
                if not dry_run:
                    self._make_endpoint()
            steps += self._components(dry_run)
        steps.append("scaling")
        if not dry_run:
            self._wait()
            put_back(self._clients, self._saved["scaling"], datetime.now(timezone.utc))
            if only_scaling:
                remove_others(self._clients, self._endpoint(), self._saved["scaling"])
            else:
                arn = self._described()["EndpointArn"]
                self._sagemaker.delete_tags(ResourceArn=arn, TagKeys=[RESTORING_TAG])
        return steps

    def _is_ours(self, there: Json) -> bool:
        """Tell whether it is the one that was saved, or one that a restore of it has begun."""
        if there["CreationTime"] == datetime.fromisoformat(self._born):
            return True
        tags = tags_of(self._sagemaker, there["EndpointArn"])
        return tags.get(RESTORING_TAG) == self._born

    def _described(self) -> Any:
        try:
            return self._sagemaker.describe_endpoint(EndpointName=self._name)
        except self._sagemaker.exceptions.ClientError as error:
            if not is_missing(error):
                raise
            return None

    def _config_is_missing(self) -> bool:
        wanted = self._saved["config"]
        name = wanted["EndpointConfigName"]
        try:
            there = self._sagemaker.describe_endpoint_config(EndpointConfigName=name)
        except self._sagemaker.exceptions.ClientError as error:
            if not is_missing(error):
                raise
            return True
        if _compared(there) != _compared(wanted):
            message = f"the configuration {name} is there, and is another than the one saved"
            raise RestoreFailed(message)
        return False

    def _make_config(self) -> None:
        request = accepted(self._sagemaker, "CreateEndpointConfig", self._saved["config"])
        self._sagemaker.create_endpoint_config(**request, **_tags(self._saved["config_tags"]))

    def _make_endpoint(self) -> None:
        config = self._saved["config"]["EndpointConfigName"]
        # How its updates are rolled out, and which alarms roll them back.
        rollout = self._saved["endpoint"].get("LastDeploymentConfig")
        self._sagemaker.create_endpoint(
            EndpointName=self._name,
            EndpointConfigName=config,
            **({"DeploymentConfig": rollout} if rollout else {}),
            **_tags(self._saved["tags"] | {RESTORING_TAG: self._born}),
        )

    def _components(self, dry_run: bool) -> list[str]:
        wanted = self._saved["components"]
        if not wanted:
            return []
        if not dry_run:
            self._wait()
        listed = components_of(self._sagemaker, self._name)
        there = {component["InferenceComponentName"] for component in listed}
        steps = []
        for component in sorted(wanted, key=_is_adapter):
            told = component["described"]
            if told["InferenceComponentName"] in there:
                continue
            steps.append(f"inference component {told['InferenceComponentName']}")
            if not dry_run:
                self._make_component(told, component["tags"])
        return steps

    def _make_component(self, told: Json, tags: Mapping[str, str]) -> None:
        request = accepted(self._sagemaker, "CreateInferenceComponent", told)
        specification = dict(told["Specification"])
        container = dict(specification.get("Container", {}))
        # It is described as DeployedImage, and asked for as Image.
        image = container.pop("DeployedImage", {}).get("SpecifiedImage")
        if container or image:
            specification["Container"] = {**container, **({"Image": image} if image else {})}
        request["Specification"] = specification
        copies = told.get("RuntimeConfig", {}).get("DesiredCopyCount")
        request.pop("RuntimeConfig", None)
        if copies is not None:
            request["RuntimeConfig"] = {"CopyCount": copies}
        self._sagemaker.create_inference_component(**request, **_tags(tags))

    def _wait(self) -> None:
        """Wait until the endpoint is in service: nothing is scaled nor put upon it before."""
        until = time.monotonic() + _MOST_WAITED_SECONDS
        while (told := self._described()) is None or told["EndpointStatus"] != IN_SERVICE:
            status = "not there yet" if told is None else told["EndpointStatus"]
            if status in ("Failed", "OutOfService") or time.monotonic() > until:
                reason = (told or {}).get("FailureReason", "")
                message = f"it is {status}, not in service {reason}".rstrip()
                raise RestoreFailed(message)
            self._progress(f"{self._name} is {status}")
            self._sleep(_POLL_SECONDS)

    def _endpoint(self) -> Endpoint:
        return described(self._sagemaker, self._clients.region, self._name, {}, [])


def _is_adapter(component: Json) -> bool:
    return bool(component["described"].get("Specification", {}).get("BaseInferenceComponentName"))


def _compared(config: Json) -> str:
    kept = {key: value for key, value in config.items() if key not in _NOT_COMPARED}
    return json.dumps(kept, sort_keys=True, default=str)


def _tags(tags: Mapping[str, str]) -> dict[str, Any]:
    ours = [{"Key": k, "Value": v} for k, v in tags.items() if not k.startswith("aws:")]
    return {"Tags": ours} if ours else {}
