"""The widget around a stop: warnings, keeping on, saving, and what is said afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.aws.stand_in import SageMakerStandIn
from tests.live.harness import LiveServer
from tests.live.rows import LATENESS_SECONDS, entries, minutes, seen_of

from .lab import make_lab
from .pages import HEARTBEAT, in_the_lab, notebook_in, started, stops_in
from .scenarios import EVERYBODY, Outcomes, Steps, Until, pause, run_side_by_side, side_by_side
from .tab import Tab
from .widget import Widget

FROZEN_SECONDS = float(os.environ.get("FROZEN_SECONDS", "30"))
"""So long the timers of a page stand still; by hand also 600."""
pytestmark = pytest.mark.timeout(360 + FROZEN_SECONDS)

TIMEOUT = 20.0
TOLERANCE = 2.0
# Off, so that unsaved changes stay unsaved until the widget saves them.
NO_AUTOSAVE = {"@jupyterlab/docmanager-extension:plugin": {"autosave": False}}
DESKTOP = {"jupyter_idle_culler:settings": {"desktopNotifications": True}}
METADATA = Path(__file__).parent.parent / "fixtures" / "metadata"
WARNED = "This server stops in"
# Changes a document as its editor does, without anybody at the keys.
_CHANGE = """([id, text]) => {
    for (const widget of window.jupyterapp.shell.widgets('main')) {
        if (widget.id === id) {
            widget.content.model.cells.get(0).sharedModel.setSource(text);
            return widget.context.model.dirty;
        }
    }
}"""
# The browser shows no desktop here; what it was asked to show is kept.
_KEEP_NOTIFICATIONS = """
    window.shownOnDesktop = [];
    window.Notification = class extends window.Notification {
        constructor(title, options) {
            super(title, options);
            window.shownOnDesktop.push([title, options.body, options.tag]);
        }
    };
