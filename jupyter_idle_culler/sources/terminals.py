"""The terminals of this server: who typed in them last, what is in their foreground (T1 to T6)."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.model import Kind, Observation, Resource, ResourceId, Strength, Verdict
from .base import Look, Report
from .commands import DEFAULT_INTERACTIVE, DEFAULT_VIEWERS, Catalogue
from .foreground import BlockedSince, Foreground, Foregrounds, Standing
from .keystrokes import install_keystroke_watch
from .procfs import TICKS_PER_SECOND
from .terminal_device import DeviceInput, without_proc
from .waiting import tty_path

_DETAIL = {
    Standing.SHELL: "at its prompt",
    Standing.VIEWER: "{} only watches",
    Standing.PROMPT: "{} is left open",
    Standing.BLOCKED: "{} waits for input",
    Standing.HIDDEN: "what runs in its foreground cannot be seen",
    Standing.JOB: "{} in the foreground",
}
_SUSPENSION_SECONDS = 1.0


@dataclass
class _Terminal:
    """What is remembered of one terminal, for as long as it lives."""

    pty: Any
    started_at: float
    input_at: float | None = None
    job_ended_at: float | None = None
    job: str = ""
    looked_at: float | None = None
    shell_seen: bool = False
    shell_ended: bool = False
    device: DeviceInput = field(default_factory=DeviceInput)
    blocked: BlockedSince = field(default_factory=BlockedSince)

    @property
    def pid(self) -> int | None:
        """The shell's pid; None where there is none, or no more."""
        if self.shell_ended:
            return None
        pid = getattr(getattr(self.pty, "ptyproc", None), "pid", None)
        return pid if isinstance(pid, int) else None


