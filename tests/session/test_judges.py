"""Judges, rankers, filters and attributes through the command line, against a server that counts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.project import Project
from tests.support.server import Body, LoopbackServer, prompt_of

DREAMFILE = """
    config:
        least: 5

    model critic: "openai/test"
        base_url: "{url}"

    defaults:
        model: critic
        temperature: 0.5

    rule all:
        input: "data/best", "data/pairs"

    rule texts:
        output: "data/texts"
        load: "texts.csv"
        filter: len(text) > 1

    rule best:
        input: "data/texts"
        output: "data/best"
        filter:
            prompt: "Is this an animal? {{{{ text }}}}"
        rank score:
            prompt: "Rate {{{{ text }}}}"
            threshold: config.least

    rule pairs:
        input: "data/texts"
        output: "data/pairs"
        map other: text + "!"
        judge winner:
            prompt: "Name it."
            responses: {{"plain": "{{{{ text }}}}", "loud": "{{{{ other }}}}"}}
        filter: winner in ["plain", "loud"]
"""
TEXTS = {"otter": ("yes", "4.5."), "heron": ("Yes!", "9"), "gear": ("No.", "8"), "newt": ("yes", "Both")}


def answer(body: Body) -> str:
    text = prompt_of(body)
    word = next(word for word in TEXTS if word in text)
    if text.startswith("Is this"):
        return TEXTS[word][0]
    if text.startswith("Rate"):
        return TEXTS[word][1]
    loud = re.search(r"Response ([AB]):\n\w+!", text)
    assert loud is not None
    return "I cannot decide." if word == "gear" else f"Response {loud[1]} is better."


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(answer) as server:
        yield server


def project_in(folder: Path, server: LoopbackServer) -> Project:
    project = Project(folder).write(DREAMFILE.format(url=server.base_url))
    project.file("texts.csv", "text\nx\n" + "\n".join(TEXTS) + "\n")
    return project


def test_models_judge_and_a_second_build_does_nothing(tmp_path: Path, server: LoopbackServer) -> None:
    project = project_in(tmp_path, server)
    project.ok("data/texts")
    dry = project.ok("-n").out
    assert "at most 8 prompts: 0 cached, 8 to run" in dry
    assert "4 prompts: 0 cached, 4 to run" in dry
    assert "2 to build, 1 up to date: at most 12 prompts to run" in dry
    assert server.count == 0

    project.ok()
    assert project.rows("data/best") == [{"text": "heron", "score": 9.0}]
    assert [(row["text"], row["winner"]) for row in project.rows("data/pairs")] == [
        ("otter", "loud"),
        ("heron", "loud"),
        ("newt", "loud"),
    ]
    assert server.count == 4 + (1 + 1 + 3) + (3 + 3)
    assert all(body["temperature"] == 0.5 for body in server.requests)
    errors = project.ok("show", "data/best", "--errors", "--json").document["errors"]
    assert [(error["row"], error["step"], error["code"], error["answer"]) for error in errors] == [
        (2, "rank score", "unclear-answer", "Both")
    ]
    assert project.built() == [], "what cannot be read is settled"

    project.ok("--config", "least=4")
    assert [row["text"] for row in project.rows("data/best")] == ["heron", "otter"]
    project.file("texts.csv", "text\nheron\n" + "\n".join(list(TEXTS)[::-1]) + "\n")
    project.ok()
    assert server.count == 15 + 3, "another heron is asked about as another sample, and nothing else"


def test_fewer_attempts_ask_nothing_again(tmp_path: Path, server: LoopbackServer) -> None:
    project = project_in(tmp_path, server)
    project.ok("data/pairs")
    count = server.count
    project.edit("responses:", "attempts: 2\n        responses:")
    assert project.plan("data/pairs")["data/pairs"] == "build"
    project.ok("data/pairs", "--offline")
    assert server.count == count


def test_several_judges_are_counted_and_asked(tmp_path: Path, server: LoopbackServer) -> None:
    project = project_in(tmp_path, server)
    project.edit("judge winner:", "judge winner:\n        model: [critic, critic(seed=1), critic(seed=2)]")
    assert "data/pairs" in project.ok("-n", "data/pairs").out
    project.ok("data/texts")
    assert "12 prompts: 0 cached, 12 to run" in project.ok("-n", "data/pairs").out
    project.ok("data/pairs")
    assert server.count == 3 * (3 + 3)
    assert {row["winner"] for row in project.rows("data/pairs")} == {"loud"}
    assert project.plan("data/pairs")["data/pairs"] == "fresh"
    project.edit("seed=2", "seed=3")
    [reason] = project.reasons("data/pairs", "data/pairs")
    assert (reason["kind"], reason["old"], reason["new"]) == ("model", 2, 3)
    project.ok("data/pairs")
    assert server.count == 3 * (3 + 3) + (3 + 3)


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ('"loud": "{{ other }}"', '"loud": "{{ otter }}"', "unknown-column", "did you mean `other`?"),
        (', "loud": "{{ other }}"', "", "too-few-responses", "1 response to compare"),
        ("Rate {{ text }}", "Rate {{ txt }}", "unknown-column", "did you mean `text`?"),
        ("threshold: config.least", "scale: [1]", "out-of-range", "write `scale: [1, 10]`"),
        ("filter: len(text) > 1", "filter:", "missing-option", "`filter` has nothing to go by"),
        (
            "filter: len(text) > 1",
            'filter: True\n        prompt: "x"',
            "conflicting-options",
            "`prompt` is for a model that decides",
        ),
        ("judge winner:", "judge winner:\n        model: [critic, 3]", "wrong-type", "not the"),
        ("judge winner:", "judge winner:\n        model: []", "wrong-type", "a list of 0"),
    ],
)
def test_mistakes_are_found_before_anything_is_asked(
    tmp_path: Path, server: LoopbackServer, old: str, new: str, code: str, words: str
) -> None:
    project = project_in(tmp_path, server)
    project.edit(old, new)
    wrong = project.run("-n")
    assert wrong.code == 2
    assert f"error[{code}]" in wrong.err
    assert "Traceback" not in wrong.err
    assert words in wrong.err or code == "wrong-type"
    assert server.count == 0


ODD = {  # what the server answers: the score, and the verdict (A and B swapped by chance, so None or not)
    "4.5.": (4.5, False),
    "Hmm... 3": (3.0, False),
    "Both": (None, False),
    "": (None, False),
    "I am sorry, but as a language model I cannot compare 2 of them.": (None, False),
    "A or B, 7 or 8": (None, False),
    "**B**": (None, True),
}
ODD_ANSWERS = """
    model critic: "openai/test"
        base_url: "{url}"
        retries: 0

    rule answers:
        output: "data/answers"
        rows: {rows}

    rule all:
        input: "data/answers"
        output: "data/judged"
        rank score:
            model: critic
            prompt: "Answer {{{{ number }}}}."
            sort: False
            attempts: 1
        judge winner:
            model: critic
            prompt: "Answer {{{{ number }}}}."
            responses: {{"one": "yes", "two": "no"}}
            attempts: 1
