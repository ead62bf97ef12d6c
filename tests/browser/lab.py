"""A real JupyterLab with the culler on, what stands in its folder, and a browser for it."""

from __future__ import annotations

import contextlib
import json
import shutil
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
_NO_NEWS = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run the system's Chromium without a window."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    assert path is not None, "there is no chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        yield browser
        browser.close()


def make_lab(home: Path, config: Mapping[str, Any]) -> LiveServer:
    """Make a JupyterLab, not started yet, that saves by itself every few seconds.

    ``config`` is `c.IdleCuller`. Its pages let scripts reach the application.
    """
    server = LiveServer(
        home,
        {"check_interval_seconds": 1, **config},
        server_config={"LabApp": {"expose_app_in_browser": True}},
        subcommand="lab",
    )
    autosave = {"autosave": True, "autosaveInterval": AUTOSAVE_SECONDS}
    overrides = {"@jupyterlab/docmanager-extension:plugin": autosave}
    labconfig = server.config_dir / "labconfig"
    labconfig.mkdir()
    (labconfig / "default_setting_overrides.json").write_text(json.dumps(overrides))
    (labconfig / "page_config.json").write_text(json.dumps(_NO_NEWS))
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
