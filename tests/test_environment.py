"""Where this runs: each environment by its metadata file; everything else is a plain machine."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_idle_culler.environment import Environment, Place, detect

from .aws.model import faults_of, operation

FIXTURES = Path(__file__).parent / "fixtures" / "metadata"
ARN = "arn:aws:sagemaker:eu-central-1:123456789012:"
DOMAIN = "d-abc123def456"

APP = {"DomainId": DOMAIN, "AppType": "JupyterLab", "AppName": "default"}
PLACES: list[tuple[str, Place, str, dict[str, str] | None]] = [
    (
        "notebook-instance",
        Place.NOTEBOOK_INSTANCE,
        "notebook-instance",
        {"NotebookInstanceName": "My-Notebook"},
    ),
    ("jupyterlab-space", Place.JUPYTERLAB_SPACE, "studio-app", {**APP, "SpaceName": "my-space"}),
    ("shared-space", Place.JUPYTERLAB_SPACE, "studio-app", {**APP, "SpaceName": "team"}),
    ("user-profile", Place.JUPYTERLAB_SPACE, "studio-app", {**APP, "UserProfileName": "ada"}),
    (
        "code-editor-space",
        Place.CODE_EDITOR_SPACE,
        "studio-app",
        {**APP, "AppType": "CodeEditor", "SpaceName": "my-editor"},
    ),
    (
        "unified-studio",
        Place.UNIFIED_STUDIO,
        "studio-app",
        {**APP, "SpaceName": "default-0a1b2c3d"},
    ),
    ("studio-classic", Place.STUDIO_CLASSIC, "none", None),
]


def fixture(name: str) -> dict[str, Any]:
    """Return a metadata file's object."""
    return dict(json.loads((FIXTURES / f"{name}.json").read_text()))


def written(path: Path, metadata: object, environ: Mapping[str, str] | None = None) -> Environment:
    """Say where a machine with this metadata file is."""
    path.write_text(metadata if isinstance(metadata, str) else json.dumps(metadata))
    return detect(str(path), environ or {})


@pytest.mark.parametrize(("name", "place", "action", "parameters"), PLACES, ids=str)
def test_each_environment_is_known_by_its_metadata(
    name: str, place: Place, action: str, parameters: dict[str, str] | None
) -> None:
    """The place, what `auto` stops there, and exactly which thing: itself."""
    found = detect(str(FIXTURES / f"{name}.json"), {})
    assert (found.place, found.stop_action, found.warning) == (place, action, "")
    if parameters is None:
        assert found.target is None
        return
    assert found.target is not None
    assert found.target.parameters == parameters
    assert found.target.region == "eu-central-1"
    assert found.target.arn == fixture(name)["ResourceArn"]
    for name_ in (found.target.describe_operation, found.target.stop_operation):
        assert faults_of(dict(parameters), operation(name_).input_shape) == []


@pytest.mark.parametrize("name", [row[0] for row in PLACES])
def test_the_metadata_wins_over_the_marks_of_jupyterhub(name: str) -> None:
    """What costs money is what is stopped."""
    hub = {"JUPYTERHUB_SERVICE_PREFIX": "/user/ada/"}
    assert detect(str(FIXTURES / f"{name}.json"), hub).place is not Place.JUPYTERHUB


def test_without_metadata_a_machine_is_plain_and_nothing_is_said(tmp_path: Path) -> None:
    """A laptop, or a server of JupyterHub: no warning, nothing to stop."""
    missing = str(tmp_path / "missing.json")
    assert detect(missing, {}) == Environment(Place.PLAIN)
    hub = {"JUPYTERHUB_API_TOKEN": "x"}
    assert detect(missing, hub) == Environment(Place.JUPYTERHUB)
    assert detect(missing, {}).stop_action == "none"


@pytest.mark.parametrize(
    ("environ", "expected", "says"),
    [({"SAGEMAKER_APP_TYPE": "JupyterLab"}, False, "SAGEMAKER_APP_TYPE"), ({}, True, "exist")],
)
def test_metadata_that_should_be_there_is_missed(
    tmp_path: Path, environ: dict[str, str], expected: bool, says: str
) -> None:
    """On SageMaker, or where somebody counts on it: plain, with one warning that says why."""
    found = detect(str(tmp_path / "missing.json"), environ, expected)
    assert found.place is Place.PLAIN
    assert says in found.warning
    assert "plain machine" in found.warning


