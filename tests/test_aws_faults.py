"""The fault table: whatever AWS and the network do, at most one stop, and never silence.

Each row speaks HTTP through a faulty proxy to the stand-in. Time-outs and pauses are shorter than
those of the product; the order of things is the same. What follows the table has the real process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import botocore.endpoint
import botocore.exceptions
import botocore.loaders
import botocore.session
import pytest

from jupyter_idle_culler.aws import faults, sagemaker
from jupyter_idle_culler.aws.errand import Errand
from jupyter_idle_culler.aws.sagemaker import Answer
from jupyter_idle_culler.aws.target import APP, NOTEBOOK_INSTANCE, Target

from .aws.faulty_proxy import AFTER, BEFORE, STOP, FaultyProxy
from .aws.stand_in import CREDENTIALS, REGION, CredentialsServer, SageMakerStandIn

HURRIED = """
from jupyter_idle_culler.aws import sagemaker
sagemaker.CONNECT_SECONDS, sagemaker.READ_SECONDS = 1.0, 0.7
sagemaker._PAUSES = (0.05, 0.1)
sagemaker.STOP_PAUSE_SECONDS = 0.05
from jupyter_idle_culler.aws.child import main
raise SystemExit(main())
"""


@dataclass(frozen=True)
class Row:
    """Which fault befalls which phase, how often (None: always), and what must come of it.

    ``code``: the fault that is told, empty: done. ``performed``: so many stops took place. ``says``
    stands in what is told.
    """

    faults: Mapping[str, str]
    code: str
    performed: int = 0
    times: int | None = None
    says: str = ""

    def __str__(self) -> str:
        faults = "-and-".join(f"{fault}-{phase}" for phase, fault in self.faults.items())
        return faults + (f"-{self.times}x" if self.times else "")


STATEMENT = '"Effect": "Allow"'
UNSEEN = "could not be seen"
PREFLIGHT = [
    Row({BEFORE: "throttle"}, "", times=1),
    Row({BEFORE: "throttle"}, "throttled", says="fewer calls"),
    Row({BEFORE: "too-many"}, "throttled"),
    Row({BEFORE: "unavailable"}, "", times=1),
    Row({BEFORE: "unavailable"}, "server-error"),
    Row({BEFORE: "internal"}, "server-error"),
    Row({BEFORE: "reset"}, "", times=1),
    Row({BEFORE: "reset"}, "cut"),
    Row({BEFORE: "hang"}, "no-answer", says="in time"),
    Row({BEFORE: "delay"}, ""),
    Row({BEFORE: "cut"}, "cut"),
    Row({BEFORE: "truncate"}, "garbage", says="cut short"),
    Row({BEFORE: "empty"}, "garbage"),
    Row({BEFORE: "bare"}, "garbage"),
    Row({BEFORE: "lose"}, "cut"),
    Row({BEFORE: "garbage"}, "garbage", says="proxy or captive portal"),
    Row({BEFORE: "forbidden-page"}, "garbage", says="not the SageMaker API"),
    Row({BEFORE: "denied"}, "denied", says=STATEMENT),
    Row({BEFORE: "explicit-deny"}, "denied", says="explicitly"),
    Row({BEFORE: "expired"}, "expired", says="renew"),
    Row({BEFORE: "invalid-token"}, "invalid", says="~/.aws"),
    Row({BEFORE: "clock"}, "clock", says="clock"),
    Row({BEFORE: "not-found"}, "not-found", says="metadata file"),
]
STOPS = [
    Row({BEFORE: "throttle"}, "throttled"),
    Row({BEFORE: "internal"}, "server-error"),
    Row({BEFORE: "reset"}, "cut"),
    Row({BEFORE: "hang"}, "no-answer"),
    Row({BEFORE: "truncate"}, "garbage"),
    Row({BEFORE: "garbage"}, "garbage"),
    Row({BEFORE: "expired"}, "expired"),
    Row({BEFORE: "denied"}, "", 1, says="accepted"),
    Row({BEFORE: "denied", STOP: "denied", AFTER: "denied"}, "denied", says=STATEMENT),
    Row({BEFORE: "denied", STOP: "garbage", AFTER: "denied"}, "garbage"),
    Row({BEFORE: "denied", STOP: "lose", AFTER: "denied"}, "cut", 1),
    Row({STOP: "throttle"}, "", 1, times=1),
    Row({STOP: "throttle"}, "throttled"),
    Row({STOP: "too-many"}, "throttled"),
    Row({STOP: "internal"}, "server-error"),
    Row({STOP: "unavailable"}, "server-error", times=1),
    Row({STOP: "lose-and-500"}, "", 1),
    Row({STOP: "reset"}, "cut"),
    Row({STOP: "lose"}, "", 1, says="ing (after:"),
    Row({STOP: "hang"}, "no-answer"),
    Row({STOP: "lose-and-hang"}, "", 1),
    Row({STOP: "delay"}, "", 1),
    Row({STOP: "cut"}, "", 1),
    Row({STOP: "truncate"}, "", 1),
    Row({STOP: "garbage"}, "garbage"),
    Row({STOP: "bare"}, "garbage"),
    Row({STOP: "empty"}, "not-stopping", says="still InService"),
    Row({STOP: "forbidden-page"}, "garbage"),
    Row({STOP: "denied"}, "denied", says=STATEMENT),
    Row({STOP: "explicit-deny"}, "denied", says="explicitly"),
    Row({STOP: "expired"}, "expired"),
    Row({STOP: "invalid-token"}, "invalid"),
    Row({STOP: "clock"}, "clock"),
    Row({STOP: "not-found"}, "not-found"),
    Row({AFTER: "throttle"}, "", 1, times=1, says="it is "),
    Row({AFTER: "throttle"}, "", 1, says=UNSEEN),
    Row({AFTER: "too-many"}, "", 1, says=UNSEEN),
    Row({AFTER: "unavailable"}, "", 1, says=UNSEEN),
    Row({AFTER: "internal"}, "", 1, says=UNSEEN),
    Row({AFTER: "reset"}, "", 1, says=UNSEEN),
    Row({AFTER: "lose"}, "", 1, says=UNSEEN),
    Row({AFTER: "hang"}, "", 1, says=UNSEEN),
    Row({AFTER: "cut"}, "", 1, says=UNSEEN),
    Row({AFTER: "truncate"}, "", 1, says=UNSEEN),
    Row({AFTER: "empty"}, "", 1, says=UNSEEN),
    Row({AFTER: "bare"}, "", 1, says=UNSEEN),
    Row({AFTER: "garbage"}, "", 1, says=UNSEEN),
    Row({AFTER: "forbidden-page"}, "", 1, says=UNSEEN),
    Row({AFTER: "denied"}, "", 1, says=UNSEEN),
    Row({AFTER: "explicit-deny"}, "", 1, says=UNSEEN),
    Row({AFTER: "expired"}, "", 1, says=UNSEEN),
    Row({AFTER: "invalid-token"}, "", 1, says=UNSEEN),
    Row({AFTER: "clock"}, "", 1, says=UNSEEN),
    Row({AFTER: "delay"}, "", 1, says="it is "),
    Row({AFTER: "not-found"}, "", 1, says="is gone"),
    Row({STOP: "lose", AFTER: "internal"}, "cut", 1, says="and then"),
    Row({STOP: "lose-and-hang", AFTER: "garbage"}, "no-answer", 1),
]
LIVE = "live/test_sagemaker.py"
ELSEWHERE = {
    "no credentials": "test_without_credentials_that_is_said",
    "a credentials server that hangs": "test_a_credentials_server_that_hangs_is_waited_for_only_so",
    "no region": "test_without_a_region_that_is_said",
    "no route": "test_no_route_is_told_apart_from_denied",
    "no proxy": "test_a_proxy_that_does_not_answer_is_named",
    "a damaged configuration of AWS": "test_a_configuration_file_that_cannot_be_read_is_named",
    "a policy that is not the role's": "test_which_policy_lacks_the_permission_is_told",
    "no boto3": "test_without_boto3_that_is_said",
    "the process that asks is killed, breaks or says something else": "test_a_process_that_ends_",
    "two stops at once": "test_two_who_stop_at_once_stop_once",
    "not in service": "test_a_thing_that_is_no_more_in_service_is_not_stopped",
    "AccessDenied until it is allowed": f"{LIVE}:test_a_refused_stop_is_shown_with_the_statement",
    "an outage that ends": f"{LIVE}:test_an_outage_is_waited_out",
    "a full disk": f"{LIVE}:test_a_full_disk_keeps_no_stop_from_being_made",
    "an unwritable activity file": "test_sagemaker_activity.py:test_what_it_cannot_write_shows",
    "killed between warning and stop": f"{LIVE}:test_a_server_killed_between_warning_and_stop",
    "a pre_stop_command that fails": f"{LIVE}:test_a_command_before_that_fails_or_hangs",
    "a pre_stop_command that hangs": f"{LIVE}:test_a_command_before_that_fails_or_hangs",
}
"""Faults that are tests of their own: where each is."""


def run(target: Target, wanted: str, longest_seconds: float = 60.0) -> Answer:
    """Send one errand, as a process of its own."""

    async def send() -> Answer:
        errand = Errand(target, longest_seconds, HURRIED)
        return await (errand.stop() if wanted == "stop" else errand.describe())

    return asyncio.run(send())


_LOADER = botocore.loaders.create_loader()


def _hurry(seconds: float) -> None:
    time.sleep(min(seconds, 0.02))


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every pause and time-out in this process a short one."""
    monkeypatch.setattr(sagemaker, "CONNECT_SECONDS", 1.0)
    monkeypatch.setattr(sagemaker, "READ_SECONDS", 0.7)
    monkeypatch.setattr(botocore.endpoint, "time", types.SimpleNamespace(sleep=_hurry))
    # One for all: each would parse the model of SageMaker's API anew.
    monkeypatch.setattr(botocore.session, "create_loader", lambda *_: _LOADER)


