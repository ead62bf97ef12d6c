"""Autostop in Studio Classic, against a stand-in for its server over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_idle_culler.autostop.jupyter_api import JupyterApi

from .studio_driver import (
    APP,
    APP_PATH,
    SLACK,
    TERMINAL,
    TERMINAL_PATH,
    TIMEOUT,
    WARNING,
    Autostop,
)
from .studio_stand_in import (
    DATA_SCIENCE,
    LARGE,
    PYTORCH,
    SMALL,
    Studio,
)


def test_an_idle_kernel_ends_and_its_app_a_time_out_after_it_was_seen_empty(studio: Studio) -> None:
    """First the kernel; the app is timed from when nothing was left on it."""
    studio.add_kernel("analysis", APP)
    autostop = Autostop(studio)
    autostop.watch(0, TIMEOUT - 60)
    assert studio.deleted == []
    lines = autostop.look(TIMEOUT + SLACK)
    assert studio.deleted == ["api/kernels/analysis"]
    assert "ends kernel analysis.ipynb: idle for 1 h 0 min of 1 h 0 min" in lines
    assert lines[-1] == f"keeps: app {APP}"
    assert autostop.look(TIMEOUT + 61)[-1] == f"next: app {APP} in 59 min"
    autostop.watch(TIMEOUT + 300, 2 * TIMEOUT - 60)
    assert studio.app_names == [APP]
    lines = autostop.watch(2 * TIMEOUT, 2 * TIMEOUT + 400, 60)
    assert studio.app_names == []
    assert any(line.startswith(f"ends app {APP}: idle for 1 h ") for line in lines)
    assert lines[-1] == "nothing is left"


def test_an_app_that_was_empty_from_the_start_ends_a_time_out_after_it_was_seen(
    studio: Studio,
) -> None:
    """It is timed from when it was first seen empty."""
    autostop = Autostop(studio)
    autostop.watch(0, TIMEOUT - 60)
    assert studio.deleted == []
    autostop.watch(TIMEOUT + SLACK, TIMEOUT + 301 + SLACK)
    assert studio.deleted == [APP_PATH]


def test_an_app_whose_last_kernel_a_person_shut_down_is_timed_from_the_look_that_saw_it(
    studio: Studio,
) -> None:
    """When between two looks it was emptied is not known: the later bound counts."""
    studio.add_kernel("analysis", APP)
    autostop = Autostop(studio)
    autostop.watch(0, 600)
    studio.end("api/kernels/analysis")
    autostop.look(900)
    autostop.watch(900 + SLACK, 900 + TIMEOUT - 60, 60)
    assert studio.deleted == []
    autostop.look(900 + TIMEOUT + 2 * SLACK)
    assert studio.deleted == [APP_PATH]


def test_a_busy_kernel_is_kept_however_long_its_last_activity_stands_still(studio: Studio) -> None:
    """A silent cell moves nothing; the state of execution tells that it runs (K1)."""
    studio.add_kernel("train", APP, state="busy")
    autostop = Autostop(studio)
    said = autostop.watch(0, 5 * TIMEOUT)
    assert studio.deleted == []
    assert said[-1] == "keeps: kernel train.ipynb busy"
    # It ends between two looks and its last_activity did not move: it worked until then.
    studio.kernels["train"]["execution_state"] = "idle"
    autostop.watch(5 * TIMEOUT + 60, 6 * TIMEOUT)
    assert studio.deleted == []
    autostop.look(6 * TIMEOUT + 60 + SLACK)
    assert studio.deleted == ["api/kernels/train"]


def test_only_a_change_of_last_activity_is_evidence_whatever_the_wall_clock_says(
    studio: Studio,
) -> None:
    """The stand-in's clock goes backwards: what moved it was still a use, dated now."""
    studio.add_kernel("analysis", APP)
    autostop = Autostop(studio)
    autostop.watch(0, 3000)
    studio.use_kernel("analysis")
    lines = autostop.look(3300)
    assert lines[-1] == "keeps: kernel analysis.ipynb used"
    autostop.watch(3600, 3300 + TIMEOUT - 60)
    assert studio.deleted == []
    autostop.look(3300 + TIMEOUT + SLACK)
    assert studio.deleted == ["api/kernels/analysis"]


