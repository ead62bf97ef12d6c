"""A real JupyterLab with the culler on, what stands in its folder, and a browser for it."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ipykernel.ipkernel import IPythonKernel
from playwright.sync_api import Browser, sync_playwright

from tests.live.harness import LiveServer

AUTOSAVE_SECONDS = 4
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_NEWS = "@jupyterlab/apputils-extension:announcements"
_WIDGET = "jupyter_idle_culler"


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run the system's Chromium without a window."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    assert path is not None, "there is no chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        yield browser
        browser.close()


def make_lab(
    home: Path,
    config: Mapping[str, Any],
    *,
    widget: bool = True,
    subcommand: str = "lab",
    settings: Mapping[str, Any] | None = None,
    server_config: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    python: str = sys.executable,
) -> LiveServer:
    """Make a JupyterLab (or Notebook), not started yet, that saves by itself every few seconds.

    ``config`` is `c.IdleCuller`; ``settings`` are those of the lab, by plugin. Its pages let
    scripts reach the application.
    """
    server = LiveServer(
        home,
        {"check_interval_seconds": 1, **config},
        server_config={
            "LabApp": {"expose_app_in_browser": True},
            "JupyterNotebookApp": {"expose_app_in_browser": True},
            **(server_config or {}),
        },
        env=env,
        subcommand=subcommand,
        python=python,
    )
    autosave = {"autosave": True, "autosaveInterval": AUTOSAVE_SECONDS}
    overrides = {"@jupyterlab/docmanager-extension:plugin": autosave, **(settings or {})}
    labconfig = server.config_dir / "labconfig"
    labconfig.mkdir()
    (labconfig / "default_setting_overrides.json").write_text(json.dumps(overrides))
    disabled = {_NEWS: True} if widget else {_NEWS: True, _WIDGET: True}
    page_config = {"disabledExtensions": disabled}
    (labconfig / "page_config.json").write_text(json.dumps(page_config))
    return server


def write_notebook(server: LiveServer, name: str, cell: str, kernelspec: str = "python3") -> None:
    """Put a notebook of one cell into the server's folder, in the form in which the lab saves it.

    Otherwise the lab saves each as it is opened, and on a busy machine overtakes itself and asks
    why the file has changed.
    """
    display_name = "Python 3 (ipykernel)" if kernelspec == "python3" else kernelspec
    spec = {"display_name": display_name, "language": "python", "name": kernelspec}
    notebook = {
        "cells": [
            {
                "cell_type": "code",
                "execution_count": None,
                "id": "only-one",
                "metadata": {},
                "outputs": [],
                "source": cell.splitlines(keepends=True),
            }
        ],
        "metadata": {"kernelspec": spec, "language_info": IPythonKernel.language_info},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (server.root_dir / name).write_text(json.dumps(notebook, indent=1) + "\n")
