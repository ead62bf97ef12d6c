"""`jupyter idle-culler preflight`: what it says, what mends it, and its exit code."""

from __future__ import annotations

import itertools
import json
import logging
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_idle_culler.aws.errand import Errand
from jupyter_idle_culler.cli.commands import main
from jupyter_idle_culler.environment import detect
from jupyter_idle_culler.preflight import Preflight, pauses

from .aws.stand_in import SageMakerStandIn

METADATA = Path(__file__).parent / "fixtures" / "metadata"
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the preflight of this metadata file; return the exit code and what it printed."""

    def run(metadata: Path, *arguments: str) -> tuple[int, str]:
        code = main(["preflight", "--metadata-path", str(metadata), *arguments])
        return code, capsys.readouterr().out

    return run


def test_a_machine_that_is_ready_is_told_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this is, what a stop would do, that AWS answers, and the statement; exit code 0."""
    with SageMakerStandIn() as stand_in:
        arn = stand_in.add_notebook("My-Notebook")
        for name, value in stand_in.env.items():
            monkeypatch.setenv(name, value)
        code, out = run(METADATA / "notebook-instance.json")
        assert code == 0, out
        assert "This is a SageMaker notebook instance" in out
        assert "sagemaker:StopNotebookInstance of the notebook instance My-Notebook" in out
        assert "ok: credentials, region and route are there" in out
        assert f'"Resource": "{arn}"' in out
        code, out = run(METADATA / "notebook-instance.json", "--json")
        report = json.loads(out)
        assert (code, report["ready"], report["status"]) == (0, True, "InService")
        assert report["statement"]["Resource"] == arn
        assert not stand_in.stops()
        assert {call.operation for call in stand_in.calls} == {"DescribeNotebookInstance"}


def test_denied_and_no_route_are_told_apart(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with what mends it; exit code 1; nothing but describes was asked for."""
    with SageMakerStandIn(allows=lambda action, arn: False) as stand_in, socket.socket() as unused:
        arn = stand_in.add_app("d-abc123def456", "JupyterLab", space="my-space")
        for name, value in stand_in.env.items():
            monkeypatch.setenv(name, value)
        code, out = run(METADATA / "jupyterlab-space.json")
        assert code == 1
        assert "FAILED: sagemaker:DescribeApp is not allowed" in out
        assert f'"Resource": "{arn}"' in out
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", f"http://127.0.0.1:{port}")
        code, out = run(METADATA / "jupyterlab-space.json")
        assert code == 1
        assert "FAILED: no way to the SageMaker API" in out
        assert "com.amazonaws.eu-central-1.sagemaker.api" in out
        assert "Resource" not in out


@pytest.mark.parametrize("fault", ["expired", "no-credentials"])
def test_what_is_wrong_with_the_credentials_is_told(
    run: Run, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Expired, or none at all: exit code 1, and no word of permissions."""
    with SageMakerStandIn() as stand_in:
        stand_in.add_notebook("My-Notebook")
        stand_in.expired = fault == "expired"
        for name, value in stand_in.env.items():
            if fault == "expired" or "KEY" not in name:
                monkeypatch.setenv(name, value)
        monkeypatch.setenv("HOME", "/nonexistent")
        code, out = run(METADATA / "notebook-instance.json", "--json")
        report = json.loads(out)
        assert (code, report["ready"], report["fault"]) == (1, False, fault)
        assert report["mend"]
        assert "Allow" not in report["mend"]


def test_where_nothing_of_aws_is_stopped_there_is_nothing_to_ask(run: Run, tmp_path: Path) -> None:
    """A plain machine and Studio Classic: exit code 0; a damaged file: 1, with what is wrong."""
    code, out = run(METADATA / "studio-classic.json")
    assert code == 0
    assert "Studio Classic" in out
    damaged = tmp_path / "metadata.json"
    damaged.write_text("{")
    code, out = run(damaged)
    assert code == 1
    assert "damaged" in out
    assert main(["preflight"]) == 0  # this machine has no metadata


async def test_the_same_fault_in_other_words_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """AWS names times and requests in what it says: only another fault or mend is news."""
    environment = detect(str(METADATA / "notebook-instance.json"), {})
    assert environment.target is not None
    answers = tmp_path / "answers"
    program = f"""if True:
        import sys
        sys.stdin.readline(), sys.stdin.readline()
        first, *others = open({str(answers)!r}).readlines()
        open({str(answers)!r}, "w").writelines(others)
        print(first)
    """
    said = [
        ("clock", "signature expired: 20260101T000000Z", "set the clock"),
        ("clock", "signature expired: 20260101T000100Z", "set the clock"),
        ("denied", "not allowed", "add this"),
        ("denied", "not allowed (request 2)", "add that"),
        ("denied", "not allowed (request 3)", "add that"),
        ("", "it is InService", ""),
        ("denied", "not allowed (request 4)", "add that"),
    ]
    keys = ("fault", "detail", "mend")
    answers.write_text(
        "".join(json.dumps(dict(zip(keys, one, strict=True))) + "\n" for one in said)
    )
    told = []
    errand, log = Errand(environment.target, program=program), logging.getLogger(__name__)
    one = Preflight(environment, errand, log, 0.0, lambda: told.append(1))
    caplog.set_level(logging.INFO)
    for fault, _, _ in said:
        assert (await one.once()).fault == fault
    await one.stop()
    assert len(told) == len(said)
    logged = [record.getMessage() for record in caplog.records if record.name == log.name]
    words = ("20260101T000000Z", "add this", "(request 2)", "InService", "(request 4)")
    assert len(logged) == len(words), logged
    for line, word in zip(logged, words, strict=True):
        assert word in line


def test_what_was_mended_is_noticed_within_ten_minutes() -> None:
    """The pauses grow, and then no more."""
    assert list(itertools.islice(pauses(), 7)) == [60, 120, 240, 480, 600, 600, 600]
