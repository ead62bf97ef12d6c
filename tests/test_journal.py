"""The journal: in order, small, for its owner only, and never in anybody's way."""

from __future__ import annotations

import asyncio
import json
import math
import os
import shutil
import stat
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from jupyter_idle_culler.journal.files import older, read_tail
from jupyter_idle_culler.journal.journal import Journal


def lines(path: Path) -> list[dict[str, object]]:
    """Return what stands in a file, which must be JSON Lines throughout."""
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_an_entry_is_on_the_disk_when_append_returns(tmp_path: Path) -> None:
    """Entries carry a UTC time, the culler's time and the run, and are written by then."""
    journal = Journal(tmp_path / "new" / "j.jsonl", clock=lambda: 42.5)
    entry = await journal.append("decision", durable=True, resource="kernel:a", limit=math.inf)
    (written,) = lines(journal.path)
    assert written == {**entry, "limit": None}
    assert (written["t"], written["run"], written["event"]) == (42.5, journal.run, "decision")
    time = datetime.fromisoformat(str(written["time"]))
    assert time.utcoffset() == timedelta(0)
    assert "." in str(written["time"])
    await journal.close()


async def test_only_its_owner_can_read_the_journal(tmp_path: Path) -> None:
    """The file is 0600 and its new directory 0700, also where a laxer file was there before."""
    path = tmp_path / "deep" / "down" / "j.jsonl"
    journal = Journal(path)
    await journal.append("start")
    await journal.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    journal = Journal(path)
    await journal.append("start")
    await journal.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_many_writers_keep_their_order_and_the_reader_sees_the_newest_last(
    tmp_path: Path,
) -> None:
    """Concurrent appends stand in the order of their making; read() counts from the end."""
    journal = Journal(tmp_path / "j.jsonl")
    await asyncio.gather(*(journal.append("evidence", n=n) for n in range(300)))
    assert [entry["n"] for entry in lines(journal.path)] == list(range(300))
    page = await journal.read(5)
    assert [entry["n"] for entry in page.entries] == [295, 296, 297, 298, 299]
    assert (await journal.read(0)).entries == ()
    await journal.close()


async def test_the_journal_stays_small_and_keeps_the_newest(tmp_path: Path) -> None:
    """Two files of the given size at most; what falls out is the oldest, and nothing between."""
    journal = Journal(tmp_path / "j.jsonl", max_bytes=4000)
    for n in range(200):
        await journal.append("evidence", n=n)
    assert journal.path.stat().st_size <= 4000
    assert older(journal.path).stat().st_size <= 4000
    assert journal.rotations > 1
    kept = [entry["n"] for entry in (await journal.read(1000)).entries]
    assert kept == list(range(kept[0], 200))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["j.jsonl", "j.jsonl.1", "j.jsonl.lock"]
    await journal.close()


async def test_closing_leaves_no_thread_and_no_open_file(tmp_path: Path) -> None:
    """After close nothing of the journal runs or is held open, and a late entry harms nothing."""
    journal = Journal(tmp_path / "j.jsonl")
    await journal.append("start")
    assert any(t.name.startswith("idle-culler-journal") for t in threading.enumerate())
    await journal.close()
    await journal.close()
    assert not any(t.name.startswith("idle-culler-journal") for t in threading.enumerate())
    held = [str(fd.readlink()) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]
    assert not any(name.startswith(str(tmp_path)) for name in held)
    await journal.append("end")
    assert [entry["event"] for entry in (await journal.read(9)).entries] == ["start", "end"]


async def test_an_event_that_the_journal_does_not_know_is_a_mistake(tmp_path: Path) -> None:
    """The events are a fixed list, so that readers can rely on them."""
    journal = Journal(tmp_path / "j.jsonl")
    with pytest.raises(ValueError, match="heartbeat"):
        await journal.append("heartbeat")
    await journal.close()


