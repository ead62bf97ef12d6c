"""The sign of life: a tag from which others see that a culler lives, and whether anything works."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from traitlets.config import Config

from jupyter_idle_culler.aws import sign_of_life as tag
from jupyter_idle_culler.aws.errand import Errand
from jupyter_idle_culler.aws.sagemaker import Answer
from jupyter_idle_culler.aws.target import APP, NOTEBOOK_INSTANCE, Target
from jupyter_idle_culler.core.model import HOST, Action, Decision, Verdict
from jupyter_idle_culler.fleet import signals
from jupyter_idle_culler.fleet.deadline import Deadline
from jupyter_idle_culler.fleet.schedule_run import run
from jupyter_idle_culler.sign_of_life import SignOfLife

from .api_server import Api, merged, until
from .aws.faulty_proxy import BEFORE, FaultyProxy
from .aws.fleet_stand_in import FleetStandIn
from .aws.policies import EVALUATOR, decided
from .test_aws_faults import made

LOG = logging.getLogger("test")
AT = datetime(2026, 11, 24, 20, 55, tzinfo=timezone.utc)
ROOT = Path(__file__).parent.parent
METADATA = ROOT / "tests" / "fixtures" / "metadata"


@pytest.fixture
def sagemaker(monkeypatch: pytest.MonkeyPatch) -> Iterator[FleetStandIn]:
    """Let every process ask a stand-in."""
    with FleetStandIn() as stand_in:
        for name, value in stand_in.env.items():
            monkeypatch.setenv(name, value)
        yield stand_in
        assert not stand_in.problems


@given(
    st.sampled_from([tag.WORKING, tag.IDLE, tag.UNKNOWN]),
    st.floats(0, 1e6),
    st.floats(0, 44),
)
def test_what_is_written_is_what_is_read(word: str, idle: float, minutes_ago: float) -> None:
    """The fleet reads each word as it was meant, idle minutes and age added up."""
    assert signals.SIGN_TAG == tag.SIGN_TAG
    tags = {tag.SIGN_TAG: tag.value(AT, word, idle)}
    read = signals.read_signal(tags, AT + timedelta(minutes=minutes_ago))
    if word != tag.IDLE:
        assert read.verdict == word
    elif minutes_ago > signals.IDLE_MAX_AGE_MINUTES:
        assert read.verdict == signals.SILENT
    else:
        quiet = int(idle) + minutes_ago >= signals.QUIET_MINUTES
        assert read.verdict == (signals.IDLE if quiet else signals.WORKING)
    later = AT + timedelta(minutes=46)
    assert signals.read_signal(tags, later).verdict == signals.SILENT
    assert signals.read_signal(tags, AT - timedelta(minutes=46)).verdict == signals.SILENT


@pytest.mark.parametrize("kind", [NOTEBOOK_INSTANCE, APP])
async def test_the_tag_is_put_upon_itself_by_a_process_of_its_own(
    sagemaker: FleetStandIn, kind: str
) -> None:
    """One call, of AddTags, whose value is one that tags may have."""
    target = made(sagemaker, kind)
    answer = await Errand(target).sign(tag.value(AT, tag.IDLE, 12.7))
    assert not answer.fault, answer
    assert sagemaker.tags[target.arn] == {tag.SIGN_TAG: "2026-11-24T20:55:00Z idle 12"}
    assert [call.operation for call in sagemaker.calls] == ["AddTags"]


@pytest.mark.parametrize(
    ("fault", "times", "code"),
    [
        ("throttle", 1, ""),
        ("denied", None, "denied"),
        ("empty", None, "garbage"),
        ("garbage", None, "garbage"),
        ("expired", None, "expired"),
    ],
)
async def test_what_keeps_it_from_being_written_is_told(
    sagemaker: FleetStandIn,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    times: int | None,
    code: str,
) -> None:
    """With what would mend it: where it is denied, the statement of this one tag."""
    target = made(sagemaker, NOTEBOOK_INSTANCE)
    with FaultyProxy(sagemaker.url, {BEFORE: fault}, times) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", proxy.url)
        answer = await Errand(target).sign(tag.value(AT, tag.WORKING))
    assert answer.fault == code
    assert bool(answer.mend) == bool(code)
    if code == "denied":
        statement = json.loads(answer.mend[answer.mend.index("{") :])
        assert statement == tag.statement(target)
        assert statement["Action"] == ["sagemaker:AddTags"]
        assert tag.SIGN_TAG in str(statement["Condition"])


@pytest.mark.skipif(
    not EVALUATOR.exists(), reason="no evaluator of policies: make .stamps/policies"
)
def test_its_statement_allows_this_one_tag_on_itself_and_nothing_else() -> None:
    """An instance may not exempt itself, nor speak for another; the documentation says the same."""
    name = {"NotebookInstanceName": "NAME"}
    arn = "arn:aws:sagemaker:REGION:ACCOUNT:notebook-instance/NAME"
    statement = tag.statement(Target(NOTEBOOK_INSTANCE, name, "REGION", arn))
    text = (ROOT / "docs" / "fleet.md").read_text(encoding="utf-8")
    written = text[text.index('{\n  "Effect": "Allow"') :]
    assert json.loads(written[: written.index("```")]) == statement
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    own, exempt = [tag.SIGN_TAG], ["idle-culler:exempt"]
    questions = [
        ("sagemaker:AddTags", arn, {"aws:TagKeys": own}),
        ("sagemaker:AddTags", arn, {"aws:TagKeys": exempt}),
        ("sagemaker:AddTags", arn, {"aws:TagKeys": own + exempt}),
        ("sagemaker:AddTags", arn + "-2", {"aws:TagKeys": own}),
        ("sagemaker:DeleteTags", arn, {"aws:TagKeys": own}),
    ]
    assert decided([policy], questions) == [True, False, False, False, False]


class Written:
    """Stands for the process that writes: notes what it is given, and fails when told to."""

    pid = None

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.fault = ""

    async def sign(self, text: str) -> Answer:
        """Note it."""
        if self.fault:
            return Answer(self.fault, "it is not allowed", "allow it")
        self.texts.append(text.partition(" ")[2])
        return Answer("", "")

    async def close(self) -> None:
        """Let go."""


class Looks:
    """Looks at a host, at seconds that a test names."""

    def __init__(self) -> None:
        self.written, self.asked_again = Written(), 0
        errand: Any = self.written
        self.sign = SignOfLife(errand, LOG, self._again)

    def _again(self) -> None:
        self.asked_again += 1

    async def look(
        self, now: float, evidence_at: float, verdict: Verdict = Verdict.IDLE
    ) -> list[str]:
        """Look, and return what was written because of it."""
        before = len(self.written.texts)
        decision = Decision(HOST, Action.KEEP, verdict, "", evidence_at)
        self.sign.looked(decision, now, AT + timedelta(seconds=now))
        for _ in range(5):
            await asyncio.sleep(0)
        return self.written.texts[before:]


async def test_it_is_written_when_it_turns_and_each_quarter_of_an_hour() -> None:
    """Short pauses are no turn: an interactive hour costs four calls."""
    looks = Looks()
    assert await looks.look(0, 0, Verdict.ACTIVE) == ["working"]
    for now in range(60, 900, 60):  # a cell each two minutes
        verdict = Verdict.ACTIVE if now % 120 else Verdict.IDLE
        assert await looks.look(now, now - 30, verdict) == []
    assert await looks.look(900, 870) == ["working"]
    assert await looks.look(1440, 870) == []
    assert await looks.look(1470, 870) == ["idle 10"]
    assert await looks.look(2340, 870) == []
    assert await looks.look(2371, 870) == ["idle 25"]
    assert await looks.look(2432, 2432, Verdict.ACTIVE) == ["working"]
    assert await looks.look(2493, 2000, Verdict.UNKNOWN) == ["unknown"]
    await looks.sign.close()


async def test_two_turns_within_a_minute_are_one_writing_and_one_more_look() -> None:
    """What came too soon is looked at again when it may be written."""
    looks = Looks()
    await looks.look(0, -700)
    assert await looks.look(59.95, 59.95, Verdict.ACTIVE) == []
    assert looks.asked_again == 0
    await asyncio.sleep(0.2)
    assert looks.asked_again == 1
    assert await looks.look(60, 60, Verdict.ACTIVE) == ["working"]
    await looks.sign.close()


async def test_a_turn_that_comes_while_it_is_written_is_not_lost() -> None:
    """It is looked at again when the writing is done."""
    looks = Looks()
    idle = Decision(HOST, Action.KEEP, Verdict.IDLE, "", -700.0)
    looks.sign.looked(idle, 0, AT)
    looks.sign.looked(idle._replace(verdict=Verdict.ACTIVE), 0.01, AT)
    await until(lambda: looks.asked_again)
    assert looks.written.texts == ["idle 11"]
    await looks.sign.close()


async def test_what_fails_is_told_once_and_tried_again_after_five_minutes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The health names it until it works."""
    looks = Looks()
    looks.written.fault = "denied"
    await looks.look(0, 0)
    assert (looks.sign.problem, looks.sign.mend) == ("it is not allowed", "allow it")
    looks.written.fault = ""
    assert await looks.look(299, 0) == []
    looks.written.fault = "denied"
    assert await looks.look(301, 0) == []
    looks.written.fault = ""
    assert await looks.look(602, 0) == ["idle 10"]
    assert looks.sign.problem is None
    assert caplog.text.count("no sign of life is shown") == 1
    await looks.sign.close()


