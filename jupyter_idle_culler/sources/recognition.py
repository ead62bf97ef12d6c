"""Recognise processes by what they carry: a name, a mark, a control group, a command that watches.

Each answer is remembered for a process until it runs another command. Reads ``/proc``: never on
the event loop. Python 3.8 syntax: autostop shares this module.
"""

from __future__ import annotations

import fnmatch
import re
from typing import Callable, Dict, Mapping, Optional, Sequence

from . import procfs
from .commands import Catalogue, Role
from .procfs import Process, ProcKey

DEFAULT_IGNORED_PROCESSES = (
    "(sd-pam)", "agetty", "amazon-cloudwat*", "amazon-ssm-agen*", "anacron", "atd", "auditd",
    "avahi-daemon", "chronyd", "containerd*", "cron", "crond", "dbus-broker*", "dbus-daemon",
    "docker-init", "docker-proxy", "dockerd", "dumb-init", "fail2ban-server", "gpg-agent",
    "gvfsd*", "init", "irqbalance", "login", "nscd", "ntpd", "nvidia-fabricma*",
    "nvidia-persiste*", "packagekitd", "polkitd", "rsyslogd", "runsv", "runsvdir", "s6-*",
    "snapd", "ssh-agent", "ssm-agent-worke*", "ssm-session-wor*", "sshd", "sshd-session",
    "supervisord", "systemd", "systemd-*", "tini", "unattended-upgr*",
)  # fmt: skip
"""Commands that never count: what keeps a machine running, whoever it runs as."""

_RUNS_JOBS_OF_USERS = ("cron", "crond", "atd", "ssh", "sshd")
_COMM_LENGTH = 15  # the kernel cuts names there


class PerProcess:
    """Remembers an answer for each process, until it runs another command."""

    def __init__(self, ask: Callable[[Process], bool]) -> None:
        self._ask = ask
        self._answers: Dict[int, "tuple[int, str, bool]"] = {}

    def __call__(self, process: Process) -> bool:
        """Answer for one process."""
        known = self._answers.get(process.pid)
        if known is None or known[0] != process.start_ticks or known[1] != process.comm:
            known = (process.start_ticks, process.comm, self._ask(process))
            self._answers[process.pid] = known
        return known[2]

    def forget_gone(self, processes: Mapping[int, Process]) -> None:
        """Drop what is remembered of processes that are gone."""
        for pid in self._answers.keys() - processes.keys():
            del self._answers[pid]


class Names:
    """Commands that never count, as shell patterns on their names."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._pattern = re.compile("|".join(fnmatch.translate(p) for p in patterns) or r"(?!)")
        self._known: Dict[str, bool] = {}
        self._whole_name_matches = PerProcess(self._ask_command_line)

    def match(self, process: Process) -> bool:
        """Tell whether a process's command is one of them. May read its command line."""
        known = self._known.get(process.comm)
        if known is None:
            known = self._known[process.comm] = bool(self._pattern.match(process.comm))
        if not known and len(process.comm) == _COMM_LENGTH:
            return self._whole_name_matches(process)
        return known

    def forget_gone(self, processes: Mapping[int, Process]) -> None:
        """Drop what is remembered of processes, and names, that are gone."""
        self._whole_name_matches.forget_gone(processes)
        if len(self._known) > len(processes) + 1000:
            self._known.clear()

    def _ask_command_line(self, process: Process) -> bool:
        words = procfs.command_line(process.pid)
        return bool(words and self._pattern.match(words[0].rsplit("/", 1)[-1]))


class Marks:
    """Recognises what a server's terminals and kernels started by the variables they inherit."""

    def __init__(self, server: ProcKey, server_url: Optional[str]) -> None:
        self._server, self._url = server, server_url

    def carried_by(self, process: Process) -> bool:
        """Tell whether a process carries this server's marks. Reads its environment."""
        variables = procfs.environment(process.pid)
        if self._url is not None and variables.get("JUPYTER_SERVER_URL") == self._url:
            return True
        return (
            variables.get("JPY_PARENT_PID") == str(self._server.pid)
            and process.start_ticks >= self._server.start_ticks
        )


class Services:
    """Tells a machine's services from what its users run, by their control groups."""

    def __init__(self, server_pid: int) -> None:
        self._own = procfs.service_unit(server_pid)

    def include(self, process: Process) -> bool:
        """Tell whether a process is part of a system service (the server's own: never)."""
        unit = procfs.service_unit(process.pid)
        if unit is None or unit == self._own:
            return False
        name = unit.rsplit("/", 1)[-1][: -len(".service")].partition("@")[0]
        return name not in _RUNS_JOBS_OF_USERS


class Viewers:
    """Tells programs that only watch, in the foreground of a terminal of whatever kind.

    The terminals source speaks of the terminals it knows; a ``watch`` in a pane of tmux, or at an
    ssh login, is no more work than there.
    """

    def __init__(self, commands: Sequence[str]) -> None:
        self._catalogue = Catalogue(viewers=commands)

    def include(self, process: Process) -> bool:
        """Tell whether a process's command is one that watches. Reads its command line."""
        words = procfs.command_line(process.pid)
        return self._catalogue.role(words, process.comm) in (Role.VIEWER, Role.PAGER)
