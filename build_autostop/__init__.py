"""Put autostop and what it shares with the extension into one file, small enough for a script.

A lifecycle configuration holds 12,288 bytes. So what is not reached from `main` is left out, the
rest is minified and compressed. Run by the build (see hatch_build.py); by hand:
``python -m build_autostop`` writes the files and says how large they are.
"""

from __future__ import annotations

import lzma
from itertools import product
from pathlib import Path

from .collecting import Bundle
from .lettering import written
from .shortening import terse

PACKAGE = "jupyter_idle_culler"
BUILT = f"{PACKAGE}/lifecycle/payloads"
_CORE = ("core/model", "core/duration", "core/host")
_SERVER = ("autostop/jupyter_api", "autostop/memory", "autostop/kernels")
_MACHINE = (
    "sources/procfs",
    "autostop/machine",
    "autostop/terminals",
    "autostop/instance",
    "autostop/sign",
)
_PROGRAM = ("autostop/options", "autostop/host", "autostop/run")
_MODULES = {
    "notebook-instance": (*_CORE, *_SERVER, *_MACHINE, *_PROGRAM),
    "studio-code-editor": (
        *_CORE,
        "autostop/memory",
        "autostop/space",
        *_MACHINE,
        "autostop/code_editor",
        *_PROGRAM,
    ),
    "studio-classic": (
        *_CORE,
        "core/decision",
        *_SERVER,
        "autostop/studio_classic",
        "autostop/options",
        "autostop/run",
    ),
}
"""In such an order that each stands after those that it imports from."""
ENVIRONMENTS = tuple(_MODULES)
_GUARD = """import sys
if sys.version_info<(3,8):sys.exit('autostop: needs Python 3.8')
"""


def source(root: Path, environment: str) -> str:
    """Return autostop for one environment as a single readable file. Raises: BundleError."""
    bundle = Bundle()
    for name in _MODULES[environment]:
        bundle.add(name, (root / PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
    return bundle.source()


def packed(root: Path, environment: str) -> str:
    """Return it minified, compressed (lzma) and written in letters."""
    import python_minifier

    small = python_minifier.minify(
        terse(source(root, environment)),
        remove_literal_statements=True,
        rename_globals=True,
        preserve_globals=[],
        hoist_literals=False,
        remove_annotations=False,
        prefer_single_line=True,
    )
    return written(_compressed(_GUARD + small))


def write(root: Path) -> dict[str, int]:
    """Write the packed files that scripts carry; return their sizes in bytes."""
    sizes = {}
    (root / BUILT).mkdir(parents=True, exist_ok=True)
    for environment in ENVIRONMENTS:
        text = packed(root, environment)
        (root / BUILT / f"{environment}.txt").write_text(text, encoding="ascii")
        sizes[environment] = len(text)
    return sizes


def _compressed(text: str) -> bytes:
    """Return text as short as these settings make it; which of them do is a matter of the text."""
    how = {"id": lzma.FILTER_LZMA1, "preset": 9 | lzma.PRESET_EXTREME, "lp": 0, "pb": 0}
    ways = product((2, 3, 4), (32, 48, 64, 273), (lzma.MF_BT2, lzma.MF_BT3, lzma.MF_BT4))
    return min(
        (
            lzma.compress(
                text.encode(),
                format=lzma.FORMAT_ALONE,
                filters=[{**how, "lc": lc, "nice_len": nice, "mf": finder}],
            )
            for lc, nice, finder in ways
        ),
        key=len,
    )