@contextlib.contextmanager
def asking(target: Target) -> Iterator[sagemaker.SageMaker]:
    """Ask from this process, with what the environment says now."""
    asked = sagemaker.SageMaker(target, _hurry)
    try:
        yield asked
    finally:
        asked.close()


def made(stand_in: SageMakerStandIn, kind: str) -> Target:
    """Create a thing to stop."""
    if kind == NOTEBOOK_INSTANCE:
        arn = stand_in.add_notebook("My-Notebook")
        return Target(kind, {"NotebookInstanceName": "My-Notebook"}, REGION, arn)
    arn = stand_in.add_app("d-abc123", "JupyterLab", space="my-space")
    parameters = {"DomainId": "d-abc123", "SpaceName": "my-space"}
    return Target(kind, {**parameters, "AppType": "JupyterLab", "AppName": "default"}, REGION, arn)


def kind_of(row: Row) -> str:
    """Take both kinds in turn."""
    return (NOTEBOOK_INSTANCE, APP)[(PREFLIGHT + STOPS).index(row) % 2]


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every process in, unless a test takes that away."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("row", PREFLIGHT, ids=str)
def test_what_keeps_a_preflight_from_seeing_is_told(
    row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A describe is retried where that helps; what stays is told apart, with what would mend it."""
    with SageMakerStandIn() as stand_in, FaultyProxy(stand_in.url, row.faults, row.times) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", proxy.url)
        with asking(made(stand_in, kind_of(row))) as asked:
            answer = asked.describe()
        assert answer.fault == row.code, answer
        assert row.says in f"{answer.detail} {answer.mend}"
        assert answer.detail
        assert proxy.befallen, "the fault did not happen"
        assert not stand_in.stops()
        assert not stand_in.problems


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("row", STOPS, ids=str)
def test_a_stop_takes_place_at_most_once_and_never_fails_silently(
    row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After any fault the next try finds out what is; in the end exactly one stop took place, and
    none was ever asked of something that was stopping already."""
    with SageMakerStandIn() as stand_in, FaultyProxy(stand_in.url, row.faults, row.times) as proxy:
        target = made(stand_in, kind_of(row))
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", proxy.url)
        with asking(target) as asked:
            answer = asked.stop()
        assert answer.fault == row.code, answer
        assert row.says in f"{answer.detail} {answer.mend}", answer
        assert answer.detail
        assert proxy.befallen, "the fault did not happen"
        assert [call.code for call in stand_in.stops()] == [""] * row.performed
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", stand_in.url)
        with asking(target) as asked:
            again = asked.stop()
        assert not again.fault, again
        assert [call.code for call in stand_in.stops()] == [""]
        assert stand_in.status_of(target.arn) in ("Stopping", "Deleting")
        assert not stand_in.problems


def test_without_credentials_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials: nothing is sent, and where they may be is said."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/nonexistent")
    with SageMakerStandIn() as stand_in:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", stand_in.url)
        answer = run(made(stand_in, APP), "stop")
        assert answer.fault == "no-credentials", answer
        assert "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" in answer.mend
        assert not stand_in.calls


