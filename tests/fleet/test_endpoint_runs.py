"""Which endpoints a run looks at: names, tags, regions; and what happens to those it leaves."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from jupyter_idle_culler.fleet.clients import Clients
from jupyter_idle_culler.fleet.deadline import Deadline
from jupyter_idle_culler.fleet.endpoints.run import run
from jupyter_idle_culler.fleet.endpoints.settings import read
from jupyter_idle_culler.fleet.events import EventError
from jupyter_idle_culler.fleet.handlers import endpoints_handler
from jupyter_idle_culler.fleet.order import turned
from jupyter_idle_culler.fleet.report import FleetFailed

from ..aws.cloudwatch import quiet_hosts
from ..aws.endpoints import EndpointsStandIn
from ..aws.stand_in import REGION, Refusal
from .endpoint_world import WHOLE, World, ends_after

DELETE: dict[str, Any] = {"action": "delete", "save_to": "/nowhere"}


def _named(report: Any, key: str = "idle") -> list[str]:
    return [found["name"] for found in report.details[key]]


def test_names_and_tags_select_and_a_tag_exempts(account: World) -> None:
    """All that is given must hold; what is exempt is told, and not looked at."""
    for name, tags in (
        ("dev-a", {"team": "a"}),
        ("dev-b", {"team": "b"}),
        ("prod-a", {"team": "a"}),
        ("dev-held", {"team": "a", "idle-culler:exempt": "until June"}),
    ):
        account.sagemaker.add_endpoint(name, tags=tags)
        account.host(name)
    assert _named(account.run()) == ["dev-a", "dev-b", "prod-a"]
    assert _named(account.run(name_contains="dev-")) == ["dev-a", "dev-b"]
    assert _named(account.run(name_pattern="*-a")) == ["dev-a", "prod-a"]
    report = account.run(name_contains="dev-", tags={"team": "a"})
    assert _named(report) == ["dev-a"]
    assert report.matched == 2
    assert report.skipped == [{"name": "dev-held", "reason": "its tags exempt it"}]


def test_sagemaker_is_asked_for_part_of_a_name_where_it_takes_it(account: World) -> None:
    """It refuses other characters than names have; such a wish simply matches nothing."""
    account.sagemaker.add_endpoint("dev-a")
    account.run(name_contains="dev-")
    (call,) = account.sagemaker.called("ListEndpoints")
    assert call.parameters["NameContains"] == "dev-"
    assert account.run(name_contains="dev.é").matched == 0


NO_PLACES = (
    *("s3://", "s3:/saved", "S3://saved/x", "s3://My_Bucket", "s3://ab/x", "s3://a..b/x"),
    *("s3://192.168.1.1/x", "s3://saved-/x", "gs://saved/x"),
)


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({"action": "remove"}, "action"),
        ({"action": "delete", "match_all": True}, "save_to"),
        ({"action": "scale-to-zero", "name_contains": "a"}, "save_to"),
        (DELETE, "match_all"),
        ({**DELETE, "name_pattern": "*"}, "match_all"),
        ({"idle_hours": 0}, "idle_hours"),
        ({"idle_hours": 3000}, "idle_hours"),
        ({"grace_hours": -1}, "grace_hours"),
        ({"prices": {"ml.m5.large": "0.1"}}, "prices.ml.m5.large"),
        ({"prices": {"ml.m5.large": math.nan}}, "prices.ml.m5.large"),
        ({"prices": {"ml.m5.large": math.inf}}, "prices.ml.m5.large"),
        ({"prices": {"ml.m5.large": 10**400}}, "prices.ml.m5.large"),
        ({"dry_run": "false"}, "dry_run"),
        ({"idle_hour": 3}, "idle_hour"),
        ({"topic_arn": "nonsense"}, "topic_arn"),
        ({**DELETE, "match_all": True, "dry_run": False, "notify": True}, "topic_arn"),
        ({"notify": False, "topic_arn": "nonsense"}, "topic_arn"),
        ({"notify": "no"}, "notify"),
        *(({"regions": regions}, "regions") for regions in ([""], ["eu central 1"], ["*"])),
        ({"regions": ["eu-central-1", " us-east-1"]}, "regions"),
        *(({"save_to": place}, "save_to") for place in NO_PLACES),
    ],
)
def test_a_bad_event_changes_nothing_and_says_which_field(
    account: World, event: Any, field: str
) -> None:
    """Nothing is even asked of AWS."""
    with pytest.raises(EventError) as refused:
        account.run(**event)
    assert refused.value.field == field
    assert account.sagemaker.calls == []


def test_a_function_saves_in_a_bucket_not_in_a_folder_that_goes_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was deleted could not be restored; outside of Lambda a folder is one that stays."""
    event = {**DELETE, "match_all": True}
    assert read(event, {}).save_to == "/nowhere"
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "endpoints")
    with pytest.raises(EventError, match="goes with the function") as refused:
        endpoints_handler(event)
    assert refused.value.field == "save_to"
    for place in ("s3://saved", "s3://saved/", "s3://a.saved-1/endpoints/of mine"):
        assert read({**event, "save_to": place}, os.environ).save_to == place


