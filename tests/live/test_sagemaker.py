"""SageMaker, end to end: a real server with real kernels, and a stand-in for the API over HTTP."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ..aws.faulty_proxy import BEFORE, STOP, FaultyProxy
from ..aws.stand_in import ACCOUNT, REGION, Call, SageMakerStandIn
from .harness import LiveServer, wait_until
from .machines import shell
from .rows import (
    LATENESS_SECONDS,
    TIMEOUT,
    WARNING,
    Home,
    Scenario,
    entries,
    joined,
    run_in_homes,
    set_up,
    side_by_side,
    stopped_by,
)

ROOT = Path(__file__).parent.parent.parent
METADATA = ROOT / "tests" / "fixtures" / "metadata"
ACTIVITY = "api/idle-culler/v1/activity"
PUNCTUAL_SECONDS = 1.0
BUSY_SECONDS = TIMEOUT + 3
DOMAIN = "d-abc123def456"
APP = {"DomainId": DOMAIN, "AppType": "JupyterLab", "AppName": "default"}
ENVIRONMENTS: dict[str, tuple[str, dict[str, str]]] = {
    "notebook-instance": ("StopNotebookInstance", {"NotebookInstanceName": "My-Notebook"}),
    "jupyterlab-space": ("DeleteApp", {**APP, "SpaceName": "my-space"}),
    "shared-space": ("DeleteApp", {**APP, "SpaceName": "team"}),
    "user-profile": ("DeleteApp", {**APP, "UserProfileName": "ada"}),
    "unified-studio": ("DeleteApp", {**APP, "SpaceName": "default-0a1b2c3d"}),
}


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[None]]]:
    """Run the rows side by side."""
    yield from run_in_homes(request, tmp_path_factory)


def create_all(stand_in: SageMakerStandIn) -> dict[str, str]:
    """Create what the metadata files name, and neighbours of it; return the ARNs."""
    stand_in.add_notebook("neighbour")
    stand_in.add_app(DOMAIN, "JupyterLab", space="neighbour")
    return {
        "notebook-instance": stand_in.add_notebook("My-Notebook"),
        "jupyterlab-space": stand_in.add_app(DOMAIN, "JupyterLab", space="my-space"),
        "shared-space": stand_in.add_app(DOMAIN, "JupyterLab", space="team"),
        "user-profile": stand_in.add_app(DOMAIN, "JupyterLab", user="ada"),
        "unified-studio": stand_in.add_app(DOMAIN, "JupyterLab", space="default-0a1b2c3d"),
    }


@contextlib.contextmanager
def running(
    home: Home,
    environment: str,
    stand_in: SageMakerStandIn,
    config: Mapping[str, Any] | None = None,
    url: str = "",
    env: Mapping[str, str] | None = None,
    **more: Any,
) -> Iterator[LiveServer]:
    """Start a server that is in an environment, and speaks to the stand-in (or to ``url``)."""
    about = {"AWS_ENDPOINT_URL_SAGEMAKER": url or stand_in.url, **(env or {})}
    settings = {
        "stop_action": "auto",
        "metadata_path": str(METADATA / f"{environment}.json"),
        **(config or {}),
    }
    with home.server(settings, env={**stand_in.env, **about}, **more) as server:
        yield server


def the_one_stop(stand_in: SageMakerStandIn, environment: str) -> Call:
    """Wait for the stop; it is the only one, of the right thing, signed and by the model."""
    wait_until(stand_in.stops, "the stop", TIMEOUT + 2 * LATENESS_SECONDS)
    (call,) = stand_in.stops()
    assert (call.operation, call.parameters) == ENVIRONMENTS[environment]
    assert not call.code
    assert not stand_in.problems
    return call


def is_never_stopped(stand_in: SageMakerStandIn, seconds: float) -> None:
    """Watch for so long: no stop comes."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert not stand_in.stops()
        time.sleep(0.2)
    assert not stand_in.problems


def of_each(names: Iterable[str]) -> Callable[[Callable[[Home, str], None]], Scenario]:
    """Run a scenario for each name, three at once."""

    def of_scenario(scenario: Callable[[Home, str], None]) -> Scenario:
        def all_of_them(home: Home) -> None:
            def one(name: str) -> None:
                path = home.path / name[:2]
                path.mkdir()
                scenario(Home(path), name)

            with ThreadPoolExecutor(3) as pool:
                begun = {name: pool.submit(one, name) for name in names}
            failed = {name: f.exception() for name, f in begun.items() if f.exception()}
            assert not failed, failed

        for attribute in ("__name__", "__qualname__", "__doc__", "__module__"):
            setattr(all_of_them, attribute, getattr(scenario, attribute))
        return all_of_them

    return of_scenario


