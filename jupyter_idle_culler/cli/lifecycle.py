"""``jupyter idle-culler lifecycle-config …``: what can be asked for, and how it is explained."""

from __future__ import annotations

import argparse
from typing import Any

from ..lifecycle.cloudformation import DEFAULT_MOST_VOLUME_GB, INSTANCE_TYPES
from ..lifecycle.scripts import ENVIRONMENTS
from . import lifecycle_acts as acts

_EXAMPLES = """\
examples:
  jupyter idle-culler lifecycle-config render notebook-instance --timeout 1h > on-start.sh
  jupyter idle-culler lifecycle-config create notebook-instance autostop --timeout 1h
  jupyter idle-culler lifecycle-config attach autostop --notebook-instance my-notebook
  jupyter idle-culler lifecycle-config attach autostop --name-contains team-a --dry-run
  jupyter idle-culler lifecycle-config create studio-jupyterlab lab-autostop --timeout 2h
  jupyter idle-culler lifecycle-config attach lab-autostop --domain d-abc123def456
  jupyter idle-culler lifecycle-config detach autostop --notebook-instance my-notebook

render asks nothing of AWS. The others show what would change and ask, unless --yes; --dry-run only
shows. Exit codes: 0 done, 1 failed (for one of many, too), 2 wrong usage.
"""

_RENDER_EXAMPLES = """\
examples:
  render notebook-instance --timeout 1h               online: autostop comes from the package index
  render studio-classic --timeout 45m --offline       autostop inlined; no network is needed
  render studio-jupyterlab --timeout 2h --offline \\
      --wheel s3://bucket/jupyter_idle_culler-0.1.0-py3-none-any.whl --sha256 …
  render studio-classic --timeout 90m --keep-terminals --format base64
  render notebook-instance --timeout 1h --format cloudformation \\
      --instance-types ml.t3.medium,ml.t3.large --max-volume 100 --output template.yaml

A time-out is 60m, 1h, 1h30m, 90s or a plain number: seconds for the environments whose script has
IDLE_TIME (notebook-instance, studio-code-editor), minutes for those with TIMEOUT_IN_MINS (the
others). It is from 5 minutes to 30 days. The size, and how the time-out was understood, are said on
stderr. AWS takes 16,384 characters of base64; what is longer is refused.
"""

_ATTACH_EXAMPLES = """\
examples:
  attach autostop --notebook-instance my-notebook                it must be stopped
  attach autostop --notebook-instance my-notebook --stop-first   stop it, attach, start it again
  attach autostop --notebook-instance my-notebook --append       after what is attached already
  attach autostop --name-contains team-a --yes                   all that match; failures are told
  attach lab-autostop --domain d-abc123def456                    the default for all its users
  attach lab-autostop --domain d-abc123def456 --user-profile ada --user-profile grace

Whatever else is configured stays as it is. A notebook instance has one configuration, and a Studio
app runs one by default: where another is there, --append makes one that runs both, each as a
process of its own, and detach takes it apart again.
"""


def add_lifecycle_config(commands: Any) -> None:
    """Add the command with its own commands to those of `jupyter idle-culler`."""
    what = "Make, attach and detach the scripts for SageMaker's lifecycle configurations."
    family = _made(commands, "lifecycle-config", what, _EXAMPLES)
    own = family.add_subparsers(metavar="COMMAND", required=True, title="commands")

    render = _made(own, "render", "Write a script with its parameters filled in.", _RENDER_EXAMPLES)
    render.set_defaults(run=acts.render)
    _add_parameters(render)
    output = render.add_argument_group("output")
    output.add_argument(
        "--format",
        choices=("script", "base64", "cloudformation"),
        default="script",
        help="the script, what the API takes, or a template of a notebook instance with it",
    )
    output.add_argument("--output", metavar="FILE", help="where to (default: stdout)")
    output.add_argument(
        "--instance-types",
        metavar="LIST",
        help="of the template: types that may be chosen, with commas, the default first"
        f" ({','.join(INSTANCE_TYPES)})",
    )
    output.add_argument(
        "--max-volume",
        metavar="GB",
        help=f"of the template: the largest volume ({DEFAULT_MOST_VOLUME_GB})",
    )
    output.add_argument(
        "--json",
        action="store_true",
        help="print JSON: content, size, parameters (a template: as JSON rather than YAML)",
    )

    create = _made(own, "create", "Create a lifecycle configuration at AWS.", _EXAMPLES)
    create.set_defaults(run=acts.create)
    _add_parameters(create, named=True)
    _add_asking(create)

    for name, run, text in (
        ("attach", acts.attach, "Attach a lifecycle configuration."),
        ("detach", acts.detach, "Detach one, also one that was appended; all else stays."),
    ):
        parser = _made(own, name, text, _ATTACH_EXAMPLES)
        parser.set_defaults(run=run)
        parser.add_argument("name", metavar="NAME", help="the lifecycle configuration")
        _add_targets(parser)
        if name == "attach":
            parser.add_argument(
                "--append",
                action="store_true",
                help="where another is attached, make one that runs both",
            )
        _add_asking(parser)


