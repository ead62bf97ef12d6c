"""Creating a configuration: shown, asked, done once, and nothing where something is wrong."""

from __future__ import annotations

import base64
import json
import os
import pty
from pathlib import Path

import pytest

from jupyter_idle_culler.lifecycle import scripts
from jupyter_idle_culler.lifecycle.scripts import ENVIRONMENTS, script_of

from ..aws.faulty_proxy import FaultyProxy
from ..aws.lifecycle_stand_in import LifecycleStandIn
from .conftest import Run


def test_a_configuration_for_notebook_instances(aws: LifecycleStandIn, run: Run) -> None:
    """Its script is what render gives."""
    rendered = run("render", "notebook-instance", "--timeout", "1h")[1]
    code, out, err = run("create", "notebook-instance", "autostop", "--timeout", "1h", "--yes")
    assert code == 0, err
    assert "created: arn:aws:sagemaker:" in out
    (hook,) = aws.configurations["autostop"]["OnStart"]
    assert base64.b64decode(hook["Content"]).decode() == rendered
    assert aws.changes() == ["CreateNotebookInstanceLifecycleConfig"]


@pytest.mark.parametrize(
    "name", [name for name, environment in ENVIRONMENTS.items() if environment.app_type]
)
def test_a_configuration_for_each_app_of_studio(aws: LifecycleStandIn, run: Run, name: str) -> None:
    """With the type of the app that the script is for; `--json` gives the outcome."""
    code, out, _ = run("create", name, "culler", "--yes", "--json")
    told = json.loads(out)
    assert (code, told["kind"]) == (0, ENVIRONMENTS[name].app_type)
    assert [result["outcome"] for result in told["results"]] == ["changed"]
    made = aws.studio_configurations["culler"]
    assert made["StudioLifecycleConfigAppType"] == ENVIRONMENTS[name].app_type
    content = base64.b64decode(made["StudioLifecycleConfigContent"]).decode()
    assert content == script_of(ENVIRONMENTS[name])


def test_a_dry_run_changes_nothing(aws: LifecycleStandIn, run: Run) -> None:
    """It shows what would be."""
    code, out, _ = run("create", "studio-jupyterlab", "culler", "--dry-run")
    assert code == 0
    assert "new, for Studio, JupyterLab: " in out
    assert aws.changes() == []


def test_a_second_one_changes_nothing(aws: LifecycleStandIn, run: Run) -> None:
    """The same again is done already; another script of the same name is refused."""
    for name in ("notebook-instance", "studio-code-editor"):
        assert run("create", name, "culler", "--yes")[0] == 0
        code, out, _ = run("create", name, "culler", "--yes")
        assert (code, "exists already, with the same script" in out) == (0, True)
        code, _, err = run("create", name, "culler", "--timeout", "2h", "--yes")
        assert code == 1
        assert "one of this name exists with another script" in err
    assert len(aws.changes()) == 2


@pytest.mark.parametrize(("answer", "changed"), [(b"y\n", 1), (b"n\n", 0), (b"\n", 0)])
def test_a_person_is_asked(
    aws: LifecycleStandIn,
    run: Run,
    answer: bytes,
    changed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a terminal: only yes is yes."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        os.write(ours, answer)
        code, _, err = run("create", "notebook-instance", "autostop")
    os.close(ours)
    assert "Create it? [y/N]" in err
    assert len(aws.changes()) == changed
    assert code == 1 - changed


def test_where_nobody_can_be_asked_nothing_is_done(
    aws: LifecycleStandIn, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A pipe that says yes is not a person."""
    file = tmp_path / "yes"
    file.write_text("y\n")
    with file.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        code, _, err = run("create", "notebook-instance", "autostop")
    assert code == 1
    assert "nobody can be asked here, and nothing was changed: say --yes" in err
    assert aws.changes() == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere", "a"), "is no environment"),
        (("notebook-instance", "-a"), None),
        (("notebook-instance", "a_b"), "NAME 'a_b': must be 1 to 63 letters, digits and hyphens"),
        (("notebook-instance", "a-"), "must be 1 to 63"),
        (("notebook-instance", "x" * 64), "must be 1 to 63"),
        (("notebook-instance", ""), "must be 1 to 63"),
        (("notebook-instance", "a", "--timeout=-1"), "--timeout '-1' is no time"),
        (("notebook-instance", "a", "--timeout", "99999d"), "from 5 minutes to 30 days"),
    ],
)
def test_bad_input_asks_nothing_of_aws(
    aws: LifecycleStandIn, run: Run, arguments: tuple[str, ...], said: str | None
) -> None:
    """One line, exit code 2 (argparse has its own words for what looks like an option)."""
    code, out, err = run("create", *arguments, "--yes")
    assert (code, out) == (2, "")
    if said is not None:
        assert said in err
        assert err.count("\n") == 1
    assert aws.calls == []


def test_what_is_too_long_asks_nothing_of_aws(
    aws: LifecycleStandIn, run: Run, payloads: Path
) -> None:
    """The figures, on one line."""
    (payloads / "notebook-instance.txt").write_text("x" * 12_000)
    code, out, err = run("create", "notebook-instance", "autostop", "--offline", "--yes")
    assert (code, out) == (1, "")
    assert "is too long for AWS by" in err
    assert err.count("\n") == 1
    assert aws.calls == []
    assert payloads == scripts.PAYLOADS


@pytest.mark.parametrize("kind", ["notebook-instance", "studio-classic"])
@pytest.mark.parametrize("unseen", [True, False])
def test_a_missing_permission_is_one_line(
    aws: LifecycleStandIn, run: Run, kind: str, unseen: bool
) -> None:
    """Which action on which resource; nothing was created."""
    aws.allows = lambda action, arn: "Describe" in action and not unseen
    code, _, err = run("create", kind, "autostop", "--yes")
    assert code == 1
    (line,) = (line for line in err.splitlines() if "permission missing" in line)
    operation = "NotebookInstance" if kind == "notebook-instance" else "Studio"
    assert f"permission missing: sagemaker:Create{operation}LifecycleConfig on arn:aws:" in line
    assert "/autostop" in line
    assert aws.changes() == []


def test_no_credentials_are_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a traceback."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    code, _, err = run("create", "notebook-instance", "autostop", "--yes")
    assert code == 1
    assert "no usable AWS credentials" in err
    assert "Traceback" not in err


class _LosesOne(FaultyProxy):
    """Loses the answer to the first creation."""

    def fault_for(self, operation: str) -> str:
        """Return what befalls this request."""
        first = operation.startswith("Create") and not self.befallen
        if first:
            self.befallen.append((operation, "lose"))
        return "lose" if first else ""


def test_a_lost_answer_is_not_taken_for_a_failure(
    aws: LifecycleStandIn, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was created, the answer got lost, the second try is refused: what is there decides."""
    with _LosesOne(aws.url, {}) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", proxy.url)
        code, out, err = run("create", "studio-jupyterlab", "culler", "--yes")
    assert code == 0, err
    assert "created: " in out
    created = [c.code for c in aws.calls if c.operation == "CreateStudioLifecycleConfig"]
    assert created == ["", "ResourceInUse"]
