"""What the tests of lifecycle configurations share: the command, a stand-in, a packed autostop."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from build_autostop.lettering import LETTERS
from jupyter_idle_culler.cli.commands import main
from jupyter_idle_culler.lifecycle import scripts

from ..aws.lifecycle_stand_in import LifecycleStandIn
from ..aws.stand_in import REGION

Run = Callable[..., tuple[int, str, str]]
PACKED_BYTES = {"notebook-instance": 9600}
"""So large the packed autostop is, about; 8,000 where it is not named."""


@functools.cache
def packed(name: str) -> str:
    """Return text as the build packs autostop in, of its size; each character of it occurs."""
    length = PACKED_BYTES.get(name, 8000)
    begin = LETTERS + "<<EOF"
    rest = os.urandom(length - len(begin))
    return begin + "".join(LETTERS[byte % len(LETTERS)] for byte in rest)


@pytest.fixture
def payloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with a packed autostop for each environment that inlines one."""
    folder = tmp_path / "payloads"
    folder.mkdir()
    for environment in scripts.ENVIRONMENTS.values():
        if not environment.extension:
            (folder / f"{environment.name}.txt").write_text(packed(environment.name) + "\n")
    monkeypatch.setattr(scripts, "PAYLOADS", folder)
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``jupyter idle-culler lifecycle-config`` and return code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(("lifecycle-config", *arguments))
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[LifecycleStandIn]:
    """Give a SageMaker that boto3 here speaks to; it must find nothing wrong with what is asked."""
    with LifecycleStandIn() as stand_in:
        for name, value in stand_in.env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
        yield stand_in
        assert stand_in.problems == []
