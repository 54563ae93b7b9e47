"""Steps over meanings through the command line: what is embedded, kept, found again, and refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.embedding_server import EmbeddingServer
from tests.support.minilm import MINILM, needs_minilm
from tests.support.project import Project
from tests.support.server import Body, prompt_of

DREAMFILE = """
    model teacher: "openai/test"
        base_url: "{url}"

    model letters: "openai/letters"
        base_url: "{url}"

    rule all:
        input: "data/answers", "data/others"

    rule questions:
        output: "data/questions"
        load: "questions.csv"

    rule notes:
        output: "data/notes/{{name}}"
        load: "{{wildcards.name}}.csv"

    rule answers:
        input:
            questions: "data/questions"
            docs: "data/notes/a"
        output: "data/answers"
        retrieve notes: input.docs
            model: letters
            query: "{{{{ question }}}}"
            text: "{{{{ note }}}}"
            k: 1
        prompt answer:
            model: teacher
            prompt: "{{% for one in notes %}}{{{{ one.note }}}}{{% endfor %}}: {{{{ question }}}}"

    rule others:
        input:
            questions: "data/questions"
            docs: "data/notes/b"
        output: "data/others"
        retrieve notes: input.docs
            model: letters
            query: "{{{{ question }}}}"
            text: "{{{{ note }}}}"
            k: 1
