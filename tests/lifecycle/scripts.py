"""The scripts as an administrator attaches them, and an autostop that only tells that it ran."""

from __future__ import annotations

import json
import lzma
import re
import shlex
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build_autostop.lettering import written

from .throwaway_root import LIFECYCLE, NOTEBOOK_ENV, STUDIO_ENV, ThrowawayRoot

RUNS = "/var/tmp/autostop-runs"
_PLACE = "/tmp/lifecycle/script.sh"
WHEEL_NAME = "jupyter_idle_culler-0.1.0-py3-none-any.whl"
RECORDER = f"""
import json, os, sys, time
words = sys.argv[1:]
if words[words.index("--time") + 1].strip("0123456789"):
    sys.exit(2)
if "-h" not in words:
    with open({RUNS!r}, "a") as runs:
        runs.write(json.dumps({{"words": words, "uid": os.getuid(), "python": sys.executable}}))
        runs.write("\\n")
    while "--every" in words:
        time.sleep(1)
"""
"""Notes each run, stays where ``--every`` says so, and refuses a time-out that is no number."""


@dataclass(frozen=True)
class Script:
    """One script: where it lies, who runs it, where it puts its things."""

    path: str
    user: str
    environment: str
    folder: str
    log: str
    jupyter: str

    @property
    def text(self) -> str:
        """The script as it is in the repository."""
        return (LIFECYCLE / self.path).read_text()

    def filled(self, **parameters: str) -> str:
        """Return the script with these parameters."""
        text = self.text
        for name, value in parameters.items():
            found = re.search(rf"^{name}='.*'$", text, flags=re.M)
            assert found is not None, name
            text = f"{text[: found.start()]}{name}={shlex.quote(value)}{text[found.end() :]}"
        return text


def _instance(path: str, user: str) -> Script:
    name = "jupyter-idle-culler"
    return Script(
        f"notebook-instance/{path}",
        user,
        "notebook-instance",
        f"/usr/local/lib/{name}",
        f"/var/log/{name}.log",
        NOTEBOOK_ENV,
    )


def _space(path: str, user: str) -> Script:
    home = "/root" if user == "root" else f"/home/{user}"
    folder = f"{home}/.local/share/jupyter-idle-culler"
    environment = path.partition("/")[0]
    return Script(path, user, environment, folder, f"{folder}/autostop.log", STUDIO_ENV)


AUTOSTOPS = [
    script
    for user, other in (("root", "root"), ("ec2-user", "sagemaker-user"))
    for script in (
        _instance("on-start.sh", user),
        _space("studio-code-editor/on-start.sh", other),
        _space("studio-classic/on-jupyter-server-start.sh", other),
    )
]
EXTENSIONS = [
    script
    for user, other in (("root", "root"), ("ec2-user", "sagemaker-user"))
    for script in (
        _instance("on-start-extension.sh", user),
        _space("studio-jupyterlab/on-start.sh", other),
    )
]
EVERY = AUTOSTOPS + EXTENSIONS


def name_of(script: Script) -> str:
    """Return the name of a script in the name of a test."""
    return f"{script.path.partition('.')[0]}-{script.user}"


def packed(source: str = RECORDER) -> str:
    """Return Python source as the scripts inline it."""
    return written(lzma.compress(source.encode()))


def recorder_wheel(folder: Path) -> Path:
    """Make a wheel whose autostop only tells that it ran."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / WHEEL_NAME
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("jupyter_idle_culler/__init__.py", "")
        archive.writestr("jupyter_idle_culler/autostop/__init__.py", "")
        archive.writestr("jupyter_idle_culler/autostop/__main__.py", RECORDER)
        info = "jupyter_idle_culler-0.1.0.dist-info"
        archive.writestr(
            f"{info}/METADATA",
            "Metadata-Version: 2.1\nName: jupyter_idle_culler\nVersion: 0.1.0\n"
            "Requires-Python: >=3.10\n",
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return wheel


class Machine(ThrowawayRoot):
    """A root laid out as FACTS has it: both Jupyter environments, an index that is a folder."""

    def __init__(self, *, environments: bool = True) -> None:
        super().__init__()
        if environments:
            for place in (NOTEBOOK_ENV, STUDIO_ENV):
                self.bind(sys.prefix, place)
            # The package under test is in this environment; there it is not.
            self.shell(
                f"cd {STUDIO_ENV}; rm -rf lib/python*/site-packages/*jupyter_idle_culler*"
                " etc/jupyter/jupyter_server_config.d/jupyter_idle_culler.json"
                " share/jupyter/labextensions/jupyter_idle_culler"
                " lib/python*/site-packages/__editable__*"
            )
            self.shell("chown ec2-user /home/ec2-user /home/ec2-user/anaconda3")
        self.write(RUNS, "", mode=0o666)
        for name in ("restart-jupyter-server", "restart-sagemaker-ui-jupyter-server"):
            self.write(
                f"/usr/local/bin/{name}", f"#!/bin/sh\necho {name} >>/var/tmp/restarts\n", 0o755
            )
        self.write("/var/tmp/restarts", "", mode=0o666)

    def index(self, wheel: Path) -> None:
        """Make pip's index a folder with this wheel."""
        self.write(f"/wheels/{WHEEL_NAME}", wheel.read_bytes())
        self.write("/etc/pip.conf", "[global]\nno-index = true\nfind-links = /wheels\n")

    def attach(
        self, script: Script, text: str | None = None, **parameters: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a script as its environment does."""
        self.place(script, text or script.filled(**parameters))
        return self.run_placed(script)

    def place(self, script: Script, text: str) -> None:
        """Put a script where its environment has it."""
        self.give(script)
        self.write(_PLACE, text, mode=0o755, user=script.user)

    def run_placed(self, script: Script) -> subprocess.CompletedProcess[str]:
        """Run what was placed, as its environment does."""
        return self.run("/bin/bash", _PLACE, user=script.user)

    def give(self, script: Script) -> None:
        """Give the script's Jupyter environment to its image's user, where pip writes to it."""
        owner = "ec2-user" if script.jupyter == NOTEBOOK_ENV else "sagemaker-user"
        self.shell(
            f"cd {script.jupyter}; chown {owner} . bin etc etc/jupyter etc/jupyter/*.d share"
            " share/jupyter share/jupyter/labextensions lib/python*/site-packages 2>/dev/null; true"
        )

    def runs(self) -> list[dict[str, Any]]:
        """Return what the recording autostop was called with, run by run."""
        return [json.loads(line) for line in self.read(RUNS).splitlines()]

    def stderr(self, script: Script) -> str:
        """Return what autostop itself complained of last."""
        place = "/run/jupyter-idle-culler"
        if script.jupyter == STUDIO_ENV:
            place = f"/tmp/jupyter-idle-culler-{self.shell(f'id -u {script.user}').strip()}"
        return self.read(f"{place}/stderr")

    def restarts(self) -> list[str]:
        """Return the restarts of the Jupyter server that were asked for."""
        return self.read("/var/tmp/restarts").split()

    def settle(self, script: Script) -> str:
        """Wait until the script has set up, in the background as well; return its log."""
        import time

        from .throwaway_root import wait_until

        def settled() -> str:
            log = self.read(script.log)
            said = log.splitlines()[-1:]
            ends = ("set up: ", "nothing will be stopped", "is installed", "failed at")
            return log if said and any(end in said[0] for end in ends) else ""

        log = wait_until(settled, f"the end of {script.path}: {self.read(script.log)}")
        time.sleep(0.2)
        return str(log)
