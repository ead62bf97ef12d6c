"""Look into the built wheel and sdist: what users need must be in them, and nothing foreign.

Run by ``make build`` as ``python -m tests.package_contents dist``.
"""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

PACKAGE = Path("jupyter_idle_culler")
SWITCH = "etc/jupyter/jupyter_server_config.d/jupyter_idle_culler.json"
WIDGET = "share/jupyter/labextensions/jupyter_idle_culler/"
WIDGET_FILES = (
    "install.json",
    "package.json",
    "schemas/jupyter_idle_culler/settings.json",
    "static/style.js",
    "static/third-party-licenses.json",
)
BUNDLE_MAX_BYTES = 100_000
DATA_SUFFIXES = (".py", ".yaml", ".yml", ".json", ".typed")
SCRIPTS, PACKED = Path("lifecycle-configs"), PACKAGE / "lifecycle" / "payloads"


def expected() -> set[str]:
    """Return every file of the package in the working tree that belongs into the wheel."""
    built = PACKAGE / "labextension"  # it goes elsewhere, see widget_faults
    files = {
        str(path)
        for path in PACKAGE.rglob("*")
        if path.suffix in DATA_SUFFIXES and built not in path.parents
    }
    files |= {str(path) for path in PACKED.glob("*.txt")}
    return files | {str(PACKAGE / "py.typed"), str(PACKAGE / "api" / "openapi.yaml")}


def script_faults(held: set[str], source: set[str]) -> list[str]:
    """Return which scripts of lifecycle-configs are missing: `render` finds them in the package."""
    scripts = sorted(str(path) for path in SCRIPTS.rglob("*") if path.is_file())
    there = {
        name: f"{PACKAGE}/lifecycle/scripts{name.removeprefix(str(SCRIPTS))}" for name in scripts
    }
    missing = [f"the wheel lacks {place}" for place in there.values() if place not in held]
    missing += [f"the sdist lacks {name}" for name in scripts if name not in source]
    return missing if any(name.endswith(".sh") for name in scripts) else [f"{SCRIPTS} is empty"]


def widget_faults(wheel: zipfile.ZipFile) -> list[str]:
    """Return what is wrong with the widget in the wheel: it must be whole, and small."""
    sizes = {
        info.filename.partition("/data/" + WIDGET)[2]: info.file_size for info in wheel.infolist()
    }
    found = [f"the widget lacks {name}" for name in WIDGET_FILES if name not in sizes]
    scripts = {name: size for name, size in sizes.items() if name.endswith(".js")}
    if not any(name.startswith("static/remoteEntry.") for name in scripts):
        found.append("the widget has no entry that JupyterLab could load")
    if sum(scripts.values()) > BUNDLE_MAX_BYTES:
        found.append(f"the widget has {sum(scripts.values())} bytes, more than {BUNDLE_MAX_BYTES}")
    return found


def faults(dist: Path) -> list[str]:
    """Return what is wrong with the one wheel and the one sdist in a directory."""
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        missing = widget_faults(archive)
    with tarfile.open(sdist) as tar:
        source = {name.partition("/")[2] for name in tar.getnames()}
    missing += script_faults(held, source)
    missing += [f"{wheel.name} lacks {name}" for name in sorted(expected() - held)]
    if not any(name.endswith("/data/" + SWITCH) for name in held):
        missing.append(f"{wheel.name} lacks {SWITCH}: installing it would switch nothing on")
    if not any(name.startswith(f"{PACKAGE}/events/") for name in held):
        missing.append(f"{wheel.name} lacks the event schemas")
    missing += [f"{sdist.name} lacks {name}" for name in sorted(expected() - source)]
    wanted = {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "Makefile"}
    wanted |= {"package.json", "yarn.lock", "hatch_build.py", "labextension/src/index.ts"}
    wanted |= {"build_autostop/__init__.py"}
    missing += [f"{sdist.name} lacks {name}" for name in sorted(wanted - source)]
    foreign = [name for name in held if not name.startswith("jupyter_idle_culler")]
    return missing + [f"{wheel.name} holds {name}" for name in foreign]


if __name__ == "__main__":
    found = faults(Path(sys.argv[1]))
    print("\n".join(found) if found else f"{sys.argv[1]}: the wheel and the sdist are complete")
    sys.exit(bool(found))