@side_by_side
@of_each(ENVIRONMENTS)
def test_a_machine_is_stopped_once_when_nothing_works_any_more(
    home: Home, environment: str
) -> None:
    """A silent cell runs: no call. It ends, the warning stands, somebody comes: still none.

    A whole timeout later one right call, not before the deadline and within a second after it.
    """
    with SageMakerStandIn() as stand_in, running(home, environment, stand_in) as server:
        arn = create_all(stand_in)[environment]
        with contextlib.ExitStack() as tabs:
            with set_up(server):
                kernel = tabs.enter_context(joined(server))
                kernel.execute(f"import time; time.sleep({BUSY_SECONDS})", wait=False)
            is_never_stopped(stand_in, BUSY_SECONDS - 1)
        wait_until(lambda: entries(server, "host", "warn", "decision"), "the warning")
        came = time.monotonic()
        server.request("POST", ACTIVITY, {"presence": True})
        call = the_one_stop(stand_in, environment)
        assert call.at - came >= TIMEOUT
        assert entries(server, "host", "cancel-warning", "decision")
        late = call.at - stopped_by(server, WARNING)["deadline"]
        assert 0 <= late <= PUNCTUAL_SECONDS, f"{late:.2f} s after the deadline"
        assert stand_in.status_of(arn) in ("Stopping", "Deleting")
        time.sleep(2)
        assert len(stand_in.stops()) == 1
        (outcome,) = entries(server, "host", "stop", "outcome")
        assert "AWS accepted the stop" in outcome["detail"]
        started = next(e for e in server.journal() if e["event"] == "start")
        assert started["stop_action"] == server.status()["host"]["stop_action"]
        assert not server.ended


@side_by_side
@of_each(ENVIRONMENTS)
def test_a_dry_run_stops_nothing_and_says_what_it_would_have(home: Home, environment: str) -> None:
    """dry_run: no call; the journal says which call it would have been."""
    config = {"dry_run": True}
    with SageMakerStandIn() as stand_in, running(home, environment, stand_in, config) as server:
        create_all(stand_in)
        wait_until(lambda: entries(server, "host", "stop", "outcome"), "the outcome")
        is_never_stopped(stand_in, 1)
        (outcome,) = entries(server, "host", "stop", "outcome")
        assert f"called sagemaker:{ENVIRONMENTS[environment][0]}" in outcome["detail"]
        assert "dry run" in outcome["detail"]


@side_by_side
@of_each(["studio-classic", "damaged", "missing"])
def test_elsewhere_nothing_is_asked_of_aws(home: Home, where: str) -> None:
    """Studio Classic, a damaged file, a plain machine: `auto` stops nothing there.

    A damaged file is told of once, in the log and in the health.
    """
    (home.path / "damaged.json").write_text('{"ResourceArn": "arn:aws:sag')
    folder = METADATA if where == "studio-classic" else home.path
    config = {"metadata_path": str(folder / f"{where}.json")}
    with SageMakerStandIn() as stand_in, running(home, "", stand_in, config) as server:
        assert server.status()["host"]["stop_action"] == "none"
        is_never_stopped(stand_in, TIMEOUT + 1)
        assert not stand_in.calls
        health = server.status()["health"]
        if where == "studio-classic":
            assert health["status"] == "ok", health
        else:
            (problem,) = health["problems"]
            assert {"damaged": "damaged", "missing": "exist"}[where] in problem["detail"]
            assert server.log.count(problem["detail"]) == 1


@side_by_side
def test_an_action_that_does_not_fit_is_told_of(home: Home) -> None:
    """stop_action = studio-app on a notebook instance: the server starts, and says that it stops
    nothing."""
    config = {"stop_action": "studio-app"}
    with (
        SageMakerStandIn() as stand_in,
        running(home, "notebook-instance", stand_in, config) as server,
    ):
        status = server.status()
        assert status["host"]["stop_action"] == "none"
        (problem,) = status["health"]["problems"]
        assert "notebook instance" in problem["detail"]
        is_never_stopped(stand_in, 1)


