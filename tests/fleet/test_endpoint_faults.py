"""What goes wrong while endpoints are looked at and removed: told, and never taken for idle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from jupyter_idle_culler.fleet.endpoints.restoring import restore

from ..aws.cloudwatch import quiet_hosts
from ..aws.endpoints import arn_of, variant
from ..aws.proxy import AwsProxy, FirstTries, Request
from ..aws.stand_in import REGION, Refusal
from .endpoint_world import COMPONENTS, LATER, TARGET, WHOLE, World, ends_after


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have boto3 try again at once."""
    from botocore.retries.standard import ExponentialBackoff

    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda self, context: 0.001)


def _crowd(account: World, count: int) -> list[str]:
    names = [f"e{number:03}" for number in range(count)]
    for name in names:
        account.sagemaker.add_endpoint(name)
    account.proxy.answers = quiet_hosts
    return names


def _named(found: list[dict[str, Any]]) -> list[str]:
    return [one["name"] for one in found]


def _delete(save_to: object) -> dict[str, Any]:
    return {"action": "delete", "match_all": True, "dry_run": False, "save_to": str(save_to)}


def _marked(account: World, save_to: object, name: str = "e", **more: Any) -> None:
    """Have an endpoint that is idle and marked now."""
    account.sagemaker.add_endpoint(name, tags={"team": "a"}, **more)
    account.host(name, [*WHOLE, *LATER])
    report = account.run(**_delete(save_to))
    assert not report.failed, report.failed


def _once(code: str, status: int = 400) -> Any:
    """Return a fault that befalls the first try of each request."""
    seen = []

    def fault(asked: Mapping[str, Any]) -> Refusal | None:
        if asked in seen:
            return None
        seen.append(asked)
        return Refusal(code, "Rate exceeded", status)

    return fault


def test_throttling_at_every_call_changes_nothing_but_the_time(
    account: World, proxy: AwsProxy
) -> None:
    """Mark, delete and restore, each first try of each call refused, with S3 and autoscaling."""
    account.clients.s3.create_bucket(
        Bucket="saved", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    account.clients.autoscaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=3)
    topic = boto3.client("sns").create_topic(Name="idle")["TopicArn"]
    account.sagemaker.add_endpoint("e", [variant(kind="host")], tags={"team": "a"})
    account.sagemaker.add_component("c", "e")
    account.host("e", [*WHOLE, *LATER])
    named = {"InferenceComponentName": "c"}
    account.put(COMPONENTS, "CPUUtilizationNormalized", named, [*WHOLE, *LATER], 2)
    calls = [
        name[1:] for name in dir(account.sagemaker) if name[:2] != "__" and name[1:2].isupper()
    ]
    for name in [*calls, "GetResources"]:
        account.sagemaker.faults[name] = _once("ThrottlingException")
    proxy.fault = FirstTries()
    account.proxy.fault = lambda number: "ThrottlingException" if number % 2 else ""
    event = {**_delete("s3://saved/endpoints"), "topic_arn": topic}
    first = account.run(**event)
    assert _named(first.changed) == ["e"]
    second = account.run(at=73, **event)
    assert not second.failed, second.failed
    assert [change["action"] for change in second.changed] == ["delete"]
    assert account.sagemaker.endpoints == {}
    where = second.changed[0]["saved"]
    report = restore(account.clients, where, dry_run=False, sleep=lambda seconds: None)
    assert not report.failed, report.failed
    assert account.sagemaker.tags[arn_of("endpoint", "e")] == {"team": "a"}
    assert list(account.sagemaker.components) == ["c"]
    refused = {call.operation for call in account.sagemaker.calls if call.code}
    used = {call.operation for call in account.sagemaker.calls}
    assert refused | {"GetResources"} == used
    assert {"POST", "PUT", "GET", "RegisterScalableTarget"} <= set(proxy.refused)
    assert account.proxy.calls >= 6


def test_a_page_of_the_list_that_fails_is_told_and_those_before_it_are_done(
    account: World,
) -> None:
    """The rest is neither idle nor forgotten in silence."""
    names = _crowd(account, 12)
    account.sagemaker.page = 5
    account.sagemaker.faults["ListEndpoints"] = lambda asked: (
        Refusal("AccessDeniedException", "no") if asked.get("NextToken") == "5" else None
    )
    report = account.run()
    assert _named(report.details["idle"]) == names[:5]
    assert _named(report.failed) == ["ListEndpoints"]


