"""An account on loopback with endpoints and what CloudWatch has of them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import boto3

from jupyter_idle_culler.fleet.clients import Clients
from jupyter_idle_culler.fleet.deadline import Deadline
from jupyter_idle_culler.fleet.endpoints.run import run
from jupyter_idle_culler.fleet.endpoints.scaling import INSTANCES, NAMESPACE
from jupyter_idle_culler.fleet.report import Report

from ..aws.cloudwatch import CloudWatchProxy
from ..aws.endpoints import EndpointsStandIn
from ..aws.stand_in import KEY, REGION, SECRET

HOSTS, OWN = "/aws/sagemaker/Endpoints", "AWS/SageMaker"
COMPONENTS = "/aws/sagemaker/InferenceComponents"
SERVICES = ("CLOUDWATCH", "SNS", "SQS", "APPLICATION_AUTO_SCALING", "S3")
WHOLE = range(200)
LATER = [-hours for hours in range(150)]
"""Hours that are still to come, for runs at a later time."""
TARGET = {
    "ServiceNamespace": NAMESPACE,
    "ResourceId": "endpoint/e/variant/main",
    "ScalableDimension": INSTANCES,
}
"""What autoscaling knows the endpoint e by."""


class World:
    """The stand-in of SageMaker, moto for the rest, and clients that speak to them."""

    def __init__(
        self,
        sagemaker: EndpointsStandIn,
        moto: str,
        proxy: CloudWatchProxy,
        clients: Clients | None = None,
    ) -> None:
        self.sagemaker, self.moto, self.proxy = sagemaker, moto, proxy
        self.now = sagemaker.now
        self.clients = clients or Clients(REGION)

    def put(
        self,
        namespace: str,
        metric: str,
        dimensions: Mapping[str, str],
        hours_ago: Iterable[float],
        value: float,
    ) -> None:
        """Put values of a metric into CloudWatch, so many hours ago (and some seconds).

        What is of this very second is not yet there for a run.
        """
        names = [{"Name": name, "Value": text} for name, text in dimensions.items()]
        data = [
            {
                "MetricName": metric,
                "Dimensions": names,
                "Timestamp": self.now - datetime.timedelta(hours=hours, seconds=5),
                "Value": value,
            }
            for hours in hours_ago
        ]
        for start in range(0, len(data), 500):
            self.clients.cloudwatch.put_metric_data(
                Namespace=namespace, MetricData=data[start : start + 500]
            )

    def host(
        self, endpoint: str, hours_ago: Iterable[float] = WHOLE, variant: str = "main"
    ) -> None:
        """Have a variant's instances publish."""
        named = {"EndpointName": endpoint, "VariantName": variant}
        self.put(HOSTS, "CPUUtilization", named, hours_ago, 3.5)

    def invoked(
        self, endpoint: str, hours_ago: Iterable[float], value: float = 7, variant: str = "main"
    ) -> None:
        """Have Invocations of a variant in CloudWatch."""
        named = {"EndpointName": endpoint, "VariantName": variant}
        self.put(OWN, "Invocations", named, hours_ago, value)

    def run(self, *, at: float = 0, deadline: Deadline | None = None, **event: Any) -> Report:
        """Run, ``at`` hours from now. A deletion of which no topic hears says that it is one."""
        if event.get("action") == "delete" and "topic_arn" not in event:
            event.setdefault("notify", False)
        moment = self.now + datetime.timedelta(hours=at)
        return run(event, self.clients, deadline or Deadline.never(), now=moment)

    def deleted(self) -> list[str]:
        """Return the endpoints whose deletion was asked for."""
        return [c.parameters["EndpointName"] for c in self.sagemaker.called("DeleteEndpoint")]


def environment(sagemaker: EndpointsStandIn, moto: str, proxy: CloudWatchProxy) -> dict[str, str]:
    """Return what makes boto3 speak to them."""
    return {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": REGION,
        **{f"AWS_ENDPOINT_URL_{name}": moto for name in SERVICES},
        "AWS_ENDPOINT_URL_CLOUDWATCH": proxy.url,
        "AWS_ENDPOINT_URL_SAGEMAKER": sagemaker.url,
        "AWS_ENDPOINT_URL_RESOURCE_GROUPS_TAGGING_API": sagemaker.url,
    }


def topic_with_queue() -> tuple[str, Callable[[], list[str]]]:
    """Create a topic; return its ARN and a function that takes the messages that came."""
    sns, sqs = boto3.client("sns"), boto3.client("sqs")
    topic = sns.create_topic(Name="idle")["TopicArn"]
    url = sqs.create_queue(QueueName="idle")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["QueueArn"])

    def received() -> list[str]:
        told = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"])["Message"] for message in told]

    return topic, received


def ends_after(looks: int) -> Deadline:
    """Return a deadline that is near after it was asked so often."""
    left = iter([1000.0] * looks)
    return Deadline(lambda: next(left, 0.0))
