"""Ask an evaluator of IAM policies, and a linter, kept apart from this environment's packages.

The evaluator is ministack's, the linter parliament, both installed by ``make`` without what else
they would bring, into .policy-evaluator and .policy-lint.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

EVALUATOR = Path(__file__).parent.parent.parent / ".policy-evaluator"
LINTER = EVALUATOR.with_name(".policy-lint")
Context = Mapping[str, Any]
_EVALUATE = """
import json, sys
from ministack.core.iam_evaluator import EvalContext, evaluate, parse_policy_document
asked = json.load(sys.stdin)
policies = [parse_policy_document(policy) for policy in asked["policies"]]
role = "arn:aws:sts::123456789012:assumed-role/ExecutionRole/SageMaker"
place = ("123456789012", "eu-central-1")
print(json.dumps([
    evaluate(
        EvalContext(
            role, "AssumedRole", place[0], action, arn,
            context.pop("aws:requestedregion", place[1]),
            service_context=context,
        ),
        policies,
    ).decision
    for action, arn, context in asked["questions"]
]))
"""
_LINT = """
import json, sys
import parliament
found = []
for policy in json.load(sys.stdin):
    analyzed = parliament.analyze_policy_string(json.dumps(policy))
    found.append([f"{each.issue}: {each.detail} {each.location}" for each in analyzed.findings])
print(json.dumps(found))
"""
_DEFINITION = """
import json, sys
from parliament import iam_definition
service = next(each for each in iam_definition if each["prefix"] == "sagemaker")
key = json.load(sys.stdin)
print(json.dumps([
    each["privilege"]
    for each in service["privileges"]
    if any(key in resource["condition_keys"] for resource in each["resource_types"])
]))
"""


def allowed(policy: Mapping[str, Any], questions: Sequence[tuple[str, str]]) -> list[bool]:
    """Tell for each action on each ARN whether this policy alone allows it."""
    return decided([policy], [(action, arn, {}) for action, arn in questions])


def decided(
    policies: Sequence[Mapping[str, Any]], questions: Sequence[tuple[str, str, Context]]
) -> list[bool]:
    """Tell for each action, ARN and context of condition keys whether the policies allow it."""
    asked = [
        (action, arn, {key.lower(): value for key, value in context.items()})
        for action, arn, context in questions
    ]
    given = {"policies": policies, "questions": asked}
    return [decision == "Allow" for decision in _run(EVALUATOR, _EVALUATE, given)]


def lint(policies: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return what the linter finds in each policy."""
    return list(_run(LINTER, _LINT, policies))


def actions_with(key: str) -> set[str]:
    """Return SageMaker's actions that carry a condition key, as the linter knows them."""
    return set(_run(LINTER, _DEFINITION, key))


def _run(tools: Path, script: str, given: Any) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(tools)},
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)
