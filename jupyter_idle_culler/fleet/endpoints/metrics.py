"""What CloudWatch is asked of each part of an endpoint, and its answers, 500 queries a call.

Names, namespaces and dimensions are those of the SageMaker developer guide (monitoring-cloudwatch,
async-inference-monitor, serverless-endpoints-monitoring). Dimensions must be exact: Invocations of
an endpoint without its variant is no metric, and the answer is empty, not zero.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from ..clients import BadAnswer
from .model import Endpoint, Kind, Part
from .window import Window

MOST_QUERIES = 500
INVOCATIONS = "AWS/SageMaker"
HOSTS = "/aws/sagemaker/Endpoints"
COMPONENTS = "/aws/sagemaker/InferenceComponents"

Answer = Mapping[int, float]
"""Values by the period's first second."""
Subject = TypeVar("Subject")


class Role(str, Enum):
    """What a metric is asked for."""

    ACTIVITY = "activity"
    PROOF = "proof"
    BOTH = "activity and proof"
    CPU = "cpu"
    CPU_PROOF = "cpu and proof"
    MEMORY = "memory"
    GPU = "gpu"


_PEAKS = (Role.CPU, Role.MEMORY, Role.GPU)


@dataclass(frozen=True)
class Query:
    """One metric with its exact dimensions."""

    role: Role
    namespace: str
    metric: str
    dimensions: tuple[tuple[str, str], ...]
    statistic: str

    def to_aws(self, number: int, window: Window) -> dict[str, Any]:
        """Return it as an entry of GetMetricData, with an id by its number."""
        period = window.peak_seconds if self.role in _PEAKS else window.period_seconds
        dimensions = [{"Name": name, "Value": value} for name, value in self.dimensions]
        metric = {
            "Namespace": self.namespace,
            "MetricName": self.metric,
            "Dimensions": dimensions,
        }
        stat = {"Metric": metric, "Period": period, "Stat": self.statistic}
        return {"Id": f"q{number}", "MetricStat": stat, "ReturnData": True}


def queries_of(endpoint: Endpoint) -> list[tuple[Part, Query]]:
    """Return all that has to be asked of an endpoint."""
    return [(part, query) for part in endpoint.parts for query in _of_part(endpoint, part)]


def _of_part(endpoint: Endpoint, part: Part) -> Iterator[Query]:
    variant = (("EndpointName", endpoint.name), ("VariantName", part.name))
    if part.kind is Kind.COMPONENT:
        yield from _of_component(part)
        return
    if part.kind is Kind.ASYNCHRONOUS:
        yield from _of_queue(endpoint.name, variant)
    else:
        yield Query(Role.ACTIVITY, INVOCATIONS, "Invocations", variant, "Sum")
    if part.kind is Kind.SERVERLESS:
        if part.provisioned:
            name = "ServerlessProvisionedConcurrencyUtilization"
            yield Query(Role.BOTH, INVOCATIONS, name, variant, "Maximum")
        yield Query(Role.MEMORY, HOSTS, "MemoryUtilization", variant, "Maximum")
        return
    yield Query(Role.CPU_PROOF, HOSTS, "CPUUtilization", variant, "Maximum")
    yield Query(Role.MEMORY, HOSTS, "MemoryUtilization", variant, "Maximum")
    yield Query(Role.GPU, HOSTS, "GPUUtilization", variant, "Maximum")


def _of_queue(endpoint: str, variant: tuple[tuple[str, str], ...]) -> Iterator[Query]:
    whole = (("EndpointName", endpoint),)
    yield Query(Role.BOTH, INVOCATIONS, "ApproximateBacklogSize", whole, "Maximum")
    yield Query(Role.ACTIVITY, INVOCATIONS, "HasBacklogWithoutCapacity", whole, "Maximum")
    # The developer guide spells it with three s; one of the two never has values.
    yield Query(Role.ACTIVITY, INVOCATIONS, "InvocationsProcessed", variant, "Sum")
    yield Query(Role.ACTIVITY, INVOCATIONS, "InvocationsProcesssed", variant, "Sum")
    yield Query(Role.ACTIVITY, INVOCATIONS, "InvocationFailures", variant, "Sum")
    yield Query(Role.ACTIVITY, INVOCATIONS, "TotalProcessingTime", variant, "SampleCount")


