"""P4: containers that say themselves whether they work, over Docker's socket and their own HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from jupyter_idle_culler.core.model import HOST, Observation, Verdict
from jupyter_idle_culler.sources.base import Look
from jupyter_idle_culler.sources.docker_api import docker_socket
from jupyter_idle_culler.sources.sidecars import SidecarsSource

from .fake_docker import LABEL, FakeDocker, Sidecar

LOOK = Look(0.0)


@asynccontextmanager
async def machine(path: Path, *answers: Any) -> AsyncIterator[tuple[FakeDocker, list[Sidecar]]]:
    """Run Docker on a socket, and a sidecar for each answer."""
    docker, sidecars = FakeDocker(path), [Sidecar(answer) for answer in answers]
    try:
        yield docker, sidecars
    finally:
        await docker.close()
        for sidecar in sidecars:
            await sidecar.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where Docker listens."""
    return tmp_path / "docker.sock"


def source_at(path: Path, time_limit_seconds: float = 2.0) -> SidecarsSource:
    """Return a source that asks there."""
    return SidecarsSource({"DOCKER_HOST": f"unix://{path}"}, time_limit_seconds)


async def see(source: SidecarsSource) -> list[Observation]:
    """Look once."""
    return list((await source.observe(LOOK)).observations)


async def test_a_container_that_says_that_it_works_holds_the_host(path: Path) -> None:
    """Its expression gives something else than 0; one that gives 0 is idle."""
    async with machine(path, {"jobs": [{"n": 3}]}, {"jobs": []}) as (docker, (busy, idle)):
        docker.run("trainer", busy.labels("length(jobs)", endpoint="api/v1/jobs?state=running"))
        docker.run("rester", idle.labels("length(jobs)", endpoint="/jobs"))
        docker.run("stranger", {"com.example": "1"})
        first, second = await see(source_at(path))
        assert busy.requests == [("GET", "/api/v1/jobs?state=running", b"")]
        assert idle.requests == [("GET", "/jobs", b"")]
        assert unquote(docker.requests[0]).count(f"{LABEL}port") == 1
    assert (first.resource, first.verdict, first.essential) == (HOST, Verdict.ACTIVE, False)
    assert first.detail == "container trainer says that it works"
    assert (second.resource, second.verdict) == (HOST, Verdict.IDLE)


@pytest.mark.parametrize(
    ("answer", "expression", "verdict"),
    [
        ({"active": True}, "active", Verdict.ACTIVE),
        ({"active": False}, "active", Verdict.IDLE),
        ({"load": 0.0}, "load", Verdict.IDLE),
        ({"load": 0.2}, "load", Verdict.ACTIVE),
        ({"state": "idle"}, "state", Verdict.ACTIVE),
        ({}, "load", Verdict.UNKNOWN),
        ({"load": 0}, "load[", Verdict.UNKNOWN),
        ({"load": None}, "length(load)", Verdict.UNKNOWN),
        (b"<html>it works</html>", "load", Verdict.UNKNOWN),
        (b"", "load", Verdict.UNKNOWN),
        (b"\xff\xfe{", "load", Verdict.UNKNOWN),
    ],
)
async def test_only_0_is_idle_and_what_cannot_be_read_is_unknown(
    path: Path, answer: Any, expression: str, verdict: Verdict
) -> None:
    """As the original has it, but nothing found is not taken for an answer."""
    async with machine(path, answer) as (docker, (sidecar,)):
        docker.run("box", sidecar.labels(expression))
        (seen,) = await see(source_at(path))
    assert seen.verdict is verdict, seen.detail
    assert seen.detail.startswith("container box ")


async def test_a_payload_is_posted_as_json(path: Path) -> None:
    """The label holds the body; one that is no JSON is never sent."""
    async with machine(path, {"n": 0}, {"n": 0}) as (docker, (asked, spared)):
        docker.run("asked", asked.labels("n", payload='{"query": "idle"}'))
        docker.run("spared", spared.labels("n", payload="{query"))
        first, second = await see(source_at(path))
        assert asked.requests == [("POST", "/idle", b'{"query": "idle"}')]
        assert spared.requests == []
    assert (first.verdict, second.verdict) == (Verdict.IDLE, Verdict.UNKNOWN)


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_another_status_than_200_is_unknown(path: Path, status: int) -> None:
    """The original takes these for idle; here a broken sensor does not support a stop."""
    async with machine(path, {"n": 0}) as (docker, (sidecar,)):
        sidecar.status = status
        docker.run("box", sidecar.labels("n"))
        (seen,) = await see(source_at(path))
    assert (seen.verdict, seen.essential) == (Verdict.UNKNOWN, False)
    assert str(status) in seen.detail


