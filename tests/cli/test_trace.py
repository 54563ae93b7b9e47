"""`trace`: from one row back through every rule and step to its sources."""

from __future__ import annotations

import json
import shutil
import textwrap
from pathlib import Path

import pytest

from dreammake.core.traced import TracedRow
from dreammake.session.place import Place
from dreammake.session.session import Session
from dreammake.session.tracing import trace
from tests.support.project import Project
from tests.support.server import LoopbackServer, digest_answer, prompt_of

PEOPLE = "id,group,tags\n" + "".join(f"{i},{'ab'[i % 2]},{i % 3}\n" for i in range(12))
MORE = "id,group,tags\n" + "".join(f"{i},c,1\n" for i in range(12, 16))

DATA = """
rule all:
    input: "data/last", "data/train", "data/eval"

rule people:
    output: "data/people"
    load: ["people.csv", "more.csv"]

rule others:
    output: "data/others"
    rows: [{"id": 100, "group": "a", "tags": 2}, {"id": 101, "group": "z", "tags": 1}]

rule groups:
    output: "data/groups"
    rows: [{"group": "a", "name": "first"}, {"group": "b", "name": "second"}, {"group": "z", "name": "rest"}]

rule mixed:
    input: "data/people", "data/others"
    output: "data/mixed"
    filter: id != 3
    concat: "data/others"
    shuffle:
        seed: 5
    map twice: id * 2
    sort: -tags

rule named:
    input:
        rows: "data/mixed"
        groups: "data/groups"
    output: "data/named"
    join: input.groups
        on: "group"
    select: ["name", "id", "tags"]
    rename: {"id": "number"}
    reverse:

rule last:
    input: "data/named"
    output: "data/last"
    map item: ["x"] * tags
    explode: "item"
    sample: 0.8
    drop: "item"

rule parts:
    input: "data/named"
    output:
        train: "data/train"
        eval: "data/eval"
    split:
        train: 0.7
        eval: 0.3
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("data"))
    project.file("people.csv", PEOPLE)
    project.file("more.csv", MORE)
    project.write(DATA).ok()
    return project


def traced(project: Project, target: str, row: int) -> list[TracedRow]:
    session = Session(Place.at(str(project.root), None, None))
    return list(trace(session, target, row).rows)


@pytest.mark.parametrize("target", ["data/last", "data/train", "data/eval"])
def test_every_row_is_followed_through_every_data_step_to_its_line(data: Project, target: str) -> None:
    rows = data.rows(target)
    assert len(rows) > 3
    for number, row in enumerate(rows):
        found = traced(data, target, number)
        assert all(one.how in ("replayed", "source") for one in found)
        by_path = {one.path: one for one in found}
        assert by_path["data/named"].values == row
        assert by_path["data/groups"].values["name"] == row["name"]  # type: ignore[index]
        assert by_path["data/mixed"].values["id"] == row["number"]  # type: ignore[index]
        if row["number"] >= 100:
            assert by_path["data/others"].row == row["number"] - 100
            assert "data/people" not in by_path
        else:
            file, line = ("people.csv", row["number"]) if row["number"] < 12 else ("more.csv", row["number"] - 12)
            assert (by_path[file].row, by_path[file].values["id"]) == (line, row["number"])  # type: ignore[index]


def test_steps_tell_where_the_row_was(data: Project) -> None:
    [mixed] = [one for one in traced(data, "data/mixed", 0) if one.path == "data/mixed"]
    assert [step.label for step in mixed.steps] == ["filter", "concat", "shuffle", "map twice", "sort"]
    assert mixed.steps[-1].row == 0
    assert mixed.place == "Dreamfile:17"


ASKING = """
model teacher: "openai/big"
    base_url: "URL"
    api_key: "none"
    temperature: 1.0
    seed: 7
    price: 1.0

rule all:
    input: "data/answers"

rule questions:
    output: "data/questions"
    generate question:
        model: teacher
        count: 5
        prompt: "Ask me something."

