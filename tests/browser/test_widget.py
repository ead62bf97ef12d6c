"""The widget in a page: what it says, what it lets whom do, and that it never breaks the lab."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.live.harness import LiveServer

from .contrast import low_contrasts
from .lab import make_lab, write_notebook
from .pages import answering, in_the_lab, started, stops_in
from .pictures import take_pictures
from .scenarios import Outcomes, Steps, Until, pause, run_side_by_side, side_by_side
from .tab import Tab
from .widget import Widget

pytestmark = pytest.mark.timeout(300)

PLUGIN = "jupyter_idle_culler:settings"
TOLERANCE = 2.0
"""So far may the page's countdown be from the server's deadline, in seconds."""
BOUND = 30
CALM = {
    "timeout_minutes": BOUND,
    "min_timeout_minutes": 10,
    "max_timeout_minutes": BOUND,
    "max_keep_alive_minutes": BOUND,
    "hourly_price": 1.5,
    "stop_action": "server",
}
SHARED_BY_SEVERAL = """
from jupyter_server.auth import Authorizer, IdentityProvider, User

class People(IdentityProvider):
    async def get_user(self, handler):
        user = await self._get_user(handler)
        name = handler.request.headers.get("X-Test-User", "owner")
        return user and User(username=name, name=name.title())

class Rules(Authorizer):
    def is_authorized(self, handler, user, action, resource):
        if resource != "idle-culler" or user.username == "owner":
            return True
        return user.username == "reader" and action == "read"
"""


@dataclass(frozen=True)
class World:
    """A lab on which nothing falls due for half an hour, and the browser."""

    browser: Browser
    home: Path
    server: LiveServer

    def tab(self, **given: Any) -> Generator[Until, Any, tuple[Tab, Widget]]:
        """Open a tab of the calm lab, in which nobody does anything."""
        return (yield from in_the_lab(self.browser, self.server, **given))


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outcomes]:
    """Run the scenarios side by side."""
    home = tmp_path_factory.mktemp("widget")
    with make_lab(home / "calm", CALM) as server:
        page = browser.new_page()
        yield run_side_by_side(request, page, World(browser, home, server))
        page.close()


def refused(widget: Widget, text: str) -> Until:
    """Wait until the panel says why a wish was refused."""
    refusal = widget.panel.locator(".jp-IdleCuller-refusal, .jp-IdleCuller-settingsRefusal")
    return Until(
        lambda: refusal.count() > 0 and text in (refusal.first.text_content() or ""),
        f"a refusal for {text!r}",
    )


@side_by_side
def test_the_countdown_is_right(world: World) -> Steps:
    """It is visible, within two seconds of the server's deadline for as long as one looks, and
    follows when the deadline moves without this page's doing. It asks for nothing meanwhile."""
    config = {"timeout_minutes": 4.9, "warning_minutes": 0.5, "stop_action": "server"}
    server = make_lab(world.home / "counting", config)
    server.start(wait=False)
    try:
        yield started(server)
        tab, widget = yield from in_the_lab(world.browser, server)
        yield Until(lambda: widget.says("countdown"), "the countdown")
        assert widget.status_item.is_visible()
        yield pause(6)

        def asked() -> int:
            return len(tab.traffic.requests("GET", "/api/idle-culler/v1/status"))

        before = asked()
        for _ in range(8):
            assert widget.off(stops_in(server)) <= TOLERANCE, (widget.line, stops_in(server))
            yield pause(1)
        assert asked() == before, "nothing has happened"
        line = widget.line
        assert line is not None
        assert "This server stops at" in line.title
        server.request("POST", "api/idle-culler/v1/activity", {})
        moved = time.monotonic()
        yield Until(lambda: widget.off(4.9 * 60 - 1) <= TOLERANCE, "the moved deadline", 10)
        assert time.monotonic() - moved < TOLERANCE + 2
        yield pause(2)
        assert widget.off(stops_in(server)) <= TOLERANCE, (widget.line, stops_in(server))
        assert not tab.errors
        tab.close()
    finally:
        server.close()


@side_by_side
def test_a_keep_alive_beyond_the_bound_is_refused_with_the_reason(world: World) -> Steps:
    """What is too long is not offered, the bound stands there; what a person asks for all the same
    is refused by the server, whose reason the panel shows."""
    tab, widget = yield from world.tab()
    widget.open_panel()
    yield Until(lambda: widget.shows("up to 30 min (set by your administrator)"), "the bound")
    offered = {
        minutes: widget.panel.locator(f'button[data-minutes="{minutes}"]').is_enabled()
        for minutes in (15, 60, 240)
    }
    assert offered == {15: True, 60: False, 240: False}
    late = datetime.now().astimezone() + timedelta(minutes=BOUND + 60)
    widget.panel.locator(".jp-IdleCuller-untilTime").fill(late.strftime("%H:%M"))
    widget.panel.locator(".jp-IdleCuller-untilKeep").click()
    yield refused(widget, "max_keep_alive_minutes")
    assert world.server.status()["keep_alives"] == []
    assert not tab.errors
    tab.close()