SPACE = fixture("jupyterlab-space")
NOTEBOOK = fixture("notebook-instance")
DAMAGED: list[tuple[object, str]] = [
    ("", "empty"),
    ("\n  \n", "empty"),
    ("\0" * 512, "empty"),
    ('{"ResourceArn": "arn:aws:sage', "not JSON"),
    ("<html>no</html>", "not JSON"),
    ("[" * 30000, "not JSON"),
    ("[]", "not a JSON object"),
    ("null", "not a JSON object"),
    (" " * 70000, "too long"),
    ({}, "names neither"),
    ({"name": "something else"}, "names neither"),
    ({"ResourceName": "My-Notebook"}, "names neither"),
    ({**NOTEBOOK, "ResourceArn": 5}, "no text"),
    ({**NOTEBOOK, "ResourceArn": "arn:aws:ec2:eu-central-1:123456789012:instance/i-1"}, "none of"),
    ({**NOTEBOOK, "ResourceArn": ARN + "training-job/t"}, "training-job"),
    ({**NOTEBOOK, "ResourceArn": "My-Notebook"}, "none of"),
    ({**NOTEBOOK, "ResourceName": "another"}, "contradicts itself"),
    ({**NOTEBOOK, "ResourceName": None}, "contradicts itself"),
    ({**NOTEBOOK, "ResourceArn": ARN + "notebook-instance/a/b", "ResourceName": "a/b"}, "contra"),
    ({**NOTEBOOK, "AppType": "JupyterLab"}, "contradicts itself"),
    ({**SPACE, "AppType": "Canvas"}, "Canvas"),
    ({**SPACE, "AppType": ["JupyterLab"]}, "no text"),
    ({**SPACE, "SpaceName": None}, "whose app"),
    ({**SPACE, "SpaceName": "another"}, "whose app"),
    (
        {**SPACE, "SpaceName": "*", "ResourceArn": ARN + f"app/{DOMAIN}/*/JupyterLab/default"},
        "give",
    ),
    ({**SPACE, "DomainId": "d-another"}, "contradicts itself"),
    ({**SPACE, "DomainId": "../x"}, "would not give"),
    ({**SPACE, "ResourceName": "other"}, "contradicts itself"),
    ({**SPACE, "ResourceArn": ARN + "app/short"}, "names no app"),
    ({**SPACE, "ResourceArn": NOTEBOOK["ResourceArn"]}, "contradicts itself"),
    ({**SPACE, "ResourceArn": None, "ResourceName": None}, "would not give"),
]


@pytest.mark.parametrize(("metadata", "says"), DAMAGED, ids=range(len(DAMAGED)))
def test_what_is_damaged_or_foreign_counts_as_plain(
    tmp_path: Path, metadata: object, says: str
) -> None:
    """Nothing is stopped that is not surely this machine; the one warning says what is wrong."""
    found = written(tmp_path / "metadata.json", metadata)
    assert found.place is Place.PLAIN
    assert found.target is None
    assert says in found.warning, found.warning
    assert str(tmp_path) in found.warning


def test_what_is_no_readable_file_counts_as_plain(tmp_path: Path) -> None:
    """A directory, a pipe that nobody writes to, a loop of links, a file of somebody else."""
    fifo, loop, closed = tmp_path / "pipe", tmp_path / "loop", tmp_path / "closed"
    os.mkfifo(fifo)
    loop.symlink_to(loop)
    closed.write_text(json.dumps(SPACE))
    closed.chmod(0)
    for path in (tmp_path, fifo, loop, *([] if os.geteuid() == 0 else [closed])):
        found = detect(str(path), {})
        assert (found.place, found.target) == (Place.PLAIN, None)
        assert found.warning


def test_a_space_without_an_arn_takes_the_region_from_the_environment(tmp_path: Path) -> None:
    """AWS_REGION, else AWS_DEFAULT_REGION; the statement then names any account."""
    metadata = {**SPACE, "ResourceArn": None}
    path = tmp_path / "metadata.json"
    for environ, region, arn in (
        ({"AWS_REGION": "cn-north-1"}, "cn-north-1", "arn:aws-cn:sagemaker:cn-north-1:*:app/"),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-1", "arn:aws:sagemaker:eu-west-1:*:app/"),
        ({}, "", "arn:aws:sagemaker:*:*:app/"),
    ):
        found = written(path, metadata, environ)
        assert found.target is not None
        assert found.target.region == region
        assert found.target.arn == f"{arn}{DOMAIN}/my-space/JupyterLab/default"


@given(
    st.sampled_from(sorted(set(SPACE) | set(NOTEBOOK))),
    st.one_of(st.none(), st.integers(), st.lists(st.none()), st.text(max_size=20)),
    st.sampled_from([SPACE, NOTEBOOK]),
)
def test_one_wrong_member_never_leads_to_another_target(
    tmp_path_factory: pytest.TempPathFactory, member: str, value: object, metadata: dict[str, Any]
) -> None:
    """Whatever one member becomes: this very thing is found, or none is."""
    right = written(tmp_path_factory.mktemp("m") / "right.json", metadata).target
    found = written(tmp_path_factory.mktemp("m") / "wrong.json", {**metadata, member: value})
    assert right is not None
    assert found.target is None or found.target.parameters == right.parameters
