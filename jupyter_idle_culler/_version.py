"""The version, as it was installed; ``package.json`` is the one place that says it."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("jupyter_idle_culler")
except PackageNotFoundError:  # run from a copy of the sources
    __version__ = "0+uninstalled"
