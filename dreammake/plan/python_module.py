"""The top level of a Python file, read and not run: what each name is bound to, and what is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_IGNORED = frozenset({"ctx", "type_comment", "kind"})


class PythonModule:
    """One file: its top-level statements by the names that they bind or change, and what it imports."""

    def __init__(self, file: str, tree: ast.Module) -> None:
        self.file = file
        self.statements: dict[str, list[ast.stmt]] = {}
        self.imports: dict[str, tuple[int, str, str | None]] = {}
        """A local name: the level of the import, the module's name, and the name in it (None: the module)."""
        self.stars: list[tuple[int, str]] = []
        for statement in tree.body:
            self._enter(statement, statement)

    def _enter(self, statement: ast.stmt, whole: ast.stmt) -> None:
        """Enter a statement; `whole` is what is fingerprinted for it: the `if` or `try` around it."""
        match statement:
            case ast.Import() | ast.ImportFrom():
                self._enter_import(statement)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                self._bind(name, whole)
            case ast.If() | ast.Try() | ast.For() | ast.While() | ast.With():
                for child in ast.iter_child_nodes(statement):
                    self._enter_nested(child, whole)
                for name in _bound(statement):
                    self._bind(name, whole)
            case _:
                for name in _bound(statement):
                    self._bind(name, whole)

    def _enter_nested(self, node: ast.AST, whole: ast.stmt) -> None:
        if isinstance(node, ast.stmt):
            self._enter(node, whole)
        elif isinstance(node, ast.ExceptHandler):
            for child in node.body:
                self._enter(child, whole)

    def _enter_import(self, statement: ast.Import | ast.ImportFrom) -> None:
        for local, level, module, name in imported(statement):
            if local == "*":
                self.stars.append((level, module))
            else:
                self.imports[local] = level, module, name

    def _bind(self, name: str, statement: ast.stmt) -> None:
        found = self.statements.setdefault(name, [])
        if statement not in found:
            found.append(statement)


def imported(statement: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, int, str, str | None]]:
    """The names that an import binds: local name, level, module, and the name in it (None: the module itself)."""
    if isinstance(statement, ast.ImportFrom):
        for alias in statement.names:
            yield alias.asname or alias.name, statement.level, statement.module or "", alias.name
        return
    for alias in statement.names:
        if alias.asname:
            yield alias.asname, 0, alias.name, None
        else:
            top = alias.name.split(".")[0]
            yield top, 0, top, None


def _bound(statement: ast.stmt) -> Iterator[str]:
    """The names that a top-level statement assigns to, or changes: `X = 1`, `X["a"] = 1`, `X.append(1)`."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield from _root(node)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield from _root(node.value.func)


def _root(node: ast.AST) -> Iterator[str]:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
        if isinstance(node, ast.Name):
            yield node.id


def shape(node: Any) -> Any:
    """A syntax tree as JSON, the same in every version of Python: no places, no docstrings, nothing that is empty."""
    if isinstance(node, ast.AST):
        fields: dict[str, Any] = {"": type(node).__name__}
        for name, value in ast.iter_fields(node):
            if name == "body" and isinstance(node, DEFINITIONS):
                value = _without_docstring(value)
            if name not in _IGNORED and value is not None and value != []:
                fields[name] = shape(value)
        return fields
    if isinstance(node, list):
        return [shape(item) for item in node]
    return node if isinstance(node, str | bool) or node is None else f"{type(node).__name__}:{node!r}"


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest
    return body
