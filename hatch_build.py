"""Build the front end into wheels and sdists, ship it where JupyterLab looks; pack autostop."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUILT = "jupyter_idle_culler/labextension"
SHARED = "share/jupyter/labextensions/jupyter_idle_culler"
# Of the build's files only this one appears after a good production build, and not before.
PROOF = f"{BUILT}/static/third-party-licenses.json"


class FrontEndHook(BuildHookInterface):  # type: ignore[type-arg]  # its configuration is not ours
    """Builds the front end where it is not built yet.

    An editable install takes what is there and needs no Node: ``make run`` builds and links.
    """

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build where needed. Raises: RuntimeError where that fails or cannot be done."""
        root = Path(self.root)
        sys.path.insert(0, str(root))
        import build_autostop

        build_autostop.write(root)
        if version == "editable":
            return
        if not (root / PROOF).exists():
            self._build(root)
        if self.target_name == "wheel":
            build_data["shared_data"] = {
                BUILT: SHARED,
                "install.json": f"{SHARED}/install.json",
            }

    def _build(self, root: Path) -> None:
        # The environment that builds has jlpm, but pip does not put it on PATH everywhere.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        jlpm = shutil.which("jlpm", path=path)
        if jlpm is None or shutil.which("node", path=path) is None:
            message = (
                "the front end is not built, and building it needs Node 20.19 or newer on PATH "
                "(`make build` brings it); a wheel needs none of that"
            )
            raise RuntimeError(message)
        env = {**os.environ, "PATH": path}
        for command in (("install", "--immutable"), ("build:prod",)):
            subprocess.run([jlpm, *command], cwd=root, env=env, check=True)
        if not (root / PROOF).exists():
            message = f"the build of the front end left no {PROOF}"
            raise RuntimeError(message)