"""


def test_odd_answers_of_a_server_are_read_or_null_and_never_guessed(tmp_path: Path) -> None:
    answers = list(ODD)

    def odd(body: Body) -> str:
        found = re.search(r"Answer (\d)", prompt_of(body))
        assert found is not None
        return answers[int(found[1])]

    with LoopbackServer(odd) as server:
        rows = [{"number": number} for number in range(len(ODD))]
        project = Project(tmp_path).write(ODD_ANSWERS.format(url=server.base_url, rows=rows))
        project.ok()
        made = project.rows("data/judged")
        assert {answers[row["number"]]: (row["score"], row["winner"] is not None) for row in made} == ODD
        assert {row["winner"] for row in made} <= {None, "one", "two"}
        errors = project.ok("show", "data/judged", "--errors", "--rows", "99", "--json").document["errors"]
        assert [(error["step"], error["answer"]) for error in errors] == [
            *(("rank score", text) for text, (score, _) in ODD.items() if score is None),
            *(("judge winner", text) for text, (_, is_verdict) in ODD.items() if not is_verdict),
        ]


ATTRIBUTED = """
    model writer: "openai/test"
        base_url: "{url}"

    rule poems:
        output: "data/poems"
        generate poem:
            model: writer
            attributes:
                place:
                    sea:
                        boat: ["raft", "yacht"]
                    hill:
                        tree: ["oak"]
                tone: ["grave", "light"]
            prompt: "A {{{{ tone }}}} poem on the {{{{ place }}}} with {{{{ boat or tree }}}}."
        map size: len(poem)
"""


def test_attributes_are_columns_and_known_before_the_bill(tmp_path: Path) -> None:
    with LoopbackServer(lambda body: prompt_of(body)) as server:
        project = Project(tmp_path).write(ATTRIBUTED.format(url=server.base_url))
        assert "6 prompts: 0 cached, 6 to run" in project.ok("-n").out
        project.ok()
        rows = project.rows("data/poems")
        assert list(rows[0]) == ["place", "boat", "tree", "tone", "poem", "size"]
        assert rows[0]["poem"] == "A grave poem on the sea with raft."
        assert [row["tree"] for row in rows] == [None] * 4 + ["oak"] * 2
        project.edit('tone: ["grave", "light"]', 'tone: ["grave", "light", "dry"]\n        count: 100')
        assert "100 prompts: 6 cached, 94 to run" in project.ok("-n").out
        project.edit("{{ tone }}", "{{ tune }}")
        wrong = project.run("-n")
        assert (wrong.code, server.count) == (2, 6)
        assert "the prompt reads `tune`, which this rule does not have" in wrong.err
        assert "did you mean `tone`?" in wrong.err
        project.edit("{{ tune }}", "{{ tone }}")
        project.edit("        count: 100", '        weights: {"tone": [1, 2]}\n        count: 100')
        wrong = project.run("-n")
        assert "error[bad-attributes]: `weights` has 2 numbers for `tone`, which has 3 values" in wrong.err


def test_the_self_rewarding_rounds_of_the_paper_plan(tmp_path: Path) -> None:
    example = Path(__file__).parents[1] / "lang/examples/self-rewarding.dream"
    project = Project(tmp_path).write(example.read_text(encoding="utf-8"))
    document = project.ok("-n", "--json").document
    found = {target["target"]: target["prompts"] for target in document["targets"] if "prompts" in target}
    assert {path: (prompts["total"], prompts["exact"]) for path, prompts in found.items()} == {
        f"data/round{number}/{name}": (count, False)
        for number in (1, 2, 3)
        for name, count in (("candidates", 2000), ("preferences", 1000))
    }
