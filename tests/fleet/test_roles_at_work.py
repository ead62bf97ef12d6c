"""The functions under their roles: a policy decides each call before it is answered."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from jupyter_idle_culler.fleet import handlers
from jupyter_idle_culler.fleet.guardrails.roles import Place, role_policy
from jupyter_idle_culler.fleet.report import FleetFailed

from ..aws.domain_stand_in import DomainStandIn
from ..aws.fleet_stand_in import TAGGING
from ..aws.policies import decided
from ..aws.stand_in import ACCOUNT, REGION, Call
from .budget_letters import letter
from .test_budget import signed
from .test_guardrails import needs_evaluator

pytestmark = needs_evaluator
Question = tuple[str, str, Mapping[str, Any]]


def questions(operation: str, parameters: Mapping[str, Any], tagging: bool) -> list[Question]:
    """Return what IAM is asked at a request: actions, each with its resource and context."""
    if tagging:
        asked: list[Question] = [(f"tag:{operation}", "*", {})]
        keys = {"aws:TagKeys": sorted(parameters.get("Tags", ()))}
        if operation == "TagResources":
            asked += [("sagemaker:AddTags", arn, keys) for arn in parameters["ResourceARNList"]]
        return asked
    return [(f"sagemaker:{operation}", resource_of(operation, parameters), {})]


def resource_of(operation: str, parameters: Mapping[str, Any]) -> str:
    """Return the ARN that a request is about; a list is about everything."""
    owner = parameters.get("SpaceName") or parameters.get("UserProfileName")
    paths = {
        "StartNotebookInstance": "notebook-instance/{NotebookInstanceName}",
        "StopNotebookInstance": "notebook-instance/{NotebookInstanceName}",
        "DeleteApp": "app/{DomainId}/{owner}/{AppType}/{AppName}",
        "DescribeDomain": "domain/{DomainId}",
        "DescribeUserProfile": "user-profile/{DomainId}/{UserProfileName}",
    }
    if operation.startswith("List"):
        return "*"
    path = paths[operation].format(owner=owner, **parameters)
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{path}"


class GuardedStandIn(DomainStandIn):
    """The stand-in behind a policy: what that does not allow is denied."""

    def __init__(self, policy: Mapping[str, Any]) -> None:
        super().__init__()
        self.policy = policy

    def answer(self, name: str, body: bytes, headers: Any) -> tuple[int, Any]:
        """Answer where the policy allows it."""
        parameters = json.loads(body)
        asked = questions(name, parameters, headers["X-Amz-Target"].startswith(TAGGING))
        if all(decided([self.policy], asked)):
            return super().answer(name, body, headers)
        self.calls.append(Call(time.monotonic(), name, parameters, "AccessDeniedException"))
        return 400, {"__type": "AccessDeniedException", "Message": f"not authorized: {asked[0][0]}"}


def now_off(minutes: int) -> dict[str, str]:
    """Return a schedule in whose window it is now (30), or was until some minutes ago (-30)."""
    now = datetime.now(timezone.utc)
    start, stop = now - timedelta(hours=2), now + timedelta(minutes=minutes)
    clock = {"start": f"{start:%H:%M}", "stop": f"{stop:%H:%M}"}
    return {"time_zone": "UTC", "days": "mon-sun", **clock}


EVENTS: dict[str, dict[str, Any]] = {
    "schedule": {
        "action": "reconcile",
        "schedules": {"on": now_off(30), "off": now_off(-30)},
        "default_schedule": "off",
    },
    "apps": {"max_age_hours": 1},
    "budget": {"message": letter()},
}


@pytest.fixture(params=EVENTS)
def function(request: pytest.FixtureRequest) -> str:
    """Give a function's name."""
    return str(request.param)


def world(function: str, action: str) -> GuardedStandIn:
    """Return an account with something to do for each function, behind a function's role."""
    made = GuardedStandIn(role_policy(function, action, Place("aws", REGION, ACCOUNT)))
    long_ago = datetime.now(timezone.utc) - timedelta(days=3)
    made.add("dev-idle", modified=long_ago, tags=signed("idle 60"))
    tags = {"idle-culler:schedule": "on"}
    made.add("dev-off", "Stopped", modified=long_ago, tags=tags)
    made.studio_app("dev-space", tags=signed("idle 60"))
    made.add_space("dev-space", "ana", modified=long_ago)
    return made


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Ask for acting, on what has dev- in its name."""
    monkeypatch.setenv("IDLE_CULLER_NAME_CONTAINS", "dev-")
    monkeypatch.setenv("IDLE_CULLER_DRY_RUN", "false")
    return monkeypatch


def run(function: str, made: GuardedStandIn, settings: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run a function's handler there, and return its report."""
    for name, value in made.env.items():
        settings.setenv(name, value)
    handler = getattr(handlers, f"{function}_handler")
    return dict(handler(EVENTS[function]))


def test_its_role_is_enough_for_all_that_a_function_does(
    function: str, settings: pytest.MonkeyPatch
) -> None:
    """Nothing is denied, and the work is done."""
    made = world(function, "apply")
    with made:
        report = run(function, made, settings)
    assert {call.code for call in made.calls} == {""}
    done = {each["action"] for each in report["changed"]}
    wanted = {"schedule": {"start", "stop"}, "apps": {"delete"}, "budget": {"stop", "delete"}}
    assert done == wanted[function]
    assert not made.problems


def test_the_role_of_a_function_that_reports_keeps_it_from_acting(
    function: str, settings: pytest.MonkeyPatch
) -> None:
    """Where somebody asks for more than the template granted, AWS denies, and it is told."""
    made = world(function, "report")
    with made:
        with pytest.raises(FleetFailed) as failed:
            run(function, made, settings)
        assert failed.value.report.changed == []
        denied = {call.operation for call in made.calls if call.code}
        assert denied
        assert not any(name.startswith(("List", "Get", "Describe")) for name in denied)
        assert made.at("dev-idle") == "InService"


def test_a_dry_run_needs_no_more_than_to_read(function: str, settings: pytest.MonkeyPatch) -> None:
    """The same report, with the role of one that only reports; nothing is denied."""
    settings.delenv("IDLE_CULLER_DRY_RUN")
    made = world(function, "report")
    with made:
        report = run(function, made, settings)
    assert report["changed"]
    assert {call.code for call in made.calls} == {""}
