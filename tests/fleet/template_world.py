"""The template as CloudFormation sees it: conditions decided, references and texts filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from jupyter_idle_culler.fleet.package import template

Json = dict[str, Any]
STACK = "idle-culler"
PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::AccountId": "123456789012",
    "AWS::StackName": STACK,
}
TOPIC = f"arn:aws:sns:eu-central-1:123456789012:{STACK}"
BUCKET = f"{STACK}-savedendpoints-1a2b3c"
_NOTHING = object()
_ALWAYS = {"Fn::Equals": ["", ""]}


EVERYTHING = {
    "SchedulesApply": "yes",
    "EndpointsApply": "yes",
    "AppsApply": "yes",
    "AppMaxAgeHours": "72",
    "BudgetAmount": "500",
    "BudgetApply": "yes",
    "InstanceTypes": "ml.t3.*,ml.m5.large",
    "EndpointNameContains": "dev-",
    **{"Email": "a@example.org", "SecondEmail": "b@example.org", "Phone": "+491701234567"},
}
"""Every part on, acting, with somebody who is told."""


class _Loader(yaml.SafeLoader):
    pass


def _intrinsic(loader: Any, tag: str, node: yaml.Node) -> Json:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if tag == "GetAtt":
        value = value.split(".", 1)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _intrinsic)


def parsed(text: str = "") -> Json:
    """Return the template as it is written, its short forms as ``Fn::…``."""
    return dict(yaml.load(text or template(), _Loader))  # noqa: S506 - a safe loader's own


class Stack:
    """The template with parameters. ``resources`` are those whose condition holds, filled in."""

    def __init__(self, **parameters: str) -> None:
        self.template = parsed()
        known = self.template["Parameters"]
        assert set(parameters) <= set(known), set(parameters) - set(known)
        self.parameters = {
            name: str(parameters.get(name, each.get("Default", f"<{name}>")))
            for name, each in known.items()
        }
        self.conditions = {
            name: self._decide(each) for name, each in self.template["Conditions"].items()
        }
        self.resources: dict[str, Json] = {
            name: self.filled(each)
            for name, each in self.template["Resources"].items()
            if self.conditions.get(each.get("Condition", ""), True)
        }

    def of_type(self, kind: str) -> dict[str, Json]:
        """Return the properties of all resources of a type."""
        return {
            name: each["Properties"]
            for name, each in self.resources.items()
            if each["Type"] == kind
        }

    def environment(self, function: str) -> dict[str, str]:
        """Return the environment variables of a function, topic and bucket as AWS names them."""
        properties = self.resources[function]["Properties"]
        given = properties["Environment"]["Variables"]
        return {
            name: value.replace("<Topic>", TOPIC).replace("<SavedEndpoints>", BUCKET)
            for name, value in given.items()
        }

    def statements(self, role: str) -> dict[str, list[Json]]:
        """Return the statements of a role by the name of the policy."""
        policies = self.resources[role]["Properties"]["Policies"]
        return {each["PolicyName"]: each["PolicyDocument"]["Statement"] for each in policies}

    def broken_rules(self) -> list[str]:
        """Return the rules of the template that the parameters break."""
        return [
            name
            for name, rule in self.template["Rules"].items()
            if self._decide(rule.get("RuleCondition", _ALWAYS))
            and not all(self._decide(each["Assert"]) for each in rule["Assertions"])
        ]

    def filled(self, value: Any) -> Any:
        """Return a part of the template with all functions replaced by their values."""
        if isinstance(value, list):
            some = [self.filled(each) for each in value]
            return [each for each in some if each is not _NOTHING]
        if not isinstance(value, Mapping):
            return value
        if len(value) == 1:
            (name, argument), *_ = value.items()
            if name == "Ref" or str(name).startswith("Fn::"):
                return self._called(str(name), argument)
        some_of = {key: self.filled(each) for key, each in value.items()}
        return {key: each for key, each in some_of.items() if each is not _NOTHING}

    def _called(self, name: str, argument: Any) -> Any:
        if name == "Ref":
            return _NOTHING if argument == "AWS::NoValue" else self._value(argument)
        if name == "Fn::GetAtt":
            return f"<{'.'.join(argument)}>"
        if name == "Fn::If":
            return self.filled(argument[1] if self.conditions[argument[0]] else argument[2])
        if name == "Fn::Sub":
            text, own = (argument, {}) if isinstance(argument, str) else argument
            values = {key: self.filled(each) for key, each in own.items()}
            return re.sub(
                r"\$\{([^}]+)\}", lambda found: values.get(found[1], self._value(found[1])), text
            )
        if name == "Fn::Join":
            return argument[0].join(self.filled(argument[1]))
        if name == "Fn::Split":
            return self.filled(argument[1]).split(argument[0])
        message = f"{name} is a function of CloudFormation that this reading does not know"
        raise AssertionError(message)

    def _value(self, name: str) -> str:
        return {**PSEUDO, **self.parameters}.get(name, f"<{name}>")

    def _decide(self, condition: Json) -> bool:
        ((name, argument),) = condition.items()
        if name == "Condition":
            return self._decide(self.template["Conditions"][argument])
        if name == "Fn::Equals":
            one, other = (str(self.filled(each)) for each in argument)
            return one == other
        decided = [self._decide(each) for each in argument]
        return {"Fn::Not": not decided[0], "Fn::And": all(decided), "Fn::Or": any(decided)}[name]
