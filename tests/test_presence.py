"""People in the page, and scripts that report themselves (U1, U5)."""

from __future__ import annotations

from jupyter_idle_culler.core.model import HOST, Kind, Resource, ResourceId, Strength, Verdict
from jupyter_idle_culler.sources.base import Look
from jupyter_idle_culler.sources.presence import PresenceSource
from jupyter_idle_culler.sources.reported import ReportedSource

KERNEL = ResourceId(Kind.KERNEL, "b3f0")
OTHER = ResourceId(Kind.KERNEL, "b")


class Hand:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def look(now: float, *ids: ResourceId) -> Look:
    """Return a look that finds these kernels."""
    return Look(now, resources=tuple(Resource(i, 0.0) for i in ids))


async def test_a_person_in_a_document_is_evidence_for_the_host_and_its_kernel_only() -> None:
    """Another kernel stays idle; each observation is at the moment of the report."""
    clock = Hand()
    source = PresenceSource(clock)
    source.report("ada", KERNEL)
    seen = (await source.observe(look(130.0, KERNEL, OTHER))).observations
    assert {(o.resource, o.verdict, o.at, o.strength) for o in seen} == {
        (HOST, Verdict.IDLE, 100.0, Strength.WORK),
        (KERNEL, Verdict.IDLE, 100.0, Strength.WORK),
    }


async def test_nobody_seen_yet_is_no_evidence() -> None:
    """An open page that only connects says nothing about a person."""
    clock = Hand()
    source = PresenceSource(clock)
    source.widget_seen()
    (only,) = (await source.observe(look(130.0, KERNEL))).observations
    assert (only.verdict, only.at) == (Verdict.IDLE, None)
    assert source.newest is None


async def test_what_is_observed_names_neither_person_nor_document() -> None:
    """Names stay with the view that shows each person their own."""
    clock = Hand()
    source = PresenceSource(clock)
    source.report("ada.lovelace", KERNEL)
    for seen in (await source.observe(look(100.0, KERNEL))).observations:
        assert "lovelace" not in seen.detail
        assert KERNEL.name not in seen.detail
    last = source.last("ada.lovelace")
    assert last is not None
    assert (last.at, last.resource) == (100.0, KERNEL)
    assert source.last("bob") is None


async def test_a_widget_counts_as_connected_for_ten_minutes() -> None:
    """A page that was closed cannot say so: silence does."""
    clock = Hand()
    source = PresenceSource(clock)
    assert not source.connected(clock.now)
    source.widget_seen()
    assert source.connected(clock.now + 600.0)
    assert not source.connected(clock.now + 601.0)


async def test_a_kernel_that_is_gone_is_forgotten() -> None:
    """Presence in a kernel that was culled is not kept for ever, nor reported."""
    clock = Hand()
    source = PresenceSource(clock)
    source.report("ada", KERNEL)
    seen = (await source.observe(look(300.0))).observations
    assert [o.resource for o in seen] == [HOST]
    seen = (await source.observe(look(300.0, KERNEL))).observations
    assert [o.resource for o in seen] == [HOST]


async def test_a_script_is_evidence_that_nobody_stands_behind() -> None:
    """For the host, or for the one kernel that it names."""
    clock = Hand()
    source = ReportedSource(clock)
    assert (await source.observe(look(100.0, KERNEL))).observations == ()
    source.report(KERNEL)
    clock.now = 160.0
    source.report()
    seen = (await source.observe(look(200.0, KERNEL))).observations
    assert {(o.resource, o.at) for o in seen} == {(KERNEL, 100.0), (HOST, 160.0)}
    assert {o.strength for o in seen} == {Strength.UNATTENDED}
    seen = (await source.observe(look(200.0))).observations
    assert [o.resource for o in seen] == [HOST]
