"""When is a target stale: LANGUAGE section 7, through the real command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.project import Project

CHAIN = '''
    """Questions and answers."""

    config:
        topic: "frogs"
        unused: 1

    model teacher: "table"
        engine: "scripted"
        default: "an answer"
        temperature: 0

    rule all:
        input: "data/short", "data/other"

    rule questions:
        output: "data/questions"
        load: "raw.csv"

    rule answers:
        input: "data/questions"
        output: "data/answers"
        prompt answer:
            model: teacher
            system: "Be brief."
            prompt: "Tell me about {{ thing }} and {{ config.topic }}."

    rule short:
        input: "data/answers"
        output: "data/short"
        map size: len(answer)
        filter: size < 100

    rule other:
        input: "data/questions"
        output: "data/other"
        take: 1
'''
RAW = "id,thing\n1,cats\n2,dogs\n3,newts\n"


@pytest.fixture
def chain(tmp_path: Path) -> Project:
    project = Project(tmp_path).write(CHAIN)
    project.file("raw.csv", RAW)
    assert project.built() == ["data/answers", "data/other", "data/questions", "data/short"]
    return project


def test_a_second_build_does_nothing(chain: Project) -> None:
    assert chain.built() == []
    assert "all is up to date (4 targets)" in chain.ok().out
    assert "all is up to date (4 targets)" in chain.ok("-n").out


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Questions and answers."""', '"""Something else."""\n# and a comment'),
        ("rule short:", "rule brief:"),
        ("teacher", "professor"),
        ("map size: len(answer)", "map size:   len( answer )  # cells"),
        ('system: "Be brief."', "system: '''Be brief.'''"),
        ("unused: 1", "unused: 2"),
        ("temperature: 0", "temperature: 0\n    concurrency: 3\n    timeout: 5"),
        ("take: 1", "take: 1\n    retries: 3\n    priority: 2\n    tags: ['a']"),
        (
            'model: teacher\n        system: "Be brief."',
            'system: "Be brief."\n        model: teacher',
        ),
        ('load: "raw.csv"', 'load: "raw.csv"\n        header: True\n        split: None'),
        ('system: "Be brief."', 'system: "Be brief."\n        on_error: "fail"\n        n: 1'),
    ],
    ids=[
        "docstring",
        "rule name",
        "model name",
        "layout",
        "quotes",
        "unused config",
        "transport",
        "settings",
        "order",
        "defaults",
        "more defaults",
    ],
)
def test_what_cannot_change_the_result_makes_nothing_stale(chain: Project, old: str, new: str) -> None:
    chain.edit(old, new)
    assert set(chain.plan().values()) == {"fresh"}
    assert chain.built() == []


@pytest.mark.parametrize(
    ("old", "new", "stale", "kind", "where", "values"),
    [
        ("Tell me about", "Speak of", "data/answers", "prompt", "prompt answer.prompt", ("Tell me about", "Speak of")),
        ('"Be brief."', '"Be wordy."', "data/answers", "prompt", "prompt answer.system", ("Be brief.", "Be wordy.")),
        ('topic: "frogs"', 'topic: "toads"', "data/answers", "option", "config.topic", ("frogs", "toads")),
        ('"an answer"', '"another"', "data/answers", "model", "prompt answer.model.default", ("an answer", "another")),
        ("temperature: 0", "temperature: 0.5", "data/answers", "model", "prompt answer.model.temperature", (0.0, 0.5)),
        (
            'model teacher: "table"',
            'model teacher: "desk"',
            "data/answers",
            "model",
            "prompt answer.model",
            ("table", "desk"),
        ),
        ("size < 100", "size < 50", "data/short", "option", "filter", ("size < 100", "size < 50")),
        ("take: 1", "take: 2", "data/other", "option", "take", (1, 2)),
        (
            "map size: len(answer)",
            "map size: len(answer) + 0",
            "data/short",
            "option",
            "map size",
            ("len(answer)", "len(answer) + 0"),
        ),
    ],
    ids=["prompt", "system", "config", "model option", "temperature", "model", "expression", "option", "map"],
)
def test_one_edit_makes_one_target_stale_and_why_names_it(
    chain: Project, old: str, new: str, stale: str, kind: str, where: str, values: tuple[object, object]
) -> None:
    chain.edit(old, new)
    actions = chain.plan()
    assert [target for target, action in actions.items() if action == "build"] == [stale]
    followers = {"data/short"} if stale == "data/answers" else set()
    assert {target for target, action in actions.items() if action == "follow"} == followers
    (reason,) = [one for one in chain.reasons(stale) if one["kind"] == kind]
    assert where in reason["where"]
    assert str(values[0]) in str(reason["old"])
    assert str(values[1]) in str(reason["new"])
    assert reason["line"]
    said = chain.ok("why", stale).out
    assert str(values[0]) in said
    assert str(values[1]) in said


