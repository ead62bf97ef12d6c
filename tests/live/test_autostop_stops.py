"""Autostop stops the instance that it runs on: at a stand-in for SageMaker, once, and warned of."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from jupyter_idle_culler.aws.sign_of_life import SIGN_TAG

from ..aws.fleet_stand_in import FleetStandIn
from .autostop_machine import IDLE, WARNING, AutostopMachine
from .test_autostop import in_terminal, looks_until

pytestmark = pytest.mark.timeout(200)


def test_an_idle_instance_is_warned_and_stopped_once(tmp_path: Path) -> None:
    """H1, T1: a terminal at its prompt shows the warning; then AWS is asked to stop, once."""
    with FleetStandIn() as aws:
        mine = aws.add_notebook("My-Notebook")
        aws.add_notebook("neighbour")
        env = {**aws.env, "AWS_ENDPOINT_URL_SAGEMAKER": aws.url}
        # The oldest Python there is need have no boto3.
        with AutostopMachine(tmp_path, sys.executable, env=env) as machine:
            tab = in_terminal(machine, "echo at the $((40 + 2)) prompt", "42")
            began = time.monotonic()
            verdicts = looks_until(machine, "AWS accepted the stop", 100, "-c", "--sign-of-life")
            assert time.monotonic() - began >= IDLE
            assert any(verdict.startswith("warns: ") for verdict in verdicts), verdicts
            tab.read_until("this machine stops in")
            verdict = machine.verdict("-c")
            assert "AWS accepted the stop; looked at again in" in verdict
        stops = [call for call in aws.calls if call.operation == "StopNotebookInstance"]
        assert [call.parameters for call in stops] == [{"NotebookInstanceName": "My-Notebook"}]
        assert aws.tags.keys() == {mine}
        assert aws.tags[mine][SIGN_TAG].endswith("Z working")  # it was idle for seconds only


def test_work_that_begins_after_the_warning_takes_it_back(tmp_path: Path) -> None:
    """A job that begins while a warning stands keeps the machine; its end starts the time anew."""
    with AutostopMachine(tmp_path) as machine:
        tab = in_terminal(machine, "echo at the $((40 + 2)) prompt", "42")
        looks_until(machine, "warns: ", 90, "-c", "--dry-run")
        tab.run("sleep 4")
        looks_until(machine, "sleep 4", 20, "-c", "--dry-run")
        ended = time.monotonic()
        looks_until(machine, "would stop", 100, "-c", "--dry-run")
        assert time.monotonic() - ended >= IDLE - WARNING


def test_a_server_that_does_not_answer_is_unknown(tmp_path: Path) -> None:
    """Nothing is stopped while the server says nothing, and the line says so."""
    with AutostopMachine(tmp_path) as machine:
        looks_until(machine, "stops in", 60, "-c", "--dry-run")
        nowhere = machine.url.replace(str(machine.port), "1")
        verdict = machine.verdict("-c", "--dry-run", "--base-url", nowhere)
        assert verdict.startswith("keeps: kept, because it cannot be seen"), verdict
        assert "api/kernels" in verdict or "nobody is seen to listen" in verdict, verdict


@pytest.mark.parametrize("content", ["", "{", "[]", '{"form": 1, "boot": "another"}', "\x00" * 40])
def test_a_state_file_that_is_no_use_starts_afresh(tmp_path: Path, content: str) -> None:
    """Empty, cut, of another kind, from another boot: as if the machine had just started."""
    with AutostopMachine(tmp_path) as machine:
        machine.state.write_text(content)
        verdict = machine.verdict("-c", "--dry-run")
        assert verdict.startswith("keeps: "), verdict
        assert "stops in" in looks_until(machine, "stops in", 60, "-c", "--dry-run")[-1]
