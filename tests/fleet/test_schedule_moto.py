"""A second opinion: the schedule function against moto, which knows nothing of our stand-in.

Moto's instances are InService and Stopped at once, and their time of change never moves.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import boto3
import pytest
import requests

from jupyter_idle_culler.aws.sign_of_life import IDLE, SIGN_TAG, WORKING, value
from jupyter_idle_culler.fleet.due import LAST_START_TAG
from jupyter_idle_culler.fleet.handlers import schedule_handler

from ..aws.stand_in import KEY, REGION, SECRET

ALWAYS = {"time_zone": "Asia/Tokyo", "days": "mon-sun", "start": "00:00", "stop": "24:00"}
ASKED = {"action": "reconcile", "schedules": {"always": ALWAYS}, "dry_run": False}


@pytest.fixture
def sagemaker(moto_server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give moto's SageMaker, with one instance that works, one that idles and one that is mute."""
    requests.post(f"{moto_server}/moto-api/reset", timeout=10)
    for name, setting in {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": moto_server,
    }.items():
        monkeypatch.setenv(name, setting)
    client = boto3.client("sagemaker")
    now = datetime.now(timezone.utc)
    signs = {"dev-works": value(now, WORKING), "dev-idle": value(now, IDLE, 30), "dev-mute": ""}
    for name, sign in signs.items():
        client.create_notebook_instance(
            NotebookInstanceName=name,
            InstanceType="ml.t3.medium",
            RoleArn="arn:aws:iam::123456789012:role/ExecutionRole",
            Tags=[{"Key": SIGN_TAG, "Value": sign}] if sign else [],
        )
    return client


def states(sagemaker: Any) -> dict[str, str]:
    """Return the state of each instance."""
    listed = sagemaker.list_notebook_instances()["NotebookInstances"]
    return {each["NotebookInstanceName"]: each["NotebookInstanceStatus"] for each in listed}


def test_what_idles_stops_and_is_started_again(sagemaker: Any) -> None:
    """By the tags that moto's tagging API tells."""
    report = schedule_handler({"action": "stop", "name_contains": "dev-", "dry_run": False})
    assert [each["name"] for each in report["changed"]] == ["dev-idle"]
    running = {"dev-works": "InService", "dev-mute": "InService"}
    assert states(sagemaker) == {**running, "dev-idle": "Stopped"}
    report = schedule_handler({"action": "start", "name_contains": "dev-", "dry_run": False})
    assert [each["name"] for each in report["changed"]] == ["dev-idle"]
    assert states(sagemaker) == {**running, "dev-idle": "InService"}


def test_a_start_is_remembered_on_the_instance_itself(sagemaker: Any) -> None:
    """Moto's SageMaker has the tag that was written through its tagging API, beside the others."""
    schedule_handler({**ASKED, "name_contains": "dev-idle"})
    arn = sagemaker.describe_notebook_instance(NotebookInstanceName="dev-idle")
    tags = sagemaker.list_tags(ResourceArn=arn["NotebookInstanceArn"])["Tags"]
    assert {tag["Key"] for tag in tags} == {SIGN_TAG, LAST_START_TAG}
    sagemaker.stop_notebook_instance(NotebookInstanceName="dev-idle")
    report = schedule_handler({**ASKED, "name_contains": "dev-idle"})
    assert report["changed"] == []
    assert states(sagemaker)["dev-idle"] == "Stopped"
