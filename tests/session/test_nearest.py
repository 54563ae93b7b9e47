"""Examples and context that are picked for each row by the likeness of texts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.embedding_server import EmbeddingServer
from tests.support.project import Project
from tests.support.server import Body, prompt_of

DREAMFILE = """
    model teacher: "openai/test"
        base_url: "{url}"

    model letters: "openai/letters"
        base_url: "{url}"

    rule answers:
        input:
            rows: "data/questions"
            shots: "data/shots"
        output: "data/answers"
        prompt answer:
            model: teacher
            prompt: "Q: {{{{ question }}}}"
            examples: nearest(input.shots, k=2, text="{{{{ question }}}}", model=letters)

    rule all:
        input: "data/answers"

    rule questions:
        output: "data/questions"
        load: "questions.csv"

    rule shots:
        output: "data/shots"
        load: "shots.csv"
"""
SHOTS = ["aaa", "bbb", "aab", "ccc"]


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with EmbeddingServer(answer=lambda body: f"to {prompt_of(body)}") as server:
        yield server


def project_in(folder: Path, server: EmbeddingServer) -> Project:
    project = Project(folder).write(DREAMFILE.format(url=server.base_url))
    project.file("shots.csv", "question,answer\n" + "".join(f"{text},to {text}\n" for text in SHOTS))
    project.file("questions.csv", "question\naaaa\nbb\n")
    project.ok("data/questions", "data/shots")
    return project


def said(body: Body) -> list[str]:
    return [message["content"] for message in body["messages"]]


def asked(server: EmbeddingServer) -> dict[str, list[str]]:
    """The examples' questions by the question."""
    return {said(body)[-1][3:]: [text[3:] for text in said(body)[:-1:2]] for body in server.requests}


def test_each_row_has_its_nearest_examples_and_vectors_are_kept(tmp_path: Path, server: EmbeddingServer) -> None:
    project = project_in(tmp_path, server)
    assert "at most 2 prompts: 0 cached, 2 to run" in project.ok("-n").out
    assert (server.embedded, server.count) == ([], 0)

    project.ok()
    assert asked(server) == {"aaaa": ["aaa", "aab"], "bb": ["bbb", "aab"]}
    assert said(server.requests[0])[1].startswith("to ")
    assert sorted(server.embedded) == sorted([*SHOTS, "aaaa", "bb"])
    assert project.built() == []

    project.file("questions.csv", "question\naaaa\nbb\ncb\n")
    project.ok()
    assert (server.embedded[6:], server.count) == (["cb"], 3)
    assert asked(server)["cb"] == ["bbb", "ccc"], "of two that are as near, the one that stands first"

    project.file("shots.csv", "question,answer\n" + "".join(f"{text},to {text}\n" for text in [*SHOTS, "b"]))
    project.ok("data/shots")
    assert "at most 3 prompts" in project.ok("-n").out
    project.ok()
    assert server.embedded[7:] == ["b"]
    assert server.count == 4, "`bb` has another example now, and the others have not"
    project.edit("k=2", "k=1")
    assert "up to date: 3 prompts to run" in project.ok("-n").out, "exact, as all vectors are kept"
    project.ok("data/answers")
    assert project.ok("data/answers", "-F", "--offline").code == 0
    assert len(server.embedded) == 8


def test_the_context_may_be_compared_by_another_text(tmp_path: Path, server: EmbeddingServer) -> None:
    project = project_in(tmp_path, server)
    project.edit(
        'prompt: "Q: {{ question }}"', 'prompt: "{% for row in context %}{{ row.fact }}, {% endfor %}{{ question }}"'
    )
    project.edit("examples: nearest(input.shots, k=2,", 'context: nearest(input.shots, k=9, of="{{ fact }}",')
    project.file("shots.csv", "fact\nbee\naha\n")
    project.ok()
    assert sorted(server.prompts) == ["aha, bee, aaaa", "bee, aha, bb"]


def test_a_row_whose_text_fails_is_an_error_row_and_the_others_go_on(tmp_path: Path, server: EmbeddingServer) -> None:
    project = project_in(tmp_path, server)
    project.edit('text="{{ question }}"', 'text="{{ (question ~ 0)[4:].split()[0] }}", of="{{ question }}"')
    project.edit("model: teacher", 'model: teacher\n        on_error: "skip"')
    project.ok()
    assert [row["question"] for row in project.rows("data/answers")] == ["aaaa"]
    [error] = project.ok("show", "data/answers", "--errors", "--json").document["errors"]
    assert (error["row"], error["code"]) == (1, "row-error")


def test_no_examples_to_pick_from(tmp_path: Path, server: EmbeddingServer) -> None:
    project = project_in(tmp_path, server)
    project.file("shots.csv", "question,answer\n")
    project.ok()
    assert asked(server) == {"aaaa": [], "bb": []}


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ('text="{{ question }}"', 'text="{{ qestion }}"', "unknown-column", "did you mean `question`?"),
        ('text="{{ question }}"', 'text="{{ question }}", of="{{ fact }}"', "unknown-column", "`fact`"),
        ('text="{{ question }}", ', "", "wrong-argument", "`nearest` needs `text`"),
        (", model=letters", "", "wrong-argument", "`nearest` needs a `model`"),
        ("model=letters", "model=letters(tempreature=0)", "unknown-option", "did you mean `temperature`?"),
        ("k=2", "k=0", "wrong-argument", "1 or above, not 0"),
        ("k=2", "n=2", "unknown-argument", "takes no `n`"),
        ("model=letters", "model=small", "not-an-embedder", "the model `small` makes no embeddings"),
        ("nearest(input.shots, k=2", "one_of(input.shots, k=2", "wrong-type", "`nearest(input.name"),
    ],
)
def test_mistakes_are_found_before_anything_is_asked(
    tmp_path: Path, server: EmbeddingServer, old: str, new: str, code: str, words: str
) -> None:
    project = project_in(tmp_path, server)
    project.edit("model letters", 'model small: "x"\n    engine: "scripted"\n\nmodel letters')
    project.edit(old, new)
    wrong = project.run("-n")
    assert wrong.code == 2
    assert f"error[{code}]" in wrong.err and words in wrong.err
    assert (server.embedded, server.count) == ([], 0)


def test_another_model_makes_its_target_stale_and_its_transport_does_not(
    tmp_path: Path, server: EmbeddingServer
) -> None:
    project = project_in(tmp_path, server)
    project.ok()
    project.edit('"openai/letters"', '"openai/others"')
    [reason] = project.reasons("data/answers")
    assert (reason["kind"], reason["where"]) == ("model", "prompt answer.examples.model")
    project.edit('"openai/others"', '"openai/letters"\n    concurrency: 2')
    assert project.plan()["data/answers"] == "fresh"