async def test_a_sidecar_that_times_out_is_unknown_and_delays_nobody(path: Path) -> None:
    """All are asked at once: the one that answers is heard, and the look ends in time."""
    async with machine(path, {"n": 1}, *[{"n": 0}] * 8) as (docker, (quick, *slow)):
        docker.run("quick", quick.labels("n"))
        for number, sidecar in enumerate(slow):
            sidecar.delay_seconds = 30
            docker.run(f"slow-{number}", sidecar.labels("n"))
        began = time.monotonic()
        first, *others = await see(source_at(path, 0.5))
        assert time.monotonic() - began < 4
    assert first.verdict is Verdict.ACTIVE
    assert {seen.verdict for seen in others} == {Verdict.UNKNOWN}


async def test_a_sidecar_that_is_gone_is_unknown(path: Path) -> None:
    """Docker lists it, and nobody listens on its port."""
    async with machine(path, {"n": 0}) as (docker, (sidecar,)):
        docker.run("box", sidecar.labels("n"))
        await sidecar.close()
        (seen,) = await see(source_at(path))
    assert seen.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"port": "80 80"}, "port = '80 80', which is no port"),
        ({"port": "99999"}, "which is no port"),
        ({"port": "0"}, "which is no port"),
        ({"endpoint": None}, f"has no label {LABEL}endpoint"),
        ({"response": None}, f"has no label {LABEL}response"),
    ],
)
async def test_a_container_with_wrong_labels_is_unknown_and_says_which(
    path: Path, changed: dict[str, str | None], said: str
) -> None:
    """Who labels a container wants it to count: a slip is not idleness."""
    async with machine(path, {"n": 0}) as (docker, (sidecar,)):
        labels: dict[str, Any] = sidecar.labels("n")
        labels |= {LABEL + word: value for word, value in changed.items()}
        docker.run("box", {name: value for name, value in labels.items() if value is not None})
        (seen,) = await see(source_at(path))
        assert sidecar.requests == []
    assert seen.verdict is Verdict.UNKNOWN
    assert said in seen.detail


DEEP = 100_000


@pytest.mark.parametrize(
    ("answer", "expression", "more"),
    [
        ({"load": "n/a"}, "length([?load>`1`])", {}),
        ([{"load": 2}, {"load": "n/a"}], "[?load>`1`]", {}),
        ({}, "ceil(`1e400`)", {}),
        (b"[" * DEEP, "load", {}),
        ({"load": 0}, "(" * DEEP + "load", {}),
        ({"load": 0}, "load", {"payload": "[" * DEEP}),
        ({"load": 0}, "load", {"port": "9" * 5000}),
        ({"load": 0}, "load", {"endpoint": "\ud800"}),
        ({"load": 0}, "load", {"endpoint": "x y\r\nz: "}),
        ({"load": 0}, "", {}),
    ],
    ids=[
        "no list to take the length of",
        "a text compared with a number",
        "an infinite number",
        "a deep answer",
        "a deep expression",
        "a deep payload",
        "a long port",
        "an endpoint that is no text",
        "an endpoint of two lines",
        "no expression",
    ],
)
async def test_one_odd_sidecar_hides_no_other(
    path: Path, answer: Any, expression: str, more: dict[str, str]
) -> None:
    """Whatever is wrong with one, that one is unknown and named, and the busy one is heard."""
    async with machine(path, {"n": 1}, answer) as (docker, (busy, odd)):
        docker.run("trainer", busy.labels("n"))
        docker.run("odd", odd.labels(expression, **{"endpoint": "idle", **more}))
        good, bad = await see(source_at(path))
    assert (good.verdict, good.detail) == (Verdict.ACTIVE, "container trainer says that it works")
    assert (bad.resource, bad.verdict, bad.essential) == (HOST, Verdict.UNKNOWN, False), bad.detail
    assert bad.detail.startswith("container odd ")
    assert len(bad.detail) <= 400


