"""The rows of the truth table: scenarios that run side by side, and what is asked of each.

A scenario is a test whose body runs in a thread, at the same time as others of its module: waiting
is most of what it does. Instants are monotonic seconds, the clock of the server's journal too.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .harness import Kernel, LiveServer, Terminal, wait_until

Scenario = Callable[[Any], None]

TIMEOUT = 6.0
WARNING = 2.0
HELD = TIMEOUT + 3.0
"""Of a host: its timeout, how long a warning stands, and how long one is watched that is held."""

LATENESS_SECONDS = 12.0
"""So late may a cull or stop come on a machine that does many other things at once."""

WORK = """
import time
while True:
    end = time.thread_time() + .1
    while time.thread_time() < end:
        pass
    time.sleep(.2)
"""
"""A job that computes a third of the time; on a crowded machine, still more than 5 % of it."""


def side_by_side(scenario: Scenario) -> Callable[[dict[str, Future[None]]], None]:
    """Make a test of a scenario: its outcome is taken from the module's fixture ``outcomes``."""

    def test(outcomes: dict[str, Future[None]]) -> None:
        outcomes[scenario.__name__].result()

    for name in ("__name__", "__qualname__", "__doc__", "__module__"):
        setattr(test, name, getattr(scenario, name))
    test.scenario = scenario  # type: ignore[attr-defined] # a function takes attributes
    return test


def run_side_by_side(
    request: pytest.FixtureRequest, at_once: int, argument: Callable[[Scenario], Any]
) -> Iterator[dict[str, Future[None]]]:
    """Run the selected scenarios of a module, so many at once; yield their outcomes by name."""
    chosen: list[Scenario] = [
        item.obj.scenario
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.module is request.module
        and hasattr(item.obj, "scenario")
    ]
    pool = ThreadPoolExecutor(at_once)
    try:
        yield {one.__name__: pool.submit(_run, one, argument) for one in chosen}
    finally:
        pool.shutdown(cancel_futures=True)


def _run(scenario: Scenario, argument: Callable[[Scenario], Any]) -> None:
    scenario(argument(scenario))


def run_in_homes(
    request: pytest.FixtureRequest, homes: pytest.TempPathFactory, at_once: int = 3
) -> Iterator[dict[str, Future[None]]]:
    """Run the selected scenarios of a module, so many at once, each in a home of its own."""
    base, numbers = homes.mktemp("host"), itertools.count()

    def home(_: Scenario) -> Home:
        path = base / str(next(numbers))  # short: the path of a socket has at most 107 characters
        path.mkdir()
        return Home(path)

    yield from run_side_by_side(request, at_once, home)


def minutes(seconds: float) -> float:
    """Return what the configuration takes."""
    return seconds / 60


@contextlib.contextmanager
def again_and_again(act: Callable[[], Any], pause_seconds: float = 1.0) -> Iterator[list[float]]:
    """Do something each second in the background; yield the instants at which it was begun.

    What it raises ends it and is raised at the end.
    """
    begun: list[float] = []
    enough, failures = threading.Event(), []

    def go_on() -> None:
        while not enough.is_set():
            begun.append(time.monotonic())
            try:
                act()
            except Exception as error:  # raised below
                failures.append(error)
                return
            enough.wait(pause_seconds)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield begun
    finally:
        enough.set()
        thread.join()
    if failures:
        raise failures[0]


@dataclass
class Home:
    """Where a row's server lives; it starts servers whose host stops after `TIMEOUT`."""

    path: Path

    @contextlib.contextmanager
    def server(self, config: Mapping[str, Any] | None = None, **more: Any) -> Iterator[LiveServer]:
        """Start a server, with this configuration beside what every row has."""
        settings = {
            "timeout_minutes": minutes(TIMEOUT),
            "warning_minutes": minutes(WARNING),
            "stop_action": "server",
            "check_interval_seconds": 1,
            **(config or {}),
        }
        script(self.path, "work.py", WORK)
        with LiveServer(self.path, settings, **more) as running:
            yield running

    @property
    def job(self) -> str:
        """The command line of a job that works."""
        return f"{sys.executable} {self.path / 'work.py'}"


