"""``jupyter idle-culler fleet endpoints|restore``: the same runs, from a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from jupyter_idle_culler.fleet.endpoints.marks import MARK_TAG, Mark, set_mark

from ..aws.cloudwatch import quiet_hosts
from ..aws.endpoints import arn_of, variant
from ..aws.stand_in import REGION, Refusal
from .conftest import Run
from .endpoint_world import World


@pytest.fixture
def run(account: World, fleet_command: Run) -> Run:
    """Run ``fleet …`` in this process, against the stand-ins."""
    del account
    return fleet_command


def test_idle_endpoints_are_a_table_with_since_when_peaks_and_price(
    account: World, run: Run, tmp_path: Path
) -> None:
    """Without any wish all are looked at; each list has a title, and the sum is told."""
    account.sagemaker.add_endpoint("chat", [variant(count=2)], counts={"main": 2})
    account.sagemaker.add_endpoint("dark")
    account.sagemaker.add_endpoint("busy")
    for name in ("chat", "busy"):
        account.host(name)
    account.invoked("busy", [2])
    prices = tmp_path / "prices.json"
    prices.write_text('{"ml.m5.large": 0.25}')
    code, out, err = run("endpoints", "--prices", str(prices))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "Idle (1)"
    assert lines[1].split("  ") == [
        *("", "chat", REGION, "real-time", "2 x ml.m5.large"),
        lines[1].split("  ")[5],
        *("peak CPU 3.5 %", "0.50/h"),
    ]
    assert lines[1].split("  ")[5].startswith("idle since at least 20")
    assert "Idle endpoints cost 0.50 an hour." in lines
    assert any(line.startswith("Unknown: ") and line.endswith("(1)") for line in lines)
    assert lines[-1] == "3 matched: 0 would be changed, 2 left alone."


def test_json_is_the_report_of_the_function(account: World, run: Run) -> None:
    """The same members, and nothing else on stdout."""
    account.sagemaker.add_endpoint("chat")
    account.host("chat")
    code, out, err = run("endpoints", "--name-contains", "ch", "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["dry_run"] is True
    assert [found["name"] for found in report["idle"]] == ["chat"]
    assert set(report) >= {"matched", "changed", "skipped", "failed", "remaining", "after"}


def test_marks_are_set_only_with_apply(account: World, run: Run) -> None:
    """A dry run says what would be."""
    account.sagemaker.add_endpoint("chat", tags={"team": "a"})
    account.host("chat")
    tags = account.sagemaker.tags[arn_of("endpoint", "chat")]
    code, out, _ = run("endpoints", "mark", "--tag", "team=a")
    assert code == 0
    assert "would mark  chat" in out
    assert out.endswith("A dry run: nothing was changed. With --apply it is done.\n")
    assert MARK_TAG not in tags
    code, out, _ = run("endpoints", "mark", "--tag", "team=a", "--apply")
    assert code == 0
    assert "\nmarked  chat" in out
    assert MARK_TAG in tags


def test_delete_saves_and_restore_brings_it_back(account: World, run: Run, tmp_path: Path) -> None:
    """The file that is named is the one to restore from; each a dry run at first."""
    account.sagemaker.add_endpoint("chat", tags={"team": "a"})
    account.host("chat")
    arn = arn_of("endpoint", "chat")
    set_mark(account.clients.sagemaker, Mark(arn, account.now - timedelta(hours=80)))
    asked = ("endpoints", "delete", "--name-contains", "chat", "--save-to", str(tmp_path))
    code, out, _ = run(*asked)
    assert (code, account.deleted()) == (0, [])
    assert "would delete  chat" in out
    code, out, _ = run(*asked, "--no-topic", "--apply")
    assert (code, account.deleted()) == (0, ["chat"])
    (saved,) = tmp_path.rglob("*.json")
    assert f"deleted  chat  {saved}" in out
    code, out, _ = run("restore", str(saved))
    assert (code, account.sagemaker.endpoints) == (0, {})
    assert "would restore  chat  endpoint, scaling" in out
    code, out, _ = run("restore", str(saved), "--apply")
    assert (code, list(account.sagemaker.endpoints)) == (0, ["chat"])
    assert account.sagemaker.tags[arn] == {"team": "a"}
    assert "restored  chat  endpoint, scaling" in out


def test_it_is_restored_in_the_region_that_it_was_in(
    account: World, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever is the default of who asks: the stand-in refuses to be signed for another."""
    account.sagemaker.add_endpoint("chat")
    account.host("chat")
    at = account.now - timedelta(hours=80)
    set_mark(account.clients.sagemaker, Mark(arn_of("endpoint", "chat"), at))
    run("endpoints", "delete", "--all", "--save-to", str(tmp_path), "--no-topic", "--apply")
    (saved,) = tmp_path.rglob("*.json")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    code, _, err = run("restore", str(saved), "--apply")
    assert (code, err) == (0, "")
    assert account.sagemaker.problems == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("endpoints", "delete", "--all"), "save_to: must name a folder"),
        (("endpoints", "delete", "--save-to", "/nowhere"), "match_all: must be true"),
        (("endpoints", "--idle-hours", "0"), "idle_hours: must be a number from 1 to 2160"),
        (("endpoints", "remove"), "invalid choice"),
        (("endpoints", "--tag", "team"), "a tag is written KEY=VALUE"),
        (("endpoints", "delete", "--all", "--save-to", "x", "--apply"), "needs one of --topic"),
        (
            ("endpoints", "delete", "--save-to", "x", "--apply", "--no-topic", "--topic", "arn"),
            "needs one of --topic",
        ),
        (("endpoints", "--region", "eu central 1"), "a region is written as eu-central-1"),
        (("restore",), "FILE"),
    ],
)
def test_a_wrong_wish_is_refused_in_a_line(
    account: World, run: Run, arguments: tuple[str, ...], said: str
) -> None:
    """Exit code 2, and nothing was asked of AWS."""
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert account.sagemaker.calls == []


