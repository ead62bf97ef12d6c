"""See whether a Python kernel that asked for input really still waits for it.

ipykernel does not block in ``input()``: its main thread polls the stdin socket for 10 ms at a time
(``Kernel._input_request`` of ipykernel 5 to 7), so it wakes about a hundred times a second. A cell
that left its prompt (interrupted, out of time) and sleeps, or waits for a process, does not. Read
from ``/proc/<pid>/task/<pid>/status`` and, where that is allowed, ``…/syscall`` (proc(5)).
"""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from .procfs import Process, ProcessTable, children_of, command_line, pause
from .prompts import PromptWatch

_ROUND_SECONDS = 0.02
_MOST_ROUNDS = 75
_LEAST_ROUNDS = 10
_LIMIT_SECONDS = 2.5
"""A thread that does not poll is watched for 1.5 s: on a machine out of breath, for 2.5 s."""

_CERTAIN_CALLS = 3
_POLL_MILLISECONDS = 10
# asm/unistd_64.h and asm-generic/unistd.h: poll on the one, ppoll, whose time is in memory, on the
# other
_POLL = {"x86_64": 7}
_PPOLL = {"x86_64": 271, "aarch64": 73}
_PYTHONS = ("python", "pypy")
_OPTIONS_WITH_VALUE = ("-X", "-W", "--check-hash-based-pycs")


@dataclass
class _Watched:
    """What was seen of one thread in so many rounds."""

    first_wakes: int | None = None
    wakes: int = 0
    rounds: int = 0
    calls: int = 0
    polling_at: set[int] = field(default_factory=set)
    polls: int = 0
    readable: bool = True

    def take(self, wakes: int | None, call: str | None) -> None:
        """Take what was read at one instant."""
        if wakes is None:
            self.readable = False
            return
        self.first_wakes = wakes if self.first_wakes is None else self.first_wakes
        self.wakes = wakes - self.first_wakes
        self.rounds += 1
        short = _is_short_poll(call) if call is not None else None
        if short is not None:
            self.calls += 1
            self.polls += short
            if short:
                self.polling_at.add(wakes)

    @property
    def waits(self) -> bool:
        """Whether it has been seen to poll, and again, and little else."""
        if self.calls:
            # The time of a ppoll is not known: that it is short shows in how often it wakes.
            exact = platform.machine() in _POLL or self.wakes >= self.rounds
            return exact and len(self.polling_at) >= _CERTAIN_CALLS and self.polls * 2 > self.calls
        return self.rounds >= _LEAST_ROUNDS and self.wakes >= self.rounds


async def end_left_prompts(
    watch: PromptWatch, pids: Mapping[str, int | None], table: ProcessTable | None
) -> None:
    """End the open prompts at which kernels do not wait any more. `pids`: None is not local.

    That one does not poll is believed of ipykernel, and of another that was seen to poll: others
    ask in other ways. A prompt that is doubted is over unless its kernel polls.
    """
    asking = {kernel_id: list(watch.prompts(kernel_id).items()) for kernel_id in pids}
    chosen = {
        kernel_id: pid
        for kernel_id, pid in pids.items()
        if pid is not None and any(prompt.polls is not False for _, prompt in asking[kernel_id])
    }
    seen = await asyncio.to_thread(_look_at, chosen, table) if chosen and table else {}
    for kernel_id, prompts in asking.items():
        is_ipykernel, waits = seen.get(kernel_id, (False, None))
        for parent_id, prompt in prompts:
            left = waits is False and (is_ipykernel or prompt.polls)
            if waits:
                prompt.doubted = False
            if left or prompt.doubted:
                watch.prompt_over(kernel_id, parent_id, prompt)
            elif waits is not None:
                prompt.polls = waits


def _look_at(pids: Mapping[str, int], table: ProcessTable) -> dict[str, tuple[bool, bool | None]]:
    """Tell of each kernel that is not stopped whether it is ipykernel, and whether it waits.

    Blocks: never on the event loop.
    """
    found = {kernel_id: ipykernel_of(pid, table) for kernel_id, pid in pids.items()}
    running = {}
    for kernel_id, ipykernel in found.items():
        process = ipykernel or table.processes.get(pids[kernel_id])
        if process is not None and process.state not in "Tt":
            running[kernel_id] = process.pid
    waits = waiting_for_input(list(running.values()))
    return {
        kernel_id: (found[kernel_id] is not None, waits[pid]) for kernel_id, pid in running.items()
    }


def waiting_for_input(pids: Sequence[int], proc: str = "/proc") -> Mapping[int, bool | None]:
    """Tell of each process whether its main thread polls as ipykernel does at a prompt.

    None: that cannot be read here. Takes 0.1 s where all poll, and up to 2.5 s where one does not.
    Blocks: never on the event loop.
    """
    watched = {pid: _Watched() for pid in pids}
    open_ones = set(watched)
    deadline = time.monotonic() + _LIMIT_SECONDS
    rounds = 0
    while open_ones and rounds < _MOST_ROUNDS:
        if rounds >= _LEAST_ROUNDS and time.monotonic() > deadline:
            break
        rounds += 1
        for pid in list(open_ones):
            thread = Path(proc, str(pid), "task", str(pid))
            watched[pid].take(_wakes(thread), _read(thread / "syscall"))
            if watched[pid].waits or not watched[pid].readable:
                open_ones.discard(pid)
        if open_ones:
            pause(_ROUND_SECONDS)
    return {pid: seen.waits if seen.readable else None for pid, seen in watched.items()}


def ipykernel_of(pid: int, table: ProcessTable, proc: str = "/proc") -> Process | None:
    """Find the process that runs ipykernel: this one, or, of a wrapper, the first below it.

    A pool's processes, forked from it, have its command line: they are further below.

    Blocks for some file reads: never on the event loop.
    """
    children = children_of(table.processes)
    generation = [pid]
    while generation:
        for one in generation:
            if one in table.processes and _runs_ipykernel(command_line(one, proc)):
                return table.processes[one]
        generation = [child for one in generation for child in sorted(children.get(one, ()))]
    return None


def _runs_ipykernel(arguments: Sequence[str]) -> bool:
    """Tell whether a command line is Python with ipykernel, and not a wrapper that passes it on."""
    if not arguments or not PurePath(arguments[0]).name.startswith(_PYTHONS):
        return False
    rest = iter(arguments[1:])
    for argument in rest:
        if argument in ("-m", "-c"):
            return "ipykernel" in next(rest, "")
        if argument in _OPTIONS_WITH_VALUE:
            next(rest, None)
        elif not argument.startswith("-"):
            return "ipykernel" in PurePath(argument).name
    return False


def _read(path: Path) -> str | None:
    try:
        return path.read_text("ascii", "replace")
    except OSError:
        return None


def _wakes(thread: Path) -> int | None:
    """Return how often a thread gave up the processor to wait for something."""
    for line in (_read(thread / "status") or "").splitlines():
        if line.startswith("voluntary_ctxt_switches:"):
            return int(line.split()[1])
    return None


def _is_short_poll(line: str) -> bool | None:
    """Tell whether a thread waits for one descriptor for 10 ms; None: it runs, or is not known."""
    machine, fields = platform.machine(), line.split()
    if machine not in _PPOLL or len(fields) < 4 or not fields[0].isdigit():
        return None
    number, count, limit = int(fields[0]), int(fields[2], 16), int(fields[3], 16)
    if number == _POLL.get(machine):
        return count == 1 and 0 < limit <= _POLL_MILLISECONDS
    return number == _PPOLL[machine] and count == 1 and limit != 0 and machine not in _POLL
