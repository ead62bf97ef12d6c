"""The scripts that install the extension: into a real environment, by a real pip."""

from __future__ import annotations

import hashlib
import json
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..old_pythons import beside
from .scripts import EXTENSIONS, WHEEL_NAME, Machine, Script, name_of, packed, recorder_wheel
from .throwaway_root import ROOT, can_be_made, wait_until

WHEEL = next(iter((ROOT / ".stamps" / "wheels").glob("*.whl")), None)
pytestmark = [
    pytest.mark.skipif(not can_be_made(), reason="needs root and overlayfs"),
    pytest.mark.skipif(WHEEL is None, reason="needs the wheel: make .stamps/wheel"),
]
every_script = pytest.mark.parametrize("script", EXTENSIONS, ids=name_of)
CONFIG = "etc/jupyter/jupyter_jupyter_idle_culler_config.json"


@pytest.fixture
def wheel() -> Path:
    """Give the wheel of this package, as users get it."""
    assert WHEEL is not None
    return WHEEL


@pytest.fixture
def machine() -> Iterator[Machine]:
    """Give a machine whose notebook instance's restart is noted as well."""
    with Machine() as machine:
        machine.write(
            "/usr/local/bin/systemctl",
            '#!/bin/sh\necho "$*" >>/var/tmp/restarts-asked\n',
            mode=0o755,
        )
        yield machine


def restarts(machine: Machine, script: Script) -> int:
    """Return how often the server was restarted, in the way of the environment."""
    if "instance" in script.path:
        asked = machine.read("/var/tmp/restarts-asked").splitlines()
        asked = [line for line in asked if line != "stop jupyter-idle-culler.timer"]
        assert set(asked) <= {"--no-block restart jupyter-server.service"}
        return len(asked)
    return len(machine.restarts())


def listed(machine: Machine, script: Script) -> str:
    """Return what the server of the environment says of its extensions."""
    text = machine.run(
        f"{script.jupyter}/bin/python", "-m", "jupyter", "server", "extension", "list",
        user="root" if script.user == "root" else script.user,
    ).stdout  # fmt: skip
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@every_script
def test_from_an_index_it_is_installed_and_the_server_restarted_once(
    machine: Machine, script: Script, wheel: Path
) -> None:
    """A second run changes no byte and restarts nothing."""
    machine.index(wheel)
    assert "jupyter_idle_culler" not in listed(machine, script)
    ran = machine.attach(script, TIMEOUT_IN_MINS="45")
    assert ran.returncode == 0
    log = machine.settle(script)
    assert "the extension 0.1.0 is installed; the server restarts" in log, log
    assert re.search(r"jupyter_idle_culler\s+\S+\s+OK", listed(machine, script))
    assert restarts(machine, script) == 1
    before = machine.tree()
    again = machine.attach(script, TIMEOUT_IN_MINS="45")
    assert "is installed already" in again.stdout, again.stdout
    after = machine.tree()
    assert {p for p, _ in before.items() ^ after.items() if not p.endswith(".log")} == set()
    assert restarts(machine, script) == 1
    # Another timeout is a change: it is written, and the server restarted for it.
    machine.attach(script, TIMEOUT_IN_MINS="30")
    machine.settle(script)
    written = json.loads(machine.read(f"{script.jupyter}/{CONFIG}"))
    assert written == {"IdleCuller": {"timeout_minutes": 30}}
    assert restarts(machine, script) == 2
    machine.attach(script, TIMEOUT_IN_MINS="30", SIGN_OF_LIFE="yes")
    machine.settle(script)
    written = json.loads(machine.read(f"{script.jupyter}/{CONFIG}"))
    assert written == {"IdleCuller": {"timeout_minutes": 30, "sign_of_life": True}}


@every_script
def test_the_server_keeps_the_timeout_that_was_given(
    machine: Machine, script: Script, wheel: Path
) -> None:
    """A real server started afterwards, with nothing in its environment, culls after it."""
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    machine.write(f"/mnt/{WHEEL_NAME}", wheel.read_bytes())
    machine.attach(script, WHEEL=f"/mnt/{WHEEL_NAME}", WHEEL_SHA256=digest, TIMEOUT_IN_MINS="45")
    assert "is installed" in machine.settle(script)
    machine.start(
        f"{script.jupyter}/bin/python", "-m", "jupyter", "server", "--allow-root", "--no-browser",
        "--ServerApp.port=8888", "--IdentityProvider.token=secret", "--ServerApp.root_dir=/tmp",
        user=script.user,
    )  # fmt: skip
    ask = (
        "import urllib.request as u; print(u.urlopen(u.Request("
        "'http://127.0.0.1:8888/api/idle-culler/v1/settings',"
        "headers={'Authorization': 'token secret'})).read().decode())"
    )

    def answered() -> str:
        ran = machine.run("python3", "-c", ask)
        return str(ran.stdout) if ran.returncode == 0 else ""

    settings = json.loads(wait_until(answered, "the settings of the server", 60))
    assert "45" in json.dumps(settings), settings


@every_script
def test_a_wheel_with_another_sha256_installs_nothing(
    machine: Machine, script: Script, wheel: Path
) -> None:
    """It is said in the log, no server is restarted, the environment is as it was."""
    machine.write(f"/mnt/{WHEEL_NAME}", wheel.read_bytes())
    before = set(machine.tree())
    ran = machine.attach(script, WHEEL=f"/mnt/{WHEEL_NAME}", WHEEL_SHA256="1" * 64)
    assert ran.returncode == 0
    log = machine.settle(script)
    assert "the wheel has another sha256 than 111" in log
    assert "no autostop: nothing will be stopped" in log
    new = {p for p in set(machine.tree()) - before if "anaconda3" in p or "site-packages" in p}
    assert new == set()
    assert restarts(machine, script) == 0


