"""Send a short-lived process to AWS, so that neither boto3 nor its stalls get into the server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from .child import ASK, SIGN
from .sagemaker import Answer
from .target import Target

LONGEST_SECONDS = 120.0
"""An errand that takes longer is ended; what it did is then found out by the next one."""

# Not `-m`: that would look for modules in the working directory first, which is the user's. An
# empty entry of PYTHONPATH means it too, so the process works in the root directory.
_PROGRAM = """
import sys
sys.path[:] = [path for path in sys.path if path]
if {root!r} not in sys.path:
    sys.path.append({root!r})
from jupyter_idle_culler.aws.child import main
raise SystemExit(main())
"""
_ROOT = str(Path(__file__).resolve().parent.parent.parent)
_TOP = Path(__file__).resolve().anchor


StillWanted = Callable[[], Awaitable[bool]]


async def _always() -> bool:
    return True


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
                cwd=_TOP,
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

    async def stop(self, still_wanted: StillWanted = _always) -> Answer:
        """Have the target stopped, if that is ``still_wanted`` when the stop is about to go out."""
        return await self._ask("stop", still_wanted)

    async def sign(self, text: str) -> Answer:
        """Have a sign of life put upon the target."""
        return await self._ask(SIGN + text)

    async def close(self) -> None:
        """End whatever is under way."""
        await self._end()

    async def _ask(self, wanted: str, still_wanted: StillWanted = _always) -> Answer:
        async with self._asking:
            try:
                await self.make_ready()
            except (OSError, NotImplementedError) as error:
                why = str(error) or "this system's event loop runs no programs"
                return _failed(f"the process that speaks to AWS cannot be started: {why}")
            process = self._process
            assert process is not None  # noqa: S101 - tells the type checker
            talk = _Talk(process, still_wanted)
            try:
                return await asyncio.wait_for(talk.hold(wanted), self._longest_seconds)
            except asyncio.TimeoutError:
                said = f"AWS was not done with within {self._longest_seconds:g} s"
                return _failed(said, talk.may_have_sent)
            except OSError as error:
                said = f"the process that speaks to AWS was lost: {error}"
                return _failed(said, talk.may_have_sent)
            finally:
                await self._end()

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


_FIELDS = frozenset(Answer._fields)
_REQUIRED = _FIELDS - set(Answer._field_defaults)


class _Talk:
    """What is said to a process, and what it answers."""

    def __init__(self, process: asyncio.subprocess.Process, still_wanted: StillWanted) -> None:
        self.may_have_sent = False
        self._process = process
        self._still_wanted = still_wanted

    async def hold(self, wanted: str) -> Answer:
        """Say what is wanted, answer what it asks, and return its answer. Raises: OSError."""
        process = self._process
        assert process.stdout is not None  # noqa: S101 - tells the type checker
        assert process.stderr is not None  # noqa: S101 - as above
        errors = asyncio.ensure_future(process.stderr.read())
        try:
            with contextlib.suppress(ConnectionError):  # it has ended: its last words say why
                await self._say(wanted)
            async for line in process.stdout:
                message = _message(line)
                if ASK in message:
                    go = await self._still_wanted()
                    self.may_have_sent = self.may_have_sent or go
                    await self._say("go" if go else "no")
                elif message:
                    return Answer(**message)
            await process.wait()
            return _failed(_last_words(await errors, process.returncode), self.may_have_sent)
        finally:
            errors.cancel()

    async def _say(self, word: str) -> None:
        assert self._process.stdin is not None  # noqa: S101 - tells the type checker
        self._process.stdin.write(word.encode() + b"\n")
        await self._process.stdin.drain()


def _message(line: bytes) -> dict[str, Any]:
    """Return what a line says; nothing where it is not of our own."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    known = isinstance(said, dict) and (ASK in said or _REQUIRED <= set(said) <= _FIELDS)
    return said if known else {}


def _last_words(errors: bytes, code: int | None) -> str:
    lines = errors.decode("utf-8", "replace").strip().splitlines()
    last = f": {lines[-1].strip()[:300]}" if lines else ""
    return f"the process that speaks to AWS ended with code {code}{last}"


def _failed(detail: str, sent: bool = False) -> Answer:
    return Answer("unexpected", detail, sent=sent)
