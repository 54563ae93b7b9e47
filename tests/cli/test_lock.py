"""`lock` and `verify`: fingerprints are equal exactly when workflows are."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from tests.support.hub import LoopbackHub
from tests.support.project import Project

WORKFLOW = textwrap.dedent('''
    """Questions, answered and sorted."""

    config:
        topic: "frogs"
        unused: 1

    model teacher: "table"
        engine: "scripted"
        default: "an answer"
        temperature: 0.7

    rule all:
        input: "data/short", expand("data/part-{half}", half=["first", "last"])

    rule questions:
        output: "data/questions"
        load: "raw.csv"
        python: "steps.py:clean"

    rule answers:
        input: "data/questions"
        output: "data/answers"
        prompt answer:
            model: teacher
            seed: 3
            prompt: """
                Tell me about {{ thing }}
                and {{ config.topic }}.
                """

    rule short:
        input: "data/answers"
        output: "data/short"
        sort: thing
        filter: len(answer) < 100

    rule part:
        input: "data/questions"
        output: "data/part-{half}"
        map half: wildcards.half
''')
RAW = "id,thing\n1,cats\n2,dogs\n3,newts\n"
STEPS = "def clean(row):\n    return {**row, 'thing': row['thing'].strip()}\n"

MAIN = ("data/answers", "data/part-first", "data/part-last", "data/questions", "data/short")


def written(root: Path, workflow: str = WORKFLOW, raw: str = RAW, steps: str = STEPS) -> Project:
    project = Project(root)
    project.file("raw.csv", raw)
    project.file("steps.py", steps)
    return project.write(workflow)


def fingerprints(root: Path, *words: str, workflow: str = WORKFLOW, raw: str = RAW, steps: str = STEPS) -> list[str]:
    """The fingerprints of the main targets of a workflow in a folder of its own."""
    targets = written(root, workflow, raw, steps).ok("lock", "--json", *words).document["targets"]
    return [targets[target] for target in MAIN]


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return fingerprints(tmp_path_factory.mktemp("usual"))


def edited(old: str, new: str, text: str = WORKFLOW) -> str:
    assert old in text
    return text.replace(old, new)


SAME = {
    "comments and layout": edited("temperature: 0.7", "temperature:   0.70   # warm\n\n"),
    "the names of rules": edited("rule answers:", "rule asked:"),
    "the name of a model": WORKFLOW.replace("teacher", "oracle"),
    "docstrings": edited("Questions, answered and sorted.", "Nothing."),
    "the order of options": edited(
        '    default: "an answer"\n    temperature: 0.7', '    temperature: 0.7\n    default: "an answer"'
    ),
    "the order of rules": WORKFLOW.partition("rule part:")[0].replace(
        "rule questions:", "rule part:" + WORKFLOW.partition("rule part:")[2] + "\nrule questions:"
    ),
    "concurrency": edited("    temperature: 0.7", "    temperature: 0.7\n    concurrency: 3"),
    "a config value that nothing uses": edited("unused: 1", "unused: 2"),
    "a default written out": edited("sort: thing", "sort: thing\n        reverse: False"),
    "another target beside": WORKFLOW + '\nrule more:\n    output: "data/more"\n    rows: [{"n": 1}]\n',
}  # fmt: skip


@pytest.mark.parametrize("what", SAME)
def test_what_changes_no_workflow_changes_no_fingerprint(tmp_path: Path, usual: list[str], what: str) -> None:
    assert fingerprints(tmp_path, workflow=SAME[what]) == usual


def test_the_machine_is_in_no_fingerprint(tmp_path: Path, usual: list[str]) -> None:
    folder = tmp_path / "ein Ordner, ü"
    project = written(folder)
    project.ok("-j1", PYTHONHASHSEED="7", TZ="Asia/Tokyo", LC_ALL="C")
    targets = project.ok("lock", "--json", PYTHONHASHSEED="8", HOME=str(tmp_path)).document["targets"]
    assert [targets[target] for target in MAIN] == usual


def test_comments_in_a_function_of_the_project_are_in_no_fingerprint(tmp_path: Path, usual: list[str]) -> None:
    assert fingerprints(tmp_path, steps="# cleans\n" + STEPS) == usual


DIFFERENT = {
    "the prompt": (edited("Tell me", "Say"), {"data/answers", "data/short"}),
    "the white space of a template": (edited("and {{ config", "  and {{ config"), {"data/answers", "data/short"}),
    "a config value": (edited('topic: "frogs"', 'topic: "toads"'), {"data/answers", "data/short"}),
    "the model": (edited('"table"', '"chair"'), {"data/answers", "data/short"}),
    "its sampling": (edited("temperature: 0.7", "temperature: 0.8"), {"data/answers", "data/short"}),
    "a seed": (edited("seed: 3", "seed: 4"), {"data/answers", "data/short"}),
    "an expression": (edited("< 100", "<= 100"), {"data/short"}),
    "the order of steps": (
        edited("    sort: thing\n    filter: len(answer) < 100", "    filter: len(answer) < 100\n    sort: thing"),
        {"data/short"},
    ),
    "the name of a column": (edited("map half:", "map part:"), {"data/part-first", "data/part-last"}),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_what_changes_a_workflow_changes_its_fingerprints(tmp_path: Path, usual: list[str], what: str) -> None:
    workflow, changed = DIFFERENT[what]
    now = fingerprints(tmp_path, workflow=workflow)
    assert {target for target, old, new in zip(MAIN, usual, now, strict=True) if old != new} == changed


@pytest.mark.parametrize("raw", [RAW.replace("dogs", "doge"), RAW + "4,x\n", "id,thing\n2,dogs\n1,cats\n3,newts\n"])
def test_the_content_and_the_order_of_data_are_in_every_fingerprint(tmp_path: Path, usual: list[str], raw: str) -> None:
    now = fingerprints(tmp_path, raw=raw)
    assert all(old != new for old, new in zip(usual, now, strict=True))


def test_a_function_of_the_project_is_in_every_fingerprint(tmp_path: Path, usual: list[str]) -> None:
    now = fingerprints(tmp_path, steps=STEPS.replace("strip()", "lstrip()"))
    assert all(old != new for old, new in zip(usual, now, strict=True))


def test_targets_of_other_wildcards_differ(usual: list[str]) -> None:
    assert usual[1] != usual[2]


@pytest.fixture
def locked(tmp_path: Path) -> Project:
    project = written(tmp_path)
    assert project.ok("lock").out == "wrote Dreamfile.lock (5 targets)\n"
    return project


def test_a_lock_has_a_line_a_target_and_is_written_only_when_it_changes(locked: Project) -> None:
    lock = locked.root / "Dreamfile.lock"
    lines = lock.read_text().splitlines()
    assert [line.split('"')[1] for line in lines if line.startswith('  "data/')] == sorted(MAIN)
    before = lock.stat().st_mtime_ns
    assert locked.ok("lock").out == "nothing changed in Dreamfile.lock (5 targets)\n"
    assert lock.stat().st_mtime_ns == before
    assert not (locked.root / ".dreammake").exists()


def test_a_lock_is_the_same_before_and_after_a_build(locked: Project) -> None:
    locked.ok()
    assert locked.ok("lock").out.startswith("nothing changed")


def test_verify_holds(locked: Project) -> None:
    assert locked.ok("verify").out == "the lock holds (5 targets)\n"
    assert locked.ok("verify", "--json").document["holds"] is True


def test_verify_tells_what_differs_and_by_which_ingredient(locked: Project) -> None:
    locked.edit("temperature: 0.7", "temperature: 0.9")
    locked.edit('"data/short", expand', '"data/newest", expand')
    locked.edit("Tell me about {{ thing }}", "Describe {{ thing }}")
    locked.edit("rule short:", 'rule newest:\n    output: "data/newest"\n    rows: [{"n": 1}]\n\nrule short:')
    locked.edit('half=["first", "last"]', 'half=["first"]')
    result = locked.run("verify")
    assert result.code == 1
    assert result.out == textwrap.dedent("""\
        changed  data/answers    prompt answer.model.temperature: 0.7 -> 0.9
                                 prompt answer.prompt changed
                                 - Tell me about {{ thing }}
                                 + Describe {{ thing }}
        follows  data/short      from data/answers
        added    data/newest
        removed  data/part-last

        the lock does not hold: 1 changed, 1 follow, 1 added, 1 removed
        """)
    found = locked.run("verify", "--json").document["differences"]
    assert [(one["target"], one["kind"]) for one in found] == [
        ("data/answers", "changed"),
        ("data/short", "follows"),
        ("data/newest", "added"),
        ("data/part-last", "removed"),
    ]
    assert found[0]["reasons"][0]["old"] == 0.7
    assert locked.run("verify", "data/questions").code == 0


def test_verify_names_data_that_changed(locked: Project) -> None:
    locked.file("raw.csv", RAW + "4,x\n")
    result = locked.run("verify", "data/questions")
    assert (result.code, result.out.splitlines()[0]) == (1, "changed  data/questions  raw.csv changed")


def test_verify_tells_of_other_versions_and_fails_for_them_when_strict(locked: Project) -> None:
    lock = json.loads((locked.root / "Dreamfile.lock").read_text())
    locked.edit(f'"pyarrow": "{lock["versions"]["pyarrow"]}"', '"pyarrow": "1.2.3"', "Dreamfile.lock")
    result = locked.ok("verify")
    assert result.out.startswith("note: pyarrow is ") and "was 1.2.3" in result.out
    assert locked.run("verify", "--strict").code == 1


def test_revisions_of_the_hub_are_those_that_its_cache_knows(tmp_path: Path) -> None:
    project = Project(tmp_path).write("""
        model small: "org/small"
            engine: "transformers"
        rule all:
            output: "data/a"
            rows: [{"n": 1}]
            prompt b:
                model: small
                prompt: "{{ n }}"
        """)
    (tmp_path / "hub/models--org--small/refs").mkdir(parents=True)
    (tmp_path / "hub/models--org--small/refs/main").write_text("abc123\n")
    project.ok("lock", HF_HUB_CACHE=str(tmp_path / "hub"))
    lock = json.loads((tmp_path / "Dreamfile.lock").read_text())
    assert lock["revisions"] == {"org/small@main": "abc123"}
    assert {"torch", "transformers", "pyarrow", "dreammake"} == set(lock["versions"])


def test_revisions_that_nobody_knows_here_are_asked_of_the_hub(tmp_path: Path) -> None:
    project = Project(tmp_path).write("""
        model small: "org/small"
            engine: "transformers"
        model elsewhere: "org/small"
            engine: "vllm"
            revision: "v2"
            base_url: "http://127.0.0.1:9/v1"
        rule all:
            output: "data/a"
            load: "hf://org/words"
                split: "train"
            prompt b:
                model: small
                prompt: "{{ word }}"
            prompt c:
                model: elsewhere
                prompt: "{{ word }}"
        rule other:
            output: "data/b"
            load: "hf://org/nothing"
                split: "train"
        """)
    with LoopbackHub() as hub:
        hub.create("org/small")
        hub.create("datasets/org/words")
        there = {**hub.environment, "HF_HOME": str(tmp_path / "hf")}
        project.ok("lock", "--offline", **there)
        assert not hub.calls and json.loads((tmp_path / "Dreamfile.lock").read_text())["revisions"] == {}
        project.ok("lock", **there)
        assert json.loads((tmp_path / "Dreamfile.lock").read_text())["revisions"] == {
            "hf://org/words@main": hub.repo("datasets/org/words").branches["main"],
            "org/small@main": hub.repo("org/small").branches["main"],
        }
        asked = len(hub.calls)
        assert project.ok("verify", "--strict", **there).out == "the lock holds (2 targets)\n"
        assert len(hub.calls) == asked
    assert "wrote" in project.ok("lock", **there).out, "nobody answers"


def test_the_model_that_picks_examples_is_locked(tmp_path: Path) -> None:
    project = Project(tmp_path).write("""
        model minilm: "org/minilm"
            engine: "sentence-transformers"
        model teacher: "openai/test"
        rule shots:
            output: "data/shots"
            rows: [{"n": "1", "b": "one"}]
        rule all:
            input:
                rows: "data/shots"
                shots: "data/shots"
            output: "data/a"
            prompt b:
                model: teacher
                prompt: "{{ n }}"
                examples: nearest(input.shots, text="{{ n }}", model=minilm)
        """)
    (tmp_path / "hub/models--org--minilm/refs").mkdir(parents=True)
    (tmp_path / "hub/models--org--minilm/refs/main").write_text("abc123\n")
    project.ok("lock", HF_HUB_CACHE=str(tmp_path / "hub"))
    lock = json.loads((tmp_path / "Dreamfile.lock").read_text())
    assert lock["revisions"] == {"org/minilm@main": "abc123"}


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "<<<<<<< ours\n{}", '{"version": 9}', '{"version": 1, "targets": {"a": 1}}']
)
def test_a_lock_that_is_none(locked: Project, text: str) -> None:
    (locked.root / "Dreamfile.lock").write_text(text)
    result = locked.run("verify")
    assert result.code == 2
    assert "error[bad-lock-file]" in result.err


def test_no_lock(tmp_path: Path) -> None:
    result = Project(tmp_path).write('rule a:\n    output: "a"\n    rows: [{"n": 1}]\n').run("verify")
    assert (result.code, "error[no-lock-file]" in result.err) == (2, True)


def test_targets_that_data_decides_are_locked_once_they_are_known(tmp_path: Path) -> None:
    project = Project(tmp_path).write("""
        rule all:
            input: expand("one/{name}", name=column("data/names", "name"))
        rule names:
            output: "data/names"
            rows: [{"name": "ann"}, {"name": "bob"}]
        rule one:
            output: "one/{name}"
            rows: [{"who": name}]
        """)
    result = project.run("lock")
    assert (result.code, "error[not-built]" in result.err) == (2, True)
    project.ok("data/names")
    assert project.ok("lock").out == "wrote Dreamfile.lock (3 targets)\n"


def test_no_secret_is_in_a_lock(tmp_path: Path) -> None:
    project = Project(tmp_path).write("""
        rule all:
            output: "data/a"
            rows: [{"key": env("SOME_API_KEY")}]
        """)
    project.ok("lock", SOME_API_KEY="sk-very-secret-1")
    text = (tmp_path / "Dreamfile.lock").read_text()
    assert "sk-very-secret-1" not in text and "env(SOME_API_KEY)" in text
    assert project.run("verify", SOME_API_KEY="sk-very-secret-2").code == 1
