"""Two scripts in one, run by the real bash: both run, whatever the other does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from jupyter_idle_culler.lifecycle import merge, size
from jupyter_idle_culler.lifecycle.scripts import ENVIRONMENTS, LifecycleError, script_of

FIRST = b"#!/bin/bash\necho first\n"
SECOND = b"#!/bin/bash\necho second\n"


def run(script: bytes, folder: Path) -> tuple[int, str]:
    """Run a script as SageMaker does: from a file, by its first line."""
    file = folder / "script"
    file.write_bytes(script)
    file.chmod(0o755)
    ran = subprocess.run(
        [file], capture_output=True, text=True, check=False, timeout=30, env={"TMPDIR": str(folder)}
    )
    assert ran.stderr == ""
    assert [path.name for path in folder.iterdir()] == ["script"], "what it wrote is gone again"
    return ran.returncode, ran.stdout


@pytest.mark.parametrize(
    ("first", "second", "code", "said"),
    [
        (FIRST, SECOND, 0, "first\nsecond\n"),
        (b"#!/bin/bash\nexit 3\n", SECOND, 3, "second\n"),
        (b"#!/bin/bash -e\nfalse\necho never", SECOND, 1, "second\n"),
        (b"#!/bin/bash\nset -e\nkill -9 $$\n", SECOND, 137, "second\n"),
        (FIRST, b"#!/bin/bash\nexit 4\n", 4, "first\n"),
        (b"#!/usr/bin/env python3\nprint('first')\n", SECOND, 0, "first\nsecond\n"),
        (b"echo $((1 + 1)) '$HOME' \\\\", SECOND, 0, "2 $HOME \\\nsecond\n"),
        (b"#!/bin/sh\ncat\necho END_OF_SCRIPT\nEND_OF_SCRIPT() { :; }\n", SECOND, 0, None),
        (b"#!/bin/bash\ncat <<'X'\nEND_OF_SCRIPT\nEND_OF_SCRIPT_\nX\n", SECOND, 0, None),
    ],
)
def test_both_run(first: bytes, second: bytes, code: int, said: str | None, tmp_path: Path) -> None:
    """A failure, an exit or a kill of one does not skip the other; the whole fails as it would."""
    script = merge.merge(first, "a", second, "b")
    ended, out = run(script, tmp_path)
    assert ended == code
    assert out == said if said is not None else out.endswith("second\n")
    assert merge.parts(script) == ("a", "b")
    assert merge.first_of(script) == first + (b"" if first.endswith(b"\n") else b"\n")


def test_a_merged_script_can_be_merged_again(tmp_path: Path) -> None:
    """The outer one is taken apart first."""
    inner = merge.merge(FIRST, "a", SECOND, "b")
    outer = merge.merge(inner, "a-and-b", b"echo third\n", "c")
    assert run(outer, tmp_path) == (0, "first\nsecond\nthird\n")
    assert merge.parts(outer) == ("a-and-b", "c")
    assert merge.first_of(outer) == inner


def test_ours_is_shortened_before_anything_is_refused() -> None:
    """The other's script is never touched; where both are too long the figures are said."""
    ours = script_of(ENVIRONMENTS["studio-jupyterlab"]).encode()
    room = size.MOST_BYTES - len(ours) + 200
    theirs = b"#!/bin/bash\n# theirs\n" + b"x" * room + b"\n"
    script = merge.merge(theirs, "a", ours, "b")
    assert merge.first_of(script) == theirs
    assert b"# End of parameters" not in script
    with pytest.raises(LifecycleError, match="a and b in one script is too long for AWS by"):
        merge.merge(theirs + b"y" * 6000, "a", ours, "b")
    with pytest.raises(LifecycleError, match="NUL"):
        merge.merge(b"\0", "a", ours, "b")


def test_the_name_of_two_fits_and_tells_them() -> None:
    """At most 63 characters, and different for different ones."""
    assert merge.merged_name("theirs", "autostop") == "theirs-and-autostop"
    long = merge.merged_name("a" * 63, "b" * 63)
    assert len(long) <= 63
    assert long != merge.merged_name("a" * 63, "b" * 62)


def test_other_scripts_are_not_taken_for_two() -> None:
    """Also those of one line, or of none."""
    for script in (b"", b"#!/bin/bash", FIRST, b"a\nb\nc\n"):
        assert merge.parts(script) is None
