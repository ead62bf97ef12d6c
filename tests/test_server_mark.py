"""How the servers of one user, who share all directories, keep their files apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_idle_culler.journal.journal import default_path
from jupyter_idle_culler.journal.server_mark import ServerMark, mark_of_server


def test_the_name_follows_root_directory_and_base_url(tmp_path: Path) -> None:
    """So it is the same after a restart, on whatever port, and the journal with it."""
    marks = {mark_of_server(root, url) for root in ("/home/a", "/home/b") for url in ("/", "/u/")}
    assert len(marks) == 4
    mark = ServerMark(tmp_path, "/home/a", "/")
    mark.close()
    again = ServerMark(tmp_path, "/home/a", "/")
    assert str(again) == str(mark) == mark_of_server("/home/a", "/")
    assert default_path(tmp_path, str(mark)).name == f"journal-{mark}.jsonl"
    again.close()


def test_a_second_server_in_the_same_directory_gets_a_name_of_its_own(tmp_path: Path) -> None:
    """For as long as the first one lives; then that name is free again."""
    first, second = ServerMark(tmp_path, "/home/a", "/"), ServerMark(tmp_path, "/home/a", "/")
    third = ServerMark(tmp_path, "/home/a", "/")
    assert [str(second), str(third)] == [f"{first}-2", f"{first}-3"]
    first.close()
    fourth = ServerMark(tmp_path, "/home/a", "/")
    assert str(fourth) == str(first)
    for mark in (second, third, fourth):
        mark.close()


def test_where_nothing_can_be_held_the_name_is_given_all_the_same(tmp_path: Path) -> None:
    """A directory that cannot be made, or a link where the lock should be."""
    (tmp_path / "file").write_text("")
    assert str(ServerMark(tmp_path / "file" / "under", "/home/a", "/")) == mark_of_server(
        "/home/a", "/"
    )
    lock = tmp_path / f"server-{mark_of_server('/home/a', '/')}.lock"
    lock.symlink_to(tmp_path / "elsewhere")
    assert str(ServerMark(tmp_path, "/home/a", "/")) == mark_of_server("/home/a", "/")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("times", [1, 2])
def test_it_may_be_closed_more_than_once(tmp_path: Path, times: int) -> None:
    """An extension may be stopped twice."""
    mark = ServerMark(tmp_path, "/home/a", "/")
    for _ in range(times):
        mark.close()
