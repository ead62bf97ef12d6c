"""The clients of AWS of one region, and every item of a list that comes in pages."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from ..errors import IdleCullerError

CONNECT_SECONDS, READ_SECONDS, TRIES = 5.0, 30.0, 5


class BadAnswer(IdleCullerError):
    """AWS answered with 200 and without what must be in the answer: cut short, or a proxy's."""


class Clients:
    """The clients of one region, each made when it is first used, with standard retries.

    ``region`` None: the one of the environment or the configuration. ``session`` is boto3's; None:
    one of its own. An answer that throttles is tried five times, with growing pauses.
    """

    def __init__(self, region: str | None = None, session: Any = None) -> None:
        self._region = region
        self._given = session

    @cached_property
    def session(self) -> Any:
        """The session of boto3."""
        import boto3

        return self._given or boto3.session.Session()

    @property
    def region(self) -> str:
        """The region that is spoken to; empty where none is known."""
        return self._region or self.session.region_name or ""

    @cached_property
    def sagemaker(self) -> Any:
        """SageMaker's control plane."""
        return self._client("sagemaker")

    @cached_property
    def cloudwatch(self) -> Any:
        """CloudWatch, for metrics."""
        return self._client("cloudwatch")

    def sns_of(self, topic_arn: str) -> Any:
        """Return SNS in the region of a topic, which need not be that of what is looked at."""
        return self._client("sns", topic_arn.split(":")[3])

    @cached_property
    def tagging(self) -> Any:
        """The Resource Groups Tagging API: tags of many resources in one call."""
        return self._client("resourcegroupstaggingapi")

    @cached_property
    def autoscaling(self) -> Any:
        """Application Auto Scaling."""
        return self._client("application-autoscaling")

    @cached_property
    def s3(self) -> Any:
        """S3, for what is saved."""
        return self._client("s3")

    def _client(self, service: str, region: str | None = None) -> Any:
        from botocore.config import Config

        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": TRIES},
        )
        return self.session.client(service, region_name=region or self._region, config=config)


def pages(
    client: Any, operation: str, key: str, **parameters: Any
) -> Iterator[list[dict[str, Any]]]:
    """Yield the items of a list, page by page: ``pages(sagemaker, "list_apps", "Apps")``.

    Raises: BadAnswer where a page lacks its key: that is not an empty list.
    """
    for page in client.get_paginator(operation).paginate(**parameters):
        if key not in page:
            message = f"{operation} was answered without {key}: cut short, or not by AWS"
            raise BadAnswer(message)
        yield page[key]


def items(client: Any, operation: str, key: str, **parameters: Any) -> Iterator[dict[str, Any]]:
    """Yield every item of a list that comes in pages. Raises: BadAnswer, as `pages`."""
    for page in pages(client, operation, key, **parameters):
        yield from page
