"""The project's own promises: what installing does, and what the layers may know of each other."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "jupyter_idle_culler"
SOURCES = sorted(PACKAGE.rglob("*.py"))
OLD_SYNTAX = sorted(
    path
    for path in SOURCES
    if path.parent.name == "core" or "Python 3.8 syntax" in path.read_text(encoding="utf-8")
)


def name_of(path: Path) -> str:
    """Return a module's path within the package, for the name of a test."""
    return str(path.relative_to(PACKAGE))


def imports_of(path: Path) -> set[str]:
    """Return the absolute names of all modules that a module imports, at the top or inside."""
    package = ["jupyter_idle_culler", *path.relative_to(PACKAGE).parent.parts]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def test_installing_switches_the_extension_on() -> None:
    """The wheel puts a file into etc/jupyter that names the extension; nobody must enable it."""
    switch = ROOT / "jupyter-config/jupyter_server_config.d/jupyter_idle_culler.json"
    assert json.loads(switch.read_text()) == {
        "ServerApp": {"jpserver_extensions": {"jupyter_idle_culler": True}}
    }
    installed = Path(sys.prefix) / "etc/jupyter/jupyter_server_config.d" / switch.name
    assert installed.read_text() == switch.read_text()


@pytest.mark.js214
def test_jupyter_server_finds_and_validates_the_extension(tmp_path: Path) -> None:
    """`jupyter server extension list` says enabled and OK."""
    listed = subprocess.run(
        [sys.executable, "-m", "jupyter", "server", "extension", "list"],
        env={**os.environ, "HOME": str(tmp_path), "JUPYTER_CONFIG_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    text = re.sub(r"\x1b\[[0-9;]*m", "", listed.stdout + listed.stderr)
    assert re.search(r"jupyter_idle_culler\s+enabled", text), text
    assert re.search(r"jupyter_idle_culler\s+\S+\s+OK", text), text


@pytest.mark.parametrize("path", OLD_SYNTAX, ids=name_of)
def test_what_autostop_shares_is_python_3_8(path: Path) -> None:
    """The core, and the modules that say so, parse as 3.8 and evaluate no newer annotation."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=(3, 8))
    statements = [node for node in tree.body if not isinstance(node, ast.Expr)]
    assert not statements or "from __future__ import annotations" in text


def test_the_core_knows_nothing_but_itself_and_the_standard_library() -> None:
    """No clock, no I/O, no traitlets: a decision is a function of its arguments."""
    forbidden = {"asyncio", "datetime", "io", "logging", "os", "pathlib", "random", "time"}
    for path in sorted((PACKAGE / "core").rglob("*.py")):
        for name in imports_of(path):
            top = name.partition(".")[0]
            inside = name.startswith("jupyter_idle_culler.core")
            assert inside or (top in sys.stdlib_module_names and top not in forbidden), (path, name)


def test_sources_and_actions_do_not_know_each_other_nor_what_drives_them() -> None:
    """They import no culler, no app, no API; an action may read the process table."""
    drivers = ("app", "culler", "service", "api", "cli", "actor", "observer", "config")
    shared = ("jupyter_idle_culler.sources.procfs", "jupyter_idle_culler.sources")
    for folder, other in (("sources", "actions"), ("actions", "sources")):
        for path in sorted((PACKAGE / folder).rglob("*.py")):
            for name in imports_of(path):
                parts = name.split(".")
                if parts[0] != "jupyter_idle_culler" or len(parts) == 1:
                    continue
                assert parts[1] not in drivers, (path.name, name)
                if parts[1] == other:
                    assert name.startswith(shared), (path.name, name)


def test_what_speaks_to_aws_knows_nothing_of_the_rest() -> None:
    """`aws` stands on itself, boto3 and the standard library; boto3 is imported inside functions.

    Only the errand is of the server: autostop takes the others as they are.
    """
    for path in sorted((PACKAGE / "aws").rglob("*.py")):
        for name in imports_of(path):
            top = name.partition(".")[0]
            ours = name.startswith("jupyter_idle_culler.aws")
            assert ours or top in sys.stdlib_module_names | {"boto3", "botocore"}, (path, name)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            assert not isinstance(node, ast.Import) or "boto" not in node.names[0].name, path
            assert not isinstance(node, ast.ImportFrom) or "boto" not in (node.module or ""), path
        assert path in OLD_SYNTAX or path.stem in ("errand", "__init__"), path
    environment = imports_of(PACKAGE / "environment.py")
    assert {n for n in environment if n.startswith("jupyter_idle_culler")} == {
        *("jupyter_idle_culler.aws.target", "jupyter_idle_culler.aws.target.APP"),
        *("jupyter_idle_culler.aws.target.NOTEBOOK_INSTANCE",),
        *("jupyter_idle_culler.aws.target.Target",),
    }


def test_the_fleet_runs_without_jupyter() -> None:
    """AWS Lambda has boto3 and the standard library: nothing else is imported, boto3 late."""
    names = ("fleet", "errors", "_version")  # the version: of the zip that is made here
    ours = tuple(f"jupyter_idle_culler.{name}" for name in names)
    for path in sorted((PACKAGE / "fleet").rglob("*.py")):
        for name in imports_of(path):
            top = name.partition(".")[0]
            aws = top in ("boto3", "botocore")
            assert name.startswith(ours) or aws or top in sys.stdlib_module_names, (path, name)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            assert not isinstance(node, ast.Import) or "boto" not in node.names[0].name, path
            assert not isinstance(node, ast.ImportFrom) or "boto" not in (node.module or ""), path


def test_no_module_is_longer_than_four_hundred_lines_nor_called_utils() -> None:
    """A module is of one thought; a reader finds the room from the name."""
    for path in SOURCES:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path
        assert path.stem not in ("utils", "helpers", "common", "misc")


def test_every_public_object_of_the_package_has_a_docstring() -> None:
    """Modules, classes and functions that do not begin with an underscore say what they are for."""
    bare = []
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes: list[ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef] = [tree]
        nodes += [
            node
            for node in tree.body
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and not node.name.startswith("_")
        ]
        for node in nodes:
            if ast.get_docstring(node) is None:
                bare.append(f"{name_of(path)}: {getattr(node, 'name', 'the module')}")
    assert bare == []


@pytest.mark.js214
def test_importing_the_extension_is_cheap_in_what_it_drags_in(tmp_path: Path) -> None:
    """boto3, psutil, NVML and their like wait until they are used: they cost memory and time."""
    script = "import sys, jupyter_idle_culler.app; print(' '.join(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    loaded = set(ran.stdout.split())
    assert "jupyter_idle_culler.config.idle_culler" in loaded
    costly = {"boto3", "botocore", "jmespath", "numpy", "psutil", "pynvml", "requests"}
    assert loaded & costly == set()


def test_the_version_and_the_licence_are_those_of_the_metadata() -> None:
    """One version, in one place; BSD-3-Clause."""
    import jupyter_idle_culler

    metadata = importlib.metadata.metadata("jupyter_idle_culler")
    assert metadata["Version"] == jupyter_idle_culler.__version__
    assert metadata["License-Expression"] == "BSD-3-Clause"


def test_the_tables_in_the_readme_name_every_trait_and_command() -> None:
    """A trait that nobody can read about does not exist, and none is named that is not there."""
    from jupyter_idle_culler.config.idle_culler import IdleCuller

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("## Configuration")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([a-z_]+)`", "\n".join(re.findall(r"^\| (.*?) \|", table, re.M))))
    assert named == set(IdleCuller.class_trait_names(config=True))


def test_the_project_file_gives_a_reason_beside_every_lint_exception() -> None:
    """An exception without a reason is one nobody will dare to take back."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    ignored = text.partition("[tool.ruff.lint]")[2].partition("\nignore = [")[2].partition("\n]")[0]
    entries = [line for line in ignored.splitlines() if line.strip()]
    assert entries
    for entry in entries:
        assert re.search(r'"[A-Z]+\d+",\s+# \w', entry), entry
