"""Bad input: its code, its place, its hint, exit code 2, and nothing written."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.support.project import Project

ROWS = 'rule rows:\n    output: "data/rows"\n    rows: [{"abstract": "a"}]\n\n'
MODEL = 'model teacher: "t"\n    engine: "scripted"\n\n'

CASES: dict[str, tuple[str, str, int, str]] = {
    # name: (Dreamfile, code, line, a word of the hint)
    "a tab": ('rule a:\n\toutput: "x"\n', "tab-indent", 2, "spaces"),
    "a misspelt step": ('rule a:\n    output: "d/x"\n    promt q:\n        model: m\n', "unknown-step", 3, "`prompt`"),
    "a misspelt input": ('rule a:\n    inptu: "y"\n    output: "d/x"\n', "unknown-step", 2, "`input`"),
    "a misspelt top-level word": ('ruel a:\n    output: "x"\n', "unknown-keyword", 1, "`rule`"),
    "a misspelt option": (
        'rule a:\n    output: "d/x"\n    rows: []\n    shuffle:\n        sed: 3\n',
        "unknown-option",
        5,
        "`seed`",
    ),
    "a misspelt config key": (
        'config:\n    topic: 1\nrule a:\n    output: "d/x"\n    rows: [{"a": config.topik}]\n',
        "unknown-key",
        5,
        "`topic`",
    ),
    "a misspelt model": (
        MODEL
        + 'rule a:\n    output: "d/x"\n    generate q:\n        model: techer\n        count: 1\n        prompt: "hi"\n',
        "unknown-name",
        7,
        "`teacher`",
    ),
    "a misspelt engine": ('model t: "x"\n    engine: "scriptd"\n', "unknown-engine", 2, "`scripted`"),
    "a misspelt model option": (
        'model t: "x"\n    engine: "scripted"\n    temprature: 1\n',
        "unknown-option",
        3,
        "`temperature`",
    ),
    "a misspelt method": (
        ROWS + 'rule t:\n    input: "data/rows"\n    output: "m"\n    train sftt:\n        base: "smollm2"\n',
        "unknown-method",
        8,
        "`sft`",
    ),
    "a misspelt training option": (
        ROWS
        + 'rule t:\n    input: "data/rows"\n    output: "m"\n    train sft:\n        base: "smollm2"\n'
        + '        text: "{{ abstract }}"\n        num_train_epoch: 3\n',
        "unknown-option",
        11,
        "`num_train_epochs`",
    ),
    "a misspelt column in a template": (
        MODEL
        + ROWS
        + 'rule a:\n    input: "data/rows"\n    output: "d/x"\n    prompt q:\n        model: teacher\n'
        + '        prompt: """\n            Tweet.\n\n            {{ abstrct }}\n            """\n',
        "unknown-column",
        16,
        "`abstract`",
    ),
    "a misspelt column in an expression": (
        ROWS + 'rule a:\n    input: "data/rows"\n    output: "d/x"\n    filter: len(abstrct) > 3\n',
        "unknown-column",
        8,
        "`abstract`",
    ),
    "a column that an earlier step dropped": (
        ROWS
        + 'rule a:\n    input: "data/rows"\n    output: "d/x"\n    map b: 1\n    select: ["b"]\n    sort: abstract\n',
        "unknown-column",
        10,
        "",
    ),
    "no rule for an input": (
        'rule a:\n    input: "d/no"\n    output: "d/x"\n    take: 3\n',
        "missing-input",
        2,
        "add a rule",
    ),
    "two rules for a target": (ROWS + ROWS.replace("rule rows", "rule more"), "two-makers", 6, "rename"),
    "a cycle": (
        'rule a:\n    input: "d/y"\n    output: "d/x"\n    take: 1\nrule b:\n    input: "d/x"\n    output: "d/y"\n    take: 1\n',
        "cycle",
        1,
        "",
    ),
    "a missing wildcard value": (
        'rule a:\n    output: "d/{x}"\n    rows: []\n',
        "missing-wildcard",
        1,
        "name a target",
    ),
    "a wildcard that no output has": (
        'rule a:\n    input: "d/{lang}"\n    output: "d/x"\n    take: 1\n',
        "missing-wildcard",
        2,
        "put `{lang}` there",
    ),
    "a file cut off in the middle": ('rule a:\n    output: "d/x"\n    rows: [{"a": 1},\n', "unclosed", 3, "`]`"),
    "an output outside the project": ('rule a:\n    output: "../x"\n    rows: []\n', "outside-project", 2, "below"),
    "an absolute output": ('rule a:\n    output: "/tmp/x"\n    rows: []\n', "outside-project", 2, "below"),
    "an option of the wrong type": (
        'rule a:\n    output: "d/x"\n    rows: []\n    take: "three"\n',
        "wrong-type",
        4,
        "",
    ),
    "a template that does not parse": (
        MODEL
        + ROWS
        + 'rule a:\n    input: "data/rows"\n    output: "d/x"\n    prompt q:\n        model: teacher\n        prompt: "{% if %}"\n',
        "bad-template",
        13,
        "",
    ),
    "a model where a dataset is wanted": (
        ROWS
        + 'rule t:\n    input: "data/rows"\n    output: "m"\n    train sft:\n        base: "smollm2"\n'
        + '        text: "{{ abstract }}"\n\nrule c:\n    input: "m"\n    output: "d/z"\n    take: 3\n',
        "wrong-kind",
        13,
        "dataset first",
    ),
    "a train without its completion": (
        ROWS
        + 'rule t:\n    input: "data/rows"\n    output: "m"\n    train sft:\n        base: "smollm2"\n'
        + '        prompt: "{{ abstract }}"\n',
        "missing-option",
        10,
        "completion",
    ),
    "ten thousand brackets": ("config:\n    x: " + "[" * 10000 + "]" * 10000 + "\n", "too-deep", 2, ""),
    "a power of a power": ("config:\n    x: 9**9**9\n", "too-large", 2, "smaller"),
    "a text without end": ('config:\n    x: "a" * 10**12\n', "too-large", 2, "smaller"),
    "a range without end": ("config:\n    x: range(10**18)\n", "too-large", 2, "smaller"),
    "an include of itself": ('include: "Dreamfile"\n', "include-cycle", 1, "take one"),
    "a missing include": ('include: "other.dream"\n', "no-such-file", 1, ""),
    "a missing file to load": ('rule a:\n    output: "d/x"\n    load: "emty.csv"\n', "no-such-file", 3, "`empty.csv`"),
    "an empty file to load": ('rule a:\n    output: "d/x"\n    load: "empty.csv"\n', "empty-file", 3, ""),
    "a binary file to load": ('rule a:\n    output: "d/x"\n    load: "binary.jsonl"\n', "bad-data", 3, ""),
    "a bad line in a file to load": ('rule a:\n    output: "d/x"\n    load: "bad.jsonl"\n', "bad-data", 3, ""),
    "a part without an output": (
        ROWS + 'rule s:\n    input: "data/rows"\n    output:\n        train: "d/t"\n    split:\n        trian: 0.5\n',
        "no-such-output",
        10,
        "`train`",
    ),
    "a dataset that is no input": (
        'rule j:\n    input: "data/rows"\n    output: "d/x"\n    join: "data/more"\n        on: "abstract"\n\n' + ROWS,
        "not-an-input",
        4,
        "`input.other`",
    ),
    "several datasets, one no input": (
        'rule j:\n    input: "data/rows"\n    output: "d/x"\n    concat: ["data/rows", "data/more"]\n\n' + ROWS,
        "not-an-input",
        4,
        "`input.inputs`",
    ),
    "more GPUs than there are": (ROWS + "    resources:\n        gpus: 64\n", "too-few-gpus", 1, "lower"),
    "more machines than there are": (ROWS + "    resources:\n        nodes: 2\n", "too-few-nodes", 1, "--executor"),
    "a pool that is misspelt": (ROWS + "    resources:\n        gpu: 1\n", "unknown-pool", 1, "`gpus`"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_clear_error_and_leaves_no_trace(tmp_path: Path, case: str) -> None:
    text, code, line, hint = CASES[case]
    project = Project(tmp_path)
    project.file("Dreamfile", text)
    project.file("empty.csv", "")
    (tmp_path / "binary.jsonl").write_bytes(bytes(range(256)) * 4)
    project.file("bad.jsonl", '{"a": 1}\n{"a": 2}\n{"a": \n')
    before = sorted(path.name for path in tmp_path.iterdir())
    result = project.run(CUDA_VISIBLE_DEVICES="")
    said = result.out + result.err
    assert result.code == 2, said
    assert f"error[{code}]" in said
    assert f"Dreamfile:{line}:" in said
    assert hint in said
    assert "Traceback" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    project = Project(tmp_path).write('rule a:\n    output: "d/x"\n    load: "bad.jsonl"\n')
    project.file("bad.jsonl", '{"a": 1}\n' * 5000 + '{"a": \n')
    result = project.run()
    assert "bad.jsonl, line 5001" in result.out + result.err


def test_a_column_misspelt_in_the_last_of_ten_rules_is_found_by_the_dry_run(tmp_path: Path) -> None:
    rules = [
        f'rule r{n}:\n    input: "d/{n - 1}"\n    output: "d/{n}"\n    map c{n}: abstract + "{n}"\n'
        for n in range(1, 9)
    ]
    last = (
        'rule all:\n    input: "d/8"\n    output: "d/9"\n    rename: {"c8": "text"}\n    prompt q:\n'
        '        model: teacher\n        prompt: "{{ c1 }} {{ txet }}"\n'
    )
    first = 'rule r0:\n    output: "d/0"\n    load: "papers.csv"\n\n'
    project = Project(tmp_path)
    project.file("papers.csv", "abstract\nA paper.\n")
    project.file("Dreamfile", MODEL + first + "\n".join(rules) + "\n" + last)
    result = project.run("--dry-run")
    assert result.code == 2
    assert "error[unknown-column]: the prompt reads `txet`, which the row so far does not have" in result.err
    assert "did you mean `text`?" in result.err
    assert not (tmp_path / "d").exists()
    project.edit("txet", "text")
    assert set(project.plan("all").values()) == {"build"}


def test_all_errors_are_told_at_once(tmp_path: Path) -> None:
    project = Project(tmp_path).write(
        """
        rule a:
            output: "d/x"
            promt q:
                model: m

        rule b:
            output: "d/y"
            rows: [{"a": 1}]
            take: "x"
        """
    )
    said = project.run().err
    assert "unknown-step" in said
    assert "wrong-type" in said
    assert said.rstrip().endswith("2 errors")


def test_an_error_is_drawn_as_the_language_page_says(tmp_path: Path) -> None:
    text, _, _, _ = CASES["a misspelt column in a template"]
    project = Project(tmp_path)
    project.file("Dreamfile", text)
    assert project.run("-n").err == textwrap.dedent(
        """\
        error[unknown-column]: the prompt reads `abstrct`, which data/rows does not have
          --> Dreamfile:16:16
           |
        16 |             {{ abstrct }}
           |                ^^^^^^^ columns here: abstract
           |
        help: did you mean `abstract`?
        """
    )


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["rosw"], "unknown-target", "`rows`"),
        (["data/rosw"], "unknown-target", "`data/rows`"),
        (["tag:none"], "unknown-target", ""),
        (["--config", "n=1"], "unknown-config", ""),
        (["--jbos", "2"], "bad-arguments", "`--jobs`"),
        (["-j", "0"], "bad-arguments", ""),
        (["-f", "Nope"], "no-dreamfile", ""),
        (["why", "data/none"], "unknown-target", ""),
        (["show", "data/rows"], "not-built", "dreammake data/rows"),
        (["explain", "unknown-colum"], "unknown-code", "`unknown-column`"),
    ],
)
def test_a_wrong_command_line_is_one_clear_error(tmp_path: Path, words: list[str], code: str, hint: str) -> None:
    project = Project(tmp_path)
    project.file("Dreamfile", ROWS)
    result = project.run(*words)
    assert result.code == 2
    assert f"error[{code}]" in result.err
    assert hint in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["Dreamfile"]


def test_errors_as_json(tmp_path: Path) -> None:
    project = Project(tmp_path).write('rule a:\n    output: "d/x"\n    tkae: 1\n')
    result = project.run("--dry-run", "--json")
    assert result.code == 2
    (error,) = result.document["errors"]
    assert (error["code"], error["place"]["line"]) == ("unknown-step", 3)
    assert result.document["version"] == 1
