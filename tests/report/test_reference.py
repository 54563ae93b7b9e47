from __future__ import annotations

from pathlib import Path

from dreammake.core.catalog import Catalog
from dreammake.core.options import Expression, Float, Int, OptionSet, Str, Text
from dreammake.core.step import Step
from dreammake.report.error_index import error_index
from dreammake.report.reference import every, main, page, pages, reference

DOCS = Path(__file__).parents[2] / "docs"


class Shorten(Step):
    """Cuts texts. It does more than that,
    says this page.

    A second paragraph.
    """

    named = "column"
    value = "length"
    paper = "map"
    example = """
        rule a:
            output: "data/a"
            rows: [{"x": 1}]
        """

    class Options(OptionSet):
        length = Int("How long | at most.", unit="characters", at_least=1)
        mark = Str("What stands at the cut.", default="…")
        where = Expression("Which rows.", default=None)
        text = Text("The text.", default=None)
        timeout = Float("Longest wait.", unit="s", default=600.0, result=False)


def test_a_page_tells_all_of_a_declaration() -> None:
    assert page("steps", "shorten", Shorten) == (
        "# shorten (step)\n\n"
        "```text\nshorten NAME: LENGTH\n```\n\n"
        "Cuts texts. It does more than that,\nsays this page.\n\nA second paragraph.\n\n"
        "In the DataDreamer paper: map.\n\n"
        "## Options\n\n"
        "| option | takes | default | changes the result | what it is |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| `length` | a whole number, in characters | required | yes | How long \\| at most. |\n"
        '| `mark` | a text | `"…"` | yes | What stands at the cut. |\n'
        "| `where` | an expression over the columns | `None` | yes | Which rows. |\n"
        "| `text` | a text (a template) | `None` | yes | The text. |\n"
        "| `timeout` | a number, in s | `600.0` | no | Longest wait. |\n\n"
        "## Example\n\n"
        '```dreamfile\nrule a:\n    output: "data/a"\n    rows: [{"x": 1}]\n```\n'
    )


def test_the_first_sentence() -> None:
    assert reference("steps", "shorten", Shorten).sentence == "Cuts texts."


def test_everything_in_the_catalog_is_described() -> None:
    for group, name, cls in every(Catalog()):
        found = reference(group, name, cls)
        assert found.sentence, f"{group}/{name} has no docstring"
        assert all(option.doc.strip() for option in found.options), f"{group}/{name} has an option without a sentence"


def test_the_written_pages_are_up_to_date() -> None:
    """If not: `python -m dreammake.report.reference docs/reference`."""
    folder = DOCS / "reference"
    written = {file.relative_to(folder).as_posix(): file.read_text(encoding="utf-8") for file in folder.rglob("*.md")}
    assert written == pages(Catalog())


def test_the_page_of_errors_is_up_to_date() -> None:
    """If not: `python -m dreammake.report.error_index docs/errors.md`."""
    assert (DOCS / "errors.md").read_text(encoding="utf-8") == error_index()


def test_writing_removes_pages_of_what_is_gone(tmp_path: Path) -> None:
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps" / "gone.md").write_text("old")
    main(tmp_path)
    found = {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.md")}
    assert found == set(pages(Catalog()))
