"""The zip that Lambda runs: the fleet's own modules and the time zones, the same bytes each time.

boto3 is there already. Time zones are taken along because Lambda's image may have none or old
ones: Python looks at its own first.
"""

from __future__ import annotations

import ast
import io
import zipfile
import zoneinfo
from importlib import resources
from pathlib import Path

from .._version import __version__
from ..errors import IdleCullerError

NAME = "jupyter_idle_culler-fleet.zip"
TEMPLATE = Path(__file__).with_name("template.yaml")
_ROOT = Path(__file__).parent.parent
_HANDLERS = Path(__file__).with_name("handlers.py")
_BEGINNING_OF_TIME = (1980, 1, 1, 0, 0, 0)
_UNIX, _PLAIN_FILE = 3, 0o100644 << 16


class NotPackaged(IdleCullerError):
    """The zip cannot be made; the message says why."""


def template() -> str:
    """Return the template that deploys the fleet."""
    return TEMPLATE.read_text(encoding="utf-8")


def build() -> bytes:
    """Return the zip. Nothing in it depends on the time, the user or the compression.

    Raises: NotPackaged.
    """
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(files().items()):
            info = zipfile.ZipInfo(name, _BEGINNING_OF_TIME)
            info.create_system, info.external_attr = _UNIX, _PLAIN_FILE
            archive.writestr(info, content)
    return made.getvalue()


def files() -> dict[str, bytes]:
    """Return what is in the zip, by name. Raises: NotPackaged."""
    found = {_name(path): _read(path) for path in modules()}
    # The package's own __init__ is the server extension's.
    found[f"{_ROOT.name}/__init__.py"] = f'__version__ = "{__version__}"\n'.encode()
    return found | _time_zones()


def modules() -> set[Path]:
    """Return the modules that the handlers need: what they import, and what that imports."""
    found: set[Path] = set()
    todo = [_HANDLERS]
    while todo:
        path = todo.pop()
        if path in found or (path.parent == _ROOT and path.stem == "__init__"):
            continue
        found.add(path)
        todo += [folder / "__init__.py" for folder in path.parents if _ROOT in folder.parents]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                todo += _imported(path, node)
    return found


def _imported(path: Path, node: ast.ImportFrom) -> list[Path]:
    """Return the files that a relative import may name, those that are there."""
    base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
    near = [base, *(base / alias.name for alias in node.names)]
    some = [each.with_suffix(".py") for each in near] + [each / "__init__.py" for each in near]
    return [each for each in some if each.is_file()]


def _name(path: Path) -> str:
    return path.relative_to(_ROOT.parent).as_posix()


def _read(path: Path) -> bytes:
    try:
        return path.read_text(encoding="utf-8").encode()  # line ends as on Linux
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise NotPackaged(message) from None


def _time_zones() -> dict[str, bytes]:
    """Return the time zones of this machine as the package ``tzdata`` that zoneinfo looks for."""
    found = {"tzdata/__init__.py": b"", "tzdata/zoneinfo/__init__.py": b""}
    for key in sorted(zoneinfo.available_timezones()):
        content = _zone(key)
        if content is not None:
            found[f"tzdata/zoneinfo/{key}"] = content
            for folder in Path(key).parents:
                found[(Path("tzdata/zoneinfo") / folder / "__init__.py").as_posix()] = b""
    return found


def _zone(key: str) -> bytes | None:
    for folder in zoneinfo.TZPATH:
        path = Path(folder, key)
        if path.is_file():
            return path.read_bytes()
    try:
        return resources.files("tzdata").joinpath("zoneinfo", *key.split("/")).read_bytes()
    except (ImportError, OSError):
        return None
