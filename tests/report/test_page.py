"""The pictures and the page of a project, made by the real command line and read as XML and HTML."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.project import Project

DREAMFILE = """
    \"\"\"Words & <numbers>.\"\"\"

    model m: "table"
        engine: "scripted"
        default: "<script>alert(1)</script>"

    rule numbers:
        output: "data/numbers"
        load: "numbers.txt"

    rule told:
        input: "data/numbers"
        output: "data/told"
        prompt answer:
            model: m
            prompt: "Tell of {{ text }} & more."

    rule joined:
        input:
            told: "data/told"
            numbers: "data/numbers"
        output: "out/joined.txt"
        shell: "cat {input} > {output} || echo > {output}"
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path).write(DREAMFILE)
    project.file("numbers.txt", "one\ntwo\nthree\n")
    return project


def boxes(svg: str) -> dict[str, tuple[str, float, float]]:
    """The boxes of a picture: label to (look, x, y)."""
    space = "{http://www.w3.org/2000/svg}"
    found = {}
    for group in ElementTree.fromstring(svg).iter(f"{space}g"):
        rect = group.find(f"{space}rect")
        text = group.find(f"{space}text")
        assert rect is not None
        assert text is not None
        found[str(text.text)] = (str(group.get("class")), float(rect.get("x", 0)), float(rect.get("y", 0)))
    return found


def test_the_picture_puts_each_target_behind_what_it_needs(project: Project) -> None:
    project.ok("data/told")
    project.file("numbers.txt", "four\n")
    found = boxes(project.ok("dag", "--svg", "out/joined.txt").out)
    looks = {label: look for label, (look, _, _) in found.items()}
    assert looks == {"numbers.txt": "source", "data/numbers": "build", "data/told": "follow", "out/joined.txt": "build"}
    left = {label: x for label, (_, x, _) in found.items()}
    assert left["numbers.txt"] < left["data/numbers"] < left["data/told"] < left["out/joined.txt"]


def test_boxes_of_one_layer_do_not_overlap_and_large_graphs_show_rules(tmp_path: Path) -> None:
    project = Project(tmp_path).write(
        """
        rule all:
            input: [f"out/{n}" for n in range(config.n)]

        config:
            n: 12

        rule one:
            output: "out/{n:int}"
            shell: "touch {output}"
        """
    )
    found = boxes(project.ok("dag", "--svg").out)
    rows = sorted(y for label, (_, _, y) in found.items() if label.startswith("out/"))
    assert len(rows) == 12
    assert all(later - earlier >= 40 for earlier, later in pairwise(rows))
    assert set(boxes(project.ok("dag", "--svg", "--config", "n=500").out)) == {"one"}


class Read(HTMLParser):
    """The texts of a page, its tags, and the addresses that it would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [str(value) for name, value in attrs if name in ("src", "href") and value]

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def test_the_page_tells_of_every_target_and_runs_nothing(project: Project) -> None:
    project.ok("out/joined.txt")
    assert project.ok("report", "-o", "page.html", "--rows", "2").out == "wrote page.html\n"
    page = Read((project.root / "page.html").read_text())
    for text in ("Words & <numbers>.", "data/numbers", "data/told", "out/joined.txt", "data/told: 2 rows of 3"):
        assert text in page.texts, text
    assert "Tell of {{ text }} & more." in page.texts
    assert page.texts.count("<script>alert(1)</script>") == 2, "an answer is a text of the page"
    assert "script" not in page.tags
    assert page.loads == []
    assert "svg" in page.tags


def test_a_page_of_what_is_not_built_says_so(project: Project) -> None:
    project.ok("report", "data/told")
    page = Read((project.root / "report.html").read_text())
    assert page.texts.count("not built yet") == 2
    assert "out/joined.txt" not in page.texts
    assert "error[bad-arguments]" in project.run("report", "-o", "no/such/folder.html").err


def test_secrets_are_not_on_the_page(project: Project) -> None:
    project.edit('"Tell of {{ text }}', 'env("MY_API_KEY") + "Tell of {{ text }}')
    project.ok("report", MY_API_KEY="sk-very-secret-1234567")
    assert "sk-very-secret" not in (project.root / "report.html").read_text()