@pytest.mark.parametrize(
    "region", ["eu-central-1", "us-gov-west-1", "cn-north-1", "us-isob-east-1", "eusc-de-east-1"]
)
def test_regions_of_every_partition_are_taken(region: str) -> None:
    """By their form alone: AWS may have some that boto3 does not know yet."""
    assert read({"regions": [region, region]}, {}).regions == (region,)


def test_what_the_event_leaves_out_comes_from_the_environment(
    account: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the function can be deployed with its defaults, and asked for something else by hand."""
    for name in ("dev-a", "prod-a"):
        account.sagemaker.add_endpoint(name)
        account.host(name)
    monkeypatch.setenv("IDLE_CULLER_NAME_CONTAINS", "dev-")
    assert [one["name"] for one in endpoints_handler({})["idle"]] == ["dev-a"]
    asked = endpoints_handler({"name_contains": "prod-"})
    assert [one["name"] for one in asked["idle"]] == ["prod-a"]
    assert asked["dry_run"] is True


def test_the_handler_finishes_and_then_fails(account: World) -> None:
    """Lambda shows the failure; the report of it all is with the error."""
    for name in ("a", "b", "c"):
        account.sagemaker.add_endpoint(name)
        account.host(name)
    account.sagemaker.faults["DescribeEndpoint"] = lambda asked: (
        Refusal("AccessDeniedException", "no") if asked["EndpointName"] == "b" else None
    )
    with pytest.raises(FleetFailed, match="1 failed") as failed:
        endpoints_handler({})
    assert _named(failed.value.report) == ["a", "c"]
    assert [failure["name"] for failure in failed.value.report.failed] == ["b"]


class _Regional(Clients):
    """Clients that find the stand-in of their own region."""

    urls: dict[str, str] = {}  # noqa: RUF012 - set once by a test

    def _client(self, service: str, region: str | None = None) -> Any:
        if service not in ("sagemaker", "resourcegroupstaggingapi"):
            return super()._client(service, region)
        url = self.urls[self.region]
        return self.session.client(service, region_name=self.region, endpoint_url=url)


def test_several_regions_are_one_report(account: World) -> None:
    """Each says where it is; a region that cannot be read is told, and the others are done."""
    account.sagemaker.add_endpoint("here")
    account.host("here")
    other, shut = EndpointsStandIn(), EndpointsStandIn()
    with other, shut:
        other.add_endpoint("there")
        shut.faults["GetResources"] = lambda asked: Refusal("AccessDeniedException", "no")
        _Regional.urls = {REGION: account.sagemaker.url, "us-east-1": other.url}
        _Regional.urls["us-west-2"] = shut.url
        away = _Regional("us-east-1")
        World(other, account.moto, account.proxy, away).host("there")
        regions = [REGION, "us-east-1", "us-west-2"]
        report = run({"regions": regions}, _Regional(REGION), Deadline.never(), now=account.now)
    found = report.details["idle"]
    assert [(f["region"], f["name"]) for f in found] == [(REGION, "here"), ("us-east-1", "there")]
    assert found[1]["console"].startswith("https://us-east-1.console.aws.amazon.com/")
    assert [failure["name"] for failure in report.failed] == ["us-west-2"]


def test_a_run_that_is_cut_short_reports_the_rest_and_the_next_goes_on_there(
    account: World,
) -> None:
    """With `after` of its report exactly there: between the two of them all are done."""
    names = [f"e{number:02}" for number in range(12)]
    for name in names:
        account.sagemaker.add_endpoint(name)
        account.host(name)
    first = account.run(deadline=ends_after(8))
    done = _named(first)
    assert len(done) == 7  # one look is at the region's beginning
    assert first.matched == 12
    assert sorted([*done, *first.remaining]) == names
    second = account.run(after=first.details["after"], deadline=ends_after(6))
    assert sorted(_named(second)) == sorted(first.remaining)
    whole = account.run(after=second.details["after"])
    assert _named(whole) == names
    assert whole.details["after"] == {}


def test_what_was_looked_at_but_not_dealt_with_is_in_the_rest(account: World) -> None:
    """Time may end between the look and the act: nothing new is begun."""
    for name in ("a", "b", "c"):
        account.sagemaker.add_endpoint(name)
        account.host(name)
    # A look at the beginning, one for each endpoint, and one more before the first is marked.
    report = account.run(action="mark", dry_run=False, deadline=ends_after(5))
    assert len(report.changed) == 1
    assert len(report.remaining) == 2
    marked = {call.parameters["ResourceArn"] for call in account.sagemaker.called("AddTags")}
    assert len(marked) == 1
    rest = account.run(action="mark", dry_run=False, after=report.details["after"])
    assert {change["name"] for change in [*report.changed, *rest.changed]} == {"a", "b", "c"}


def test_no_time_at_all_is_said_for_each_region(account: World) -> None:
    """Nothing is asked, and nothing is lost without a word."""
    report = account.run(deadline=ends_after(0))
    assert report.remaining == [f"{REGION}: all endpoints"]
    assert account.sagemaker.calls == []


def _weekdays(first: datetime) -> Iterator[datetime]:
    day = first
    while True:
        if day.weekday() < 5:
            yield day
        day += timedelta(days=1)


def _every(first: datetime, hours: int) -> Iterator[datetime]:
    moment = first
    while True:
        yield moment
        moment += timedelta(hours=hours)


@pytest.mark.parametrize("hours", [1, 2, 3, 4, 6, 8, 12, 24, 48, 72, 168, 0])
@pytest.mark.parametrize("share", [0.5, 0.34, 0.2, 0.1, 0.05])
def test_runs_that_know_nothing_of_each_other_reach_everything_in_turn(
    share: float, hours: int
) -> None:
    """However far each of them comes, and whenever they begin. 0: at seven on weekdays."""
    count = 400
    for day in range(7):
        first = datetime(2026, 11, 23 + day, 7, 0, 30, tzinfo=timezone.utc)
        times = _every(first, hours) if hours else _weekdays(first)
        left = set(range(count))
        runs = 0
        while left:
            left -= set(turned(range(count), next(times))[: int(count * share)])
            runs += 1
        assert runs <= 3 / share


def test_each_run_goes_over_everything_once() -> None:
    """Wherever it begins."""
    for hour in range(200):
        now = datetime(2026, 11, 24, tzinfo=timezone.utc) + timedelta(hours=hour)
        for count in (0, 1, 2, 7):
            assert sorted(turned(range(count), now)) == list(range(count))


def test_whole_windows_do_not_matter_to_the_order_of_the_report(account: World) -> None:
    """The lists are by name, wherever the run began."""
    for name in ("c", "a", "b"):
        account.sagemaker.add_endpoint(name)
        account.host(name, [*WHOLE, *(-hour for hour in range(20))])
    for hour in range(6):
        assert _named(account.run(at=hour)) == ["a", "b", "c"]


def test_metrics_are_asked_for_five_hundred_a_call(account: World) -> None:
    """Whomever they belong to; an account of many costs as few calls as can be."""
    for number in range(150):
        account.sagemaker.add_endpoint(f"e{number:03}")
    account.proxy.answers = quiet_hosts
    report = account.run()
    assert len(report.details["idle"]) == 150
    # Four metrics of each, and once more the one by which it is known to be idle.
    assert (account.proxy.queries, account.proxy.calls) == (600 + 150, 2 + 1)
    assert len(account.sagemaker.called("ListEndpoints")) == 2
    assert len(account.sagemaker.called("GetResources")) == 1
    assert len(account.sagemaker.calls) == 2 + 1 + 1 + 2 * 150