async def test_lines_that_are_no_entries_are_skipped_and_counted(tmp_path: Path) -> None:
    """Half a line after a crash, binary rubbish and foreign JSON cost only themselves."""
    journal = Journal(tmp_path / "j.jsonl")
    await journal.append("start")
    with journal.path.open("ab") as file:
        file.write(b"\xff\xfe rubbish\n[1]\nnull\n{}\n" + b"[" * 20000 + b'\n{"event": "dec')
    await journal.append("end")
    page = await journal.read(100)
    assert [entry["event"] for entry in page.entries] == ["start", "end"]
    assert page.skipped == 6
    await journal.close()


@pytest.mark.parametrize("obstacle", ["directory", "link", "pipe", "parent is a file"])
async def test_a_path_that_is_no_file_is_a_problem_and_stops_nothing(
    tmp_path: Path, obstacle: str
) -> None:
    """A directory, a link to somewhere, a pipe: named in `problem`, left alone, kept in memory."""
    path = tmp_path / "j.jsonl"
    elsewhere = tmp_path / "elsewhere"
    if obstacle == "directory":
        path.mkdir()
    elif obstacle == "link":
        elsewhere.write_text("precious")
        path.symlink_to(elsewhere)
    elif obstacle == "pipe":
        os.mkfifo(path)
    else:
        path.write_text("")
        path = path / "j.jsonl"
    journal = Journal(path)
    await journal.append("decision", durable=True)
    assert journal.problem is not None
    assert str(path) in journal.problem
    assert [entry["event"] for entry in (await journal.read(9)).entries] == ["decision"]
    if obstacle == "link":
        assert elsewhere.read_text() == "precious"
        assert "symbolic link" in journal.problem
    await journal.close()


async def test_a_path_that_becomes_writable_gets_everything_it_missed(tmp_path: Path) -> None:
    """What waited is written in its order, before what is new, and the problem is over."""
    path = tmp_path / "j.jsonl"
    path.mkdir()
    journal = Journal(path)
    await journal.append("start")
    await journal.append_all([("evidence", {"n": 1}), ("evidence", {"n": 2})])
    assert journal.problem
    assert not await journal.retry()
    path.rmdir()
    assert await journal.retry()
    assert journal.problem is None
    assert [entry.get("n") for entry in lines(path)] == [None, 1, 2]
    await journal.close()


async def test_a_disk_that_fails_for_long_costs_bounded_memory(tmp_path: Path) -> None:
    """Of what cannot be written the newest thousand entries wait; how many were lost is counted."""
    path = tmp_path / "j.jsonl"
    path.mkdir()
    journal = Journal(path)
    await journal.append_all([("evidence", {"n": n}) for n in range(1500)])
    assert journal.lost == 500
    path.rmdir()
    await journal.append("end")
    assert len(lines(path)) == 1000
    assert lines(path)[0]["n"] == 501
    await journal.close()


async def test_a_read_only_directory_is_a_problem_for_who_must_obey_it(tmp_path: Path) -> None:
    """A home without write permission: nothing raised, everything readable from memory."""
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from jupyter_idle_culler.journal.journal import Journal\n"
        "async def main():\n"
        "    journal = Journal(Path(sys.argv[1]) / 'sub' / 'j.jsonl')\n"
        "    await journal.append('decision')\n"
        "    print(len((await journal.read(9)).entries), journal.problem)\n"
        "    await journal.close()\n"
        "asyncio.run(main())\n"
    )
    tmp_path.chmod(0o555)
    home = Path("/proc/self") if os.geteuid() == 0 else tmp_path  # root writes anywhere but there
    answer = subprocess.run(
        [sys.executable, "-c", code, str(home)], capture_output=True, text=True, check=True
    )
    tmp_path.chmod(0o755)
    assert answer.stdout.startswith("1 ")
    assert "j.jsonl" in answer.stdout


