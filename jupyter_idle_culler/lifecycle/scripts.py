"""The scripts of `lifecycle-configs/` and the packed autostop: which there are, where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import IdleCullerError

_PACKAGE = Path(__file__).parent
PAYLOADS = _PACKAGE / "payloads"
"""Made by the build: the packed autostop of each environment, one line of text."""


class LifecycleError(IdleCullerError):
    """A lifecycle configuration cannot be made or changed; the message says why."""


@dataclass(frozen=True)
class Environment:
    """Where a script runs.

    ``app_type`` is what Studio calls it, None on a notebook instance. ``extension``: the script
    installs the extension rather than autostop.
    """

    name: str
    folder: str
    script: str
    app_type: str | None
    extension: bool = False


ENVIRONMENTS = {
    environment.name: environment
    for environment in (
        Environment("notebook-instance", "notebook-instance", "on-start.sh", None),
        Environment(
            "notebook-instance-extension",
            "notebook-instance",
            "on-start-extension.sh",
            None,
            extension=True,
        ),
        Environment(
            "studio-jupyterlab", "studio-jupyterlab", "on-start.sh", "JupyterLab", extension=True
        ),
        Environment("studio-code-editor", "studio-code-editor", "on-start.sh", "CodeEditor"),
        Environment(
            "studio-classic", "studio-classic", "on-jupyter-server-start.sh", "JupyterServer"
        ),
    )
}


def scripts_folder() -> Path:
    """Return where the scripts lie: in the installed package, or in the clone it runs from.

    Raises: LifecycleError where they are in neither.
    """
    for folder in (_PACKAGE / "scripts", _PACKAGE.parent.parent / "lifecycle-configs"):
        if folder.is_dir():
            return folder
    message = "the scripts are missing from this installation: install jupyter_idle_culler anew"
    raise LifecycleError(message)


def script_of(environment: Environment) -> str:
    """Return the script of an environment as it is. Raises: LifecycleError."""
    path = scripts_folder() / environment.folder / environment.script
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        message = f"the script of {environment.name} cannot be read: {error}"
        raise LifecycleError(message) from error


def payload(name: str) -> str:
    """Return the packed autostop of an environment. Raises: LifecycleError where there is none."""
    path = PAYLOADS / f"{name}.txt"
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        message = (
            f"the packed autostop of {name} is missing from this installation: install"
            " jupyter_idle_culler anew"
        )
        raise LifecycleError(message) from error