def test_a_background_heartbeat_is_no_evidence_where_it_is_recognised(studio: Studio) -> None:
    """Who recognises it is asked of idle kernels that moved, never of one that was busy before."""
    studio.add_kernel("beats", APP)
    studio.add_kernel("other", APP)
    asked = []

    def recognise(api: JupyterApi, ids: set[str], kernels: dict[str, Any]) -> set[str]:
        asked.append(set(ids))
        assert kernels["beats"]["execution_state"] == "idle"
        return ids & {"beats"}

    autostop = Autostop(studio, heartbeats=recognise)
    for at in range(0, int(TIMEOUT) + 1, 300):
        studio.use_kernel("beats")
        studio.use_kernel("other")
        autostop.look(at + SLACK * (at > 0))
    assert studio.deleted == ["api/kernels/beats"]
    assert {"beats", "other"} in asked
    studio.use_kernel("other", "busy")
    autostop.look(TIMEOUT + 60)
    asked.clear()
    studio.use_kernel("other")
    autostop.look(TIMEOUT + 120)
    assert asked == []


def test_a_kernel_that_is_dead_ends_at_once(studio: Studio) -> None:
    """Its restarts are exhausted (K8)."""
    studio.add_kernel("analysis", APP, state="dead")
    Autostop(studio).look(0)
    assert studio.deleted == ["api/kernels/analysis"]


def test_a_kernel_that_nobody_joined_is_idle_since_its_start(studio: Studio) -> None:
    """Starting is not working (K7)."""
    studio.add_kernel("analysis", APP, state="starting")
    Autostop(studio).watch(0, TIMEOUT + SLACK)
    assert studio.deleted == ["api/kernels/analysis"]


def test_a_kernel_in_a_state_that_is_not_known_is_kept_and_said(studio: Studio) -> None:
    """Unknown supports no end, neither of it nor of its app."""
    studio.add_kernel("analysis", APP, state="hibernating")
    said = Autostop(studio).watch(0, 3 * TIMEOUT)
    assert studio.deleted == []
    assert any("analysis.ipynb hibernating" in line and "cannot be seen" in line for line in said)


def test_idle_image_terminals_end_after_kernels_and_then_the_app(studio: Studio) -> None:
    """The order of the three; a name with a slash in it is one part of the path."""
    studio.add_terminal(TERMINAL)
    studio.add_kernel("analysis", APP)
    autostop = Autostop(studio)
    autostop.watch(0, 2 * TIMEOUT + 1200)
    assert studio.deleted == ["api/kernels/analysis", TERMINAL_PATH, APP_PATH]
    assert any("image%2Fdatascience-1.0__ab12" in path for _, path in studio.asked)


def test_a_terminal_that_prints_is_kept_and_holds_its_app(studio: Studio) -> None:
    """Its last_activity changed since the look before."""
    studio.add_terminal(TERMINAL)
    autostop = Autostop(studio)
    for at in range(0, int(3 * TIMEOUT), 300):
        studio.use_terminal(TERMINAL)
        autostop.look(at)
    assert studio.deleted == []


def test_terminals_that_are_kept_hold_their_app(studio: Studio) -> None:
    """keep_terminals: neither they nor the app below them end."""
    studio.add_terminal(TERMINAL)
    studio.add_app("other", PYTORCH, LARGE)
    Autostop(studio, keep_terminals=True).watch(0, 3 * TIMEOUT)
    assert studio.deleted == ["sagemaker/api/apps/other"]


def test_system_terminals_and_the_jupyter_server_app_stay(studio: Studio) -> None:
    """They cost nothing; they hold nothing either."""
    studio.add_terminal("1")
    studio.terminals.append({"name": "2"})
    studio.add_app("default")
    studio.apps[-1]["app_type"] = "JupyterServer"
    Autostop(studio).watch(0, 3 * TIMEOUT)
    assert studio.deleted == [APP_PATH]
    assert [terminal["name"] for terminal in studio.terminals] == ["1", "2"]


