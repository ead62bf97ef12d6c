"""Scaling to zero: what was former is saved, kept over interruptions, and brought back."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jupyter_idle_culler.fleet.endpoints.restoring import restore

from .endpoint_world import LATER, OWN, TARGET, WHOLE, World
from .restore_world import brought_back, rich, scaled, scaling_of


def _to_zero(save_to: Path) -> dict[str, Any]:
    """Return the event that scales everything asynchronous to zero."""
    event = {"action": "scale-to-zero", "match_all": True, "dry_run": False}
    return {**event, "save_to": str(save_to)}


def _queue(account: World) -> Any:
    """Have an idle asynchronous endpoint of one to four instances; return what scales it."""
    account.sagemaker.add_endpoint("e", asynchronous=True)
    account.put(OWN, "ApproximateBacklogSize", {"EndpointName": "e"}, WHOLE, 0)
    account.clients.autoscaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=4)
    return account.clients.autoscaling


def test_scaling_to_zero_is_finished_by_the_next_run_and_the_former_scaling_stays_saved(
    account: World, tmp_path: Path
) -> None:
    """The alarm fails at first: what is saved is what was there before we began."""
    rich(account)
    scaled(account)
    before = scaling_of(account)
    event = _to_zero(tmp_path)
    account.proxy.refuses.add("PutMetricAlarm")
    first = account.run(**event)
    assert [failure["name"] for failure in first.failed] == ["e"]
    account.proxy.refuses.clear()
    second = account.run(**event)
    assert not second.failed, second.failed
    assert scaling_of(account)["targets"][0]["MinCapacity"] == 0
    third = account.run(**event)
    assert third.skipped == [{"name": "e", "reason": "it scales to zero already"}]
    (saved,) = tmp_path.rglob("*-scaling.json")
    report = brought_back(account, str(saved))
    assert not report.failed, report.failed
    assert scaling_of(account) == before


@pytest.mark.parametrize(
    "refused", ["put_scaling_policy", "delete_scaling_policy", "register_scalable_target"]
)
def test_what_was_former_is_kept_where_scaling_to_zero_was_interrupted(
    account: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """The next run does the rest; the restore brings back what was before the first."""
    client = _queue(account)
    client.put_scaling_policy(
        **TARGET,
        PolicyName="step",
        PolicyType="StepScaling",
        StepScalingPolicyConfiguration={"AdjustmentType": "ChangeInCapacity"},
    )
    former = scaling_of(account)
    event = _to_zero(tmp_path)

    def refuse(**asked: Any) -> None:
        message = "not now"
        raise RuntimeError(message)

    with monkeypatch.context() as patch:
        patch.setattr(client, refused, refuse)
        (failure,) = account.run(**event).failed
    assert failure["error"] == "not now"
    assert scaling_of(account)["targets"] == former["targets"]
    report = account.run(**event)
    assert not report.failed, report.failed
    (target,) = scaling_of(account)["targets"]
    assert target["MinCapacity"] == 0
    assert "step" not in {policy["PolicyName"] for policy in scaling_of(account)["policies"]}
    restored = brought_back(account, str(report.changed[0]["saved"]))
    assert not restored.failed, restored.failed
    assert scaling_of(account) == former


def test_what_somebody_set_after_the_first_time_is_saved_beside_it(
    account: World, tmp_path: Path
) -> None:
    """Scaled to zero, then 2 to 8 by a person, then to zero again: restoring gives 2 to 8."""
    client = _queue(account)
    event = _to_zero(tmp_path)
    first = account.run(**event).changed[0]["saved"]
    client.register_scalable_target(**TARGET, MinCapacity=2, MaxCapacity=8)
    chosen = scaling_of(account)
    second = account.run(**event).changed[0]["saved"]
    assert first != second
    assert json.loads(Path(str(first)).read_text())["scaling"]["targets"][0]["MaxCapacity"] == 4
    restored = brought_back(account, str(second))
    assert not restored.failed, restored.failed
    assert scaling_of(account) == chosen


def test_a_scheduled_action_does_not_raise_what_was_scaled_to_zero(
    account: World, tmp_path: Path
) -> None:
    """It goes, and comes back with the rest of the former scaling."""
    client = _queue(account)
    client.put_scheduled_action(
        **TARGET,
        ScheduledActionName="morning",
        Schedule="cron(0 7 * * ? *)",
        ScalableTargetAction={"MinCapacity": 2},
    )
    report = account.run(**_to_zero(tmp_path))
    assert not report.failed, report.failed

    def actions() -> list[str]:
        told = client.describe_scheduled_actions(ServiceNamespace=TARGET["ServiceNamespace"])
        return [action["ScheduledActionName"] for action in told["ScheduledActions"]]

    assert actions() == []
    restored = restore(account.clients, str(report.changed[0]["saved"]), dry_run=False)
    assert not restored.failed, restored.failed
    assert actions() == ["morning"]


def test_what_was_changed_a_moment_ago_is_not_scaled_to_zero(
    account: World, tmp_path: Path
) -> None:
    """Somebody may have given it instances for a test; a day later it is."""
    account.sagemaker.add_endpoint("e", asynchronous=True)
    account.put(OWN, "ApproximateBacklogSize", {"EndpointName": "e"}, [*WHOLE, *LATER], 0)
    changed = account.now - timedelta(minutes=5)
    account.sagemaker.endpoints["e"]["LastModifiedTime"] = changed
    event = _to_zero(tmp_path)
    report = account.run(**event)
    reason = f"it was changed at {changed:%Y-%m-%d %H:%M} UTC"
    assert (report.skipped, report.changed) == ([{"name": "e", "reason": reason}], [])
    report = account.run(at=25, **event)
    assert [one["name"] for one in report.changed] == ["e"]
