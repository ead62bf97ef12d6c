"""What is in the foreground of each terminal, and whether somebody typed there.

A small form of the extension's (`sources.foreground` would not fit into a script): the mode of the
terminal and what its foreground waits for, and names only where these do not tell. In doubt it is
a job, which keeps the machine.
"""

from __future__ import annotations

import os
import stat
import termios
from typing import Any, Dict, List, Set

from ..sources.procfs import Process, command_line, tree
from .machine import Machine, called
from .memory import Evidence, moved

_STEP_SECONDS = 8
"""A terminal's time of access moves in such steps (tty_update_time in Linux)."""
_VIEWERS = (
    "less more pager man top htop btop atop glances nvtop nvitop watch vmstat iostat tmux screen"
    " zellij journalctl tail:f nvidia-smi:l nvidia-smi:dmon gpustat:i dmesg:w"
    " docker:logs docker:stats kubectl:logs"
)
_PROMPTS = (
    "vim vi nvim view nano pico emacs micro joe mc ranger ipython bpython ptpython radian mongosh"
    " jupyter-console"
)
_PROMPTS_WITHOUT_SCRIPT = "python pypy node julia r xonsh fish zsh"
_WRAPPERS = "sudo su doas runuser script"
_READ, _WRITE, _SELECTS = "0", "1", ("23", "270")
"""System calls of x86_64. Elsewhere these are others, which nothing waits in: in doubt a job."""


def observe(
    machine: Machine, kept: Dict[str, Any], now: float, every_tty: bool
) -> "tuple[Evidence, Set[int], List[str]]":
    """Return what is to be seen, the processes that only watch, and the terminals' paths.

    Terminals below the server are its own; with ``every_tty`` all are. On others input counts, and
    what they run by its work alone. Those that a kernel's programs made are not people's.
    """
    ttys: Dict[str, List[Process]] = {}
    for pid in machine.ours - tree(machine.kernels.values(), machine.children):
        process = machine.processes[pid]
        tty = process.tty_nr  # proc_pid_stat(5): the minor number is in two parts
        path = f"/dev/pts/{(tty & 0xFF) | ((tty >> 12) & 0xFFF00)}"
        if tty and process.state not in "ZX" and os.path.exists(path):
            ttys.setdefault(path, []).append(process)
    touched = {}
    for path, members in ttys.items():
        touched[path] = [min(p.session for p in members), os.stat(path).st_atime]
    changed, before = moved(kept, "ttys", touched), kept.get("typed", {})
    kept["typed"] = {path: now if path in changed else before[path] for path in touched}
    found: Evidence = [
        (f"{path}: somebody typed", at + _STEP_SECONDS) for path, at in kept["typed"].items()
    ]
    watching: Set[int] = set()
    for path, members in ttys.items():
        front = sorted(p for p in members if p.pgrp == p.tpgid)
        viewers = {p.pid for p in front if _is(p, _VIEWERS)}
        watching |= viewers
        for p in front:  # as watch does; what a pager was told to run goes on for longer
            if p.start_ticks > machine.young and p.pid in tree(viewers, machine.children):
                watching.add(p.pid)
        job = _job(machine, [p for p in front if p.pid not in watching], path, bool(viewers))
        if job and (every_tty or machine.below & {p.pid for p in members}):
            found.append((f"{path}: {job}", None))
    return found, watching, list(ttys)


def _job(machine: Machine, front: List[Process], path: str, viewed: bool) -> str:
    """Return the job in the foreground of a terminal; empty: all there waits for a person."""
    try:
        tty = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        mode = termios.tcgetattr(tty)[3]
        os.close(tty)
    except (OSError, termios.error):
        mode = termios.ICANON
    for p in front:
        if not _rests(machine, p, front, mode) and not (viewed and _waits_for(p) == "pipe"):
            return called(p)
        if p.pid == p.pgrp and not _is(p, _WRAPPERS):
            break  # a shell at its prompt: the others were put there by its start-up files
    return ""


def _is(process: Process, names: str) -> bool:
    """Tell whether a command has one of the names (``name:word``: with an option or word so).

    What Python runs is named by itself: ``python /opt/bin/ipython``, ``python -m IPython``.
    """
    line = command_line(process.pid) or (process.comm,)
    words = [word.split("/")[-1].lstrip("-").lower() for word in line]
    words[0] = words[0].rstrip("0123456789.")
    if words[0] == "python" and line[1:] and (line[1] == "-m" or line[1][:1] != "-"):
        del words[: 1 + (line[1] == "-m")]
    for name in names.split():
        wanted, _, option = name.partition(":")
        if wanted == words[0] and any(word.startswith(option) for word in words[bool(option) :]):
            return True
    return False


def _rests(machine: Machine, process: Process, front: List[Process], mode: int) -> bool:
    """Tell whether a process of the foreground surely waits for a person.

    One that takes Ctrl-C itself may be the near end of a remote job: there only a name tells.
    """
    children = machine.children.get(process.pid, set())
    if _is(process, _WRAPPERS):
        # what it holds the terminal for sits on another terminal, or in this very group
        below = tree(children, machine.children)
        ttys = {machine.processes[pid].tty_nr for pid in below} - {process.tty_nr}
        return not children or bool(ttys or below & {p.pid for p in front})
    if mode & (termios.ICANON | termios.ISIG) and _waits_for(process) == "tty":
        return True
    if mode & termios.ICANON:
        return False
    words = command_line(process.pid)[1:]
    script = any(word[:1] != "-" or word in ("-c", "-m", "-e") for word in words)
    return _is(process, _PROMPTS) or (not script and _is(process, _PROMPTS_WITHOUT_SCRIPT))


def _waits_for(process: Process) -> str:
    """Say what a process waits for: input at its terminal ("tty"), a pipe, or else ("").

    Source: proc_pid_syscall(5). Of select only the form that can mean standard input alone counts.
    """
    folder = f"/proc/{process.pid}/"
    try:
        with open(folder + "syscall", encoding="ascii") as stream:
            number, fd, _, writes, *_ = stream.read().split()
        if number in _SELECTS and (fd, writes) == ("0x1", "0x0"):
            number, fd = _READ, "0"
        mode = os.stat(f"{folder}fd/{int(fd, 16)}").st_mode
        if number in (_READ, _WRITE) and stat.S_ISFIFO(mode):
            return "pipe"
        return "tty" if number == _READ and stat.S_ISCHR(mode) else ""
    except (OSError, ValueError):
        return ""
