"""Documents that stand open in JupyterLab: rows K1, K3, K5, K6, T1, T4, U1, U2 of the truth table.

The lab has no widget that reports a person, so what counts is what the lab itself sends.
Each last evidence is between two instants of the test's own; what was decided, on which evidence
and when, the journal says.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.live.harness import LiveServer, wait_until
from tests.live.rows import LATENESS_SECONDS, entries, minutes, seen_of, write_kernelspec

from .lab import make_lab, write_notebook
from .pages import HEARTBEAT, notebook_in
from .scenarios import EVERYBODY, Outcomes, Steps, Until, after, run_side_by_side, side_by_side
from .tab import Document, Tab
from .traffic import Sent

pytestmark = pytest.mark.timeout(300)

TIMEOUT = 24.0
BRIEF = 8.0
"""The timeout of a kernelspec of its own."""
NOTICED = 2.5
"""So much later may evidence be dated: what a cell computed shows at the next look."""
SLIDER = "import ipywidgets\nslider = ipywidgets.IntSlider()\nslider"
# What are you, where is the cursor, which colours: a terminal answers these by itself.
QUERIES = r"printf '\033[c\033[6n\033]10;?\007\033]11;?\007'" + "\n"
REPLIES = 4


@dataclass(frozen=True)
class World:
    """A lab whose host is never stopped, a tab of it, and the browser."""

    browser: Browser
    home: Path
    server: LiveServer
    tab: Tab


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outcomes]:
    """Run the scenarios side by side."""
    home = tmp_path_factory.mktemp("lab")
    server = make_lab(home / "documents", {"stop_action": "none"}, widget=False)
    write_kernelspec(server, "brief", {"cull_idle_timeout": BRIEF})
    with server:
        tab = Tab(browser, server)
        yield run_side_by_side(request, tab.page, World(browser, home, server, tab))
        tab.close()


def stopping_lab(world: World, name: str) -> LiveServer:
    """Make a lab whose host is stopped."""
    config = {"warning_minutes": minutes(2), "stop_action": "server"}
    return make_lab(world.home / name, config, widget=False)


def limit(server: LiveServer) -> None:
    """Make the timeout so short as these tests need it, once all in the lab has come so far."""
    settings = {"timeout_minutes": minutes(TIMEOUT)}
    server.request("PATCH", "api/idle-culler/v1/settings", settings)


def kernel_of(server: LiveServer, path: str) -> str | None:
    """Return the kernel of a notebook, None: it has none yet."""
    for session in server.request("GET", "api/sessions"):
        if session["path"] == path:
            return f"kernel:{session['kernel']['id']}"
    return None


def shown(notebook: Document, output: str, selector: str = ".jp-Cell-outputArea") -> Until:
    """Wait until the cell shows this."""
    return Until(lambda: notebook.shows(selector, output), f"{output!r} in {selector}")


def ended(server: LiveServer, resource: str) -> Until:
    """Wait until a kernel or terminal was culled."""
    return Until(
        lambda: entries(server, resource, "cull", "outcome"),
        f"the end of {resource}",
        TIMEOUT + 2 * LATENESS_SECONDS,
    )


def stopped(server: LiveServer) -> Until:
    """Wait until a server has stopped by itself."""
    return Until(lambda: server.ended, "the end of the server", TIMEOUT + 2 * LATENESS_SECONDS)


def was_in_time(
    server: LiveServer,
    resource: str,
    began: float,
    done: float,
    action: str = "cull",
    timeout: float = TIMEOUT,
) -> dict[str, Any]:
    """Check that the one end of something was on time; return the decision.

    Its last evidence was between ``began`` and ``done``, and no other counted.
    """
    (outcome,) = entries(server, resource, action, "outcome")
    assert outcome["ok"], outcome
    decision = entries(server, resource, action, "decision")[-1]
    assert began <= decision["evidence_at"] <= done + NOTICED, (began, done, decision)
    late = decision["t"] - decision["evidence_at"] - timeout
    assert 0 <= late <= LATENESS_SECONDS, decision
    return decision


@side_by_side
def test_a_notebook_that_prints_and_saves_itself_keeps_neither_its_kernel_nor_the_host(
    world: World,
) -> Steps:
    """K5, U2: each second a thread prints into the open notebook and the lab saves it again and
    again; both kernel and host are idle since the cell, and end on time."""
    with stopping_lab(world, "heartbeat") as server:
        tab = Tab(world.browser, server)
        notebook, kernel = yield from notebook_in(tab, server, "beat.ipynb", HEARTBEAT)
        yield EVERYBODY
        began = time.monotonic()
        notebook.run_cell()
        yield shown(notebook, "beat")
        done = time.monotonic()
        yield EVERYBODY
        limit(server)
        yield stopped(server)
        was_in_time(server, "host", began, done, action="stop")
        # Kernel and host fall due at the same moment, and the stop ends what is left.
        for _ in entries(server, kernel, "cull", "outcome"):
            was_in_time(server, kernel, began, done)
        saves = [one.at for one in tab.traffic.requests("PUT", "/api/contents/beat.ipynb")]
        # How often it saves follows from how long that takes.
        assert len([at for at in saves if at > done]) >= 2, saves
        assert max(saves) > done + TIMEOUT / 3, saves
        tab.close()


@side_by_side
def test_a_save_by_hand_holds_the_host_and_those_of_the_lab_do_not(world: World) -> Steps:
    """U2: Ctrl+S counts. What the lab saves by itself after it, and (U1) a person at the keys whom
    no widget reports, does not."""
    server = stopping_lab(world, "saves")
    (server.root_dir / "notes.txt").write_text("notes\n")
    with server:
        tab = Tab(world.browser, server)
        text = tab.open("notes.txt")

        def saves() -> int:
            return len(tab.traffic.requests("PUT", "/api/contents/notes.txt"))

        text.type("one")
        yield Until(saves, "a save by the lab")
        yield EVERYBODY
        before = saves()
        began = time.monotonic()
        text.type("two")
        tab.page.keyboard.press("Control+s")
        yield Until(lambda: saves() > before, "the save")
        done = time.monotonic()
        yield EVERYBODY
        limit(server)
        yield after(done + NOTICED + 2)
        before = saves()
        text.type("three")
        yield Until(lambda: saves() > before, "a later save by the lab")
        yield stopped(server)
        stop = was_in_time(server, "host", began, done, action="stop")
        assert stop["evidence_source"] == "contents", stop
        checkpoints = tab.traffic.requests("POST", "/api/contents/notes.txt/checkpoints")
        assert len(checkpoints) == 2, "one when it was first opened, one by hand"
        tab.close()


@side_by_side
def test_a_silent_cell_keeps_its_kernel_until_it_ends(world: World) -> Steps:
    """K1, U4: busy for three timeouts; only then the time begins to run. Before the cell, what
    keeps the kernel is somebody who asked for it."""
    server = world.server
    cell = f"import time\ntime.sleep({3 * BRIEF})\nprint('slept')"
    write_notebook(server, "busy.ipynb", cell, "brief")
    notebook = world.tab.open("busy.ipynb")
    # At once: other scenarios may let it wait for longer than its timeout.
    kernel = wait_until(lambda: kernel_of(server, "busy.ipynb"), "a kernel that starts")
    asked = {"minutes": 10, "reason": "not yet", "resource": kernel}
    server.request("POST", "api/idle-culler/v1/keep-alive", asked)
    yield Until(lambda: notebook.kernel_id, "the kernel")
    yield EVERYBODY
    began = time.monotonic()
    notebook.run_cell()
    yield EVERYBODY
    limit(server)
    yield shown(notebook, "[*]", ".jp-InputPrompt")
    server.request("DELETE", "api/idle-culler/v1/keep-alive")
    assert time.monotonic() < began + 3 * BRIEF, "too slow a machine for this"
    yield shown(notebook, "slept")
    done = time.monotonic()
    yield ended(server, kernel)
    was_in_time(server, kernel, began + 3 * BRIEF, done, timeout=BRIEF)


@side_by_side
def test_a_prompt_that_nobody_answers_does_not_keep_its_kernel(world: World) -> Steps:
    """K3: the page shows the prompt, and nobody comes."""
    cell = "answer = input('go on? ')"
    notebook, kernel = yield from notebook_in(world.tab, world.server, "ask.ipynb", cell)
    yield EVERYBODY
    began = time.monotonic()
    notebook.run_cell()
    yield shown(notebook, "", ".jp-Stdin-input")
    done = time.monotonic()
    yield EVERYBODY
    limit(world.server)
    yield ended(world.server, kernel)
    was_in_time(world.server, kernel, began, done)


@side_by_side
def test_a_prompt_that_is_answered_keeps_its_kernel(world: World) -> Steps:
    """K3: the time counts from the answer."""
    cell = "print('you said', input('go on? '))"
    notebook, kernel = yield from notebook_in(world.tab, world.server, "answer.ipynb", cell)
    yield EVERYBODY
    notebook.run_cell()
    yield shown(notebook, "", ".jp-Stdin-input")
    yield EVERYBODY
    limit(world.server)
    yield after(time.monotonic() + TIMEOUT / 2)
    began = time.monotonic()
    notebook.answer("yes")
    yield shown(notebook, "you said yes")
    done = time.monotonic()
    yield ended(world.server, kernel)
    was_in_time(world.server, kernel, began, done)


@side_by_side
def test_notebooks_that_stand_open_do_not_keep_their_kernels(world: World) -> Steps:
    """K6: the page polls, loses its connection, finds it again and is reloaded; the time counts
    from the last cell, with widgets in the notebook as without. No new kernel takes their place."""
    tab, server = Tab(world.browser, world.server), world.server
    cells = {"idle.ipynb": "print('idle')", "widgets.ipynb": SLIDER}
    notebooks = {}
    for name, cell in cells.items():
        notebooks[name] = yield from notebook_in(tab, server, name, cell)
    yield EVERYBODY
    ran = {}
    for notebook, kernel in notebooks.values():
        began = time.monotonic()
        notebook.run_cell()
        yield Until(lambda: notebook.shows(".jp-OutputArea-output"), "output")  # noqa: B023 - awaited here
        ran[kernel] = (began, time.monotonic())
    yield EVERYBODY
    limit(server)
    own = {kernel: f"/api/kernels/{kernel.partition(':')[2]}/channels" for kernel in ran}

    def greeted(times: int) -> bool:
        return all(
            len(tab.traffic.messages("kernel_info_request", path)) >= times for path in own.values()
        )

    yield after(time.monotonic() + NOTICED + 1)
    assert greeted(1)
    tab.lose_connection()
    yield after(time.monotonic() + 0.5)
    tab.find_connection()
    yield Until(lambda: greeted(2), "its kernels over new websockets")
    tab.reload()
    yield Until(lambda: greeted(3), "its kernels after the reload")
    for name, (_, kernel) in notebooks.items():
        back = yield Until(lambda: tab.reopened(name), name)  # noqa: B023 - awaited here
        assert back.kernel_id in (None, kernel.partition(":")[2])
    for kernel, (began, done) in ran.items():
        yield ended(server, kernel)
        was_in_time(server, kernel, began, done)
        assert len(tab.traffic.messages("comm_open", own[kernel])) >= 2, "widgets ask for states"
    yield after(time.monotonic() + 4)
    again = [one["path"] for one in server.request("GET", "api/sessions") if one["path"] in cells]
    assert not again, "the lab has started another kernel"
    tab.close()


@side_by_side
def test_a_terminal_that_is_shown_anew_and_resized_is_idle_since_the_last_key(
    world: World,
) -> Steps:
    """T4: a second tab, a reload, another size of the window, and what the terminal of the page
    answers to a program's queries each time that their text is replayed to it."""
    server, tab = world.server, Tab(world.browser, world.server)
    name = server.request("POST", "api/terminals")["name"]
    terminal, socket = world.tab.open_terminal(name), f"/terminals/websocket/{name}"

    def typed_into(one: Tab) -> list[Sent]:
        return one.traffic.messages("stdin", socket)

    def replies(one: Tab) -> int:
        return len([sent for sent in typed_into(one) if sent.content[1].startswith("\x1b")])

    yield EVERYBODY
    began = time.monotonic()
    terminal.type_in_terminal(QUERIES)
    done = time.monotonic()
    yield EVERYBODY
    limit(server)
    yield Until(lambda: replies(world.tab) >= REPLIES, "replies to the queries")
    yield after(done + NOTICED + 1)
    tab.open_terminal(name)
    yield Until(lambda: replies(tab) >= REPLIES, "replies in the second tab")
    sizes = len(tab.traffic.messages("set_size", socket))
    tab.page.set_viewport_size({"width": 800, "height": 600})
    yield Until(lambda: len(tab.traffic.messages("set_size", socket)) > sizes, "a resize")
    remembers = lambda: f"terminal:{name}" in str(tab.saved_layouts())  # noqa: E731 - it is short
    yield Until(remembers, "the lab to note what is open")
    tab.reload()
    yield Until(lambda: replies(tab) >= 2 * REPLIES, "replies after the reload")
    assert len(typed_into(tab)) == replies(tab), "nobody has typed in the second tab"
    yield ended(server, f"terminal:{name}")
    decision = was_in_time(server, f"terminal:{name}", began, done)
    assert decision["evidence"] == "you typed in it", decision
    yield after(time.monotonic() + 4)
    assert name not in server.terminal_names(), "the lab has opened it again"
    tab.close()


@side_by_side
def test_a_terminal_in_which_somebody_types_is_kept(world: World) -> Steps:
    """T1: a key pressed in the page moves the deadline."""
    name = world.server.request("POST", "api/terminals")["name"]
    terminal = world.tab.open_terminal(name)
    yield EVERYBODY
    terminal.type_in_terminal("echo one\n")
    yield EVERYBODY
    limit(world.server)
    yield after(time.monotonic() + TIMEOUT / 2)
    began = time.monotonic()
    terminal.type_in_terminal("x")
    done = time.monotonic()
    yield ended(world.server, f"terminal:{name}")
    was_in_time(world.server, f"terminal:{name}", began, done)


@side_by_side
def test_an_open_page_is_nobody(world: World) -> Steps:
    """U1: without a widget that reports somebody, nobody is seen in the page."""
    yield EVERYBODY
    yield EVERYBODY
    yield after(time.monotonic() + TIMEOUT)
    (seen,) = seen_of(world.server, "host", "presence")
    assert "nobody was seen" in seen["detail"], seen
