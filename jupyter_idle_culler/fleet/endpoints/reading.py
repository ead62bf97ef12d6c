"""What endpoints there are, and of which parts: asked of SageMaker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

from ..clients import items
from .model import Endpoint, Kind, Part

Json = Mapping[str, Any]
ENDPOINTS = "sagemaker:endpoint"
MOST_A_PAGE = 100

IN_SERVICE = "InService"
UPDATING = ("Updating", "SystemUpdating", "RollingBack", "Creating", "Deleting")


class Listed(NamedTuple):
    """What the list says of an endpoint. Ten thousand of these are held: no more than is needed."""

    name: str
    arn: str
    status: str
    created: datetime


def listed(sagemaker: Any, name_contains: str) -> Iterator[Listed]:
    """Yield the endpoints by name. Raises: botocore's errors, BadAnswer."""
    narrowed = {"NameContains": name_contains} if _may_be_asked(name_contains) else {}
    for told in items(
        sagemaker,
        "list_endpoints",
        "Endpoints",
        SortBy="Name",
        SortOrder="Ascending",
        MaxResults=MOST_A_PAGE,
        **narrowed,
    ):
        yield Listed(
            told["EndpointName"],
            told["EndpointArn"],
            told["EndpointStatus"],
            told["CreationTime"].astimezone(timezone.utc),
        )


def _may_be_asked(text: str) -> bool:
    """Tell whether SageMaker takes it as part of a name: else the selection alone decides."""
    plain = text.replace("-", "")
    return 0 < len(text) <= 63 and plain.isascii() and plain.isalnum()


def bulk_tags(tagging: Any) -> dict[str, dict[str, str]]:
    """Return the tags of all endpoints that have any, by ARN in lower case.

    Raises: botocore's errors, BadAnswer.
    """
    found = items(
        tagging,
        "get_resources",
        "ResourceTagMappingList",
        ResourceTypeFilters=[ENDPOINTS],
        ResourcesPerPage=MOST_A_PAGE,
    )
    return {item["ResourceARN"].lower(): as_mapping(item["Tags"]) for item in found}


def tags_of(sagemaker: Any, arn: str) -> dict[str, str]:
    """Return the tags of one resource, as they are now. Raises: botocore's errors."""
    return as_mapping(list(items(sagemaker, "list_tags", "Tags", ResourceArn=arn)))


def as_mapping(tags: Sequence[Json]) -> dict[str, str]:
    """Return AWS' list of tags as a mapping."""
    return {tag["Key"]: tag["Value"] for tag in tags}


def is_missing(error: Exception) -> bool:
    """Tell whether SageMaker's error says that what was asked for is not there."""
    told = getattr(error, "response", {}).get("Error", {})
    missing = "could not find" in told.get("Message", "").lower()
    return told.get("Code") == "ValidationException" and missing


def components_by_endpoint(sagemaker: Any) -> dict[str, list[dict[str, Any]]]:
    """Return all inference components, by the name of their endpoint."""
    found: dict[str, list[dict[str, Any]]] = {}
    for item in items(
        sagemaker, "list_inference_components", "InferenceComponents", MaxResults=MOST_A_PAGE
    ):
        found.setdefault(item["EndpointName"], []).append(item)
    return found


def components_of(sagemaker: Any, endpoint: str) -> list[dict[str, Any]]:
    """Return the inference components of one endpoint."""
    return list(
        items(
            sagemaker,
            "list_inference_components",
            "InferenceComponents",
            EndpointNameEquals=endpoint,
            MaxResults=MOST_A_PAGE,
        )
    )


def described(
    sagemaker: Any,
    region: str,
    name: str,
    tags: Mapping[str, str],
    components: Sequence[Json] | None,
) -> Endpoint:
    """Describe one endpoint. ``components`` None: they are not known. Raises: botocore's errors."""
    told = sagemaker.describe_endpoint(EndpointName=name)
    parts = [
        _variant(variant, shadow, "AsyncInferenceConfig" in told, bool(components))
        for key, shadow in (("ProductionVariants", False), ("ShadowProductionVariants", True))
        for variant in told.get(key, ())
    ]
    parts += [_component(sagemaker, component) for component in components or ()]
    return Endpoint(
        name=name,
        arn=told["EndpointArn"],
        region=region,
        status=told["EndpointStatus"],
        created=told["CreationTime"],
        modified=told["LastModifiedTime"],
        config=told.get("EndpointConfigName", ""),
        parts=tuple(parts),
        tags=tags,
        components_known=components is not None,
    )


def _variant(told: Json, shadow: bool, asynchronous: bool, hosts: bool) -> Part:
    name = told["VariantName"]
    serverless = told.get("CurrentServerlessConfig")
    if serverless is not None:
        provisioned = serverless.get("ProvisionedConcurrency", 0)
        return Part(name, Kind.SERVERLESS, shadow, provisioned=provisioned)
    kind = Kind.ASYNCHRONOUS if asynchronous else Kind.HOST if hosts else Kind.REAL_TIME
    # A count that is missing is no zero: it is taken for something that costs.
    return Part(name, kind, shadow, instances=told.get("CurrentInstanceCount"))


def _component(sagemaker: Any, listed: Json) -> Part:
    name = listed["InferenceComponentName"]
    told = sagemaker.describe_inference_component(InferenceComponentName=name)
    base = told.get("Specification", {}).get("BaseInferenceComponentName", "")
    copies = told.get("RuntimeConfig", {}).get("CurrentCopyCount")
    return Part(name, Kind.COMPONENT, instances=copies, proof=base or name)


def instance_types(config: Json) -> dict[str, str]:
    """Return the instance type of each variant of a configuration; serverless ones have none."""
    variants = [*config.get("ProductionVariants", ()), *config.get("ShadowProductionVariants", ())]
    return {variant["VariantName"]: variant.get("InstanceType", "") for variant in variants}
