"""The shortest names for what only one file knows."""

from __future__ import annotations

import ast
import builtins
import collections
import contextlib
import importlib
import inspect
import keyword
import string
import sys

from .collecting import names_bound_by


def terse(text: str) -> str:
    """Give what only this file knows (fields, methods, parameters) the shortest names."""
    module = ast.parse(text)
    _put_in_place(module)
    _fix_order_of_parameters(module)
    _number_members(module)
    foreign = _foreign(module)
    ours = {name for name in _own(module) if name not in foreign and not name.startswith("__")}
    uses: collections.Counter[str] = collections.Counter()
    for node in ast.walk(module):
        uses.update(getattr(node, field, None) or "" for field in ("attr", "arg", "id"))
    free = (f"{a}{b}" for b in ["", *string.ascii_letters] for a in string.ascii_letters)
    names = sorted(ours, key=lambda name: (-uses[name], name))
    short = dict(zip(names, (f for f in free if f not in foreign), strict=False))
    for node in ast.walk(module):
        for field in ("attr", "arg", "id", "name"):
            value = getattr(node, field, None)
            if isinstance(value, str) and value in short:
                setattr(node, field, short[value])
        if isinstance(node, ast.Call):
            node.keywords = [k for k in node.keywords if k.arg not in ("help", "description")]
    return ast.unparse(module)


def _own(module: ast.Module) -> set[str]:
    """Return all names that are made here."""
    found: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef):
            for one in node.body:
                found |= names_bound_by(one)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "self":
                found.add(node.attr)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
    return found.union(*map(names_bound_by, module.body))


def _foreign(module: ast.Module) -> set[str]:
    """Return the names that mean something to others, and so stay."""
    found = set(keyword.kwlist) | set(dir(builtins))
    for kind in (str, bytes, int, float, dict, list, set, tuple, frozenset, BaseException):
        found |= set(dir(kind))
    for node in ast.walk(module):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                found.add(alias.asname or alias.name)
                found |= _known_to(getattr(node, "module", None) or alias.name)
        elif isinstance(node, ast.Constant) and str(node.value).startswith("--"):
            found.add(str(node.value)[2:].replace("-", "_"))  # what argparse makes of an option
        elif isinstance(node, ast.Call) and _is_option(node):
            found |= {word.arg or "" for word in node.keywords}
        elif isinstance(node, ast.FunctionDef) and _is_for_aws(node):
            found |= {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
            found |= {n.arg or "" for n in ast.walk(node) if isinstance(n, ast.keyword)}
    return found


def _put_in_place(module: ast.Module) -> None:
    """Write constants that are used once where they are used."""
    uses = collections.Counter(n.id for n in ast.walk(module) if isinstance(n, ast.Name))
    once = {}
    for node in list(module.body):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, node.value
            pure = all(isinstance(n, _PURE) for n in ast.walk(value))
            if uses[name] == 2 and pure:
                once[name] = value
                module.body.remove(node)

    class Placed(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.AST:
            return once.get(node.id, node)

    Placed().visit(module)


_PURE = (
    ast.Constant,
    ast.BinOp,
    ast.UnaryOp,
    ast.operator,
    ast.unaryop,
    ast.Tuple,
    ast.expr_context,
)


def _is_option(call: ast.Call) -> bool:
    first = call.args[0] if call.args else None
    return isinstance(first, ast.Constant) and str(first.value).startswith("-")


def _is_for_aws(function: ast.FunctionDef) -> bool:
    return any(isinstance(n, ast.Import) and n.names[0].name == "boto3" for n in function.body)


def _number_members(module: ast.Module) -> None:
    """Make the values of enums numbers, where nobody asks for a value."""
    if any(isinstance(node, ast.Attribute) and node.attr == "value" for node in ast.walk(module)):
        return
    for node in module.body:
        if isinstance(node, ast.ClassDef) and [ast.unparse(base) for base in node.bases] == [
            "Enum"
        ]:
            for number, one in enumerate(node.body):
                if isinstance(one, ast.Assign) and isinstance(one.value, ast.Constant):
                    one.value = ast.Constant(number)


def _fix_order_of_parameters(module: ast.Module) -> None:
    """Make parameters that nobody names positional: then they may be called anything."""
    named = {n.arg for n in ast.walk(module) if isinstance(n, ast.keyword)}
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef):
            while node.args.args and node.args.args[0].arg not in named:
                node.args.posonlyargs.append(node.args.args.pop(0))


def _known_to(module: str) -> set[str]:
    """Return the names that a module, its classes and its functions' keywords use."""
    if module.split(".", maxsplit=1)[0] not in sys.stdlib_module_names:
        return set()
    found: set[str] = set()
    imported = importlib.import_module(module)
    for name, value in dict(vars(imported)).items():
        found.add(name)
        if inspect.isclass(value):
            found |= set(dir(value))
        for called in (value, getattr(value, "__init__", value)):
            with contextlib.suppress(TypeError, ValueError):
                found |= set(inspect.signature(called).parameters)
    return found
