"""See what a process waits for: its terminal, a pipe, a child, or something else.

From ``/proc/<pid>/syscall`` (proc(5)), which needs the right to trace the process, and where that
is refused from ``wchan``, which needs less and says less. What cannot be read is UNKNOWN, never
guessed. Python 3.8 syntax: autostop shares this module.
"""

from __future__ import annotations

import contextlib
import os
import platform
import stat
import struct
import sys
from enum import Enum
from typing import Dict, List, NamedTuple, Optional, Tuple

if sys.platform != "win32":
    import termios

_MOST_THREADS = 64
_MOST_DESCRIPTORS = 1024
_POLLIN = 0x001 | 0x002 | 0x040 | 0x080  # POLLIN, POLLPRI, POLLRDNORM, POLLRDBAND
_POLLOUT = 0x004 | 0x100 | 0x200  # POLLOUT, POLLWRNORM, POLLWRBAND
_CONTROLLING_TTY = (5, 0)  # /dev/tty

# asm/unistd_64.h and asm-generic/unistd.h
_NUMBERS: Dict[str, Dict[int, str]] = {
    "x86_64": {
        0: "read", 1: "write", 2: "open", 7: "poll", 19: "read", 20: "write", 23: "select",
        35: "sleep", 42: "net", 43: "net", 44: "net", 45: "net", 46: "net", 47: "net", 61: "wait",
        73: "lock", 130: "sigsuspend", 202: "futex", 230: "sleep", 232: "epoll", 247: "wait",
        257: "open", 270: "select", 271: "ppoll", 281: "epoll", 288: "net", 437: "open",
        441: "epoll2",
    },
    "aarch64": {
        22: "epoll", 32: "lock", 56: "open", 63: "read", 64: "write", 65: "read",
        66: "write", 72: "select", 73: "ppoll", 95: "wait", 98: "futex", 101: "sleep",
        115: "sleep", 133: "sigsuspend", 202: "net", 203: "net", 206: "net", 207: "net",
        211: "net", 212: "net", 242: "net", 260: "wait", 437: "open", 441: "epoll2",
    },
}  # fmt: skip


class Waiting(Enum):
    """What a process waits for.

    TERMINAL: only for input at its terminal, for as long as it takes. LISTENS: for its terminal
    among other things, or for a time. PIPE: for the other end of a pipe. CHILD: for a child.
    ELSEWHERE: certainly not for its terminal (it sleeps, waits for a socket, or for somebody to
    open the other end of a named pipe). FUTEX: for another thread. RUNNING: nothing.
    """

    TERMINAL = "terminal"
    LISTENS = "listens"
    PIPE = "pipe"
    CHILD = "child"
    ELSEWHERE = "elsewhere"
    FUTEX = "futex"
    RUNNING = "running"
    UNKNOWN = "unknown"


class Wait(NamedTuple):
    """What is waited for; ``pipe`` is the inode of a PIPE; ``mark`` changes when it moves on.

    ``endless``: what LISTENS has no timer and no connection that could wake it, only people.
    """

    what: Waiting
    pipe: int = 0
    mark: str = ""
    endless: bool = False


_UNKNOWN = Wait(Waiting.UNKNOWN)
_ELSEWHERE = Wait(Waiting.ELSEWHERE)
_PLAIN = {
    "sleep": Waiting.ELSEWHERE,
    "net": Waiting.ELSEWHERE,
    "lock": Waiting.ELSEWHERE,
    "open": Waiting.ELSEWHERE,
    "wait": Waiting.CHILD,
    "sigsuspend": Waiting.CHILD,
    "futex": Waiting.FUTEX,
}


class _Call(NamedTuple):
    """A system call that has not returned, and the terminal and process it is of."""

    process: str
    tty_nr: int
    arguments: Tuple[int, ...]

    def descriptor(self, fd: int) -> Wait:
        """Say what a descriptor is."""
        try:
            status = os.stat("{}/fd/{}".format(self.process, fd))
        except OSError:
            return _UNKNOWN
        if stat.S_ISFIFO(status.st_mode):
            return Wait(Waiting.PIPE, status.st_ino)
        if stat.S_ISCHR(status.st_mode):
            device = (os.major(status.st_rdev), os.minor(status.st_rdev))
            if device in (_CONTROLLING_TTY, device_of(self.tty_nr)):
                return Wait(Waiting.TERMINAL)
        return Wait(Waiting.ELSEWHERE) if stat.S_ISSOCK(status.st_mode) else _UNKNOWN

    def link(self, fd: int) -> str:
        """Return what a descriptor is called; empty where that is refused."""
        try:
            return os.readlink("{}/fd/{}".format(self.process, fd))
        except OSError:
            return ""

    def memory(self, address: int, size: int) -> Optional[bytes]:
        """Read what a pointer of the call points at; None where that is refused."""
        try:
            fd = os.open(self.process + "/mem", os.O_RDONLY)
        except OSError:
            return None
        try:
            raw = os.pread(fd, size, address)
        except (OSError, OverflowError):
            return None
        finally:
            os.close(fd)
        return raw if len(raw) == size else None


