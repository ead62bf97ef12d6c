"""What holds in Studio Classic for all that happens there: evidence ends nothing earlier."""

from __future__ import annotations

import json
from typing import Any, NamedTuple
from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st

from jupyter_idle_culler.autostop.jupyter_api import ApiError, JupyterApi
from jupyter_idle_culler.autostop.studio_classic import check

from .studio_stand_in import DATA_SCIENCE, LARGE, PYTORCH, SMALL, Studio

TIMEOUT, WARNING, STEP, LOOKS = 600.0, 60.0, 100.0, 24
APPS = {"small": (DATA_SCIENCE, SMALL), "large": (PYTORCH, LARGE)}
TERMINALS = {name: f"{arn}__1__{instance}" for name, (arn, instance) in APPS.items()}


class Event(NamedTuple):
    """Before the look of this number something is used, or a list is no list in it."""

    look: int
    what: str
    name: str


class Direct(JupyterApi):
    """Asks the stand-in without HTTP, for many cases."""

    def __init__(self, studio: Studio) -> None:
        super().__init__("http://127.0.0.1/")
        self._studio = studio
        self.failing = ""

    def get(self, path: str, query: str = "") -> Any:
        """Answer as the server would."""
        if path == self.failing:
            raise ApiError("GET " + path + " was answered 502")
        return json.loads(json.dumps(self._studio.listing(path)))

    def delete(self, path: str) -> None:
        """Do what a DELETE does."""
        self._studio.end(unquote(path))


def ends(events: list[Event], sessions: dict[str, str | None]) -> dict[str, int]:
    """Let these things happen; return the look in which each thing was seen to be gone.

    ``sessions`` are the kernels and their apps (None: a kernel without a session).
    """
    studio = Studio()
    for name, (arn, instance) in APPS.items():
        studio.add_app(name, arn, instance)
        studio.add_terminal(TERMINALS[name])
    for kernel, app in sessions.items():
        studio.add_kernel(kernel, app)
    api, memory, gone = Direct(studio), dict[str, Any](), dict[str, int]()
    everything = {*APPS, *TERMINALS.values(), *sessions}
    for look in range(LOOKS):
        api.failing = ""
        for name in list(studio.kernels):
            studio.kernels[name]["execution_state"] = "idle"
        for event in sorted(event for event in events if event.look == look):
            if event.what == "fails":
                api.failing = event.name
            elif event.what == "terminal":
                studio.use_terminal(TERMINALS[event.name])
            elif event.name in studio.kernels:
                busy = studio.kernels[event.name]["execution_state"] == "busy"
                studio.use_kernel(event.name, "busy" if busy else event.what)
        check(
            api, memory, timeout_seconds=TIMEOUT, warning_seconds=WARNING, keep_terminals=False,
            dry_run=False, now=1000.0 + look * (STEP + 1.0),
        )  # fmt: skip
        memory = json.loads(json.dumps(memory))
        here = {*studio.app_names, *studio.kernels, *(t["name"] for t in studio.terminals)}
        for name in everything - here:
            gone.setdefault(name, look)
    return {name: gone.get(name, LOOKS) for name in everything}


kernel_names = st.sampled_from(["one", "two", "three"])
sessions = st.dictionaries(kernel_names, st.sampled_from([*APPS, None]))
uses = st.builds(Event, st.integers(0, LOOKS - 1), st.sampled_from(["idle", "busy"]), kernel_names)
prints = st.builds(Event, st.integers(0, LOOKS - 1), st.just("terminal"), st.sampled_from([*APPS]))
failures = st.builds(
    Event,
    st.integers(0, LOOKS - 1),
    st.just("fails"),
    st.sampled_from(["api/kernels", "api/sessions", "api/terminals", "sagemaker/api/apps"]),
)


@given(
    sessions, st.lists(uses | prints | failures, max_size=6), st.lists(uses | prints, max_size=4)
)
def test_more_use_never_ends_anything_earlier(
    sessions: dict[str, str | None], events: list[Event], more: list[Event]
) -> None:
    """Of kernels, image terminals and apps; also where lists fail now and then."""
    plain, used = ends(events, sessions), ends(events + more, sessions)
    assert {name: plain[name] for name in used if used[name] < plain[name]} == {}


@given(sessions, st.lists(uses | prints, max_size=6), st.lists(failures, max_size=4))
def test_a_list_that_fails_never_ends_anything_earlier(
    sessions: dict[str, str | None], events: list[Event], broken: list[Event]
) -> None:
    """Unknown supports no end."""
    plain, failed = ends(events, sessions), ends(events + broken, sessions)
    assert {name: plain[name] for name in failed if failed[name] < plain[name]} == {}