_FULL_DISK = """
import asyncio, json, sys
from pathlib import Path
from jupyter_idle_culler.journal.journal import Journal

async def main():
    disk = Path(sys.argv[1])
    filler = disk / "filler"
    journal = Journal(disk / "j.jsonl")
    await journal.append("start")
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    for n in range(100):
        await journal.append("evidence", n=n, pad="y" * 200)
    full, seen = journal.problem, len((await journal.read(200)).entries)
    filler.unlink()
    await journal.append("end", durable=True)
    written = [json.loads(line) for line in journal.path.read_text().splitlines()]
    print(json.dumps({
        "full": full, "seen": seen, "after": journal.problem,
        "numbers": [entry.get("n") for entry in written],
    }))
    await journal.close()

asyncio.run(main())
"""


def test_a_full_disk_is_survived_and_made_good(tmp_path: Path) -> None:
    """On a disk that is really full nothing is lost or written twice once there is room again."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("unshare is not installed")
    mount = f'mount -t tmpfs -o size=64k tmpfs {tmp_path} && exec "$@"'
    command = [unshare, "-rm", "sh", "-c", mount, "sh", sys.executable, "-c", _FULL_DISK]
    answer = subprocess.run(
        [*command, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)
    assert "No space left" in told["full"]
    assert told["seen"] == 101
    assert told["after"] is None
    assert told["numbers"] == [None, *range(100), None]


async def test_a_disk_that_hangs_delays_nobody_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the time limit the writer goes on alone; what waits is written when it answers."""
    monkeypatch.setattr("jupyter_idle_culler.journal.journal._PATIENCE_SECONDS", 0.1)
    journal = Journal(tmp_path / "j.jsonl")
    hangs, written = threading.Event(), journal._appender.append

    def slow(batch: list[bytes], durable: bool) -> None:
        hangs.wait(30)
        written(batch, durable)

    monkeypatch.setattr(journal._appender, "append", slow)
    for n in range(20):
        await journal.append("evidence", n=n)
    assert journal.problem is not None
    assert "has not answered" in journal.problem
    hangs.set()
    monkeypatch.setattr("jupyter_idle_culler.journal.journal._PATIENCE_SECONDS", 30.0)
    await journal.append("end")
    assert journal.problem is None
    assert [entry.get("n") for entry in lines(journal.path)] == [*range(20), None]
    await journal.close()


_WRITER = """
import asyncio, sys
from pathlib import Path
from jupyter_idle_culler.journal.journal import Journal

async def main():
    journal = Journal(Path(sys.argv[1]), max_bytes=int(sys.argv[2]))
    for n in range(300):
        await journal.append("evidence", n=n)
    print(journal.run, journal.problem)
    await journal.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("max_bytes", [10_000_000, 20_000])
def test_two_servers_that_share_a_journal_lose_and_mix_nothing(
    tmp_path: Path, max_bytes: int
) -> None:
    """Two processes write at once, also across rotations: each line whole, each run in order."""
    path = tmp_path / "j.jsonl"
    command = [sys.executable, "-c", _WRITER, str(path), str(max_bytes)]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [writer.communicate(timeout=60)[0].split() for writer in writers]
    assert [problem for _, problem in told] == ["None", "None"]
    entries, skipped = read_tail(path, 10_000)
    assert skipped == 0
    for run, _ in told:
        numbers = [entry["n"] for entry in entries if entry["run"] == run]
        # On a busy machine one may write all before the other begins, and be rotated away.
        assert numbers == list(range(300 - len(numbers), 300))
        if max_bytes > 1_000_000:
            assert len(numbers) == 300
    if max_bytes < 1_000_000:
        # Rotation drops whole older halves only, and each is full.
        assert path.stat().st_size <= max_bytes
        assert max_bytes - 300 < older(path).stat().st_size <= max_bytes


async def test_a_journal_that_is_removed_is_begun_again(tmp_path: Path) -> None:
    """Whoever removes the file gets a new one with the next entry, and the recorder is told."""
    journal = Journal(tmp_path / "j.jsonl")
    await journal.append("start")
    journal.path.unlink()
    await journal.append("evidence")
    assert [entry["event"] for entry in lines(journal.path)] == ["evidence"]
    assert journal.rotations == 1
    await journal.close()