@side_by_side
def test_a_refused_stop_is_shown_with_the_statement_that_allows_it(home: Home) -> None:
    """AccessDenied: status, explain, log and journal tell; the statement is there; it is tried
    again, and done once it is allowed."""
    allowed = [False]
    stand_in = SageMakerStandIn(allows=lambda action, arn: allowed[0])
    with stand_in, running(home, "jupyterlab-space", stand_in) as server:
        arn = create_all(stand_in)["jupyterlab-space"]
        wait_until(lambda: entries(server, "host", "stop", "outcome"), "the outcome")
        outcome = entries(server, "host", "stop", "outcome")[0]
        assert not outcome["ok"]
        assert "sagemaker:DeleteApp is not allowed" in outcome["detail"]
        for health in (server.status()["health"], server.explain()["status"]["health"]):
            assert health["status"] == "unhealthy"
            (problem,) = [p for p in health["problems"] if p["source"] == "host"]
            assert "not authorized" in problem["detail"]
            statement, _ = json.JSONDecoder().raw_decode(
                problem["mend"], problem["mend"].index("{")
            )
            assert statement["Resource"] == arn
            assert "sagemaker:DeleteApp" in statement["Action"]
        assert f'"Resource": "{arn}"' in server.log
        code, answer = server.request("POST", "api/idle-culler/v1/stop", {}, ok=False)
        assert code == 502
        assert arn in answer["message"]
        allowed[0] = True
        wait_until(lambda: stand_in.status_of(arn) == "Deleting", "the second try")
        assert [call.code for call in stand_in.stops() if not call.code] == [""]
        wait_until(
            lambda: "host" not in [p["source"] for p in server.status()["health"]["problems"]],
            "the health",
            pause_seconds=0.3,
        )


@side_by_side
def test_a_preflight_tells_before_the_deadline(home: Home) -> None:
    """No route: degraded, with the ways to get one, while there is time to mend it."""
    with socket.socket() as unused, SageMakerStandIn() as stand_in:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        config = {"timeout_minutes": 10}
        with running(home, "notebook-instance", stand_in, config, url) as server:

            def told() -> list[dict[str, Any]]:
                problems = server.status()["health"]["problems"]
                return [p for p in problems if p["source"] == "preflight"]

            (problem,) = wait_until(told, "the preflight", pause_seconds=0.5)
            assert "no way to the SageMaker API" in problem["detail"]
            assert "NAT" in problem["mend"]
            assert server.status()["health"]["status"] == "degraded"
            assert "the host may not be stopped" in server.log


@pytest.mark.js214
@side_by_side
def test_nothing_of_boto3_is_in_the_server(home: Home) -> None:
    """After a preflight and a stop the server has loaded neither boto3 nor botocore."""
    extensions = {"jupyter_idle_culler": True, "bench.probe": True}
    probed = {"ServerApp": {"jpserver_extensions": extensions}}
    env = {"PYTHONPATH": str(ROOT)}
    with (
        SageMakerStandIn() as stand_in,
        running(home, "notebook-instance", stand_in, env=env, server_config=probed) as server,
    ):
        create_all(stand_in)
        the_one_stop(stand_in, "notebook-instance")
        wait_until(lambda: entries(server, "host", "stop", "outcome"), "the outcome")
        assert "preflight: credentials, region and route are there" in server.log
        modules = set(server.request("GET", "bench/state")["modules"])
        assert "jupyter_idle_culler.aws.errand" in modules
        assert {"boto3", "botocore", "s3transfer"} & modules == set()


@side_by_side
def test_a_lost_answer_is_no_second_stop(home: Home) -> None:
    """The stop takes place and its answer is lost: one stop, and a good outcome."""
    with (
        SageMakerStandIn() as stand_in,
        FaultyProxy(stand_in.url, {STOP: "lose"}) as proxy,
        running(home, "jupyterlab-space", stand_in, url=proxy.url) as server,
    ):
        create_all(stand_in)
        the_one_stop(stand_in, "jupyterlab-space")
        wait_until(lambda: entries(server, "host", "stop", "outcome"), "the outcome")
        time.sleep(2)
        (outcome,) = entries(server, "host", "stop", "outcome")
        assert outcome["ok"], outcome
        assert len(stand_in.stops()) == 1


