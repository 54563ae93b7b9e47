"""`prompt` with `examples` and `context`, through the command line and an endpoint that counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.project import Project
from tests.support.server import Body, LoopbackServer, Trouble, prompt_of

DREAMFILE = """
    model teacher: "openai/test"
        base_url: "{url}"
        retries: 0

    rule all:
        input: "data/answers"

    rule shots:
        output: "data/shots"
        load: "shots.csv"

    rule facts:
        output: "data/facts"
        rows: [{{"fact": "Otters swim."}}, {{"fact": "Herons fly."}}]

    rule answers:
        input:
            rows: "questions.csv"
            shots: "data/shots"
            facts: "data/facts"
        output: "data/answers"
        load: input.rows
        prompt answer:
            model: teacher
            system: "Be brief."
            prompt: "Q: {{{{ question }}}}"
            examples: input.shots
"""
SHOTS = [("Do cats fly?", "No."), ("Do bats fly?", "Yes."), ("Do fish fly?", "Some.")]


def project_in(folder: Path, server: LoopbackServer) -> Project:
    project = Project(folder).write(DREAMFILE.format(url=server.base_url))
    project.file("shots.csv", "question,answer\n" + "".join(f"{q},{a}\n" for q, a in SHOTS))
    project.file("questions.csv", "question\nDo otters swim?\nDo herons swim?\n")
    return project


def said(body: Body) -> list[str]:
    return [message["content"] for message in body["messages"]]


def test_examples_are_turns_of_a_chat_in_their_order(tmp_path: Path) -> None:
    with LoopbackServer(lambda body: "Yes.") as server:
        project = project_in(tmp_path, server)
        project.ok("data/shots", "data/facts")
        assert "2 prompts: 0 cached, 2 to run" in project.ok("-n").out
        project.ok()
        assert [message["role"] for message in server.requests[0]["messages"]] == [
            "system",
            *["user", "assistant"] * 3,
            "user",
        ]
        turns = [text for question, answer in SHOTS for text in (f"Q: {question}", answer)]
        assert said(server.requests[0]) == ["Be brief.", *turns, "Q: Do otters swim?"]
        assert project.built() == []

        project.file("shots.csv", "question,answer\nDo owls fly?,Yes.\nDo owls swim?,\n")
        project.ok()
        assert said(server.requests[2])[1:3] == ["Q: Do owls fly?", "Yes."]
        assert len(said(server.requests[2])) == 4, "an example without an answer is none"

        project.edit("examples: input.shots", "examples: input.shots\n        max_examples: 0")
        project.ok()
        assert said(server.requests[-1]) == ["Be brief.", "Q: Do herons swim?"]


def too_long(body: Body, number: int) -> Trouble | None:
    """A model of 30 tokens of four characters."""
    tokens = sum(len(text) for text in said(body)) // 4
    message = f"This model's maximum context length is 20 tokens. However, you requested {tokens} tokens."
    return Trouble(400, message=message, code="context_length_exceeded") if tokens > 20 else None


def test_as_many_examples_are_shown_as_fit(tmp_path: Path) -> None:
    with LoopbackServer(lambda body: "Yes.", trouble=too_long) as server:
        project = project_in(tmp_path, server)
        project.file("questions.csv", "question\nDo otters swim?\n" + "x" * 200 + "\n")
        project.edit("examples: input.shots", 'examples: input.shots\n        max_tokens: 2\n        on_error: "skip"')
        project.ok()
        [row] = project.rows("data/answers")
        assert row["question"] == "Do otters swim?"
        answered = [said(body) for body in server.requests if too_long(body, 0) is None]
        assert answered == [["Be brief.", "Q: Do cats fly?", "No.", "Q: Do bats fly?", "Yes.", "Q: Do otters swim?"]]
        [error] = project.ok("show", "data/answers", "--errors", "--json").document["errors"]
        assert error["code"] == "context-overflow"
        count = server.count
        project.edit("max_tokens: 2", "max_tokens: 3")
        assert "1 cached" in project.ok("-n").out
        project.ok()
        assert prompt_of(server.requests[-1]).startswith("Q: xxx")
        assert [prompt_of(body) for body in server.requests[count:]].count("Q: Do otters swim?") == 0


def test_the_context_is_a_list_of_rows(tmp_path: Path) -> None:
    with LoopbackServer(lambda body: "Yes.") as server:
        project = project_in(tmp_path, server)
        project.edit("examples: input.shots", "context: input.facts")
        project.edit('"Q: {{ question }}"', '"{% for row in context %}{{ row.fact }} {% endfor %}Q: {{ question }}"')
        project.ok()
        assert said(server.requests[0]) == ["Be brief.", "Otters swim. Herons fly. Q: Do otters swim?"]
        project.edit('"Herons fly."', '"Herons wade."')
        assert project.plan()["data/answers"] == "follow"


def test_examples_of_structured_answers_are_their_fields(tmp_path: Path) -> None:
    with LoopbackServer(lambda body: '{"can": "yes", "sure": 2}') as server:
        project = project_in(tmp_path, server)
        project.edit("examples: input.shots", 'examples: input.shots\n        schema: {"can": str, "sure": int}')
        project.file("shots.csv", "question,sure,can\nDo owls fly?,9,yes\n")
        project.ok()
        assert said(server.requests[0])[1:3] == ["Q: Do owls fly?", '{"can": "yes", "sure": 9}']


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("question,answer", "query,answer", "the `examples` have no column `question`, which the prompt reads"),
        ("question,answer", "question,reply", "the `examples` have no column `answer`: the answer that each of them"),
    ],
)
def test_examples_without_the_columns_are_found_before_the_bill(tmp_path: Path, old: str, new: str, words: str) -> None:
    with LoopbackServer() as server:
        project = project_in(tmp_path, server)
        project.edit(old, new, "shots.csv")
        wrong = project.run("-n")
        assert (wrong.code, server.count) == (2, 0)
        assert f"error[unknown-column]: {words}" in wrong.err
        assert "examples: input.shots" in wrong.err


def test_examples_need_a_prompt_and_context_a_name_of_its_own(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        project = project_in(tmp_path, server)
        project.edit('prompt: "Q: {{ question }}"', 'messages: [{"role": "user", "content": "x"}]')
        assert "error[conflicting-options]" in project.run("-n").err
        project.edit("examples: input.shots", "context: input.facts")
        project.file("questions.csv", "question,context\nDo otters swim?,x\n")
        assert "error[duplicate-column]" in project.run("-n").err
        project.edit("context: input.facts", "max_examples: 1")
        assert "error[missing-option]: `max_examples` limits `examples`" in project.run("-n").err
        project.edit("max_examples: 1", "n: 1")
        project.edit('"content": "x"', '"content": "{{ contxt }}"')
        assert "did you mean `context`?" in project.run("-n").err


def test_no_examples_ask_the_plain_question(tmp_path: Path) -> None:
    with LoopbackServer(lambda body: "Yes.") as server:
        project = project_in(tmp_path, server)
        project.file("shots.csv", "question,answer\n")
        project.ok()
        assert said(server.requests[0]) == ["Be brief.", "Q: Do otters swim?"]
