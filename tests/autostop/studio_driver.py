"""Autostop at a stand-in for Studio Classic, look by look, by a clock of the test's own."""

from __future__ import annotations

import json
from typing import Any

from jupyter_idle_culler.autostop.jupyter_api import JupyterApi
from jupyter_idle_culler.autostop.studio_classic import check

from .studio_stand_in import DATA_SCIENCE, SMALL, Studio

TIMEOUT, WARNING = 3600.0, 300.0
BEGAN = 50_000.0
APP = "datascience-1-0-ml-t3-medium"
APP_PATH = f"sagemaker/api/apps/{APP}"
TERMINAL = f"{DATA_SCIENCE}__ab12__{SMALL}__eu-west-1"
TERMINAL_PATH = f"api/terminals/{TERMINAL}"
SLACK = 1.0
"""Answers take milliseconds, which are added to the time of a look."""


class Autostop:
    """Checks one Studio; what it remembers goes through JSON, as between two runs."""

    def __init__(self, studio: Studio, **settings: Any) -> None:
        self.memory: dict[str, Any] = {}
        self._api = JupyterApi(studio.url)
        self._settings: dict[str, Any] = {
            "timeout_seconds": TIMEOUT,
            "keep_terminals": False,
            "warning_seconds": WARNING,
            "dry_run": False,
            **settings,
        }

    def look(self, seconds: float, **settings: Any) -> list[str]:
        """Make one check so many seconds after the first."""
        memory = json.loads(json.dumps(self.memory))
        lines = check(self._api, memory, now=BEGAN + seconds, **{**self._settings, **settings})
        self.memory = memory
        return lines

    def watch(self, start: float, end: float, step: float = 300.0) -> list[str]:
        """Make a check each step from start up to and with end; return all that was said."""
        said, at = [], start
        while at < end:
            said += self.look(at)
            at += step
        return said + self.look(end)