def test_a_terminal_without_last_activity_is_unknown_and_keeps_its_app_only(
    studio: Studio,
) -> None:
    """Old servers do not tell it; no KeyError, and other apps go on."""
    studio.terminals.append({"name": TERMINAL})
    studio.add_app("other", PYTORCH, LARGE)
    said = Autostop(studio).watch(0, 3 * TIMEOUT)
    assert studio.deleted == ["sagemaker/api/apps/other"]
    assert any("without last_activity" in line and "cannot be seen" in line for line in said)


def test_each_app_is_decided_by_what_is_on_it(studio: Studio) -> None:
    """A busy kernel keeps its own app, and no other."""
    studio.add_app("pytorch", PYTORCH, LARGE)
    studio.add_app("large", DATA_SCIENCE, LARGE)
    studio.add_kernel("train", "pytorch", state="busy")
    studio.add_terminal(f"{DATA_SCIENCE}__7__{LARGE}")
    autostop = Autostop(studio, keep_terminals=True)
    autostop.watch(0, 3 * TIMEOUT)
    assert studio.app_names == ["pytorch", "large"]


def test_a_session_without_a_kernel_holds_nothing(studio: Studio) -> None:
    """Its kernel is null: there is nothing on an app."""
    studio.sessions.append({"id": "s-gone", "path": "old.ipynb", "app": APP})
    Autostop(studio).watch(0, TIMEOUT + 600)
    assert studio.deleted == [APP_PATH]


@pytest.mark.parametrize("app", [None, "gone-app"])
def test_a_kernel_on_no_known_app_holds_every_app_until_it_is_gone(
    studio: Studio, app: str | None
) -> None:
    """Without a session, or with an app that is not listed: which one it costs is not known."""
    studio.add_app("pytorch", PYTORCH, LARGE)
    studio.add_kernel("0123456789", app, state="busy")
    autostop = Autostop(studio)
    said = autostop.watch(0, 3 * TIMEOUT)
    assert studio.deleted == []
    for name in (APP, "pytorch"):
        assert any(f"app {name}: kept" in line and "on no known app" in line for line in said)
    studio.use_kernel("0123456789")
    autostop.watch(3 * TIMEOUT + 300, 4 * TIMEOUT + 600)
    assert studio.deleted == ["api/kernels/0123456789"]  # it ends, also without a session
    autostop.watch(4 * TIMEOUT + 900, 5 * TIMEOUT + 1200)
    assert studio.app_names == []


def test_an_image_terminal_on_no_known_app_holds_every_app(studio: Studio) -> None:
    """Its name tells an environment and an instance type that no listed app has."""
    studio.add_terminal(f"{PYTORCH}__7__{SMALL}")
    studio.add_terminal("arn:of-an-unheard-form")
    autostop = Autostop(studio, keep_terminals=True)
    said = autostop.watch(0, 3 * TIMEOUT)
    assert studio.deleted == []
    assert any("terminal pytorch-1.8__7__ml.t3.medium is on no known app" in line for line in said)


def test_the_time_that_answers_take_is_added_to_the_evidence(studio: Studio) -> None:
    """A use that a slow look saw is dated when it was seen, not when the look began."""
    autostop = Autostop(studio)
    studio.add_kernel("analysis", APP)
    studio.faults["GET", "sagemaker/api/apps"] = [(200, "", 1.5)]
    autostop.look(0)
    autostop.look(900)
    autostop.look(TIMEOUT + 1.0)
    assert studio.deleted == []
    autostop.look(TIMEOUT + 2.5)
    assert studio.deleted == ["api/kernels/analysis"]


def test_everything_is_listed_once_more_before_something_ends(studio: Studio) -> None:
    """What begins between the decision and the act keeps it."""
    studio.add_kernel("analysis", APP)
    autostop = Autostop(studio)
    autostop.watch(0, TIMEOUT - 60)

    def on_second_list() -> None:
        studio.use_kernel("analysis", "busy")

    _before_the_second(studio, "api/kernels", on_second_list)
    lines = autostop.look(TIMEOUT + 60)
    assert studio.deleted == []
    assert lines[-1] == "keeps: kernel analysis.ipynb busy"


