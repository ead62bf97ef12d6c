"""The processes source on real processes: whose work it sees, and what it takes for none.

The process under `Watch.root` stands for a kernel or a terminal's shell: like both it leads a
session of its own. The server is the test's own process, so what other programs of this user do
does not count, except where a test asks for the whole machine: those run in a pid namespace.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from jupyter_idle_culler.core.model import (
    HOST,
    Kind,
    Observation,
    Resource,
    ResourceId,
    Verdict,
)
from jupyter_idle_culler.sources import procfs
from jupyter_idle_culler.sources.base import Look
from jupyter_idle_culler.sources.processes import ProcessesSource
from jupyter_idle_culler.sources.thresholds import Thresholds

ROOT = Path(__file__).parent.parent
KERNEL = ResourceId(Kind.KERNEL, "k")
TERMINAL = ResourceId(Kind.TERMINAL, "1")
BURN = "while :; do :; done"
SLOWLY = """
import time
while True:
    end = time.thread_time() + .1
    while time.thread_time() < end:
        pass
    time.sleep(.2)
"""
BEAT = """
import signal, time
def beat(*_):
    end = time.thread_time() + .1
    while time.thread_time() < end:
        pass
signal.signal(signal.SIGUSR1, beat)
while True:
    signal.pause()
"""
PATIENCE_SECONDS = 60.0
LEAVER = (  # ends its parent and leaves its session at once, between two looks
    f'{sys.executable} -c "import os, time; time.sleep(2); os.kill(os.getppid(), 9); os.setsid();'
    ' time.sleep(2); sum(iter(int, 1))"'
)


class Watch:
    """Starts processes, looks at them, and ends whatever came of them."""

    def __init__(self, **settings: Any) -> None:
        self.source = ProcessesSource(**{"whole_machine": False, **settings})
        self.resources: list[Resource] = []
        self.started: list[subprocess.Popen[bytes]] = []
        self.doubts = 0

    def root(self, script: str, resource: ResourceId = KERNEL, **facts: Any) -> int:
        """Run a shell script as a resource's own process; return its pid."""
        pid = self.start(script).pid
        self.resources.append(Resource(resource, time.monotonic(), pid=pid, **facts))
        return pid

    def start(
        self, script: str, *, session: bool = True, **options: Any
    ) -> subprocess.Popen[bytes]:
        """Run a shell script below the server."""
        variables = {**os.environ, "WATCHED_BY": str(id(self)), **options.pop("env", {})}
        process = subprocess.Popen(
            ["bash", "-c", script], start_new_session=session, env=variables,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **options,
        )  # fmt: skip
        self.started.append(process)
        return process

    def look(self, slept: float = 0.0) -> dict[ResourceId, Observation]:
        """Look once, now, on a machine that slept so long while `time.monotonic` ran on."""
        while True:
            table = procfs.read_process_table()
            table = table._replace(read_at=table.read_at + slept)
            look = Look(time.monotonic(), table, resources=tuple(self.resources))
            report = asyncio.run(self.source.observe(look))
            if not report.again_in_seconds:
                return {observation.resource: observation for observation in report.observations}
            self.doubts += 1
            time.sleep(report.again_in_seconds)

    def until(self, resource: ResourceId, verdict: Verdict) -> Observation:
        """Look each 1.1 s until the verdict is this."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            seen = self.look().get(resource)
            if seen is not None and seen.verdict is verdict and "first look" not in seen.detail:
                return seen
            assert time.monotonic() < deadline, f"never {verdict}: {seen}"
            time.sleep(1.1)

    def stays_idle(self, *resources: ResourceId) -> None:
        """Look until all are idle (their start is over), then thrice more: they still are."""
        for resource in resources:
            self.until(resource, Verdict.IDLE)
        for _ in range(3):
            time.sleep(1.1)
            seen = self.look()
            for resource in resources:
                assert seen[resource].verdict is Verdict.IDLE, seen[resource]

    def started_it(self, pid: int) -> bool:
        """Tell whether a process carries this watch's mark."""
        return procfs.environment(pid).get("WATCHED_BY") == str(id(self))

    def close(self) -> None:
        """End everything that carries this watch's mark, detached or not."""
        for process in self.started:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()
        for pid in procfs.read_process_table().processes:
            if self.started_it(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def watching() -> Iterator[Callable[..., Watch]]:
    """Give watches, and end their processes."""
    watches: list[Watch] = []

    def make(**settings: Any) -> Watch:
        watches.append(Watch(**settings))
        return watches[-1]

    yield make
    for watch in watches:
        watch.close()


def python(code: str) -> str:
    """Return a shell command that runs Python code."""
    return f"'{sys.executable}' -c \"{code}\""


@pytest.mark.parametrize(
    "script",
    [
        "exec "
        + python(
            "import threading as t\n"
            "t.Thread(target=lambda: [0 for _ in iter(int, 1)]).start()\n"
            "t.Event().wait()"
        ),
        f"bash -c '{BURN}' & exec sleep 60",
        f"(nohup bash -c '{BURN}' >/dev/null 2>&1 &); exec sleep 60",
        "(while :; do /bin/true; done); :",
        f"trap '' CHLD; bash -c '{BURN}' & exec sleep 60",
        "exec "
        + python(
            "import multiprocessing as m\n"
            "m.set_start_method('fork')\n"
            "m.Process(target=sum, args=(iter(int, 1),)).start()"
        ),
    ],
    ids=["thread", "child", "orphan-in-its-session", "short-commands", "ignores-SIGCHLD", "pool"],
)  # fmt: skip
def test_what_computes_below_a_resource_keeps_it(
    watching: Callable[..., Watch], script: str
) -> None:
    """K4: a thread, a child, a detached child, a loop of short commands; and not the host's."""
    watch = watching()
    watch.root(script)
    seen = watch.until(KERNEL, Verdict.ACTIVE)
    assert (seen.at, seen.unit) == (None, "%")
    assert seen.value is not None
    assert seen.threshold is not None
    assert seen.value >= seen.threshold
    assert "% CPU" in seen.detail
    assert watch.look()[HOST].verdict is Verdict.IDLE


@pytest.mark.parametrize(
    "script",
    [
        "sleep 60; :",
        "while sleep 1; do echo beat; done",
        "exec " + python("import time\nwhile True: print(time.time(), flush=True); time.sleep(1)"),
        "nohup sleep 60 >/dev/null 2>&1 & disown; exec sleep 60",
    ],
    ids=["sleeper", "heartbeat-shell", "heartbeat-python", "detached-sleeper"],
)
def test_what_only_waits_or_beats_is_idle(watching: Callable[..., Watch], script: str) -> None:
    """K5, P2: a heartbeat each second, its output included, is below the threshold."""
    watch = watching()
    watch.root(script)
    watch.stays_idle(KERNEL, HOST)


def test_the_job_is_named_with_its_figure(watching: Callable[..., Watch]) -> None:
    """A person reads which command it is, shortened, and how much it computes."""
    watch = watching()
    watch.root(f"bash -c '{BURN}' sweep {'x' * 100} & exec sleep 60", TERMINAL)
    detail = watch.until(TERMINAL, Verdict.ACTIVE).detail
    command, _, figure = detail.rpartition(", ")
    assert command.startswith("bash -c while")
    assert len(command) == 60
    assert figure.endswith("% CPU")


def test_a_stopped_process_is_idle_since_it_was_stopped(watching: Callable[..., Watch]) -> None:
    """K8: SIGSTOP ends the evidence; the last of it is remembered, to the look."""
    watch = watching()
    pid = watch.root(BURN)
    watch.until(KERNEL, Verdict.ACTIVE)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(0.1)
    watch.look()
    last = time.monotonic()
    seen = watch.until(KERNEL, Verdict.IDLE)
    assert seen.at is not None
    assert last - 2 < seen.at <= last + 2
    watch.stays_idle(KERNEL)
    os.kill(pid, signal.SIGCONT)
    watch.until(KERNEL, Verdict.ACTIVE)


def test_a_job_that_ended_unseen_worked_until_then(watching: Callable[..., Watch]) -> None:
    """Whoever adopts an orphan reaps it: what it did since the last look is in no counter."""
    watch = watching()
    watch.root(f"bash -c 'setsid bash -c \"sleep 4; {BURN}\" & sleep 2' & exec sleep 60")
    watch.until(KERNEL, Verdict.IDLE)
    watch.until(KERNEL, Verdict.ACTIVE)
    time.sleep(3)
    ours = [p for p in procfs.read_process_table().processes.values() if watch.started_it(p.pid)]
    orphan = max(ours, key=lambda process: process.cpu_ticks)
    ended = time.monotonic()
    os.kill(orphan.pid, signal.SIGKILL)
    while (process := procfs.read_process(orphan.pid)) is not None and process.state != "Z":
        time.sleep(0.01)
    seen = watch.look()[KERNEL]
    if process is not None:  # nobody reaps here: what it did can still be read
        assert seen.verdict is Verdict.ACTIVE, seen
    else:
        assert seen.at is not None, seen
        assert seen.at >= ended


def test_what_works_is_seen_right_after_a_sleep(watching: Callable[..., Watch]) -> None:
    """H2: nothing is rated over the time in which nothing could run."""
    watch = watching()
    watch.root(f"exec {python(SLOWLY)}")
    watch.until(KERNEL, Verdict.ACTIVE)
    time.sleep(1.1)
    seen = watch.look(slept=3600)[KERNEL]
    assert seen.verdict is Verdict.ACTIVE, seen
    assert seen.value is not None
    assert seen.value >= 5, seen


@pytest.mark.parametrize(
    "job",
    [
        f"bash -c 'setsid bash -c \"sleep 4; {BURN}\" & sleep 2' & exec sleep 60",
        f"setsid bash -c '(sleep 4; {BURN}) & sleep 2' & exec sleep 60",
        f"bash -c '{LEAVER} & wait' & exec sleep 60",
    ],
    ids=["its-session-was-seen", "in-a-session-led-by-the-tree", "it-was-seen-itself"],
)
def test_a_job_that_left_its_tree_stays_its_resources(
    watching: Callable[..., Watch], job: str
) -> None:
    """It is followed until it ends: here it computes only after all that showed its origin."""
    watch = watching()
    root = watch.root(job)
    deadline = time.monotonic() + PATIENCE_SECONDS
    orphans: list[procfs.Process] = []
    while not orphans and time.monotonic() < deadline:
        watch.look()
        time.sleep(0.2)
        orphans = [
            process
            for process in procfs.read_process_table().processes.values()
            if process.ppid == 1 and watch.started_it(process.pid)
        ]
    assert orphans[0].session != root
    watch.until(KERNEL, Verdict.ACTIVE)
    assert watch.look()[HOST].verdict is Verdict.IDLE


def test_a_job_whose_terminal_closed_holds_the_host(watching: Callable[..., Watch]) -> None:
    """P1: what a gone terminal left is the background's, not a new terminal's of that name."""
    watch = watching()
    pid = watch.root(f"nohup bash -c '{BURN}' >/dev/null 2>&1 & exec sleep 60", TERMINAL)
    watch.until(TERMINAL, Verdict.ACTIVE)
    os.kill(pid, signal.SIGKILL)
    watch.started[0].wait()
    watch.resources.clear()
    assert watch.until(HOST, Verdict.ACTIVE).detail.startswith("bash -c while")
    watch.root("exec sleep 60", TERMINAL)
    watch.until(TERMINAL, Verdict.IDLE)
    assert watch.until(HOST, Verdict.ACTIVE).detail.startswith("bash -c while")


def test_a_kernel_started_from_a_terminal_speaks_for_itself(
    watching: Callable[..., Watch],
) -> None:
    """Work goes to the nearest resource above it, and only there."""
    watch = watching()
    shell = watch.root(f"setsid bash -c '({BURN}); :' & exec sleep 60", TERMINAL)
    deadline = time.monotonic() + PATIENCE_SECONDS
    inner: list[int] = []
    while not inner and time.monotonic() < deadline:
        time.sleep(0.1)
        processes = procfs.read_process_table().processes.values()
        inner = [p.pid for p in processes if p.ppid == shell and p.session == p.pid]
    watch.resources.append(Resource(KERNEL, time.monotonic(), pid=inner[0]))
    watch.until(KERNEL, Verdict.ACTIVE)
    watch.stays_idle(TERMINAL, HOST)


def test_io_without_much_computing_is_work(watching: Callable[..., Watch], tmp_path: Path) -> None:
    """Ten mebibytes a second, written in large blocks."""
    watch = watching(thresholds=Thresholds(cpu_percent=90))
    target = tmp_path / "out"
    watch.root(
        "exec " + python(
            f"import time\nf = open('{target}', 'wb', 0)\n"
            "while True: f.seek(0); f.write(bytes(10 << 20)); time.sleep(1)"
        )
    )  # fmt: skip
    seen = watch.until(KERNEL, Verdict.ACTIVE)
    assert seen.unit == "bytes/s"
    assert "MiB/s read and written" in seen.detail


def test_dd_is_work(watching: Callable[..., Watch], tmp_path: Path) -> None:
    """P1 with I/O: a copy in the background."""
    watch = watching()
    watch.root(f"while :; do dd if=/dev/zero of='{tmp_path}/out' bs=1M count=64 2>&-; done")
    watch.until(KERNEL, Verdict.ACTIVE)


def test_a_viewer_is_no_work_but_what_it_runs_is(watching: Callable[..., Watch]) -> None:
    """T3: the excluded process with its reaped children; a living child of its own counts."""
    watch = watching()
    viewer = watch.start("while :; do /bin/true; done")
    watch.resources = [
        Resource(TERMINAL, time.monotonic(), pid=viewer.pid, excluded_pids=(viewer.pid,))
    ]
    watch.stays_idle(TERMINAL)
    host = watch.start(f"bash -c '{BURN}'; :")
    watch.resources = [
        Resource(TERMINAL, time.monotonic(), pid=host.pid, excluded_pids=(host.pid,))
    ]
    watch.until(TERMINAL, Verdict.ACTIVE)


def test_a_pool_of_small_workers_is_work_together(watching: Callable[..., Watch]) -> None:
    """Ten workers at 10 % each, with thresholds of 30 % and 60 %."""
    watch = watching(thresholds=Thresholds(cpu_percent=30, tree_cpu_percent=60))
    worker = python(
        "import time\n"
        "while True:\n"
        " end = time.thread_time() + .02\n"
        " while time.thread_time() < end: pass\n"
        " time.sleep(.15)"
    )
    watch.root(f"for i in 1 2 3 4 5 6 7 8 9 10; do {worker} & done; exec sleep 60")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while " more, " not in (seen := watch.until(KERNEL, Verdict.ACTIVE)).detail:
        assert time.monotonic() < deadline, seen
        time.sleep(1.1)
    assert seen.threshold == 60


def test_eight_idle_workers_with_heartbeats_are_not_work(watching: Callable[..., Watch]) -> None:
    """Each beats ten times a second, at a percent or so."""
    watch = watching()
    worker = python("import time\nwhile True: time.sleep(.1)")
    watch.root(f"for i in 1 2 3 4 5 6 7 8; do {worker} & done; exec sleep 60")
    watch.stays_idle(KERNEL)


def test_startup_of_a_kernel_that_nobody_joined_is_no_work(
    watching: Callable[..., Watch],
) -> None:
    """K7: what its own process computes at first does not count; what its children do does."""
    watch = watching()
    watch.root(BURN, starting=True)
    watch.stays_idle(KERNEL)
    watch.resources = [Resource(KERNEL, time.monotonic(), pid=watch.started[0].pid)]
    watch.until(KERNEL, Verdict.ACTIVE)
    watch.resources.clear()
    watch.root(f"bash -c '{BURN}' & exec sleep 60", starting=True)
    watch.until(KERNEL, Verdict.ACTIVE)


def test_the_first_look_counts_as_use(watching: Callable[..., Watch]) -> None:
    """H3: at the start and after a failure nothing can be compared: the later bound counts."""
    watch = watching()
    watch.root("exec sleep 60")
    began = time.monotonic()
    for observation in watch.look().values():
        assert observation.verdict is Verdict.IDLE
        assert observation.at is not None
        assert observation.at >= began
    time.sleep(1.1)
    with pytest.raises(RuntimeError, match="no /proc today"):
        asyncio.run(watch.source.observe(Look(time.monotonic(), None, "no /proc today")))
    recovered = time.monotonic()
    assert all((seen.at or 0) >= recovered for seen in watch.look().values())
    time.sleep(1.1)
    assert all((seen.at or 0) < time.monotonic() - 1 for seen in watch.look().values())


def test_work_that_begins_between_two_close_looks_is_seen(
    watching: Callable[..., Watch],
) -> None:
    """Look again before acting: 0.15 s after a look at an idle process it computes."""
    watch = watching()
    pid = watch.root(BURN)
    os.kill(pid, signal.SIGSTOP)
    watch.stays_idle(KERNEL)
    for _ in range(15):  # a busy machine may not have run it at all in so short a time
        time.sleep(1.1)
        watch.look()
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.15)
        seen = watch.look()[KERNEL]
        os.kill(pid, signal.SIGSTOP)
        if seen.verdict is Verdict.ACTIVE:
            assert watch.doubts
            return
    pytest.fail(f"never seen: {seen}")


