"""Which endpoints are idle: kinds and metrics, with what CloudWatch says of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_idle_culler.fleet.endpoints.idleness import judged
from jupyter_idle_culler.fleet.endpoints.metrics import Role, queries_of
from jupyter_idle_culler.fleet.endpoints.model import Endpoint, Kind, Part, Verdict
from jupyter_idle_culler.fleet.endpoints.reading import described
from jupyter_idle_culler.fleet.endpoints.removal import by_part, look
from jupyter_idle_culler.fleet.endpoints.window import MOST_PERIODS, Window

from ..aws.endpoints import variant
from .endpoint_world import COMPONENTS, OWN, WHOLE, World

OLD = range(30, 60)
Build = Callable[[World], None]


def _add(account: World, kind: str) -> None:
    if kind == "real-time":
        account.sagemaker.add_endpoint("e")
    elif kind == "shadow":
        account.sagemaker.add_endpoint("e", shadow=[variant("dark")])
        account.host("e")
    elif kind == "serverless":
        account.sagemaker.add_endpoint("e", [variant(kind="serverless")])
    elif kind == "provisioned":
        account.sagemaker.add_endpoint("e", [variant(kind="serverless", provisioned=2)])
    elif kind == "asynchronous":
        account.sagemaker.add_endpoint("e", asynchronous=True)
    elif kind == "component":
        account.sagemaker.add_endpoint("e", [variant(kind="host")])
        account.sagemaker.add_component("c", "e")
        account.host("e")


MAIN, DARK = {"VariantName": "main"}, {"VariantName": "dark"}
_OF = {
    "real-time": ("Invocations", {"EndpointName": "e", **MAIN}, "CPUUtilization"),
    "shadow": ("Invocations", {"EndpointName": "e", **DARK}, "CPUUtilization"),
    "serverless": ("Invocations", {"EndpointName": "e", **MAIN}, ""),
    "provisioned": (
        "Invocations",
        {"EndpointName": "e", **MAIN},
        "ServerlessProvisionedConcurrencyUtilization",
    ),
    "asynchronous": ("InvocationsProcessed", {"EndpointName": "e", **MAIN}, "CPUUtilization"),
    "component": ("Invocations", {"InferenceComponentName": "c"}, "CPUUtilizationNormalized"),
}
_SPACES = {
    "CPUUtilization": "/aws/sagemaker/Endpoints",
    "CPUUtilizationNormalized": COMPONENTS,
    "ServerlessProvisionedConcurrencyUtilization": OWN,
}


def _publish(account: World, kind: str, metrics: str) -> None:
    activity, named, proof = _OF[kind]
    hosted = metrics.endswith("host") or metrics in ("present", "partial")
    if proof and hosted:
        value = 0.0 if kind == "provisioned" else 4.0
        account.put(
            _SPACES[proof], proof, named, range(12) if metrics == "partial" else WHOLE, value
        )
    if metrics == "present":
        account.put(OWN, activity, named, [3], 5)
    elif metrics.startswith("zero"):
        account.put(OWN, activity, named, WHOLE, 0)
    elif metrics == "before":
        account.put(OWN, activity, named, OLD, 5)
    told = account.sagemaker.endpoints["e"]
    if metrics == "young-host":
        told["CreationTime"] = account.now - timedelta(hours=23)
    elif metrics == "renewed-host":
        account.sagemaker.configs["e-config"]["CreationTime"] = account.now - timedelta(hours=2)
    elif metrics in ("updating-host", "creating-host"):
        told["EndpointStatus"] = metrics.partition("-")[0].capitalize()


METRICS = (
    *("present", "zero-host", "zero", "absent-host", "absent", "partial", "before"),
    *("young-host", "renewed-host", "updating-host", "creating-host"),
)
UNPROVEN = {"absent", "partial", "before"}


def _expected(kind: str, metrics: str) -> str:
    if metrics == "present":
        return "busy"
    if metrics.partition("-")[0] in ("young", "renewed"):
        return "young"
    if metrics.partition("-")[0] in ("updating", "creating"):
        return "updating"
    if kind in ("serverless", "provisioned"):
        quiet = "idle_costs_nothing" if kind == "serverless" else "idle"
        no_proof = {"absent", "partial"} | ({"absent-host"} if kind == "serverless" else set())
        return "unknown" if metrics in no_proof else quiet
    if kind == "asynchronous" and metrics == "zero":
        return "unknown"  # nothing processed, but neither the queue nor the host is heard of
    return "unknown" if metrics in UNPROVEN else "idle"


@pytest.mark.parametrize("metrics", METRICS)
@pytest.mark.parametrize("kind", _OF)
def test_each_kind_with_each_state_of_its_metrics(account: World, kind: str, metrics: str) -> None:
    """Traffic is busy; silence is idle only where it is proven; else it is unknown."""
    _add(account, kind)
    _publish(account, kind, metrics)
    report = account.run(idle_hours=24)
    lists = {key: [f["name"] for f in report.details[key]] for key in _LISTS}
    expected = _expected(kind, metrics)
    assert lists == {key: ["e"] if key == expected else [] for key in _LISTS}
    if expected in ("busy", "young", "updating"):
        assert report.skipped[0]["reason"].startswith(f"{expected}: ")
    assert not report.failed
    # Only what is idle and costs is marked, and nothing is deleted without a grace.
    acted = account.run(action="delete", match_all=True, save_to="/nowhere", dry_run=False)
    done = [change["action"] for change in acted.changed]
    assert done == (["mark"] if expected == "idle" else [])
    assert account.deleted() == []
    assert not account.sagemaker.problems


_LISTS = ("idle", "idle_costs_nothing", "unknown")


def test_an_asynchronous_endpoint_is_idle_by_its_empty_queue(account: World) -> None:
    """The backlog is published all the time; something in it is work."""
    for name, value in (("empty", 0), ("full", 2)):
        account.sagemaker.add_endpoint(name, asynchronous=True)
        account.put(OWN, "ApproximateBacklogSize", {"EndpointName": name}, WHOLE, value)
    report = account.run()
    assert [f["name"] for f in report.details["idle"]] == ["empty"]
    assert report.skipped == [
        {"name": "full", "reason": report.skipped[0]["reason"]},
    ]
    assert "ApproximateBacklogSize" in report.skipped[0]["reason"]


def test_one_busy_variant_of_two_keeps_the_endpoint_and_the_idle_one_is_told(
    account: World,
) -> None:
    """The endpoint is not idle; its idle variant is reported with what it costs."""
    account.sagemaker.add_endpoint("e", [variant("a"), variant("b", count=3)])
    for name in ("a", "b"):
        account.host("e", variant=name)
    account.invoked("e", [2], variant="a")
    report = account.run(prices={"ml.m5.large": 0.5})
    assert report.details["idle"] == []
    (told,) = report.details["idle_variants"]
    assert (told["name"], told["part"], told["hourly_price"]) == ("e", "b", 1.5)
    assert told["instances"] == [
        {"variant": "b", "shadow": False, "type": "ml.m5.large", "count": 3}
    ]


def test_one_busy_component_of_two_keeps_the_endpoint_and_the_idle_one_is_told(
    account: World,
) -> None:
    """As with variants; the instances below them have work, and are not told of."""
    account.sagemaker.add_endpoint("e", [variant(kind="host")])
    account.host("e")
    for name in ("a", "b"):
        account.sagemaker.add_component(name, "e")
        named = {"InferenceComponentName": name}
        account.put(COMPONENTS, "CPUUtilizationNormalized", named, WHOLE, 3)
    account.put(OWN, "Invocations", {"InferenceComponentName": "a"}, [2], 5)
    report = account.run(prices={"ml.m5.large": 0.5})
    assert report.details["idle"] == []
    assert [(f["part"], f["kind"]) for f in report.details["idle_variants"]] == [
        ("b", "inference component")
    ]
    assert report.details["idle_variants"][0]["instances"] == []


def test_a_busy_shadow_keeps_its_endpoint(account: World) -> None:
    """Traffic to a shadow is traffic; the production variant is the idle one then."""
    account.sagemaker.add_endpoint("e", shadow=[variant("dark")])
    for name in ("main", "dark"):
        account.host("e", variant=name)
    account.invoked("e", [2], variant="dark")
    report = account.run()
    assert report.details["idle"] == []
    assert [f["part"] for f in report.details["idle_variants"]] == ["main"]


def test_one_unknown_variant_of_two_makes_the_endpoint_unknown(account: World) -> None:
    """The silence of one proves nothing of the other."""
    account.sagemaker.add_endpoint("e", [variant("a"), variant("b")])
    account.host("e", variant="a")
    report = account.run(action="mark", dry_run=False)
    assert [f["name"] for f in report.details["unknown"]] == ["e"]
    assert report.details["unknown"][0]["reason"].startswith("b: ")
    assert report.changed == []


def test_the_young_and_those_being_updated_are_left_alone(account: World) -> None:
    """Younger than the idle time, by the endpoint or its configuration, or in between states."""
    account.sagemaker.add_endpoint("young", age_hours=23)
    account.sagemaker.add_endpoint("updating", status="Updating")
    account.sagemaker.add_endpoint("renewed")
    account.sagemaker.add_endpoint("failed", status="Failed")
    account.sagemaker.configs["renewed-config"]["CreationTime"] = account.now - timedelta(hours=2)
    for name in ("young", "updating", "renewed"):
        account.host(name)
    report = account.run()
    assert report.details["idle"] == []
    reasons = {s["name"]: s["reason"].partition(":")[0] for s in report.skipped}
    assert reasons == {
        "young": "young",
        "updating": "updating",
        "renewed": "young",
        "failed": "unknown",
    }


def test_endpoints_at_zero_cost_nothing(account: World) -> None:
    """They are told apart from the idle ones."""
    account.sagemaker.add_endpoint("zero", asynchronous=True, counts={"main": 0})
    report = account.run(prices={"ml.m5.large": 0.5})
    assert [f["name"] for f in report.details["idle_costs_nothing"]] == ["zero"]


def test_what_is_asked_has_exactly_the_dimensions_that_aws_publishes_by(account: World) -> None:
    """AWS finds nothing by fewer dimensions, and an endpoint without its variant is no metric."""
    account.sagemaker.add_endpoint("async", asynchronous=True)
    account.sagemaker.add_endpoint("plain")
    account.sagemaker.add_endpoint("hosting", [variant(kind="host")])
    account.sagemaker.add_component("c", "hosting")
    account.run()
    queue = {"ApproximateBacklogSize", "HasBacklogWithoutCapacity"}
    for namespace, metric, dimensions in account.proxy.metrics():
        if namespace == COMPONENTS or "InferenceComponentName" in dimensions:
            assert dimensions == {"InferenceComponentName": "c"}
        elif metric in queue:
            assert dimensions == {"EndpointName": "async"}
        else:
            assert dimensions.keys() == {"EndpointName", "VariantName"}, metric
    assert len(account.proxy.metrics()) == 9 + 4 + 4 + 5
    asked = {(n, m) for n, m, d in account.proxy.metrics() if d.get("EndpointName") == "async"}
    assert (OWN, "Invocations") not in asked


def test_idle_since_is_the_last_traffic_and_peaks_are_those_of_the_idle_time(
    account: World,
) -> None:
    """Two days ago is known, since the look goes back further than the idle time."""
    account.sagemaker.add_endpoint("e")
    account.host("e")
    account.invoked("e", [48])
    (told,) = account.run().details["idle"]
    ago = account.now - datetime.fromisoformat(told["idle_since"].replace("Z", "+00:00"))
    assert timedelta(hours=46) <= ago <= timedelta(hours=48)
    assert told["peak_cpu_percent"] == 3.5
    assert not told["idle_since_at_least"]


@given(idle=st.floats(1, 2160), grace=st.floats(0, 2160), seconds=st.integers(0, 10**9))
def test_a_window_covers_what_is_asked_and_stays_in_one_answer(
    idle: float, grace: float, seconds: int
) -> None:
    """It reaches back over idle time and grace, in at most 190 periods."""
    now = datetime.fromtimestamp(seconds, timezone.utc)
    window = Window.of(now, timedelta(hours=idle), timedelta(hours=grace))
    assert window.start <= now - timedelta(hours=idle + grace)
    assert (now - window.start).total_seconds() <= MOST_PERIODS * window.period_seconds
    proving = window.proving(window.since)
    assert all(period + 600 <= now.timestamp() for period in proving)
    assert proving[-1] + 600 + window.period_seconds > now.timestamp()


@pytest.mark.parametrize(("minute", "begun"), [(9, False), (11, True), (55, True)])
def test_what_stopped_at_the_full_hour_proves_nothing_of_the_hour_since(
    minute: int, begun: bool
) -> None:
    """The hour that runs has to have metrics, once they can be there."""
    now = datetime(2026, 11, 24, 12, minute, tzinfo=timezone.utc)
    window = Window.of(now, timedelta(hours=24), timedelta(hours=72))
    assert (window.period_of(now) in window.proving(window.since)) == begun


@pytest.mark.parametrize("idle_hours", [2, 24, 720])
@pytest.mark.parametrize("kind", ["real-time", "shadow", "provisioned", "component", "queue"])
def test_metrics_that_stopped_an_hour_ago_make_it_unknown(
    account: World, kind: str, idle_hours: float
) -> None:
    """However long the periods are: one of a day has what came before."""
    if kind == "queue":
        account.sagemaker.add_endpoint("e", asynchronous=True)
        space, metric, named = OWN, "ApproximateBacklogSize", {"EndpointName": "e"}
    else:
        _add(account, kind)
        _, named, metric = _OF[kind]
        space = _SPACES[metric]
    hours = [quarter / 4 for quarter in range(4, 12)] + [*range(3, 800)]
    account.put(space, metric, named, hours, 0)
    if kind in ("shadow", "component"):
        account.host("e", [quarter / 4 for quarter in range(12)] + [*range(3, 800)])
    event: dict[str, Any] = {"idle_hours": idle_hours, "action": "mark", "dry_run": False}
    report = account.run(**event)
    assert (report.details["idle"], report.changed) == ([], [])
    (told,) = report.details["unknown"]
    assert "no metrics since" in told["reason"] or "was published in" in told["reason"]
    account.put(space, metric, named, [0, 0.25, 0.5, 0.75], 0)
    again = account.run(**event)
    assert [change["action"] for change in again.changed] == ["mark"], again.to_json()


def test_the_last_look_asks_whether_metrics_still_come(account: World) -> None:
    """As the first one does: what stopped meanwhile is not removed."""
    account.sagemaker.add_endpoint("e")
    window = Window.of(account.now, timedelta(hours=240), timedelta(hours=72))
    sagemaker = account.clients.sagemaker
    endpoint = described(sagemaker, account.clients.region, "e", {}, [])
    account.host("e", [quarter / 4 for quarter in range(4, 1400)])
    assert look(account.clients, endpoint, window, window.since).verdict is Verdict.UNKNOWN
    account.host("e", [0, 0.25])
    assert look(account.clients, endpoint, window, window.since).verdict is Verdict.IDLE


def test_what_costs_nothing_is_not_proven_to_be_idle_by_metrics_that_stopped(
    account: World,
) -> None:
    """It is told all the same, and not removed where that was asked for."""
    account.sagemaker.add_endpoint("zero", asynchronous=True, counts={"main": 0})
    named = {"EndpointName": "zero"}
    account.put(OWN, "ApproximateBacklogSize", named, [n / 4 for n in range(4, 800)], 0)
    event: dict[str, Any] = {"action": "mark", "include_free": True}
    stopped = account.run(**event)
    assert [f["name"] for f in stopped.details["idle_costs_nothing"]] == ["zero"]
    assert stopped.changed == []
    account.put(OWN, "ApproximateBacklogSize", named, [n / 4 for n in range(4)], 0)
    assert [change["action"] for change in account.run(**event).changed] == ["mark"]


_NOW = datetime(2026, 11, 24, 12, 30, tzinfo=timezone.utc)
_WINDOW = Window.of(_NOW, timedelta(hours=24), timedelta(hours=72))
_FIRST = _WINDOW.period_of(_WINDOW.since)
_VALUES = st.dictionaries(
    st.integers(0, 24).map(lambda n: _FIRST + n * 3600), st.sampled_from([0.0, 1.0]), max_size=25
)


@given(kind=st.sampled_from(list(Kind)), data=st.data())
def test_no_busy_part_is_idle_and_no_unproven_one_either(kind: Kind, data: st.DataObject) -> None:
    """Whatever was published: traffic is busy, a missing answer or a gap is never idle."""
    part = Part("p", kind, instances=1, proof="p")
    endpoint = Endpoint("e", "arn", "r", "InService", _NOW, _NOW, "c", (part,))
    answers = [
        data.draw(st.none() | _VALUES)
        if q.role in (Role.ACTIVITY, Role.BOTH)
        else data.draw(_VALUES)
        for _, q in queries_of(endpoint)
    ]
    judgement = judged(endpoint, by_part(endpoint, answers), _WINDOW, _WINDOW.since)
    acts = [
        a
        for (_, q), a in zip(queries_of(endpoint), answers, strict=True)
        if q.role in (Role.ACTIVITY, Role.BOTH)
    ]
    if any(value for answer in acts if answer for value in answer.values()):
        assert judgement.verdict is Verdict.BUSY
    elif None in acts:
        assert judgement.verdict is Verdict.UNKNOWN
    elif judgement.verdict in (Verdict.IDLE, Verdict.FREE):
        full = set(_WINDOW.proving(_WINDOW.since))
        covered = [a for a in answers if a is not None and full <= a.keys()]
        assert covered or kind is Kind.SERVERLESS
