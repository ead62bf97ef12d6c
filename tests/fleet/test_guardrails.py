"""Which instance types people may use: an allow/deny matrix over every action that carries them."""

from __future__ import annotations

import pytest

from jupyter_idle_culler.fleet.guardrails.denial import (
    ACTIONS,
    CLUSTERS,
    DEFAULT,
    KEY,
    NOTEBOOKS,
    STUDIO,
    BadGuardrail,
    instance_type_policy,
)
from jupyter_idle_culler.fleet.guardrails.instance_types import (
    BadInstanceType,
    read_types,
    unknown_types,
)

from ..aws.policies import EVALUATOR, LINTER, actions_with, decided, lint

needs_evaluator = pytest.mark.skipif(
    not EVALUATOR.exists(), reason="no evaluator of policies: make .stamps/policies"
)
needs_linter = pytest.mark.skipif(
    not LINTER.exists(), reason="no linter of policies: make .stamps/policy-lint"
)
EVERYTHING = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}
ALLOWED = ("ml.t3.medium", "ml.m5.*", "ml.g?.xlarge")
REQUESTS: dict[str, tuple[list[str] | None, bool]] = {
    "a type that is named": (["ml.t3.medium"], True),
    "one by a wildcard": (["ml.m5.24xlarge"], True),
    "one by a wildcard for a character": (["ml.g5.xlarge"], True),
    "two that are allowed": (["ml.t3.medium", "ml.m5.large"], True),
    "another size": (["ml.t3.large"], False),
    "another size of a wildcard": (["ml.g5.2xlarge"], False),
    "two characters for one": (["ml.g4dn.xlarge"], False),
    "a longer name": (["ml.m5d.large"], False),
    "a large one": (["ml.p5.48xlarge"], False),
    "an allowed and another": (["ml.t3.medium", "ml.p5.48xlarge"], False),
    "another and an allowed": (["ml.p5.48xlarge", "ml.t3.medium"], False),
    "capitals": (["ML.T3.MEDIUM"], False),
    "none": (None, True),
}
SYSTEM = {"system": (["system"]), "system and an allowed": ["system", "ml.t3.medium"]}
ALL = [(kind, action) for kind, actions in ACTIONS.items() for action in actions]


@needs_evaluator
@pytest.mark.parametrize(("kind", "action"), ALL, ids=lambda value: value)
def test_only_named_instance_types_can_be_asked_for(kind: str, action: str) -> None:
    """Whoever may do everything: with this action, of these types, and of no others."""
    policy = instance_type_policy(ALLOWED, [kind])
    questions = [
        (f"sagemaker:{action}", "*", {} if types is None else {KEY: types})
        for types, _ in REQUESTS.values()
    ]
    found = decided([EVERYTHING, policy], questions)
    wanted = {name: is_allowed for name, (_, is_allowed) in REQUESTS.items()}
    assert dict(zip(REQUESTS, found, strict=True)) == wanted


@needs_evaluator
@pytest.mark.parametrize(("kind", "action"), ALL, ids=lambda value: value)
def test_studios_own_system_type_is_allowed_in_studio_only(kind: str, action: str) -> None:
    """Without it no JupyterServer app starts; nothing else runs on it."""
    policy = instance_type_policy(ALLOWED, [kind])
    questions = [(f"sagemaker:{action}", "*", {KEY: types}) for types in SYSTEM.values()]
    assert decided([EVERYTHING, policy], questions) == [kind == STUDIO] * len(SYSTEM)


@needs_evaluator
def test_what_was_not_asked_for_is_not_denied() -> None:
    """The guardrail of one kind leaves the actions of all others alone, and every other action."""
    large = {KEY: ["ml.p5.48xlarge"]}
    for chosen in ACTIONS:
        others = [action for kind, action in ALL if kind != chosen]
        others += ["StartNotebookInstance", "StopNotebookInstance", "DeleteApp", "CreateEndpoint"]
        questions = [(f"sagemaker:{action}", "*", large) for action in others]
        assert all(decided([EVERYTHING, instance_type_policy(ALLOWED, [chosen])], questions))


@needs_evaluator
def test_a_guardrail_allows_nothing_by_itself() -> None:
    """It only denies: who could do nothing can do nothing with it."""
    policy = instance_type_policy(ALLOWED, list(ACTIONS))
    questions = [(f"sagemaker:{action}", "*", {KEY: ["ml.t3.medium"]}) for _, action in ALL]
    assert not any(decided([policy], questions))