"""


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with EmbeddingServer(answer=lambda body: f"to {prompt_of(body)}") as server:
        yield server


def project_in(folder: Path, server: EmbeddingServer) -> Project:
    text = DREAMFILE.format(url=server.base_url).replace(
        'load: "{wildcards.name}.csv"', 'load: f"{wildcards.name}.csv"'
    )
    project = Project(folder).write(text)
    project.file("questions.csv", "question\naaab\ncccd\n")
    project.file("a.csv", "note\naaaa\nbbbb\ncccc\n")
    project.file("b.csv", "note\nab\ncd\n")
    return project


def found(project: Project, target: str) -> list[list[str]]:
    return [[one["note"] for one in row["notes"]] for row in project.rows(target)]


def indexes(project: Project) -> list[Path]:
    return sorted(folder for folder in (project.root / ".dreammake/indexes").glob("*/*") if folder.is_dir())


def test_two_corpora_with_one_model_never_mix_and_each_text_is_embedded_once(
    tmp_path: Path, server: EmbeddingServer
) -> None:
    project = project_in(tmp_path, server)
    assert "how many prompts is not known yet" in project.ok("-n").out
    assert (server.embedded, server.count) == ([], 0)
    project.ok("-j1")
    assert found(project, "data/answers") == [["aaaa"], ["cccc"]]
    assert found(project, "data/others") == [["ab"], ["cd"]]
    assert sorted(server.prompts) == ["aaaa: aaab", "cccc: cccd"]
    assert sorted(server.embedded) == sorted(["aaab", "cccd", "aaaa", "bbbb", "cccc", "ab", "cd"])
    assert project.built() == []

    made = indexes(project)
    assert len(made) == 2
    project.file("questions.csv", "question\naaab\ndddd\n")
    project.ok("-j1")
    assert found(project, "data/others") == [["ab"], ["cd"]]
    assert server.embedded[7:] == ["dddd"]
    assert indexes(project) == made, "the same corpus: its index is found again"

    project.file("a.csv", "note\naaaa\nbbbb\ndd\n")
    project.ok()
    assert found(project, "data/answers") == [["aaaa"], ["dd"]]
    assert server.embedded[8:] == ["dd"], "one row of the corpus was edited"
    assert len(indexes(project)) == 2 and indexes(project) != made
    assert server.prompts[3:] == ["dd: dddd"], "the other row has the same note as before"


def test_a_dry_run_counts_the_prompts_that_follow(tmp_path: Path, server: EmbeddingServer) -> None:
    project = project_in(tmp_path, server)
    project.ok("data/questions", "data/notes/a", "data/notes/b")
    assert "at most 2 prompts" in project.ok("-n").out
    project.ok("-j1")
    project.edit("{{ one.note }}", "{{ one.note.upper() }}")
    assert "2 prompts to run" in project.ok("-n").out
    assert server.count == 2
    project.ok()
    project.ok("-F", "--offline", "data/answers")
    assert (server.count, len(server.embedded)) == (4, 7)


def test_cache_gc_keeps_vectors(tmp_path: Path, server: EmbeddingServer) -> None:
    project = project_in(tmp_path, server)
    project.ok("-j1")
    project.ok("cache", "gc")
    project.ok("-F")
    assert len(server.embedded) == 7


def test_embed_asks_for_the_one_text_that_is_new(tmp_path: Path, server: EmbeddingServer) -> None:
    project = Project(tmp_path).write(
        f"""
        model letters: "openai/letters"
            base_url: "{server.base_url}"
            concurrency: 2

        rule all:
            output: "data/vectors"
            load: "texts.csv"
            embed v:
                model: letters
                text: "{{{{ text }}}}"
            similarity one:
                vectors: ["v", "v"]
        """
    )
    project.file("texts.csv", "text\n" + "".join(f"{'ab' * number}\n" for number in range(1, 300)))
    project.ok()
    assert len(server.embedded) == 299
    assert project.rows("data/vectors")[2]["v"][:3] == [3.0, 3.0, 0.0]
    assert project.rows("data/vectors")[2]["one"] == pytest.approx(1)
    project.edit("\nabab\n", "\ncccc\n", "texts.csv")
    project.ok()
    assert server.embedded[299:] == ["cccc"]
    project.edit("concurrency: 2", "concurrency: 3")
    assert project.plan() == {"data/vectors": "fresh"}
    project.edit('"openai/letters"', '"openai/others"')
    [reason] = project.reasons("data/vectors")
    assert (reason["kind"], reason["where"]) == ("model", "embed v.model")


def test_a_default_model_is_not_for_vectors(tmp_path: Path, server: EmbeddingServer) -> None:
    project = project_in(tmp_path, server)
    text = (tmp_path / "Dreamfile").read_text()
    poet = 'model poet: "x"\n    engine: "scripted"\n\ndefaults:\n    model: poet\n\n'
    (tmp_path / "Dreamfile").write_text(poet + text)
    project.ok("data/others")
    project.edit("        model: letters\n", "")
    assert "error[missing-option]: texts are compared by a `model`" in project.run("-n").err


MISTAKES = [
    ('query: "{{ question }}"', 'query: "{{ qestion }}"', "unknown-column", "did you mean `question`?"),
    ('text: "{{ note }}"', 'text: "{{ noet }}"', "unknown-column", "which data/notes/a does not have"),
    ("model: letters", "model: teacher(concurrency=0)", "out-of-range", "at least 1"),
    ("k: 1", "k: 0", "out-of-range", "`k` is at least 1"),
    ("k: 1", 'method: "bm25"', "conflicting-options", "`model` makes vectors"),
    ("k: 1", 'score: "note"', "duplicate-column", "two columns `note`"),
    ("k: 1", 'columns: ["noet"]', "unknown-column", "did you mean `note`?"),
    ("retrieve notes: input.docs", "retrieve: input.docs", "missing-name", "needs the name of a column"),
]


@pytest.mark.parametrize(("old", "new", "code", "words"), MISTAKES)
def test_mistakes_are_found_before_anything_is_embedded(
    tmp_path: Path, server: EmbeddingServer, old: str, new: str, code: str, words: str
) -> None:
    project = project_in(tmp_path, server)
    project.ok("data/questions", "data/notes/a", "data/notes/b")
    project.edit(old, new)
    wrong = project.run("-n")
    assert wrong.code == 2
    assert f"error[{code}]" in wrong.err and words in wrong.err
    assert server.embedded == []


CHAIN = """
    rule all:
        input: "data/good"

    rule good:
        output: "data/good"
        load: "rows.csv"
        decontaminate: "data/exam"
            text: "{{ text }}"
            of: "{{ question }}"
            n: 3
        dedup: "text"
            method: "minhash"
        validate:
            rows:
                at_least: 2
            length:
                text:
                    at_most: 30

    rule exam:
        output: "data/exam"
        rows: [{"question": "the sea is salt"}]