async def test_work_that_cannot_be_told_is_tried_again_each_minute_while_the_tag_says_idle() -> (
    None
):
    """A scheduled stop would believe the tag."""
    looks = Looks()
    assert await looks.look(0, -700) == ["idle 11"]
    looks.written.fault = "throttled"
    assert await looks.look(100, 100, Verdict.ACTIVE) == []
    looks.written.fault = ""
    assert await looks.look(159, 159, Verdict.ACTIVE) == []
    assert await looks.look(160, 160, Verdict.ACTIVE) == ["working"]
    await looks.sign.close()


@pytest.fixture
def jp_server_config(
    request: pytest.FixtureRequest, jp_server_config: Config, sagemaker: FleetStandIn
) -> Config:
    """Have the server on a notebook instance that the stand-in knows, and show a sign of life."""
    sagemaker.add("my-notebook")
    settings = {
        "metadata_path": str(METADATA / "notebook-instance.json"),
        "sign_of_life": True,
        "stop_action": "none",
        **getattr(request, "param", {}),
    }
    return merged(jp_server_config, **settings)


@pytest.mark.js214
async def test_a_server_that_works_is_spared_by_a_scheduled_stop(
    api: Api, sagemaker: FleetStandIn
) -> None:
    """It has just started, which counts as work: the fleet reads so from the tag."""
    signed = await until(lambda: sagemaker.tags_of("my-notebook"))
    assert signed[tag.SIGN_TAG].endswith("Z working")
    asked = {"action": "stop", "name_contains": "my-", "dry_run": False}
    report = await asyncio.to_thread(run, asked, {}, Deadline.never())
    (spared,) = report.skipped
    assert spared["reason"].startswith("its culler signals work")
    assert not api.service.status().health.problems
    assert [call.operation for call in sagemaker.calls].count("AddTags") == 1


@pytest.fixture
def refused(sagemaker: FleetStandIn) -> None:
    """Take the permission away."""
    sagemaker.allows = lambda action, arn: action != "sagemaker:AddTags"


@pytest.mark.usefixtures("refused")
async def test_a_role_that_may_not_shows_in_the_health(api: Api) -> None:
    """With the statement that would allow it; nothing else suffers."""
    await until(lambda: api.service.status().health.problems)
    (problem,) = api.service.status().health.problems
    assert problem.source == "sign of life"
    assert "sagemaker:AddTags is not allowed" in problem.detail
    assert '"Action": ["sagemaker:AddTags"]' in problem.mend


@pytest.mark.parametrize(
    "jp_server_config",
    [
        {"sign_of_life": False},
        {"dry_run": True},
        {"metadata_path": str(METADATA / "nowhere.json")},
    ],
    indirect=True,
)
async def test_none_is_shown_where_none_is_wanted_nor_where_there_is_nothing_to_show_it_on(
    api: Api, sagemaker: FleetStandIn
) -> None:
    """By default, in a dry run, on a plain machine: no process is started, nothing asked."""
    await api.service.culler.look()
    assert api.service.sign_of_life is None
    assert sagemaker.calls == []