async def test_an_expression_that_takes_long_hides_no_other(path: Path) -> None:
    """It ends with the time of its container, before that of the whole source."""
    doubled = "|".join(["[@,@][]"] * 22)
    async with machine(path, {"n": 1}, [1]) as (docker, (busy, slow)):
        docker.run("trainer", busy.labels("n"))
        docker.run("slow", slow.labels(f"{doubled}|length(@)"))
        good, bad = await see(source_at(path, 0.2))
    assert good.verdict is Verdict.ACTIVE
    assert (bad.verdict, bad.detail[:14]) == (Verdict.UNKNOWN, "container slow")


async def test_a_container_without_labels_is_no_sidecar(path: Path) -> None:
    """A Docker that does not filter lists all of them; some have no labels at all."""
    async with machine(path, {"n": 1}) as (docker, (busy,)):
        docker.run("trainer", busy.labels("n"))
        listed = [
            {"Id": "0" * 64, "Names": ["/bare"], "Labels": None},
            {"Id": "1" * 64, "Names": None},
            {"Id": "2" * 64, "Names": ["/stranger"], "Labels": {"com.example": "1"}},
        ]
        docker.raw = json.dumps([*docker.containers, *listed]).encode()
        (seen,) = await see(source_at(path))
    assert seen.detail == "container trainer says that it works"


async def test_without_docker_there_are_no_sidecars(path: Path) -> None:
    """No socket, a socket that nobody listens on any more, or one that is not ours to ask."""
    assert await see(source_at(path)) == []
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert await see(source_at(path)) == []
    assert await see(source_at(path / "below")) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="root gives its rights away for this")
async def test_a_socket_that_this_user_may_not_ask_is_no_docker(path: Path) -> None:
    """Who may not ask Docker has no containers of their own."""
    script = f"""if True:
        import asyncio, os
        from jupyter_idle_culler.sources.base import Look
        from jupyter_idle_culler.sources.sidecars import SidecarsSource
        import jmespath
        os.setgroups([]), os.setgid(65534), os.setuid(65534)
        source = SidecarsSource({{"DOCKER_HOST": "unix://{path}"}})
        print(asyncio.run(source.observe(Look(0.0))).observations)
    """
    async with machine(path):
        path.chmod(0o600)
        ran = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (ran.stdout.strip(), ran.stderr) == ("()", "")


@pytest.mark.parametrize(
    ("status", "raw"),
    [(500, b'{"message": "boom"}'), (200, b"[{"), (200, b'{"message": 1}'), (200, b"[{}]")],
)
async def test_a_docker_that_gives_no_list_is_a_failing_source(
    path: Path, status: int, raw: bytes
) -> None:
    """Whatever its containers do is unknown."""
    async with machine(path) as (docker, _):
        docker.status, docker.raw = status, raw
        with pytest.raises(RuntimeError, match="does not say which containers run"):
            await see(source_at(path))


async def test_a_docker_that_hangs_is_a_failing_source(path: Path) -> None:
    """After its time limit."""
    async with machine(path) as (docker, _):
        docker.delay_seconds = 30
        with pytest.raises(RuntimeError, match="does not say which containers run"):
            await see(source_at(path, 0.3))


def test_the_socket_is_dockers_own_unless_docker_host_names_one() -> None:
    """Studio spaces set DOCKER_HOST; one over TCP is not asked, and that is said."""
    assert docker_socket({}) == "/var/run/docker.sock"
    assert docker_socket({"DOCKER_HOST": "unix:///docker/proxy.sock"}) == "/docker/proxy.sock"
    assert SidecarsSource({}).limitations == ()
    (sentence,) = SidecarsSource({"DOCKER_HOST": "tcp://10.0.0.1:2376"}).limitations
    assert "DOCKER_HOST" in sentence


async def test_an_answer_without_end_is_unknown(path: Path) -> None:
    """No sidecar fills the server's memory."""
    async with machine(path, b"[" + b"0," * 1024 * 1024) as (docker, (sidecar,)):
        docker.run("box", sidecar.labels("n"))
        (seen,) = await see(source_at(path))
    assert seen.verdict is Verdict.UNKNOWN
