"""Two scripts in one: OnStart holds a single script, and both have to run.

Each runs as a process of its own out of a file, so that neither the failure of the first nor its
``exit`` skips the second. The result fails where one of them failed, as each would have alone.
"""

from __future__ import annotations

import hashlib
import re
import shlex

from . import size
from .render import BEGIN, END, without_comments
from .scripts import LifecycleError

MARK = b"# jupyter-idle-culler: runs two lifecycle configurations, "
_NAMED = re.compile(re.escape(MARK) + rb"(\S+), then (\S+)")
_NAME_LIMIT = 63

_FRAME = b"""#!/bin/bash
%s%s, then %s
status=0
run() {
  local file code=0
  file=$(mktemp) && cat >"$file" || {
    status=1
    return
  }
  { "$@" "$file" 2>&3 </dev/null || code=$?; } 3>&2 2>/dev/null
  rm -f "$file"
  [ "$code" = 0 ] || status=$code
}
"""


def merged_name(first: str, second: str) -> str:
    """Return the name of the configuration that runs both: the same for the same two."""
    name = f"{first}-and-{second}"
    if len(name) <= _NAME_LIMIT:
        return name
    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{first[:26].rstrip('-')}-and-{second[:22].rstrip('-')}-{mark}"


def merge(first: bytes, first_name: str, second: bytes, second_name: str) -> bytes:
    """Return a script that runs both, the first one first.

    The comments of the second are taken out where the size needs it, and it is one of ours.
    Raises: LifecycleError where all is too long, or a script holds what no here-document can.
    """
    whole = _framed(first, first_name, second, second_name)
    if not size.fits(whole) and BEGIN.encode() in second and END.encode() in second:
        short = without_comments(second.decode()).encode()
        whole = _framed(first, first_name, short, second_name)
    return size.checked(whole, f"{first_name} and {second_name} in one script")


def parts(script: bytes) -> tuple[str, str] | None:
    """Return the names of the two that a script runs, None where it is no such script."""
    lines = script.split(b"\n", 2)
    found = _NAMED.fullmatch(lines[1]) if len(lines) == 3 else None
    return (found[1].decode(), found[2].decode()) if found else None


def first_of(script: bytes) -> bytes:
    """Return the first of the two scripts (with a line end after its last line)."""
    opened = re.search(rb"^run [^\n]*<<'(END_OF_SCRIPT\w*)'\n", script, re.M)
    body, _, _ = (
        script[opened.end() :].partition(b"\n" + opened[1] + b"\n") if opened else (b"",) * 3
    )
    if not body:
        message = "the first of two merged scripts is not found in them"
        raise LifecycleError(message)
    return body + b"\n"


def _framed(first: bytes, first_name: str, second: bytes, second_name: str) -> bytes:
    text = _FRAME % (MARK, first_name.encode(), second_name.encode())
    end = b"END_OF_SCRIPT"
    while any(line.strip() == end for line in (first + b"\n" + second).splitlines()):
        end += b"_"
    for script in (first, second):
        if b"\0" in script:
            message = "a script that holds a NUL byte cannot be merged"
            raise LifecycleError(message)
        body = script if script.endswith(b"\n") else script + b"\n"
        text += b"run %s <<'%s'\n%s%s\n" % (_interpreter(script), end, body, end)
    return text + b'exit "$status"\n'


def _interpreter(script: bytes) -> bytes:
    """Return the words of the first line that say what runs a script: as the kernel reads them."""
    line = script.splitlines()[0] if script else b""
    if not line.startswith(b"#!"):
        return b"/bin/bash"
    words = line[2:].decode(errors="replace").strip().split(None, 1)
    return " ".join(shlex.quote(word) for word in words).encode() or b"/bin/bash"