def test_a_beat_between_two_close_looks_is_no_work(watching: Callable[..., Watch]) -> None:
    """K5: a tenth of a second of computing, just then, is neither work nor evidence."""
    watch = watching()
    pid = watch.root(f"exec {python(BEAT)}")
    watch.stays_idle(KERNEL)
    for _ in range(15):
        time.sleep(1.1)
        watch.look()
        os.kill(pid, signal.SIGUSR1)
        time.sleep(0.2)
        beaten = time.monotonic()
        seen = watch.look()[KERNEL]
        assert seen.verdict is Verdict.IDLE, seen
        assert (seen.at or 0) < beaten - 1.1, seen
        if watch.doubts:
            return
    pytest.fail("no beat was ever seen")


def test_a_short_command_of_the_server_is_no_work_but_a_long_one_is(
    watching: Callable[..., Watch],
) -> None:
    """The server polls git and conda: met alive, such a command must not hold the host."""
    watch = watching()
    watch.start("for i in $(seq 100000); do :; done; exec sleep 60", session=False)
    watch.stays_idle(HOST)
    watch.start(BURN, session=False)
    watch.until(HOST, Verdict.ACTIVE)


def test_a_tmux_job_is_recognised_by_the_mark_of_its_server(
    watching: Callable[..., Watch], tmp_path: Path
) -> None:
    """P1: tmux daemonises at once; it carries the address of the server whose terminal it was."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    ours = watching(server_url="http://127.0.0.1:8888/")
    another = watching(server_url="http://127.0.0.1:9999/")
    variables = {"JUPYTER_SERVER_URL": "http://127.0.0.1:8888/", "TERM": "xterm"}
    variables.update(TMUX_TMPDIR=str(tmp_path))
    ours.start(f"tmux new-session -d '{BURN}'", env=variables).wait()
    try:
        ours.until(HOST, Verdict.ACTIVE)
        another.stays_idle(HOST)
    finally:
        subprocess.run(["tmux", "kill-server"], env={**os.environ, **variables}, check=False)


def test_a_kernels_orphan_is_recognised_by_its_parents_mark(
    watching: Callable[..., Watch],
) -> None:
    """JPY_PARENT_PID names the server; the number of another server does not count."""
    watch = watching()
    mine = {"JPY_PARENT_PID": str(os.getpid())}
    watch.start(f"setsid -f bash -c '{BURN}'", env={"JPY_PARENT_PID": "1"}).wait()
    watch.stays_idle(HOST)
    watch.start(f"setsid -f bash -c '{BURN}'", env=mine).wait()
    watch.until(HOST, Verdict.ACTIVE)


def test_ignored_processes_never_count(watching: Callable[..., Watch], tmp_path: Path) -> None:
    """By a pattern on the command's name, also where the kernel cut the name short."""
    program = tmp_path / "telemetry-collector"
    program.symlink_to(shutil.which("bash") or "/bin/bash")
    for pattern in ("telemetry*", "telemetry-collector"):
        watch = watching(ignored_processes=(pattern,))
        watch.root(f"'{program}' -c '{BURN}' & exec sleep 60")
        watch.stays_idle(KERNEL)
    watch = watching(ignored_processes=("telemetry",))
    watch.root(f"'{program}' -c '{BURN}' & exec sleep 60")
    watch.until(KERNEL, Verdict.ACTIVE)


