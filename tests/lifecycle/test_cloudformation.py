"""The template: CloudFormation's own linter takes it, and the script in it is the script."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from jupyter_idle_culler.lifecycle.scripts import ENVIRONMENTS, script_of

from .conftest import Run

FORMS = [
    ("notebook-instance", ()),
    ("notebook-instance", ("--offline",)),
    ("notebook-instance-extension", ()),
    ("notebook-instance", ("--json",)),
]


def rendered(run: Run, environment: str, *more: str) -> tuple[str, Any]:
    """Return a template as text, and as what it says."""
    code, out, err = run("render", environment, "--format", "cloudformation", *more)
    assert code == 0, err
    return out, json.loads(out) if "--json" in more else yaml.safe_load(out)


@pytest.mark.parametrize(("environment", "more"), FORMS)
def test_the_linter_takes_it(
    environment: str, more: tuple[str, ...], run: Run, payloads: Path, tmp_path: Path
) -> None:
    """cfn-lint, warnings and all, for each form; it stays below the size that a stack takes."""
    del payloads
    text, _ = rendered(run, environment, *more)
    assert len(text.encode()) <= 51_200
    file = tmp_path / ("template.json" if "--json" in more else "template.yaml")
    file.write_text(text, encoding="utf-8")
    ran = subprocess.run(
        [
            str(Path(sys.executable).parent / "cfn-lint"),
            "--regions",
            "eu-central-1",
            "--",
            str(file),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stdout + ran.stderr


def test_it_has_the_script_the_types_the_volume_and_the_role(run: Run) -> None:
    """What may be chosen is what was allowed, and the role may stop that one instance."""
    _, said = rendered(
        run,
        "notebook-instance",
        *("--instance-types", "ml.t3.large, ml.m5.xlarge", "--max-volume", "100"),
    )
    allowed = said["Parameters"]["InstanceType"]
    assert (allowed["Default"], allowed["AllowedValues"]) == (
        "ml.t3.large",
        ["ml.t3.large", "ml.m5.xlarge"],
    )
    assert said["Parameters"]["VolumeSizeInGB"]["MaxValue"] == 100
    resources = said["Resources"]
    (hook,) = resources["LifecycleConfig"]["Properties"]["OnStart"]
    assert hook["Content"] == {"Fn::Base64": script_of(ENVIRONMENTS["notebook-instance"])}
    assert resources["NotebookInstance"]["Properties"]["LifecycleConfigName"] == {
        "Fn::GetAtt": ["LifecycleConfig", "NotebookInstanceLifecycleConfigName"]
    }
    (policy,) = resources["Role"]["Properties"]["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == [
        "sagemaker:DescribeNotebookInstance",
        "sagemaker:StopNotebookInstance",
    ]
    assert statement["Resource"]["Fn::Sub"].endswith(":notebook-instance/${NotebookName}")