"""
# Without a window a page is never hidden.
_LOOK_AWAY = """() => {
    Object.defineProperty(document, 'visibilityState', {get: () => 'hidden', configurable: true});
    document.dispatchEvent(new Event('visibilitychange'));
}"""
_LOOK_AGAIN = """() => {
    delete document.visibilityState;
    document.dispatchEvent(new Event('visibilitychange'));
}"""
_NOTE_CHANGES = """() => {
    window.notedAt = [];
    new MutationObserver(() => window.notedAt.push(Date.now())).observe(
        document.querySelector('.jp-IdleCuller-statusText'),
        {characterData: true, childList: true, subtree: true});
}"""


@dataclass(frozen=True)
class World:
    """Where labs are made, and the browser."""

    browser: Browser
    home: Path

    def lab(self, name: str, config: dict[str, Any] | None = None, **given: Any) -> LiveServer:
        """Make a lab whose host is stopped, with nothing due before `limit`."""
        stopping = {"warning_minutes": minutes(6), "stop_action": "server", **(config or {})}
        return make_lab(self.home / name, stopping, **given)


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outcomes]:
    """Run the scenarios side by side."""
    page = browser.new_page()
    yield run_side_by_side(request, page, World(browser, tmp_path_factory.mktemp("stops")))
    page.close()


def limit(server: LiveServer, timeout: float = TIMEOUT) -> None:
    """Make the timeout short, once all have come so far."""
    settings = {"timeout_minutes": minutes(timeout)}
    server.request("PATCH", "api/idle-culler/v1/settings", settings)


def opened(
    world: World, server: LiveServer, **given: Any
) -> Generator[Until, Any, tuple[Tab, Widget]]:
    """Start a server, open a tab, and wait for the widget in it."""
    server.start(wait=False)
    yield started(server)
    tab, widget = yield from in_the_lab(world.browser, server, **given)
    yield Until(lambda: widget.line is not None, "the widget")
    return tab, widget


def source_on_disk(server: LiveServer, name: str) -> str:
    """Return the first cell of a notebook as it lies on the disk."""
    cells = json.loads((server.root_dir / name).read_text())["cells"]
    return "".join(cells[0]["source"])


def stopped(server: LiveServer, timeout: float = TIMEOUT) -> Until:
    """Wait until a server has stopped by itself."""
    return Until(lambda: server.ended, "the end of the server", timeout + 2 * LATENESS_SECONDS)


def toast_on(widget: Widget, text: str, patience: float = 60) -> Until:
    """Wait until a notification with this text stands in front of the page, alone."""
    return Until(lambda: widget.toast(text).count() == 1, f"the notification {text!r}", patience)


def no_toast_on(widget: Widget, text: str) -> Until:
    """Wait until no notification with this text is there any more."""
    return Until(lambda: widget.toast(text).count() == 0, f"{text!r} to go", 10)


@side_by_side
def test_one_answer_clears_the_warning_in_every_tab(world: World) -> Steps:
    """It comes as the host warning begins, and again a minute before the stop, on the desktop too
    where that is wanted; *Keep working* in one tab moves the deadline and clears the other."""
    timeout, warning = 130.0, 64.0
    server = world.lab("answer", {"warning_minutes": minutes(warning)}, settings=DESKTOP)
    with contextlib.closing(server):
        tab, widget = yield from opened(world, server)
        second, other = yield from in_the_lab(world.browser, server)
        tab.context.grant_permissions(["notifications"], origin=server.url)
        tab.context.add_init_script(_KEEP_NOTIFICATIONS)
        tab.page.reload()
        yield Until(lambda: tab.ready and widget.line, "the page after a reload")
        yield EVERYBODY
        limit(server, timeout)
        yield toast_on(widget, WARNED, timeout)
        assert abs(stops_in(server) - warning) < 6
        assert widget.says("warning"), widget.line
        yield toast_on(other, WARNED, 5)
        on_desktop = "() => window.shownOnDesktop"
        yield Until(lambda: len(tab.page.evaluate(on_desktop)) == 1, "the desktop", 10)
        yield Until(lambda: len(tab.page.evaluate(on_desktop)) == 2, "the second warning", 20)
        assert abs(stops_in(server) - 60) < 6
        for title, body, tag in tab.page.evaluate(on_desktop):
            assert title == "Idle culler"
            assert tag == "jupyter-idle-culler"
            assert body.startswith(WARNED), body
            assert "nobody has worked since" in body, body
        before = stops_in(server)
        yield toast_on(widget, WARNED, 5)  # the second takes the place of the first
        other.press_in_toast("Keep working")
        yield no_toast_on(other, WARNED)
        yield no_toast_on(widget, WARNED)
        assert stops_in(server) > before + warning - 10
        assert server.status()["host"]["warning"] is None
        yield Until(lambda: widget.says("countdown"), "the countdown again", 5)
        assert not tab.errors
        assert not second.errors
        tab.close()
        second.close()


@side_by_side
def test_without_an_answer_it_stops_with_the_notebook_saved(world: World) -> Steps:
    """Unsaved changes lie on the disk when the server has gone; the page says that it was stopped
    for idleness, when, and what was shut down, and the lab does not say that it lost it."""
    server = world.lab("unanswered", settings=NO_AUTOSAVE)
    with contextlib.closing(server):
        tab, widget = yield from opened(world, server)
        notebook, _ = yield from notebook_in(tab, server, "dirty.ipynb", "1")
        yield EVERYBODY
        assert tab.page.evaluate(_CHANGE, [notebook.widget_id, "changed = True"]) is True
        limit(server)
        yield toast_on(widget, WARNED, TIMEOUT + 10)
        assert source_on_disk(server, "dirty.ipynb") == "1"
        yield stopped(server)
        assert source_on_disk(server, "dirty.ipynb") == "changed = True"
        (stop,) = entries(server, "host", "stop", "outcome")
        assert stop["ok"], stop
        assert len(tab.traffic.requests("PUT", "/api/contents/dirty.ipynb")) == 1
        yield Until(lambda: widget.overlay.count() == 1, "what the page says", 15)
        said = widget.overlay.text_content() or ""
        assert "Stopped at" in said, said
        assert "idle second" in said, said
        assert "Your notebooks were saved; 1 kernel was shut down." in said, said
        yield pause(8)
        lost = tab.page.get_by_text("Server Connection Error")
        assert not any(one.is_visible() for one in lost.all())
        assert widget.toast(WARNED).count() == 0
        tab.page.screenshot(path=world.home / "stopped.png")
        # Started again, the page goes on, and tells once more, and only once.
        server.start(wait=False)
        yield started(server)
        longer = {"timeout_minutes": None}
        server.request("PATCH", "api/idle-culler/v1/settings", longer)
        yield Until(lambda: widget.overlay.count() == 0, "the page to go on", 40)
        yield Until(lambda: widget.says("countdown"), "the countdown")
        yield toast_on(widget, "Stopped at", 15)
        told = widget.toast("Stopped at").text_content() or ""
        assert "Your notebooks were saved" in told, told
        yield Until(lambda: server.status()["last_stop"] is None, "the server to forget it", 10)
        tab.page.reload()
        yield Until(lambda: tab.ready and widget.line, "the page after a reload")
        yield pause(3)
        assert widget.toast("Stopped at").count() == 0
        tab.close()


@side_by_side
def test_the_next_start_explains_the_stop_once(world: World) -> Steps:
    """Nobody had a page open: the first page after the start says when and why it was stopped and
    what was shut down; the second does not."""
    server = world.lab("explained", {"timeout_minutes": minutes(TIMEOUT)})
    with contextlib.closing(server):
        server.start(wait=False)
        yield started(server)
        server.start_kernel()
        yield stopped(server, TIMEOUT + 20)
        server.start(wait=False)
        yield started(server)
        tab, widget = yield from in_the_lab(world.browser, server)
        yield toast_on(widget, "Stopped at", 20)
        told = widget.toast("Stopped at").text_content() or ""
        assert "idle second" in told, told
        assert "1 kernel was shut down" in told, told
        widget.press_in_toast("Details")
        details = widget.dialog("Stopped at")
        yield Until(lambda: details.count() == 1, "the details")
        more = details.text_content() or ""
        assert "Kernels: " in more, more
        assert "Last evidence:" in more, more
        yield Until(lambda: server.status()["last_stop"] is None, "the server to forget it", 10)
        second, other = yield from in_the_lab(world.browser, server)
        yield pause(3)
        assert other.toast("Stopped at").count() == 0
        tab.close()
        second.close()
        yield EVERYBODY


@side_by_side
def test_a_printing_heartbeat_in_an_open_notebook_holds_nothing(world: World) -> Steps:
    """K5, U2: a thread prints each second into the notebook, the lab saves it again and again, the
    widget is there, and nobody is: kernel and host go on time."""
    server = world.lab("heartbeat")
    with contextlib.closing(server):
        tab, _ = yield from opened(world, server)
        notebook, _ = yield from notebook_in(tab, server, "beat.ipynb", HEARTBEAT)
        yield EVERYBODY
        began = time.monotonic()
        notebook.run_unseen()
        yield Until(lambda: notebook.shows(".jp-Cell-outputArea", "beat"), "the output")
        done = time.monotonic()
        limit(server)
        yield stopped(server)
        stop = entries(server, "host", "stop", "decision")[-1]
        assert began <= stop["evidence_at"] <= done + 2.5, (began, done, stop)
        assert 0 <= stop["t"] - stop["evidence_at"] - TIMEOUT <= LATENESS_SECONDS, stop
        saves = [one.at for one in tab.traffic.requests("PUT", "/api/contents/beat.ipynb")]
        assert len([at for at in saves if at > done]) >= 2, saves
        assert not tab.traffic.requests("POST", "/api/idle-culler/v1/activity")
        tab.close()


@side_by_side
def test_keeping_one_kernel_keeps_that_one_only(world: World) -> Steps:
    """*Keep* in its row keeps one kernel; the other goes at its time, a third when it is shut down
    by hand, after a question."""
    server = world.lab("keeping", {"stop_action": "none"})
    with contextlib.closing(server):
        tab, widget = yield from opened(world, server)
        kept, other, third = (f"kernel:{server.start_kernel()}" for _ in range(3))
        widget.open_panel()
        yield Until(lambda: widget.row(third).count() == 1, "the rows")
        yield EVERYBODY
        widget.row(kept).locator(".jp-IdleCuller-keep").click()
        yield Until(lambda: "kept until" in (widget.row(kept).text_content() or ""), "the keeping")
        assert "kept until" not in (widget.row(other).text_content() or "")
        (keep_alive,) = server.status()["keep_alives"]
        assert keep_alive["resource"] == kept, keep_alive
        widget.row(third).locator(".jp-IdleCuller-shutDown").click()
        question = widget.dialog("Shut down")
        yield Until(lambda: question.count() == 1, "the question")
        question.get_by_role("button", name="Shut down").click()
        yield Until(lambda: third.removeprefix("kernel:") not in server.kernel_ids(), "its end")
        limit(server)
        yield Until(
            lambda: entries(server, other, "cull", "outcome"), "the end of the other", TIMEOUT + 90
        )
        yield Until(lambda: widget.row(other).count() == 0, "its row to go", 10)
        yield pause(3)
        assert server.kernel_ids() == {kept.removeprefix("kernel:")}
        widget.row(kept).locator(".jp-IdleCuller-cancel").click()
        yield Until(lambda: not server.status()["keep_alives"], "the end of the keep-alive", 10)
        assert not tab.errors
        tab.close()


@side_by_side
def test_a_killed_server_is_not_called_stopped(world: World) -> Steps:
    """The page says that it does not answer, shows no countdown and no word of a stop for
    idleness; when the server is back, so is the countdown."""
    server = world.lab("killed", {"timeout_minutes": 30})
    with contextlib.closing(server):
        tab, widget = yield from opened(world, server)
        yield Until(lambda: widget.says("countdown"), "the countdown")
        yield EVERYBODY
        server.kill()
        yield Until(lambda: widget.says("unreachable"), "the state", 60)
        line = widget.line
        assert line is not None
        assert line.text == "Server does not answer"
        yield pause(3)
        assert widget.overlay.count() == 0
        server.start(wait=False)
        yield started(server)
        yield Until(lambda: widget.says("countdown"), "the countdown again", 60)
        assert widget.off(stops_in(server)) <= TOLERANCE, (widget.line, stops_in(server))
        tab.close()


@side_by_side
def test_stop_now_asks_saves_and_stops(world: World) -> Steps:
    """The question can be answered no; yes saves what is unsaved, stops, and the page says that it
    was stopped as was asked for."""
    server = world.lab("now", {"timeout_minutes": 30}, settings=NO_AUTOSAVE)
    with contextlib.closing(server):
        tab, widget = yield from opened(world, server)
        notebook, _ = yield from notebook_in(tab, server, "now.ipynb", "1")
        tab.page.evaluate(_CHANGE, [notebook.widget_id, "changed = True"])
        widget.open_panel()
        stop = widget.panel.locator(".jp-IdleCuller-stopNow")
        yield Until(lambda: stop.count() == 1, "the button")
        yield EVERYBODY
        stop.click()
        question = widget.dialog("Stop now?")
        yield Until(lambda: question.count() == 1, "the question")
        assert "1 kernel" in (question.text_content() or "")
        question.get_by_role("button", name="Cancel").click()
        yield Until(lambda: question.count() == 0, "the answer")
        assert source_on_disk(server, "now.ipynb") == "1"
        stop.click()
        yield Until(lambda: question.count() == 1, "the question")
        question.get_by_role("button", name="Stop now").click()
        yield stopped(server, 30)
        assert source_on_disk(server, "now.ipynb") == "changed = True"
        yield Until(lambda: widget.overlay.count() == 1, "what the page says", 15)
        said = widget.overlay.text_content() or ""
        assert "as was asked for" in said, said
        # A dialog of the lab that opens now does not take the keyboard away from it.
        tab.page.evaluate("() => { void window.jupyterapp.commands.execute('help:about'); }")
        yield Until(lambda: tab.page.locator(".jp-Dialog").count() == 1, "a dialog")
        reached = set()
        for _ in range(4):
            tab.page.keyboard.press("Tab")
            reached.add(tab.page.evaluate("() => document.activeElement.textContent"))
        assert {"Load the page anew", "Look at the page"} <= reached, reached
        assert not reached & {"Dismiss"}, reached
        tab.page.keyboard.press("Escape")
        yield Until(lambda: widget.overlay.count() == 0, "the page")
        assert "Your notebooks were saved" in said, said
        tab.close()


@side_by_side
def test_a_refused_stop_is_told_with_the_statement_that_allows_it(world: World) -> Steps:
    """AccessDenied: the status item asks for attention in the place of its countdown, no warning
    stands any more, and the panel has the IAM statement. Once that holds, the next try stops."""
    may_stop: list[bool] = []
    stand_in = SageMakerStandIn(allows=lambda does, _: "Describe" in does or bool(may_stop))
    metadata = METADATA / "notebook-instance.json"
    config = {"stop_action": "notebook-instance", "metadata_path": str(metadata)}
    with stand_in, contextlib.ExitStack() as ends:
        arn = stand_in.add_notebook("My-Notebook")
        server = world.lab("refused", config, env=stand_in.env)
        ends.callback(server.close)
        tab, widget = yield from opened(world, server)
        widget.open_panel()
        yield EVERYBODY
        limit(server)
        yield toast_on(widget, "This instance stops in", TIMEOUT + LATENESS_SECONDS)
        yield Until(lambda: widget.says("attention"), "the refusal", TIMEOUT + LATENESS_SECONDS)
        assert widget.line is not None
        assert "sagemaker:StopNotebookInstance is not allowed" in widget.line.title
        assert widget.shows("This instance could not be stopped; it is tried again")
        assert widget.shows(f'"sagemaker:StopNotebookInstance"], "Resource": "{arn}"')
        yield no_toast_on(widget, "This instance stops in")
        may_stop.append(True)
        yield Until(lambda: stand_in.status_of(arn) == "Stopping", "the next try", 60)
        assert not stand_in.problems
        assert not tab.errors
        tab.close()


@side_by_side
def test_presence_is_reported_once_a_minute_and_tells_nothing_else(world: World) -> Steps:
    """An untouched page reports nothing. A person at the keys is reported at once, then not again
    for a minute; the report names the kernel in front, and holds no key and no text."""
    server = world.lab("presence", {"stop_action": "none"})
    with contextlib.closing(server):
        tab, _ = yield from opened(world, server)
        notebook, kernel = yield from notebook_in(tab, server, "person.ipynb", "secret = 1")

        def reports() -> list[Any]:
            return tab.traffic.requests("POST", "/api/idle-culler/v1/activity")

        yield EVERYBODY
        assert not reports(), "nobody has touched it"
        notebook.find(".jp-Cell .cm-content").click()
        yield Until(reports, "the report", 10)
        first = reports()[0]
        assert first.content == {"presence": True, "resource": kernel}, first
        for _ in range(10):
            tab.page.keyboard.type("password")
            yield pause(1)
        assert len(reports()) == 1
        (seen,) = seen_of(server, "host", "presence")
        assert seen["verdict"] == "active" or seen["age_seconds"] < 30, seen
        yield Until(lambda: len(reports()) == 2, "the next report", 70)
        second = reports()[1]
        assert 58 <= second.at - first.at <= 70, (first, second)
        assert second.content == first.content
        yield pause(5)
        assert len(reports()) == 2
        tab.close()


@side_by_side
def test_after_its_timers_stood_still_the_countdown_is_right_at_once(world: World) -> Steps:
    """As in a background tab that the browser has frozen: nothing of the page runs, meanwhile the
    deadline moves; as it goes on, the countdown is within two seconds of the server's."""
    server = world.lab("frozen", {"timeout_minutes": 40})
    with contextlib.closing(server):
        tab, widget = yield from opened(world, server)
        yield Until(lambda: widget.says("countdown"), "the countdown")
        yield EVERYBODY
        limit(server, FROZEN_SECONDS + 250)
        yield Until(lambda: widget.off(stops_in(server)) <= TOLERANCE, "the shorter timeout")
        yield pause(12)
        tab.page.evaluate(_NOTE_CHANGES)
        tab.page.evaluate(_LOOK_AWAY)
        debugger = tab.context.new_cdp_session(tab.page)
        debugger.send("Debugger.enable")
        debugger.send("Debugger.pause")
        frozen_at = time.time()
        yield pause(FROZEN_SECONDS - 5)
        server.request("POST", "api/idle-culler/v1/activity", {})
        yield pause(5)
        thawed_at = time.time()
        debugger.send("Debugger.resume")
        debugger.send("Debugger.disable")
        tab.page.evaluate(_LOOK_AGAIN)
        yield pause(0.5)
        assert widget.off(stops_in(server)) <= TOLERANCE, (widget.line, stops_in(server))
        noted = tab.page.evaluate("() => window.notedAt")
        still = [at for at in noted if frozen_at + 1 < at / 1000 < thawed_at - 0.5]
        assert not still, "its timers ran all the same"
        tab.close()