@side_by_side
def test_a_setting_out_of_bounds_is_shown_as_such_with_the_bound(world: World) -> Steps:
    """The server refuses it and stays as it was; the settings editor and the panel say so."""
    tab, widget = yield from world.tab()
    widget.open_panel()
    set_timeout = f"""value => window.jupyterapp.serviceManager.settings.save(
        '{PLUGIN}', JSON.stringify({{timeoutMinutes: value}}))"""
    tab.page.evaluate(set_timeout, 600)
    tab.page.reload()
    yield Until(lambda: tab.ready, "the lab after a reload")
    widget.open_panel()
    yield refused(widget, "max_timeout_minutes")
    settings = world.server.request("GET", "api/idle-culler/v1/settings")
    assert settings["timeout_minutes"]["value"] == BOUND, settings
    tab.execute("settingeditor:open", query="Idle Culler")
    help_text = tab.page.locator('.jp-IdleCuller-settingBound[data-setting="timeout_minutes"]')
    allowed = "Your administrator allows 10 minutes to 30 minutes. In force: {} minutes."

    def helps(text: str) -> Until:
        return Until(lambda: help_text.all_text_contents() == [text], f"{text!r} below the field")

    yield helps("Your 600 is out of bounds and not followed. " + allowed.format(BOUND))
    tab.page.screenshot(path=world.home / "settings.png")
    field = tab.page.locator('input[id$="timeoutMinutes"]')
    field.fill("20")
    yield helps(allowed.format(20))
    settings = world.server.request("GET", "api/idle-culler/v1/settings")
    assert settings["timeout_minutes"]["value"] == 20, settings
    yield Until(lambda: not widget.shows("max_timeout_minutes"), "the refusal to go")
    field.fill("")
    yield helps(allowed.format(BOUND))
    assert not tab.errors
    tab.close()


@side_by_side
def test_every_text_can_be_read_in_every_theme(world: World) -> Steps:
    """In light, dark and high contrast: each text of the widget stands out from what is behind it
    at 4.5 : 1 (WCAG 2.1, 1.4.3), 7 : 1 in high contrast (1.4.6)."""
    tab, widget = yield from world.tab()
    widget.open_panel()
    yield Until(lambda: widget.row("host:processes").count() > 0, "the rows")
    themes = {
        "JupyterLab Light": 4.5,
        "JupyterLab Dark": 4.5,
        "JupyterLab Dark High Contrast": 7.0,
    }
    for theme, least in themes.items():
        tab.execute("apputils:change-theme", theme=theme)
        is_on = f"""() => document.body.dataset.jpThemeName === '{theme}'
            && getComputedStyle(document.body).getPropertyValue('--jp-layout-color1') !== ''"""
        yield Until(lambda: tab.page.evaluate(is_on), theme)  # noqa: B023 - awaited here
        yield pause(2)
        for state in ("countdown", "warning", "attention"):
            widget.status_item.evaluate("(node, state) => { node.dataset.state = state; }", state)
            low = low_contrasts(tab.page, '[class*="jp-IdleCuller"]', least)
            assert not low, (theme, state, low)
        tab.page.screenshot(path=world.home / f"{theme.replace(' ', '-').lower()}.png")
    assert not tab.errors
    tab.close()


@side_by_side
def test_everything_can_be_reached_by_the_keyboard(world: World) -> Steps:
    """The status item takes the focus and opens the panel on Enter; in there Tab reaches every
    button, each with a name; what is announced lies in a live region."""
    tab, widget = yield from world.tab()
    page = tab.page
    yield Until(lambda: widget.says("countdown"), "the countdown")
    widget.status_item.focus()
    page.keyboard.press("Enter")
    yield Until(lambda: widget.row("host:processes").is_visible(), "the panel")
    reached = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                """() => {
                    const node = document.activeElement;
                    return node.closest('.jp-IdleCuller-panel') &&
                        (node.getAttribute('aria-label') || node.textContent || node.type).trim();
                }"""
            )
        )
    wanted = {"Keep awake for 15 min", "time", "Stop now …", "Settings", "Journal"}
    assert wanted <= reached, reached
    assert widget.panel.get_attribute("role") == "region"
    assert widget.panel.get_attribute("aria-label") == "Idle culler"
    live = page.locator(".jp-IdleCuller-live")
    assert live.get_attribute("aria-live") == "assertive"
    # The dialog of Stop now takes the focus, and Escape answers no.
    widget.panel.get_by_role("button", name="Stop now …").focus()
    page.keyboard.press("Enter")
    yield Until(lambda: widget.dialog("Stop now?").count() == 1, "the question")
    page.keyboard.press("Escape")
    yield Until(lambda: widget.dialog("Stop now?").count() == 0, "the answer")
    assert not world.server.ended
    tab.close()


