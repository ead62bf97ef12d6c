"""Reading /proc: of real processes, of hand-made lines, and where it hides something."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_idle_culler.sources import procfs, visibility

ROOT = Path(__file__).parent.parent
NOBODY = "65534"

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting /proc needs root")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that does nothing, with a variable of its own."""
    with subprocess.Popen(["sleep", "60"], env={"PATH": os.environ["PATH"], "MARK": "a=b"}) as it:
        while procfs.command_line(it.pid)[:1] != ("sleep",):
            time.sleep(0.01)
        yield it
        it.kill()


def test_a_name_with_spaces_and_parentheses_is_parsed() -> None:
    """The name ends at the last parenthesis, whatever it holds."""
    numbers = " ".join(str(number) for number in range(4, 40))
    process = procfs.parse_stat(f"42 (a) b (c) S {numbers}", 7)
    assert (process.pid, process.comm, process.state, process.ppid) == (42, "a) b (c", "S", 4)
    assert (process.cpu_ticks, process.reaped_ticks) == (14 + 15, 16 + 17)
    assert (process.start_ticks, process.uid) == (22, 7)


def test_something_else_is_not_parsed() -> None:
    """A line that was cut is an error, not a process."""
    with pytest.raises(ValueError, match="not a /proc/<pid>/stat line"):
        procfs.parse_stat("42 (sh) S 1 2 3", 0)


def test_the_table_holds_this_process_and_its_children(sleeper: subprocess.Popen[bytes]) -> None:
    """Parent, session, owner and start are those that the system calls give."""
    table = procfs.read_process_table()
    me, child = table.processes[os.getpid()], table.processes[sleeper.pid]
    assert (me.session, me.pgrp, me.uid) == (os.getsid(0), os.getpgrp(), os.geteuid())
    assert (child.ppid, child.comm) == (os.getpid(), "sleep")
    assert child.start_ticks <= table.boot_ticks
    assert sleeper.pid in procfs.tree([os.getpid()], procfs.children_of(table.processes))


def test_a_process_that_did_not_stir_remains_the_same_object(
    sleeper: subprocess.Popen[bytes],
) -> None:
    """The next table makes nothing anew of it; what computed meanwhile is read anew."""
    read = procfs.TableReader()
    before = read().processes
    sum(range(10**7))
    after = read().processes
    assert after[sleeper.pid] is before[sleeper.pid]
    assert after[os.getpid()].cpu_ticks > before[os.getpid()].cpu_ticks


def test_a_process_that_runs_another_command_is_read_anew() -> None:
    """The same pid, start and figures do not hide that its name changed."""
    with subprocess.Popen(
        ["bash", "-c", "read -r; exec sleep 60"], stdin=subprocess.PIPE
    ) as changing:
        assert changing.stdin is not None
        read = procfs.TableReader()
        while read().processes[changing.pid].comm != "bash":
            time.sleep(0.01)
        changing.stdin.write(b"\n")
        changing.stdin.flush()
        deadline = time.monotonic() + 30
        while read().processes[changing.pid].comm != "sleep":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        changing.kill()


def test_time_of_reaped_children_reaches_their_parent() -> None:
    """What a child computed is in its parent's counter once it was waited for."""
    before = procfs.read_process(os.getpid())
    subprocess.run([sys.executable, "-c", "sum(range(10**7))"], check=True)
    after = procfs.read_process(os.getpid())
    assert before is not None
    assert after is not None
    assert after.reaped_ticks - before.reaped_ticks >= 5


def test_a_process_that_is_gone_is_none() -> None:
    """Its figures are absent, not an error."""
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    assert procfs.read_process(gone.pid) is None
    assert procfs.io_bytes(gone.pid) is None
    assert procfs.environment(gone.pid) == {}
    assert procfs.service_unit(gone.pid) is None
    assert procfs.command_line(gone.pid) == ()


def test_the_environment_is_the_one_it_was_started_with(sleeper: subprocess.Popen[bytes]) -> None:
    """A value may hold an equals sign."""
    assert procfs.environment(sleeper.pid)["MARK"] == "a=b"


def test_bytes_written_are_counted_and_bytes_received_are_not(tmp_path: Path) -> None:
    """`write` shows in the I/O figure; `recv` does not, which is a stated limitation."""
    size = 4 << 20
    before = procfs.io_bytes(os.getpid())
    assert before is not None
    (tmp_path / "data").write_bytes(bytes(size))
    written = procfs.io_bytes(os.getpid())
    assert written is not None
    assert size <= written - before < 2 * size
    here, there = socket.socketpair()
    with here, there:
        for _ in range(64):
            here.send(bytes(65536))
            left = 65536
            while left:
                left -= len(there.recv(left))
    received = procfs.io_bytes(os.getpid())
    assert received is not None
    assert received - written < size // 4


@pytest.mark.parametrize(
    ("lines", "unit"),
    [
        ("0::/system.slice/cron.service\n", "/system.slice/cron.service"),
        (
            "9:cpu:/\n1:name=systemd:/system.slice/cron.service\n0::/\n",
            "/system.slice/cron.service",
        ),
        (
            "0::/system.slice/system-getty.slice/getty@tty1.service/x\n",
            "/system.slice/system-getty.slice/getty@tty1.service",
        ),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice\n", None),
        ("0::/system.slice/docker-abc.scope\n", None),
        ("4:memory:/system.slice/cron.service\n", None),
        ("0::/\n", None),
        ("", None),
    ],
)
def test_the_service_of_a_process_is_read_from_its_control_group(
    tmp_path: Path, lines: str, unit: str | None
) -> None:
    """Both hierarchies; a user's session and a container are no services."""
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cgroup").write_text(lines)
    assert procfs.service_unit(7, str(tmp_path)) == unit


