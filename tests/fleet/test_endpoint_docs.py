"""What docs/fleet.md says of idle endpoints is what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from jupyter_idle_culler.fleet.endpoints.restoring import restore
from jupyter_idle_culler.fleet.endpoints.settings import ACTIONS, read
from jupyter_idle_culler.fleet.events import EventError

from ..aws.endpoints import variant
from ..aws.proxy import AwsProxy, Request
from .endpoint_world import COMPONENTS, LATER, TARGET, WHOLE, World

DOCS = Path(__file__).parent.parent.parent / "docs/fleet.md"
SECTION = DOCS.read_text(encoding="utf-8").partition("\n## Idle endpoints\n")[2]
SECTION = SECTION.partition("\n## ")[0]
EVENT, PERMISSIONS = (
    json.loads(text) for text in re.findall(r"```json\n(.*?)```", SECTION, re.DOTALL)
)


def test_the_table_names_every_field_and_no_other() -> None:
    """An unknown field is answered with all that are known."""
    rows = re.findall(r"^\| (`.*?) \|", SECTION, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
    try:
        read({"unknown_field": 1}, {})
    except EventError as refused:
        known = set(re.findall(r"[a-z_]+", str(refused).partition("there are ")[2]))
    assert named == known
    for action in ACTIONS:
        assert f"`{action}`" in SECTION


def test_the_event_that_is_shown_is_taken() -> None:
    """As it stands."""
    settings = read(EVENT, {})
    assert (settings.action, settings.dry_run) == ("delete", False)


def _patterns() -> list[str]:
    told = [statement["Action"] for statement in PERMISSIONS]
    return [action for one in told for action in ([one] if isinstance(one, str) else one)]


def test_restoring_needs_what_is_said_and_no_more(
    account: World, proxy: AwsProxy, tmp_path: Path
) -> None:
    """Everything that writes; what reads is named in the sentence before."""
    client = account.clients.autoscaling
    client.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=3)
    client.put_scaling_policy(
        **TARGET,
        PolicyName="step",
        PolicyType="StepScaling",
        StepScalingPolicyConfiguration={"AdjustmentType": "ChangeInCapacity"},
    )
    client.put_scheduled_action(
        **TARGET,
        ScheduledActionName="morning",
        Schedule="rate(1 day)",
        ScalableTargetAction={"MinCapacity": 2},
    )
    account.sagemaker.add_endpoint("e", [variant(kind="host")], tags={"team": "a"})
    account.sagemaker.add_component("c", "e")
    account.host("e", [*WHOLE, *LATER])
    named = {"InferenceComponentName": "c"}
    account.put(COMPONENTS, "CPUUtilizationNormalized", named, [*WHOLE, *LATER], 2)
    event: dict[str, Any] = {**EVENT, "name_contains": "e", "save_to": str(tmp_path)}
    del event["topic_arn"]
    account.run(**event)
    report = account.run(at=73, **event)
    assert not report.failed, report.failed
    del account.sagemaker.configs["e-config"]
    account.sagemaker.calls.clear()
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(f"application-autoscaling:{request.operation}")

    proxy.fault = note
    restored = restore(
        account.clients,
        report.changed[0]["saved"],
        dry_run=False,
        sleep=lambda seconds: None,
    )
    assert not restored.failed, restored.failed
    asked += [f"sagemaker:{call.operation}" for call in account.sagemaker.calls]
    writes = {one for one in asked if not re.search(r":(Describe|List)", one)}
    not_seen = {  # asked of the caller by what is called, or of CloudWatch
        "sagemaker:AddTags",
        "cloudwatch:PutMetricAlarm",
        "sagemaker:UpdateEndpointWeightsAndCapacities",
        "sagemaker:UpdateInferenceComponentRuntimeConfig",
        "iam:PassRole",
    }
    assert writes | not_seen == set(_patterns())
    reads = {one.partition(":")[2] for one in asked if re.search(r":(Describe|List)", one)}
    before = SECTION.partition("Who restores needs")[2].partition("```")[0]
    assert {name for name in reads if f"`{name}`" not in before} == set()