def _made(commands: Any, name: str, text: str, epilog: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return made


def _add_parameters(parser: argparse.ArgumentParser, named: bool = False) -> None:
    parser.add_argument("environment", metavar="ENV", help=" | ".join(ENVIRONMENTS))
    if named:
        parser.add_argument("name", metavar="NAME", help="its name at AWS")
    script = parser.add_argument_group("what the script does")
    script.add_argument("--timeout", metavar="TIME", help="stop after so long: 60m, 1h, 1h30m")
    script.add_argument(
        "--idle-time", metavar="SECONDS", help="the same; a plain number is always seconds"
    )
    script.add_argument(
        "--cron-schedule",
        metavar="SCHEDULE",
        help="notebook-instance: when it looks ('* * * * *'; '*/5 * * * *')",
    )
    script.add_argument(
        "--check-every", metavar="TIME", help="studio-code-editor: how often it looks (60s)"
    )
    script.add_argument(
        "--keep-connected",
        action="store_true",
        default=None,
        help="notebook-instance: a kernel with an open notebook tab holds the instance",
    )
    script.add_argument(
        "--keep-terminals",
        action="store_true",
        default=None,
        help="studio-classic: idle terminals stay",
    )
    script.add_argument(
        "--sign-of-life",
        action="store_true",
        default=None,
        help="all but studio-classic: a tag says whether it works, for scheduled stops",
    )
    source = parser.add_argument_group("where the software comes from")
    source.add_argument(
        "--offline",
        action="store_true",
        help="without internet: autostop is inlined; the extension comes from --wheel or"
        " --index-url, with --sha256",
    )
    source.add_argument(
        "--wheel", metavar="PLACE", help="the wheel: a path there, or s3://bucket/key"
    )
    source.add_argument("--sha256", metavar="HEX", help="its checksum, refused if it differs")
    source.add_argument("--index-url", metavar="URL", help="a package index of your own")
    source.add_argument("--package-version", metavar="VERSION", help="which version is fetched")


def _add_targets(parser: argparse.ArgumentParser) -> None:
    where = parser.add_argument_group("where")
    where.add_argument(
        "--notebook-instance", metavar="NAME", action="append", help="may be given several times"
    )
    where.add_argument("--domain", metavar="ID", help="a Studio domain: the default of its users")
    where.add_argument(
        "--user-profile",
        metavar="NAME",
        action="append",
        help="only this profile of the domain; may be given several times",
    )
    where.add_argument(
        "--shared-spaces",
        action="store_true",
        help="the domain's shared spaces rather than its users",
    )
    where.add_argument(
        "--name-contains",
        metavar="TEXT",
        help="every notebook instance (with --domain: profile) whose name contains it",
    )
    parser.add_argument(
        "--stop-first",
        action="store_true",
        help="stop a notebook instance that runs, and start it again; what runs on it ends",
    )


def _add_asking(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="show, and change nothing")
    parser.add_argument("--region", default="", help="the AWS region")
    parser.add_argument("--profile", default="", help="a profile of the AWS configuration")
    parser.add_argument("--json", action="store_true", help="print JSON")
