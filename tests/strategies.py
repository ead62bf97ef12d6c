"""What hypothesis draws for the property tests of the decision."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import strategies as st

from jupyter_idle_culler.core.model import (
    EVERYTHING,
    HOST,
    Kind,
    Observation,
    Policy,
    Resource,
    ResourceId,
    Snapshot,
    SourceFailure,
    Strength,
    Verdict,
)

NOW = 1000.0
INSTANTS = st.floats(min_value=0, max_value=NOW, allow_nan=False)
# Mostly shorter than the histories are long: laws about ends need histories that end.
DURATIONS = st.one_of(
    st.floats(min_value=0.5, max_value=NOW / 2, allow_nan=False),
    st.floats(min_value=0.5, max_value=NOW / 10, allow_nan=False),
    st.just(math.inf),
)
IDS = st.builds(
    ResourceId, st.sampled_from([Kind.KERNEL, Kind.TERMINAL]), st.sampled_from(["a", "b", "c"])
)
TARGETS = st.one_of(IDS, st.just(HOST), st.just(EVERYTHING))
SOURCES = st.sampled_from(["kernels", "terminals", "processes", "presence", "gpu"])

RARELY = st.integers(0, 9).map(lambda drawn: drawn == 9)

observations = st.builds(
    Observation,
    resource=TARGETS,
    source=SOURCES,
    verdict=st.sampled_from(list(Verdict)),
    at=st.one_of(st.none(), INSTANTS),
    detail=st.sampled_from(["", "x", "y"]),
    strength=st.sampled_from(list(Strength)),
    essential=st.booleans(),
)
active_observations = st.builds(
    Observation,
    resource=TARGETS,
    source=SOURCES,
    verdict=st.just(Verdict.ACTIVE),
    at=st.one_of(st.none(), INSTANTS),
    detail=st.sampled_from(["", "x", "y"]),
    strength=st.sampled_from(list(Strength)),
)
failures = st.builds(
    SourceFailure,
    source=SOURCES,
    covers=st.sampled_from(
        [EVERYTHING, HOST, ResourceId(Kind.KERNEL, ""), ResourceId(Kind.TERMINAL, "")]
    ),
    essential=st.booleans(),
    detail=st.just("failed"),
    local_only=st.booleans(),
)
resources = st.lists(
    st.builds(
        Resource,
        id=IDS,
        started_at=INSTANTS,
        pid=st.one_of(st.none(), st.just(7)),
        timeout_seconds=st.one_of(st.none(), DURATIONS),
        hold_host=RARELY,
        connections=st.integers(0, 1),
        dead=RARELY,
    ),
    unique_by=lambda resource: resource.id,
    max_size=4,
).map(tuple)


def snapshots(with_unknown: bool = True) -> st.SearchStrategy[Snapshot]:
    """Draw a snapshot; without unknowns where a law speaks of evidence alone."""
    seen = observations
    if not with_unknown:
        seen = observations.filter(lambda o: o.verdict is not Verdict.UNKNOWN)
    return st.builds(
        Snapshot,
        server_started_at=INSTANTS,
        resources=resources,
        observations=st.lists(seen, max_size=8).map(tuple),
        failures=st.lists(failures, max_size=2).map(tuple) if with_unknown else st.just(()),
    )


@st.composite
def histories(draw: st.DrawFn, with_unknown: bool = True) -> list[tuple[float, Snapshot]]:
    """Draw a history of looks at one server: mostly quiet, now and then evidence or a failure."""
    first = draw(snapshots(with_unknown))
    now, looks = NOW, []
    for step in draw(st.lists(st.floats(0.1, NOW / 5), min_size=1, max_size=12)):
        now += step
        snapshot = replace(first, observations=(), failures=())
        if draw(st.integers(0, 3)) == 0:
            other = draw(snapshots(with_unknown))
            snapshot = replace(snapshot, observations=other.observations, failures=other.failures)
            if draw(st.booleans()):
                snapshot = replace(snapshot, resources=other.resources)
        looks.append((now, snapshot))
    return looks


policies = st.builds(
    Policy,
    kernel_timeout_seconds=DURATIONS,
    terminal_timeout_seconds=DURATIONS,
    host_timeout_seconds=DURATIONS,
    host_stops=RARELY.map(lambda rarely: not rarely),
    warning_seconds=st.floats(0, 300),
    startup_grace_seconds=st.floats(0, 600),
    max_unattended_seconds=DURATIONS,
    max_quiet_seconds=DURATIONS,
    source_failure_grace_seconds=DURATIONS,
    ignore_connections=st.booleans(),
    cull_terminals=st.booleans(),
    cull_on_unknown=st.booleans(),
)
