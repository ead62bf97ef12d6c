"""The zip for Lambda: the same bytes each time, nothing foreign in it, at home with boto3 alone."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from jupyter_idle_culler.cli import main
from jupyter_idle_culler.fleet.package import build, files, template

from ..aws.fleet_stand_in import FleetStandIn

AWS = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
_ALONE = """
import json, sys
sys.path[:0] = [{code!r}]
import jupyter_idle_culler.fleet.handlers as handlers
early = sorted({{name.partition(".")[0] for name in sys.modules}} & {{"boto3", "botocore"}})
sys.path.append({aws!r})
answer = None
event = {event!r}
if event:
    answer = handlers.schedule_handler(json.loads(event))
tops = {{name.partition(".")[0] for name in sys.modules}} - set(sys.stdlib_module_names)
tops = {{name for name in tops if not name.startswith("_")}}
places = sorted(str(getattr(sys.modules[n], "__file__", "")) for n in sys.modules if "culler" in n)
print(json.dumps({{"early": early, "tops": sorted(tops), "answer": answer, "places": places}}))
"""


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the zip, as Lambda does."""
    folder = tmp_path_factory.mktemp("code")
    with zipfile.ZipFile(io.BytesIO(build())) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with boto3 and what it needs, and nothing else."""
    folder = tmp_path_factory.mktemp("aws")
    for name in AWS:
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.origin is not None
        origin = Path(found.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        (folder / source.name).symlink_to(source)
    return folder


def alone(code: Path, aws: Path, event: Any = None, env: dict[str, str] | None = None) -> Any:
    """Import the handlers in a Python with no site-packages; call one where an event is given."""
    text = None if event is None else json.dumps(event)
    script = _ALONE.format(code=str(code), aws=str(aws), event=text)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", "-c", script],
        env={"PATH": os.environ["PATH"], **(env or {})},
        cwd=code,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_zip_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    """Also by another process, in another time zone, with another umask: what differs is code."""
    script = "import sys; from jupyter_idle_culler.fleet.package import build\n"
    script += "sys.stdout.buffer.write(build())"
    other = subprocess.run(
        ["sh", "-c", 'umask 077; exec "$0" -c "$1"', sys.executable, script],
        env={**os.environ, "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7"},
        cwd=tmp_path,
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert other.stdout == build()


def test_the_zip_holds_what_the_functions_need_and_nothing_else() -> None:
    """No part of Jupyter, no test, no template; and not what only an administrator uses."""
    names = set(files())
    ours = {name for name in names if not name.startswith("tzdata/")}
    assert {"jupyter_idle_culler/__init__.py", "jupyter_idle_culler/errors.py"} < ours
    rest = ours - {"jupyter_idle_culler/__init__.py", "jupyter_idle_culler/errors.py"}
    assert all(name.startswith("jupyter_idle_culler/fleet/") for name in rest)
    assert not any("guardrails" in name or name.endswith("package.py") for name in rest)
    assert "tzdata/zoneinfo/Europe/Berlin" in names
    assert len(build()) < 3_000_000


def test_it_is_imported_without_boto3_and_runs_with_nothing_but_it(code: Path, aws: Path) -> None:
    """No site-packages: the handlers come from the zip, boto3 only when something is asked."""
    found = alone(code, aws)
    assert found["early"] == []
    assert found["tops"] == ["jupyter_idle_culler"]
    assert found["places"]
    assert all(place.startswith(str(code)) for place in found["places"])


def test_a_packaged_function_stops_an_instance(code: Path, aws: Path) -> None:
    """The zip's own code asks the stand-in, with boto3 alone beside it."""
    sagemaker = FleetStandIn()
    with sagemaker:
        sagemaker.add("dev-a")
        event = {"action": "stop", "name_contains": "dev-", "stop_mode": "hard", "dry_run": False}
        found = alone(code, aws, event, sagemaker.env)
        assert [each["name"] for each in found["answer"]["changed"]] == ["dev-a"]
        assert sagemaker.at("dev-a") == "Stopping"
        assert set(found["tops"]) <= {"jupyter_idle_culler", *AWS}
        assert not sagemaker.problems


def test_time_zones_are_known_where_the_machine_has_none(code: Path, aws: Path) -> None:
    """Lambda's image may have none: those in the zip are found."""
    script = (
        f"import sys; sys.path[:0] = [{str(code)!r}]\n"
        "import zoneinfo; zoneinfo.reset_tzpath([])\n"
        "from jupyter_idle_culler.fleet.schedules import read_schedules\n"
        "for zone in ('Europe/Berlin', 'America/Argentina/Ushuaia', 'Etc/UTC', 'UTC'):\n"
        "    read_schedules({'a': {'time_zone': zone, 'start': '07:00', 'stop': '21:00'}})\n"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", script], check=True, timeout=60)


def test_the_command_line_makes_the_zip_and_prints_the_template(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the documentation says: package, then template."""
    made = tmp_path / "fleet.zip"
    assert main(["fleet", "package", "-o", str(made), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert made.read_bytes() == build()
    assert (told["file"], told["bytes"]) == (str(made), made.stat().st_size)
    assert main(["fleet", "template"]) == 0
    assert capsys.readouterr().out == template()
    assert main(["fleet", "template", "-o", str(tmp_path / "fleet.yaml")]) == 0
    assert (tmp_path / "fleet.yaml").read_text() == template()
    assert main(["fleet", "package", "-o", str(tmp_path / "none" / "fleet.zip")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_command_line_prints_policies(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON that IAM takes; one line where an instance type is wrong, or perhaps misspelt."""
    asked = ["fleet", "policy", "instance-types", "ml.t3.medium", "ml.m5.*", "--for", "studio"]
    assert main(asked) == 0
    (statement,) = json.loads(capsys.readouterr().out)["Statement"]
    assert "sagemaker:CreateSpace" in statement["Action"]
    assert main(["fleet", "policy", "instance-types", "t3.medium"]) == 2
    refused = capsys.readouterr()
    assert (refused.out, refused.err.count("\n")) == ("", 1)
    assert "'t3.medium' is no instance type" in refused.err
    assert main(["fleet", "policy", "instance-types", "ml.t3.meduim"]) == 0
    assert "is it spelt right?" in capsys.readouterr().err
    assert main(["fleet", "policy", "role", "schedule", "--action", "apply"]) == 0
    assert "StartAndStop" in capsys.readouterr().out
    assert main(["fleet", "policy", "role", "schedule", "--trust"]) == 0
    assert "lambda.amazonaws.com" in capsys.readouterr().out
    assert main(["fleet", "policy", "role", "endpoints", "--regions", "us-east-1,us-west-2"]) == 0
    assert '"aws:RequestedRegion": [' in capsys.readouterr().out
    assert main(["fleet", "policy", "role", "apps", "--regions", "us-east-1"]) == 2
    assert "works in one region" in capsys.readouterr().err
    assert main(["fleet", "policy", "role", "endpoints", "--action", "delete"]) == 2
    assert "needs a bucket" in capsys.readouterr().err
