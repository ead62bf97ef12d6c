"""What the fleet asks beside: lists with all their filters, starts, tags of many, apps, owners."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, ClassVar

from .stand_in import ACCOUNT, REGION, Refusal, SageMakerStandIn, _Thing

TAGGING = "ResourceGroupsTaggingAPI_20170126"
_ENDS = {
    "Pending": "InService",
    "Updating": "Stopped",
    "Stopping": "Stopped",
    "Deleting": "Deleted",
}
_TAG_VALUE = re.compile(r"[\w\s+\-=._:/@]{0,256}")


@dataclass
class _Facts:
    """What is known of a notebook instance or app beside its state."""

    instance_type: str = "ml.t3.medium"


def _utc() -> datetime:
    return datetime.now(timezone.utc)


class FleetStandIn(SageMakerStandIn):
    """The stand-in with what the fleet needs of SageMaker, and with the tagging API.

    ``throttled``: the first try of each call is refused (boto3 tries again). ``refuses``: names,
    or ``page 100``, ``tags``, ``tag ARN``, that are answered with an error, whatever is asked.
    ``clock`` says which time it is there: a test has one of its own.
    """

    services: ClassVar[Mapping[str, tuple[str, str]]] = {
        **SageMakerStandIn.services,
        TAGGING: ("resourcegroupstaggingapi", "tagging"),
    }

    def __init__(self, linger_seconds: float = 30.0, page_size: int = 100) -> None:
        super().__init__(linger_seconds)
        self.clock: Callable[[], datetime] = _utc
        self.tags: dict[str, dict[str, str]] = {}
        self.throttled = False
        self.refuses: set[str] = set()
        self.page_size = page_size
        self._facts: dict[str, _Facts] = {}
        self._seen: dict[str, int] = {}
        self._sorted: list[str] | None = None

    @property
    def env(self) -> dict[str, str]:
        """What makes boto3 in a process speak to it, about the tags too."""
        name = "AWS_ENDPOINT_URL_RESOURCE_GROUPS_TAGGING_API"
        return {**super().env, name: self.url, "AWS_DEFAULT_REGION": REGION}

    def add(
        self,
        name: str,
        status: str = "InService",
        *,
        modified: datetime | None = None,
        tags: Mapping[str, str] | None = None,
        instance_type: str = "ml.t3.medium",
    ) -> str:
        """Create a notebook instance with all that the fleet looks at; return its ARN."""
        arn = self.add_notebook(name)
        thing = self._notebooks[name]
        thing.status = status
        if modified is not None:
            thing.created = thing.modified = modified
        self._facts[arn] = _Facts(instance_type)
        self._sorted = None
        if tags:
            self.tags[arn] = dict(tags)
        return arn

    def at(self, name: str) -> str:
        """Return the state of a notebook instance."""
        return self.status_of(self._notebooks[name].arn)

    def __enter__(self) -> FleetStandIn:
        super().__enter__()
        return self

    def settle(self) -> None:
        """Have what has lingered long enough be over."""
        with self._lock:
            self._pass_time()

    def turn(self, name: str, status: str) -> None:
        """Have a notebook instance in another state from now on, by whoever's doing."""
        self._turn(self._notebooks[name], status)

    def tags_of(self, name: str) -> dict[str, str]:
        """Return the tags of a notebook instance."""
        return self.tags.get(self._notebooks[name].arn, {})

    def count(self, *operations: str) -> int:
        """Return how many calls of these operations came."""
        return sum(call.operation in operations for call in self.calls)

    def answer(self, name: str, body: bytes, headers: Any) -> tuple[int, Any]:
        """Answer, or throttle the first try of each call that differs from those before."""
        if self.throttled:
            with self._lock:
                key = name + body.decode()
                self._seen[key] = self._seen.get(key, 0) + 1
                if self._seen[key] == 1:
                    tagging = headers["X-Amz-Target"].startswith(TAGGING)
                    code = "ThrottledException" if tagging else "ThrottlingException"
                    return 400, {"__type": code, "Message": "Rate exceeded"}
        return super().answer(name, body, headers)

    def _pass_time(self) -> None:
        for thing in self._all():
            if thing.until is not None and time.monotonic() >= thing.until:
                self._turn(thing, _ENDS[thing.status])

    def _turn(self, thing: _Thing, status: str, until: float | None = None) -> None:
        thing.turn(status, until)
        thing.modified = self.clock()

    def _ListNotebookInstances(self, parameters: Mapping[str, Any]) -> Any:
        if self._sorted is None:
            self._sorted = sorted(self._notebooks)
        start = int(parameters.get("NextToken", "0"))
        if f"page {start}" in self.refuses:
            raise Refusal("InternalFailure", "An internal error occurred.", 500)
        names = [
            name
            for name in self._sorted
            if parameters.get("NameContains", "") in name
            and parameters.get("StatusEquals", self._notebooks[name].status)
            == self._notebooks[name].status
        ]
        end = start + min(self.page_size, parameters.get("MaxResults", 10))
        answer: dict[str, Any] = {
            "NotebookInstances": [
                {
                    "NotebookInstanceName": name,
                    "NotebookInstanceArn": self._notebooks[name].arn,
                    "NotebookInstanceStatus": self._notebooks[name].status,
                    "InstanceType": self._facts[self._notebooks[name].arn].instance_type,
                    "CreationTime": self._notebooks[name].created,
                    "LastModifiedTime": self._notebooks[name].modified,
                }
                for name in names[start:end]
            ]
        }
        if end < len(names):
            answer["NextToken"] = str(end)
        return answer

    def _StartNotebookInstance(self, parameters: Mapping[str, Any]) -> Any:
        thing = self._notebook("StartNotebookInstance", parameters)
        if thing.status not in ("Stopped", "Failed"):
            text = (
                f"Status ({thing.status}) not in ([Stopped, Failed]). Unable to transition to"
                f" (Pending) for Notebook Instance ({thing.arn})"
            )
            raise Refusal("ValidationException", text)
        self._turn(thing, "Pending", time.monotonic() + self.linger_seconds)

    def _StopNotebookInstance(self, parameters: Mapping[str, Any]) -> Any:
        super()._StopNotebookInstance(parameters)
        self._notebooks[parameters["NotebookInstanceName"]].modified = self.clock()

    def _notebook(self, operation: str, parameters: Mapping[str, Any]) -> _Thing:
        if parameters["NotebookInstanceName"] in self.refuses:
            raise Refusal("ValidationException", "It may not be touched.")
        return super()._notebook(operation, parameters)

    def _AddTags(self, parameters: Mapping[str, Any]) -> Any:
        arn = parameters["ResourceArn"]
        self._authorize("AddTags", arn)
        added = {tag["Key"]: tag["Value"] for tag in parameters["Tags"]}
        self.tags.setdefault(arn, {}).update(added)
        return {"Tags": [{"Key": k, "Value": v} for k, v in self.tags[arn].items()]}

    def _GetResources(self, parameters: Mapping[str, Any]) -> Any:
        if "tags" in self.refuses:
            raise Refusal("InternalServiceException", "An internal error occurred.", 500)
        wanted = parameters["ResourceARNList"]
        found = [
            {"ResourceARN": arn, "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}
            for arn in wanted
            if (tags := self.tags.get(arn)) is not None
        ]
        return {"PaginationToken": "", "ResourceTagMappingList": found}

    def _TagResources(self, parameters: Mapping[str, Any]) -> Any:
        failures: dict[str, Any] = {}
        if not all(_TAG_VALUE.fullmatch(value) for value in parameters["Tags"].values()):
            raise Refusal("InvalidParameterException", "a tag has a character that may not be")
        for arn in parameters["ResourceARNList"]:
            if f"tag {arn}" in self.refuses:
                failures[arn] = {
                    "StatusCode": 400,
                    "ErrorCode": "InvalidParameterException",
                    "ErrorMessage": "not allowed",
                }
            else:
                self.tags.setdefault(arn, {}).update(parameters["Tags"])
        return {"FailedResourcesMap": failures}

    def add_running_app(
        self, domain: str, app_type: str, *, space: str = "", user: str = "", created: datetime
    ) -> str:
        """Create an app with the time at which it was made; return its ARN."""
        arn = self.add_app(domain, app_type, space=space, user=user)
        self._apps[domain, space, user, app_type, "default"].created = created
        return arn

    def _ListApps(self, parameters: Mapping[str, Any]) -> Any:
        start = int(parameters.get("NextToken", "0"))
        listed = sorted(self._apps.items())
        end = start + min(self.page_size, parameters.get("MaxResults", 10))
        answer: dict[str, Any] = {"Apps": []}
        for (domain, space, user, app_type, name), thing in listed[start:end]:
            app: dict[str, Any] = {
                "DomainId": domain,
                "AppType": app_type,
                "AppName": name,
                "Status": thing.status,
                "CreationTime": thing.created,
                "ResourceSpec": {"InstanceType": "ml.t3.medium"},
            }
            app |= {"SpaceName": space} if space else {"UserProfileName": user}
            answer["Apps"].append(app)
        if end < len(listed):
            answer["NextToken"] = str(end)
        return answer


__all__ = ["ACCOUNT", "REGION", "FleetStandIn"]
