"""What people save in Code Editor is evidence about the host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from jupyter_idle_culler.autostop.code_editor import DEFAULT_ROOTS, evidence
from jupyter_idle_culler.autostop.memory import Evidence
from jupyter_idle_culler.core.decision import decide
from jupyter_idle_culler.core.model import (
    HOST,
    Action,
    Observation,
    Policy,
    Snapshot,
    State,
    Verdict,
)

LONG_AGO = 1_600_000_000


class Editor:
    """The folders in which the editor keeps what was saved, and looks at them."""

    def __init__(self, user: Path) -> None:
        self.history, self.backups = user / "History", user / "Backups"
        self.memory: dict[str, Any] = {}

    def look(self, now: float) -> Evidence:
        """Look once; what it remembers goes through JSON, as between two runs."""
        self.memory = json.loads(json.dumps(self.memory))
        return evidence(self.memory, now, [str(self.history), str(self.backups)])

    def save(self, file: str, entry: str = "AbCd.py") -> Path:
        """Save a file as the editor does: an entry of its own, and the list of them."""
        folder = self.history / file
        folder.mkdir(parents=True, exist_ok=True)
        (folder / entry).write_text("import this", encoding="utf-8")
        (folder / "entries.json").write_text('{"version": 1, "entries": []}', encoding="utf-8")
        return folder / entry


@pytest.fixture
def editor(tmp_path: Path) -> Editor:
    """An editor in which files were saved long ago."""
    editor = Editor(tmp_path / "User")
    for number in range(3):
        editor.save(f"{number}a1b2c3")
    backup = editor.backups / "1699000000000" / "vscode-remote" / "5d41402a"
    backup.parent.mkdir(parents=True)
    backup.write_text("unsaved", encoding="utf-8")
    age(editor.history)
    age(editor.backups)
    return editor


def age(root: Path) -> None:
    """Let everything below have been changed long ago."""
    for path in [root, *root.rglob("*")]:
        os.utime(path, (LONG_AGO, LONG_AGO))


def seen(now: float) -> Evidence:
    """Return what one look reports when somebody saved."""
    return [("somebody saved in the editor", now)]


def test_the_first_look_only_learns_how_things_are(editor: Editor) -> None:
    """However new the files are: nothing was seen to change."""
    editor.save("new")
    assert editor.look(1.0) == []
    assert editor.look(2.0) == []


def test_a_save_is_evidence_dated_when_it_was_seen(editor: Editor) -> None:
    """Of a file saved before, and of one that never was; once each."""
    editor.look(1.0)
    editor.save("0a1b2c3", "EfGh.py")
    assert editor.look(2.0) == seen(2.0)
    assert editor.look(3.0) == []
    editor.save("fresh")
    assert editor.look(4.0) == seen(4.0)


def test_a_save_that_goes_into_the_last_entry_is_seen(editor: Editor) -> None:
    """Within ten seconds the editor writes over it, and the folder stays as it was."""
    entry = editor.save("0a1b2c3", "EfGh.py")
    editor.look(1.0)
    folder_changed_at = entry.parent.stat().st_mtime_ns
    with entry.open("a", encoding="utf-8") as stream:
        stream.write("\n# more")
    os.utime(entry, (LONG_AGO + 5, LONG_AGO + 5))
    assert entry.parent.stat().st_mtime_ns == folder_changed_at
    assert editor.look(2.0) == seen(2.0)


def test_a_change_that_the_wall_clock_dates_earlier_is_evidence_too(editor: Editor) -> None:
    """Clocks are set back: only that something changed counts."""
    editor.look(1.0)
    entry = editor.save("0a1b2c3", "EfGh.py")
    for path in (entry, entry.parent, editor.history):
        os.utime(path, (1, 1))
    assert editor.look(2.0) == seen(2.0)


def test_what_is_written_and_not_saved_is_evidence(editor: Editor) -> None:
    """The editor backs up a dirty file in place, three folders down."""
    editor.look(1.0)
    backup = next(path for path in editor.backups.rglob("*") if path.is_file())
    backup.write_text("unsaved, more", encoding="utf-8")
    assert editor.look(2.0) == seen(2.0)


def test_no_folder_yet_is_no_evidence_and_its_first_file_is(tmp_path: Path) -> None:
    """A new space has saved nothing."""
    editor = Editor(tmp_path / "User")
    assert editor.look(1.0) == []
    editor.save("first")
    assert editor.look(2.0) == seen(2.0)


def test_a_file_in_the_place_of_the_folder_is_said(tmp_path: Path) -> None:
    """It says so in each look, dated when that began: it keeps nothing for ever."""
    editor = Editor(tmp_path)
    editor.history.write_text("", encoding="utf-8")
    ((detail, at),) = editor.look(1.0)
    assert detail.startswith("saves in the editor are not seen: ")
    assert str(editor.history) in detail
    assert editor.look(2.0) == [(detail, at)] == [(detail, 1.0)]


def test_a_folder_that_may_not_be_read_is_said() -> None:
    """As root everything may: so the child that looks becomes nobody first."""
    program = (
        "import os, sys; from jupyter_idle_culler.autostop.code_editor import evidence;"
        "os.getuid() or os.setuid(65534); print(evidence({}, 1.0, sys.argv[1:]))"
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        history = Path(folder, "History")
        history.mkdir(mode=0o700 if os.getuid() == 0 else 0)
        command = [sys.executable, "-c", program, str(history)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        history.chmod(0o700)
    assert "saves in the editor are not seen" in done.stdout, done.stderr
    assert "Permission denied" in done.stdout


def test_one_closed_folder_hides_no_other(editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below a root that can be read, what cannot be is left out; the rest goes on."""
    closed = str(editor.history / "1a1b2c3")
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if path == closed:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert editor.look(1.0) == []
    editor.save("2a1b2c3", "EfGh.py")
    assert editor.look(2.0) == seen(2.0)