"""


def test_a_gate_that_is_shut_fails_the_build_with_a_table(tmp_path: Path) -> None:
    project = Project(tmp_path).write(CHAIN)
    project.file("rows.csv", "text\nthe sea is wide\nwhy do otters sleep\nWhy do otters sleep?\n")
    shut = project.run()
    assert shut.code == 1
    assert "error[quality-gate]: the rows are not as good as they have to be: rows" in shut.out
    assert "rows              1           at least 2  off" in shut.out
    assert not (tmp_path / "data/good").exists()
    project.edit("why do otters sleep\n", "why do otters sleep\nan otter\n", "rows.csv")
    project.ok()
    assert [row["text"] for row in project.rows("data/good")] == ["why do otters sleep", "an otter"]
    project.edit("the sea is salt", "do otters sleep")
    project.edit("at_least: 2", "at_least: 1")
    assert project.built() == ["data/exam", "data/good"]
    assert [row["text"] for row in project.rows("data/good")] == ["the sea is wide", "an otter"]


CLASSIFY = """
    model teacher: "openai/test"
        base_url: "{url}"
        temperature: 0

    rule all:
        output: "data/moods"
        load: "texts.csv"
        classify mood:
            model: teacher
            text: "{{{{ text }}}}"
            labels: ["Good", "not good"]
            system: "You know films."
"""
SAID = {"joy": "**good**.", "dull": "Label: Not good, because", "odd": "It may be good or not good."}


def say(body: Body) -> str:
    return next(said for word, said in SAID.items() if word in prompt_of(body))


def test_a_model_chooses_a_label_and_what_cannot_be_read_is_null(tmp_path: Path) -> None:
    with EmbeddingServer(answer=say) as server:
        project = Project(tmp_path).write(CLASSIFY.format(url=server.base_url))
        project.file("texts.csv", 'text\na joy\ndull\nodd\n""\na joy\n')
        assert "3 prompts to run" in project.ok("-n").out
        project.ok()
        assert [row["mood"] for row in project.rows("data/moods")] == ["Good", "not good", None, None, "Good"]
        asked: list[Any] = server.requests[0]["messages"]
        assert asked[0] == {"role": "system", "content": "You know films."}
        assert asked[1]["content"].endswith("Answer with one of these labels: Good, not good, and with nothing else.")
        [error] = project.ok("show", "data/moods", "--errors", "--json").document["errors"]
        assert (error["row"], error["code"]) == (2, "unclear-answer")
        before = server.count
        assert project.built() == []
        project.ok("-F")
        assert server.count == before, "an answer that cannot be read is kept, too"
        for old, new, code in (
            ('labels: ["Good", "not good"]', "", "missing-option"),
            ('labels: ["Good", "not good"]', 'labels: ["Good", "good "]', "wrong-argument"),
            ('system: "You know films."', 'score: "sure"', "conflicting-options"),
        ):
            text = (tmp_path / "Dreamfile").read_text()
            project.edit(old, new)
            assert f"error[{code}]" in project.run("-n").err
            (tmp_path / "Dreamfile").write_text(text)


MEANINGS = """
    model minilm: "{minilm}"
        engine: "sentence-transformers"

    rule notes:
        output: "data/notes"
        rows: [
            {{"note": "Sodium chloride is washed out of rocks into the ocean."}},
            {{"note": "Otters hold hands in their sleep."}},
            {{"note": "Stock prices fell sharply."}},
            {{"note": "In their sleep, otters hold each other's paws."}},
        ]

    rule clean:
        input: "data/notes"
        output: "data/clean"
        dedup: "note"
            method: "embedding"
            model: minilm
            threshold: 0.8
        embed vector:
            model: minilm
            text: "{{{{ note }}}}"

    rule all:
        input:
            questions: "data/questions"
            notes: "data/clean"
        output: "data/found"
        retrieve notes: input.notes
            model: minilm
            query: "{{{{ question }}}}"
            text_vectors: "vector"
            k: 2
        map best: notes[0]["note"]
        similarity likeness:
            model: minilm
            texts: ["{{{{ question }}}}", "{{{{ best }}}}"]

    rule questions:
        output: "data/questions"
        rows: [{{"question": "Why is the sea salty?"}}, {{"question": "How do otters rest?"}}]
"""


@pytest.mark.slow
@needs_minilm
def test_meanings_are_found_by_a_real_model(tmp_path: Path) -> None:
    project = Project(tmp_path).write(MEANINGS.format(minilm=MINILM))
    project.ok()
    assert [row["note"].split()[0] for row in project.rows("data/clean")] == ["Sodium", "Otters", "Stock"]
    rows = project.rows("data/found")
    assert [row["best"].split()[0] for row in rows] == ["Sodium", "Otters"]
    assert [row["likeness"] for row in rows] == pytest.approx([row["notes"][0]["score"] for row in rows], abs=1e-5)
    assert list(rows[0]["notes"][0]) == ["note", "score"]
    assert project.built() == []