@needs_evaluator
def test_studio_may_have_instance_types_of_its_own() -> None:
    """Notebook instances and Studio need not be allowed the same."""
    policy = instance_type_policy(["ml.t3.medium"], DEFAULT, ["ml.g5.xlarge"])
    asked = {
        "CreateNotebookInstance": ["ml.t3.medium"],
        "UpdateNotebookInstance": ["ml.g5.xlarge"],
        "CreateApp": ["ml.g5.xlarge"],
        "CreateSpace": ["ml.t3.medium"],
        "CreateDomain": ["system"],
    }
    questions = [(f"sagemaker:{action}", "*", {KEY: types}) for action, types in asked.items()]
    assert decided([EVERYTHING, policy], questions) == [True, False, True, False, True]


@needs_linter
def test_every_action_that_carries_instance_types_is_in_a_kind() -> None:
    """As the reference has it; clusters came after the linter's copy of it."""
    ours = [action for _, action in ALL]
    assert len(ours) == len(set(ours))
    assert actions_with(KEY) | set(ACTIONS[CLUSTERS]) == set(ours)


@needs_linter
def test_the_linter_of_policies_finds_nothing() -> None:
    """Actions, condition keys and their types are those that IAM knows."""
    kinds = [kind for kind in ACTIONS if kind != CLUSTERS]
    policies = [instance_type_policy(ALLOWED, [kind]) for kind in kinds]
    policies.append(instance_type_policy(ALLOWED))
    assert lint(policies) == [[]] * len(policies)
    slip = {**policies[0]["Statement"][0], "Action": ["sagemaker:CreateNotebok"]}
    assert lint([{**policies[0], "Statement": [slip]}]) != [[]]


def test_by_default_it_is_for_notebook_instances_and_studio() -> None:
    """Spaces, domains and user profiles are in it; jobs and endpoints only where asked for."""
    denied = {a for s in instance_type_policy(ALLOWED)["Statement"] for a in s["Action"]}
    assert denied == {
        f"sagemaker:{action}" for kind in (NOTEBOOKS, STUDIO) for action in ACTIONS[kind]
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["t3.medium"], "'t3.medium' is no instance type: they look like ml.t3.medium or ml.m5.*"),
        (["ml.t3.medium", "ml.T3.large"], "'ml.T3.large' is no instance type"),
        (["ml.t3.medium.x"], "'ml.t3.medium.x' is no instance type"),
        (["ml.t3_medium"], "'ml.t3_medium' is no instance type"),
        (["ml."], "'ml.' is no instance type"),
        (["*"], "'*' is no instance type"),
        (["ml.*"], "'ml.*' allows every instance type: that would be no guardrail"),
        (["ml.*.*"], "'ml.*.*' allows every instance type"),
        (["ml.?*"], "'ml.?*' allows every instance type"),
        (["ml.t3.medium", "ml.*e*"], "'ml.*e*' allows instance types of every family"),
        (["ml.*.*?e*"], "'ml.*.*?e*' allows instance types of every family"),
        (["ml.*large"], "'ml.*large' allows instance types of every family: that would be no gu"),
        (["ml.*.*xlarge"], "'ml.*.*xlarge' allows instance types of every family"),
        ([f"ml.{letter}*" for letter in "cdgimprt"], "together they allow every instance type: ml"),
        ([], "name at least one instance type"),
        (["system"], "name at least one instance type"),
        (["ml.ä5.large"], "'ml.ä5.large' is no instance type"),
    ],
)
def test_a_bad_instance_type_is_refused_in_one_line_that_names_it(
    given: list[str], message: str
) -> None:
    """A slip would lock everybody out, or nobody."""
    with pytest.raises(BadInstanceType) as refused:
        read_types(given)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("given", ["ml.*.large", "ml.*.xlarge", "ml.?5.*", "ml.g*", "ml.*flex*"])
def test_a_wildcard_that_denies_some_families_is_taken(given: str) -> None:
    """Small sizes of whatever family are a guardrail: the dearest come in none of them."""
    assert read_types([given]) == (given,)


def test_instance_types_may_be_parted_by_commas_and_blanks() -> None:
    """As they come from a parameter of a template, an environment variable or a file."""
    assert read_types(["ml.t3.medium, ml.m5.*\n", "system ml.t3.medium"]) == (
        "ml.m5.*",
        "ml.t3.medium",
    )


def test_instance_types_that_nobody_knows_are_found() -> None:
    """They are not refused: AWS may be newer than the installed boto3."""
    given = ["ml.t3.medium", "ml.m5.*", "ml.t3.meduim", "ml.t33.*"]
    assert unknown_types(given) == ["ml.t3.meduim", "ml.t33.*"]


def test_a_policy_that_aws_would_not_take_is_refused() -> None:
    """It is too long where each of some hundred types is named; and of no kind that is unknown."""
    many = [f"ml.m5.{number}xlarge" for number in range(400)]
    with pytest.raises(BadGuardrail, match="AWS takes 5120: name fewer instance types"):
        instance_type_policy(many)
    with pytest.raises(BadGuardrail, match="'notebook' is none of notebooks, studio"):
        instance_type_policy(ALLOWED, ["notebook"])
