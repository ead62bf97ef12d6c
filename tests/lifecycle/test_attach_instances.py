"""Attaching to notebook instances: stopped ones, running ones, many, and back again."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import Any

import pytest

from ..aws.lifecycle_stand_in import LifecycleStandIn
from .conftest import Run

THEIRS = b"#!/bin/bash\necho theirs\n"


def add_configuration(aws: LifecycleStandIn, name: str, script: bytes = THEIRS) -> None:
    """Have a configuration of somebody's."""
    content = [{"Content": base64.b64encode(script).decode()}]
    aws._CreateNotebookInstanceLifecycleConfig(
        {"NotebookInstanceLifecycleConfigName": name, "OnStart": content, "OnCreate": content}
    )


@pytest.fixture
def autostop(aws: LifecycleStandIn) -> LifecycleStandIn:
    """Give a SageMaker with a small configuration of ours and one of theirs."""
    add_configuration(aws, "autostop", b"#!/bin/bash\necho ours\n")
    add_configuration(aws, "theirs")
    return aws


def script_of(aws: LifecycleStandIn, name: str) -> bytes:
    """Return what a configuration runs at the start."""
    return base64.b64decode(aws.configurations[name]["OnStart"][0]["Content"])


def on(name: str) -> tuple[str, str]:
    """Name an instance on the command line."""
    return ("--notebook-instance", name)


def test_a_stopped_instance_gets_it_and_loses_it_again(
    autostop: LifecycleStandIn, run: Run
) -> None:
    """It stays stopped; a second time there is nothing to do."""
    arn = autostop.add_stopped("mine")
    code, out, err = run("attach", "autostop", *on("mine"), "--yes")
    assert code == 0, err
    assert "lifecycle configuration: none -> autostop" in out
    assert (autostop.attached["mine"], autostop.status_of(arn)) == ("autostop", "Stopped")
    code, out, _ = run("attach", "autostop", *on("mine"), "--yes")
    assert (code, "autostop is attached already" in out) == (0, True)
    code, out, _ = run("detach", "autostop", *on("mine"), "--yes")
    assert (code, autostop.attached["mine"]) == (0, "")
    code, out, _ = run("detach", "autostop", *on("mine"), "--yes")
    assert (code, "autostop is not attached" in out) == (0, True)
    assert autostop.changes() == ["UpdateNotebookInstance"] * 2


def test_a_running_instance_is_left_alone(autostop: LifecycleStandIn, run: Run) -> None:
    """Refused, with what to do."""
    autostop.add_notebook("mine")
    code, _, err = run("attach", "autostop", *on("mine"), "--yes")
    assert code == 1
    assert "it is InService, and must be stopped for this" in err
    assert "--stop-first" in err
    assert autostop.changes() == []


def test_stop_first_stops_it_and_starts_it_again(autostop: LifecycleStandIn, run: Run) -> None:
    """With a line that tells how far it is."""
    autostop.add_notebook("mine")
    code, out, err = run("attach", "autostop", *on("mine"), "--stop-first", "--yes")
    assert code == 0, err
    assert "it is stopped first, and started again" in out
    assert "mine: Stopping, " in err
    assert autostop.changes() == [
        "StopNotebookInstance",
        "UpdateNotebookInstance",
        "StartNotebookInstance",
    ]
    assert autostop.attached["mine"] == "autostop"


def test_an_instance_that_ran_runs_again_after_a_failure(
    autostop: LifecycleStandIn, run: Run
) -> None:
    """AWS refuses the update: told of, and started."""
    arn = autostop.add_notebook("mine")
    autostop.broken_updates.add("mine")
    code, _, err = run("attach", "autostop", *on("mine"), "--stop-first", "--yes")
    assert code == 1
    assert "UpdateNotebookInstance was refused" in err
    assert autostop.changes() == ["StopNotebookInstance", "StartNotebookInstance"]
    assert autostop.status_of(arn) in ("Pending", "InService")


@pytest.mark.parametrize("status", ["Pending", "Updating", "Deleting"])
def test_an_instance_on_its_way_is_refused(
    autostop: LifecycleStandIn, run: Run, status: str
) -> None:
    """Also with --stop-first."""
    autostop.set_status(autostop.add_notebook("mine"), status)
    code, _, err = run("attach", "autostop", *on("mine"), "--stop-first", "--yes")
    assert code == 1
    assert f"it is {status}: try again" in err
    assert autostop.changes() == []


def test_another_configuration_is_kept(autostop: LifecycleStandIn, run: Run) -> None:
    """Without --append: refused."""
    autostop.add_stopped("mine", "theirs")
    code, _, err = run("attach", "autostop", *on("mine"), "--yes")
    assert code == 1
    assert "theirs is attached already" in err
    assert "--append" in err
    assert autostop.attached["mine"] == "theirs"


def test_append_runs_both_and_detach_takes_it_apart(autostop: LifecycleStandIn, run: Run) -> None:
    """A configuration of its own: theirs stays as it is, for the others that use it."""
    for name in ("mine", "other"):
        autostop.add_stopped(name, "theirs")
    code, out, err = run("attach", "autostop", *on("mine"), *on("other"), "--append", "--yes")
    assert code == 0, err
    assert "theirs -> theirs-and-autostop" in out
    assert script_of(autostop, "theirs") == THEIRS
    both = script_of(autostop, "theirs-and-autostop")
    ran = subprocess.run(["bash", "-s"], input=both, capture_output=True, check=True, timeout=20)
    assert ran.stdout == b"theirs\nours\n"
    assert autostop.configurations["theirs-and-autostop"]["OnCreate"]
    code, out, _ = run("attach", "autostop", *on("mine"), "--append", "--yes")
    assert (code, "runs autostop already" in out) == (0, True)
    code, out, _ = run("detach", "autostop", *on("mine"), "--yes")
    assert (code, autostop.attached["mine"]) == (0, "theirs")
    assert "stays: another instance uses it" in out
    del autostop.configurations["theirs"]  # somebody deleted it, though
    code, out, err = run("detach", "autostop", *on("other"), "--yes")
    assert code == 0, err
    assert "is created anew" in out
    assert autostop.attached["other"] == "theirs"
    assert script_of(autostop, "theirs") == THEIRS
    assert "theirs-and-autostop" not in autostop.configurations


