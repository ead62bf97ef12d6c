"""Find out whether ``/proc`` shows what it should.

What ``/proc`` hides looks exactly like what is not there, so a job that cannot be seen would be
taken for idleness: where anything may be hidden the process source says "unknown" instead.
Python 3.8 syntax: autostop shares this module.
"""

from __future__ import annotations

import os
from typing import Dict, Iterable, Optional

_CAP_SYS_PTRACE = 1 << 19
_HIDDEN_FROM_STRANGERS = ("1", "2", "noaccess", "invisible")
_HIDDEN_FROM_NON_TRACERS = ("4", "ptraceable")


def what_is_hidden(proc: str = "/proc") -> Optional[str]:
    """Return why processes may be hidden from us and how to mend it (None: nothing is hidden).

    Raises:
        OSError: ``proc`` is not readable at all.
    """
    owner = os.stat(proc + "/self").st_uid
    if owner != os.geteuid():
        return (
            "{} says that this process belongs to uid {}, which is not its uid {}: it was mounted "
            "for another user namespace; mount a proc file system of this one".format(
                proc, owner, os.geteuid()
            )
        )
    with open(proc + "/self/uid_map", encoding="ascii", errors="replace") as stream:
        if not stream.read().strip():
            return (
                "this user namespace maps no uid, so everybody's processes look alike in {}; "
                "map the uid of the Jupyter server into it".format(proc)
            )
    with open(proc + "/self/mountinfo", encoding="utf-8", errors="replace") as stream:
        options = proc_options(stream, proc)
    with open(proc + "/self/status", encoding="utf-8", errors="replace") as stream:
        capabilities = effective_capabilities(stream)
    hidden, gid = options.get("hidepid", "0"), int(options.get("gid", "0"))
    if hidden in ("0", "off"):
        return None
    strangers = hides_from(hidden, gid, {os.getegid(), *os.getgroups()}, capabilities)
    if not strangers and os.access(proc + "/1/stat", os.R_OK):
        return None  # a capability of a user namespace opens nothing outside it: hence the look
    return (
        "{} is mounted with hidepid={}, so jobs may run that cannot be seen; mount it without "
        "hidepid, or with gid= set to a group of the Jupyter server".format(proc, hidden)
    )


def hides_from(hidepid: str, gid: int, groups: Iterable[int], capabilities: int) -> bool:
    """Tell whether a proc file system hides processes from someone.

    ``gid`` is the group that sees everything (0 where the mount names none); it does not help
    against ``ptraceable``. Source: has_pid_permissions() in Linux' fs/proc/base.c.
    """
    if capabilities & _CAP_SYS_PTRACE:
        return False
    if hidepid in _HIDDEN_FROM_NON_TRACERS:
        return True
    return hidepid in _HIDDEN_FROM_STRANGERS and gid not in groups


def proc_options(mountinfo: Iterable[str], proc: str = "/proc") -> Dict[str, str]:
    """Return the options of the proc file system at a mount point: the last mounted is on top.

    Source: proc_pid_mountinfo(5): mount point is field 5, file system and its options follow "-".
    """
    options: Dict[str, str] = {}
    for line in mountinfo:
        mount, _, filesystem = line.rstrip("\n").partition(" - ")
        fields, rest = mount.split(" "), filesystem.split(" ")
        if len(fields) > 4 and fields[4] == proc and len(rest) > 2 and rest[0] == "proc":
            options = {
                name: value
                for name, _, value in (option.partition("=") for option in rest[2].split(","))
            }
    return options


def effective_capabilities(status: Iterable[str]) -> int:
    """Return the effective capabilities from the lines of ``/proc/<pid>/status``, as bits."""
    for line in status:
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0
