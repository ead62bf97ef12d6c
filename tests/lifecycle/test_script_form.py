"""What every script of lifecycle-configs has in common, seen without running it."""

from __future__ import annotations

import json
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from .throwaway_root import LIFECYCLE, ROOT

SCRIPTS = sorted(LIFECYCLE.glob("*/*.sh"))
MOST_BYTES = 12_288
"""Of a script: 16,384 characters of base64 is what SageMaker takes."""

EVERYWHERE = ("VERSION", "WHEEL", "WHEEL_SHA256", "INDEX_URL", "AUTOSTOP")
OWN = {
    "notebook-instance/on-start.sh": (
        "IDLE_TIME", "CRON_SCHEDULE", "IGNORE_CONNECTIONS", "SIGN_OF_LIFE",
    ),
    "notebook-instance/on-start-extension.sh": ("TIMEOUT_IN_MINS", "SIGN_OF_LIFE"),
    "studio-jupyterlab/on-start.sh": ("TIMEOUT_IN_MINS", "SIGN_OF_LIFE"),
    "studio-code-editor/on-start.sh": ("IDLE_TIME", "CHECK_EVERY", "SIGN_OF_LIFE"),
    "studio-classic/on-jupyter-server-start.sh": ("TIMEOUT_IN_MINS", "KEEP_TERMINALS"),
}  # fmt: skip
every_script = pytest.mark.parametrize(
    "path", SCRIPTS, ids=lambda path: str(path.relative_to(LIFECYCLE))
)


def bare(text: str) -> str:
    """Return a script as the offline form has it: no fetching, no comments, no empty lines."""
    text = re.sub(r"^# Online only\n.*?^# End of online only\n", "", text, flags=re.M | re.S)
    lines = text.split("\n")
    kept = [line for line in lines[1:] if line.strip() and not line.lstrip().startswith("#")]
    return "\n".join([lines[0], *kept, ""])


def parameters(text: str) -> dict[str, str]:
    """Return the parameters of a script, in their order."""
    block = text.partition("\n# Parameters\n")[2].partition("# End of parameters\n")[0]
    lines = block.splitlines()
    assert all(line.startswith("# ") for line in lines[::2]), lines
    return dict(re.fullmatch(r"([A-Z_0-9]+)='([^']*)'", line).groups() for line in lines[1::2])  # type: ignore[union-attr,misc]


def functions(text: str) -> dict[str, str]:
    """Return the functions of a script with the comments above them."""
    found = re.findall(r"^((?:#[^\n]*\n)*)([a-z_]+)\(\) \{\n(.*?)^\}$", text, flags=re.M | re.S)
    return {name: comment + body for comment, name, body in found}


def test_there_is_a_script_for_each_environment() -> None:
    """Five of them, and a README in each folder."""
    assert {str(path.relative_to(LIFECYCLE)) for path in SCRIPTS} == set(OWN)
    assert all((path.parent / "README.md").exists() for path in SCRIPTS)


@every_script
def test_its_parameters_are_those_that_render_knows(path: Path) -> None:
    """One a line, each with a comment above it; the version is that of the package."""
    found = parameters(path.read_text())
    assert tuple(found) == EVERYWHERE + OWN[str(path.relative_to(LIFECYCLE))]
    assert found["VERSION"] == json.loads((ROOT / "package.json").read_text())["version"]


@every_script
def test_it_fits_into_a_lifecycle_configuration(path: Path) -> None:
    """As it lies here, comments and all; test_render looks at all the other forms."""
    assert len(path.read_bytes()) <= MOST_BYTES


@every_script
def test_it_has_the_form_that_cannot_be_cut_short(path: Path) -> None:
    """bash, LF, strict, `main` last, executable; no trace that would tell secrets."""
    text = path.read_text()
    assert text.startswith("#!/bin/bash\n")
    assert text.endswith('\n}\n\nmain "$@"\n')
    assert "\r" not in path.read_bytes().decode()
    assert "\nset -Eeuo pipefail\n" in text
    assert "set -x" not in text
    assert "xtrace" not in text
    assert path.stat().st_mode & 0o111
    assert not re.search(r"https?://|crontab", text)


@every_script
def test_it_is_still_a_script_without_its_comments(path: Path) -> None:
    """Taking out comments and what fetches leaves what bash can read."""
    ran = subprocess.run(
        ["bash", "-n"], input=bare(path.read_text()), text=True, capture_output=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_what_several_scripts_do_they_do_in_the_same_words() -> None:
    """A script stands alone, so functions are repeated: a correction must reach all of them."""
    differ = {"work", "main", "restart", "python", "schedule"}
    versions = defaultdict(set)
    for path in SCRIPTS:
        text = path.read_text().replace("# Online only\n", "")
        for name, body in functions(text).items():
            if name not in differ:
                versions[name].add(body)
    assert {name for name, bodies in versions.items() if len(bodies) > 1} == set()
    assert {"put", "fetch", "good", "wheel", "autostop", "extension"} <= versions.keys()


def test_a_checkout_on_windows_keeps_the_line_ends() -> None:
    """.gitattributes says LF for shell scripts, whatever git is configured to."""
    said = subprocess.run(
        ["git", "check-attr", "eol", "lifecycle-configs/studio-classic/on-jupyter-server-start.sh"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.endswith("eol: lf\n")
