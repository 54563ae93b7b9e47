"""The docs as a site: every page is in the navigation, links lead to pages, and Dreamfiles have their colours."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
BY_ITSELF = {"reference", "design"}
"""Folders whose pages the hook puts into the navigation."""
LINK = re.compile(r"\]\((?!https?://)([^)#\s]+)")


def pages_of(entries: Any) -> Iterator[str]:
    match entries:
        case str():
            yield entries
        case list():
            for entry in entries:
                yield from pages_of(entry)
        case dict():
            yield from pages_of(list(entries.values()))


def test_every_page_is_in_the_navigation() -> None:
    navigation = yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text())["nav"]
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    here = {page for page in pages if page.split("/")[0] not in BY_ITSELF}
    assert here == {page for page in pages_of(navigation) if page.split("/")[0] not in BY_ITSELF}


@pytest.mark.parametrize("page", [REPOSITORY / "README.md", *sorted(DOCS.rglob("*.md"))], ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)
    links = set(LINK.findall(re.sub(r"`[^`]*`", "", prose)))
    assert {link for link in links if not (page.parent / link).exists()} == set()


def test_the_colours_know_every_example(monkeypatch: pytest.MonkeyPatch) -> None:
    import pygments

    monkeypatch.syspath_prepend(str(DOCS / "theme"))
    monkeypatch.delitem(sys.modules, "dreamfile_lexer", raising=False)
    from dreamfile_lexer import DreamfileLexer

    text = (REPOSITORY / "Dreamfile.example").read_text()
    found = list(pygments.lex(text, DreamfileLexer()))
    assert "".join(word for _, word in found) == text
    assert not [word for kind, word in found if "Error" in str(kind)]
    rules = re.findall(r"^rule (\w+):", text, re.M)
    assert [word for kind, word in found if str(kind) == "Token.Name.Class"][-len(rules) :] == rules


@pytest.mark.parametrize("page", sorted(DOCS.glob("**/*.md")), ids=lambda page: page.name)
def test_the_python_of_a_page_is_valid_and_imports_what_is_there(page: Path) -> None:
    for text in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.S | re.M):
        tree = ast.parse(text)
        found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        for node in found:
            if node.module is not None and node.module.split(".")[0] == "dreammake":
                module = importlib.import_module(node.module)
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def test_the_step_of_the_plug_in_page_is_that_of_the_example() -> None:
    [shown] = re.findall(r"^```python\n(.*?)^```", (DOCS / "plugins.md").read_text(), re.S | re.M)
    example = (REPOSITORY / "examples/plugin/dreammake_letters.py").read_text()
    body = [line.strip() for line in shown.splitlines() if line.strip() and not line.strip().startswith("def ")]
    assert [line for line in body if line not in example and not line.startswith('"""')] == []
