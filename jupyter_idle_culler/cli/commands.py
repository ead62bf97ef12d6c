"""``jupyter idle-culler …``: ask the running server, replay its journal, or try AWS."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from .._version import __version__
from ..aws.errand import Errand
from ..environment import detect
from ..journal.files import older, parse
from ..journal.replay import recorded_policy, replay
from ..preflight import nothing_to_ask, preflight
from . import text
from .client import Client, CommandFailed, choose_server
from .fleet import add_fleet
from .lifecycle import add_lifecycle_config
from .times import local_clock, parse_minutes

DONE, FAILED = 0, 1
METADATA = Path("/opt/ml/metadata/resource-metadata.json")
MOST_ENTRIES = 1000
"""So many entries of the journal the server shows at once."""

_EXAMPLES = """\
examples:
  jupyter idle-culler status                     how long is left, and what is idle
  jupyter idle-culler explain                    why, for each kernel and terminal
  jupyter idle-culler keep-alive 2h --reason "training on the cluster"
  jupyter idle-culler keep-alive until 17:30     the same by the clock
  jupyter idle-culler keep-alive 45 --terminal 1     only that terminal, 45 minutes
  jupyter idle-culler cancel --all               no longer
  jupyter idle-culler journal -n 50              what happened lately
  jupyter idle-culler replay --timeout 30        what a timeout of 30 minutes would have done
  jupyter idle-culler preflight                  can AWS be asked to stop this machine?
  jupyter idle-culler lifecycle-config --help    scripts that administrators attach
  jupyter idle-culler fleet --help               what runs outside: for a whole account

