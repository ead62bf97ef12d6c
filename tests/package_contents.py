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
DATA_SUFFIXES = (".py", ".yaml", ".yml", ".json", ".typed")


def expected() -> set[str]:
    """Return every file of the package in the working tree that belongs into the wheel."""
    files = {str(path) for path in PACKAGE.rglob("*") if path.suffix in DATA_SUFFIXES}
    return files | {str(PACKAGE / "py.typed"), str(PACKAGE / "api" / "openapi.yaml")}


def faults(dist: Path) -> list[str]:
    """Return what is wrong with the one wheel and the one sdist in a directory."""
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    with tarfile.open(sdist) as tar:
        source = {name.partition("/")[2] for name in tar.getnames()}
    missing = [f"{wheel.name} lacks {name}" for name in sorted(expected() - held)]
    if not any(name.endswith("/data/" + SWITCH) for name in held):
        missing.append(f"{wheel.name} lacks {SWITCH}: installing it would switch nothing on")
    if not any(name.startswith(f"{PACKAGE}/events/") for name in held):
        missing.append(f"{wheel.name} lacks the event schemas")
    missing += [f"{sdist.name} lacks {name}" for name in sorted(expected() - source)]
    wanted = {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "Makefile"}
    missing += [f"{sdist.name} lacks {name}" for name in sorted(wanted - source)]
    foreign = [name for name in held if not name.startswith("jupyter_idle_culler")]
    return missing + [f"{wheel.name} holds {name}" for name in foreign]


if __name__ == "__main__":
    found = faults(Path(sys.argv[1]))
    print("\n".join(found) if found else f"{sys.argv[1]}: the wheel and the sdist are complete")
    sys.exit(bool(found))