_STARTING = threading.BoundedSemaphore(2)
"""So few kernels start at once: with more, each would take longer than its timeout."""


@contextlib.contextmanager
def joined(server: LiveServer, kernel_id: str | None = None, spec: str = "") -> Iterator[Kernel]:
    """Join a kernel (None: a new one), and leave it at the end."""
    with _STARTING:
        if kernel_id is None and spec:
            kernel_id = server.start_kernel(spec)
        kernel = server.kernel(kernel_id)
    try:
        yield kernel
    finally:
        kernel.close()


@contextlib.contextmanager
def typing_in(server: LiveServer, name: str | None = None) -> Iterator[Terminal]:
    """Open a terminal (None: a new one), and close the tab at the end."""
    terminal = server.terminal(name)
    try:
        yield terminal
    finally:
        terminal.close()


@contextlib.contextmanager
def set_up(server: LiveServer) -> Iterator[list[float]]:
    """Let a person be seen while a row is prepared, however long that takes on a crowded machine.

    Yields the instants; the last one is the evidence from which the host's idleness counts at
    least.
    """

    def be_there() -> None:
        server.request("POST", "api/idle-culler/v1/activity", {"presence": True})

    with again_and_again(be_there) as instants:
        wait_until(lambda: instants, "the person")
        yield instants


@contextlib.contextmanager
def held_awake(server: LiveServer) -> Iterator[Callable[[], Any]]:
    """Keep all of a server awake while a row is prepared, until what is yielded is called."""
    body = {"minutes": 10, "reason": "the row is prepared"}
    wish = server.request("POST", "api/idle-culler/v1/keep-alive", body)
    yield lambda: server.request("DELETE", f"api/idle-culler/v1/keep-alive?id={wish['id']}")


def entries(server: LiveServer, resource: str, action: str, event: str) -> list[dict[str, Any]]:
    """Return the journal's decisions or outcomes of one kind about one resource (or host)."""
    return [
        entry
        for entry in server.journal()
        if entry["event"] == event and entry["resource"] == resource and entry["action"] == action
    ]


def kernel_status(server: LiveServer, kernel_id: str) -> dict[str, Any]:
    """Return what `GET status` says of a kernel; empty: nothing."""
    found = [one for one in server.status()["kernels"] if one["id"] == kernel_id]
    return dict(found[0]) if found else {}


def seen_of(server: LiveServer, resource: str, source: str) -> list[dict[str, Any]]:
    """Return what a source says of a resource in `GET explain`."""
    return [
        one
        for one in server.explain()["observations"]
        if one["resource"] == resource and one["source"] == source
    ]


def is_kept(
    server: LiveServer,
    kernel_id: str,
    seconds: float,
    source: str,
    detail: str,
) -> None:
    """Watch a kernel for so long: it stays; at its end, this source says that this is why."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert kernel_id in server.kernel_ids(), f"culled: {_why_gone(server, kernel_id)}"
        time.sleep(0.5)

    def said() -> list[str]:
        about = seen_of(server, f"kernel:{kernel_id}", source)
        return [f"{one['verdict']}: {one['detail']}" for one in about]

    wait_until(
        lambda: any(one.startswith("active: ") and detail in one for one in said()),
        f"{detail!r} from {source}, which says {said()}",
        pause_seconds=0.3,
    )


def is_culled(
    server: LiveServer, kernel_id: str, timeout_seconds: float, after: float, before: float
) -> dict[str, Any]:
    """Wait until a kernel is gone; return the decision that ended it.

    Its last evidence was between two instants, ``after`` and ``before``: the decision came when the
    timeout had passed since the first one, and not long after it had since the second.
    """
    patience = before + timeout_seconds + LATENESS_SECONDS - time.monotonic()
    wait_until(
        lambda: kernel_id not in server.kernel_ids(),
        f"the end of kernel {kernel_id}",
        patience,
        pause_seconds=0.3,
    )
    decision = culled_by(server, kernel_id)
    assert decision["t"] - after >= timeout_seconds, decision
    assert decision["t"] - before <= timeout_seconds + LATENESS_SECONDS, decision
    return decision


def culled_by(server: LiveServer, kernel_id: str) -> dict[str, Any]:
    """Return the decision that ended a kernel; it was carried out, once."""
    resource = f"kernel:{kernel_id}"
    done = lambda: entries(server, resource, "cull", "outcome")  # noqa: E731 - it is short
    wait_until(done, "the outcome of the cull", pause_seconds=0.3)
    (outcome,) = entries(server, resource, "cull", "outcome")
    assert outcome["ok"], outcome
    return entries(server, resource, "cull", "decision")[-1]


def _why_gone(server: LiveServer, kernel_id: str) -> object:
    return entries(server, f"kernel:{kernel_id}", "cull", "decision") or "and nothing tells why"


def stays_up(server: LiveServer, seconds: float, source: str, detail: str) -> None:
    """Watch a server for so long: it runs; at the end, this evidence is what holds it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert not server.ended, _why_stopped(server)
        time.sleep(0.2)
    host = server.status()["host"]
    assert host["evidence"]["source"] == source, host
    assert detail in host["evidence"]["detail"], host


