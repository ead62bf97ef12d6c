"""What the tests of the fleet share: an account with endpoints on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import requests

from jupyter_idle_culler.cli.commands import main
from jupyter_idle_culler.fleet.clients import Clients

from ..aws.cloudwatch import CloudWatchProxy
from ..aws.domain_stand_in import DomainStandIn
from ..aws.endpoints import EndpointsStandIn
from ..aws.fleet_stand_in import FleetStandIn
from ..aws.proxy import AwsProxy
from ..aws.stand_in import REGION
from .endpoint_world import World, environment
from .instance_world import Office

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def moto_server() -> Iterator[str]:
    """Give the address of a moto that serves CloudWatch, SNS, SQS, autoscaling and S3."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def account(moto_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Give an account with nothing in it."""
    requests.post(f"{moto_server}/moto-api/reset", timeout=10)
    sagemaker = EndpointsStandIn()
    with sagemaker, CloudWatchProxy(moto_server) as proxy:
        for name, value in environment(sagemaker, moto_server, proxy).items():
            monkeypatch.setenv(name, value)
        made = World(sagemaker, moto_server, proxy)
        yield made
        assert not sagemaker.problems


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """Give an account with no notebook instance in it; what lingers is over at the next call."""
    with FleetStandIn(linger_seconds=0) as sagemaker:
        for name, value in sagemaker.env.items():
            monkeypatch.setenv(name, value)
        yield Office(sagemaker)
        assert not sagemaker.problems


@pytest.fixture
def proxy(account: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsProxy]:
    """Give what stands before autoscaling, SNS and S3."""
    with AwsProxy(account.moto) as made:
        for name in ("SNS", "APPLICATION_AUTO_SCALING", "S3"):
            monkeypatch.setenv(f"AWS_ENDPOINT_URL_{name}", made.url)
        account.clients = Clients(REGION)
        yield made


@pytest.fixture
def fleet_command(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``jupyter idle-culler fleet`` in this process; return code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(["fleet", *arguments])
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch) -> Iterator[DomainStandIn]:
    """Give an account with an empty domain."""
    sagemaker = DomainStandIn(linger_seconds=0)
    with sagemaker:
        for name, value in sagemaker.env.items():
            monkeypatch.setenv(name, value)
        yield sagemaker
        assert not sagemaker.problems
