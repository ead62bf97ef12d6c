"""Files changed through the server (U2): a person's save, never an autosave."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from traitlets.config import Config

from jupyter_idle_culler.core.model import Observation, Strength
from jupyter_idle_culler.sources.base import Look
from jupyter_idle_culler.sources.contents import ContentsSource
from jupyter_idle_culler.sources.presence import PresenceSource

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"
EMPTY_NOTEBOOK = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
Ask = Callable[..., Awaitable[Any]]


@pytest.fixture
def jp_server_config() -> Config:
    """Start a server without this extension: the source under test is made by the test."""
    return Config()


class Contents:
    """A source on a real server, with a clock moved by hand."""

    def __init__(self, fetch: Ask, settings: dict[str, Any]) -> None:
        self.now = 1000.0
        self.presence = PresenceSource(lambda: self.now)
        self.source = ContentsSource(settings, self.presence, lambda: self.now)
        self.source.start()
        self._fetch = fetch

    async def ask(
        self, method: str, path: str, body: object = None, agent: str = BROWSER, code: int = 0
    ) -> None:
        """Send a request as a browser does, ten seconds after the one before."""
        self.now += 10.0
        await self._fetch(
            *path.split("/"),
            method=method,
            body=None if body is None else json.dumps(body),
            headers={"User-Agent": agent},
            allow_nonstandard_methods=True,
            raise_error=code == 0,
        )

    async def save(self, path: str = "a.ipynb", agent: str = BROWSER) -> None:
        """Save a notebook, as an autosave does and as the first half of a person's save."""
        model = {"type": "notebook", "content": EMPTY_NOTEBOOK}
        await self.ask("PUT", f"api/contents/{path}", model, agent)

    async def seen(self) -> dict[Strength, Observation]:
        """Return what was seen, by how far it carries."""
        return {o.strength: o for o in (await self.source.observe(Look(self.now))).observations}


@pytest.fixture
def contents(jp_fetch: Ask, jp_serverapp: Any) -> Iterator[Contents]:
    """Return a source that listens to this test's server."""
    made = Contents(jp_fetch, jp_serverapp.web_app.settings)
    yield made
    made.source.close()


async def test_an_autosave_is_no_evidence(contents: Contents) -> None:
    """Saving again and again what exists, as a page left open does, with or without a widget."""
    await contents.save()
    created = (await contents.seen())[Strength.WORK].at
    for _ in range(5):
        await contents.save()
    contents.presence.report("ada")
    await contents.save()
    assert (await contents.seen())[Strength.WORK].at == created


async def test_a_save_that_a_person_asked_for_is_evidence(contents: Contents) -> None:
    """JupyterLab makes a checkpoint after it, and only then."""
    await contents.save()
    await contents.save()
    await contents.ask("POST", "api/contents/a.ipynb/checkpoints")
    assert (await contents.seen())[Strength.WORK].at == contents.now


async def test_making_renaming_copying_and_deleting_are_evidence(contents: Contents) -> None:
    """Each of them moves the time of the last evidence."""
    for method, path, body in (
        ("POST", "api/contents", {"type": "file", "ext": ".txt"}),
        ("PUT", "api/contents/new.txt", {"type": "file", "format": "text", "content": "x"}),
        ("POST", "api/contents", {"copy_from": "new.txt"}),
        ("PATCH", "api/contents/new.txt", {"path": "other.txt"}),
        ("DELETE", "api/contents/other.txt", None),
    ):
        await contents.ask(method, path, body)
        seen = await contents.seen()
        assert seen[Strength.WORK].at == contents.now, (method, path)
        assert "txt" not in seen[Strength.WORK].detail


async def test_every_chunk_of_a_large_upload_is_evidence(contents: Contents) -> None:
    """The first makes the file, the others write to it for as long as the upload takes."""
    for chunk in (1, 2, -1):
        model = {"type": "file", "format": "text", "name": "l.txt", "chunk": chunk, "content": "x"}
        await contents.ask("PUT", "api/contents/l.txt", model)
        assert (await contents.seen())[Strength.WORK].at == contents.now


async def test_reading_and_what_is_refused_are_no_evidence(contents: Contents) -> None:
    """A listing, a look at checkpoints, a missing file, a path that only begins alike."""
    await contents.ask("GET", "api/contents")
    await contents.ask("GET", "api/contents/missing.txt", code=404)
    await contents.ask("DELETE", "api/contents/missing.txt", code=404)
    await contents.ask("POST", "api/contents-not", code=404)
    assert await contents.seen() == {}


async def test_a_program_that_saves_holds_the_host_only_so_long(contents: Contents) -> None:
    """What comes from no browser is evidence that nobody need stand behind."""
    await contents.save(agent="python-requests/2.32")
    await contents.save(agent="python-requests/2.32")
    seen = await contents.seen()
    assert set(seen) == {Strength.UNATTENDED}
    assert seen[Strength.UNATTENDED].at == contents.now


async def test_with_a_widget_it_counts_only_within_two_minutes_of_presence(
    contents: Contents,
) -> None:
    """The widget knows better whether somebody is there; without one the change itself counts."""
    contents.presence.report("ada")
    contents.now += 115.0 - 10.0
    await contents.ask("POST", "api/contents")
    near = contents.now
    contents.now += 10.0
    await contents.ask("POST", "api/contents")
    assert (await contents.seen())[Strength.WORK].at == near
    contents.now += 3600.0
    await contents.ask("POST", "api/contents")
    assert (await contents.seen())[Strength.WORK].at == contents.now


async def test_the_save_before_our_own_stop_keeps_nothing_alive(contents: Contents) -> None:
    """Whatever the page writes then, checkpoint included; half a minute later all counts again."""
    await contents.save()
    before = (await contents.seen())[Strength.WORK].at
    contents.source.expect_own_save()
    await contents.save()
    await contents.ask("POST", "api/contents/a.ipynb/checkpoints")
    assert (await contents.seen())[Strength.WORK].at == before
    contents.now += 30.0
    await contents.ask("POST", "api/contents/a.ipynb/checkpoints")
    assert (await contents.seen())[Strength.WORK].at == contents.now


async def test_what_the_server_saves_by_itself_is_no_evidence(
    contents: Contents, jp_serverapp: Any
) -> None:
    """A collaboration room writes through the contents manager: an event comes, no request."""
    model = {"type": "file", "format": "text", "content": "x"}
    for _ in range(2):
        await jp_serverapp.contents_manager.save(model, "room.txt")
    assert await contents.seen() == {}


def test_closing_puts_the_log_function_back() -> None:
    """The server logs its requests before, meanwhile and after."""

    def log_function(handler: object) -> None:
        del handler

    settings: dict[str, Any] = {"log_function": log_function, "base_url": "/"}
    source = ContentsSource(settings, PresenceSource(lambda: 0.0), lambda: 0.0)
    source.start()
    assert settings["log_function"] is not log_function
    source.close()
    assert settings["log_function"] is log_function
