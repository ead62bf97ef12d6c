"""What the culler costs a server on which nothing happens: CPU a minute, and memory."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from .figures import Figure
from .servers import Server

_KERNELS = 10
_SLEEPERS = 1000
_SETTLING_SECONDS = 20.0
_BODY = {"minutes": 1, "reason": "bench"}


@dataclass
class _Pair:
    """A plain server and one with the culler, alike otherwise, and what they used each minute."""

    plain: Server
    ours: Server
    cpu: list[tuple[float, float]] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)

    def read(self) -> tuple[float, float]:
        return self.plain.cpu_seconds(), self.ours.cpu_seconds()


def measure(quick: bool) -> Iterator[Figure]:
    """Let two pairs of servers stand idle for minutes, all at once; the second has a crowd beside.

    Where nothing but the server is stopped the crowd would not count; where the stop ends the
    machine each of its processes is looked at, so that is what is measured.
    """
    with contextlib.ExitStack() as stack:
        alone = {"timeout_minutes": 120}
        crowd = {**alone, "stop_action": "command", "stop_command": ["true"], "dry_run": True}
        pairs = [
            _Pair(
                stack.enter_context(Server(None, sleepers=sleepers)),
                stack.enter_context(Server(culler, sleepers=sleepers)),
            )
            for culler, sleepers in ((alone, 0), (crowd, _SLEEPERS))
        ]
        servers = [server for pair in pairs for server in (pair.plain, pair.ours)]
        for server in servers:
            server.start_kernels(_KERNELS)
        for pair in pairs:
            _use(pair.ours)
            pair.ours.request("POST", "bench/attach")
        time.sleep(_SETTLING_SECONDS)
        for _ in range(1 if quick else 3):
            before = [pair.read() for pair in pairs]
            began = time.monotonic()
            time.sleep(60.0)
            scale = 60.0 / (time.monotonic() - began)
            for pair, was in zip(pairs, before, strict=True):
                plain, ours = (scale * (b - a) for a, b in zip(was, pair.read(), strict=True))
                pair.cpu.append((plain, ours))
                megabytes = pair.plain.unshared_megabytes(), pair.ours.unshared_megabytes()
                pair.memory.append(megabytes)
        states = [pair.ours.request("GET", "bench/state") for pair in pairs]
        for state, pair in zip(states, pairs, strict=True):
            assert len(state["looks"]) >= len(pair.cpu), "the culler did not look each minute"
    names = ("10 idle kernels", "10 idle kernels, 1000 processes")
    for name, pair, bound in zip(names, pairs, (0.06, 0.1), strict=True):
        yield _over(f"CPU a minute over a plain server, {name}", pair.cpu, "s", bound)
    for name, pair in zip(names, pairs, strict=True):
        yield _over(f"memory (USS) over a plain server, {name}", pair.memory, "MB", 10)
    loaded = sum("boto3" in state["modules"] for state in states)
    yield Figure("servers that imported boto3", (loaded,), "", "max", bound=0)


def _use(server: Server) -> None:
    """Ask for everything once, so that what is imported late counts too."""
    prefix = "api/idle-culler/v1"
    for route in ("status", "explain", "settings", "journal"):
        server.request("GET", f"{prefix}/{route}")
    kept = server.request("POST", f"{prefix}/keep-alive", _BODY)
    server.request("DELETE", f"{prefix}/keep-alive?id={kept['id']}")


def _over(name: str, pairs: list[tuple[float, float]], unit: str, bound: float) -> Figure:
    plain = statistics.median(pair[0] for pair in pairs)
    differences = tuple(ours - plain for plain, ours in pairs)
    return Figure(name, differences, unit, bound=bound, compared=f"plain {plain:.3g} {unit}")
