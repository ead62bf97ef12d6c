"""Put autostop and what it shares with the extension into one file, small enough for a script.

A lifecycle configuration holds 12,288 bytes. So what is not reached from `main` is left out, the
rest is minified and compressed. Run by the build (see hatch_build.py); by hand:
``python build_autostop.py`` writes the files and says how large they are.
"""

from __future__ import annotations

import ast
import base64
import builtins
import collections
import contextlib
import importlib
import inspect
import keyword
import lzma
import string
import sys
from pathlib import Path

PACKAGE = "jupyter_idle_culler"
BUILT = f"{PACKAGE}/lifecycle/payloads"
_CORE = ("core/model", "core/duration", "core/host")
_SERVER = ("autostop/jupyter_api", "autostop/memory", "autostop/kernels")
_MACHINE = ("sources/procfs", "autostop/machine", "autostop/terminals", "autostop/instance")
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


class BundleError(Exception):
    """The modules cannot stand in one file as they are; the message says which names clash."""


def source(root: Path, environment: str) -> str:
    """Return autostop for one environment as a single readable file. Raises: BundleError."""
    bundle = _Bundle()
    for name in _MODULES[environment]:
        bundle.add(name, (root / PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
    return bundle.source()


def packed(root: Path, environment: str) -> str:
    """Return it minified, compressed (lzma) and written in the letters of base64.b85encode."""
    import python_minifier

    small = python_minifier.minify(
        _terse(source(root, environment)),
        remove_literal_statements=True,
        rename_globals=True,
        preserve_globals=[],
        hoist_literals=False,
        remove_annotations=False,
    )
    best = min(
        (_compressed(_GUARD + small, lc, lp, pb) for lc in (2, 3, 4) for lp in (0,) for pb in (0,)),
        key=len,
    )
    return base64.b85encode(best).decode()


def write(root: Path) -> dict[str, int]:
    """Write the packed files that scripts carry; return their sizes in bytes."""
    sizes = {}
    (root / BUILT).mkdir(parents=True, exist_ok=True)
    for environment in ENVIRONMENTS:
        text = packed(root, environment)
        (root / BUILT / f"{environment}.txt").write_text(text, encoding="ascii")
        sizes[environment] = len(text)
    return sizes


def _compressed(text: str, lc: int, lp: int, pb: int) -> bytes:
    how = {"id": lzma.FILTER_LZMA1, "preset": 9 | lzma.PRESET_EXTREME, "lc": lc, "lp": lp, "pb": pb}
    return lzma.compress(text.encode(), format=lzma.FORMAT_ALONE, filters=[how])


class _Bundle:
    """Collects modules in one namespace."""

    def __init__(self) -> None:
        self._globals: dict[str, dict[str, str]] = {}
        self._taken: set[str] = set()
        self._body: list[ast.stmt] = []
        self._imports: dict[str, ast.stmt] = {}

    def add(self, name: str, text: str) -> None:
        """Add a module; those that it imports from must have been added. Raises: BundleError."""
        tree = ast.parse(text)
        own: dict[str, str] = {}
        for node in tree.body:
            for bound in _bound(node):
                final = bound if bound not in self._taken else f"{bound}_{Path(name).name}"
                own[bound] = final
                self._taken.add(final)
        self._globals[name] = own
        names, modules = dict(own), {}
        body = []
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.level:
                self._import(name, node, names, modules)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                if getattr(node, "module", "") != "__future__":
                    self._keep(node, name)
            else:
                body.append(node)
        for node in body:
            self._leave_out(name, node)
            self._body.append(_Renamed(self, name, names, modules).visit(node))

    def _leave_out(self, name: str, node: ast.AST) -> None:
        """Empty the blocks that import a module of another environment."""
        for block in ast.walk(node):
            body = getattr(block, "body", None)
            if isinstance(body, list) and any(self._is_absent(name, one) for one in body):
                block.body = [ast.Return()] if isinstance(block, ast.FunctionDef) else [ast.Pass()]

    def _is_absent(self, name: str, node: ast.AST) -> bool:
        if not isinstance(node, ast.ImportFrom) or not node.level:
            return False
        folder = name.split("/")[: -node.level]
        wanted = [*folder, *([node.module] if node.module else [one.name for one in node.names])]
        return "/".join(wanted) not in self._globals

    def source(self) -> str:
        """Return what `main` reaches."""
        defined: dict[str, ast.stmt] = {}
        for node in self._body:
            for bound in _bound(node):
                defined[bound] = node
        used, todo = set(), ["main"]
        wanted: set[int] = set()
        while todo:
            found = todo.pop()
            if found in used:
                continue
            used.add(found)
            if found in defined and id(defined[found]) not in wanted:
                wanted.add(id(defined[found]))
                todo += [n.id for n in ast.walk(defined[found]) if isinstance(n, ast.Name)]
        kept = [node for node in self._body if id(node) in wanted]
        imports = [node for alias, node in self._imports.items() if alias in used]
        module = ast.fix_missing_locations(ast.Module([*imports, *kept], []))
        _drop_unused_methods(module)
        return ast.unparse(module) + "\nsys.exit(main())\n"

    def _import(
        self,
        into: str,
        node: ast.ImportFrom,
        names: dict[str, str],
        modules: dict[str, str],
    ) -> None:
        parts = into.split("/")[: -node.level]
        for alias in node.names:
            called = alias.asname or alias.name
            whole = "/".join([*parts, *(node.module or "").split("."), alias.name]).replace(
                "//", "/"
            )
            if whole in self._globals:
                modules[called] = whole
                continue
            origin = "/".join([*parts, *(node.module or "").split(".")])
            names[called] = self._globals[origin][alias.name]

    def _keep(self, node: ast.Import | ast.ImportFrom, where: str) -> None:
        for alias in node.names:
            called = alias.asname or alias.name.split(".")[0]
            one: ast.stmt = ast.Import([alias])
            if isinstance(node, ast.ImportFrom):
                one = ast.ImportFrom(node.module, [alias], 0)
            known = self._imports.setdefault(called, one)
            if ast.dump(known) != ast.dump(one) or called in self._taken:
                msg = f"{where}: {called} means two things"
                raise BundleError(msg)


class _Renamed(ast.NodeTransformer):
    """Rewrites one module for the common namespace: no annotations, no docstrings, final names."""

    def __init__(
        self, bundle: _Bundle, where: str, names: dict[str, str], modules: dict[str, str]
    ) -> None:
        self._bundle, self._where, self._names, self._modules = bundle, where, names, modules
        self._locals: list[set[str]] = []

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if any(node.id in scope for scope in self._locals):
            return node
        return ast.copy_location(
            ast.Name(self._final(self._names.get(node.id, node.id)), node.ctx), node
        )

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        value = node.value
        if isinstance(value, ast.Name) and value.id in self._modules:
            origin = self._modules[value.id]
            return ast.copy_location(
                ast.Name(self._final(self._bundle._globals[origin][node.attr]), ast.Load()), node
            )
        self.generic_visit(node)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        """Take an import inside a function: a module of the bundle is there already."""
        if node.level:
            self._bundle._import(self._where, node, self._names, self._modules)
            return ast.Pass()
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        if not self._locals and not self._in_class:
            node.name = self._names.get(node.name, node.name)
        node.returns = None
        everything = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        everything += [a for a in (node.args.vararg, node.args.kwarg) if a]
        for argument in everything:
            argument.annotation = None
        bound = {a.arg for a in everything}
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                bound.add(inner.id)
            if isinstance(inner, ast.ExceptHandler) and inner.name:
                bound.add(inner.name)
        node.args.defaults = [self.visit(d) for d in node.args.defaults]
        node.args.kw_defaults = [d and self.visit(d) for d in node.args.kw_defaults]
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        self._locals.append(bound)
        was, self._in_class = self._in_class, False
        body = [self.visit(one) for one in _undocumented(node.body)]
        node.body = [one for one in body if one is not None] or [ast.Pass()]
        self._in_class = was
        self._locals.pop()
        return node

    _in_class = False

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.name = self._names.get(node.name, node.name)
        node.bases = [self.visit(base) for base in node.bases]
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        was, self._in_class = self._in_class, True
        node.body = [self._member(one) for one in _undocumented(node.body)] or [ast.Pass()]
        self._in_class = was
        return node

    def _member(self, node: ast.stmt) -> ast.stmt:
        """Keep the fields of tuples and dataclasses: their order matters, their types do not."""
        if isinstance(node, ast.AnnAssign):
            node.annotation = ast.Name("int", ast.Load())
            node.value = node.value and self.visit(node.value)
            return node
        if isinstance(node, ast.Assign):
            node.value = self.visit(node.value)
            return node
        visited: ast.stmt = self.visit(node)
        return visited

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        target = self.visit(node.target)
        if node.value is None:
            return ast.Pass()
        return ast.copy_location(ast.Assign([target], self.visit(node.value)), node)

    def _final(self, name: str) -> str:
        if any(name in scope for scope in self._locals):
            msg = f"{self._where}: a local {name} hides what the bundle calls so"
            raise BundleError(msg)
        return name


def _drop_unused_methods(module: ast.Module) -> None:
    """Take out methods that nothing calls: their names are nowhere else."""
    while True:
        used = {node.attr for node in ast.walk(module) if isinstance(node, ast.Attribute)}
        dropped = False
        for node in module.body:
            if isinstance(node, ast.ClassDef):
                kept = [
                    one
                    for one in node.body
                    if not isinstance(one, ast.FunctionDef)
                    or one.name in used
                    or one.name.startswith("__")
                ]
                dropped = dropped or len(kept) < len(node.body)
                node.body = kept or [ast.Pass()]
        if not dropped:
            return


def _terse(text: str) -> str:
    """Give what only this file knows (fields, methods, parameters) the shortest names."""
    module = ast.parse(text)
    _put_in_place(module)
    _fix_order_of_parameters(module)
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
                found |= _bound(one)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "self":
                found.add(node.attr)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
    return found.union(*map(_bound, module.body))


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
        for called in (value, getattr(value, "__init__", None)):
            with contextlib.suppress(TypeError, ValueError):
                found |= set(inspect.signature(called).parameters)
    return found


def _undocumented(body: list[ast.stmt]) -> list[ast.stmt]:
    return [
        node
        for node in body
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]


def _bound(node: ast.stmt) -> set[str]:
    """Return the names that a statement of a module binds."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.If | ast.Try):
        found = {
            n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        }
        for inner in ast.walk(node):
            if isinstance(inner, ast.Import):
                found |= {alias.asname or alias.name for alias in inner.names}
        return found
    return set()


if __name__ == "__main__":
    for environment, size in write(Path(__file__).parent).items():
        sys.stdout.write(f"{environment}: {size:,} bytes\n")
