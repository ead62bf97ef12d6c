"""Whatever an account holds and whatever fails in it: a run accounts for each instance once."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from unittest import mock

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_idle_culler.fleet.deadline import Deadline
from jupyter_idle_culler.fleet.selection import OPT_OUT_TAG, exempt

from ..aws.fleet_stand_in import FleetStandIn
from .instance_world import MONDAY, Office

STATES = "Pending InService Stopping Stopped Failed Deleting Updating".split()


@dataclass(frozen=True)
class One:
    """An instance as it is drawn: ``minutes`` ago it changed, ``sign`` is what its culler says."""

    status: str
    minutes: int
    sign: str
    exempt: str | None
    refused: bool
    tag_refused: bool


ONES = st.builds(
    One,
    st.sampled_from(STATES),
    st.integers(0, 3000),
    st.sampled_from(["", "working", "idle 5", "idle 90", "unknown", "nonsense"]),
    st.sampled_from([None, None, "", "no"]),
    st.booleans(),
    st.booleans(),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(ONES, max_size=7),
    st.integers(0, 7 * 24 * 60 - 1),
    st.sampled_from(["start", "stop", "reconcile"]),
    st.sampled_from(["soft", "hard"]),
    st.booleans(),
    st.integers(0, 12),
)
def test_each_instance_is_told_once_and_none_is_touched_that_must_not_be(
    ones: list[One], minute: int, action: str, mode: str, dry_run: bool, looks: int
) -> None:
    """Changed, skipped, failed or remaining: one of them, whatever is refused, however late it is.

    Exempt ones are never touched; softly, only what says that it idles is stopped; and a dry run
    sends nothing that changes anything.
    """
    sagemaker = FleetStandIn(linger_seconds=3600)
    with sagemaker, mock.patch.dict(os.environ, sagemaker.env):
        office = Office(sagemaker)
        office.now = MONDAY + timedelta(days=7, minutes=minute)
        for number, one in enumerate(ones):
            name = f"dev-{number}"
            tags = {} if one.exempt is None else {OPT_OUT_TAG: one.exempt}
            changed = office.now - timedelta(minutes=one.minutes)
            arn = sagemaker.add(name, one.status, modified=changed, tags=tags)
            if one.sign:
                office.sign(name, one.sign)
            sagemaker.refuses |= {name} if one.refused else set()
            sagemaker.refuses |= {f"tag {arn}"} if one.tag_refused else set()
        left = iter([900.0] * looks)
        report = office.run(
            action,
            stop_mode=mode,
            dry_run=dry_run,
            deadline=Deadline(lambda: next(left, 1.0)),
        )
        told = Counter(
            [each["name"] for each in (*report.changed, *report.skipped, *report.failed)]
            + report.remaining
        )
        assert told == Counter(f"dev-{number}" for number in range(len(ones)))
        sent = [
            (call.operation, call.parameters["NotebookInstanceName"])
            for call in sagemaker.calls
            if call.operation.startswith(("Start", "Stop"))
        ]
        assert len(set(sent)) == len(sent)
        if dry_run:
            assert {c.operation for c in sagemaker.calls} <= {
                "ListNotebookInstances",
                "GetResources",
            }
        for operation, name in sent:
            one = ones[int(name.removeprefix("dev-"))]
            assert not exempt({OPT_OUT_TAG: one.exempt} if one.exempt is not None else {})
            if operation == "StopNotebookInstance":
                assert one.status == "InService"
                assert mode == "hard" or (one.sign.startswith("idle") and one.minutes >= 4)
            else:
                assert one.status in ("Stopped", "Failed")
                assert not one.tag_refused
        assert not sagemaker.problems