def goes_down(
    server: LiveServer, timeout_seconds: float, warning_seconds: float, after: float, before: float
) -> dict[str, Any]:
    """Wait until a server has ended by itself; return the decision that stopped it.

    As `is_culled`; and a warning stood its time before the stop, uncancelled.
    """
    patience = before + timeout_seconds + 2 * LATENESS_SECONDS - time.monotonic()
    wait_until(lambda: server.ended, "the end of the server", patience)
    assert server.process is not None
    assert server.process.returncode == 0, server.log[-3000:]
    stop = stopped_by(server, warning_seconds)
    assert stop["t"] - after >= timeout_seconds, stop
    assert stop["t"] - before <= timeout_seconds + LATENESS_SECONDS, stop
    assert list(server.journal())[-1]["event"] == "end"
    return stop


def stopped_by(server: LiveServer, warning_seconds: float) -> dict[str, Any]:
    """Return the decision that stopped the host; a warning stood its time before it."""
    wait_until(lambda: entries(server, "host", "stop", "outcome"), "the outcome of the stop")
    about = [
        entry
        for entry in server.journal()
        if entry["event"] == "decision" and entry["resource"] == "host"
    ]
    (stop,) = [entry for entry in about if entry["action"] == "stop"]
    warning = about[about.index(stop) - 1]
    assert warning["action"] == "warn", about
    assert stop["t"] - warning["t"] >= warning_seconds, about
    (outcome,) = entries(server, "host", "stop", "outcome")
    assert outcome["ok"], outcome
    return stop


def stops_after(server: LiveServer, after: float, before: float) -> dict[str, Any]:
    """Watch a server of a `Home` stop one timeout after evidence that was between two instants."""
    return goes_down(server, TIMEOUT, WARNING, after, before)


def _why_stopped(server: LiveServer) -> object:
    return entries(server, "host", "stop", "decision") or server.log[-3000:]


def write_kernelspec(
    server: LiveServer, name: str, metadata: Mapping[str, Any], lives: int | None = None
) -> None:
    """Give a server one more kernelspec: Python, with this metadata.

    ``lives``: so often it starts, and then no more (None: always).
    """
    directory = server.data_dir / "kernels" / name
    directory.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    if lives is not None:
        count = directory / "lives"
        text = f'echo x >> {count}; [ $(wc -l < {count}) -le {lives} ] && exec "$@"; exit 1'
        argv = ["bash", "-c", text, "kernel", *argv]
    spec = {
        "argv": argv,
        "display_name": name,
        "language": "python",
        "metadata": dict(metadata),
    }
    (directory / "kernel.json").write_text(json.dumps(spec))


def script(directory: Path, name: str, text: str) -> Path:
    """Write a program; return its path."""
    path = directory / name
    path.write_text(text)
    return path
