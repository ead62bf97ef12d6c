"""Know commands by their names: shells, viewers, REPLs and editors, filters, wrappers.

A name decides nothing by itself: `python` is a prompt, `python train.py` is a job, and `./watch` is
somebody's own. What a command line means is read here from its words alone, without touching the
machine. Python 3.8 syntax: autostop shares this module.
"""

from __future__ import annotations

import posixpath
import re
import sys
from enum import Enum
from typing import Dict, FrozenSet, Iterable, List, NamedTuple, Optional, Sequence, Tuple


class Role(Enum):
    """What a process in the foreground of a terminal is there for."""

    SHELL = "shell"
    WRAPPER = "wrapper"
    VIEWER = "viewer"
    PAGER = "pager"
    FILTER = "filter"
    REPL = "repl"
    EDITOR = "editor"
    INTERACTIVE = "interactive"
    JOB = "job"


def _words(text: str) -> FrozenSet[str]:
    return frozenset(text.split())


PAGERS = _words("less more most pager zless zmore")
SHELLS = _words("bash zsh sh fish dash ksh ksh93 mksh tcsh csh ash rbash elvish nu pwsh xonsh")
WRAPPERS = ("sudo", "su", "doas", "runuser", "script", "poetry shell", "pipenv shell")
"""What only holds a terminal for another one, often as a user whose calls are not ours to see."""
ASKS_FIRST = _words("sudo su doas")
"""Wrappers that ask for a password while nothing runs below them."""
STAYS_RAW = _words("node")
"""REPLs that listen to the terminal, in raw mode, also while they run an ``await``."""
FILTERS = _words(
    "grep egrep fgrep zgrep rg ag sed awk gawk mawk nawk cut tr sort uniq head tail cat tac nl wc"
    " tee column fold fmt jq ccze lolcat colordiff ts rev paste expand od xxd hexdump strings"
    " iconv zcat bat batcat stdbuf"
)
EDITORS = _words(
    "vim vi nvim view vimdiff gvim nano pico emacs emacsclient micro joe mcedit ed ne kak hx helix"
    " jed mg mc ranger nnn lf"
)
_LONGEST_TEXT = 60
_BIN = re.compile(r"(/usr(/local)?)?/s?bin|/opt(/[^/]+)?/bin|/snap/bin|/nix/store/[^/]+/bin")
_INTERPRETERS = _words("python pypy node nodejs ruby perl bash sh dash zsh")

DEFAULT_VIEWERS: Tuple[str, ...] = (
    *sorted(PAGERS), "man", "info", "bat", "batcat", "lnav",
    "top", "htop", "btop", "bpytop", "atop", "glances", "nvtop", "nvitop", "iotop", "iftop",
    "nethogs", "powertop", "dstat", "watch", "vmstat", "iostat", "mpstat", "pidstat", "tig", "ncdu",
    "tmux", "screen", "zellij", "byobu", "dtach", "abduco",
    "tail -f", "tail -F", "tail --follow", "multitail", "journalctl", "dmesg -w", "dmesg --follow",
    "nvidia-smi -l", "nvidia-smi --loop", "nvidia-smi --loop-ms", "nvidia-smi -lms",
    "nvidia-smi dmon", "nvidia-smi pmon", "gpustat -i", "gpustat --interval", "gpustat --watch",
    "docker logs -f", "docker logs --follow", "docker stats", "kubectl logs -f",
    "kubectl logs --follow", "aws logs tail",
)  # fmt: skip


class _Rule(NamedTuple):
    """When a REPL runs something instead of asking.

    ``code`` are the options that do, ``valued`` those that take the next word, ``positionals`` how
    many plain words leave it interactive (None: any number), ``scripts`` the endings of those that
    do not.
    """

    code: FrozenSet[str] = frozenset()
    valued: FrozenSet[str] = frozenset()
    positionals: Optional[int] = 0
    scripts: Tuple[str, ...] = ()