rule answers:
    input: "data/questions"
    output: "data/answers"
    map group: len(question) % 1
    prompt answer:
        model: teacher(system="Be kind.")
        prompt: "Answer group {{ group }}."
        n: 2
    sort: question
    take: 4
"""


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose prompts are all the same, told apart by their occurrence alone; its endpoint is gone."""
    with LoopbackServer() as server:
        project = Project(tmp_path_factory.mktemp("asked")).write(ASKING.replace("URL", server.base_url))
        project.ok()
        assert server.count == 15
        said = [[prompt_of(body), body["seed"], digest_answer(body)] for body in server.requests]
    project.file("said.json", json.dumps(said))
    return project


def test_a_row_names_its_own_prompts_among_equal_ones(asked: Project) -> None:
    said = {(text, seed): answer for text, seed, answer in json.loads((asked.root / "said.json").read_text())}
    seen = set()
    for number, row in enumerate(asked.rows("data/answers")):
        last, first = traced(asked, "data/answers", number)
        first_prompt, second = last.steps[1].prompts
        assert [first_prompt.answer, second.answer] == row["answer"]
        assert first_prompt.messages == second.messages
        assert first_prompt.messages[0] == {"role": "system", "content": "Be kind."}
        assert first_prompt.messages[1] == {"role": "user", "content": "Answer group 0."}
        [made] = first.steps[0].prompts
        assert made.answer == row["question"] and first.values == {"question": row["question"]}
        for prompt in (first_prompt, second, made):
            assert said[prompt.messages[-1]["content"], prompt.seed] == prompt.answer
            assert prompt.cost and prompt.prompt_tokens and prompt.sampling == {"temperature": 1.0}
            seen.add((prompt.messages[-1]["content"], prompt.seed))
    assert len(seen) == 12


def test_a_trace_in_words(asked: Project) -> None:
    row = asked.rows("data/answers")[1]
    out = asked.ok("trace", "answers", "--row", "1").out
    assert out.startswith("data/answers row 1   answers, Dreamfile:19\n  question  " + row["question"])
    assert "  prompt answer\n    openai/big (api), temperature 1.0, seed " in out
    assert f"      answer  {row['answer'][1]}\n" in out
    assert "      user    Answer group 0.\n" in out
    assert "\ndata/questions row " in out and "  generate question" in out
    assert out.splitlines()[-1].startswith("3 prompts, ")


def test_a_trace_for_programs(asked: Project) -> None:
    document = asked.ok("trace", "data/answers", "--row", "0", "--json").document
    assert [row["path"] for row in document["rows"]] == ["data/answers", "data/questions"]
    assert document["rows"][0]["origins"] == [{"path": "data/questions", "row": document["rows"][1]["row"]}]
    assert document["cost"] > 0


def test_a_trace_without_its_answers_says_what_it_cannot_know(asked: Project, tmp_path: Path) -> None:
    project = Project(tmp_path / "copy")
    shutil.copytree(asked.root, project.root)
    project.ok("cache", "clear", "--yes")
    last, *_ = traced(project, "data/questions", 2)
    assert last.how == "placed" and last.steps[0].prompts[0].answer is None
    assert "its answer is in the cache no more" in project.ok("trace", "data/questions", "--row", "2").out
    assert [one.how for one in traced(project, "data/answers", 0)] == ["lost"]


CODE = """
rule all:
    input: "data/loud", "data/twins", "data/lines"

rule words:
    output: "data/words"
    rows: [{"id": 1, "word": "a"}, {"id": 2, "word": "b"}, {"id": 3, "word": "b"}]

rule loud:
    input: "data/words"
    output: "data/loud"
    python: "steps.py:loud"

rule twins:
    input: "data/words"
    output: "data/twins"
    python: "steps.py:word"

rule text:
    input: "data/words"
    output: "text.csv"
    shell: "printf 'n\\n1\\n2\\n' > {output}"

rule lines:
    output: "data/lines"
    load: "text.csv"

rule halves:
    input: "data/words"
    output:
        one: "data/one"
        two: "data/two"
    split:
        one: 2
        two: 1
"""


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("code"))
    project.file(
        "steps.py",
        "def loud(row):\n    return {**row, 'loud': row['word'].upper()} if row['id'] > 1 else None\n"
        "def word(row):\n    return {'word': row['word']}\n",
    )
    project.write(CODE).ok()
    return project