@side_by_side
def test_what_idle_time_costs_and_the_journal_are_shown(world: World) -> Steps:
    """With a price, the panel says what the idle time of today costs; the journal opens."""
    tab, widget = yield from world.tab()
    widget.open_panel()
    yield Until(lambda: widget.shows("about $") and widget.shows("of compute."), "the costs")
    widget.panel.locator(".jp-IdleCuller-openJournal").click()
    journal = tab.page.locator(".jp-IdleCuller-journal")
    yield Until(lambda: journal.count() == 1, "the journal")
    assert not tab.errors
    tab.close()


@side_by_side
def test_a_dry_run_stops_nothing_and_says_so(world: World) -> Steps:
    """*Stop now* is recorded, says what would have been done, and the page goes on as it was."""
    config = {"timeout_minutes": 30, "stop_action": "server", "dry_run": True}
    server = make_lab(world.home / "dry", config)
    server.start(wait=False)
    try:
        yield started(server)
        tab, widget = yield from in_the_lab(world.browser, server)
        widget.open_panel()
        stop = widget.panel.locator(".jp-IdleCuller-stopNow")
        yield Until(lambda: stop.count() == 1, "the button")
        stop.click()
        question = widget.dialog("Stop now?")
        yield Until(lambda: question.count() == 1, "the question")
        assert "only recorded" in (question.text_content() or "")
        question.get_by_role("button", name="Stop now").click()
        yield Until(lambda: widget.toast("dry run").count() == 1, "what would have been")
        asked = len(tab.traffic.requests("GET", "/api/idle-culler/v1/explain"))
        yield pause(5)
        assert widget.says("countdown"), widget.line
        line = widget.line
        assert line is not None
        assert line.text.startswith("Would stop in "), line
        more = len(tab.traffic.requests("GET", "/api/idle-culler/v1/explain")) - asked
        assert more <= 1, "nothing is under way"
        tab.close()
    finally:
        server.close()


@side_by_side
def test_status_bar_panel_and_warning_are_to_be_seen(world: World) -> Steps:
    """Each is there, whole and of the size that a README can bear."""
    yield from take_pictures(world.browser, world.home / "pictures")


@side_by_side
def test_a_lab_without_the_server_extension_works(world: World) -> Steps:
    """The widget says that the culler is not enabled here, asks once, and the lab works."""
    off = {"ServerApp": {"jpserver_extensions": {"jupyter_idle_culler": False}}}
    server = make_lab(world.home / "without", {}, server_config=off)
    write_notebook(server, "works.ipynb", "print('it ' + 'works')")
    server.start(wait=False)
    try:
        yield answering(server)
        tab, widget = yield from in_the_lab(world.browser, server)
        yield Until(lambda: widget.says("absent"), "the state")
        line = widget.line
        assert line is not None
        assert line.text == "Idle culler off"
        assert "is not enabled on this server" in line.title
        widget.open_panel()
        yield Until(lambda: widget.shows("jupyter server extension enable"), "what helps")
        notebook = tab.open("works.ipynb")
        yield Until(lambda: notebook.kernel_id, "the kernel")
        notebook.run_cell()
        yield Until(lambda: notebook.shows(".jp-Cell-outputArea", "it works"), "the output")
        yield pause(4)
        asked = [one for one in tab.traffic if "idle-culler" in one.path]
        assert len(asked) <= 2, "at the start, and as the panel was opened"
        assert not tab.errors
        assert tab.page.locator(".jp-Dialog").count() == 0
        assert tab.page.locator(".Toastify__toast").count() == 0
        tab.close()
    finally:
        server.close()