_SQLITE = _Rule(
    _words("-c --version -version --help -help"),
    _words("-cmd --cmd -init --init -separator -newline -nullvalue -mmap -vfs"),
    1,
)
_PYTHON = _Rule(_words("-c -m -V --version -h --help"), _words("-W -X --check-hash-based-pycs"))
_REPLS: Dict[str, _Rule] = {
    "python": _PYTHON,
    "pypy": _PYTHON,
    "ipython": _Rule(_words("-c -m"), _words("--profile --ipython-dir --matplotlib --gui")),
    "bpython": _Rule(valued=_words("--config --args -p --paste")),
    "ptpython": _Rule(valued=_words("--config-file --history-file")),
    "jupyter-console": _Rule(positionals=None),
    "R": _Rule(_words("-f --file -e CMD"), _words("-g --gui -d --debugger --encoding")),
    "radian": _Rule(positionals=None),
    "julia": _Rule(
        _words("-e -E --eval --print -v --version"),
        _words("-J --sysimage -t --threads -p --procs -L --load -C --cpu-target -H --home"),
    ),
    "node": _Rule(
        _words("-e --eval -p --print -c --check -v --version"), _words("-r --require --import -C")
    ),
    "psql": _Rule(_words("-c --command -f --file -l --list"), _words("-d -h -p -U -v -L -o"), None),
    "pgcli": _Rule(_words("-l --list"), positionals=None),
    "mysql": _Rule(_words("-e --execute"), _words("-h -u -P -D -S"), None),
    "mariadb": _Rule(_words("-e --execute"), _words("-h -u -P -D -S"), None),
    "sqlite3": _SQLITE,
    "duckdb": _SQLITE,
    "redis-cli": _Rule(_words("--scan --pipe -x"), _words("-h -p -a -n -u -s -r -i --user --pass")),
    "mongosh": _Rule(
        _words("--eval --file -f"),
        _words("-u -p --username --password"),
        1,
        (".js", ".mjs", ".cjs", ".mongodb"),
    ),
    "sqlplus": _Rule(positionals=None),
    "clickhouse-client": _Rule(_words("-q --query --queries-file"), positionals=None),
    "lua": _Rule(_words("-e"), _words("-l")),
    "irb": _Rule(valued=_words("-r -I")),
    "ghci": _Rule(_words("-e"), positionals=None),
    "jshell": _Rule(),
    "scala": _Rule(_words("-e")),
    "octave": _Rule(_words("--eval"), _words("-p --path")),
    "octave-cli": _Rule(_words("--eval"), _words("-p --path")),
    "matlab": _Rule(_words("-batch -r"), positionals=None),
    "spark-shell": _Rule(positionals=None),
    "spark-sql": _Rule(_words("-e -f"), positionals=None),
    "pyspark": _Rule(positionals=None),
    "gdb": _Rule(_words("-batch --batch"), positionals=None),
    "lldb": _Rule(_words("-b --batch"), positionals=None),
    "bc": _Rule(positionals=None),
}  # fmt: skip
_EDITOR = _Rule(_words("-es -Es --batch -batch --script -script --headless"), positionals=None)
_SHELL = _Rule(_words("-c --command"), _words("-o -O +O --rcfile --init-file -C --init-command"))

DEFAULT_INTERACTIVE: Tuple[str, ...] = (*sorted(_REPLS), *sorted(EDITORS))


def _printable(words: Iterable[str]) -> str:
    return "".join(c if c.isprintable() else " " for c in " ".join(words))


def _without_folders(argument: str) -> str:
    folders, _, name = argument.rpartition("/")
    return f"…/{name}" if folders.startswith("/") and name else argument


class Command(NamedTuple):
    """A command line as a person would say it: ``name`` without its path, and ``arguments``.

    ``installed`` is False where its path shows that it may be somebody's own (``./watch``).
    """

    name: str
    arguments: Tuple[str, ...]
    installed: bool = True

    @property
    def text(self) -> str:
        """The command for people, at most 60 characters of it.

        Where that is too little, folders go first: the name of a script says more than its place.
        """
        line = _printable((self.name, *self.arguments))
        if len(line) > _LONGEST_TEXT:
            line = _printable((self.name, *map(_without_folders, self.arguments)))
        return line if len(line) <= _LONGEST_TEXT else line[: _LONGEST_TEXT - 1] + "…"


class Catalogue:
    """The commands to know by name, with the configuration's own viewers and interactive ones.

    A configured entry is a name, or a name and words that must be among the arguments
    (``tail -f``). Names that are not ours count wherever the program lies, and the interactive ones
    whatever their arguments are. Ours count only where programs are installed, except those of
    shells and REPLs: for these it is also asked whether they wait at a prompt.
    """

    def __init__(
        self,
        viewers: Iterable[str] = DEFAULT_VIEWERS,
        interactive: Iterable[str] = DEFAULT_INTERACTIVE,
    ) -> None:
        viewers = list(viewers)
        self._viewers = _entries(viewers)
        self._added_viewers = _entries(v for v in viewers if v not in DEFAULT_VIEWERS)
        interactive = list(interactive)
        self._known = frozenset(interactive) & (frozenset(_REPLS) | EDITORS)
        self._added = _entries(entry for entry in interactive if entry not in self._known)
        self._wrappers = _entries(WRAPPERS)

    def role(self, argv: Sequence[str], comm: str = "") -> Role:
        """Say what this command line is (``comm`` is used where it is empty)."""
        readings = _readings(argv, comm)
        for command in readings:
            if _listed(command, self._added):
                return Role.INTERACTIVE
            viewers = self._viewers if command.installed else self._added_viewers
            if _listed(command, viewers):
                return Role.PAGER if command.name in PAGERS else Role.VIEWER
            role = self._named(command)
            if role is not None:
                return role
        return Role.JOB

    def _named(self, command: Command) -> Optional[Role]:
        name = _known_as(command.name, self._known)
        if name in self._known and (command.installed or name not in EDITORS):
            rule = _EDITOR if name in EDITORS else _REPLS[name]
            if _asks(command.arguments, rule):
                return Role.EDITOR if name in EDITORS else Role.REPL
            return None
        if command.name in SHELLS and _asks(command.arguments, _SHELL):
            return Role.SHELL
        if not command.installed:
            return None
        if _listed(command, self._wrappers):
            return Role.WRAPPER
        return Role.FILTER if command.name in FILTERS else None


