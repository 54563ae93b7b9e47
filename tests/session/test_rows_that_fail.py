"""Rows without a result, through the command line: what is kept, what is asked again, and what the user sees."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import Project
from tests.support.server import Body, LoopbackServer, Trouble, prompt_of

DREAMFILE = """
    model teacher: "openai/test"
        base_url: "{url}"
        retries: 0

    rule answers:
        output: "data/answers"
        load: "rows.csv"
        prompt answer:
            model: teacher
            prompt: "Say {{{{ word }}}}."
            {options}
        map size: len(answer or "")

    rule after:
        input: "data/answers"
        output: "data/after"
        select: ["word", "size"]

    rule all:
        input: "data/after"
"""


def refuse_w3_and_w7(body: Body, number: int) -> Trouble | None:
    word = prompt_of(body)
    return Trouble(400, message="content policy") if "w3" in word or "w7" in word else None


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(answer=lambda body: prompt_of(body).upper(), trouble=refuse_w3_and_w7) as server:
        yield server


def project_in(folder: Path, server: LoopbackServer, *options: str, rows: int = 10) -> Project:
    text = DREAMFILE.replace("            {options}\n", "".join(f"            {option}\n" for option in options))
    project = Project(folder).write(text.format(url=server.base_url))
    project.file("rows.csv", "word\n" + "".join(f"w{number}\n" for number in range(rows)))
    return project


def errors(project: Project) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = project.ok("show", "data/answers", "--errors", "--json").document["errors"]
    return found


def test_by_default_the_others_are_kept_and_a_retry_asks_only_what_failed(
    tmp_path: Path, server: LoopbackServer
) -> None:
    project = project_in(tmp_path, server)
    failed = project.run("all")
    assert failed.code == 1
    assert "2 of 10 rows failed: 2 × the server refused the request (400: content policy)" in failed.out + failed.err
    assert "dreammake show data/answers --errors" in failed.out + failed.err
    assert not (tmp_path / "data/answers").exists()
    assert server.count == 10
    assert [(row["row"], row["code"], row["values"]) for row in errors(project)] == [
        (3, "bad-request", {"word": "w3"}),
        (7, "bad-request", {"word": "w7"}),
    ]
    assert "w7" in project.ok("show", "data/answers", "--errors").out

    server.trouble = lambda body, number: None
    project.ok("all")
    assert server.prompts[10:] == ["Say w3.", "Say w7."]
    assert len(project.rows("data/after")) == 10
    assert errors(project) == []


@pytest.mark.parametrize("choice", ["skip", "null"])
def test_failed_rows_are_beside_the_target_and_tried_by_the_next_build(
    tmp_path: Path, server: LoopbackServer, choice: str
) -> None:
    project = project_in(tmp_path, server, f'on_error: "{choice}"')
    assert "2 rows failed" in project.ok("all").out
    sizes = {row["word"]: row["size"] for row in project.rows("data/after")}
    assert [sizes.get("w3"), sizes.get("w7"), len(sizes)] == ([None, None, 8] if choice == "skip" else [0, 0, 10])
    assert [row["row"] for row in errors(project)] == [3, 7]

    assert project.plan("all")["data/answers"] == "build"
    [reason] = project.reasons("data/answers", "all")
    assert (reason["kind"], reason["old"]) == ("failed-rows", 2)
    dry = project.ok("all", "-n").out
    assert "2 rows failed and will be tried again" in dry
    assert "10 prompts: 8 cached, 2 to run" in dry
    assert "2 rows failed" in project.ok("status").out

    before = server.count
    assert project.built("all") == ["data/answers"], "what comes out the same makes nothing after it stale"
    assert server.count == before + 2
    server.trouble = lambda body, number: Trouble(400) if "w3" in prompt_of(body) else None
    project.ok("all")
    server.trouble = lambda body, number: None
    project.ok("all")
    assert server.prompts[before + 2 :] == ["Say w3.", "Say w7.", "Say w3."]
    assert errors(project) == []
    assert not (tmp_path / "data/answers/errors.jsonl").exists()
    assert project.plan("all")["data/answers"] == "fresh"
    assert len(project.rows("data/after")) == 10


def test_the_error_table_is_no_part_of_the_content(tmp_path: Path, server: LoopbackServer) -> None:
    import datasets

    project = project_in(tmp_path, server, 'on_error: "null"')
    project.ok("all")
    assert (tmp_path / "data/answers/errors.jsonl").exists()
    assert len(datasets.load_from_disk(str(tmp_path / "data/answers"))) == 10
    project.ok("accept", "data/answers")
    assert project.plan("all") == {"data/answers": "fresh", "data/after": "fresh"}
    (tmp_path / "data/answers/errors.jsonl").unlink()
    assert project.plan("all") == {"data/answers": "fresh", "data/after": "fresh"}


def test_offline_what_failed_is_left_as_it_is(tmp_path: Path, server: LoopbackServer) -> None:
    project = project_in(tmp_path, server, 'on_error: "skip"')
    project.ok("all")
    assert project.built("all", "--offline") == []
    assert server.count == 10
    assert project.built("all") == ["data/answers"], "and is tried again once it can be"


@pytest.mark.parametrize(("most", "of"), [("1", "the first 8"), ("0.1", "10")])
def test_more_errors_than_allowed_fail_the_job(tmp_path: Path, server: LoopbackServer, most: str, of: str) -> None:
    project = project_in(tmp_path, server, 'on_error: "skip"', f"max_errors: {most}")
    failed = project.run("all")
    assert failed.code == 1
    assert f"error[too-many-errors]: 2 of {of} rows failed" in failed.out + failed.err
    assert [row["row"] for row in errors(project)] == [3, 7]
    project.edit(f"max_errors: {most}", "max_errors: 0.5")
    project.ok("all")
    assert len(project.rows("data/after")) == 8


def test_too_many_errors_stop_the_asking(tmp_path: Path) -> None:
    with LoopbackServer(trouble=lambda body, number: Trouble(400)) as server:
        project = project_in(tmp_path, server, 'on_error: "null"', "max_errors: 5", rows=5000)
        assert project.run("all").code == 1
        assert server.count < 4000
        assert len(errors(project)) == 6


def test_a_row_whose_prompt_cannot_be_written_is_an_error_row(tmp_path: Path, server: LoopbackServer) -> None:
    project = Project(tmp_path).write(
        f"""
        model teacher: "openai/test"
            base_url: "{server.base_url}"

        rule answers:
            output: "data/answers"
            rows: [{{"word": f"v{{n}}" if n != 2 else None, "n": n}} for n in range(4)]
            prompt answer:
                model: teacher
                prompt: "Say {{{{ word.upper() }}}}."
                on_error: "skip"
        """
    )
    assert "1 row failed" in project.ok().out
    assert [row["n"] for row in project.rows("data/answers")] == [0, 1, 3]
    [error] = errors(project)
    assert (error["row"], error["code"], error["values"]) == (2, "row-error", {"word": None, "n": 2})
    assert project.plan() == {"data/answers": "fresh"}, "only an edit can mend it, so no build tries it again"


LABELS = """
    model teacher: "openai/test"
        base_url: "{url}"

    rule labels:
        output: "data/labels"
        load: "rows.csv"
        prompt label:
            model: teacher
            prompt: "Is {{{{ word }}}} a word?"
            schema: {{"label": one_of("yes", "no"), "score": float}}
            on_error: "null"
        filter: label != "no"
