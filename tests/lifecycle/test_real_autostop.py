"""The scripts with the autostop of this build in them: from the attachment to the stop."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator

import pytest

import build_autostop
from jupyter_idle_culler.lifecycle.render import render
from jupyter_idle_culler.lifecycle.scripts import ENVIRONMENTS, script_of

from ..aws.stand_in import CREDENTIALS
from .scripts import AUTOSTOPS, Machine, Script, name_of
from .throwaway_root import NOTEBOOK_ENV, ROOT, can_be_made, wait_until

pytestmark = [
    pytest.mark.skipif(not can_be_made(), reason="needs root and overlayfs"),
    pytest.mark.timeout(420),
]
IDLE = 45
METADATA = ROOT / "tests" / "fixtures" / "metadata" / "notebook-instance.json"
STAND_IN = """
import json, pathlib, time
from tests.aws.stand_in import SageMakerStandIn
with SageMakerStandIn() as aws:
    aws.add_notebook("My-Notebook")
    aws.add_notebook("neighbour")
    pathlib.Path("/var/tmp/aws-url").write_text(aws.url)
    while True:
        calls = [[call.operation, call.parameters, call.code] for call in aws.calls]
        pathlib.Path("/var/tmp/aws-calls.new").write_text(json.dumps(calls + aws.problems))
        pathlib.Path("/var/tmp/aws-calls.new").rename("/var/tmp/aws-calls")
        time.sleep(0.2)
"""


@pytest.fixture
def machine() -> Iterator[Machine]:
    """Give a machine to throw away."""
    with Machine() as machine:
        yield machine


def offline(script: Script, **values: str) -> str:
    """Return the form of a script that needs no network, with the real autostop in it."""
    values["AUTOSTOP"] = build_autostop.packed(ROOT, script.environment)
    text = script_of(ENVIRONMENTS[script.environment])
    return render(text, values, script.path).script.decode()


def looks(machine: Machine, log: str) -> list[str]:
    """Return what autostop logged, look by look, without the times."""
    return re.findall(r"^\S+Z (?!jupyter-idle-culler: )(.*)$", machine.read(log), re.M)


@pytest.mark.parametrize("script", AUTOSTOPS[3:], ids=name_of)
def test_it_unpacks_and_looks(machine: Machine, script: Script) -> None:
    """The first look, where nobody serves yet: one line, and no error."""
    ran = machine.attach(script, offline(script))
    assert (ran.returncode, ran.stdout.count("\n")) == (0, 1), ran.stdout
    (look, *_) = wait_until(lambda: looks(machine, script.log), "a look")
    assert "set up: background" in machine.read(script.log)
    if "classic" in script.path:
        assert look.startswith("unknown, so nothing is ended: ")
    else:
        assert look == "keeps: started; last evidence: started"
    assert machine.stderr(script) == ""


def test_an_idle_instance_ends_at_sagemaker_by_cron_alone(machine: Machine) -> None:
    """A real https server, a real cron, two looks and a warning: one stop, of this instance.

    cron tells autostop neither credentials nor region: the server's environment does.
    """
    script = AUTOSTOPS[3]
    python = f"{NOTEBOOK_ENV}/bin/python"
    machine.write("/opt/ml/metadata/resource-metadata.json", METADATA.read_bytes())
    machine.start("env", f"PYTHONPATH={ROOT}", sys.executable, "-c", STAND_IN)
    url = wait_until(lambda: machine.read("/var/tmp/aws-url"), "the stand-in for SageMaker")
    machine.shell(
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
        " -keyout /home/ec2-user/key.pem -out /home/ec2-user/cert.pem 2>/dev/null;"
        " chown ec2-user /home/ec2-user/*.pem"
    )
    told = {**CREDENTIALS, "AWS_ENDPOINT_URL_SAGEMAKER": url, "HOME": "/home/ec2-user"}
    machine.start(
        "env",
        *(f"{name}={value}" for name, value in told.items()),
        *(python, "-m", "jupyter_server", "--no-browser", "--port=8443", "--ip=127.0.0.1"),
        *("--certfile=/home/ec2-user/cert.pem", "--keyfile=/home/ec2-user/key.pem"),
        *("--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True"),
        "--ServerApp.jpserver_extensions={'jupyter_idle_culler': False}",
        user="ec2-user",
    )
    machine.start_cron()
    began = time.monotonic()
    ran = machine.attach(script, offline(script, IDLE_TIME=str(IDLE)))
    assert "set up: cron" in ran.stdout, ran.stdout

    def stops() -> list[object]:
        calls = json.loads(machine.read("/var/tmp/aws-calls") or "[]")
        return [call[1:] for call in calls if call[0] == "StopNotebookInstance"]

    try:
        wait_until(stops, "the stop", 300)
    except AssertionError:
        raise AssertionError(
            machine.read(script.log) + machine.read("/var/tmp/aws-calls")
        ) from None
    assert time.monotonic() - began > IDLE
    said = wait_until(
        lambda: [x for x in looks(machine, script.log) if "accepted" in x], "the line"
    )
    assert said[0].startswith("stops: idle for "), said
    assert [line.split(":")[0].split(" in ")[0] for line in looks(machine, script.log)].count(
        "warns"
    ) == 1
    time.sleep(65)  # and the next look does not ask again
    assert stops() == [[{"NotebookInstanceName": "My-Notebook"}, ""]]
    assert machine.stderr(script) == ""
