"""The figures on `/metrics`: what was looked at, decided and done, without anybody's name."""

from __future__ import annotations

import asyncio
import importlib
import math
from collections.abc import Callable
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from jupyter_idle_culler import metrics
from jupyter_idle_culler.actions.base import Outcome
from jupyter_idle_culler.core.model import (
    EVERYTHING,
    HOST,
    Action,
    Decision,
    Kind,
    Observation,
    ResourceId,
    Snapshot,
    SourceFailure,
    Verdict,
)

from .api_server import Api

SECRET = "0123-secret-kernel"
KERNEL = Decision(
    ResourceId(Kind.KERNEL, SECRET), Action.CULL, Verdict.IDLE, "idle", 0.0, deadline=100.0
)
HOST_IDLE = Decision(HOST, Action.KEEP, Verdict.IDLE, "idle", 50.0, deadline=400.0)
SNAPSHOT = Snapshot(
    0.0,
    observations=(Observation(HOST, "presence", Verdict.IDLE),),
    failures=(SourceFailure("processes", EVERYTHING, True, "no /proc"),),
)


def value(name: str, **labels: str) -> float:
    """Return one figure, 0 where there is none yet."""
    return REGISTRY.get_sample_value(f"jupyter_idle_culler_{name}", labels) or 0.0


def test_a_look_sets_the_figures_of_what_stands() -> None:
    """Kernels by verdict, how long the host is idle and has left, which sources answer."""
    looks = value("looks_total")
    failures = value("source_failures_total", source="processes")
    metrics.Metrics().looked(SNAPSHOT, (KERNEL, HOST_IDLE), 150.0)
    assert value("looks_total") == looks + 1
    assert value("resources", kind="kernel", verdict="idle") == 1
    assert value("resources", kind="kernel", verdict="active") == 0
    assert value("host_idle_seconds") == 100
    assert value("seconds_until_stop") == 250
    assert value("source_healthy", source="presence") == 1
    assert value("source_healthy", source="processes") == 0
    assert value("source_failures_total", source="processes") == failures + 1


def test_a_host_that_never_stops_has_an_infinite_time_left() -> None:
    """So that an alert on few seconds left does not fire where there is no deadline."""
    metrics.Metrics().looked(SNAPSHOT, (HOST_IDLE._replace(deadline=None),), 150.0)
    assert value("seconds_until_stop") == math.inf


def test_a_kernel_that_goes_leaves_the_figures() -> None:
    """Gauges follow the last look; nothing of the one before stands on."""
    one = metrics.Metrics()
    one.looked(SNAPSHOT, (KERNEL, HOST_IDLE), 150.0)
    one.looked(SNAPSHOT, (HOST_IDLE,), 160.0)
    assert value("resources", kind="kernel", verdict="idle") == 0


@pytest.mark.parametrize(
    ("outcome", "ok"),
    [
        (Outcome(True, ""), "true"),
        (Outcome(False, ""), "false"),
        (Outcome(False, "", withdrawn=True), "withdrawn"),
    ],
)
def test_decisions_and_outcomes_are_counted_apart(outcome: Outcome, ok: str) -> None:
    """What was withdrawn for new evidence is no failure."""
    decisions = value("decisions_total", kind="kernel", action="cull")
    outcomes = value("outcomes_total", action="cull", ok=ok)
    one = metrics.Metrics()
    one.decided(KERNEL)
    one.settled(KERNEL, outcome)
    assert value("decisions_total", kind="kernel", action="cull") == decisions + 1
    assert value("outcomes_total", action="cull", ok=ok) == outcomes + 1


def test_two_applications_and_a_second_import_share_the_figures() -> None:
    """The registry of the process takes each name once; nobody may fail for being the second."""
    before = value("looks_total")
    metrics.Metrics().looked(SNAPSHOT, (HOST_IDLE,), 150.0)
    importlib.reload(metrics)
    again = metrics.Metrics()
    again.looked(SNAPSHOT, (HOST_IDLE,), 150.0)
    again.looked_for(0.02)
    again.keep_alives(3)
    assert value("looks_total") == before + 2
    assert value("keep_alives") == 3


def test_no_label_names_a_kernel_a_terminal_or_a_person() -> None:
    """Labels are kinds, verdicts, actions and sources: their number does not grow with use."""
    one = metrics.Metrics()
    one.looked(SNAPSHOT, (KERNEL, HOST_IDLE), 150.0)
    one.decided(KERNEL)
    one.settled(KERNEL, Outcome(True, SECRET))
    text = generate_latest().decode()
    assert SECRET not in text
    labels = {
        label
        for family in text_string_to_metric_families(text)
        if family.name.startswith("jupyter_idle_culler_")
        for sample in family.samples
        for label in sample.labels
    }
    assert labels <= {"kind", "verdict", "action", "ok", "source", "le"}


async def test_the_servers_own_metrics_page_shows_them(
    jp_serverapp: ServerApp,
    jp_fetch: Callable[..., Any],
    jp_http_port: int,
    jp_asyncio_loop: asyncio.AbstractEventLoop,
) -> None:
    """After a look of the running culler, `/metrics` has its figures and every source's health."""
    api = Api(jp_serverapp, jp_http_port)
    before = value("looks_total")
    await api.app._start_jupyter_server_extension(jp_serverapp)
    while value("looks_total") == before:
        await asyncio.sleep(0.05)
    text = (await jp_fetch("metrics")).body.decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["jupyter_idle_culler_looks"].samples
    assert families["jupyter_idle_culler_look_duration_seconds"].samples
    health = families["jupyter_idle_culler_source_healthy"].samples
    assert {"kernels", "terminals", "processes", "presence"} <= {s.labels["source"] for s in health}
