"""Functions of the user's, loaded from real files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dreammake.core.diagnostic import DreamError
from dreammake.core.job import Put
from dreammake.core.rows import Rows
from dreammake.steps.python import Python
from tests.support.project import Project
from tests.support.work import TestWork, apply, result

CODE = """
from lib.text import shout

def loud(row, mark="!"):
    return shout(row["text"]) + mark

def split(row):
    return [{"word": word} for word in row["text"].split()] or None

def keep(row):
    return row if row["n"] > 1 else None

def lengths(columns):
    return [len(text) for text in columns["text"]]

def twice(columns):
    return {"n": columns["n"] * 2}

def total(rows, start=0):
    yield {"total": start + sum(row["n"] for row in rows)}

def source(count):
    return [{"i": i} for i in range(count)]

def write(rows, output):
    with open(output, "w") as file:
        file.write(",".join(str(row["n"]) for row in rows))

def copy(input, output):
    import shutil
    shutil.copy(input["a"], output)

def broken(row):
    return inner(row)

def inner(row):
    raise ValueError("no luck\\nhere")

def broken_later(rows):
    yield {"a": 1}
    inner(None)

def text(row):
    return "not a row"

def leave(row):
    import sys
    sys.exit(3)

def late(rows):
    yield from ({"a": i} for i in range(1000))
    yield {"a": 1, "b": 2}