@pytest.mark.parametrize(
    ("operation", "told"),
    [("ListEndpoints", "ListEndpoints"), ("GetResources", REGION)],
)
def test_an_answer_without_its_list_is_an_error_not_an_empty_list(
    account: World, operation: str, told: str
) -> None:
    """As of a proxy, or cut short: nothing was looked at, and that is said."""
    _crowd(account, 2)
    account.sagemaker.faults[operation] = lambda asked: Refusal("", "", 200)
    report = account.run()
    assert _named(report.failed) == [told]
    assert "was answered without" in report.failed[0]["error"]
    assert report.details["idle"] == []


def test_metrics_that_cannot_be_read_make_their_endpoints_unknown_and_no_others(
    account: World,
) -> None:
    """One of two calls is refused: those 125 are unknown, the next are idle as they are."""
    names = _crowd(account, 130)
    account.proxy.fault = lambda number: "AccessDeniedException" if number == 1 else ""
    report = account.run(action="mark", dry_run=False)
    order = [
        call.parameters["EndpointName"] for call in account.sagemaker.called("DescribeEndpoint")
    ]
    assert _named(report.failed) == ["GetMetricData"]
    assert _named(report.details["unknown"]) == sorted(order[:125])
    assert sorted(_named(report.changed)) == sorted(order[125:])
    assert sorted(order) == names


def test_a_partial_answer_of_cloudwatch_is_no_answer(account: World) -> None:
    """What it calls partial or an internal error is unknown."""
    _crowd(account, 2)

    def partial(asked: dict[str, Any]) -> dict[str, Any]:
        told = quiet_hosts(asked)
        for result in told["MetricDataResults"]:
            result["StatusCode"] = "InternalError"
        return told

    account.proxy.answers = partial
    report = account.run()
    assert report.details["idle"] == []
    assert len(report.details["unknown"]) == 2


def test_where_components_cannot_be_listed_nothing_is_idle(account: World) -> None:
    """Whatever has traffic through a component would look idle."""
    _crowd(account, 2)
    account.sagemaker.faults["ListInferenceComponents"] = lambda asked: Refusal(
        "AccessDeniedException", "no"
    )
    report = account.run(action="mark", dry_run=False)
    assert _named(report.failed) == ["ListInferenceComponents"]
    assert report.changed == []
    assert "its inference components could not be listed" in report.skipped[0]["reason"]


def test_one_that_is_refused_among_many_is_told_and_all_others_are_done(account: World) -> None:
    """Of a hundred, one may not be tagged."""
    names = _crowd(account, 100)
    shut = arn_of("endpoint", "e042")
    account.sagemaker.faults["AddTags"] = lambda asked: (
        Refusal("AccessDeniedException", "no") if asked["ResourceArn"] == shut else None
    )
    report = account.run(action="mark", dry_run=False)
    assert _named(report.failed) == ["e042"]
    assert sorted(_named(report.changed)) == sorted(set(names) - {"e042"})


def test_an_endpoint_that_goes_meanwhile_is_no_failure(account: World) -> None:
    """Somebody deletes it between the list and the look."""
    _crowd(account, 2)

    def vanish(asked: Mapping[str, Any]) -> None:
        account.sagemaker.endpoints.pop("e001", None)

    account.sagemaker.faults["DescribeEndpoint"] = vanish
    report = account.run()
    assert not report.failed
    assert report.skipped == [{"name": "e001", "reason": "it was deleted meanwhile"}]


def test_a_removal_whose_answer_is_lost_is_a_removal(account: World, tmp_path: Path) -> None:
    """boto3 asks again and is refused: it is looked at, and it is gone."""
    _marked(account, tmp_path)
    lost: list[Any] = []

    def lose(asked: Mapping[str, Any]) -> Refusal | None:
        if lost:
            return None
        lost.append(asked)
        account.sagemaker._DeleteEndpoint(asked)
        return Refusal("InternalFailure", "An internal error occurred.", 500)

    account.sagemaker.faults["DeleteEndpoint"] = lose
    report = account.run(at=73, **_delete(tmp_path))
    assert not report.failed, report.failed
    assert [change["action"] for change in report.changed] == ["delete"]


