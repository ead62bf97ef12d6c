"""What the commands of ``jupyter idle-culler fleet`` share: options, a progress line, a table."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

from ..errors import IdleCullerError
from ..fleet.clients import Clients
from ..fleet.events import REGION, EventError
from ..fleet.report import Report

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
Act = Callable[[argparse.Namespace], int]
_MOST_ROWS = 500
_AWS = ("boto3", "botocore")


def command(
    commands: Any, name: str, text: str, run: Act | None = None, epilog: str = ""
) -> argparse.ArgumentParser:
    """Add a command. ``run`` None: it has commands of its own."""
    made: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if run is not None:
        made.set_defaults(run=_in_one_line(run))
    return made


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add what chooses things by name and tags; `selected` reads it."""
    which = parser.add_argument_group("which")
    which.add_argument("--name-contains", default="", metavar="TEXT", help="part of the name")
    which.add_argument(
        "--name-pattern", default="", metavar="PATTERN", help="the whole name, with * and ?"
    )
    which.add_argument(
        "--tag",
        action="append",
        type=_tag,
        default=[],
        metavar="KEY=VALUE",
        help="it has this tag (VALUE *: any); given several times, all must hold",
    )
    which.add_argument("--all", action="store_true", help="everything there is")


def add_account(parser: argparse.ArgumentParser, *, several_regions: bool = False) -> None:
    """Add which account is asked, and how the answer is printed; `clients_of` reads it."""
    account = parser.add_argument_group("account and output")
    if several_regions:
        text = "an AWS region; may be given several times"
        account.add_argument(
            "--region", action="append", type=_region, default=[], metavar="REGION", help=text
        )
    else:
        account.add_argument("--region", type=_region, default=None, help="the AWS region")
    account.add_argument("--profile", default="", help="a profile of the AWS configuration")
    account.add_argument("--json", action="store_true", help="print the report as JSON")


def add_acting(parser: argparse.ArgumentParser) -> None:
    """Add what makes it happen, and who is told."""
    acting = parser.add_argument_group("acting")
    acting.add_argument(
        "--apply", action="store_true", help="do it (without: a dry run, nothing is changed)"
    )
    acting.add_argument(
        "--topic", default="", metavar="ARN", help="an SNS topic that is told of it"
    )


def selected(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what was chosen, as the fields of an event. Raises: EventError."""
    return {
        "name_contains": arguments.name_contains,
        "name_pattern": arguments.name_pattern,
        "tags": _tags(arguments.tag),
        "match_all": arguments.all,
    }


def json_file(path: Path, field: str) -> Any:
    """Return what a file holds for a field of an event. Raises: EventError, OSError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise EventError(field, f"{path} is not JSON: {error}") from None


def clients_of(arguments: argparse.Namespace) -> Clients:
    """Return the clients of the account that was named. Raises: botocore's ProfileNotFound."""
    import boto3

    session = boto3.session.Session(profile_name=arguments.profile or None)
    region = arguments.region
    if isinstance(region, list):
        region = region[0] if region else ""
    return Clients(region or None, session)


@contextmanager
def progress_line() -> Iterator[Callable[[str], None]]:
    """Give what shows one line on stderr that changes; where that is no terminal, nothing."""
    shown = False

    def show(text: str) -> None:
        nonlocal shown
        if sys.stderr.isatty():
            shown = True
            print(f"\r\x1b[K{clean(text)}", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        if shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def told(
    arguments: argparse.Namespace,
    report: Report,
    words: Mapping[str, tuple[str, str]],
    columns: Sequence[str] = ("instance_type", "reason"),
) -> int:
    """Print a report, as a table or JSON; return the exit code: 1 where something failed.

    ``words``: for each action what was done, and what would be. ``columns``: what of a change is
    shown beside its name.
    """
    if arguments.json:
        print(json.dumps(report.to_json(), indent=2, default=str))
    else:
        print("\n".join(_lines(report, words, columns)))
    for failure in report.failed:
        tell(f"{failure['name']}: {failure['error']}")
    return FAILED if report.failed else DONE


def _lines(
    report: Report, words: Mapping[str, tuple[str, str]], columns: Sequence[str]
) -> Iterator[str]:
    rows: list[Sequence[object]] = []
    for change in report.changed:
        named = words.get(change.get("action", ""), ("changed", "would be changed"))
        rest = "  ".join(str(change[key]) for key in columns if change.get(key))
        rows.append((named[report.dry_run], change["name"], rest))
    rows += [("failed", each["name"], each["error"]) for each in report.failed]
    rows += [("next run", name, "time did not suffice") for name in report.left()]
    rows += [("left alone", each["name"], each["reason"]) for each in report.skipped]
    yield from table(rows[:_MOST_ROWS])
    if len(rows) > _MOST_ROWS:
        yield f"  and {len(rows) - _MOST_ROWS} more (--json shows all)"
    counts = (
        f"{len(report.changed)} {'would be ' if report.dry_run else ''}changed",
        f"{len(report.skipped)} left alone",
        *([f"{len(report.failed)} failed"] if report.failed else ()),
    )
    yield f"{report.matched} matched: {', '.join(counts)}."
    if report.dry_run and report.changed:
        yield "A dry run: nothing was changed. With --apply it is done."


def table(rows: Iterable[Sequence[object]]) -> list[str]:
    """Return rows with their columns one below the other, without what a terminal would obey."""
    texts = [[clean(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in texts
    ]


def tell(line: str) -> None:
    """Say something on stderr."""
    print(clean(f"jupyter idle-culler: {line}"), file=sys.stderr, flush=True)


def clean(text: str) -> str:
    """Return a text on one line, without what a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def _tag(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not key or not separator:
        message = f"{text[:40]}: a tag is written KEY=VALUE"
        raise argparse.ArgumentTypeError(message)
    return key, value


def _region(text: str) -> str:
    if not REGION.fullmatch(text):
        message = f"{text[:40]!r}: a region is written as eu-central-1"
        raise argparse.ArgumentTypeError(message)
    return text


def _tags(given: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return tags that must all hold. Raises: EventError where one can have no two values."""
    found: dict[str, str] = {}
    for key, value in given:
        if found.setdefault(key, value) != value:
            field, rule = "tags", f"{key} is given twice: no tag has two values, and all must hold"
            raise EventError(field, rule)
    return found


def _in_one_line(act: Act) -> Act:
    """Have what goes wrong said on one line: 2 for a wrong wish, 1 for what AWS or a disk says."""

    @wraps(act)
    def run(arguments: argparse.Namespace) -> int:
        try:
            return act(arguments)
        except EventError as error:
            tell(str(error))
            return USAGE
        except (IdleCullerError, OSError) as error:
            tell(str(error))
            return FAILED
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in _AWS:
                raise
            tell(str(error))
            return FAILED
        except KeyboardInterrupt:
            tell("interrupted: what was done stays done; without --apply you see what is left")
            return INTERRUPTED

    return run
