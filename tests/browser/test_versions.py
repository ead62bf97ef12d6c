"""The same wheel in the oldest and the newest JupyterLab 4 and Notebook 7: each shows the widget.

Their environments hold what a user would install, the wheel among it, and nothing of this tree.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage

from tests.live.harness import LiveServer
from tests.live.rows import minutes

from .lab import make_lab, write_notebook
from .pages import in_the_lab, started
from .scenarios import EVERYBODY, Outcomes, Steps, Until, after, run_side_by_side, side_by_side

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parent.parent.parent
OLDEST, NEWEST = ROOT / ".venv-oldest", ROOT / ".venv-newest"
TOLERANCE = 2.0
TIMEOUT = 294.0
"""Short enough that seconds are shown."""
CONFIG = {
    "timeout_minutes": minutes(TIMEOUT),
    "kernel_timeout_minutes": 30,
    "warning_minutes": 0.5,
    "stop_action": "server",
}
OURS = ("idle_culler", "idle-culler", "IdleCuller")
_WHAT_IS_THERE = """
import importlib.metadata, json, jupyter_idle_culler
names = ("jupyterlab", "notebook", "jupyter_server")
versions = {name: importlib.metadata.version(name) for name in names}
print(json.dumps({"package": jupyter_idle_culler.__file__, **versions}))
"""
_ENTRY = """() => {
    const config = JSON.parse(document.getElementById('jupyter-config-data').textContent);
    return config.federated_extensions.find(each => each.name === 'jupyter_idle_culler').load;
}"""


@dataclass(frozen=True)
class World:
    """Where servers keep what they write, and the browser."""

    browser: Browser
    home: Path


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outcomes]:
    """Run the scenarios side by side."""
    for environment in (OLDEST, NEWEST):
        if not (environment / "bin/python").exists():
            pytest.skip(f"there is no {environment}: make .stamps/versions")
    page = browser.new_page()
    yield run_side_by_side(request, page, World(browser, tmp_path_factory.mktemp("versions")))
    page.close()


def what_is_there(server: LiveServer, environment: Path) -> dict[str, str]:
    """Return where a server finds the package, and the versions of what it is made of."""
    ran = subprocess.run(
        [environment / "bin/python", "-c", _WHAT_IS_THERE],
        env=server.env,
        cwd=server.root_dir,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return dict(json.loads(ran.stdout))


def complaints_of(message: ConsoleMessage) -> list[str]:
    """Return what the console says where it is an error or a warning by or about the widget.

    Module federation warns of a version that does not fit from the files of who wants it.
    """
    said = f"{message.type}: {message.text} ({message.location['url']})"
    is_ours = message.type in ("error", "warning") and any(name in said for name in OURS)
    return [said] if is_ours else []


def works(world: World, environment: Path, subcommand: str, release: tuple[str, str]) -> Steps:
    """Start a server, load a page with a notebook in it, look at the widget and use it."""
    server = make_lab(
        world.home / f"{environment.name}-{subcommand}",
        CONFIG,
        subcommand=subcommand,
        python=str(environment / "bin/python"),
    )
    write_notebook(server, "open.ipynb", "1 + 1")
    server.start(wait=False)
    with contextlib.closing(server):
        yield started(server)
        there = what_is_there(server, environment)
        assert Path(there["package"]).is_relative_to(environment), there
        package, version = release
        assert there[package].startswith(version), there

        context = world.browser.new_context(viewport={"width": 1100, "height": 800})
        complaints: list[str] = []
        context.on("console", lambda message: complaints.extend(complaints_of(message)))
        path = "notebooks/open.ipynb" if subcommand == "notebook" else None
        tab, widget = yield from in_the_lab(world.browser, server, context=context, path=path)
        if path is None:
            tab.open("open.ipynb")
        built = environment / "share/jupyter/labextensions/jupyter_idle_culler"
        assert (built / tab.page.evaluate(_ENTRY)).is_file()
        (kernel,) = yield Until(server.kernel_ids, "the kernel")
        yield Until(lambda: widget.says("countdown"), "the countdown")
        yield EVERYBODY

        def left() -> float:
            seconds: float = server.status()["host"]["stops_in_seconds"]
            return seconds

        shown = set()
        for _ in range(4):
            assert widget.status_item.is_visible()
            assert widget.off(left()) <= TOLERANCE, (widget.line, left())
            shown.add(widget.line)
            yield after(time.monotonic() + 1.2)
        assert len(shown) == 4, shown
        server.request("POST", "api/idle-culler/v1/activity", {})
        anew = TIMEOUT - 1
        yield Until(lambda: widget.off(anew) <= TOLERANCE, "an event to move the countdown", 10)

        assert not widget.panel.is_visible()
        widget.status_item.click()
        yield Until(widget.panel.is_visible, "the panel")
        row = widget.row(f"kernel:{kernel}")
        yield Until(lambda: row.is_visible() and "open.ipynb" in row.inner_text(), "its row")
        assert not complaints
        assert not [error for error in tab.errors if any(name in error for name in OURS)]
        tab.close()


@side_by_side
def test_jupyterlab_4_0_shows_the_widget(world: World) -> Steps:
    """In the status bar; the countdown lives, a click opens the panel, nothing complains."""
    yield from works(world, OLDEST, "lab", ("jupyterlab", "4.0."))


@side_by_side
def test_the_newest_jupyterlab_4_shows_the_widget(world: World) -> Steps:
    """As in 4.0."""
    yield from works(world, NEWEST, "lab", ("jupyterlab", "4."))


@side_by_side
def test_notebook_7_0_shows_the_widget(world: World) -> Steps:
    """In the top bar of a notebook; otherwise as in JupyterLab."""
    yield from works(world, OLDEST, "notebook", ("notebook", "7.0."))


@side_by_side
def test_the_newest_notebook_7_shows_the_widget(world: World) -> Steps:
    """As in 7.0."""
    yield from works(world, NEWEST, "notebook", ("notebook", "7."))
