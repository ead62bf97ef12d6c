"""What the widget costs a page that loads it: bytes, and time of the main thread."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, CDPSession

from tests.browser.lab import chromium, make_lab
from tests.live.harness import TOKEN, LiveServer
from tests.package_contents import BUNDLE_MAX_BYTES, PACKAGE

from .figures import Figure
from .pages import milliseconds_of

_SAMPLE_MICROSECONDS = 100
_FILES = "/lab/extensions/jupyter_idle_culler/"
_PATIENCE_MS = 120_000
_SETTLING_MS = 3_000
_RESTORED = "() => window.jupyterapp && window.jupyterapp.restored.then(() => true)"
_KNOWS_THE_STATUS = ".jp-IdleCuller-status:not([data-state=starting])"
_CONFIG = {"timeout_minutes": 60, "stop_action": "server"}


def measure(quick: bool) -> Iterator[Figure]:
    """Load a page of a lab with the widget and one of a plain lab in turn, each with no cache."""
    built = Path(__file__).resolve().parent.parent / PACKAGE / "labextension"
    kilobytes = sum(path.stat().st_size for path in built.glob("static/*.js")) / 1000
    bound = BUNDLE_MAX_BYTES / 1000
    yield Figure("scripts of the widget", (kilobytes,), "kB", "max", bound=bound)
    ours: list[float] = []
    pages: dict[bool, list[float]] = {False: [], True: []}
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as home,
        chromium() as browser,
        _lab(Path(home, "plain")) as plain,
        _lab(Path(home, "ours"), built) as with_widget,
    ):
        for turn in range(-1, 3 if quick else 9):
            for server in (plain, with_widget):
                profile, tasks = _load(browser, server, server is with_widget)
                if turn >= 0:  # before, servers read and compile what they need
                    pages[server is with_widget].append(tasks)
                    if server is with_widget:
                        ours.append(milliseconds_of(profile, _FILES))
    assert min(ours) > 0
    mine, others = (statistics.median(pages[widget]) for widget in (True, False))
    yield Figure(
        "activation of the widget, main thread",
        tuple(ours),
        "ms",
        bound=50,
        compared=f"the whole page {mine:.0f} ms, plain lab {others:.0f} ms",
    )


def _lab(home: Path, *labextensions: Path) -> LiveServer:
    """Make a lab with these extensions of its pages and no others, not started yet.

    Of one that is merely disabled a page loads the files all the same.
    """
    folder = home / "labextensions"
    folder.mkdir(parents=True)
    for built in labextensions:
        (folder / built.parent.name).symlink_to(built)
    pages = {"expose_app_in_browser": True, "labextensions_path": [str(folder)]}
    return make_lab(home, _CONFIG, server_config={"LabApp": pages})


def _load(browser: Browser, server: LiveServer, widget: bool) -> tuple[Mapping[str, Any], float]:
    """Load a page until nothing more comes; return its profile, and its tasks in milliseconds."""
    context = browser.new_context(viewport={"width": 1100, "height": 800})
    page = context.new_page()
    page.goto(f"{server.url}api")  # so that the process is there in which the lab will be
    session = context.new_cdp_session(page)
    session.send("Performance.enable")
    session.send("Profiler.enable")
    session.send("Profiler.setSamplingInterval", {"interval": _SAMPLE_MICROSECONDS})
    session.send("Profiler.start")
    before = _task_milliseconds(session)
    page.goto(f"{server.url}lab?token={TOKEN}", timeout=_PATIENCE_MS)
    page.wait_for_function(_RESTORED, timeout=_PATIENCE_MS)
    if widget:
        page.wait_for_selector(_KNOWS_THE_STATUS, timeout=_PATIENCE_MS)
    page.wait_for_timeout(_SETTLING_MS)
    tasks = _task_milliseconds(session) - before
    profile = session.send("Profiler.stop")["profile"]
    context.close()
    return profile, tasks


def _task_milliseconds(session: CDPSession) -> float:
    metrics = session.send("Performance.getMetrics")["metrics"]
    seconds: float = next(one["value"] for one in metrics if one["name"] == "TaskDuration")
    return 1000 * seconds
