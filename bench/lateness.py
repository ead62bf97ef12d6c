"""How long after its deadline a cull begins, and whether ever before it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .figures import Figure, percentile
from .servers import Server, wait_until

_LEAD_SECONDS = 4.0  # from the change of the timeout to the first deadline
_SETTINGS = "api/idle-culler/v1/settings"
_FAR = 120.0  # minutes: as long as the kernels are not all there
# What light kernels note by themselves: that they are done, on the clock of all processes.
_NOTING_CELL = """
import os, pathlib, time
import ipykernel.connect
name = pathlib.Path(ipykernel.connect.get_connection_file()).stem
notes = pathlib.Path(os.environ["BENCH_KERNEL_NOTES"], name)
notes.write_text(f"{time.monotonic()} idle\\n")
"""


@dataclass
class _Culls:
    """What became of kernels, each: begun and process ended after the deadline, in seconds.

    ``told`` is when the kernel itself was told to end (light ones note that). ``spared`` is by how
    much each lived longer after its last cell than its timeout: never less than nothing.
    """

    begun: list[float]
    ended: list[float]
    told: list[float]
    spared: list[float]


def measure(quick: bool) -> Iterator[Figure]:
    """Cull one real kernel again and again, then 30 at once (10 real ones), then 200 light ones."""
    config = {"timeout_minutes": _FAR, "check_interval_seconds": 60}
    early = []
    with Server(config, many_kernels=True) as server:
        server.request("POST", "bench/attach")
        one = [_cull(server, real=1, light=0) for _ in range(3 if quick else 8)]
        early += [spared for culls in one for spared in culls.spared]
        yield from _figures("1 kernel", one)
        thirty = [_cull(server, real=10, light=20) for _ in range(1 if quick else 2)]
        early += [spared for culls in thirty for spared in culls.spared]
        yield from _figures("30 kernels", thirty)
        many = [_cull(server, real=0, light=60 if quick else 200)]
        early += [spared for culls in many for spared in culls.spared]
        yield from _figures(f"{len(many[0].begun)} kernels", many)
    count = sum(spared < 0 for spared in early)
    yield Figure("kernels culled before their deadline", (count,), "", "max", bound=0)


def _figures(name: str, culls: Sequence[_Culls]) -> Iterator[Figure]:
    begun = tuple(late for each in culls for late in each.begun)
    ended = tuple(late for each in culls for late in each.ended)
    told = [late for each in culls for late in each.told]
    yield Figure(
        f"cull begins after the deadline, {name}",
        begun,
        "s",
        "p99",
        bound=1.0,
        compared=f"kernel told to end: p99 {percentile(told, 99):.2f} s" if told else "",
    )
    yield Figure(f"its process has ended after the deadline, {name}", ended, "s", "p99")


def _cull(server: Server, *, real: int, light: int) -> _Culls:
    """Start kernels, run a cell in all at once, give them a short timeout, watch them go."""
    server.request("PATCH", _SETTINGS, {"kernel_timeout_minutes": _FAR})
    ids = server.start_kernels(real) + server.start_kernels(light, "light")
    began = time.monotonic()
    server.run_cells(ids, _NOTING_CELL)
    timeout = time.monotonic() - began + _LEAD_SECONDS
    server.request("PATCH", _SETTINGS, {"kernel_timeout_minutes": timeout / 60})
    status = server.request("GET", "api/idle-culler/v1/status")["kernels"]
    processes = {
        kernel["id"]: server.proc / str(kernel["facts"]["kernel_pid"]) for kernel in status
    }
    assert processes.keys() == set(ids)
    ended = _watch(processes)
    begun = server.request("GET", "bench/state")["begun"]
    culls = _Culls([], [], [], [])
    for kernel_id in ids:
        deadline, at = begun[kernel_id]["deadline"], begun[kernel_id]["at"]
        culls.begun.append(at - deadline)
        culls.ended.append(ended[kernel_id] - deadline)
        notes = _notes(server, kernel_id)
        told = notes.get("told to end")
        if told is not None:
            culls.told.append(told - deadline)
        culls.spared.append(min(at - deadline, at - notes["idle"] - timeout))
    return culls


def _watch(processes: Mapping[str, Path]) -> dict[str, float]:
    """Wait for the end of all the processes; return when each was seen to be gone."""
    ended: dict[str, float] = {}

    def all_ended() -> bool:
        for kernel_id, process in processes.items():
            if kernel_id not in ended and not process.exists():
                ended[kernel_id] = time.monotonic()
        return len(ended) == len(processes)

    wait_until(all_ended, "the kernels to be culled")
    return ended


def _notes(server: Server, kernel_id: str) -> dict[str, float]:
    """Return when this kernel was last idle, and when it first heard of its end."""
    found: dict[str, float] = {}
    for line in (server.notes / f"kernel-{kernel_id}").read_text().splitlines():
        at, _, what = line.partition(" ")
        if what == "idle" or what not in found:
            found[what] = float(at)
    return found
