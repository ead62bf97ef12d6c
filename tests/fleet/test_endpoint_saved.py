"""What is no saved endpoint, though it looks like one, is refused before anything is begun."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jupyter_idle_culler.fleet.endpoints.restoring import restore
from jupyter_idle_culler.fleet.endpoints.saving import SavingFailed

from .endpoint_world import World

GOOD: dict[str, Any] = {
    "format": 1,
    "what": "endpoint",
    "region": "eu-central-1",
    "endpoint": {"EndpointName": "e", "CreationTime": "2026-11-24T08:15:00+00:00"},
    "config": {"EndpointConfigName": "e-config", "ProductionVariants": []},
    "tags": {},
    "config_tags": {},
    "components": [],
    "scaling": {"targets": [], "policies": [], "scheduled_actions": [], "alarms": []},
}


def test_a_dry_run_takes_one_that_is_whole(account: World, tmp_path: Path) -> None:
    """So that the next test refuses the others for what is wrong with them."""
    file = tmp_path / "saved.json"
    file.write_text(json.dumps(GOOD))
    assert not restore(account.clients, str(file)).failed


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": {}},
        {"endpoint": []},
        {"endpoint": {"EndpointName": "e"}},
        {"endpoint": {"EndpointName": "e", "CreationTime": "long ago"}},
        {"config": {}},
        {"region": None},
        {"tags": []},
        {"components": [{}]},
        {"components": {}},
        {"scaling": {}},
        {"scaling": {**GOOD["scaling"], "targets": {}}},
    ],
    ids=str,
)
def test_one_that_lacks_a_part_is_refused(
    account: World, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    """Nothing is asked of AWS: else an endpoint would run without its autoscaling."""
    file = tmp_path / "saved.json"
    file.write_text(json.dumps({**GOOD, **wrong}))
    with pytest.raises(SavingFailed, match="no saved endpoint"):
        restore(account.clients, str(file), dry_run=False)
    assert account.sagemaker.calls == []


def test_one_that_is_nested_too_deep_is_refused(account: World, tmp_path: Path) -> None:
    """Python's JSON gives up with an error of its own."""
    file = tmp_path / "saved.json"
    file.write_text("[" * 200_000)
    with pytest.raises(SavingFailed, match="no saved endpoint"):
        restore(account.clients, str(file))
