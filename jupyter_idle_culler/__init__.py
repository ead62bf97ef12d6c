"""Stop what is idle in Jupyter, never what is working, and say why."""

from __future__ import annotations

from typing import Any

from ._version import __version__

__all__ = ["__version__"]


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Tell jupyter_server which application to load; the import waits until it asks."""
    from .app import IdleCullerApp

    return [{"module": "jupyter_idle_culler", "app": IdleCullerApp}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Tell JupyterLab's tools where the built widget lies, and under which name it is linked."""
    return [{"src": "labextension", "dest": "jupyter_idle_culler"}]
