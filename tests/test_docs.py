"""The docs stay true: every Dreamfile in them parses, resolves and plans, and every command that they name is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dreammake.cli.main import COMMANDS
from dreammake.core.diagnostic import DreamError
from dreammake.session.place import Place
from dreammake.session.session import Session

REPOSITORY = Path(__file__).parents[1]
PAGES = [
    REPOSITORY / "README.md",
    *sorted((REPOSITORY / "docs").rglob("*.md")),
    *sorted(REPOSITORY.glob("examples/**/*.md")),
]
FROM_OUTSIDE = {"missing-input", "no-such-file", "no-such-function", "no-dreamfile"}
"""What a fragment may lack: files, and rules that stand elsewhere on the page."""


def blocks() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for number, text in enumerate(re.findall(r"^```dreamfile\n(.*?)^```", page.read_text(), re.S | re.M)):
            yield f"{page.relative_to(REPOSITORY)} block {number + 1}", text


BLOCKS = dict(blocks())


@pytest.mark.parametrize("where", BLOCKS)
def test_every_dreamfile_in_the_docs_plans(tmp_path: Path, where: str) -> None:
    (tmp_path / "Dreamfile").write_text(BLOCKS[where])
    session = Session(Place.at(str(tmp_path), None, None), environment={})
    try:
        session.plan(session.select([]))
    except DreamError as error:
        wrong = [one for one in error.diagnostics if one.code not in FROM_OUTSIDE]
        assert wrong == [], where


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_command_that_a_page_shows_is_there(page: Path) -> None:
    text = page.read_text()
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
    shown = {word for block in blocks for word in re.findall(r"^(?:\$ )?dreammake ([a-z]+)(?= |$)", block, re.M)}
    rules = set(re.findall(r"^rule (\w+):", text, re.M))
    assert shown - {*COMMANDS, *rules, "all"} == set()


def test_the_readme_names_every_command() -> None:
    text = (REPOSITORY / "README.md").read_text()
    missing = [word for word in COMMANDS if word != "build" and not re.search(rf"`(dreammake )?{word}\b", text)]
    assert missing == []
