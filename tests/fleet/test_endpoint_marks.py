"""Nothing is deleted of which nobody was told; what nobody uses for another reason is told, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from jupyter_idle_culler.fleet.endpoints import run as endpoints_run
from jupyter_idle_culler.fleet.endpoints.marks import MARK_TAG

from ..aws.endpoints import arn_of
from ..aws.stand_in import Refusal
from .endpoint_world import LATER, WHOLE, World, topic_with_queue


def _deletion(account: World, save_to: Path) -> tuple[dict[str, Any], Callable[[], list[str]]]:
    """Have an idle endpoint; return what marks and deletes it, and what the topic hears."""
    account.sagemaker.add_endpoint("e")
    account.host("e", [*WHOLE, *LATER])
    topic, received = topic_with_queue()
    event = {"action": "delete", "name_contains": "e", "dry_run": False, "topic_arn": topic}
    return {**event, "save_to": str(save_to)}, received


def test_a_mark_of_which_nobody_was_told_is_none(
    account: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ended between mark and message: the next one marks anew, and tells."""
    event, received = _deletion(account, tmp_path)
    arn = arn_of("endpoint", "e")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(endpoints_run, "publish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            account.run(**event)
    assert account.sagemaker.tags[arn][MARK_TAG].endswith(" not told")
    report = account.run(at=73, **event)
    assert [change["action"] for change in report.changed] == ["mark"]
    date = report.changed[0]["may_be_deleted_after"]
    assert " until " in account.sagemaker.tags[arn][MARK_TAG]
    (message,) = received()
    assert f"e: action mark, may be deleted after {date}" in message
    account.run(at=90, **event)
    (message,) = received()
    assert f"marked; may be deleted after {date}" in message
    assert account.deleted() == []
    account.run(at=145.1, **event)
    assert account.deleted() == ["e"]


def test_a_mark_that_cannot_be_confirmed_does_not_count(
    account: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """People were told a date; without the tag the endpoint stays longer, not shorter."""
    event, _ = _deletion(account, tmp_path)
    refusal = Refusal("AccessDeniedException", "no")

    def second(asked: Mapping[str, Any]) -> Refusal | None:
        return None if asked["Tags"][0]["Value"].endswith(" not told") else refusal

    account.sagemaker.faults["AddTags"] = second
    report = account.run(**event)
    assert [failure["name"] for failure in report.failed] == ["e"]
    assert "does not count yet" in report.failed[0]["error"]
    account.sagemaker.faults.clear()
    report = account.run(at=73, **event)
    assert [change["action"] for change in report.changed] == ["mark"]
    assert account.deleted() == []


@pytest.mark.parametrize("status", ["Failed", "UpdateRollbackFailed", "OutOfService"])
def test_one_that_is_stuck_is_told_apart_and_left_alone(
    account: World, tmp_path: Path, status: str
) -> None:
    """It is in no service, may cost all the same, and nobody might notice."""
    account.sagemaker.add_endpoint("e", status=status)
    topic, received = topic_with_queue()
    event: dict[str, Any] = {"action": "delete", "name_contains": "e", "dry_run": False}
    report = account.run(save_to=str(tmp_path), topic_arn=topic, **event)
    (told,) = report.details["unknown"]
    assert (told["name"], told["reason"]) == ("e", f"its status is {status}")
    assert told["instances"][0]["type"] == "ml.m5.large"
    assert (report.changed, report.failed) == ([], [])
    (message,) = received()
    assert f"its status is {status}" in message