@side_by_side
def test_who_may_only_look_is_offered_nothing_else(world: World) -> Steps:
    """On a shared server: a reader sees the countdown and the rows but no button, and settings as
    locked; who may not even look gets a quiet word. Neither breaks the lab, or is an error."""
    home = world.home / "shared"
    home.mkdir()
    (home / "shared_rules.py").write_text(SHARED_BY_SEVERAL)
    rules = {
        "authorizer_class": "shared_rules.Rules",
        "identity_provider_class": "shared_rules.People",
    }
    config = {"timeout_minutes": 30, "stop_action": "server"}
    server = make_lab(
        home, config, server_config={"ServerApp": rules}, env={"PYTHONPATH": str(home)}
    )
    server.start(wait=False)
    try:
        yield started(server)
        server.start_kernel()
        reader = {"X-Test-User": "reader"}
        tab, widget = yield from in_the_lab(world.browser, server, headers=reader)
        yield Until(lambda: widget.says("countdown") or widget.says("active"), "the state")
        widget.open_panel()
        yield Until(lambda: widget.shows("You may look, but change nothing."), "the rights")
        assert widget.panel.locator('[data-resource^="kernel:"]').count() == 1
        buttons = widget.panel.locator("button").all_text_contents()
        assert buttons == ["Settings", "Journal"], buttons
        tab.page.keyboard.press("Control+Shift+c")  # a person, who is not reported
        tab.page.mouse.click(300, 300)
        tab.execute("settingeditor:open", query="Idle Culler")
        texts = tab.page.locator(".jp-IdleCuller-settingBound")
        yield Until(lambda: texts.count() == 2, "what is said below the fields")
        for text in texts.all_text_contents():
            assert text.startswith("Locked by your administrator. In force:"), text
        assert tab.page.locator('input[id$="timeoutMinutes"]').is_editable() is False
        changing = [one for one in tab.traffic if "idle-culler" in one.path and one.verb != "GET"]
        assert not changing, changing
        assert not tab.errors
        assert tab.page.locator(".jp-Dialog").count() == 0
        tab.close()

        stranger = {"X-Test-User": "stranger"}
        tab, widget = yield from in_the_lab(world.browser, server, headers=stranger)
        yield Until(lambda: widget.says("forbidden"), "the state")
        widget.open_panel()
        yield Until(lambda: widget.shows("You may not see the idle culler"), "the reason")
        yield pause(3)
        assert len([one for one in tab.traffic if "idle-culler" in one.path]) <= 2
        assert not tab.errors
        assert tab.page.locator(".jp-Dialog").count() == 0
        tab.close()
    finally:
        server.close()


@side_by_side
def test_notebook_7_has_it_in_the_top_bar(world: World) -> Steps:
    """On the tree and on a document: the countdown, right, at the right end of the top bar; a
    click opens the panel with the kernel's row; the warning comes there too."""
    config = {"timeout_minutes": 30, "stop_action": "server", "warning_minutes": 1}
    server = make_lab(world.home / "notebook", config, subcommand="notebook")
    write_notebook(server, "seven.ipynb", "1 + 1")
    server.start(wait=False)
    try:
        yield started(server)
        tree, on_tree = yield from in_the_lab(world.browser, server, path="tree")
        yield Until(lambda: on_tree.says("countdown"), "the countdown on the tree")
        assert on_tree.off(stops_in(server)) <= TOLERANCE, (on_tree.line, stops_in(server))
        path = "notebooks/seven.ipynb"
        tab, widget = yield from in_the_lab(world.browser, server, path=path)
        yield Until(server.kernel_ids, "the kernel")
        (kernel,) = server.kernel_ids()
        yield Until(
            lambda: widget.status_item.count() == 1 and widget.status_item.is_visible(), "the item"
        )
        box = widget.status_item.bounding_box()
        assert box is not None
        assert box["x"] > 700, box
        assert box["y"] < 60, box
        widget.status_item.click()
        row = widget.row(f"kernel:{kernel}")
        yield Until(lambda: row.count() == 1 and row.is_visible(), "its row")
        named = Until(
            lambda: "seven.ipynb" in (row.text_content() or ""),
            f"its name: {row.text_content()}, {server.status()['kernels']}",
            60,
        )
        yield named
        tab.page.screenshot(path=world.home / "notebook-7.png")
        # From now on nobody does anything: a click is reported within a minute.
        settings = {"timeout_minutes": 2.2}
        server.request("PATCH", "api/idle-culler/v1/settings", settings)
        said = "This server stops in"
        yield Until(lambda: widget.toast(said).count() == 1, "the warning", 150)
        yield Until(lambda: on_tree.toast(said).count() == 1, "the warning on the tree", 10)
        widget.press_in_toast("Keep working")
        yield Until(lambda: widget.toast(said).count() == 0, "the warning to go", 10)
        yield Until(lambda: on_tree.toast(said).count() == 0, "the other to go", 10)
        ours = [error for error in tab.errors + tree.errors if "idle_culler" in error]
        assert not ours, ours
        tab.close()
        tree.close()
    finally:
        server.close()
