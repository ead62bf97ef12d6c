"""How much longer a server takes until it answers."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping
from typing import Any

from .figures import Figure
from .servers import Server, wait_until


def measure(quick: bool) -> Iterator[Figure]:
    """Start plain servers and servers with the culler in turn, each as the first of a pair once."""
    pairs: list[tuple[float, float]] = []
    cpu: list[tuple[float, float]] = []
    kinds: tuple[Mapping[str, Any] | None, ...] = (None, {})
    _one_start({})  # what a first start reads from the disk is no cost of the culler
    for turn in range(3 if quick else 10):
        took = {}
        for culler in kinds if turn % 2 else kinds[::-1]:
            took[culler is not None] = _one_start(culler)
        pairs.append((took[False][0], took[True][0]))
        cpu.append((took[False][1], took[True][1]))
    yield _difference("start-up over a plain server", pairs, 0.15)
    yield _difference("start-up over a plain server, CPU", cpu, None)


def _difference(name: str, pairs: list[tuple[float, float]], bound: float | None) -> Figure:
    plain = statistics.median(pair[0] for pair in pairs)
    return Figure(
        name,
        tuple(ours - plain for plain, ours in pairs),
        "s",
        bound=bound,
        compared=f"plain {plain:.2f} s",
    )


def _one_start(culler: Mapping[str, Any] | None) -> tuple[float, float]:
    """Return the seconds until the API answered, and the CPU time that took."""
    server = Server(culler)
    try:
        began = time.monotonic()
        server.launch()
        wait_until(server.answers, "the server", pause_seconds=0.005)
        took = time.monotonic() - began
        return took, server.cpu_seconds()
    finally:
        server.close()
