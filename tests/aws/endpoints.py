"""Endpoints, their configurations, tags and inference components, beside the rest of SageMaker.

The same address answers the Resource Groups Tagging API for the endpoints that are there.
"""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable, Mapping, Sequence
from email.message import Message
from typing import Any

from . import model
from .stand_in import ACCOUNT, REGION, Call, Refusal, SageMakerStandIn, _Handler

Json = dict[str, Any]
Fault = Callable[[Mapping[str, Any]], Refusal | None]
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ExecutionRole"
TAGGING = "ResourceGroupsTaggingAPI_20170126"


def arn_of(kind: str, name: str) -> str:
    """Return an ARN; names are in lower case there."""
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name.lower()}"


def variant(
    name: str = "main", *, count: int = 1, kind: str = "instances", provisioned: int = 0
) -> Json:
    """Return a variant of a configuration: ``instances``, ``serverless`` or ``host``."""
    told: Json = {"VariantName": name, "ModelName": "a-model", "InitialVariantWeight": 1.0}
    if kind == "serverless":
        told["ServerlessConfig"] = {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
        if provisioned:
            told["ServerlessConfig"]["ProvisionedConcurrency"] = provisioned
        return told
    if kind == "host":
        del told["ModelName"]
    return {**told, "InitialInstanceCount": max(count, 1), "InstanceType": "ml.m5.large"}


class EndpointsStandIn(SageMakerStandIn):
    """The stand-in with endpoints. ``faults`` by operation: what befalls a request, if anything."""

    def __init__(self, page: int = 100, **more: Any) -> None:
        super().__init__(**more)
        self._server.RequestHandlerClass = type("H", (_EndpointsHandler,), {"stand_in": self})
        self.page = page
        self.faults: dict[str, Fault] = {}
        self.configs: dict[str, Json] = {}
        self.endpoints: dict[str, Json] = {}
        self.components: dict[str, Json] = {}
        self.components_linger = 0
        """So many lists still have a component that was deleted."""
        self._leaving: dict[str, int] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.now = datetime.datetime.now(datetime.timezone.utc)

    def add_endpoint(
        self,
        name: str,
        variants: Sequence[Json] = (),
        *,
        shadow: Sequence[Json] = (),
        asynchronous: bool = False,
        age_hours: float = 1000,
        status: str = "InService",
        tags: Mapping[str, str] | None = None,
        counts: Mapping[str, int] | None = None,
    ) -> str:
        """Create an endpoint with a configuration of its own, as old as it; return its ARN."""
        created = self.now - datetime.timedelta(hours=age_hours)
        config: Json = {
            "EndpointConfigName": f"{name}-config",
            "ProductionVariants": list(variants) or [variant()],
        }
        if shadow:
            config["ShadowProductionVariants"] = list(shadow)
        if asynchronous:
            config["AsyncInferenceConfig"] = {"OutputConfig": {"S3OutputPath": "s3://out/put"}}
        if any("ModelName" not in one for one in config["ProductionVariants"]):
            config["ExecutionRoleArn"] = ROLE
        self._make_config(config, created, {"of": name})
        self._make_endpoint(name, config["EndpointConfigName"], created, tags or {}, status)
        for told in self._variants(name):
            if "CurrentInstanceCount" in told and counts and told["VariantName"] in counts:
                told["CurrentInstanceCount"] = counts[told["VariantName"]]
        return arn_of("endpoint", name)

    def add_component(self, name: str, endpoint: str, *, copies: int = 1) -> None:
        """Put an inference component upon the first variant of an endpoint."""
        on = self.endpoints[endpoint]["ProductionVariants"][0]["VariantName"]
        self._CreateInferenceComponent(
            {
                "InferenceComponentName": name,
                "EndpointName": endpoint,
                "VariantName": on,
                "Specification": {
                    "Container": {"Image": "an.image/of:it", "ArtifactUrl": "s3://a/model.tar.gz"},
                    "ComputeResourceRequirements": {"MinMemoryRequiredInMb": 1024},
                },
                "RuntimeConfig": {"CopyCount": copies},
                "Tags": [{"Key": "component", "Value": name}],
            }
        )
        self.components[name]["CreationTime"] -= datetime.timedelta(hours=900)

    def called(self, operation: str) -> list[Call]:
        """Return the calls of one operation, whatever they were answered."""
        return [call for call in self.calls if call.operation == operation]

    def answer(self, name: str, body: bytes, headers: Message) -> tuple[int, Any]:
        """Answer, or fail as asked."""
        fault = self.faults.get(name)
        refusal = fault(json.loads(body)) if fault else None
        if refusal is None:
            return super().answer(name, body, headers)
        self.calls.append(Call(time.monotonic(), name, json.loads(body), refusal.code))
        return refusal.status, {"__type": refusal.code, "Message": str(refusal)}

    def answer_tagging(self, parameters: Json) -> tuple[int, Any]:
        """Answer GetResources for endpoints."""
        fault = self.faults.get("GetResources")
        refusal = fault(parameters) if fault else None
        self.calls.append(Call(time.monotonic(), "GetResources", parameters, ""))
        if refusal:
            return refusal.status, {"__type": refusal.code, "Message": str(refusal)}
        if parameters.get("ResourceTypeFilters") != ["sagemaker:endpoint"]:
            self.problems.append(f"GetResources: {parameters}")
        tagged = sorted(arn for arn in self.tags if ":endpoint/" in arn and self.tags[arn])
        start, size = int(parameters.get("PaginationToken") or 0), parameters["ResourcesPerPage"]
        page = [
            {"ResourceARN": arn, "Tags": _as_list(self.tags[arn])}
            for arn in tagged[start : start + size]
        ]
        following = str(start + size) if start + size < len(tagged) else ""
        return 200, {"ResourceTagMappingList": page, "PaginationToken": following}

    def _variants(self, name: str) -> list[Json]:
        told = self.endpoints[name]
        return [*told["ProductionVariants"], *told.get("ShadowProductionVariants", [])]

    def _make_config(self, config: Json, created: datetime.datetime, tags: Any) -> str:
        name = config["EndpointConfigName"]
        if name in self.configs:
            text = f"Cannot create already existing endpoint configuration {name}"
            raise Refusal("ValidationException", text)
        arn = arn_of("endpoint-config", name)
        self.configs[name] = {**config, "EndpointConfigArn": arn, "CreationTime": created}
        self.tags[arn] = dict(tags)
        return arn

    def _make_endpoint(
        self, name: str, config_name: str, created: datetime.datetime, tags: Any, status: str
    ) -> str:
        config = self.configs[config_name]
        told: Json = {
            "EndpointName": name,
            "EndpointArn": arn_of("endpoint", name),
            "EndpointConfigName": config_name,
            "EndpointStatus": status,
            "CreationTime": created,
            "LastModifiedTime": created,
        }
        for key in ("ProductionVariants", "ShadowProductionVariants"):
            if key in config:
                told[key] = [_running(one) for one in config[key]]
        if "AsyncInferenceConfig" in config:
            told["AsyncInferenceConfig"] = config["AsyncInferenceConfig"]
        self.endpoints[name] = told
        self.tags[told["EndpointArn"]] = dict(tags)
        return str(told["EndpointArn"])

    def _there(self, operation: str, parameters: Mapping[str, Any]) -> Json:
        name = parameters["EndpointName"]
        self._authorize(operation, arn_of("endpoint", name))
        if name not in self.endpoints:
            text = f'Could not find endpoint "{arn_of("endpoint", name)}".'
            raise Refusal("ValidationException", text)
        return self.endpoints[name]

    def _ListEndpoints(self, parameters: Mapping[str, Any]) -> Any:
        names = sorted(n for n in self.endpoints if parameters.get("NameContains", "") in n)
        keys = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
        found = [{key: self.endpoints[name][key] for key in keys} for name in names]
        return self._paged("Endpoints", found, parameters)

    def _paged(self, key: str, found: Sequence[Json], parameters: Mapping[str, Any]) -> Json:
        start = int(parameters.get("NextToken", 0))
        end = start + min(parameters.get("MaxResults", 10), self.page)
        more = {"NextToken": str(end)} if end < len(found) else {}
        return {key: list(found[start:end]), **more}

    def _DescribeEndpoint(self, parameters: Mapping[str, Any]) -> Any:
        return self._there("DescribeEndpoint", parameters)

    def _DescribeEndpointConfig(self, parameters: Mapping[str, Any]) -> Any:
        name = parameters["EndpointConfigName"]
        if name not in self.configs:
            text = f'Could not find endpoint configuration "{arn_of("endpoint-config", name)}".'
            raise Refusal("ValidationException", text)
        return self.configs[name]

    def _CreateEndpointConfig(self, parameters: Mapping[str, Any]) -> Any:
        config = {key: value for key, value in parameters.items() if key != "Tags"}
        tags = _as_mapping(parameters.get("Tags", []))
        return {"EndpointConfigArn": self._make_config(config, self.now, tags)}

    def _CreateEndpoint(self, parameters: Mapping[str, Any]) -> Any:
        name, config = parameters["EndpointName"], parameters["EndpointConfigName"]
        if name in self.endpoints:
            text = f"Cannot create already existing endpoint {name}"
            raise Refusal("ValidationException", text)
        self._DescribeEndpointConfig(parameters)
        tags = _as_mapping(parameters.get("Tags", []))
        arn = self._make_endpoint(name, config, self.now, tags, "InService")
        if "DeploymentConfig" in parameters:
            self.endpoints[name]["LastDeploymentConfig"] = parameters["DeploymentConfig"]
        return {"EndpointArn": arn}

    def _DeleteEndpoint(self, parameters: Mapping[str, Any]) -> Any:
        told = self._there("DeleteEndpoint", parameters)
        name = parameters["EndpointName"]
        if told["EndpointStatus"] != "InService":
            raise Refusal("ValidationException", "Cannot update in-progress endpoint")
        if any(one["EndpointName"] == name for one in self.components.values()):
            text = "Cannot delete an endpoint that hosts inference components"
            raise Refusal("ValidationException", text)
        del self.endpoints[name], self.tags[told["EndpointArn"]]

    def _ListTags(self, parameters: Mapping[str, Any]) -> Any:
        return {"Tags": _as_list(self._tagged(parameters))}

    def _AddTags(self, parameters: Mapping[str, Any]) -> Any:
        tags = self._tagged(parameters)
        tags |= _as_mapping(parameters["Tags"])
        return {"Tags": _as_list(tags)}

    def _DeleteTags(self, parameters: Mapping[str, Any]) -> Any:
        tags = self._tagged(parameters)
        for key in parameters["TagKeys"]:
            tags.pop(key, None)
        return {}

    def _tagged(self, parameters: Mapping[str, Any]) -> dict[str, str]:
        arn = parameters["ResourceArn"]
        if arn not in self.tags:
            raise Refusal("ValidationException", f"{arn} does not exist")
        return self.tags[arn]

    def _ListInferenceComponents(self, parameters: Mapping[str, Any]) -> Any:
        keys = (
            "InferenceComponentName",
            "InferenceComponentArn",
            "EndpointName",
            "EndpointArn",
            "VariantName",
            "CreationTime",
            "LastModifiedTime",
            "InferenceComponentStatus",
        )
        only = parameters.get("EndpointNameEquals")
        found = [
            {key: one[key] for key in keys}
            for _, one in sorted(self.components.items())
            if only in (None, one["EndpointName"])
        ]
        for name in [n for n, left in self._leaving.items() if left <= 0]:
            del self._leaving[name], self.components[name]
        self._leaving = {name: left - 1 for name, left in self._leaving.items()}
        return self._paged("InferenceComponents", found, parameters)

    def _DescribeInferenceComponent(self, parameters: Mapping[str, Any]) -> Any:
        name = parameters["InferenceComponentName"]
        if name not in self.components:
            raise Refusal("ValidationException", f'Could not find inference component "{name}".')
        return self.components[name]

    def _CreateInferenceComponent(self, parameters: Mapping[str, Any]) -> Any:
        name = parameters["InferenceComponentName"]
        endpoint = self._there("CreateInferenceComponent", parameters)
        specification = dict(parameters["Specification"])
        container = dict(specification.get("Container", {}))
        if "Image" in container:
            container["DeployedImage"] = {"SpecifiedImage": container.pop("Image")}
            specification["Container"] = container
        copies = parameters["RuntimeConfig"]["CopyCount"]
        arn = arn_of("inference-component", name)
        self.components[name] = {
            "InferenceComponentName": name,
            "InferenceComponentArn": arn,
            "EndpointName": parameters["EndpointName"],
            "EndpointArn": endpoint["EndpointArn"],
            "VariantName": parameters["VariantName"],
            "Specification": specification,
            "RuntimeConfig": {"DesiredCopyCount": copies, "CurrentCopyCount": copies},
            "CreationTime": self.now,
            "LastModifiedTime": self.now,
            "InferenceComponentStatus": "InService",
        }
        self.tags[arn] = _as_mapping(parameters.get("Tags", []))
        return {"InferenceComponentArn": arn}

    def _DeleteInferenceComponent(self, parameters: Mapping[str, Any]) -> Any:
        told = self._DescribeInferenceComponent(parameters)
        name = parameters["InferenceComponentName"]
        if name in self._leaving:
            raise Refusal("ValidationException", f"{name} is being deleted")
        if self.components_linger:
            told["InferenceComponentStatus"] = "Deleting"
            self._leaving[name] = self.components_linger - 1
            return
        del self.tags[told["InferenceComponentArn"]], self.components[name]


def _running(config: Json) -> Json:
    told: Json = {"VariantName": config["VariantName"]}
    if "ServerlessConfig" in config:
        return {**told, "CurrentServerlessConfig": config["ServerlessConfig"]}
    count = config["InitialInstanceCount"]
    return {**told, "CurrentInstanceCount": count, "DesiredInstanceCount": count}


def _as_list(tags: Mapping[str, str]) -> list[Json]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def _as_mapping(tags: Sequence[Mapping[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


class _EndpointsHandler(_Handler):
    stand_in: EndpointsStandIn

    def do_POST(self) -> None:
        """Answer the tagging API, or else as SageMaker."""
        if not self.headers.get("X-Amz-Target", "").startswith(TAGGING):
            super().do_POST()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, answer = self.stand_in.answer_tagging(json.loads(body))
        text = json.dumps(model.as_json(answer)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