def test_append_is_refused_by_size(autostop: LifecycleStandIn, run: Run) -> None:
    """With the figures; nothing is created."""
    add_configuration(autostop, "long", b"#!/bin/bash\n" + b"x" * 12_200)
    autostop.add_stopped("mine", "long")
    code, _, err = run("attach", "autostop", *on("mine"), "--append", "--yes")
    assert code == 1
    assert "long and autostop in one script is too long for AWS by" in err
    assert autostop.changes() == []


def test_what_was_made_for_a_change_that_fails_is_taken_back(
    autostop: LifecycleStandIn, run: Run
) -> None:
    """The merged configuration does not lie about."""
    autostop.add_stopped("mine", "theirs")
    autostop.broken_updates.add("mine")
    assert run("attach", "autostop", *on("mine"), "--append", "--yes")[0] == 1
    assert set(autostop.configurations) == {"autostop", "theirs"}


def test_many_are_listed_first_and_one_failure_stops_none(
    autostop: LifecycleStandIn, run: Run
) -> None:
    """Over pages of the list; each one's outcome is told, exit code 1."""
    for number in range(5):
        autostop.add_stopped(f"team-a-{number}")
    autostop.add_stopped("team-b")
    autostop.broken_updates.add("team-a-1")
    autostop.set_status(autostop.add_notebook("team-a-9"), "InService")
    code, out, _ = run("attach", "autostop", "--name-contains", "team-a", "--dry-run")
    assert (code, out.count("none -> autostop")) == (1, 6)
    assert autostop.changes() == []
    code, out, err = run("attach", "autostop", "--name-contains", "team-a", "--yes", "--json")
    assert code == 1
    results = json.loads(out)["results"]
    assert [result["outcome"] for result in results] == [
        *("changed", "failed", "changed", "changed", "changed", "refused"),
    ]
    assert [name for name, attached in autostop.attached.items() if attached] == [
        *("team-a-0", "team-a-2", "team-a-3", "team-a-4"),
    ]
    assert "team-a-1" in err


@pytest.mark.parametrize(
    ("arguments", "said", "expected"),
    [
        (("autostop",), "say where", 2),
        (("autostop", *on("a_b")), "must be 1 to 63", 2),
        (("auto_stop", *on("mine")), "must be 1 to 63", 2),
        (("autostop", "--domain", "mine"), "must be the id of a domain", 2),
        (("autostop", *on("mine"), "--domain", "d-abc"), "one at a time", 2),
        (("autostop", *on("mine"), "--name-contains", "m"), "give one of", 2),
        (("autostop", "--user-profile", "ada"), "need --domain", 2),
        (("autostop", "--name-contains", "a b"), "must be 1 to 63", 2),
        (("autostop", *on("nowhere")), "there is no notebook instance nowhere", 1),
        (("nothing", *on("mine")), "there is no lifecycle configuration nothing", 1),
        (("autostop", "--name-contains", "xyz"), "whose name contains xyz", 1),
    ],
)
def test_bad_input_is_one_clear_line(
    autostop: LifecycleStandIn, run: Run, arguments: Any, said: str, expected: int
) -> None:
    """And changes nothing."""
    autostop.add_stopped("mine")
    code, _, err = run("attach", *arguments, "--yes")
    assert code == expected
    assert said in err
    assert err.count("\n") == 1
    assert autostop.changes() == []


@pytest.mark.parametrize(
    "action",
    [
        *("UpdateNotebookInstance", "DescribeNotebookInstance"),
        *("CreateNotebookInstanceLifecycleConfig", "DescribeNotebookInstanceLifecycleConfig"),
    ],
)
def test_a_missing_permission_is_one_line(
    autostop: LifecycleStandIn, run: Run, action: str
) -> None:
    """Which action on which resource; what was created for it is gone again."""
    autostop.add_stopped("mine", "theirs")
    autostop.allows = lambda asked, arn: asked != f"sagemaker:{action}"
    code, _, err = run("attach", "autostop", *on("mine"), "--append", "--yes")
    assert code == 1
    assert f"permission missing: sagemaker:{action} on arn:aws:sagemaker:" in err
    assert err.count("\n") == 1
    assert set(autostop.configurations) == {"autostop", "theirs"}
    assert autostop.attached["mine"] == "theirs"


def test_a_change_meanwhile_is_not_overwritten(
    autostop: LifecycleStandIn, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was shown no longer holds: nothing is done."""
    autostop.add_stopped("mine")

    def meanwhile(question: str) -> None:
        assert question == "Attach autostop"
        autostop.attached["mine"] = "theirs"

    monkeypatch.setattr("jupyter_idle_culler.cli.lifecycle_acts._ask", meanwhile)
    code, _, err = run("attach", "autostop", *on("mine"))
    assert code == 1
    assert "has become theirs meanwhile" in err
    assert autostop.attached["mine"] == "theirs"