def test_a_link_in_a_circle_ends(editor: Editor) -> None:
    """Links are not followed below a root; a root may be one."""
    (editor.history / "loop").symlink_to(editor.history)
    assert editor.look(1.0) == []
    editor.history.rename(editor.history.with_name("elsewhere"))
    editor.history.symlink_to(editor.history.with_name("elsewhere"))
    editor.look(2.0)
    editor.save("3d4e5f6")
    assert editor.look(3.0) == seen(3.0)


def test_a_save_puts_the_stop_off_by_the_whole_time_out(editor: Editor) -> None:
    """Through the decision: as work, and never earlier than the save."""
    state, policy, stopped = State(), Policy(host_timeout_seconds=600, warning_seconds=60), []
    for now in range(0, 1800, 30):
        if now == 420:
            editor.save("0a1b2c3", "EfGh.py")
        found = tuple(
            Observation(HOST, "autostop", Verdict.IDLE, at, what)
            for what, at in editor.look(float(now))
        )
        decisions, state = decide(Snapshot(0.0, (), found), policy, state, float(now))
        if decisions[-1].action is Action.STOP:
            stopped.append(now)
    assert stopped[0] == 420 + 600


def test_five_thousand_files_with_a_long_history_cost_little(tmp_path: Path) -> None:
    """Files are looked at in the newest folders only; a look stays below 0.15 s of CPU."""
    editor = Editor(tmp_path / "User")
    for number in range(5000):
        folder = editor.history / f"{number:x}"
        folder.mkdir(parents=True)
        (folder / "entries.json").touch()
    for number in range(0, 5000, 50):
        for entry in range(50):
            (editor.history / f"{number:x}" / f"{entry}.py").touch()
    editor.look(1.0)
    began = time.process_time()
    editor.look(2.0)
    assert time.process_time() - began < 0.15
    editor.save(f"{2500:x}", "late.py")
    assert editor.look(3.0) == seen(3.0)


def test_the_places_are_those_of_code_editor() -> None:
    """Where SageMaker Distribution starts the editor with its data, before and after 2024."""
    data = "sagemaker-code-editor-server-data/data/User/History"
    assert f"/opt/amazon/sagemaker/{data}" in DEFAULT_ROOTS
    assert f"/home/sagemaker-user/{data}" in DEFAULT_ROOTS
