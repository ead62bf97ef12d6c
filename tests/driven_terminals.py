"""Real terminals of a real Jupyter server, driven through the websocket as the browser does it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_idle_culler.core.model import Kind, Observation, Resource, ResourceId, Verdict
from jupyter_idle_culler.sources.base import Look, Report
from jupyter_idle_culler.sources.procfs import read_process_table
from jupyter_idle_culler.sources.terminals import TerminalsSource

PATIENCE_SECONDS = 30.0


def needs(*programs: str) -> None:
    """Skip a test whose programs are not installed (in CI a skip fails)."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


async def until(condition: Callable[[], Awaitable[Any]], what: str) -> Any:
    """Ask again and again until the answer is true, and return it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (answer := await condition()):
        assert time.monotonic() < deadline, f"never happened: {what}"
        await asyncio.sleep(0.05)
    return answer


class Tab:
    """A browser tab on a terminal: one websocket."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self.output = ""
        self.ended = False
        self._reader = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        while (message := await self._socket.read_message()) is not None:
            content = json.loads(message)
            if content[0] == "stdout":
                self.output += content[1]
            elif content[0] == "disconnect":
                self.ended = True

    async def type(self, text: str) -> None:
        """Send input, as the terminal emulator does for keys and for its automatic replies."""
        await self._socket.write_message(json.dumps(["stdin", text]))

    async def resize(self, rows: int, columns: int) -> None:
        """Send the size, as a new tab or a moved window does."""
        await self._socket.write_message(json.dumps(["set_size", rows, columns, 0, 0]))

    async def shows(self, text: str) -> None:
        """Wait until the output holds a text."""

        async def there() -> bool:
            return text in self.output

        await until(there, f"{text!r} in the output, which is {self.output[-500:]!r}")

    async def close(self) -> None:
        """Close the tab; the terminal lives on."""
        self._socket.close()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader


class DrivenTerminal:
    """One terminal, its first tab, and what the source says of it."""

    def __init__(self, name: str, pty: Any, source: TerminalsSource, open_tab: Any) -> None:
        self.name = name
        self.pty = pty
        self.source = source
        self.id = ResourceId(Kind.TERMINAL, name)
        self._open_tab = open_tab
        self.tabs: list[Tab] = []

    async def open_tab(self) -> Tab:
        """Open another tab on it."""
        tab = Tab(await self._open_tab("terminals", "websocket", self.name))
        self.tabs.append(tab)
        await tab.resize(24, 80)
        return tab

    async def run(self, command: str) -> None:
        """Type a command and wait until it is in the foreground, in the shell's stead."""
        await self.tabs[0].type(command + "\r")
        await self.shell_left_foreground(command)

    async def shell_left_foreground(self, what: str) -> None:
        """Wait until another process group than the shell's is in the foreground."""

        async def left() -> bool:
            shell: int = self.pty.ptyproc.pid
            return os.tcgetpgrp(self.pty.ptyproc.fd) != shell

        await until(left, f"{what!r} in the foreground")

    async def look(self) -> Report:
        """Look once, with the real process table."""
        table = await asyncio.to_thread(read_process_table)
        return await self.source.observe(Look(now=time.monotonic(), processes=table))

    async def observe(self) -> tuple[Observation, Resource]:
        """Return what is said of its foreground, and the terminal as it is reported."""
        report = await self.look()
        mine = [o for o in report.observations if o.resource == self.id]
        (resource,) = (r for r in report.resources if r.id == self.id)
        return mine[0], resource

    async def becomes(self, verdict: Verdict, detail: str) -> tuple[Observation, Resource]:
        """Wait for a verdict and a phrase, and see that they stay."""

        async def said() -> tuple[Observation, Resource] | None:
            self.last = await self.observe()
            fits = self.last[0].verdict is verdict and detail in self.last[0].detail
            return self.last if fits else None

        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if await said():
                for _ in range(3):
                    await asyncio.sleep(0.15)
                    if not await said():
                        break
                else:
                    return self.last
            await asyncio.sleep(0.05)
        pytest.fail(f"wanted {verdict.value} {detail!r}, got {self.last[0]}")

    async def typed_at(self) -> float | None:
        """Return the instant of the last keystroke that the source knows."""
        report = await self.look()
        for observation in report.observations:
            if observation.resource == self.id and observation.detail == "you typed in it":
                return observation.at
        return None


SCRIPTS = {
    "train.py": "import time\ntime.sleep(1000)\n",
    "busy.py": "while True:\n    pass\n",
    "ask.py": "input('proceed? [y/n] ')\nimport time\ntime.sleep(1000)\n",
    "ask_twice.py": "import time\nwhile True:\n    input('? ')\n    time.sleep(0.5)\n",
    "debug.py": "import pdb\npdb.set_trace()\nprint('on')\n",
    "threaded_ask.py": (
        "import threading\nt = threading.Thread(target=input, args=('in a thread? ',))\n"
        "t.start()\nt.join()\n"
    ),
    "listener.py": (
        "import threading, time\nthreading.Thread(target=input, daemon=True).start()\n"
        "time.sleep(1000)\n"
    ),
    "secret.py": "import getpass\ngetpass.getpass()\n",
    "remote.py": (
        "import os, select, sys, tty\ntty.setraw(0)\nos.read(0, 1)\n"  # as docker run -it reads
    ),
    "reader.py": "import sys\nsys.stdin.read()\n",
    "writer.py": "import sys\nwhile True:\n    print('line ' * 10)\n",
    "sync.sh": "#!/bin/bash\n# aws s3 sync: says nothing, waits for the network\nsleep 1000\n",
    "choose.sh": "#!/bin/bash\nread -p 'which one? ' answer\nsleep 1000\n",
    "ssh.py": (
        "import select, socket, sys, tty\ntty.setraw(0)\na, b = socket.socketpair()\n"
        "select.select([0, a], [], [])\n"
    ),
    "net.py": (
        "import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()\ns.accept()\n"
    ),
}


def write_scripts(directory: Path) -> None:
    """Write the programs that terminals run in the tests."""
    for name, text in SCRIPTS.items():
        path = directory / name
        path.write_text(text)
        path.chmod(0o755)