def test_an_edit_taken_back_makes_all_fresh(chain: Project) -> None:
    chain.edit("Tell me about", "Speak of")
    assert "build" in chain.plan().values()
    chain.edit("Speak of", "Tell me about")
    assert set(chain.plan().values()) == {"fresh"}


def test_a_changed_source_reaches_its_dependants(chain: Project) -> None:
    chain.file("raw.csv", RAW + "4,eels\n")
    assert chain.plan() == {
        "data/questions": "build",
        "data/answers": "follow",
        "data/short": "follow",
        "data/other": "follow",
    }
    (reason,) = chain.reasons("data/questions")
    assert (reason["kind"], reason["where"]) == ("input", "raw.csv")
    assert reason["old"] != reason["new"]
    # The first row is what it was, so `data/other` comes out the same.
    assert chain.built() == ["data/answers", "data/other", "data/questions", "data/short"]
    assert len(chain.rows("data/short")) == 4


def test_a_touched_source_is_not_a_changed_one(chain: Project) -> None:
    (chain.root / "raw.csv").touch()
    assert set(chain.plan().values()) == {"fresh"}


def test_an_input_rebuilt_to_the_same_content_makes_nothing_stale(chain: Project) -> None:
    chain.edit('load: "raw.csv"', 'load: "raw.csv"\n    sort: id')
    assert chain.plan()["data/answers"] == "follow"
    assert chain.built() == ["data/questions"]


def test_an_output_that_was_edited_by_hand_is_noticed(chain: Project) -> None:
    (file,) = (chain.root / "data/other").glob("*.arrow")
    good = file.read_bytes()
    file.write_bytes(good[:-1] + b"!")
    (reason,) = chain.reasons("data/other")
    assert reason["kind"] == "output-changed"
    assert chain.built() == ["data/other"]
    assert file.read_bytes() == good


def test_an_output_that_was_deleted_by_hand_is_noticed(chain: Project) -> None:
    for file in (chain.root / "data/other").iterdir():
        file.unlink()
    (chain.root / "data/other").rmdir()
    (reason,) = chain.reasons("data/other")
    assert reason["kind"] == "missing"
    assert chain.built() == ["data/other"]


def test_force_builds_what_is_named_and_nothing_else(chain: Project) -> None:
    assert chain.built("data/other", "--force") == ["data/other"]
    assert chain.built("+data/other", "--force") == ["data/other", "data/questions"]


def test_a_python_function_is_what_it_calls(tmp_path: Path) -> None:
    project = Project(tmp_path).write(
        """
        rule one:
            output: "data/one"
            rows: [{"a": 1}, {"a": 2}]
            python: "steps.py:change"
        """
    )
    project.file("lib.py", "def twice(x):\n    return 2 * x\n\ndef unused():\n    return 1\n")
    project.file("steps.py", "from lib import twice\n\ndef change(row):\n    return {'a': twice(row['a'])}\n")
    assert project.built() == ["data/one"]
    assert project.rows("data/one") == [{"a": 2}, {"a": 4}]
    project.edit("return 1", "return 2", "lib.py")
    assert project.built() == []
    project.edit("def twice", "# a comment\ndef twice", "lib.py")
    assert project.built() == []
    project.edit("2 * x", "3 * x", "lib.py")
    (reason,) = project.reasons("data/one")
    assert reason["kind"] == "function"
    assert "lib.py:twice" in reason["where"]
    assert project.built() == ["data/one"]
    assert project.rows("data/one") == [{"a": 3}, {"a": 6}]


def test_a_wildcard_that_a_text_uses_is_in_the_recipe(tmp_path: Path) -> None:
    project = Project(tmp_path).write(
        """
        model table: "t"
            engine: "scripted"
            default: "x"

        rule all:
            input: "data/en", "data/de"

        rule one:
            output: "data/{lang}"
            rows: [{"a": 1}]
            prompt b:
                model: table
                prompt: "{{ wildcards.lang }}: {{ a }}"
        """
    )
    assert project.built() == ["data/de", "data/en"]
    project.edit("data/{lang}", "data/{language}")
    project.edit("wildcards.lang", "wildcards.language")
    assert project.built() == ["data/de", "data/en"]