def device_of(tty_nr: int) -> Tuple[int, int]:
    """Return (major, minor) of a terminal number as proc_pid_stat(5) packs it."""
    return (tty_nr >> 8) & 0xFFF, (tty_nr & 0xFF) | ((tty_nr >> 12) & 0xFFF00)


def tty_path(tty_nr: int) -> Optional[str]:
    """Return the path of a pseudo terminal; None when it is another kind of terminal."""
    major, minor = device_of(tty_nr)
    if not 136 <= major <= 143:  # devices.txt: Unix98 PTY slaves
        return None
    return "/dev/pts/{}".format(minor + ((major - 136) << 20))


def hands_keys_on(tty_nr: int) -> Optional[bool]:
    """Whether even Ctrl-C is passed on as a byte, as a remote client does it; None: unreadable.

    `docker run -it`, `kubectl exec -it` and their like keep reading the terminal while the far end
    works: they are not blocked on it.
    """
    modes = _local_modes(tty_nr)
    return None if modes is None else not modes & termios.ISIG


def edits_line(tty_nr: int) -> Optional[bool]:
    """Whether a line editor has the terminal, as at a prompt; None: unreadable.

    readline, libedit, prompt_toolkit and their like leave canonical mode while they ask, and go
    back to it while what they were told to do runs.
    """
    modes = _local_modes(tty_nr)
    return None if modes is None else not modes & termios.ICANON


def _local_modes(tty_nr: int) -> Optional[int]:
    """Read the local modes of termios(3); opening a terminal changes neither it nor its times."""
    path = tty_path(tty_nr)
    if path is None or sys.platform == "win32":
        return None
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        modes: int = termios.tcgetattr(fd)[3]
        return modes
    except termios.error:
        return None
    finally:
        os.close(fd)


def waits_for(pid: int, tty_nr: int, proc: str = "/proc") -> Wait:
    """Say what a process waits for. Blocks for some file reads: never on the event loop.

    The main thread speaks for it. Another thread may, when it reads the terminal and all the
    others only wait for one another (a debugger's prompt in a thread). Where the others do more
    (a virtual machine's), it only LISTENS.
    """
    process = "{}/{}".format(proc, pid)
    main = _thread(process, process, tty_nr)
    if main.what is not Waiting.FUTEX:
        return main
    try:
        threads = os.listdir(process + "/task")
    except OSError:
        return main
    others = [t for t in threads if t != str(pid)]
    if len(others) >= _MOST_THREADS:
        return main
    waits = [_thread("{}/task/{}".format(process, t), process, tty_nr) for t in others]
    asking = [wait for wait in waits if wait.what is Waiting.TERMINAL]
    quiet = all(wait.what in (Waiting.TERMINAL, Waiting.FUTEX) for wait in waits)
    if asking and quiet:
        return asking[0]
    listening = asking + [wait for wait in waits if wait.what is Waiting.LISTENS]
    return Wait(Waiting.LISTENS, mark=listening[0].mark) if listening else main


def holds_pipe(pid: int, inode: int, proc: str = "/proc") -> bool:
    """Whether a process has this pipe open."""
    directory = "{}/{}/fd".format(proc, pid)
    name = "pipe:[{}]".format(inode)
    try:
        for fd in os.listdir(directory):
            with contextlib.suppress(OSError):  # closed meanwhile
                if os.readlink("{}/{}".format(directory, fd)) == name:
                    return True
    except OSError:
        pass
    return False


def _text(path: str) -> Optional[str]:
    try:
        with open(path, "rb") as stream:
            return stream.read(4096).decode("ascii", "replace").strip()
    except OSError:
        return None


def _thread(thread: str, process: str, tty_nr: int) -> Wait:
    line = _text(thread + "/syscall")
    if line == "running":
        return Wait(Waiting.RUNNING)
    names = _NUMBERS.get(platform.machine())
    if line is None or names is None:
        return _from_wchan(_text(thread + "/wchan") or "", process, tty_nr)
    words = line.split()
    if len(words) < 9:
        return _UNKNOWN  # "-1 sp pc": blocked, but not in a call
    call = _Call(process, tty_nr, tuple(int(word, 16) for word in words[1:7]))
    wait = _meaning(names.get(int(words[0]), ""), call)
    return wait._replace(mark=line)