class TerminalsSource:
    """Finds the terminals, and says since when each is idle.

    ``settings`` are the web application's; its terminal manager is looked for anew each time.
    ``viewer_commands`` and ``interactive_commands`` are the whole lists (see `Catalogue`).
    Keystrokes come from `watch_input`, where that could be installed, else from the time of access
    of the terminal's device. ``clock`` gives instants.
    """

    name = "terminals"
    covers = ResourceId(Kind.TERMINAL, "")
    essential = True

    def __init__(
        self,
        settings: Mapping[str, Any],
        *,
        viewer_commands: Iterable[str] = DEFAULT_VIEWERS,
        interactive_commands: Iterable[str] = DEFAULT_INTERACTIVE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._catalogue = Catalogue(viewer_commands, interactive_commands)
        self._clock = clock
        self._terminals: dict[str, _Terminal] = {}
        self._watches_input = False
        self._asleep: float | None = None
        self._proc = os.path.exists("/proc/self/stat")  # noqa: PTH110 - once, before any loop runs

    @property
    def limitations(self) -> tuple[str, ...]:
        """What cannot be seen here."""
        if not self._settings.get("terminal_manager"):
            return ()
        found = []
        if not self._proc:
            found.append(
                "Viewers, prompts and blocked jobs in terminals are told from working jobs on"
                " Linux only: here any foreground job is active."
            )
        if not self._watches_input:
            found.append(
                "Input in terminals is known to within eight seconds only, and a terminal's"
                " automatic replies count as input."
            )
        return tuple(found)

    def watch_input(self, web_app: Any) -> bool:
        """See keystrokes at the websocket from now on; False: this server has no place for it."""
        self._watches_input = install_keystroke_watch(web_app, self.note_input)
        return self._watches_input

    def note_input(self, name: str) -> None:
        """Note that a person typed in a terminal, now."""
        pty = self._ptys().get(name)
        if pty is not None:
            now = self._clock()
            self._known(name, pty, now).input_at = now

    async def observe(self, look: Look) -> Report:
        """Find the terminals and what is in their foreground. Fails for no terminal alone."""
        ptys = self._ptys()
        for name in [name for name, t in self._terminals.items() if ptys.get(name) is not t.pty]:
            del self._terminals[name]
        if not ptys:
            return Report()
        new = [name for name in ptys if name not in self._terminals]
        terminals = {name: self._known(name, pty, look.now) for name, pty in ptys.items()}
        self._date(new, look)
        foregrounds: dict[str, Foreground] = {}
        if look.processes is not None:
            foregrounds = await asyncio.to_thread(self._judge, terminals, look)
        observations: list[Observation] = []
        resources = []
        for name, terminal in terminals.items():
            foreground = foregrounds.get(name)
            id = ResourceId(Kind.TERMINAL, name)
            resources.append(_resource(id, terminal, foreground))
            observations += self._evidence(id, terminal, foreground, look)
            terminal.looked_at = look.now
        return Report(tuple(observations), tuple(resources))

    def _ptys(self) -> dict[str, Any]:
        manager = self._settings.get("terminal_manager")
        return dict(getattr(manager, "terminals", None) or {})

    def _known(self, name: str, pty: Any, now: float) -> _Terminal:
        known = self._terminals.get(name)
        if known is None or known.pty is not pty:  # a name is given again
            known = self._terminals[name] = _Terminal(pty, started_at=now)
        return known

    def _date(self, new: Iterable[str], look: Look) -> None:
        """Date new terminals by the start of their shells.

        Ticks since boot run on while the machine sleeps, the clock of looks does not: after a
        sleep since the last look the moment of this look, which is later, has to do.
        """
        if look.processes is None:
            return
        asleep = look.processes.boot_ticks / TICKS_PER_SECOND - look.processes.read_at
        slept = self._asleep is not None and asleep - self._asleep > _SUSPENSION_SECONDS
        self._asleep = asleep
        for name in new:
            terminal = self._terminals[name]
            shell = look.processes.processes.get(terminal.pid or 0)
            if shell is not None and not slept:
                started = shell.start_ticks / TICKS_PER_SECOND - asleep
                terminal.started_at = min(terminal.started_at, started)

    def _judge(self, terminals: Mapping[str, _Terminal], look: Look) -> dict[str, Foreground]:
        """Judge all foregrounds, and read the devices where they must tell of input. Blocks."""
        assert look.processes is not None  # noqa: S101 - for the type checker: observe asked
        machine = Foregrounds(look.processes, self._catalogue)
        found = {}
        for name, terminal in terminals.items():
            shell = look.processes.processes.get(terminal.pid or 0)
            if shell is not None:
                terminal.shell_ended = shell.state in ("Z", "X")
            elif not terminal.shell_ended:
                # It may have come and gone between two looks.
                terminal.shell_ended = terminal.shell_seen or _is_gone(terminal.pid)
            if shell is None or not shell.tty_nr:
                born_since = terminal.looked_at is None and shell is None
                known = terminal.shell_ended or born_since
                found[name] = Foreground(Standing.SHELL if known else Standing.HIDDEN)
                continue
            terminal.shell_seen = True
            found[name] = machine.of(shell.tty_nr)
            if not self._watches_input:
                at = terminal.device.last_input(tty_path(shell.tty_nr), look.now)
                terminal.input_at = at if at is not None else terminal.input_at
        return found

    def _evidence(
        self, id: ResourceId, terminal: _Terminal, foreground: Foreground | None, look: Look
    ) -> list[Observation]:
        found = []
        if foreground is not None:
            found += self._of_foreground(id, terminal, foreground, look.now)
        elif look.processes_error is not None:
            detail = f"its processes cannot be seen: {look.processes_error}"
            found.append(Observation(id, self.name, Verdict.UNKNOWN, detail=detail))
        else:
            found += without_proc(id, self.name, terminal.pty, look.now, self._watches_input)
        if terminal.input_at is not None:
            at = min(terminal.input_at, look.now)
            found.append(Observation(id, self.name, Verdict.IDLE, at, "you typed in it"))
        return found

    def _of_foreground(
        self, id: ResourceId, terminal: _Terminal, foreground: Foreground, now: float
    ) -> list[Observation]:
        detail = _DETAIL[foreground.standing].format(foreground.command)
        if terminal.shell_ended:
            detail = "its shell has ended"
        stirred = (
            terminal.input_at is not None
            and terminal.looked_at is not None
            and terminal.input_at > terminal.looked_at
        )
        since = terminal.blocked.see(foreground, now, stirred)
        if foreground.standing is Standing.JOB:
            terminal.job = foreground.command
            return [
                Observation(
                    id, self.name, Verdict.ACTIVE, detail=detail, strength=Strength.OCCUPIED
                )
            ]
        if foreground.standing is Standing.HIDDEN:
            return [Observation(id, self.name, Verdict.UNKNOWN, detail=detail)]
        found = [Observation(id, self.name, Verdict.IDLE, since, detail)]
        if terminal.job:  # it ended at some time since the last look: now is the later bound
            terminal.job_ended_at, terminal.job = now, ""
        if terminal.job_ended_at is not None:
            at = terminal.job_ended_at
            found.append(Observation(id, self.name, Verdict.IDLE, at, "its last command ended"))
        return found


def _is_gone(pid: int | None) -> bool:
    """Tell whether there is no such process, also none of somebody else's that is hidden."""
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _resource(id: ResourceId, terminal: _Terminal, foreground: Foreground | None) -> Resource:
    clients = len(getattr(terminal.pty, "clients", None) or ())
    return Resource(
        id=id,
        started_at=terminal.started_at,
        label=f"Terminal {id.name}",
        pid=terminal.pid,
        connections=clients,
        excluded_pids=foreground.viewers if foreground else (),
        facts={"foreground": foreground.command if foreground else "", "clients": clients},
    )
