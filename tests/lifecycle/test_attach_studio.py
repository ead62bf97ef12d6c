"""Attaching to Studio domains and user profiles: what else they say stays, and detach undoes it."""

from __future__ import annotations

import base64
import copy
import subprocess
from typing import Any

import pytest

from ..aws.lifecycle_stand_in import LifecycleStandIn
from ..aws.stand_in import ACCOUNT, REGION
from .conftest import Run

DOMAIN = "d-abc123def456"
ARNS = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:studio-lifecycle-config/"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ExecutionRole"


def add_configuration(aws: LifecycleStandIn, name: str, app_type: str = "JupyterLab") -> str:
    """Have a configuration; return its ARN."""
    script = f"#!/bin/bash\necho {name}\n".encode()
    aws._CreateStudioLifecycleConfig(
        {
            "StudioLifecycleConfigName": name,
            "StudioLifecycleConfigAppType": app_type,
            "StudioLifecycleConfigContent": base64.b64encode(script).decode(),
        }
    )
    return ARNS + name


def settings(app: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return settings with much that is not ours."""
    return {
        "ExecutionRole": ROLE,
        "SecurityGroups": ["sg-0123456789abcdef0"],
        "SharingSettings": {"NotebookOutputOption": "Disabled"},
        "JupyterLabAppSettings": {
            "CodeRepositories": [{"RepositoryUrl": "https://git.example/a.git"}],
            "AppLifecycleManagement": {
                "IdleSettings": {"LifecycleManagement": "ENABLED", "IdleTimeoutInMinutes": 60}
            },
            **(app or {}),
        },
        "SpaceStorageSettings": {
            "DefaultEbsStorageSettings": {
                "DefaultEbsVolumeSizeInGb": 5,
                "MaximumEbsVolumeSizeInGb": 100,
            }
        },
    }


def running(arn: str, *others: str, instance_type: str = "ml.t3.medium") -> dict[str, Any]:
    """Return app settings in which a configuration runs by default."""
    return {
        "LifecycleConfigArns": [arn, *others],
        "DefaultResourceSpec": {"InstanceType": instance_type, "LifecycleConfigArn": arn},
    }


def users(aws: LifecycleStandIn) -> Any:
    """Return the settings of the domain's users."""
    return aws.domains[DOMAIN]["DefaultUserSettings"]


def test_a_domain_gets_it_and_keeps_all_else(aws: LifecycleStandIn, run: Run) -> None:
    """The diff shows what changes; detach leaves what was there."""
    arn = add_configuration(aws, "culler")
    aws.add_domain(DOMAIN, settings())
    code, out, err = run("attach", "culler", "--domain", DOMAIN, "--yes")
    assert code == 0, err
    assert '+    "DefaultResourceSpec": {\n' in out
    assert f'+      "LifecycleConfigArn": "{arn}"' in out
    wanted = settings({"LifecycleConfigArns": [arn]})
    wanted["JupyterLabAppSettings"]["DefaultResourceSpec"] = {"LifecycleConfigArn": arn}
    assert users(aws) == wanted
    code, out, _ = run("attach", "culler", "--domain", DOMAIN, "--yes")
    assert (code, "culler is attached already" in out) == (0, True)
    code, _, err = run("detach", "culler", "--domain", DOMAIN, "--yes")
    assert code == 0, err
    assert users(aws) == settings({"LifecycleConfigArns": [], "DefaultResourceSpec": {}})
    code, out, _ = run("detach", "culler", "--domain", DOMAIN, "--yes")
    assert (code, "culler is not attached" in out) == (0, True)
    assert aws.changes() == ["UpdateDomain"] * 2


@pytest.mark.parametrize("app_type", ["JupyterLab", "CodeEditor", "JupyterServer"])
def test_each_kind_of_app_has_settings_of_its_own(
    aws: LifecycleStandIn, run: Run, app_type: str
) -> None:
    """JupyterServer apps run on the system instance type only."""
    arn = add_configuration(aws, "culler", app_type)
    aws.add_domain(DOMAIN, {"ExecutionRole": ROLE})
    assert run("attach", "culler", "--domain", DOMAIN, "--yes")[0] == 0
    spec = {"LifecycleConfigArn": arn}
    if app_type == "JupyterServer":
        spec["InstanceType"] = "system"
    assert users(aws) == {
        "ExecutionRole": ROLE,
        f"{app_type}AppSettings": {"LifecycleConfigArns": [arn], "DefaultResourceSpec": spec},
    }


def test_another_default_is_kept(aws: LifecycleStandIn, run: Run) -> None:
    """Without --append: refused; one that may only be chosen is no hindrance."""
    arn, theirs = add_configuration(aws, "culler"), add_configuration(aws, "theirs")
    aws.add_domain(DOMAIN, settings(running(theirs)))
    code, _, err = run("attach", "culler", "--domain", DOMAIN, "--yes")
    assert code == 1
    assert "theirs runs by default, and only one does: --append" in err
    assert aws.changes() == []
    aws.add_domain(DOMAIN, settings({**running(theirs), "DefaultResourceSpec": {}}))
    assert run("attach", "culler", "--domain", DOMAIN, "--yes")[0] == 0
    assert users(aws)["JupyterLabAppSettings"]["LifecycleConfigArns"] == [theirs, arn]


def test_append_runs_both_and_detach_takes_it_apart(aws: LifecycleStandIn, run: Run) -> None:
    """Exactly what was there before is there again, and what was made is deleted."""
    add_configuration(aws, "culler")
    theirs, third = add_configuration(aws, "theirs"), add_configuration(aws, "third")
    before = settings(running(theirs, third))
    aws.add_domain(DOMAIN, copy.deepcopy(before))
    code, _, err = run("attach", "culler", "--domain", DOMAIN, "--append", "--yes")
    assert code == 0, err
    both = ARNS + "theirs-and-culler"
    app = users(aws)["JupyterLabAppSettings"]
    assert app["LifecycleConfigArns"] == [theirs, third, both]
    assert app["DefaultResourceSpec"]["LifecycleConfigArn"] == both
    content = aws.studio_configurations["theirs-and-culler"]["StudioLifecycleConfigContent"]
    script = base64.b64decode(content)
    ran = subprocess.run(["bash", "-s"], input=script, capture_output=True, check=True, timeout=20)
    assert ran.stdout == b"theirs\nculler\n"
    code, out, _ = run("attach", "culler", "--domain", DOMAIN, "--append", "--yes")
    assert (code, "runs culler already" in out) == (0, True)
    code, out, err = run("detach", "culler", "--domain", DOMAIN, "--yes")
    assert code == 0, err
    assert users(aws) == before
    assert "theirs-and-culler is deleted" in out
    assert set(aws.studio_configurations) == {"culler", "theirs", "third"}


def test_user_profiles_by_name_and_by_a_part_of_it(aws: LifecycleStandIn, run: Run) -> None:
    """Their own settings only; over pages of the list."""
    arn = add_configuration(aws, "culler")
    aws.add_domain(DOMAIN, settings())
    for user in ("ada", "team-1", "team-2", "team-3", "Team-4"):
        aws.add_profile(DOMAIN, user, {"ExecutionRole": ROLE})
    code, _, err = run("attach", "culler", "--domain", DOMAIN, "--user-profile", "ada", "--yes")
    assert code == 0, err
    assert run("attach", "culler", "--domain", DOMAIN, "--name-contains", "team", "--yes")[0] == 0
    for (_, user), held in aws.profiles.items():
        app = held["UserSettings"]["JupyterLabAppSettings"]
        assert app["LifecycleConfigArns"] == [arn], user
        assert held["UserSettings"]["ExecutionRole"] == ROLE
    assert users(aws) == settings()
    assert run("detach", "culler", "--domain", DOMAIN, "--user-profile", "ada", "--yes")[0] == 0
    app = aws.profiles[DOMAIN, "ada"]["UserSettings"]["JupyterLabAppSettings"]
    assert app["LifecycleConfigArns"] == []


def test_a_profile_that_leaves_its_domains_default_is_told_of(
    aws: LifecycleStandIn, run: Run
) -> None:
    """Its own default takes the place of the domain's: shown before anything is done."""
    add_configuration(aws, "culler")
    aws.add_domain(DOMAIN, settings(running(add_configuration(aws, "theirs"))))
    aws.add_profile(DOMAIN, "ada")
    where = ("--domain", DOMAIN, "--user-profile", "ada", "--dry-run")
    said = "theirs, the domain's default, no longer runs for this profile"
    code, out, _ = run("attach", "culler", *where)
    assert (code, said in out) == (0, True)
    aws.allows = lambda action, arn: action != "sagemaker:DescribeDomain"
    code, out, _ = run("attach", "culler", *where)
    assert (code, said in out) == (0, False)


def test_shared_spaces_have_settings_of_their_own(aws: LifecycleStandIn, run: Run) -> None:
    """The domain's users are not touched; Code Editor there is none."""
    arn = add_configuration(aws, "culler")
    add_configuration(aws, "editor", "CodeEditor")
    aws.add_domain(DOMAIN, settings(), {"ExecutionRole": ROLE})
    where = ("--domain", DOMAIN, "--shared-spaces", "--yes")
    assert run("attach", "culler", *where)[0] == 0
    spaces = aws.domains[DOMAIN]["DefaultSpaceSettings"]
    assert spaces["JupyterLabAppSettings"]["LifecycleConfigArns"] == [arn]
    assert users(aws) == settings()
    code, _, err = run("attach", "editor", *where)
    assert code == 1
    assert "shared spaces have no Code Editor" in err


def test_what_is_not_there_or_not_ready_is_refused(aws: LifecycleStandIn, run: Run) -> None:
    """One line each."""
    add_configuration(aws, "culler")
    code, _, err = run("attach", "culler", "--domain", DOMAIN, "--yes")
    assert (code, f"there is no domain {DOMAIN}" in err) == (1, True)
    aws.add_domain(DOMAIN, settings())
    code, _, err = run("attach", "culler", "--domain", DOMAIN, "--user-profile", "x", "--yes")
    assert (code, f"there is no user profile x of {DOMAIN}" in err) == (1, True)
    aws._settings[DOMAIN].turn("Updating")
    code, _, err = run("attach", "culler", "--domain", DOMAIN, "--yes")
    assert (code, "it is Updating: try again when it is InService" in err) == (1, True)
    assert aws.changes() == []


@pytest.mark.parametrize(
    "action", ["UpdateDomain", "DescribeDomain", "CreateStudioLifecycleConfig"]
)
def test_a_missing_permission_is_one_line(aws: LifecycleStandIn, run: Run, action: str) -> None:
    """Which action on which resource; what was created for it is gone again."""
    add_configuration(aws, "culler")
    theirs = add_configuration(aws, "theirs")
    aws.add_domain(DOMAIN, settings(running(theirs)))
    aws.allows = lambda asked, arn: asked != f"sagemaker:{action}"
    code, _, err = run("attach", "culler", "--domain", DOMAIN, "--append", "--yes")
    assert code == 1
    assert f"permission missing: sagemaker:{action} on arn:aws:sagemaker:" in err
    assert err.count("\n") == 1
    assert users(aws) == settings(running(theirs))
    assert set(aws.studio_configurations) == {"culler", "theirs"}


def test_a_dry_run_shows_the_difference_and_changes_nothing(
    aws: LifecycleStandIn, run: Run
) -> None:
    """Only the lines that change, with what is around them."""
    add_configuration(aws, "culler")
    aws.add_domain(DOMAIN, settings())
    code, out, _ = run("attach", "culler", "--domain", DOMAIN, "--dry-run")
    assert code == 0
    assert "--- before" in out
    assert "SharingSettings" not in out
    assert aws.changes() == []