def _meaning(name: str, call: _Call) -> Wait:
    if name in ("read", "write"):
        wait = call.descriptor(_fd(call.arguments[0]))
        # a write that the terminal holds back (Ctrl-S) asks for nothing
        return _UNKNOWN if name == "write" and wait.what is Waiting.TERMINAL else wait
    if name in ("poll", "ppoll"):
        return _polled(call, forever=_endless(name, call.arguments[2]))
    if name == "select":
        return _selected(call)
    if name in ("epoll", "epoll2"):
        return _epolled(call, forever=_endless(name, call.arguments[3]))
    return Wait(_PLAIN.get(name, Waiting.UNKNOWN))


def _fd(argument: int) -> int:
    return argument & 0xFFFFFFFF


def _endless(name: str, timeout: int) -> bool:
    return timeout == 0 if name in ("ppoll", "epoll2") else bool(timeout & 0x80000000)


def _polled(call: _Call, *, forever: bool) -> Wait:
    count = call.arguments[1]
    if count > _MOST_DESCRIPTORS:
        return _UNKNOWN
    if count == 0:
        return Wait(Waiting.ELSEWHERE)
    raw = call.memory(call.arguments[0], 8 * count)
    if raw is None:
        return _UNKNOWN
    entries = [e for e in struct.iter_unpack("=ihh", raw) if e[0] >= 0]
    reads = [fd for fd, events, _ in entries if events & _POLLIN]
    writes = [fd for fd, events, _ in entries if events & _POLLOUT]
    return _among(call, reads, writes, forever=forever)


def _selected(call: _Call) -> Wait:
    count, reads_at, writes_at, _, timeout = call.arguments[:5]
    if count > _MOST_DESCRIPTORS:
        return _UNKNOWN
    if count == 0:
        return Wait(Waiting.ELSEWHERE)
    reads, writes = _set(call, reads_at, count), _set(call, writes_at, count)
    if reads is None or writes is None:
        if count != 1 or not reads_at or writes_at:
            return _UNKNOWN
        reads, writes = [0], []  # one descriptor and one set: it can only be this
    return _among(call, reads, writes, forever=timeout == 0)


def _epolled(call: _Call, *, forever: bool) -> Wait:
    """Say what an event loop waits for, by its fdinfo (proc_pid_fdinfo(5))."""
    text = _text("{}/fdinfo/{}".format(call.process, _fd(call.arguments[0])))
    if text is None:
        return _UNKNOWN
    lines = [line.split() for line in text.splitlines() if line.startswith("tfd:")]
    # "tfd: 0 events: 19 data: …"; the last line may be cut off
    reads = [int(words[1]) for words in lines if len(words) > 4 and int(words[3], 16) & _POLLIN]
    listens = any(call.descriptor(fd).what is Waiting.TERMINAL for fd in reads)
    links = [call.link(fd) for fd in reads]
    if listens:
        own = ("/dev/pts/", "/dev/tty", "pipe:", "anon_inode:[eventfd]")
        return Wait(Waiting.LISTENS, endless=forever and all(x.startswith(own) for x in links))
    return _UNKNOWN if "" in links or "anon_inode:[eventpoll]" in links else _ELSEWHERE


def _set(call: _Call, address: int, count: int) -> Optional[List[int]]:
    if not address:
        return []
    raw = call.memory(address, (count + 63) // 64 * 8)
    if raw is None:
        return None
    bits = int.from_bytes(raw, sys.byteorder)  # long words of a little-endian machine
    return [fd for fd in range(count) if bits >> fd & 1]


def _among(call: _Call, reads: List[int], writes: List[int], *, forever: bool) -> Wait:
    kinds = [call.descriptor(fd).what for fd in reads]
    if Waiting.TERMINAL in kinds:
        alone = all(kind is Waiting.TERMINAL for kind in kinds) and not writes
        return Wait(Waiting.TERMINAL if alone and forever else Waiting.LISTENS)
    return Wait(Waiting.ELSEWHERE if Waiting.UNKNOWN not in kinds else Waiting.UNKNOWN)


def _from_wchan(wchan: str, process: str, tty_nr: int) -> Wait:
    """Judge by the kernel function alone: n_tty_read and a socket both show as ``wait_woken``."""
    if wchan.startswith("do_wait"):
        return Wait(Waiting.CHILD, mark=wchan)
    if "nanosleep" in wchan:
        return Wait(Waiting.ELSEWHERE, mark=wchan)
    if wchan not in ("n_tty_read", "wait_woken"):
        return _UNKNOWN
    call = _Call(process, tty_nr, ())
    try:
        kinds = [call.descriptor(int(fd)).what for fd in os.listdir(process + "/fd")]
    except OSError:
        return _UNKNOWN
    only = wchan == "n_tty_read" or Waiting.ELSEWHERE not in kinds
    return Wait(Waiting.TERMINAL, mark=wchan) if only and Waiting.TERMINAL in kinds else _UNKNOWN
