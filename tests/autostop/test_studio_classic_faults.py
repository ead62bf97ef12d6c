"""Studio Classic when the server errs, is slow, or says what it should not: nothing is lost."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from jupyter_idle_culler.autostop import jupyter_api

from .studio_driver import (
    APP,
    APP_PATH,
    SLACK,
    TERMINAL,
    TERMINAL_PATH,
    TIMEOUT,
    Autostop,
)
from .studio_stand_in import (
    ERROR,
    ERROR_PAGE,
    HTML,
    LARGE,
    LOGIN,
    PYTORCH,
    Fault,
    Studio,
)


def test_one_apps_failure_holds_up_no_other_and_is_retried_with_growing_pauses(
    studio: Studio,
) -> None:
    """A DELETE that fails twice: told each time, tried again later, done at the third."""
    studio.add_app("pytorch", PYTORCH, LARGE)
    studio.faults["DELETE", APP_PATH] = [ERROR, ERROR]
    autostop = Autostop(studio)
    autostop.watch(0, TIMEOUT - 240)
    at = TIMEOUT + 120
    lines = autostop.look(at)
    assert studio.app_names == [APP]
    assert studio.deleted == [APP_PATH, "sagemaker/api/apps/pytorch"]
    assert any(
        re.match(rf"UNHEALTHY, again in (60 s|1 min): DELETE {APP_PATH}: HTTP 500.*: app", line)
        for line in lines
    )
    lines = autostop.look(at + 30)
    assert studio.deleted.count(APP_PATH) == 1
    assert any("still there after 1 tries" in line for line in lines)
    autostop.look(at + 61)
    autostop.look(at + 61 + 61)
    assert studio.deleted.count(APP_PATH) == 2  # two minutes have to pass now
    lines = autostop.look(at + 61 + 122)
    assert studio.app_names == []
    assert any(line.startswith("ends app") and line.endswith(", try 3") for line in lines)
    assert autostop.memory["tries"] == {}


def test_pauses_grow_to_an_hour_and_no_further(studio: Studio) -> None:
    """What fails for a day is tried each hour."""
    studio.always["DELETE", APP_PATH] = ERROR
    autostop = Autostop(studio)
    autostop.watch(0, TIMEOUT + 86_400)
    assert 24 < studio.deleted.count(APP_PATH) < 36


@pytest.mark.parametrize("status", [204, 404])
def test_what_stays_listed_after_its_delete_is_tried_again(studio: Studio, status: int) -> None:
    """An answer is no proof: the next look verifies, and the app is held meanwhile."""
    studio.add_kernel("analysis", APP)
    studio.stubborn["api/kernels/analysis"] = status
    autostop = Autostop(studio)
    autostop.watch(0, TIMEOUT - 60)
    autostop.look(TIMEOUT + SLACK)
    assert studio.deleted == ["api/kernels/analysis"]
    lines = autostop.look(TIMEOUT + 30)
    assert any("UNHEALTHY" in line and "still there after 1 tries" in line for line in lines)
    autostop.watch(TIMEOUT + 62, TIMEOUT + 140, 30)
    assert studio.deleted == ["api/kernels/analysis"] * 2
    studio.stubborn.clear()
    autostop.watch(TIMEOUT + 250, TIMEOUT + 400, 30)
    assert studio.kernels == {}
    autostop.look(2 * TIMEOUT)
    assert studio.app_names == [APP]


def test_each_second_try_sends_the_slashes_of_a_name_as_they_are(studio: Studio) -> None:
    """Servers differ in how they take an encoded slash."""
    studio.add_terminal(TERMINAL)
    studio.stubborn[TERMINAL_PATH] = 404
    Autostop(studio).watch(0, TIMEOUT + 300, 60)
    sent = [path for method, path in studio.asked if method == "DELETE"]
    assert len(sent) >= 2
    assert ["image%2F" in path for path in sent[:2]] == [True, False]


LISTS = ["api/kernels", "api/sessions", "api/terminals", "sagemaker/api/apps"]
BAD_ANSWERS: dict[str, Fault] = {
    "error page": ERROR_PAGE,
    "error": ERROR,
    "an error as JSON with status 200": (200, '{"message": "internal error"}', 0.0),
    "HTML": HTML,
    "redirect to login": LOGIN,
    "null": (200, "null", 0.0),
    "cut off": (200, '[{"id": "a', 0.0),
    "a list of numbers": (200, "[1, 2]", 0.0),
}


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("fault", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_a_list_that_is_none_is_unknown_and_ends_nothing(
    studio: Studio, path: str, fault: Fault
) -> None:
    """Also at the moment when all is overdue; it goes on when the list comes again."""
    studio.add_kernel("analysis", APP)
    studio.add_app("pytorch", PYTORCH, LARGE)
    autostop = Autostop(studio)
    autostop.watch(0, TIMEOUT - 60)
    studio.always["GET", path] = fault
    lines = autostop.look(TIMEOUT + 120)
    assert studio.deleted == []
    assert len(lines) == 1
    assert lines[0].startswith("unknown, so nothing is ended: ")
    assert path in lines[0]
    studio.always.clear()
    autostop.look(TIMEOUT + 180)
    assert studio.deleted[0] == "api/kernels/analysis"


MISSING = {
    "a kernel's id": ("api/kernels", {"execution_state": "idle", "last_activity": "x"}),
    "a kernel's state": ("api/kernels", {"id": "a", "last_activity": "x"}),
    "a kernel's last activity": ("api/kernels", {"id": "a", "execution_state": "idle"}),
    "a number as id": ("api/kernels", {"id": 1, "execution_state": "idle", "last_activity": "x"}),
    "the id of a session's kernel": ("api/sessions", {"id": "s", "kernel": {"name": "python3"}}),
    "a session's kernel": ("api/sessions", {"id": "s", "path": "a.ipynb"}),
    "a session's kernel is a word": ("api/sessions", {"id": "s", "kernel": "python3"}),
    "a terminal's name": ("api/terminals", {"last_activity": "x"}),
    "an app's name": ("sagemaker/api/apps", {"environment_arn": "a", "instance_type": "b"}),
    "an app's environment": ("sagemaker/api/apps", {"app_name": "a", "instance_type": "b"}),
    "an app's instance type": ("sagemaker/api/apps", {"app_name": "a", "environment_arn": "b"}),
}


@pytest.mark.parametrize(("path", "entry"), MISSING.values(), ids=MISSING)
def test_a_list_that_lacks_a_field_is_unknown_and_ends_nothing(
    studio: Studio, path: str, entry: dict[str, Any]
) -> None:
    """Never a KeyError: it is said, and the look counts for nothing."""
    autostop = Autostop(studio)
    autostop.watch(0, TIMEOUT - 60)
    studio.always["GET", path] = (200, json.dumps([entry]), 0.0)
    lines = autostop.look(TIMEOUT + 300)
    assert studio.deleted == []
    assert lines[-1].startswith("unknown, so nothing is ended: ")


def test_an_answer_that_takes_too_long_is_unknown(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that hangs is not waited for without end."""
    monkeypatch.setattr(jupyter_api, "_PATIENCE_SECONDS", 0.2)
    autostop = Autostop(studio)
    studio.faults["GET", "sagemaker/api/apps"] = [(200, "", 0.6)]
    (line,) = autostop.look(0)
    assert re.match("unknown, so nothing is ended: .*sagemaker/api/apps.*timed out", line)


def test_a_notebooks_name_writes_no_lines_of_its_own_into_the_log(studio: Studio) -> None:
    """A line is one line, of text that can be written as UTF-8."""
    studio.add_kernel("analysis", APP, state="busy")
    studio.sessions[0]["path"] = "a\n2026 stops: everything\ud800.ipynb"
    lines = Autostop(studio).look(0)
    assert lines == ["keeps: kernel a 2026 stops: everything?.ipynb busy"]
    "".join(lines).encode()
