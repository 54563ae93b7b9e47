"""Fingerprints of a user's Python function, and of all in the project that it uses. Nothing is run: the source is read.

A name in a function's body is looked up in its module: a function, a class, a constant, or something imported. What
comes from a file of the project is followed; what comes from elsewhere (the standard library, a package) is not.
Comments, docstrings and layout count for nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from dreammake.core import fingerprint
from dreammake.core.options import Wrong
from dreammake.core.spelling import did_you_mean, nearest
from dreammake.plan.python_module import DEFINITIONS, PythonModule, imported, shape

_WHOLE = "*"
"""Stands for all of a module, where it is used as a value."""


def function_fingerprint(project: Path, reference: str) -> dict[str, str]:
    """The fingerprint of the source behind `file.py:function`, and of each thing in the project that it uses:
    `{"steps.py:clean": "…", "steps.py:LIMIT": "…", "lib/text.py:squeeze": "…"}`.

    Raises Wrong: no such file or function, a path that leaves the project, Python that does not parse.
    """
    file, name = _parts(reference)
    walk = _Walk(project.resolve())
    module = walk.module(file)
    if name not in module.statements and name not in module.imports:
        functions = [key for key, found in module.statements.items() if isinstance(found[0], DEFINITIONS)]
        hint = did_you_mean(name, functions)
        raise Wrong(f"`{file}` has no function `{name}`", hint, "no-such-function")
    walk.follow(file, name)
    return dict(sorted(walk.found.items()))


def function_parameters(project: Path, reference: str) -> tuple[str, ...] | None:
    """The names of a function's parameters, without `*args` and `**kwargs`; None where it is not defined in its file.
    Raises Wrong as `function_fingerprint`."""
    found = _definition(project, reference)
    if found is None:
        return None
    arguments = found.args
    return tuple(one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs))


def required_parameters(project: Path, reference: str) -> tuple[str, ...] | None:
    """Those without a default; None where it is not defined in its file, or where a decorator may change them. Raises
    Wrong as `function_fingerprint`."""
    found = _definition(project, reference)
    if found is None or found.decorator_list:
        return None
    arguments = found.args
    by_place = [*arguments.posonlyargs, *arguments.args]
    by_name = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    required = by_place[: len(by_place) - len(arguments.defaults)]
    return tuple(one.arg for one in (*required, *(one for one, default in by_name if default is None)))


def accepts(project: Path, reference: str, name: str) -> bool:
    """May the function be given an argument of that name? True where the source does not tell. Raises Wrong as
    `function_fingerprint`."""
    found = _definition(project, reference)
    if found is None or found.decorator_list or found.args.kwarg is not None:
        return True
    return any(one.arg == name for one in (*found.args.args, *found.args.kwonlyargs))


def files_behind(project: Path, reference: str) -> list[str]:
    """The files of the project that Python reads to import the one of `file.py:function`: itself, what it imports, what
    those import. Raises Wrong as `function_fingerprint`."""
    walk = _Walk(project.resolve())
    found: dict[str, None] = {}
    waiting = [_parts(reference)[0]]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found[file] = None
            waiting += walk.imports_of(file)
    return list(found)


def _definition(project: Path, reference: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    file, name = _parts(reference)
    found = _Walk(project.resolve()).module(file).statements.get(name, [])
    last = found[-1] if found else None
    return last if isinstance(last, ast.FunctionDef | ast.AsyncFunctionDef) else None


def _parts(reference: str) -> tuple[str, str]:
    file, _, name = reference.rpartition(":")
    if not file or not name:
        raise Wrong(f"`{reference}` is no function", 'write it as "file.py:function"', "no-such-function")
    return file, name


class _Walk:
    """Follows names from one function through the files of a project."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.found: dict[str, str] = {}
        self._modules: dict[str, PythonModule] = {}
        self._seen: set[tuple[str, str]] = set()

    def follow(self, file: str, name: str) -> None:
        waiting = [(file, name)]
        while waiting:
            place = waiting.pop()
            if place not in self._seen:
                self._seen.add(place)
                waiting.extend(self._uses(*place))

    def module(self, file: str) -> PythonModule:
        """The parsed file. Raises Wrong."""
        if file not in self._modules:
            path = (self.project / file).resolve()
            if not path.is_relative_to(self.project):
                raise Wrong(f"`{file}` is not in the project", "move it there", "outside-project")
            try:
                tree = ast.parse(path.read_bytes(), filename=file)
            except OSError:
                siblings = [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
                near = nearest(path.name, siblings)
                hint = f"did you mean `{Path(file).with_name(near)}`?" if near else ""
                raise Wrong(f"the file `{file}` does not exist", hint, "no-such-file") from None
            except (SyntaxError, ValueError) as error:
                line = getattr(error, "lineno", None) or 1
                raise Wrong(f"{file}:{line}: {getattr(error, 'msg', error)}", "", "bad-python") from None
            self._modules[file] = PythonModule(file, tree)
        return self._modules[file]

    def imports_of(self, file: str) -> Iterator[str]:
        """The project's files that a file imports anywhere, with the packages that they stand in."""
        module = self.module(file)
        for node in ast.walk(ast.parse((self.project / file).read_bytes())):
            match node:
                case ast.Import(names=aliases):
                    names = [(0, alias.name) for alias in aliases]
                case ast.ImportFrom(module=other, names=aliases, level=level):
                    names = [(level, ".".join(filter(None, (other, alias.name)))) for alias in aliases]
                case _:
                    continue
            for level, name in names:
                parts = name.split(".")
                for end in range(len(parts) + 1):
                    path = self._file_of(module, level, ".".join(parts[:end])) if end or level else None
                    if path is not None:
                        yield path

    def _uses(self, file: str, name: str) -> Iterator[tuple[str, str]]:
        """What one name uses; its own fingerprint is noted on the way."""
        module = self.module(file)
        if name == _WHOLE:
            yield from ((file, one) for one in (*module.statements, *module.imports))
            return
        statements = module.statements.get(name, [])
        if statements:
            self.found[f"{file}:{name}"] = fingerprint.of_value([shape(statement) for statement in statements])
            for statement in statements:
                yield from self._names_in(module, statement)
        if name in module.imports:
            yield from self._imported(module, *module.imports[name])
        elif not statements:
            for level, other in module.stars:
                path = self._file_of(module, level, other)
                if path is not None:
                    yield path, name

    def _names_in(self, module: PythonModule, statement: ast.stmt) -> Iterator[tuple[str, str]]:
        known: set[int] = set()
        """Names of modules of which just one thing is used."""
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and id(node) not in known:
                yield module.file, node.id
            elif isinstance(node, ast.Attribute):
                for place, root in self._attribute(module, node):
                    known.add(id(root))
                    yield place
            elif isinstance(node, ast.Import | ast.ImportFrom):
                for local, level, other, name in imported(node):
                    yield from self._imported(module, level, other, _WHOLE if local == "*" else name)

    def _attribute(self, module: PythonModule, node: ast.Attribute) -> Iterator[tuple[tuple[str, str], ast.Name]]:
        """`package.module.name`, where that is a file of the project, with the node of its first name."""
        chain = [node.attr]
        value = node.value
        while isinstance(value, ast.Attribute):
            chain.append(value.attr)
            value = value.value
        if not isinstance(value, ast.Name) or value.id not in module.imports:
            return
        level, other, name = module.imports[value.id]
        path = [*filter(None, [other, name]), *reversed(chain)]
        for cut in range(len(path) - 1, 0, -1):
            file = self._file_of(module, level, ".".join(path[:cut]))
            if file is not None:
                yield (file, path[cut]), value
                return

    def _imported(self, module: PythonModule, level: int, other: str, name: str | None) -> Iterator[tuple[str, str]]:
        """What an imported name stands for: a thing in a module, a module in a package, or a module itself."""
        inner = self._file_of(module, level, f"{other}.{name}".strip(".")) if name not in (None, _WHOLE) else None
        if inner is not None:
            yield inner, _WHOLE
            return
        file = self._file_of(module, level, other)
        if file is not None:
            yield file, name or _WHOLE

    def _file_of(self, module: PythonModule, level: int, name: str) -> str | None:
        """The project's file that is the module of this name, as seen from another module of it."""
        here = (self.project / module.file).parent
        roots = [here, self.project] if level == 0 else [[here, *here.parents][level - 1]]
        for root in roots:
            base = root.joinpath(*name.split(".")) if name else root
            for path in (base.with_suffix(".py") if name else base / "__init__.py", base / "__init__.py"):
                if path.is_file() and path.resolve().is_relative_to(self.project):
                    return path.resolve().relative_to(self.project).as_posix()
        return None
