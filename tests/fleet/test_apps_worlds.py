"""Whatever apps an account has: a cap accounts for each once, and ends none that it must not."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_idle_culler.fleet.deadline import Deadline
from jupyter_idle_culler.fleet.selection import OPT_OUT_TAG

from ..aws.domain_stand_in import DomainStandIn, idle_shutdown
from .app_world import app, run, signed


@dataclass(frozen=True)
class One:
    """An app as it is drawn: ``hours`` old, ``sign`` is what its culler says."""

    hours: float
    sign: str
    exempt: bool
    refused: bool
    free: bool


ONES = st.builds(
    One,
    st.sampled_from([0.0, 23.9, 24.0, 500.0]),
    st.sampled_from(["", "working", "idle 30", "unknown"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(ONES, max_size=6),
    st.sampled_from(["soft", "hard"]),
    st.booleans(),
    st.integers(0, 8),
    st.sampled_from([{}, idle_shutdown("ENABLED"), idle_shutdown("DISABLED")]),
)
def test_each_app_is_told_once_and_none_is_deleted_that_must_not_be(
    ones: list[One], mode: str, dry_run: bool, looks: int, defaults: dict[str, Any]
) -> None:
    """Changed, skipped, failed or remaining; exempt, young and free ones are never deleted."""
    sagemaker = DomainStandIn(linger_seconds=3600)
    with sagemaker, mock.patch.dict(os.environ, sagemaker.env):
        sagemaker.user_defaults = defaults
        names = []
        for number, one in enumerate(ones):
            tags = signed(one.sign) if one.sign else {}
            if one.exempt:
                tags[OPT_OUT_TAG] = ""
            type_ = "system" if one.free else "ml.t3.medium"
            owner = f"dev-{number}"
            kind = "JupyterServer" if one.free else "JupyterLab"
            more: dict[str, Any] = {"hours": one.hours, "tags": tags, "instance_type": type_}
            names.append(app(sagemaker, owner, kind, **more))
            sagemaker.refuses |= {owner} if one.refused else set()
        left = iter([900.0] * looks)
        report = run(
            Deadline(lambda: next(left, 1.0)),
            match_all=True,
            max_age_hours=24,
            stop_mode=mode,
            dry_run=dry_run,
        )
        told = [each["name"] for each in (*report.changed, *report.skipped, *report.failed)]
        assert Counter(told + report.remaining) == Counter(names)
        for call in sagemaker.stops():
            one = ones[int(call.parameters["SpaceName"].removeprefix("dev-"))]
            assert not dry_run
            assert not one.exempt
            assert not one.free
            assert one.hours >= 24
            assert mode == "hard" or one.sign == "idle 30"
        on = "on" if "ENABLED" in str(defaults) else "off"
        for seen in report.details["apps"]:
            assert seen["idle_shutdown"] in (on, "unknown")
            unwatched = not seen["watched_by"] and seen["idle_shutdown"] == "off"
            assert unwatched == (seen["name"] in report.details["unwatched"])
        assert not sagemaker.problems
