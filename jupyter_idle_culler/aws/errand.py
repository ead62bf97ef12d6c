"""Send a short-lived process to AWS, so that neither boto3 nor its stalls get into the server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

from .sagemaker import Answer
from .target import Target

LONGEST_SECONDS = 120.0
"""An errand that takes longer is ended; what it did is then found out by the next one."""

# Not `-m`: that would look for modules in the working directory first, which is the user's.
_PROGRAM = """
import sys
sys.path[:] = [path for path in sys.path if path]
if {root!r} not in sys.path:
    sys.path.append({root!r})
from jupyter_idle_culler.aws.child import main
raise SystemExit(main())
"""
_ROOT = str(Path(__file__).resolve().parent.parent.parent)


class Errand:
    """One request to AWS about a target, by a process that ends with it.

    Only one request goes out at a time. ``program`` is what Python runs.
    """

    def __init__(
        self, target: Target, longest_seconds: float = LONGEST_SECONDS, program: str | None = None
    ) -> None:
        self.target = target
        self._longest_seconds = longest_seconds
        self._program = _PROGRAM.format(root=_ROOT) if program is None else program
        self._process: asyncio.subprocess.Process | None = None
        self._asking = asyncio.Lock()
        self._starting = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The process (and session) that is under way: its work is ours, not evidence."""
        return None if self._process is None else self._process.pid

    async def make_ready(self) -> None:
        """Have a process load boto3 and wait for its word, where none does yet.

        Raises: OSError, NotImplementedError where none can be started.
        """
        async with self._starting:
            if self._process is not None and self._process.returncode is None:
                return
            pipe = asyncio.subprocess.PIPE
            self._process = await asyncio.create_subprocess_exec(
                sys.executable or "python3",
                *("-c", self._program),
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                start_new_session=True,
                limit=1 << 20,
            )
            assert self._process.stdin is not None  # noqa: S101 - tells the type checker
            self._process.stdin.write(self.target.to_json().encode() + b"\n")

    async def stand_down(self) -> None:
        """Let a process go that is ready, and not asked for anything."""
        if not self._asking.locked():
            await self._end()

    async def describe(self) -> Answer:
        """Ask how the target is."""
        return await self._ask("describe")

    async def stop(self) -> Answer:
        """Have the target stopped."""
        return await self._ask("stop")

    async def close(self) -> None:
        """End whatever is under way."""
        await self._end()

    async def _ask(self, wanted: str) -> Answer:
        async with self._asking:
            try:
                await self.make_ready()
            except (OSError, NotImplementedError) as error:
                why = str(error) or "this system's event loop runs no programs"
                return _failed(f"the process that speaks to AWS cannot be started: {why}")
            process = self._process
            assert process is not None  # noqa: S101 - tells the type checker
            try:
                said, errors = await asyncio.wait_for(
                    process.communicate(wanted.encode() + b"\n"), self._longest_seconds
                )
            except asyncio.TimeoutError:
                return _failed(f"AWS was not done with within {self._longest_seconds:g} s")
            except OSError as error:
                return _failed(f"the process that speaks to AWS was lost: {error}")
            finally:
                await self._end()
            return _understood(said, errors, process.returncode)

    async def _end(self) -> None:
        """End the process, if there is one, and wait for it."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if hasattr(os, "killpg"):
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    process.kill()
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()


def _understood(said: bytes, errors: bytes, code: int | None) -> Answer:
    try:
        return Answer(**json.loads(said))
    except (ValueError, TypeError):
        lines = errors.decode("utf-8", "replace").strip().splitlines()
        last = f": {lines[-1].strip()[:300]}" if lines else ""
        return _failed(f"the process that speaks to AWS ended with code {code}{last}")


def _failed(detail: str) -> Answer:
    return Answer("unexpected", detail)
