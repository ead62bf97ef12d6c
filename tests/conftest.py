"""What every test shares: an isolated environment, a server with the culler on, no silent skips."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Generator
from functools import partial
from typing import Any

import hypothesis
import pytest
from jupyter_server.serverapp import ServerApp
from traitlets.config import Config

from .api_server import Api
from .kernel_world import Worlds, kernel_world

pytest_plugins = ("pytest_jupyter.jupyter_server",)

# How fast a case runs says more about the machine and its other work than about the code: benches
# measure that. In CI the cases are the same in each run, so that a failure is there the next time.
hypothesis.settings.register_profile(
    "project",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize=os.environ.get("CI") == "true",
    print_blob=True,
)
hypothesis.settings.load_profile("project")

# Started with `nohup`, or in the background of a script, the suite would hand down signals that are
# ignored, and every shell and kernel of a test would take itself for a job left behind on purpose.
for _signal in (signal.SIGHUP, signal.SIGQUIT):
    if signal.getsignal(_signal) is signal.SIG_IGN:
        signal.signal(_signal, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_FOREIGN = ("AWS_", "JUPYTER_", "JUPYTERHUB_", "JPY_", "SAGEMAKER_")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --no-skips: on in CI, where a missing program must not turn a row of tests off."""
    parser.addoption(
        "--no-skips",
        action="store_true",
        default=os.environ.get("CI") == "true",
        help="a skipped test is a failed one (default where CI=true)",
    )


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, None]:
    """Turn a skip into a failure when --no-skips asks for it."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and not hasattr(report, "wasxfail") and item.config.getoption("--no-skips"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped, and --no-skips forbids it: {reason}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have to tell beside that they passed (their property ``told``)."""
    for report in terminalreporter.getreports("passed"):
        for name, value in getattr(report, "user_properties", ()):
            if name == "told":
                terminalreporter.write_line(str(value))


@pytest.fixture(autouse=True)
def isolated_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test an environment without credentials and without settings of the machine."""
    for name in list(os.environ):
        if name.startswith(_FOREIGN) or name == "TIMEOUT_IN_MINS":
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def jp_server_config() -> Config:
    """Switch the extension on, and leave no route open to strangers."""
    return Config(
        {
            "ServerApp": {
                "jpserver_extensions": {"jupyter_idle_culler": True},
                "allow_unauthenticated_access": False,
            }
        }
    )


@pytest.fixture
def api(
    jp_serverapp: ServerApp,
    http_server_client: object,
    jp_http_port: int,
    jp_asyncio_loop: asyncio.AbstractEventLoop,
) -> Api:
    """Give the API of a culler that runs in a server that listens (which its client sees to)."""
    del http_server_client
    api = Api(jp_serverapp, jp_http_port)
    api.start(jp_asyncio_loop)
    return api


@pytest.fixture
def world(jp_serverapp: Any, jp_fetch: Any, jp_ws_fetch: Any) -> Worlds:
    """Give a server with the source of kernels attached."""
    return partial(kernel_world, jp_serverapp, jp_fetch, jp_ws_fetch)
