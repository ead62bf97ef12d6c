"""The notebook instances that are meant, with their tags: a hundred at a time, never all at once.

Tags come from ``tag:GetResources``, a hundred instances a call; one call an instance
(``ListTags``) would be throttled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from .clients import BadAnswer, Clients, items
from .due import Instance
from .selection import Selection
from .signals import of_this_life

AT_ONCE = 100
"""What a page of the list holds, and what one call takes to read tags: the most that AWS allows."""
WRITTEN_AT_ONCE = 20
_OF_NAMES = re.compile(r"[A-Za-z0-9-]{1,63}")
Progress = Callable[[str], None]
Failed = Callable[[str, object], None]


def matching(
    clients: Clients, selection: Selection, failed: Failed, progress: Progress | None = None
) -> Iterator[list[Instance]]:
    """Yield what the selection matches, in lists of at most a hundred.

    A page or tags that cannot be read are given to ``failed``: what came before is yielded all the
    same. What has no readable tags is not: it may be exempt.
    """
    for batch in _batches(_listed(clients, selection, failed, progress)):
        try:
            tags = read_tags(clients, [each["NotebookInstanceArn"] for each in batch])
        except Exception as error:  # boto3's, ours: each is told of, and the next batch is tried
            names = f"{batch[0]['NotebookInstanceName']} … {batch[-1]['NotebookInstanceName']}"
            failed(f"the tags of {len(batch)} instances ({names})", error)
            continue
        found = [_instance(each, tags) for each in batch]
        yield [each for each in found if selection.matches(each.name, each.tags)]


def with_tags_of_now(clients: Clients, instances: list[Instance]) -> list[Instance]:
    """Return at most a hundred instances with what their tags say now. Raises: as `read_tags`."""
    tags = read_tags(clients, [each.arn for each in instances])
    return [
        replace(each, tags=of_this_life(tags.get(each.arn.lower(), {}), each.modified))
        for each in instances
    ]


def _listed(
    clients: Clients, selection: Selection, failed: Failed, progress: Progress | None
) -> Iterator[dict[str, Any]]:
    # SageMaker refuses a part that no name can have; the selection matches nothing by it then.
    part = selection.name_contains
    parameters = {"NameContains": part} if _OF_NAMES.fullmatch(part) else {}
    seen = 0
    try:
        for each in items(
            clients.sagemaker,
            "list_notebook_instances",
            "NotebookInstances",
            SortBy="Name",  # by anything that moves, a page could miss one
            SortOrder="Ascending",
            MaxResults=AT_ONCE,
            **parameters,
        ):
            seen += 1
            if progress is not None and seen % AT_ONCE == 0:
                progress(f"{seen} notebook instances")
            if selection.matches_name(each["NotebookInstanceName"]):
                yield each
    except Exception as error:  # as above
        failed(f"the list of notebook instances after {seen}", error)


def _batches(listed: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for each in listed:
        batch.append(each)
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _instance(listed: dict[str, Any], tags: dict[str, dict[str, str]]) -> Instance:
    arn, modified = listed["NotebookInstanceArn"], listed["LastModifiedTime"]
    return Instance(
        listed["NotebookInstanceName"],
        arn,
        listed["NotebookInstanceStatus"],
        modified,
        listed.get("InstanceType", ""),
        of_this_life(tags.get(arn.lower(), {}), modified),
        listed.get("NotebookInstanceLifecycleConfigName", ""),
    )


def read_tags(clients: Clients, arns: list[str]) -> dict[str, dict[str, str]]:
    """Return the tags by ARN (in lower case) of at most a hundred resources; none: not there.

    Raises: botocore's errors, BadAnswer.
    """
    found: dict[str, dict[str, str]] = {}
    token = ""
    while True:
        more = {"PaginationToken": token} if token else {}
        answer = clients.tagging.get_resources(ResourceARNList=arns, **more)
        if "ResourceTagMappingList" not in answer:
            message = "get_resources was answered without ResourceTagMappingList"
            raise BadAnswer(message)
        for each in answer["ResourceTagMappingList"]:
            found[each["ResourceARN"].lower()] = {t["Key"]: t["Value"] for t in each["Tags"]}
        token = answer.get("PaginationToken", "")
        if not token:
            return found


def write_tag(clients: Clients, arns: list[str], key: str, value: str) -> dict[str, str]:
    """Write one tag on many resources; return the ARNs that refused it, each with the reason."""
    refused: dict[str, str] = {}
    for start in range(0, len(arns), WRITTEN_AT_ONCE):
        part = arns[start : start + WRITTEN_AT_ONCE]
        try:
            answer = clients.tagging.tag_resources(ResourceARNList=part, Tags={key: value})
            failures = answer.get("FailedResourcesMap", {})
            refused |= {
                arn: f"{failure.get('ErrorCode')}: {failure.get('ErrorMessage', '')}"
                for arn, failure in failures.items()
            }
        except Exception as error:  # boto3's: the others are tried
            refused |= dict.fromkeys(part, str(error))
    return refused