def test_a_credentials_server_that_hangs_is_waited_for_only_so_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A space's credentials come from a server: while it hangs, the errand ends by its limit."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/nonexistent")
    with socket.create_server(("127.0.0.1", 0)) as silent, SageMakerStandIn() as stand_in:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/credentials"
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", stand_in.url)
        answer = run(made(stand_in, APP), "stop", longest_seconds=3.0)
        assert answer.fault == "unexpected", answer
        assert "3 s" in answer.detail
        assert not stand_in.calls


def test_the_credentials_of_a_space_come_from_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_CONTAINER_CREDENTIALS_…: they are fetched, with their token, and signed with."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with SageMakerStandIn() as stand_in, CredentialsServer() as credentials:
        stand_in.token = credentials.token
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", credentials.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", stand_in.url)
        answer = run(made(stand_in, APP), "stop")
        assert not answer.fault, answer
        assert len(stand_in.stops()) == 1
        assert not stand_in.problems


def test_modules_in_the_working_directory_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A boto3.py, or a json.py, where the server works is the user's, and not run."""
    for name in ("boto3", "json", "typing", "jupyter_idle_culler"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    with SageMakerStandIn() as stand_in:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", stand_in.url)
        target = made(stand_in, APP)

        async def send() -> Answer:
            return await Errand(target).describe()

        assert not asyncio.run(send()).fault


def test_without_a_region_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The region is in the ARN; where there is none, no configuration may be guessed."""
    monkeypatch.setenv("HOME", "/nonexistent")
    with SageMakerStandIn() as stand_in:
        target = made(stand_in, APP)._replace(region="")
        answer = run(target, "describe")
        assert answer.fault == "no-region", answer
        assert "AWS_REGION" in answer.mend


def test_no_route_is_told_apart_from_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens there: the ways to the API are said, and no policy is."""
    with socket.socket() as unused, SageMakerStandIn() as stand_in:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv(
            "AWS_ENDPOINT_URL_SAGEMAKER", f"http://127.0.0.1:{unused.getsockname()[1]}"
        )
        answer = run(made(stand_in, NOTEBOOK_INSTANCE), "stop")
        assert answer.fault == "no-route", answer
        for way in ("internet", "NAT", f"com.amazonaws.{REGION}.sagemaker.api"):
            assert way in answer.mend
        assert STATEMENT not in answer.mend


def test_a_proxy_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy is what is mended: not the subnet, nor a policy. Its password is not told."""
    with socket.socket() as unused, SageMakerStandIn() as stand_in:
        unused.bind(("127.0.0.1", 0))
        proxy = f"http://ada:secret@127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", f"https://sagemaker.{REGION}.example")
        answer = run(made(stand_in, NOTEBOOK_INSTANCE), "describe")
    assert answer.fault == "no-route", answer
    assert "through the proxy" in answer.detail
    assert "HTTPS_PROXY" in answer.mend
    assert "secret" not in answer.detail
    for other in ("NAT", "endpoint", STATEMENT):
        assert other not in answer.mend


@pytest.mark.parametrize("variable", ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"])
def test_a_configuration_file_that_cannot_be_read_is_named(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slip of the pen in ~/.aws/config keeps boto3 from everything: which file, is said."""
    file = tmp_path / "config"
    file.write_text("[default\nregion = nowhere\n")
    monkeypatch.setenv(variable, str(file))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with SageMakerStandIn() as stand_in:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", stand_in.url)
        answer = run(made(stand_in, NOTEBOOK_INSTANCE), "stop")
        assert answer.fault == "config", answer
        assert str(file) in answer.detail
        assert variable in answer.mend
        assert not stand_in.calls


NOTEBOOK = Target(NOTEBOOK_INSTANCE, {"NotebookInstanceName": "n"}, REGION, "arn:of:n")


def denied(reason: str, session: str = "SageMaker") -> tuple[str, str]:
    """Return what is told of a denial that AWS words so, and what would mend it."""
    message = (
        f"User: arn:aws:sts::123456789012:assumed-role/Role/{session} is not authorized to perform:"
        f" sagemaker:StopNotebookInstance on resource: arn:of:n {reason}"
    )
    response = {
        "Error": {"Code": "AccessDeniedException", "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    error = botocore.exceptions.ClientError(response, "StopNotebookInstance")
    fault = faults.understood(error, "StopNotebookInstance")
    assert fault.code == "denied"
    return fault.detail, faults.mend(fault.code, fault.detail, NOTEBOOK)


@pytest.mark.parametrize(
    ("policy", "place"),
    [
        ("VPC endpoint policy", f"the VPC endpoint com.amazonaws.{REGION}.sagemaker.api"),
        ("permissions boundary", "the permissions boundary of the role"),
        ("session policy", "the session policy"),
        ("service control policy", "the service control policies of the organization"),
        ("resource control policy", "the resource control policies of the organization"),
    ],
)
@pytest.mark.parametrize("session", ["SageMaker", "s" * 500], ids=["short", "long"])
def test_which_policy_lacks_the_permission_is_told(policy: str, place: str, session: str) -> None:
    """A statement in a policy of the role would not help there; the reason outlasts the cut."""
    reason = f"because no {policy} allows the sagemaker:StopNotebookInstance action"
    detail, mend = denied(reason, session)
    assert reason in detail
    assert place in mend
    assert "no policy of the role mends this" in mend
    assert STATEMENT in mend


@pytest.mark.parametrize(
    "reason",
    ["", "because no identity-based policy allows the sagemaker:StopNotebookInstance action"],
)
def test_what_the_role_itself_lacks_is_added_to_a_policy_of_the_role(reason: str) -> None:
    """The usual case, and where AWS gives no reason."""
    _, mend = denied(reason)
    assert mend.startswith("add this statement to a policy of the role: ")


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("with an explicit deny in a service control policy", "a service control policy denies"),
        ("with an explicit deny in an identity-based policy", "an identity-based policy denies"),
        ("with an explicit deny in a permissions boundary", "a permissions boundary denies"),
        ("with an explicit deny", "a policy denies"),
    ],
)
def test_which_policy_denies_explicitly_is_told(reason: str, says: str) -> None:
    """Who manages that one can exempt this machine; nothing that is added elsewhere helps."""
    _, mend = denied(reason)
    assert mend.startswith(f"{says} it explicitly")


def test_without_boto3_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without boto3: what to install is said."""
    with SageMakerStandIn() as stand_in:
        target = made(stand_in, APP)

        async def send() -> Answer:
            program = "import sys\nsys.modules['boto3'] = None\n" + HURRIED
            return await Errand(target, program=program).stop()

        answer = asyncio.run(send())
        assert answer.fault == "no-boto3", answer
        assert "pip install boto3" in answer.mend


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "code -9"),
        ("raise RuntimeError('broken')", "RuntimeError: broken"),
        ("print('no answer')", "code 0"),
    ],
)
def test_a_process_that_ends_without_an_answer_is_a_failure(program: str, says: str) -> None:
    """Killed, broken, or saying something else: told, with the last that it said."""

    async def send() -> Answer:
        target = Target(NOTEBOOK_INSTANCE, {"NotebookInstanceName": "n"}, REGION, "arn")
        return await Errand(target, program=program).stop()

    answer = asyncio.run(send())
    assert answer.fault == "unexpected"
    assert says in answer.detail


@pytest.mark.parametrize("go", [0, 1, 2])
def test_a_stop_that_is_not_wanted_any_more_does_not_go_out(
    go: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked before each sending: the first, and those after AWS asked for fewer calls."""
    asked = 0

    async def still_wanted() -> bool:
        nonlocal asked
        asked += 1
        return asked <= go

    with SageMakerStandIn() as stand_in, FaultyProxy(stand_in.url, {STOP: "throttle"}, 1) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", proxy.url)
        target = made(stand_in, APP)

        async def send() -> Answer:
            return await Errand(target, program=HURRIED).stop(still_wanted)

        answer = asyncio.run(send())
        assert asked == min(go + 1, 2)
        assert answer.fault == ("" if go == 2 else "withdrawn"), answer
        assert answer.sent is (go == 2)
        assert len(stand_in.stops()) == (1 if go == 2 else 0)


def test_the_process_of_a_server_that_is_no_more_sends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed while AWS is being asked how things stand: nobody says go, and no stop goes out."""
    with SageMakerStandIn() as stand_in:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", stand_in.url)
        target = made(stand_in, NOTEBOOK_INSTANCE)
        child = subprocess.run(
            [sys.executable, "-c", HURRIED],
            input=f"{target.to_json()}\nstop\n",
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert '"withdrawn"' in child.stdout
        assert [call.operation for call in stand_in.calls] == ["DescribeNotebookInstance"]


def test_what_others_print_is_no_part_of_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sitecustomize that prints spoils nothing."""
    with SageMakerStandIn() as stand_in:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", stand_in.url)
        target = made(stand_in, APP)

        async def send() -> Answer:
            program = "print('hello'); print({'ask': 1}); print('[1]')\n" + HURRIED
            return await Errand(target, program=program).stop()

        assert not asyncio.run(send()).fault
        assert len(stand_in.stops()) == 1


def test_two_who_stop_at_once_stop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline and a person's "stop now" fall together: one call goes out."""
    with SageMakerStandIn() as stand_in:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", stand_in.url)
        target = made(stand_in, APP)

        async def send() -> tuple[Answer, Answer]:
            errand = Errand(target, program=HURRIED)
            return await asyncio.gather(errand.stop(), errand.stop())

        first, second = asyncio.run(send())
        assert not first.fault
        assert "Deleting already" in second.detail
        assert len(stand_in.stops()) == 1


def test_a_thing_that_is_no_more_in_service_is_not_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only what is InService is stopped; another state is told, or means that it stops already.

    What is stopped cannot be what this runs on."""
    with SageMakerStandIn() as stand_in:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", stand_in.url)
        target = made(stand_in, NOTEBOOK_INSTANCE)
        for status, fault in (
            ("Updating", "not-running"),
            ("Stopping", ""),
            ("Stopped", "not-running"),
        ):
            stand_in.set_status(target.arn, status)
            assert run(target, "stop").fault == fault
        assert not stand_in.stops()


def test_one_that_is_ready_and_not_needed_goes_away_without_a_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was made ready asks nothing, ends when it is let go, and is made ready again."""
    with SageMakerStandIn() as stand_in:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", stand_in.url)

        async def prepare() -> Answer:
            errand = Errand(made(stand_in, APP), program=HURRIED)
            await errand.make_ready()
            pid = errand.pid
            assert pid is not None
            await errand.make_ready()
            assert errand.pid == pid
            await errand.stand_down()
            assert errand.pid is None
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
            await errand.make_ready()
            return await errand.stop()

        assert not asyncio.run(prepare()).fault
        assert [call.operation for call in stand_in.calls][:2] == ["DescribeApp", "DeleteApp"]


def test_the_count_of_faults(record_property: Callable[[str, object], None]) -> None:
    """How many faults there are is printed at the end of the run: at each phase at least twenty
    that differ."""
    phases = {
        "a preflight": {row.faults[BEFORE] for row in PREFLIGHT},
        "a stop": {row.faults[STOP] for row in STOPS if STOP in row.faults},
        "the describe after it": {row.faults[AFTER] for row in STOPS if AFTER in row.faults},
    }
    for place in ELSEWHERE.values():
        module, _, test = place.rpartition(":")
        text = (Path(__file__).parent / (module or Path(__file__).name)).read_text("utf-8")
        assert f"def {test}" in text, place
    assert all(len(faults) >= 20 for faults in phases.values()), phases
    counts = ", ".join(f"{len(faults)} at {phase}" for phase, faults in phases.items())
    rows = len(PREFLIGHT) + len(STOPS) + len(ELSEWHERE)
    record_property("told", f"fault table: {rows} rows; faults that differ: {counts}")
