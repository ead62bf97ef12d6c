"""The sign of life of autostop: the same tag as the extension's, and when it is written."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from jupyter_idle_culler.autostop import sign
from jupyter_idle_culler.core.model import Verdict
from jupyter_idle_culler.fleet import signals

from ..aws.faulty_proxy import BEFORE, FaultyProxy
from ..aws.fleet_stand_in import FleetStandIn

METADATA = str(Path(__file__).parent.parent / "fixtures" / "metadata" / "notebook-instance.json")


@pytest.fixture
def sagemaker(monkeypatch: pytest.MonkeyPatch) -> Iterator[FleetStandIn]:
    """Let autostop ask a stand-in that has the instance of the metadata file."""
    with FleetStandIn() as stand_in:
        for name, value in stand_in.env.items():
            monkeypatch.setenv(name, value)
        stand_in.add("my-notebook")
        yield stand_in
        assert not stand_in.problems


class Instance:
    """An instance whose looks the test makes, at times of a clock that it turns."""

    def __init__(self, sagemaker: FleetStandIn) -> None:
        self.sagemaker, self.kept, self.now = sagemaker, dict[str, Any](), 5000.0

    def look(self, idle_minutes: float, verdict: Verdict = Verdict.IDLE, later: float = 0) -> str:
        """Look, so many minutes later; return what was said."""
        self.now += 60 * later
        return sign.show(METADATA, self.kept, verdict, 60 * idle_minutes, self.now)

    @property
    def written(self) -> int:
        """How often the tag was written."""
        return sum(call.operation == "AddTags" for call in self.sagemaker.calls)

    def read(self) -> str:
        """Return what the fleet takes from it."""
        (tags,) = self.sagemaker.tags.values()
        return signals.read_signal(tags, datetime.now(timezone.utc)).verdict


@pytest.fixture
def instance(sagemaker: FleetStandIn) -> Instance:
    """Give one."""
    return Instance(sagemaker)


@pytest.mark.parametrize(
    ("verdict", "idle_minutes", "read"),
    [
        (Verdict.ACTIVE, 0, signals.WORKING),
        (Verdict.IDLE, 9.9, signals.WORKING),
        (Verdict.IDLE, 10, signals.IDLE),
        (Verdict.IDLE, 100000, signals.IDLE),
        (Verdict.UNKNOWN, 100, signals.SILENT),
    ],
)
def test_the_fleet_reads_it_as_it_was_meant(
    instance: Instance, verdict: Verdict, idle_minutes: float, read: str
) -> None:
    """A pause of less than ten minutes is work; what cannot be seen is no idleness."""
    assert instance.look(idle_minutes, verdict) == ""
    assert instance.read() == read
    ((arn, tags),) = instance.sagemaker.tags.items()
    assert arn.endswith(":notebook-instance/my-notebook")
    assert list(tags) == [signals.SIGN_TAG]


def test_it_is_renewed_so_often_that_it_counts_and_no_more_often(instance: Instance) -> None:
    """Looks each minute: a call in a quarter of an hour, or when what was idle is so no more."""
    for minute in range(60):
        assert instance.look(20 + minute, later=1) == ""
    assert instance.written == 5
    assert instance.read() == signals.IDLE
    instance.look(0, Verdict.ACTIVE, later=1)
    assert (instance.written, instance.read()) == (6, signals.WORKING)
    instance.look(10, later=10)
    assert (instance.written, instance.read()) == (6, signals.WORKING)
    instance.look(14, later=4)
    assert (instance.written, instance.read()) == (7, signals.IDLE)
    instance.look(14, Verdict.UNKNOWN, later=1)
    assert (instance.written, instance.read()) == (8, signals.SILENT)


def test_looks_a_quarter_of_an_hour_apart_keep_it_fresh(instance: Instance) -> None:
    """A sign of idleness counts for 20 minutes, and cron is not always in time."""
    for number in range(1, 5):
        instance.look(100 + 15 * number, later=14.9)
        assert instance.written == number


def test_what_keeps_it_from_being_written_is_told_and_tried_again(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After five minutes; with each look where the tag says idle, and that is so no more."""
    with FaultyProxy(instance.sagemaker.url, {BEFORE: "denied"}) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", proxy.url)
        said = instance.look(20)
        assert said.startswith("; no sign of life: ")
        assert "AccessDenied" in said
        assert "the AddTags operation" in said
        assert instance.look(21, later=1) == ""
        assert len(proxy.befallen) == 1
        assert instance.look(25, later=4) != ""
        assert len(proxy.befallen) == 2
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", instance.sagemaker.url)
    assert instance.look(30, later=5) == ""
    assert instance.read() == signals.IDLE
    with FaultyProxy(instance.sagemaker.url, {BEFORE: "denied"}, 2) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", proxy.url)
        assert instance.look(0, Verdict.ACTIVE, later=1) != ""
        assert instance.look(0, Verdict.ACTIVE, later=1) != ""
        assert instance.look(0, Verdict.ACTIVE, later=1) == ""
    assert instance.read() == signals.WORKING


def test_a_metadata_file_that_says_nothing_is_told(tmp_path: Path) -> None:
    """Nothing is tagged, and nothing else suffers."""
    kept: dict[str, Any] = {}
    said = sign.show(str(tmp_path / "none.json"), kept, Verdict.IDLE, 6000, 1.0)
    assert "none.json" in said
    assert kept["sign"][1] > 240