@side_by_side
def test_an_outage_is_waited_out(home: Home) -> None:
    """AWS fails, then works again: shown as unhealthy meanwhile, and stopped once."""
    faults = {BEFORE: "internal"}  # three tries each of the preflight and the first stop
    with (
        SageMakerStandIn() as stand_in,
        FaultyProxy(stand_in.url, faults, times=6) as proxy,
        running(home, "notebook-instance", stand_in, url=proxy.url) as server,
    ):
        create_all(stand_in)
        wait_until(lambda: entries(server, "host", "stop", "outcome"), "the first outcome")
        assert server.status()["health"]["status"] == "unhealthy"
        assert "Trying again in 10 s" in server.log
        wait_until(stand_in.stops, "the stop", 60)
        assert len(stand_in.stops()) == 1


@side_by_side
def test_a_keep_alive_that_comes_before_the_call_prevents_it(home: Home) -> None:
    """AWS asks for fewer calls at the deadline; a person keeps the host awake before the next."""
    with (
        SageMakerStandIn() as stand_in,
        FaultyProxy(stand_in.url, {STOP: "throttle"}, times=1) as proxy,
        running(home, "jupyterlab-space", stand_in, url=proxy.url) as server,
    ):
        create_all(stand_in)
        wait_until(lambda: proxy.befallen, "the refused call")
        wanted = {"minutes": 30, "reason": "not yet"}
        server.request("POST", "api/idle-culler/v1/keep-alive", wanted)
        (outcome,) = wait_until(
            lambda: entries(server, "host", "stop", "outcome"), "what became of it"
        )
        assert "new evidence" in outcome["detail"], outcome
        time.sleep(3)
        assert not stand_in.stops()
        assert server.status()["host"]["warning"] is None


@side_by_side
def test_a_server_killed_between_warning_and_stop_stops_nothing(home: Home) -> None:
    """Killed while the warning stands, and started again: its idleness counts anew."""
    with SageMakerStandIn() as stand_in, running(home, "jupyterlab-space", stand_in) as server:
        create_all(stand_in)
        wait_until(lambda: entries(server, "host", "warn", "decision"), "the warning")
        server.kill()
        began = time.monotonic()
        server.start()
        call = the_one_stop(stand_in, "jupyterlab-space")
        assert call.at - began >= TIMEOUT


@side_by_side
@of_each(["fails", "hangs"])
def test_a_command_before_that_fails_or_hangs_puts_the_stop_off(home: Home, how: str) -> None:
    """pre_stop_command: no call, shown as unhealthy."""
    command = {"fails": ["false"], "hangs": ["sleep", "1000"]}[how]
    config = {"pre_stop_command": command, "pre_stop_timeout_seconds": 1}
    with (
        SageMakerStandIn() as stand_in,
        running(home, "notebook-instance", stand_in, config) as server,
    ):
        create_all(stand_in)
        wait_until(lambda: entries(server, "host", "stop", "outcome"), "the outcome")
        is_never_stopped(stand_in, 2)
        assert server.status()["health"]["status"] == "unhealthy"


@side_by_side
def test_a_full_disk_keeps_no_stop_from_being_made(home: Home) -> None:
    """Where neither the journal nor the file for SageMaker's own idle shutdown can be written the
    stop comes all the same, and the health and the log tell of both."""
    full = home.path / "full"
    full.mkdir()
    fill = f"mount -t tmpfs -o size=16k none {full}; head -c 64k /dev/zero > {full}/x || true"
    activity = full / "last-active"
    config = {"journal_path": str(full / "journal.jsonl"), "sagemaker_activity_path": str(activity)}
    with (
        SageMakerStandIn() as stand_in,
        running(home, "jupyterlab-space", stand_in, config, prefix=shell(fill)) as server,
    ):
        create_all(stand_in)
        the_one_stop(stand_in, "jupyterlab-space")
        told = {one["source"]: one["detail"] for one in server.status()["health"]["problems"]}
        assert "No space left" in told["journal"]
        assert "No space left" in told["activity file"]
        assert server.log.count("SageMaker's own idle shutdown is not told of evidence") == 1


def test_the_arns_of_the_fixtures_are_of_the_stand_in() -> None:
    """The metadata files and the stand-in speak of the same account and region."""
    for environment in ENVIRONMENTS:
        metadata = json.loads((METADATA / f"{environment}.json").read_text())
        assert f":{REGION}:{ACCOUNT}:" in metadata["ResourceArn"]
        with SageMakerStandIn() as stand_in:
            assert create_all(stand_in)[environment] == metadata["ResourceArn"]
