"""Autostop beside a real https Jupyter server: the rows of the truth table that it can know.

What is idle is put on one machine, all at once: it must stop. What is active is put on another: it
must be kept, and each row be named as a reason in each look.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import websocket

from .autostop_machine import IDLE, WARNING, AutostopMachine
from .harness import Kernel, Terminal
from .rows import WORK, again_and_again, script, write_kernelspec

pytestmark = pytest.mark.timeout(300)

BEAT = """
import threading, time
def beat():
    while True:
        time.sleep({pause})
        {act}
threading.Thread(target=beat, daemon=True).start()
"""
NOTEBOOK = {
    "cells": [
        {
            "cell_type": "code",
            "execution_count": 1,
            "id": "one",
            "metadata": {},
            "outputs": [],
            "source": "beat()",
        }
    ],
    "metadata": {},
    "nbformat": 4,
    "nbformat_minor": 5,
}


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[AutostopMachine]:
    """Start a machine with nothing on it."""
    with AutostopMachine(tmp_path) as running:
        yield running


def looks_until(machine: AutostopMachine, wanted: str, seconds: float, *args: str) -> list[str]:
    """Look again and again until a verdict has this in it; return all verdicts."""
    verdicts: list[str] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        verdicts.append(machine.verdict(*args))
        print(verdicts[-1])
        if wanted in verdicts[-1]:
            return verdicts
        time.sleep(1)
    raise AssertionError("\n".join([f"no {wanted!r} in", *verdicts, machine.look(*args)]))


def in_terminal(machine: AutostopMachine, command: str, shown: str = "") -> Terminal:
    """Open a terminal and type a command line; wait until the terminal shows something."""
    terminal = machine.terminal()
    terminal.run(command)
    if shown:
        terminal.read_until(shown)
    return terminal


def save(machine: AutostopMachine, printed: int) -> None:
    """Save the notebook as an autosave does when a cell has printed something more."""
    outputs = [{"name": "stdout", "output_type": "stream", "text": "beat\n" * printed}]
    cells = [{**NOTEBOOK["cells"][0], "outputs": outputs}]  # type: ignore[index]
    content = {**NOTEBOOK, "cells": cells}
    model = {"type": "notebook", "format": "json", "content": content}
    machine.request("PUT", "api/contents/beat.ipynb", model)


def test_a_machine_on_which_everything_is_idle_stops(machine: AutostopMachine) -> None:
    """K5 to K9, T1, T3 to T6, P2: none of it holds the machine."""
    save(machine, 0)
    session = machine.request(
        "POST",
        "api/sessions",
        {"path": "beat.ipynb", "type": "notebook", "name": "", "kernel": {"name": "python3"}},
    )
    beats = machine.kernel(session["kernel"]["id"])
    beats.execute(BEAT.format(pause=0.9, act="print('beat', flush=True)"))  # K5, and its tab
    wakes = machine.kernel()
    wakes.execute(BEAT.format(pause=0.3, act="sum(range(1000))"))
    wakes.execute("import subprocess; sleeper = subprocess.Popen(['sleep', '1000'])")
    wakes.close()
    machine.start_kernel()  # K7, K9: nobody joined it
    write_kernelspec(machine, "mortal", {}, lives=1)
    mortal = machine.kernel(machine.start_kernel("mortal"))
    mortal.execute("import os, signal; pid = os.getpid()")
    frozen = machine.kernel()
    kernels = [p for p in processes(machine) if "ipykernel_launcher" in " ".join(p.cmdline())]
    by_id = {k.id: p for k in (mortal, frozen) for p in kernels if k.id in " ".join(p.cmdline())}
    by_id[mortal.id].kill()  # K8: its restarts are exhausted
    by_id[frozen.id].send_signal(signal.SIGSTOP)
    script(machine.home, "ask.py", "answer = input('answer? ')")
    script(machine.home, "debug.py", "x = 1\nbreakpoint()\nprint(x)")
    python = sys.executable
    tabs = [
        in_terminal(machine, "echo at the $((40 + 2)) prompt", "42"),
        in_terminal(machine, "bash\recho in a $((40 + 2)) shell", "42"),
        in_terminal(machine, "su\recho as $((40 + 2)) another", "42"),
        in_terminal(machine, "top", "load average"),
        in_terminal(machine, "watch -n 1 date", "Every"),
        in_terminal(machine, "less /etc/services", "tcp"),
        in_terminal(machine, "man ls", "SYNOPSIS")
        if has_manual()
        else in_terminal(machine, "true"),
        in_terminal(machine, "tail -f /etc/services", "/"),
        in_terminal(machine, "tmux new -s idle", "0:bash"),
        in_terminal(machine, f"{python} -q", ">>>"),
        in_terminal(machine, f"{python} -m IPython --no-banner", "In ["),
        in_terminal(machine, "vim -u NONE", "~"),
        in_terminal(machine, "nano", "Help"),
        in_terminal(machine, "read -p 'go on? ' answer", "go on?"),
        in_terminal(machine, f"{python} {machine.home}/ask.py", "answer?"),
        in_terminal(machine, f"{python} {machine.home}/debug.py", "(Pdb)"),
        in_terminal(machine, "nohup sleep 1000 & setsid sleep 1000 & echo $((40 + 2))", "42"),
    ]
    printed = iter(range(1, 1000))

    def poll() -> None:
        """T4, K6: what a browser does that nobody sits at."""
        save(machine, next(printed))
        machine.request("GET", "api/kernels")
        machine.request("GET", "api/terminals")
        machine.kernel(wakes.id).close()
        machine.terminal(tabs[0].name).close()
        tabs[1].send("set_size", 40, 100 + next(printed) % 5)

    machine.look("-c", "--dry-run")
    with again_and_again(poll, 5), again_and_again(drain(tabs, beats), 0.2):
        verdicts = looks_until(machine, "would stop", 150, "-c", "--dry-run")
    assert any(verdict.startswith("warns: ") for verdict in verdicts), verdicts


def test_a_machine_on_which_things_work_is_kept(machine: AutostopMachine) -> None:
    """K1, K2, K4, T2, P1: each holds the machine, and is named."""
    work = script(machine.home, "work.py", WORK)
    job = f"{sys.executable} {work}"
    silent, prints, threaded, tasked, parent, pool, detached = (machine.kernel() for _ in range(7))
    silent.execute("import time; time.sleep(1000)", wait=False)
    prints.execute("import time\nwhile True: print('.', flush=True); time.sleep(1)", wait=False)
    threaded.execute(
        f"import threading\nthreading.Thread(target=exec, args=({WORK!r},), daemon=True).start()"
    )
    tasked.execute(
        "import asyncio, time\nasync def work():\n"
        + WORK.replace("time.sleep", "await asyncio.sleep").replace("\n", "\n    ")
        + "\ntask = asyncio.get_running_loop().create_task(work())"
    )
    parent.execute(f"import subprocess; child = subprocess.Popen({[*job.split(), 'child']})")
    pool.execute(
        "from concurrent.futures import ProcessPoolExecutor\nimport multiprocessing, runpy\n"
        "pool = ProcessPoolExecutor(1, multiprocessing.get_context('fork'))\n"
        f"future = pool.submit(exec, {WORK!r})"
    )
    detached.execute(f"import os; os.system('nohup {job} detached >/dev/null 2>&1 &')")
    script(machine.home, "loop.sh", "while true; do sleep 3; done")
    tabs = [
        in_terminal(machine, f"{sys.executable} -c 'import time; time.sleep(1000)'"),
        in_terminal(machine, "sleep 1001"),
        in_terminal(machine, "sleep 1002 | cat"),
        in_terminal(machine, f"bash {machine.home}/loop.sh"),
        in_terminal(machine, "sudo sleep 1003"),
        in_terminal(machine, f"nohup {job} nohup >/dev/null 2>&1 &\rexit"),
        in_terminal(machine, f"{job} disowned & disown\rexit"),
        in_terminal(machine, f"setsid {job} setsid\rexit"),
        in_terminal(machine, f"tmux new -d '{job} tmux'; echo $((40 + 2))", "42"),
        in_terminal(machine, f"mkdir -m 700 screens; SCREENDIR=$PWD/screens screen {job} screen"),
        in_terminal(machine, "stty -icanon -echo; sleep 1005"),
        (pager := in_terminal(machine, "less /etc/services", "tcp")),
        in_terminal(machine, "ssh-like(){ stty raw -isig; sleep 1004; }; ssh-like"),
    ]
    pager.run(f"!{job} pager")
    wanted = [
        f"kernel {silent.id} is busy",
        f"kernel {prints.id} is busy",
        f"kernel-{threaded.id[:18]}",
        f"kernel-{tasked.id[:18]}",
        f"kernel-{pool.id[:18]}",
        "work.py child",
        "work.py detached",
        "work.py nohup",
        "work.py disowned",
        "work.py setsid",
        "work.py tmux",
        "work.py screen",
        "time.sleep(1000)",
        "sleep 1001",
        "sleep 1002",
        "loop.sh",
        "sleep 1003",
        "sleep 1004",
        "sleep 1005",
        "work.py\\ pager",
    ]
    machine.look("-c", "--dry-run")
    with again_and_again(drain(tabs), 0.2):
        time.sleep(10)  # what a pager has only just started may be its own
        until = time.monotonic() + IDLE + WARNING + 2
        while time.monotonic() < until:
            shown = machine.look("-c", "--dry-run")
            active = [line for line in shown.splitlines() if line.startswith("now")]
            missing = [one for one in wanted if not any(one in line for line in active)]
            assert not missing, shown
            assert "keeps: " in shown.splitlines()[-1], shown
            time.sleep(6)


def processes(machine: AutostopMachine) -> list[psutil.Process]:
    """Return every process of a machine."""
    assert machine.process is not None
    return psutil.Process(machine.process.pid).children(recursive=True)


def process_of(machine: AutostopMachine, kernel: Kernel) -> psutil.Process:
    """Return a kernel's process."""
    return next(p for p in processes(machine) if kernel.id in " ".join(p.cmdline()))


def drain(tabs: list[Terminal], *kernels: Kernel) -> Callable[[], None]:
    """Return what reads the output of open tabs, as a browser does."""

    def read() -> None:
        for socket in [*(tab.socket for tab in tabs), *(kernel.socket for kernel in kernels)]:
            socket.settimeout(0.01)
            with contextlib.suppress(websocket.WebSocketException):  # or its shell has ended
                while True:
                    socket.recv()

    return read


def has_manual() -> bool:
    """Tell whether there are manual pages here (small images leave them out)."""
    return subprocess.run(["man", "-w", "ls"], capture_output=True, check=False).returncode == 0