def test_a_removal_that_is_refused_is_a_failure_and_the_next_run_tries_again(
    account: World, tmp_path: Path
) -> None:
    """As after a crash between saving and deleting: the file is the same one, with all in it."""
    _marked(account, tmp_path)
    account.sagemaker.faults["DeleteEndpoint"] = lambda asked: Refusal("AccessDenied", "no")
    report = account.run(at=73, **_delete(tmp_path))
    assert _named(report.failed) == ["e"]
    assert report.changed == []
    (saved,) = tmp_path.rglob("*.json")
    text = saved.read_text()
    del account.sagemaker.faults["DeleteEndpoint"]
    again = account.run(at=74, **_delete(tmp_path))
    assert again.changed == [{"name": "e", "action": "delete", "saved": str(saved)}]
    assert saved.read_text() == text
    assert list(tmp_path.rglob("*.json*")) == [saved]


def test_what_cannot_be_saved_is_not_deleted(account: World, tmp_path: Path) -> None:
    """A folder that is a file, a bucket that is not there, a configuration that is gone."""
    _marked(account, tmp_path)
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", "s3://is-not-there/endpoints"):
        report = account.run(at=73, **_delete(place))
        assert _named(report.failed) == ["e"], place
    del account.sagemaker.configs["e-config"]
    report = account.run(at=73, **_delete(tmp_path))
    assert not report.failed
    assert "its configuration e-config was deleted" in report.skipped[0]["reason"]
    assert account.deleted() == []


def test_autoscaling_that_cannot_be_forgotten_is_told_beside_the_removal(
    account: World, proxy: AwsProxy, tmp_path: Path
) -> None:
    """The endpoint is gone, and the report says both."""
    account.clients.autoscaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=3)
    _marked(account, tmp_path)

    def refuse(request: Request) -> tuple[int, bytes] | None:
        if request.operation != "DeregisterScalableTarget":
            return None
        return 400, b'{"__type": "AccessDeniedException", "message": "no"}'

    proxy.fault = refuse
    report = account.run(at=73, **_delete(tmp_path))
    assert [change["action"] for change in report.changed] == ["delete"]
    assert "it is deleted, but its autoscaling is not forgotten" in report.failed[0]["error"]


def test_components_that_take_long_are_deleted_first_and_the_endpoint_in_a_later_run(
    account: World, tmp_path: Path
) -> None:
    """What was saved keeps the components, although they are gone when it is saved again."""
    account.sagemaker.add_endpoint("e", [variant(kind="host")], tags={"team": "a"})
    account.sagemaker.add_component("c", "e", copies=2)
    named = {"InferenceComponentName": "c"}
    account.put(COMPONENTS, "CPUUtilizationNormalized", named, [*WHOLE, *LATER], 2)
    account.host("e", [*WHOLE, *LATER])
    account.run(**_delete(tmp_path))
    account.sagemaker.components_linger = 12
    # Time for the region's beginning, the endpoint, and to begin with the removal.
    first = account.run(at=73, deadline=ends_after(3), **_delete(tmp_path))
    assert first.remaining == ["e"]
    assert first.changed[0]["action"] == "delete inference components"
    assert account.deleted() == []
    between = account.run(at=74, deadline=ends_after(3), **_delete(tmp_path))
    assert not between.failed, between.failed
    assert len(account.sagemaker.called("DeleteInferenceComponent")) == 1
    account.sagemaker._leaving.clear()
    account.sagemaker.components.clear()
    last = account.run(at=75, **_delete(tmp_path))
    assert [change["action"] for change in last.changed] == ["delete"], last.to_json()
    (saved,) = tmp_path.rglob("*.json")
    account.sagemaker.components_linger = 0
    report = restore(account.clients, str(saved), dry_run=False, sleep=lambda seconds: None)
    assert not report.failed, report.failed
    assert account.sagemaker.components["c"]["RuntimeConfig"]["DesiredCopyCount"] == 2
    assert account.sagemaker.tags[arn_of("inference-component", "c")] == {"component": "c"}