def test_of_a_resource_without_a_process_nothing_is_said(watching: Callable[..., Watch]) -> None:
    """Remote kernels have none, and one that is gone is the kernels source's to report."""
    watch = watching()
    gone = watch.start("true")
    gone.wait()
    watch.resources = [
        Resource(KERNEL, time.monotonic()),
        Resource(TERMINAL, time.monotonic(), pid=gone.pid),
    ]
    assert set(watch.look()) == {HOST}


def test_without_a_process_table_nothing_is_said(watching: Callable[..., Watch]) -> None:
    """Not Linux: no observation, and no failure either."""
    report = asyncio.run(watching().source.observe(Look(time.monotonic())))
    assert report.observations == ()


def test_limitations_are_sentences(
    watching: Callable[..., Watch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be seen is said: sockets here, everything where there is no /proc."""
    watch = watching()
    assert any("sockets" in sentence for sentence in watch.source.limitations)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert any("Without /proc" in sentence for sentence in watch.source.limitations)


def in_a_machine_of_its_own(*jobs: str, whole_machine: bool = True, looks: int = 4) -> list[Any]:
    """Return what was seen of the host in a pid namespace where only these jobs run."""
    if shutil.which("unshare") is None or os.geteuid() != 0:
        pytest.skip("a pid namespace of one's own needs unshare and root")
    wish = json.dumps({"jobs": jobs, "looks": looks, "whole_machine": whole_machine})
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c",
         '"$0" -m tests.host_look "$1"; exit', sys.executable, wish],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("job", "verdict"),
    [
        (f"nohup sh -c '{BURN}' >/dev/null 2>&1 &", "active"),
        (f"setsid sh -c '{BURN}' >/dev/null 2>&1 &", "active"),
        ("setsid sh -c 'while :; do /bin/true; done' >/dev/null 2>&1 &", "active"),
        (f"tmux new-session -d '{BURN}'", "active"),
        ("nohup sleep 60 >/dev/null 2>&1 &", "idle"),
        ("tmux new-session -d 'sleep 60'", "idle"),
        ("tmux new-session -d \"watch -n 0.1 'seq 400000 | tail -n 1'\"", "idle"),
        ('setsid sh -c "while :; do seq 400000 | tail -n 1; done" >/dev/null 2>&1 &', "active"),
        (f"setpriv --reuid 65534 --clear-groups sh -c '{BURN}' >/dev/null 2>&1 &", "idle"),
        ("true", "idle"),
    ],
)
def test_background_jobs_of_the_user_hold_the_whole_machine(
    job: str, verdict: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """P1, P2: what works counts, its sibling that sleeps and another user's job do not."""
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path))
    monkeypatch.setenv("TERM", "xterm")
    seen = in_a_machine_of_its_own(job)
    assert seen[0]["detail"].startswith("first look")
    assert seen[-1]["verdict"] == verdict, seen


def test_where_only_the_server_stops_a_strangers_job_does_not_hold_it() -> None:
    """Two servers of one user do not keep each other alive: only its own tree counts."""
    job = f"setsid -f sh -c '{BURN}' >/dev/null 2>&1"
    assert in_a_machine_of_its_own(job, whole_machine=True)[-1]["verdict"] == "active"
    seen = in_a_machine_of_its_own(f"env -i PATH=$PATH {job}", whole_machine=False)
    assert seen[-1]["verdict"] == "idle", seen
