"""``jupyter idle-culler fleet start|stop|reconcile``: the same runs, from a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

from ..aws.stand_in import REGION
from .conftest import Run
from .instance_world import OFFICE, Office


@pytest.fixture
def run(office: Office, fleet_command: Run) -> Run:
    """Run ``fleet …`` in this process, against the stand-in."""
    del office
    return fleet_command


def test_a_stop_is_shown_and_only_done_with_apply(office: Office, run: Run) -> None:
    """A table of what would be done and why the others not; then the same, done."""
    for name in ("dev-idle", "dev-silent", "prod-idle"):
        office.add(name)
    office.now = datetime.now(timezone.utc)
    for name in ("dev-idle", "prod-idle"):
        office.sign(name, "idle 30")
    code, out, err = run("stop", "--name-contains", "dev-")
    assert (code, err) == (0, "")
    first, second, third, last = out.splitlines()
    assert first.split()[:4] == ["would", "stop", "dev-idle", "ml.t3.medium"]
    assert second.startswith("left alone  dev-silent  unknown: ")
    assert third == "2 matched: 1 would be changed, 1 left alone."
    assert last == "A dry run: nothing was changed. With --apply it is done."
    assert office.sagemaker.stops() == []
    code, out, _ = run("stop", "--name-contains", "dev-", "--apply")
    assert (code, out.splitlines()[0].split()[0]) == (0, "stopped")
    assert [call.parameters["NotebookInstanceName"] for call in office.sagemaker.stops()] == [
        "dev-idle"
    ]


def test_json_is_the_report_of_the_function(office: Office, run: Run, tmp_path: Path) -> None:
    """Schedules come from a file; `reconcile` does what is due by them now."""
    office.add("dev-1", "Stopped", tags={"team": "a"})
    office.add("dev-2", "Stopped", tags={"team": "b"})
    always = {"time_zone": "Asia/Kathmandu", "days": "mon-sun", "start": "00:00", "stop": "24:00"}
    path = tmp_path / "schedules.json"
    path.write_text(json.dumps({"always": always}))
    asked = ("reconcile", "--schedules", str(path), "--tag", "team=a", "--json")
    code, out, err = run(*asked, "--apply")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert (report["dry_run"], report["matched"]) == (False, 1)
    assert [change["name"] for change in report["changed"]] == ["dev-1"]
    assert office.status("dev-1") == "InService"


def test_hard_and_grace_are_what_the_event_has(office: Office, run: Run) -> None:
    """`--hard` ends work; it has to be said."""
    office.add("dev-1")
    assert run("stop", "--name-pattern", "dev-?", "--apply")[0] == 0
    assert office.sagemaker.stops() == []
    assert run("stop", "--name-pattern", "dev-?", "--hard", "--apply")[0] == 0
    assert office.status("dev-1") == "Stopped"
    assert run("start", "--all", "--apply")[0] == 0
    assert office.status("dev-1") == "InService"


def test_tags_that_are_given_together_must_all_hold(office: Office, run: Run) -> None:
    """The same one twice says nothing new."""
    office.add("dev-1", "Stopped", tags={"team": "a", "env": "x"})
    office.add("dev-2", "Stopped", tags={"team": "a"})
    asked = ("--tag", "team=a", "--tag", "env=*", "--tag", "team=a", "--region", REGION)
    code, out, _ = run("start", *asked, "--apply")
    assert (code, out.splitlines()[-1]) == (0, "1 matched: 1 changed, 0 left alone.")
    assert office.status("dev-1") == "InService"


def test_what_fails_is_exit_code_1_and_the_rest_is_done(office: Office, run: Run) -> None:
    """The table says it, and stderr a line for each."""
    office.add("dev-1", "Stopped")
    office.add("dev-2", "Stopped")
    office.sagemaker.refuses.add("dev-1")
    code, out, err = run("start", "--name-contains", "dev-", "--apply")
    assert code == 1
    assert "failed   dev-1" in out
    assert "1 changed, 0 left alone, 1 failed" in out
    assert err.startswith("jupyter idle-culler: dev-1: ")
    assert office.status("dev-2") == "InService"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("dance",), "invalid choice"),
        (("stop",), "match_all: must be true"),
        (("stop", "--tag", "team"), "a tag is written KEY=VALUE"),
        (("stop", "--tag", "env=test", "--tag", "env=prod"), "tags: env is given twice"),
        (("apps", "--tag", "env=test", "--tag", "env=*"), "tags: env is given twice"),
        (("endpoints", "--tag", "env=test", "--tag", "env=prod"), "tags: env is given twice"),
        (("stop", "--all", "--region", ""), "a region is written as eu-central-1"),
        (("endpoints", "--region", "eu central 1"), "a region is written as eu-central-1"),
        (("stop", "--all", "--grace", "-1"), "grace_minutes: must be a number"),
        (("stop", "--all", "--topic", "our-topic"), "topic_arn: must be the ARN"),
        (("reconcile", "--all"), "--schedules"),
        (("reconcile", "--all", "--schedules", "BAD"), "schedules: "),
        (("reconcile", "--all", "--schedules", "WRONG"), "schedules.office.start: "),
        (("start", "--all", "--hard"), "unrecognized arguments: --hard"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_asks_nothing(
    office: Office, run: Run, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    """One line that names the option or the field."""
    (tmp_path / "BAD").write_text("{")
    (tmp_path / "WRONG").write_text(json.dumps({"office": {**OFFICE, "start": "7"}}))
    named = [str(tmp_path / word) if word in ("BAD", "WRONG") else word for word in arguments]
    code, out, err = run(*named)
    assert (code, out) == (2, "")
    assert says in err
    assert office.sagemaker.calls == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--profile", "of-nobody"), "of-nobody"),
        (("--schedules", "/nowhere/at-all.json"), "/nowhere/at-all.json"),
    ],
)
def test_what_cannot_even_begin_is_one_line(
    run: Run, arguments: tuple[str, ...], says: str
) -> None:
    """Exit code 1, no traceback."""
    code, out, err = run("stop", "--all", *arguments)
    assert (code, out) == (1, "")
    assert says in err
    assert err.count("\n") == 1


def test_names_that_a_terminal_would_obey_are_shown_harmless(office: Office, run: Run) -> None:
    """An error may carry anything."""
    office.add("dev-1", "Stopped", tags={"idle-culler:schedule": "\x1b[2J"})
    assert "\x1b" not in "".join(run("stop", "--all")[1:])


def test_a_long_scan_shows_on_a_terminal_how_far_it_is(office: Office) -> None:
    """On stderr, one line that is gone at the end; stdout is the table alone."""
    for number in range(250):
        office.add(f"dev-{number:03}", "Stopped")
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "jupyter_idle_culler.cli", "fleet", "stop", "--all"],
        env={**os.environ, "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        check=False,
        timeout=60,
    )
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "\r\x1b[K100 notebook instances" in shown
    assert "\r\x1b[K200 notebook instances" in shown
    assert shown.endswith("\r\x1b[K")
    assert done.stdout.splitlines()[-1] == "250 matched: 0 would be changed, 250 left alone."


def test_a_file_nested_beyond_reading_is_refused_in_a_line(
    fleet_command: Run, tmp_path: Path
) -> None:
    """Python's reader of JSON ends at some depth, with another error than for a wrong letter."""
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000, encoding="utf-8")
    code, out, said = fleet_command("reconcile", "--all", "--schedules", str(path))
    assert (code, out) == (2, "")
    assert "schedules: " in said
    assert "Traceback" not in said
