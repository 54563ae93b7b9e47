"""Every error code has a page, and every page a use."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from dreammake.core import codes as codes_package
from dreammake.core.codes import codes, page

_ROOT = Path(codes_package.__file__).parents[2]
_FIRST = {"fail", "Diagnostic", "Failure", "add", "warn"}
"""Calls whose first argument is a code."""


def used_codes() -> dict[str, str]:
    """The codes in the program's own text, each with a place where it is used."""
    found = {}
    for file in sorted(_ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            for value in _code_values(node):
                if isinstance(value, ast.Constant) and isinstance(value.value, str) and _is_code(value.value):
                    found.setdefault(value.value, f"{file.relative_to(_ROOT)}:{value.lineno}")
    return found


def _code_values(node: ast.AST) -> Iterator[ast.expr]:
    """Every expression that stands where a code does: in `fail(...)`, `errors.add(...)`, `code=...`."""
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=args, keywords=keywords):
            if name in _FIRST and args and (name != "add" or len(args) > 1):
                yield from _choices(args[0])
            yield from (choice for word in keywords if word.arg == "code" for choice in _choices(word.value))
        case ast.arguments():
            named = [*node.posonlyargs, *node.args]
            defaults = [*zip(named[len(named) - len(node.defaults) :], node.defaults, strict=True)]
            defaults += zip(node.kwonlyargs, node.kw_defaults, strict=True)
            yield from (value for argument, value in defaults if argument.arg == "code" and value is not None)
        case ast.Assign(targets=[ast.Name(id="code")], value=value):
            yield from _choices(value)


def _choices(value: ast.expr) -> Iterator[ast.expr]:
    if isinstance(value, ast.IfExp):
        yield from _choices(value.body)
        yield from _choices(value.orelse)
    else:
        yield value


def _is_code(text: str) -> bool:
    return re.fullmatch(r"[a-z]+(-[a-z]+)+", text) is not None or text in codes()


def test_every_code_has_a_page() -> None:
    assert {code: place for code, place in used_codes().items() if code not in codes()} == {}


def test_every_page_is_of_a_code_in_use() -> None:
    texts = "\n".join(file.read_text(encoding="utf-8") for file in _ROOT.rglob("*.py"))
    used = used_codes()
    assert [code for code in codes() if code not in used and f'"{code}"' not in texts] == []


def test_pages_have_a_title_and_a_text() -> None:
    for code in codes():
        text = page(code) or ""
        assert re.match(r"# \S.*[^.\s]\n\n\S", text), code
        assert all(len(line) <= 132 for line in text.splitlines()), code


def test_an_unknown_code_has_no_page() -> None:
    assert page("../codes/unknown-column") is None
    assert page("") is None