def test_prices_that_are_no_json_are_refused(account: World, run: Run, tmp_path: Path) -> None:
    """With the file's name."""
    prices = tmp_path / "prices.json"
    prices.write_text("ml.m5.large: 0.1")
    code, _, err = run("endpoints", "--prices", str(prices))
    assert code == 2
    assert f"prices: {prices} is not JSON" in err
    assert account.sagemaker.calls == []


def test_what_is_no_saved_endpoint_is_refused(run: Run, tmp_path: Path) -> None:
    """A file that is not there, and one of another kind."""
    assert run("restore", str(tmp_path / "none.json"))[0] == 1
    (tmp_path / "other.json").write_text("{}")
    code, _, err = run("restore", str(tmp_path / "other.json"), "--apply")
    assert code == 1
    assert "this is no saved endpoint" in err


def test_without_a_region_it_asks_for_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than to fail at the first call."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    code, _, err = run("endpoints")
    assert code == 2
    assert "give one with --region" in err


def test_a_failure_is_said_on_stderr_and_by_the_exit_code(account: World, run: Run) -> None:
    """The others are shown all the same."""
    for name in ("a", "b"):
        account.sagemaker.add_endpoint(name)
        account.host(name)
    account.sagemaker.faults["DescribeEndpoint"] = lambda asked: (
        Refusal("AccessDeniedException", "not you") if asked["EndpointName"] == "a" else None
    )
    code, out, err = run("endpoints")
    assert code == 1
    assert out.startswith("Idle (1)\n  b ")
    assert "not you" in err


def test_a_long_scan_shows_on_a_terminal_how_far_it_is(account: World) -> None:
    """On stderr, on one line that is gone at the end; stdout has the report alone."""
    for number in range(30):
        account.sagemaker.add_endpoint(f"e{number}")
    account.proxy.answers = quiet_hosts
    reader, writer = pty.openpty()
    ran = subprocess.run(
        [sys.executable, "-m", "jupyter_idle_culler.cli", "fleet", "endpoints", "--json"],
        env={**os.environ, "AWS_EC2_METADATA_DISABLED": "true"},
        stdout=subprocess.PIPE,
        stderr=writer,
        text=True,
        check=True,
        timeout=60,
    )
    os.close(writer)
    shown = os.read(reader, 65536).decode()
    os.close(reader)
    assert f"{REGION}: 30 of 30 endpoints" in shown
    assert shown.endswith("\r\x1b[K")
    assert len(json.loads(ran.stdout)["idle"]) == 30
