"""``jupyter idle-culler fleet template|package|policy``: what an administrator deploys."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..fleet.guardrails.denial import ACTIONS, DEFAULT, BadGuardrail, instance_type_policy
from ..fleet.guardrails.instance_types import BadInstanceType, read_types, unknown_types
from ..fleet.guardrails.roles import GROUPS, REPORT, BadRole, Place, role_policy, trust_policy
from ..fleet.package import NAME, build, template
from .fleet_form import DONE, USAGE, command, tell

_DEPLOY = """\
example:
  jupyter idle-culler fleet package
  aws s3 cp jupyter_idle_culler-fleet.zip s3://my-bucket/
  jupyter idle-culler fleet template > fleet.yaml
  aws cloudformation deploy --template-file fleet.yaml --stack-name idle-culler \\
    --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND \\
    --parameter-overrides CodeBucket=my-bucket TimeZone=Europe/Berlin Email=me@example.org

Nothing is changed until SchedulesApply=yes (EndpointsApply, AppsApply, BudgetApply).
"""
_POLICY = """\
examples:
  jupyter idle-culler fleet policy instance-types 'ml.t3.*' ml.m5.large
  jupyter idle-culler fleet policy instance-types ml.t3.medium --for notebooks
  jupyter idle-culler fleet policy role endpoints --action mark --topic arn:aws:sns:…
"""


def add_deploy_commands(commands: Any) -> None:
    """Add `template`, `package` and `policy`."""
    made = command(
        commands, "template", "Print the template that deploys all of it.", _template, _DEPLOY
    )
    _add_output(made)
    text = "Make the zip that AWS Lambda runs; the same bytes each time."
    made = command(commands, "package", text, _package, _DEPLOY)
    made.add_argument(
        "-o", "--output", type=Path, default=Path(NAME), metavar="FILE", help=f"default: {NAME}"
    )
    made.add_argument("--json", action="store_true", help="print where it is, as JSON")
    family = command(commands, "policy", "Print policies for IAM, as JSON.", epilog=_POLICY)
    own = family.add_subparsers(metavar="COMMAND", required=True, title="commands")
    _add_instance_types(own)
    _add_role(own)


def _add_instance_types(commands: Any) -> None:
    text = "A policy that denies all instance types but those that are named."
    made = command(commands, "instance-types", text, _instance_types, _POLICY)
    made.add_argument("types", nargs="+", metavar="TYPE", help="such as ml.t3.medium, ml.m5.*")
    made.add_argument(
        "--for",
        dest="kinds",
        action="append",
        choices=tuple(ACTIONS),
        help=f"for what; may be given several times (default: {' and '.join(DEFAULT)})",
    )
    made.add_argument(
        "--studio-types",
        action="append",
        default=[],
        metavar="TYPES",
        help="others for Studio, with commas between them",
    )
    _add_output(made)


def _add_role(commands: Any) -> None:
    text = "What the role of a function may do, and nothing else."
    made = command(commands, "role", text, _role, _POLICY)
    made.add_argument("function", choices=tuple(GROUPS))
    actions = "; ".join(f"{name}: {', '.join(its)}" for name, its in GROUPS.items())
    made.add_argument("--action", default=REPORT, help=f"what it is to do ({actions})")
    made.add_argument("--trust", action="store_true", help="print who may take the role, instead")
    made.add_argument("--partition", default="aws", help="aws, aws-cn or aws-us-gov")
    made.add_argument("--region", default="*", help="default: any")
    made.add_argument(
        "--regions",
        default="",
        metavar="REGIONS",
        help="of the endpoints, with commas between them (default: that of the function)",
    )
    made.add_argument("--account", default="*", metavar="NUMBER", help="default: any")
    made.add_argument("--log-group", default="", metavar="NAME", help="where it writes its log")
    made.add_argument("--topic", default="", metavar="ARN", help="the SNS topic that it tells")
    made.add_argument("--key", default="", metavar="ARN", help="the key that encrypts the topic")
    made.add_argument("--bucket", default="", metavar="NAME", help="where endpoints are saved")
    _add_output(made)


def _add_output(parser: argparse.ArgumentParser) -> None:
    text = "write it there (default: print it)"
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help=text)


def _template(arguments: argparse.Namespace) -> int:
    return _given(arguments, template())


def _package(arguments: argparse.Namespace) -> int:
    made = build()
    arguments.output.write_bytes(made)
    digest = hashlib.sha256(made).hexdigest()
    if arguments.json:
        told = {"file": str(arguments.output), "bytes": len(made), "sha256": digest}
        print(json.dumps(told, indent=2))
    else:
        print(f"{arguments.output}: {len(made):,} bytes, SHA-256 {digest}")
    return DONE


def _instance_types(arguments: argparse.Namespace) -> int:
    try:
        kinds = arguments.kinds or DEFAULT
        policy = instance_type_policy(arguments.types, kinds, arguments.studio_types)
        named = read_types([*arguments.types, *arguments.studio_types])
    except (BadInstanceType, BadGuardrail) as error:
        tell(str(error))
        return USAGE
    for name in unknown_types(named):
        tell(f"{name} is no instance type that the installed boto3 knows: is it spelt right?")
    return _given(arguments, _text(policy))


def _role(arguments: argparse.Namespace) -> int:
    place = Place(
        arguments.partition,
        arguments.region,
        arguments.account,
        arguments.log_group,
        arguments.topic,
        arguments.key,
        arguments.bucket,
    )
    try:
        regions = [region for region in arguments.regions.split(",") if region]
        policy = role_policy(arguments.function, arguments.action, place, regions)
    except BadRole as error:
        tell(str(error))
        return USAGE
    return _given(arguments, _text(trust_policy() if arguments.trust else policy))


def _text(policy: Mapping[str, Any]) -> str:
    return json.dumps(policy, indent=2) + "\n"


def _given(arguments: argparse.Namespace, text: str) -> int:
    if arguments.output is None:
        sys.stdout.write(text)
    else:
        arguments.output.write_text(text, encoding="utf-8")
    return DONE