"""
ROWS = [{"n": 1, "text": "a b"}, {"n": 2, "text": ""}, {"n": 3, "text": "c"}]


@pytest.fixture
def work(tmp_path: Path) -> TestWork:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "text.py").write_text("def shout(text):\n    return text.upper()\n")
    (tmp_path / "code.py").write_text(CODE)
    return TestWork(tmp_path)


def call(function: str, work: TestWork, name: str | None = None, rows: Any = ROWS, **values: Any) -> Any:
    return apply(Python, {"function": f"code.py:{function}", **values}, rows, work, name)


def failing(function: str, work: TestWork, **values: Any) -> Any:
    with pytest.raises(DreamError) as error:
        call(function, work, **values)
    assert error.value.exit_code == 1
    return error.value.diagnostics[0]


def test_a_named_call_writes_its_column(work: TestWork) -> None:
    made = call("loud", work, "text", args={"mark": "?"})
    assert made == [{**row, "text": row["text"].upper() + "?"} for row in ROWS]
    assert [row["length"] for row in call("lengths", work, "length", per="batch")] == [3, 0, 1]


def test_rows_replace_rows(work: TestWork) -> None:
    assert call("split", work) == [{"word": "a"}, {"word": "b"}, {"word": "c"}]
    assert call("keep", work) == ROWS[1:]
    assert [row["n"] for row in call("twice", work, per="batch")] == [1, 2, 3, 1, 2, 3]
    assert call("total", work, per="dataset", args={"start": 10}) == [{"total": 16}]
    assert call("source", work, rows=[], args={"count": 2}) == [{"i": 0}, {"i": 1}]


def test_a_batch_is_the_same_however_rows_come(work: TestWork) -> None:
    import pyarrow as pa

    (work.project / "code.py").write_text("def size(columns):\n    return {'size': [len(columns['n'])]}\n")
    batches = [pa.record_batch([pa.array(range(700))], names=["n"])] * 3
    rows = Rows(("n",), lambda: iter(batches))
    assert call("size", work, rows=rows, per="batch") == [{"size": 1000}, {"size": 1000}, {"size": 100}]


def test_a_function_may_write_files(work: TestWork) -> None:
    writing = TestWork(work.project, outputs=[Put(None, "out.txt")])
    values = {"function": "code.py:write", "per": "dataset"}
    assert result(Python, values, ROWS, writing) == {}
    assert (work.project / "out.txt").read_text() == "1,2,3"
    both = TestWork(work.project, [Put("a", "in.txt")], [Put(None, "copy.txt")])
    (work.project / "in.txt").write_text("hello")
    assert Python().run(Python.Options({"function": "code.py:copy"}), None, None, both) == {}
    assert (work.project / "copy.txt").read_text() == "hello"


def test_an_error_is_one_sentence_and_the_log_has_the_users_frames(work: TestWork) -> None:
    found = failing("broken", work)
    line = CODE.split("\n").index('    raise ValueError("no luck\\nhere")') + 1
    assert found.message == f"`code.py:broken` failed: ValueError: no luck here (code.py:{line})"
    log = "\n".join(work.log)
    assert "in broken" in log and "in inner" in log and "no luck" in log
    assert "user_function" not in log
    assert failing("broken_later", work, per="dataset").code == "python-failed"
    assert "SystemExit" in failing("leave", work).message


def test_what_is_no_row_is_an_error(work: TestWork) -> None:
    assert failing("text", work).message == "`code.py:text` gave a str, not rows"
    assert failing("late", work, per="dataset").code == "late-column"
    assert "3 values for 2 rows" not in failing("lengths", work, per="batch").message


def test_missing_functions_and_files(work: TestWork) -> None:
    for reference, code in (("code.py:lodu", "no-such-function"), ("cod.py:loud", "no-such-file")):
        with pytest.raises(DreamError) as error:
            result(Python, {"function": reference}, ROWS, work)
        assert error.value.diagnostics[0].code == code


def test_an_edited_module_is_read_anew(work: TestWork) -> None:
    assert call("loud", work, "text")[0]["text"] == "A B!"
    (work.project / "lib" / "text.py").write_text("def shout(text):\n    return text.title()\n")
    assert call("loud", work, "text")[0]["text"] == "A B!"
    (work.project / "lib" / "text.py").write_text("def shout(text):\n    return text[::-1]\n")
    assert call("loud", work, "text")[0]["text"] == "b a!"
    assert not list(work.project.rglob("__pycache__"))


@pytest.mark.parametrize(
    ("step", "code", "place", "words"),
    [
        ('python: "code.py:lodu"', "no-such-function", "4:13", "did you mean `loud`?"),
        ('python: "cod.py:loud"', "no-such-file", "4:13", "did you mean `code.py`?"),
        (
            'python: "code.py:loud"\n        args:\n            marc: "?"',
            "unknown-argument",
            "6:13",
            "did you mean `mark`?",
        ),
        ('python: "code.py:loud"\n        args: {"row": 1, "x": 2}', "unknown-argument", "5:26", "has no argument `x`"),
        ('python: "code.py:asks"', "missing-option", "4:13", "`code.py:asks` asks for `size`, `unit`, too"),
        ('python: "code.py:loud"\n    python: "code.py:lodu"', "no-such-function", "5:13", "did you mean `loud`?"),
    ],
)
def test_a_call_that_cannot_go_well_is_found_by_the_dry_run(
    tmp_path: Path, step: str, code: str, place: str, words: str
) -> None:
    project = Project(tmp_path)
    project.file("Dreamfile", f'rule all:\n    output: "d/x"\n    rows: [{{"text": "a"}}]\n    {step}\n')
    project.file(
        "code.py", "def loud(row, mark='!'):\n    return row\n\n\ndef asks(row, size, unit):\n    return row\n"
    )
    result = project.run("--dry-run")
    assert result.code == 2
    assert f"error[{code}]" in result.err
    assert f"Dreamfile:{place}" in result.err
    assert words in result.err


def test_a_call_whose_arguments_nobody_can_tell_is_let_through(tmp_path: Path) -> None:
    text = 'rule all:\n    output: "d/x"\n    rows: [{"a": 1}]\n    python: "code.py:any"\n        args: {"size": 3}\n'
    project = Project(tmp_path)
    project.file("Dreamfile", text)
    for code in ("def any(row, **more):\n    return more\n", "any = lambda row, size: {'size': size}\n"):
        project.file("code.py", code)
        project.ok()
        assert project.rows("d/x") == [{"size": 3}]