@every_script
@pytest.mark.parametrize("missing", ["python", "server", "lab"])
def test_where_something_is_too_old_autostop_takes_its_place(
    machine: Machine, script: Script, missing: str, tmp_path: Path
) -> None:
    """The log says what is too old; autostop runs out of the same wheel, and nothing restarts."""
    machine.index(recorder_wheel(tmp_path))
    if missing == "python":
        old = beside(8)
        if not old:
            pytest.skip("needs a Python 3.8 beside the one that runs the tests")
        machine.shell(f"mount -t tmpfs none {script.jupyter}; mkdir {script.jupyter}/bin")
        machine.shell(f"chmod 755 {script.jupyter}; ln -s {old[0]} {script.jupyter}/bin/python")
        why = "Python 3.8 is older than 3.10"
    else:
        name = {"server": "jupyter_server", "lab": "jupyterlab"}[missing]
        (place,) = (machine.path / script.jupyter.lstrip("/")).glob(
            f"lib/python3.*/site-packages/{name}-*.dist-info"
        )
        inside = f"{script.jupyter}/{place.relative_to(machine.path / script.jupyter.lstrip('/'))}"
        text = (place / "METADATA").read_text()
        text = re.sub(
            r"^Version: .*$",
            "Version: 2.7.0" if name != "jupyterlab" else "Version: 3.6.8",
            text,
            count=1,
            flags=re.M,
        )
        machine.write(f"{inside}/METADATA", text)
        why = (
            "jupyter_server 2.7.0 is older than 2.14"
            if missing == "server"
            else "jupyterlab 3.6.8 is older than 4.0"
        )
    ran = machine.attach(script, TIMEOUT_IN_MINS="10", SIGN_OF_LIFE="yes")
    assert ran.returncode == 0
    log = machine.settle(script)
    assert why in log, log
    assert "autostop in its place" in log
    words = wait_until(machine.runs, "the loop")[0]["words"]
    assert words[:5] == [
        "--environment",
        script.environment.removesuffix("-extension"),
        "--time",
        "600",
        "--sign-of-life",
    ]
    assert "-c" in words
    assert restarts(machine, script) == 0


@every_script
def test_without_a_network_autostop_that_is_inlined_takes_its_place(
    machine: Machine, script: Script
) -> None:
    """No wheel to be had: after another try the packed autostop runs."""
    machine.write("/usr/local/bin/sleep", "#!/bin/sh\nexec /bin/sleep 0.3\n", mode=0o755)
    machine.write("/etc/pip.conf", "[global]\nno-index = true\n")
    ran = machine.attach(script, AUTOSTOP=packed())
    assert ran.returncode == 0
    log = machine.settle(script)
    assert "the extension could not be installed: autostop in its place" in log, log
    assert wait_until(machine.runs, "the loop")
    assert restarts(machine, script) == 0


@every_script
def test_an_interrupted_installation_is_made_good(
    machine: Machine, script: Script, wheel: Path
) -> None:
    """Killed while pip installs, the next run ends with all of it there, and one restart."""
    machine.index(wheel)
    machine.give(script)
    machine.write("/tmp/lifecycle/script.sh", script.filled(), 0o755, script.user)
    chance = random.Random(script.path)  # noqa: S311 - instants, not secrets
    for _ in range(3):
        started = machine.start("/bin/bash", "/tmp/lifecycle/script.sh", user=script.user)
        time.sleep(chance.uniform(0.3, 4.0))
        machine.kill_all()
        started.wait(10)
    machine.attach(script)
    log = machine.settle(script)
    assert "is installed" in log.splitlines()[-1], log
    checked = machine.shell(
        f"{script.jupyter}/bin/python -c 'import importlib.metadata as m, pathlib\n"
        'd = m.distribution("jupyter_idle_culler")\n'
        "print([str(f) for f in d.files if not f.locate().exists()])'"
    )
    assert checked == "[]\n"
    assert 1 <= restarts(machine, script) <= 2
    assert not [path for path in machine.tree() if path.endswith("restart-due")]


def test_unified_studio_is_restarted_by_its_own_command(machine: Machine, wheel: Path) -> None:
    """Where the metadata says that it is Unified Studio, or there is no other command."""
    script = next(s for s in EXTENSIONS if s.user == "sagemaker-user")
    machine.index(wheel)
    machine.write("/opt/ml/metadata/resource-metadata.json", '{"AdditionalMetadata": {}}')
    machine.attach(script)
    machine.settle(script)
    assert machine.restarts() == ["restart-sagemaker-ui-jupyter-server"]


def test_a_restart_that_hangs_or_is_missing_is_said(machine: Machine, wheel: Path) -> None:
    """Without either command the extension is installed, and the log says what is left to do."""
    script = next(s for s in EXTENSIONS if s.user == "sagemaker-user")
    machine.index(wheel)
    machine.shell("rm /usr/local/bin/restart-*")
    machine.attach(script)
    assert "it works once the server was restarted" in machine.settle(script)
    again = machine.attach(script)
    assert "is installed already" in again.stdout
