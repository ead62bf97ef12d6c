"""The packed autostop: the same core in one file, for the Python of old images."""

from __future__ import annotations

import re
import subprocess
import sys
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import build_autostop
from build_autostop.lettering import CannotBeWritten, unpacked, written
from jupyter_idle_culler.core.decision import decide
from jupyter_idle_culler.core.model import (
    EVERYTHING,
    HOST,
    Observation,
    Policy,
    Snapshot,
    SourceFailure,
    State,
    Verdict,
)
from tests.strategies import DURATIONS, INSTANTS, NOW, histories, policies

ROOT = Path(build_autostop.__file__).parent.parent
SHARED = [ROOT / "jupyter_idle_culler" / folder for folder in ("core", "autostop")]
SHARED += [ROOT / "jupyter_idle_culler" / "sources" / "procfs.py"]


@lru_cache
def embedded(environment: str) -> dict[str, Any]:
    """Load the one file as it is before its names are made short."""
    text = build_autostop.source(ROOT, environment).replace("sys.exit(main())", "")
    module = sys.modules["embedded"] = types.ModuleType("embedded")  # dataclasses look there
    names = module.__dict__
    exec(compile(text, "embedded", "exec"), names)  # noqa: S102 - it is our own build's
    return names


def moved(value: Any, names: Mapping[str, Any]) -> Any:
    """Rebuild a value from the classes of these names, by the names of its own classes."""
    kind: Any = names.get(type(value).__name__, type(value))  # what it never makes is left out
    if isinstance(value, Enum):
        return kind[value.name]
    if is_dataclass(value):
        parts = {field.name: moved(getattr(value, field.name), names) for field in fields(value)}
        return kind(**parts)
    if hasattr(value, "_asdict"):
        return kind(**{k: moved(v, names) for k, v in value._asdict().items()})
    if isinstance(value, Mapping):
        return {moved(k, names): moved(v, names) for k, v in value.items()}
    return tuple(moved(one, names) for one in value) if isinstance(value, tuple) else value


@pytest.mark.parametrize("environment", ["notebook-instance", "studio-code-editor"])
def test_what_autostop_decides_about_a_host_is_what_the_core_decides(environment: str) -> None:
    """The same observations, look after look: the same decisions, words included."""
    other = embedded(environment)
    words = st.sampled_from(["", "x", "y"])
    at = st.one_of(st.none(), INSTANTS, INSTANTS.map(lambda drawn: drawn * 3))
    look = st.tuples(
        st.floats(0.1, NOW / 5),
        st.lists(st.tuples(words, at), max_size=3),
        st.lists(st.tuples(st.sampled_from(["kernels", "processes"]), words), max_size=2),
    )

    @settings(max_examples=200)
    @given(
        looks=st.lists(look, max_size=12), started=INSTANTS, timeout=DURATIONS, warning=DURATIONS
    )
    def check(looks: list[Any], started: float, timeout: float, warning: float) -> None:
        policy = Policy(host_timeout_seconds=timeout, warning_seconds=warning)
        state, mark, warned, now = State(), None, None, 0.0
        for step, seen, failed in looks:
            now += step
            observations = [
                Observation(HOST, "autostop", Verdict.IDLE if at else Verdict.ACTIVE, at, words)
                for words, at in seen
            ]
            failures = [
                SourceFailure(source, EVERYTHING, True, detail) for source, detail in failed
            ]
            snapshot = Snapshot(started, (), tuple(observations), tuple(failures))
            (expected,), state = decide(snapshot, policy, state, now)
            mark = other["newest"](seen, started, mark, now)
            unknown = min((": ".join(failure) for failure in failed), default=None)
            found = other["decide_host"](mark, unknown, timeout, warning, warned, now)
            warned = found.warned
            assert [found.action.value, found.verdict.value] == [
                expected.action.value,
                expected.verdict.value,
            ]
            assert (found.reason, found.deadline) == (expected.reason, expected.deadline)
            assert (mark.at, mark.detail) == (expected.evidence_at, expected.evidence)

    check()


def test_the_embedded_core_decides_as_the_core_does() -> None:
    """Studio Classic, where kernels and terminals are decided about: the same decisions again."""
    other = embedded("studio-classic")

    @settings(max_examples=100)
    @given(looks=histories(), policy=policies)
    def check(looks: list[tuple[float, Snapshot]], policy: Policy) -> None:
        state, others = State(), other["State"]()
        for now, snapshot in looks:
            expected, state = decide(snapshot, policy, state, now)
            found, others = other["decide"](
                moved(snapshot, other), moved(policy, other), others, now
            )
            assert found == moved(expected, other)

    check()


@pytest.mark.parametrize("environment", build_autostop.ENVIRONMENTS)
def test_the_packed_file_is_the_program(environment: str, tmp_path: Path) -> None:
    """What a script unpacks runs by itself, and takes autostop's flags."""
    path = tmp_path / "autostop.py"
    packed = build_autostop.packed(ROOT, environment)
    path.write_text(unpacked(packed))
    command = [sys.executable, "-I", str(path), "-h"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for flag in ("-t", "-p", "-c", "--base-url", "--token", "--metadata-path", "--dry-run"):
        assert flag in done.stdout
    for flag in ("--explain", "--skip-terminals", "--state-file", "--environment"):
        assert flag in done.stdout


@given(st.binary(min_size=1, max_size=300).filter(lambda data: data[0] > 0))
def test_what_is_written_in_letters_is_read_as_it_was(data: bytes) -> None:
    """One line of what can be seen, without a quote; and read by the line that scripts have."""
    text = written(data)
    assert re.fullmatch(r"[!-&(-~]+", text)
    number = 0
    for letter in text:
        number = number * 93 + ord(letter) - 33 - (letter > "&")
    assert number.to_bytes(9999, "big").lstrip(b"\0") == data


@pytest.mark.parametrize("data", [b"", b"\0a", b"a" * 10_000])
def test_what_the_letters_would_lose_is_refused(data: bytes) -> None:
    """A number keeps no zeros in front."""
    with pytest.raises(CannotBeWritten):
        written(data)


def test_it_needs_no_newer_python_than_3_8() -> None:
    """Vermin finds nothing newer in what autostop is made of."""
    checked = subprocess.run(
        [str(Path(sys.executable).parent / "vermin"), "-q", "--no-tips", "--target=3.8-",
         "--violations", "--eval-annotations", *map(str, SHARED)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