def test_code_is_not_run_again_and_rows_are_matched_by_what_they_hold(code: Project) -> None:
    code.edit("def loud(row):\n", "def loud(row):\n    # run for a trace? then say so\n", "steps.py")
    loud, words = traced(code, "data/loud", 1)
    assert (loud.how, loud.origins) == ("matched", (("data/words", 2),))
    assert loud.note == "the same id, word; python is code that nobody replays"
    assert words.values == {"id": 3, "word": "b"}


def test_rows_that_could_be_several_are_lost(code: Project) -> None:
    [twin] = traced(code, "data/twins", 1)
    assert (twin.how, twin.note) == (
        "lost",
        "python is code that nobody replays; 2 rows of data/words have the same word",
    )
    assert "goes no further: python is code" in code.ok("trace", "data/twins", "--row", "1").out


def test_a_file_of_a_command_ends_the_trace(code: Project) -> None:
    lines, text = traced(code, "data/lines", 1)
    assert lines.how == "replayed" and lines.origins == (("text.csv", 1),)
    assert (text.values, text.how, text.note) == (
        {"n": 2},
        "lost",
        "shell is code that nobody replays, from data/words",
    )


@pytest.mark.parametrize(
    ("words", "code_", "message"),
    [
        (("data/loud", "--row", "2"), "no-such-row", "has no row 2: its rows are 0 to 1"),
        (("data/loud", "--row", "-1"), "no-such-row", "has no row -1"),
        (("data/loudd", "--row", "0"), "unknown-target", "data/loud"),
        (("text.csv", "--row", "0"), "wrong-kind", "no dataset"),
        (("halves", "--row", "0"), "several-targets", "name one of them: data/one, data/two"),
    ],
)
def test_what_cannot_be_traced(code: Project, words: tuple[str, ...], code_: str, message: str) -> None:
    result = code.run("trace", *words)
    assert result.code == 2
    assert f"error[{code_}]" in result.err and message in result.err


def test_a_row_that_failed_says_why(tmp_path: Path) -> None:
    project = Project(tmp_path).write(
        """
        model teacher: "table"
            engine: "scripted"
            answers: {"b": "fine"}

        rule answers:
            output: "data/answers"
            rows: [{"text": "c"}, {"text": "a"}, {"text": "b"}]
            filter: text != "c"
            prompt answer:
                model: teacher
                prompt: "{{ text }}"
                on_error: "null"
        """
    )
    project.ok("data/answers")
    for row, failed in ((0, 'no answer is written for "a"'), (1, "")):
        [traced] = project.ok("trace", "answers", "--row", str(row), "--json").document["rows"]
        assert [step["failed"] for step in traced["steps"]] == ["", "", failed]
    told = project.ok("trace", "answers", "--row", "0").out
    assert 'failed: no answer is written for "a"' in told
    assert "cache no more" not in told


def test_a_target_that_is_not_up_to_date(tmp_path: Path) -> None:
    project = Project(tmp_path).write('rule all:\n    output: "a"\n    rows: [{"n": 1}]\n')
    assert "error[not-built]" in project.run("trace", "a", "--row", "0").err
    project.ok()
    project.edit("1", "2")
    result = project.run("trace", "a", "--row", "0")
    assert (result.code, "error[stale-target]" in result.err) == (2, True)
    assert (
        textwrap.dedent("""\
        help: build it: dreammake a
        """)
        in result.err
    )


def test_a_trace_writes_nothing(data: Project) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in data.root.rglob("*"))
    data.ok("trace", "data/last", "--row", "3")
    assert sorted((path, path.stat().st_mtime_ns) for path in data.root.rglob("*")) == before
