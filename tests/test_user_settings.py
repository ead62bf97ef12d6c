"""The file that remembers what a user chose."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jupyter_idle_culler.config.user_settings import (
    UserSettings,
    load_user_settings,
    save_user_settings,
)

LOG = logging.getLogger("test_user_settings")
maybe = st.none() | st.floats(0, 5_000_000)


@given(user=st.builds(UserSettings, maybe, maybe, maybe, maybe, maybe))
@hypothesis_settings(
    max_examples=25,  # each writes and syncs a real file
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # the file is replaced each time
)
def test_what_was_saved_is_read_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, user: UserSettings
) -> None:
    """Every setting survives a restart, silently."""
    path = tmp_path / "new" / "settings.json"
    save_user_settings(path, user)
    assert load_user_settings(path, LOG) == user
    assert caplog.records == []


def test_the_file_is_the_owners_alone_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    """Nobody else may read or change it, and no temporary file stays."""
    path = tmp_path / "settings.json"
    save_user_settings(path, UserSettings(timeout_minutes=5))
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["settings.json"]  # noqa: PTH208 - names are what is compared


def test_a_save_that_fails_leaves_the_old_file_and_no_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up while we write costs the change, not the settings."""
    path = tmp_path / "settings.json"
    save_user_settings(path, UserSettings(timeout_minutes=5))

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_user_settings(path, UserSettings(timeout_minutes=6))
    assert [entry.name for entry in tmp_path.iterdir()] == ["settings.json"]
    assert load_user_settings(path, LOG) == UserSettings(timeout_minutes=5)


def test_a_file_that_is_not_there_is_no_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Who never chose anything follows the administrator, without a word in the log."""
    assert load_user_settings(tmp_path / "none" / "settings.json", LOG) == UserSettings()
    assert caplog.records == []


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1, 2]", b"null", b"\xff\xfe\x00", b"[" * 100_000, b"{}" + b" " * 70_000, b"7"],
)
def test_a_spoilt_file_gives_the_defaults_and_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    """Garbage, something else, something endless: defaults, and one warning names the file."""
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    assert load_user_settings(path, LOG) == UserSettings()
    (record,) = caplog.records
    assert str(path) in record.getMessage()


def test_a_directory_or_a_pipe_in_its_place_does_not_hold_the_server(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Reading a pipe would wait for ever."""
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("directory", "pipe"):
        caplog.clear()
        assert load_user_settings(tmp_path / name, LOG) == UserSettings()
        assert len(caplog.records) == 1


@given(value=st.recursive(st.none() | st.booleans() | st.text() | st.floats(), st.lists))
@hypothesis_settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # the file is replaced each time
)
def test_one_wrong_entry_costs_that_entry_alone(tmp_path: Path, value: object) -> None:
    """The good entries beside it hold, and nothing ever raises."""
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"warning_minutes": 3, "timeout_minutes": value, "later": 1}))
    read = load_user_settings(path, LOG)
    assert read.warning_minutes == 3
    assert read.timeout_minutes is None or read.timeout_minutes == value