Exit codes: 0 done, 1 failed, 2 wrong usage. --json prints what a program can read.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        code = int(arguments.run(arguments))
        sys.stdout.flush()  # here, where a reader that has gone is no surprise
        return code
    except CommandFailed as error:
        print(f"jupyter idle-culler: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        # Whoever read our output (head, less) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return FAILED


def _now() -> datetime:
    return datetime.now().astimezone()


def _client(arguments: argparse.Namespace) -> Client:
    server = choose_server(arguments.url, arguments.port, arguments.token, os.environ)
    return Client(server, arguments.insecure)


def _say(arguments: argparse.Namespace, value: Any, lines: Sequence[str]) -> int:
    if arguments.json:
        print(json.dumps(value, indent=2))
    else:
        # A name may hold what a terminal would obey.
        print("\n".join("".join(c if c.isprintable() else "?" for c in line) for line in lines))
    return DONE


def _status(arguments: argparse.Namespace) -> int:
    status = _client(arguments).ask("GET", "status")
    return _say(arguments, status, text.status_lines(status, _now()))


def _explain(arguments: argparse.Namespace) -> int:
    explanation = _client(arguments).ask("GET", "explain")
    return _say(arguments, explanation, text.explain_lines(explanation, _now()))


def _keep_alive(arguments: argparse.Namespace) -> int:
    body: dict[str, Any] = {"minutes": arguments.minutes, "reason": arguments.reason}
    if arguments.kernel is not None:
        body["resource"] = f"kernel:{arguments.kernel}"
    elif arguments.terminal is not None:
        body["resource"] = f"terminal:{arguments.terminal}"
    kept = _client(arguments).ask("POST", "keep-alive", body)
    until = local_clock(kept["ends_at"], _now())
    line = f"{kept['resource'] or 'This host'} is kept awake until {until} ({kept['id']})."
    return _say(arguments, kept, [line])


def _cancel(arguments: argparse.Namespace) -> int:
    query = None if arguments.all else {"id": arguments.id}
    ended = _client(arguments).ask("DELETE", "keep-alive", query=query)
    count = ended["cancelled"]
    line = "Nothing was kept awake." if not count else f"Cancelled: {count}."
    return _say(arguments, ended, [line])


def _journal(arguments: argparse.Namespace) -> int:
    journal = _client(arguments).ask("GET", "journal", query={"limit": arguments.number})
    return _say(arguments, journal, text.journal_lines(journal, _now()))


def _replay(arguments: argparse.Namespace) -> int:
    entries, skipped = _read_journal(_journal_file(arguments.file))
    if not entries:
        message = "there is no entry of a journal of the idle culler in it"
        raise CommandFailed(message)
    policy = recorded_policy(entries)
    changes = _timeouts(arguments)
    if policy is not None and changes:
        # Who asks what a timeout would have saved asks about a host that is stopped.
        stops = policy.host_stops or "host_timeout_seconds" in changes
        policy = replace(policy, **changes, host_stops=stops)
    now = _now()
    report = replay(entries, policy if changes else None, now if arguments.until_now else None)
    if skipped:
        limit = f"{skipped} lines of the file are no entries and are left out."
        report = replace(report, limits=(*report.limits, limit))
    lines = text.replay_lines(report, arguments.hourly_price, now)
    value = asdict(report)
    if arguments.hourly_price is not None:
        value["saved_price"] = report.host_seconds_saved / 3600 * arguments.hourly_price
    return _say(arguments, value, lines)


def _preflight(arguments: argparse.Namespace) -> int:
    environment = detect(str(arguments.metadata_path), expected=arguments.metadata_path != METADATA)
    if environment.target is None:
        report = nothing_to_ask(environment)
    else:
        report = asyncio.run(preflight(environment, Errand(environment.target)))
    _say(arguments, asdict(report), report.lines())
    return DONE if report.ready else FAILED


def _timeouts(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the timeouts that were asked about, as the policy names them."""
    asked = {}
    for kind in ("kernel", "terminal", "host"):
        minutes = getattr(arguments, f"{kind}_timeout")
        if minutes is None:
            minutes = arguments.timeout
        if minutes is not None:
            asked[f"{kind}_timeout_seconds"] = minutes * 60 or math.inf
    return asked


def _journal_file(named: Path | None) -> Path:
    if named is not None:
        return named
    from jupyter_core.paths import jupyter_data_dir

    folder = Path(jupyter_data_dir()) / "idle_culler"
    found = sorted(folder.glob("journal-*.jsonl"))
    if len(found) == 1:
        return found[0]
    if not found:
        message = f"there is no journal in {folder}; name the file"
        raise CommandFailed(message)
    listed = "\n".join(f"  {path}" for path in found)
    message = f"several servers have a journal; name one:\n{listed}"
    raise CommandFailed(message)


def _read_journal(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Read a journal with its older half, if that lies beside it."""
    lines: list[bytes] = []
    if not path.is_file():
        message = f"{path}: there is no such file"
        raise CommandFailed(message)
    try:
        for half in (older(path), path):
            if half == path or half.exists():
                lines += [line for line in half.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        message = f"{error.filename or path}: {error.strerror or error}"
        raise CommandFailed(message) from error
    return parse(lines)


class _Minutes(argparse.Action):
    """A time from now, in one word or several."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        del option_string
        try:
            # Without a zone: this machine's rules then say how long a night with a clock change is.
            now = _now().replace(tzinfo=None)
            namespace.minutes = parse_minutes(" ".join(values), now)
        except ValueError as error:
            parser.error(str(error))


class _HelpAll(argparse.Action):
    """Explain every trait of the configuration, and exit."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from ..config.idle_culler import IdleCuller

        parser.print_help()
        print()
        print(IdleCuller.class_get_help())
        parser.exit()


def _number(least: float, whole: bool = False, most: float = math.inf) -> Any:
    rule = f"must be {'a whole number' if whole else 'a number'}"
    rule += f", at least {least:g}" if most == math.inf else f" from {least:g} to {most:g}"

    def number(text: str) -> float:
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            value = math.nan
        if not (least <= value <= most and value < math.inf):
            message = f"{text[:40]}: {rule}"
            raise argparse.ArgumentTypeError(message)
        return value

    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jupyter idle-culler",
        description="Stops what is idle, never what is working, and says why.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--help-all", action=_HelpAll, nargs=0, help="explain every setting (c.IdleCuller.…) too"
    )
    output = argparse.ArgumentParser(add_help=False)
    output.add_argument("--json", action="store_true", help="print JSON")
    server = argparse.ArgumentParser(add_help=False, parents=[output])
    which = server.add_argument_group("which server")
    which.add_argument("--url", help="its address with the base URL (default: the one that runs)")
    which.add_argument(
        "--port", type=_number(1, whole=True, most=65535), help="the one that runs on this port"
    )
    which.add_argument("--token", help="its token (default: from its runtime file, JUPYTER_TOKEN)")
    which.add_argument("--insecure", action="store_true", help="take any TLS certificate")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")

    def command(name: str, run: Any, text: str, parent: Any = server) -> argparse.ArgumentParser:
        made = commands.add_parser(name, parents=[parent], help=text, description=text)
        made.set_defaults(run=run)
        return made

    command("status", _status, "Say how long is left, and what is idle.")
    command("explain", _explain, "Say why, with every observation.")
    _add_keep_alive(command("keep-alive", _keep_alive, "Keep the host, or one thing, awake."))
    cancel = command("cancel", _cancel, "End a keep-alive, or all of your own.")
    chosen = cancel.add_mutually_exclusive_group(required=True)
    chosen.add_argument("id", nargs="?", metavar="ID", help="which one (status shows them)")
    chosen.add_argument("--all", action="store_true", help="all of your own")
    journal = command("journal", _journal, "Show what happened lately.")
    journal.add_argument(
        "-n",
        "--number",
        type=_number(1, whole=True, most=MOST_ENTRIES),
        default=20,
        help=f"how many entries, at most {MOST_ENTRIES} (20)",
    )
    _add_replay(command("replay", _replay, "Say what would have happened.", output))
    what = "Say where this runs, and try with this shell's credentials whether AWS can be asked."
    command("preflight", _preflight, what, output).add_argument(
        "--metadata-path",
        type=Path,
        default=METADATA,
        metavar="FILE",
        help="where SageMaker describes this machine (%(default)s)",
    )
    add_lifecycle_config(commands)
    add_fleet(commands)
    return parser


def _add_keep_alive(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "minutes",
        nargs="+",
        action=_Minutes,
        metavar="TIME",
        help="2h, 30m, 1h30m, 45 (minutes), or: until 17:30",
    )
    parser.add_argument("--reason", default="", help="why; others see it")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--kernel", metavar="ID", help="only this kernel")
    only.add_argument("--terminal", metavar="NAME", help="only this terminal")


def _add_replay(parser: argparse.ArgumentParser) -> None:
    minutes: dict[str, Any] = {"type": _number(0), "metavar": "MINUTES"}
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="a journal; its older half beside it (FILE.1) is read too (default: the only one"
        " in the Jupyter data directory)",
    )
    parser.add_argument(
        "--timeout", help="for kernels, terminals and the host; 0: never", **minutes
    )
    for kind in ("kernel", "terminal", "host"):
        parser.add_argument(f"--{kind}-timeout", help=f"for the {kind} alone", **minutes)
    parser.add_argument(
        "--hourly-price", type=_number(0), metavar="PRICE", help="what the host costs an hour"
    )
    parser.add_argument(
        "--until-now",
        action="store_true",
        help="the server still runs: its last state goes on until now",
    )
