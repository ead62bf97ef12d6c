"""One run: look, decide, act, record, say one line; and the next one, where that was asked for."""

from __future__ import annotations

import argparse
import fcntl
import importlib.util
import os
import signal
import sys
import time
from typing import Any, Dict, Optional, Sequence

from . import memory, options

_LOG_BYTES = 1 << 20
_LONGEST_LOOK_SECONDS = 300
_INTERPRETERS = (
    "/home/ec2-user/anaconda3/envs/JupyterSystemEnv/bin/python3",
    "/opt/conda/bin/python3",
    "/usr/bin/python3",
)


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run autostop; return the exit status: 0 whatever it finds."""
    asked = options.read(argv)
    _find_boto3()
    signal.signal(signal.SIGALRM, _cut_short)
    while True:
        signal.alarm(_LONGEST_LOOK_SECONDS)
        try:
            os.makedirs(os.path.dirname(asked.state_file) or ".", exist_ok=True)
            with open(asked.state_file + ".lock", "w", encoding="ascii") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                line = _run(asked)
        except BlockingIOError:
            line = "another run is at it"
        except OSError as error:
            line = f"UNHEALTHY, nothing is stopped: no state can be kept: {error}"
        _say(asked, line)
        signal.alarm(0)
        if not asked.every:
            return 0
        time.sleep(asked.every)


def _cut_short(*_: Any) -> None:
    """End a look that a server, or a file system, holds up; the next one may fare better."""
    raise TimeoutError("it took too long")


def _run(asked: argparse.Namespace) -> str:
    """Make one run, and keep what the next one needs. Raises: OSError: it cannot be kept."""
    kept = memory.load(asked.state_file)
    memory.save(asked.state_file, kept)
    try:
        line = _check(asked, kept)
    except Exception as error:  # nothing may keep it from looking again
        kept = {}
        line = f"UNHEALTHY, starts afresh: {error!r}"
    memory.save(asked.state_file, kept)
    return line


def _check(asked: argparse.Namespace, kept: Dict[str, Any]) -> str:
    return (_classic if asked.environment == options.CLASSIC else _host)(asked, kept)


def _host(asked: argparse.Namespace, kept: Dict[str, Any]) -> str:
    from .host import look_and_stop

    return look_and_stop(asked, kept)


def _classic(asked: argparse.Namespace, kept: Dict[str, Any]) -> str:
    from .jupyter_api import JupyterApi
    from .kernels import heartbeats
    from .studio_classic import check

    lines = check(
        JupyterApi(asked.base_url, asked.token),
        kept.setdefault("classic", {}),
        timeout_seconds=asked.time,
        keep_terminals=asked.keep_terminals,
        warning_seconds=60 * asked.warning_minutes,
        dry_run=asked.dry_run,
        now=time.monotonic(),
        heartbeats=heartbeats,
    )
    return " | ".join(lines)


def _say(asked: argparse.Namespace, line: str) -> None:
    """Write one line to the log, which stays below its size, or to the terminal."""
    line = f"{memory.stamp()} {' '.join(line.split())}"
    if asked.explain or not asked.log_file:
        print(line, flush=True)
    if asked.log_file:
        try:
            with open(asked.log_file, "a", encoding="utf-8") as stream:
                print(line, file=stream)
                if stream.tell() > _LOG_BYTES:
                    os.replace(asked.log_file, asked.log_file + ".1")
        except OSError as error:
            print(error, line)


def _find_boto3() -> None:
    """Go on in another interpreter where this one lacks boto3."""
    tried = os.environ.get("AUTOSTOP_TRIED", "")
    if not importlib.util.find_spec("boto3"):
        for path in _INTERPRETERS:
            if path not in tried and os.access(path, os.X_OK):
                os.environ["AUTOSTOP_TRIED"] = tried + path
                program = ["-m", __package__] if __package__ else [sys.argv[0]]
                os.execv(path, [path, *program, *sys.argv[1:]])