def test_a_kernel_that_starts_before_its_app_ends_keeps_the_app(studio: Studio) -> None:
    """The last list before the DELETE shows it."""
    autostop = Autostop(studio)
    autostop.watch(0, TIMEOUT - 60)
    _before_the_second(studio, "api/kernels", lambda: studio.add_kernel("new", APP))
    lines = autostop.look(TIMEOUT + 300)
    assert studio.deleted == []
    assert f"warns no more of app {APP}: kernel new.ipynb used" in lines


def _before_the_second(studio: Studio, path: str, act: Any) -> None:
    """Let something happen right before a list is asked for the second time from now."""
    listing, asked = studio.listing, []

    def listed(what: str) -> Any:
        asked.append(what)
        if asked.count(path) == 2 and what == path:
            act()
        return listing(what)

    studio.listing = listed  # type: ignore[method-assign, assignment]


def test_an_app_is_warned_of_and_the_warning_stands_its_time(studio: Studio) -> None:
    """Also when nobody looked in time: the end waits for it."""
    autostop = Autostop(studio)
    autostop.watch(0, TIMEOUT - WARNING - 60)
    lines = autostop.look(TIMEOUT + 100)
    assert f"warns: app {APP} ends in 5 min" in lines
    assert studio.deleted == []
    autostop.look(TIMEOUT + 390)
    assert studio.deleted == []
    autostop.look(TIMEOUT + 402)
    assert studio.deleted == [APP_PATH]


def test_a_dry_run_changes_nothing_and_says_what_it_would(studio: Studio) -> None:
    """No DELETE leaves."""
    studio.add_kernel("analysis", APP)
    studio.add_app("pytorch", PYTORCH, LARGE)
    said = Autostop(studio, dry_run=True).watch(0, TIMEOUT + 600)
    assert studio.deleted == []
    assert any(line.startswith("dry run: would end kernel analysis.ipynb") for line in said)
    assert any(line.startswith("dry run: would end app pytorch") for line in said)


def test_what_was_on_an_app_while_nobody_looked_is_not_known(studio: Studio) -> None:
    """After a long gap an app counts as empty from then on."""
    autostop = Autostop(studio)
    autostop.watch(0, 600)
    autostop.look(4 * TIMEOUT)
    assert autostop.look(4 * TIMEOUT + 299)[-1] == f"next: app {APP} in 55 min"
    assert studio.deleted == []


def test_rare_looks_end_it_as_well(studio: Studio) -> None:
    """Each half an hour: only the first time without a look is one of which nothing is known."""
    autostop = Autostop(studio)
    autostop.watch(0, 1800 + TIMEOUT, 1800)
    assert studio.deleted == []
    autostop.watch(1800 + TIMEOUT + SLACK, 1800 + TIMEOUT + 3601, 1800)
    assert studio.deleted == [APP_PATH]


def test_an_app_that_went_and_came_again_starts_anew(studio: Studio) -> None:
    """Its name is the same, its time is not."""
    autostop = Autostop(studio)
    autostop.watch(0, TIMEOUT - 600)
    apps, studio.apps = studio.apps, []
    autostop.look(TIMEOUT - 300)
    studio.apps = apps
    autostop.watch(TIMEOUT, 2 * TIMEOUT - 60)
    assert studio.deleted == []


def test_a_kernel_that_moves_to_another_app_keeps_its_evidence(studio: Studio) -> None:
    """A session tells its app late: what was seen before counts on."""
    studio.add_kernel("analysis", None)
    autostop = Autostop(studio)
    autostop.look(0)
    studio.use_kernel("analysis")
    autostop.look(800)
    studio.sessions.append({"id": "s-analysis", "path": "analysis.ipynb", "app": APP})
    autostop.watch(1000, 800 + TIMEOUT - 60)
    assert studio.deleted == []
    autostop.look(800 + TIMEOUT + SLACK)
    assert studio.deleted == ["api/kernels/analysis"]