def _of_component(part: Part) -> Iterator[Query]:
    own = (("InferenceComponentName", part.name),)
    proof = (("InferenceComponentName", part.proof or part.name),)
    yield Query(Role.ACTIVITY, INVOCATIONS, "Invocations", own, "Sum")
    yield Query(Role.ACTIVITY, INVOCATIONS, "NoCapacityInvocationFailures", own, "Sum")
    yield Query(Role.CPU_PROOF, COMPONENTS, "CPUUtilizationNormalized", proof, "Maximum")
    yield Query(Role.MEMORY, COMPONENTS, "MemoryUtilizationNormalized", proof, "Maximum")
    yield Query(Role.GPU, COMPONENTS, "GPUUtilizationNormalized", proof, "Maximum")


@dataclass
class _Waiting:
    subject: Any
    count: int
    answers: list[Answer | None] = field(default_factory=list)


def answered(
    cloudwatch: Any,
    asked: Iterable[tuple[Subject, Sequence[Query]]],
    window: Window,
    failed: Callable[[Exception], None],
) -> Iterator[tuple[Subject, list[Answer | None]]]:
    """Yield each subject with the answers to its queries, None where there is none, in order.

    Each call but the last has 500 queries, whomever they belong to. A call that fails is told to
    ``failed``, and the others go on.
    """
    waiting: deque[_Waiting] = deque()
    batch: list[tuple[_Waiting, Query]] = []
    for subject, queries in asked:
        entry = _Waiting(subject, len(queries))
        waiting.append(entry)
        for query in queries:
            batch.append((entry, query))
            if len(batch) == MOST_QUERIES:
                _fill(cloudwatch, batch, window, failed)
                batch = []
        while waiting and len(waiting[0].answers) == waiting[0].count:
            done = waiting.popleft()
            yield done.subject, done.answers
    if batch:
        _fill(cloudwatch, batch, window, failed)
    for entry in waiting:
        yield entry.subject, entry.answers


def _fill(
    cloudwatch: Any,
    batch: Sequence[tuple[_Waiting, Query]],
    window: Window,
    failed: Callable[[Exception], None],
) -> None:
    answers: list[Answer | None]
    try:
        answers = ask(cloudwatch, [query for _, query in batch], window)
    except (
        Exception
    ) as error:  # whatever it is: what is not known is not idle, and the rest goes on
        failed(error)
        answers = [None] * len(batch)
    for (entry, _), answer in zip(batch, answers, strict=True):
        entry.answers.append(answer)


def ask(cloudwatch: Any, queries: Sequence[Query], window: Window) -> list[Answer | None]:
    """Ask at most 500 queries; None for those that CloudWatch did not answer in full.

    Raises: botocore's errors, BadAnswer.
    """
    values: list[dict[int, float]] = [{} for _ in queries]
    complete = [False] * len(queries)
    parameters: dict[str, Any] = {
        "MetricDataQueries": [query.to_aws(n, window) for n, query in enumerate(queries)],
        "StartTime": window.start,
        "EndTime": window.now,
        "ScanBy": "TimestampAscending",
    }
    while True:
        told = cloudwatch.get_metric_data(**parameters)
        if "MetricDataResults" not in told:
            message = "GetMetricData was answered without MetricDataResults"
            raise BadAnswer(message)
        for result in told["MetricDataResults"]:
            number = int(result["Id"][1:])
            # A result that goes on in the next page is partial until then.
            complete[number] = result.get("StatusCode") == "Complete"
            times, found = result.get("Timestamps", ()), result.get("Values", ())
            for moment, value in zip(times, found, strict=True):
                period = window.period_of(moment)
                values[number][period] = max(value, values[number].get(period, value))
        if not told.get("NextToken"):
            return [v if done else None for v, done in zip(values, complete, strict=True)]
        parameters["NextToken"] = told["NextToken"]