def command_of(argv: Sequence[str], comm: str = "") -> Command:
    """Return the command as a person typed it, path and login dash taken off."""
    if not argv:
        return Command(comm or "?", ())
    first = argv[0]
    if len(argv) == 1 and ": " in first:  # a title that the process gave itself
        first = first.split(": ")[0]
    path = first.lstrip("-")
    installed = "/" not in path or _is_installed(path)
    return Command(posixpath.basename(path) or comm or "?", tuple(argv[1:]), installed)


def _is_installed(path: str) -> bool:
    """Whether a program lies where programs are installed, or next to the Python that asks."""
    directory = posixpath.dirname(posixpath.normpath(path))
    own = posixpath.dirname(sys.executable or "")
    return bool(_BIN.fullmatch(directory)) or (directory == own and own.startswith("/"))


def _entries(entries: Iterable[str]) -> Dict[str, List[Tuple[str, ...]]]:
    found: Dict[str, List[Tuple[str, ...]]] = {}
    for entry in entries:
        words = entry.split()
        if words:
            found.setdefault(words[0], []).append(tuple(words[1:]))
    return found


def _listed(command: Command, entries: Dict[str, List[Tuple[str, ...]]]) -> bool:
    wanted = entries.get(command.name, ())
    return any(all(_has(command.arguments, word) for word in words) for words in wanted)


def _has(arguments: Sequence[str], word: str) -> bool:
    """Whether a word is among the arguments: ``-f`` also within ``-fn50``, ``--x`` as ``--x=1``."""
    if re.fullmatch("-[A-Za-z]", word):
        return any(re.match("-[A-Za-z]*" + word[1], argument) for argument in arguments)
    return any(a == word or (word[:2] == "--" and a.startswith(word + "=")) for a in arguments)


def _known_as(name: str, known: Iterable[str]) -> str:
    """Take a version off: ``python3.11`` is python, ``sqlite3`` stays sqlite3."""
    return name if name in known else re.sub(r"[\d.]+$", "", name)


def _asks(arguments: Sequence[str], rule: _Rule) -> bool:
    """Whether these arguments leave a REPL or shell asking, rather than running something."""
    plain = 0
    skip = False
    for position, argument in enumerate(arguments):
        if skip:
            skip = False
        elif argument == "--":
            rest = arguments[position + 1 :]
            if any(word.endswith(rule.scripts) for word in rest):
                return False
            plain += len(rest)
            break
        elif (
            argument.endswith(rule.scripts)
            or argument in rule.code
            or argument.split("=")[0] in rule.code
        ):
            return False
        elif argument in rule.valued:
            skip = True
        elif argument[:1] in ("-", "+") and len(argument) > 1:
            if argument[1] not in "-+":
                runs, skip = _cluster(argument[1:], rule)
                if runs:
                    return False
        else:
            plain += 1
    return rule.positionals is None or plain <= rule.positionals


def _cluster(letters: str, rule: _Rule) -> Tuple[bool, bool]:
    """Read ``-ic``: whether a letter runs something, and whether the last one takes a word."""
    for position, letter in enumerate(letters):
        if "-" + letter in rule.code:
            return True, False
        if "-" + letter in rule.valued:
            return False, position == len(letters) - 1
    return False, False


def _readings(argv: Sequence[str], comm: str) -> List[Command]:
    """Return the command, and before it the script or module that an interpreter runs.

    ``/usr/bin/python3 /usr/bin/ipython`` is ipython, ``python -m IPython`` too.
    """
    command = command_of(argv, comm)
    name = _known_as(command.name, _INTERPRETERS)
    if name not in _INTERPRETERS:
        return [command]
    valued = _SHELL.valued if name in SHELLS else _REPLS.get(name, _Rule()).valued
    skip = False
    for position, argument in enumerate(command.arguments):
        rest = command.arguments[position + 1 :]
        if skip or argument in valued:
            skip = not skip
        elif argument == "-m" and rest and name not in SHELLS:
            # a module may lie in the directory at hand
            return [Command(rest[0].lower(), rest[1:], installed=False), command]
        elif argument == "-c":
            break
        elif not argument.startswith(("-", "+")):
            installed = _is_installed(argument)
            return [Command(posixpath.basename(argument), rest, installed), command]
    return [command]