def test_the_proc_of_another_pid_namespace_is_refused() -> None:
    """Its pids would be taken for ours: /proc/self does not name this process there."""
    code = (
        "from jupyter_idle_culler.sources.procfs import read_process_table\n"
        "try: read_process_table()\n"
        "except OSError as error: print(error)"
    )
    answer = _unshared("--pid", "--fork", sys.executable, "-c", code)
    assert "belongs to another pid namespace" in answer or "No such file" in answer


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("22 27 0:21 / /proc rw,relatime - proc proc rw", {"rw": ""}),
        ("22 27 0:21 / /proc rw shared:5 - proc proc rw,gid=9,hidepid=2",
         {"rw": "", "gid": "9", "hidepid": "2"}),
        ("22 27 0:21 / /other rw - proc proc rw,hidepid=2", {}),
        ("22 27 0:21 / /proc rw - tmpfs tmpfs rw,hidepid=2", {}),
        ("", {}),
    ],
)  # fmt: skip
def test_options_of_the_proc_mount_are_read(line: str, options: dict[str, str]) -> None:
    """Only those of the proc file system at that very place."""
    assert visibility.proc_options([line]) == options


def test_the_mount_on_top_counts() -> None:
    """A second mount at the same place hides the first."""
    lines = ["1 1 0:1 / /proc rw - proc proc rw,hidepid=2", "2 1 0:2 / /proc rw - proc proc rw"]
    assert "hidepid" not in visibility.proc_options(lines)


@pytest.mark.parametrize(
    ("hidepid", "gid", "groups", "capabilities", "hides"),
    [
        ("0", 0, {5}, 0, False),
        ("1", 0, {5}, 0, True),
        ("2", 0, {5}, 0, True),
        ("noaccess", 0, {5}, 0, True),
        ("invisible", 0, {5}, 0, True),
        ("invisible", 5, {4, 5}, 0, False),
        ("ptraceable", 5, {4, 5}, 0, True),
        ("4", 0, {0}, 0, True),
        ("4", 0, {0}, 1 << 19, False),
        ("2", 0, {5}, 1 << 19, False),
        ("2", 0, {5}, ~(1 << 19), True),
    ],
)
def test_who_sees_through_hidepid(
    hidepid: str, gid: int, groups: set[int], capabilities: int, hides: bool
) -> None:
    """The group that the mount names, and who may trace every process; root by itself does not."""
    assert visibility.hides_from(hidepid, gid, groups, capabilities) is hides


def test_nothing_is_hidden_here() -> None:
    """On this machine the source works."""
    assert visibility.what_is_hidden() is None


def test_a_user_namespace_without_uids_makes_the_processes_unknown() -> None:
    """There every unmapped uid reads as the same one, ours included."""
    wish = json.dumps({"jobs": [], "looks": 1, "whole_machine": True})
    said = json.loads(_unshared("--user", sys.executable, "-m", "tests.host_look", wish))
    assert said["verdict"] == "unknown"
    assert "user namespace maps no uid" in said["detail"]


@as_root
def test_the_proc_of_another_user_namespace_is_named(tmp_path: Path) -> None:
    """Where the owner of /proc/self is not this process's uid, uids there mean nothing."""
    (tmp_path / "self").mkdir()
    os.chown(tmp_path / "self", 65534, 65534)
    hidden = visibility.what_is_hidden(str(tmp_path))
    assert hidden is not None
    assert "another user namespace" in hidden


@as_root
@pytest.mark.parametrize(
    ("options", "user", "verdict"),
    [
        ("hidepid=2", NOBODY, "unknown"),
        ("hidepid=1", NOBODY, "unknown"),
        ("hidepid=2,gid=65534", NOBODY, "idle"),
        ("hidepid=0", NOBODY, "idle"),
        ("hidepid=2", "0", "idle"),
    ],
)
def test_hidepid_makes_the_processes_unknown_unless_one_sees_through_it(
    options: str, user: str, verdict: str
) -> None:
    """A real mount, a real unprivileged user: unknown, with a sentence that says how to mend it."""
    wish = json.dumps({"jobs": [], "looks": 1, "whole_machine": True})
    drop = f"setpriv --reuid {user} --regid {user} --clear-groups" if user != "0" else ""
    answer = _unshared(
        "--mount", "--pid", "--fork", "sh", "-c",
        f"mount -t proc -o {options} proc /proc && {drop} '{sys.executable}' -m tests.host_look"
        f" '{wish}'; exit",
    )  # fmt: skip
    said = json.loads(answer)
    assert said["verdict"] == verdict, said
    if verdict == "unknown":
        assert "hidepid" in said["detail"]
        assert "gid=" in said["detail"]


def _unshared(*command: str) -> str:
    program = shutil.which("unshare")
    if program is None:
        pytest.skip("unshare is not installed")
    done = subprocess.run(
        [program, *command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout, done.stderr
    return done.stdout.strip()


def test_reading_a_thousand_processes_lets_other_threads_run() -> None:
    """The items come in order, none is lost, and there is a pause among them."""
    began = time.monotonic()
    assert list(procfs.give_way(range(1000))) == list(range(1000))
    assert time.monotonic() - began >= 1000 // 32 * 0.0002
