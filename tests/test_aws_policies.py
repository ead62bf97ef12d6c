"""The policies in docs/: each lets the agent describe and stop itself, and nothing else."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from jupyter_idle_culler.aws.errand import Errand
from jupyter_idle_culler.aws.target import Target
from jupyter_idle_culler.environment import detect

from .aws.model import service_model
from .aws.policies import EVALUATOR, allowed
from .aws.stand_in import SageMakerStandIn

ROOT = Path(__file__).parent.parent
METADATA = ROOT / "tests" / "fixtures" / "metadata"
POLICIES = sorted((ROOT / "docs" / "policies").glob("*.json"))
ARN = "arn:aws:sagemaker:eu-central-1:123456789012:"
OTHERS = [
    ARN + "notebook-instance/another",
    ARN + "notebook-instance/my-notebook-2",
    ARN + "app/d-abc123def456/another/JupyterLab/default",
    ARN + "app/d-abc123def456/my-space/KernelGateway/default",
    ARN + "app/d-abc123def456/my-space/JupyterLab/other",
    ARN + "app/d-other/my-space/JupyterLab/default",
    "arn:aws:sagemaker:us-east-1:123456789012:notebook-instance/my-notebook",
    "arn:aws:sagemaker:eu-central-1:210987654321:notebook-instance/my-notebook",
    ARN + "domain/d-abc123def456",
    ARN + "space/d-abc123def456/my-space",
    "*",
]

needs_evaluator = pytest.mark.skipif(
    not EVALUATOR.exists(), reason="no evaluator of policies: make .stamps/policies"
)


def target_of(path: Path) -> Target:
    """Return what the environment of this policy stops."""
    target = detect(str(METADATA / path.name), {}).target
    assert target is not None
    return target


def filled_in(path: Path) -> dict[str, Any]:
    """Return a policy of the docs, with the names of the environment's example."""
    target = target_of(path)
    owner = target.arn.split("/")[-1]
    if "/JupyterLab/" in target.arn or "/CodeEditor/" in target.arn:
        owner = target.arn.split("/")[2]
    text = path.read_text(encoding="utf-8")
    for word, name in (
        ("REGION", "eu-central-1"),
        ("ACCOUNT", "123456789012"),
        ("DOMAIN", "d-abc123def456"),
        ("SPACE", owner),
        ("PROFILE", owner),
        ("NAME", owner),
    ):
        text = text.replace(word, name)
    return dict(json.loads(text))


def test_there_is_a_policy_for_each_environment_that_is_stopped() -> None:
    """Every example of metadata with something to stop has its policy, and no other has."""
    stopped = {
        path.name for path in METADATA.glob("*.json") if detect(str(path), {}).target is not None
    }
    assert {path.name for path in POLICIES} == stopped


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_a_policy_is_what_the_preflight_says(path: Path) -> None:
    """The statement in the docs is the one that the preflight and a refused stop tell."""
    (statement,) = filled_in(path)["Statement"]
    assert statement.pop("Sid")
    assert statement == target_of(path).statement()


@needs_evaluator
@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_a_policy_allows_to_stop_itself_and_nothing_else(path: Path) -> None:
    """Of all of SageMaker's operations two, on itself; on everything else none."""
    target, policy = target_of(path), filled_in(path)
    own = {target.describe_operation, target.stop_operation}
    names = service_model().operation_names
    on_itself = allowed(policy, [(f"sagemaker:{name}", target.arn) for name in names])
    assert {name for name, is_allowed in zip(names, on_itself, strict=True) if is_allowed} == own
    others = [(f"sagemaker:{name}", arn) for name in own for arn in OTHERS]
    foreign = [("s3:GetObject", "*"), ("iam:PassRole", "*"), ("sts:AssumeRole", target.arn)]
    others = [(action, arn) for action, arn in others if arn != target.arn]
    assert not any(allowed(policy, others + foreign))


@needs_evaluator
@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_a_policy_is_enough_for_a_stop(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that a preflight and a stop ask for is allowed: both go through."""
    target, policy = target_of(path), filled_in(path)
    parameters = target.parameters
    stand_in = SageMakerStandIn(allows=lambda action, arn: allowed(policy, [(action, arn)])[0])
    with stand_in:
        if "NotebookInstanceName" in parameters:
            arn = stand_in.add_notebook(parameters["NotebookInstanceName"])
        else:
            arn = stand_in.add_app(
                parameters["DomainId"],
                parameters["AppType"],
                space=parameters.get("SpaceName", ""),
                user=parameters.get("UserProfileName", ""),
            )
        for name, value in stand_in.env.items():
            monkeypatch.setenv(name, value)

        async def stop() -> None:
            errand = Errand(target)
            assert not (await errand.describe()).fault
            assert not (await errand.stop()).fault

        asyncio.run(stop())
        assert stand_in.status_of(arn) in ("Stopping", "Deleting")
        assert {call.code for call in stand_in.calls} == {""}
        assert not stand_in.problems
