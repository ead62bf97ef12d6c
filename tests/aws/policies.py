"""Ask an evaluator of IAM policies, kept apart from this environment's packages.

It is ministack's, installed without what else it would bring by ``make`` into .policy-evaluator.
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
_SCRIPT = """
import json, sys
from ministack.core.iam_evaluator import EvalContext, evaluate, parse_policy_document
asked = json.load(sys.stdin)
policies = [parse_policy_document(asked["policy"])]
role = "arn:aws:sts::123456789012:assumed-role/ExecutionRole/SageMaker"
print(json.dumps([
    evaluate(
        EvalContext(role, "AssumedRole", "123456789012", action, arn, "eu-central-1"), policies
    ).decision
    for action, arn in asked["questions"]
]))
"""


def allowed(policy: Mapping[str, Any], questions: Sequence[tuple[str, str]]) -> list[bool]:
    """Tell for each action on each ARN whether this policy alone allows it."""
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        env={**os.environ, "PYTHONPATH": str(EVALUATOR)},
        input=json.dumps({"policy": policy, "questions": list(questions)}),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [decision == "Allow" for decision in json.loads(done.stdout)]
