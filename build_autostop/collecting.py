"""Modules put into one namespace, and of them what `main` reaches."""

from __future__ import annotations

import ast
from pathlib import Path


class BundleError(Exception):
    """The modules cannot stand in one file as they are; the message says which names clash."""


class Bundle:
    """Collects modules in one namespace."""

    def __init__(self) -> None:
        self.globals: dict[str, dict[str, str]] = {}
        self._taken: set[str] = set()
        self._body: list[ast.stmt] = []
        self._imports: dict[str, ast.stmt] = {}

    def add(self, name: str, text: str) -> None:
        """Add a module; those that it imports from must have been added. Raises: BundleError."""
        tree = ast.parse(text)
        own: dict[str, str] = {}
        for node in tree.body:
            for bound in names_bound_by(node):
                final = bound if bound not in self._taken else f"{bound}_{Path(name).name}"
                own[bound] = final
                self._taken.add(final)
        self.globals[name] = own
        names, modules = dict(own), dict[str, str]()
        body = []
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.level:
                self.imported(name, node, names, modules)
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
                nothing = ast.Return() if isinstance(block, ast.FunctionDef) else ast.Pass()
                body[:] = [nothing]

    def _is_absent(self, name: str, node: ast.AST) -> bool:
        if not isinstance(node, ast.ImportFrom) or not node.level:
            return False
        folder = name.split("/")[: -node.level]
        wanted = [*folder, *([node.module] if node.module else [one.name for one in node.names])]
        return "/".join(wanted) not in self.globals

    def source(self) -> str:
        """Return what `main` reaches."""
        defined: dict[str, ast.stmt] = {}
        for node in self._body:
            for bound in names_bound_by(node):
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

    def imported(
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
            if whole in self.globals:
                modules[called] = whole
                continue
            origin = "/".join([*parts, *(node.module or "").split(".")])
            names[called] = self.globals[origin][alias.name]

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
        self, bundle: Bundle, where: str, names: dict[str, str], modules: dict[str, str]
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
                ast.Name(self._final(self._bundle.globals[origin][node.attr]), ast.Load()), node
            )
        self.generic_visit(node)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        """Take an import inside a function: a module of the bundle is there already."""
        if node.level:
            self._bundle.imported(self._where, node, self._names, self._modules)
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


def _undocumented(body: list[ast.stmt]) -> list[ast.stmt]:
    return [
        node
        for node in body
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]


def names_bound_by(node: ast.stmt) -> set[str]:
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
