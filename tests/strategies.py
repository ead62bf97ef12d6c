"""What hypothesis draws for the property tests of the decision."""

from __future__ import annotations

import math

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
DURATIONS = st.one_of(
    st.floats(min_value=0.5, max_value=2 * NOW, allow_nan=False), st.just(math.inf)
)
IDS = st.builds(
    ResourceId, st.sampled_from([Kind.KERNEL, Kind.TERMINAL]), st.sampled_from(["a", "b", "c"])
)
TARGETS = st.one_of(IDS, st.just(HOST), st.just(EVERYTHING))
SOURCES = st.sampled_from(["kernels", "terminals", "processes", "presence", "gpu"])

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
        hold_host=st.booleans(),
        connections=st.integers(0, 1),
        dead=st.booleans(),
    ),
    unique_by=lambda resource: resource.id,
    max_size=4,
).map(tuple)


def snapshots(with_unknown: bool = True) -> st.SearchStrategy[Snapshot]:
    """Draw a snapshot; without unknowns where a law speaks of evidence alone."""
    seen = (
        observations
        if with_unknown
        else observations.filter(lambda o: o.verdict is not Verdict.UNKNOWN)
    )
    return st.builds(
        Snapshot,
        server_started_at=INSTANTS,
        resources=resources,
        observations=st.lists(seen, max_size=8).map(tuple),
        failures=st.lists(failures, max_size=2).map(tuple) if with_unknown else st.just(()),
    )


policies = st.builds(
    Policy,
    kernel_timeout_seconds=DURATIONS,
    terminal_timeout_seconds=DURATIONS,
    host_timeout_seconds=DURATIONS,
    host_stops=st.booleans(),
    warning_seconds=st.floats(0, 300),
    startup_grace_seconds=st.floats(0, 600),
    max_unattended_seconds=DURATIONS,
    max_quiet_seconds=DURATIONS,
    source_failure_grace_seconds=DURATIONS,
    ignore_connections=st.booleans(),
    cull_terminals=st.booleans(),
    cull_on_unknown=st.booleans(),
)