"""


def labelled(folder: Path, server: LoopbackServer, rows: int) -> Project:
    project = Project(folder).write(LABELS.format(url=server.base_url))
    project.file("rows.csv", "word\n" + "".join(f"w{number}\n" for number in range(rows)))
    return project


def test_an_answer_that_cannot_be_read_is_asked_again_and_then_an_error_row(tmp_path: Path) -> None:
    heard: dict[str, int] = {}

    def answer(body: Body) -> str:
        word = prompt_of(body)
        heard[word] = heard.get(word, 0) + 1
        if "w1" in word:
            return "I would say yes."
        if "w2" in word and heard[word] < 3:
            return '{"label": "perhaps", "score": 1}'
        return 'Sure: {"label": "yes", "score": 1}'

    with LoopbackServer(answer) as server:
        project = labelled(tmp_path, server, 4)
        project.ok()
        assert [heard[f"Is w{n} a word?"] for n in range(4)] == [1, 3, 3, 1]
        schema = server.requests[0]["response_format"]["json_schema"]["schema"]
        assert schema["properties"]["label"] == {"type": "string", "enum": ["yes", "no"]}
        rows = project.rows("data/labels")
        assert [row["label"] for row in rows] == ["yes", None, "yes", "yes"]
        assert [row["score"] for row in rows] == [1.0, None, 1.0, 1.0]
        table = project.ok("show", "data/labels", "--errors", "--json").document["errors"]
        assert [(row["row"], row["code"], row["answer"]) for row in table] == [
            (1, "unreadable-answer", "I would say yes.")
        ]
        assert "4 prompts: 3 cached, 1 to run" in project.ok("-n").out
        project.ok()
        assert [heard[f"Is w{n} a word?"] for n in range(4)] == [1, 6, 3, 1], "the next build asks that row alone"

        project.ok("accept", "data/labels")
        project.edit('label != "no"', 'label == "yes"')
        assert project.ok("--offline").code == 0, "the raw answers are kept, whatever is read in them"
        assert sum(heard.values()) == 11


def test_a_schema_is_checked_before_anything_is_asked(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        project = labelled(tmp_path, server, 1)
        project.edit('label != "no"', 'lable != "no"')
        wrong = project.run()
        assert wrong.code == 2
        assert "error[unknown-name]" in wrong.err or "error[unknown-column]" in wrong.err
        project.edit('lable != "no"', 'label != "no"')
        project.edit("float", "3.0")
        wrong = project.run()
        assert wrong.code == 2
        assert "error[bad-schema]: the field `score` of `schema`" in wrong.err
        assert server.count == 0


def test_the_embedded_table_needs_no_structured_output(tmp_path: Path) -> None:
    """An engine that takes no schema is told of it in words; the text around the object does not matter."""
    project = Project(tmp_path).write(
        """
        model table: "a table"
            engine: "scripted"
            answers: {"JSON Schema(.|\\n)*\\"label\\"": "Well:\\n```json\\n{\\"label\\": \\"no\\"}\\n```"}

        rule labels:
            output: "data/labels"
            rows: [{"word": "a"}]
            prompt verdict:
                model: table
                prompt: "Is {{ word }} a word?"
                schema: {"label": one_of("yes", "no")}
        """
    )
    project.ok()
    [row] = project.rows("data/labels")
    assert row["label"] == "no"
    assert json.loads(row["verdict"].split("```json")[1].split("```")[0]) == {"label": "no"}


def test_an_answer_that_was_cut_is_kept_for_its_limit_and_told(tmp_path: Path) -> None:
    with LoopbackServer(lambda body: "one two three four") as server:
        project = project_in(tmp_path, server, "max_tokens: 3", rows=3)
        assert "3 answers cut off" in project.ok("data/answers").out
        assert [row["answer"] for row in project.rows("data/answers")] == ["one two three"] * 3
        project.edit("max_tokens: 3", 'max_tokens: 3\n        on_length: "error"\n        on_error: "skip"')
        project.ok("data/answers")
        assert server.count == 3, "reading them otherwise asks nothing"
        assert project.rows("data/answers") == []
        assert {row["code"] for row in errors(project)} == {"answer-cut"}
        assert {row["answer"] for row in errors(project)} == {"one two three"}
        project.edit("max_tokens: 3", "max_tokens: 4")
        project.ok("data/answers")
        assert server.count == 6
        assert len(project.rows("data/answers")) == 3


def too_long(body: Body, number: int) -> Trouble | None:
    """A model of 20 tokens of four characters."""
    tokens = sum(len(str(message["content"])) for message in body["messages"]) // 4
    message = f"This model's maximum context length is 20 tokens. However, you requested {tokens} tokens."
    return Trouble(400, message=message, code="context_length_exceeded") if tokens > 20 else None


def test_what_is_too_long_is_an_error_row_or_made_shorter(tmp_path: Path) -> None:
    with LoopbackServer(lambda body: f"{len(prompt_of(body))} letters", trouble=too_long) as server:
        project = project_in(tmp_path, server, 'on_error: "skip"', rows=0)
        project.file("rows.csv", f"word\nshort\n{'long' * 100}\n")
        project.ok("data/answers")
        [error] = errors(project)
        assert (error["row"], error["code"], server.count) == (1, "context-overflow", 2)

        project.edit('on_error: "skip"', "truncate: True")
        project.ok("data/answers")
        assert len(project.rows("data/answers")) == 2
        assert server.prompts[-1].startswith("Say longlong")
        assert 60 < len(server.prompts[-1]) <= 83
        count = server.count
        assert count <= 5

        project.edit('len(answer or "")', "len(str(answer))")
        assert "2 prompts: 2 cached, 0 to run" in project.ok("-n", "data/answers").out
        project.ok("data/answers", "--offline")
        assert server.count == count, "what was asked in its place is kept"
        project.edit("truncate: True", 'on_error: "skip"')
        project.ok("data/answers")
        assert len(project.rows("data/answers")) == 1, "the answer to a shorter prompt is none to the whole one"
