"""What a function's fingerprint depends on, and what not."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreammake.core.options import Wrong
from dreammake.plan.function_source import function_fingerprint, function_parameters, required_parameters

STEPS = '''
import json
import os.path
import lib.words
from lib import numbers as n
from lib.text import *
from .side import beside as near
try:
    from lib.fast import speedy
except ImportError:
    speedy = None

LIMIT = 10
UNUSED = 3
TABLE = {}
TABLE["a"] = 1
TABLE.update(b=2)

def clean(row, limit=LIMIT):
    """Clean a row."""
    # by hand
    return helper(row)[:limit] + n.double(TABLE["a"])

def helper(row):
    import lib.late as late
    return squeeze(lib.words.first(row)) + near(row) + late.x(os.path.sep)

class Thing:
    def go(self): return clean(1)

def other(): return UNUSED
'''
FILES = {
    "steps.py": STEPS,
    "side.py": "def beside(x): return x\ndef alone(): pass\n",
    "lib/__init__.py": "",
    "lib/words.py": "def first(row): return row\ndef unused(): pass\n",
    "lib/numbers.py": "FACTOR = 2\ndef double(x): return x * FACTOR\ndef unused(): pass\n",
    "lib/text.py": "def squeeze(t): return t.strip()\ndef loose(t): return t\n",
    "lib/late.py": "def x(y): return y\n",
    "lib/fast.py": "def speedy(): pass\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def edited(project: Path, name: str, old: str, new: str) -> dict[str, str]:
    before = (project / name).read_text()
    assert old in before
    (project / name).write_text(before.replace(old, new))
    found = function_fingerprint(project, "steps.py:clean")
    (project / name).write_text(before)
    return found


def test_it_names_all_that_is_used_and_nothing_else(project: Path) -> None:
    assert list(function_fingerprint(project, "steps.py:clean")) == [
        "lib/late.py:x",
        "lib/numbers.py:FACTOR",
        "lib/numbers.py:double",
        "lib/text.py:squeeze",
        "lib/words.py:first",
        "side.py:beside",
        "steps.py:LIMIT",
        "steps.py:TABLE",
        "steps.py:clean",
        "steps.py:helper",
    ]
    assert "steps.py:clean" in function_fingerprint(project, "steps.py:Thing")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("steps.py", "# by hand", "# by machine"),
        ("steps.py", "Clean a row.", "Clean one row."),
        ("steps.py", "    return helper", "\n\n    return  helper"),
        ("steps.py", "UNUSED = 3", "UNUSED = 4"),
        ("steps.py", "return UNUSED", "return 1"),
        ("lib/words.py", "def unused(): pass", "def unused(): return 1"),
        ("lib/fast.py", "pass", "return 1"),
    ],
)
def test_what_does_not_count(project: Path, name: str, old: str, new: str) -> None:
    assert edited(project, name, old, new) == function_fingerprint(project, "steps.py:clean")


@pytest.mark.parametrize(
    ("name", "old", "new", "changed"),
    [
        ("steps.py", "LIMIT = 10", "LIMIT = 11", "steps.py:LIMIT"),
        ("steps.py", 'TABLE["a"] = 1', 'TABLE["a"] = 2', "steps.py:TABLE"),
        ("steps.py", "update(b=2)", "update(b=3)", "steps.py:TABLE"),
        ("steps.py", "limit=LIMIT", "limit=1", "steps.py:clean"),
        ("steps.py", "late.x(os.path.sep)", "late.x(1)", "steps.py:helper"),
        ("lib/numbers.py", "FACTOR = 2", "FACTOR = 3", "lib/numbers.py:FACTOR"),
        ("lib/text.py", "t.strip()", "t.lstrip()", "lib/text.py:squeeze"),
        ("lib/words.py", "return row", "return None", "lib/words.py:first"),
        ("side.py", "return x", "return -x", "side.py:beside"),
        ("lib/late.py", "return y", "return -y", "lib/late.py:x"),
    ],
)
def test_what_counts(project: Path, name: str, old: str, new: str, changed: str) -> None:
    before, after = function_fingerprint(project, "steps.py:clean"), edited(project, name, old, new)
    assert after[changed] != before[changed]


def test_types_of_constants_count(project: Path) -> None:
    assert edited(project, "steps.py", "LIMIT = 10", "LIMIT = 10.0") != function_fingerprint(project, "steps.py:clean")


def test_a_module_used_as_a_value_counts_whole(project: Path) -> None:
    (project / "steps.py").write_text("from lib import numbers\ndef f(): return vars(numbers)\n")
    assert "lib/numbers.py:unused" in function_fingerprint(project, "steps.py:f")


def test_functions_that_call_each_other_end(project: Path) -> None:
    (project / "steps.py").write_text("def f(): return g()\ndef g(): return f()\n")
    assert list(function_fingerprint(project, "steps.py:f")) == ["steps.py:f", "steps.py:g"]


@pytest.mark.parametrize(
    ("reference", "code", "hint"),
    [
        ("steps.py:claen", "no-such-function", "did you mean `clean`?"),
        ("step.py:clean", "no-such-file", "did you mean `steps.py`?"),
        ("../x.py:clean", "outside-project", "move it there"),
        ("clean", "no-such-function", 'write it as "file.py:function"'),
    ],
)
def test_mistakes(project: Path, reference: str, code: str, hint: str) -> None:
    with pytest.raises(Wrong) as error:
        function_fingerprint(project, reference)
    assert (error.value.code, error.value.hint) == (code, hint)


def test_python_that_does_not_parse_is_an_error_with_its_line(project: Path) -> None:
    (project / "lib" / "words.py").write_text("x = 1\ndef first(:\n")
    with pytest.raises(Wrong, match=r"lib/words.py:2"):
        function_fingerprint(project, "steps.py:clean")


def test_parameters(project: Path) -> None:
    assert function_parameters(project, "steps.py:clean") == ("row", "limit")
    assert function_parameters(project, "steps.py:near") is None


@pytest.mark.parametrize(
    ("code", "required"),
    [
        ("def f(a, b=1, *rest, c, d=2, **more): ...", ("a", "c")),
        ("def f(a, /, b, c=3): ...", ("a", "b")),
        ("async def f(*, key): ...", ("key",)),
        ("def f(): ...", ()),
        ("import functools\n@functools.cache\ndef f(a): ...", None),
        ("f = len", None),
    ],
)
def test_parameters_that_a_call_has_to_give(tmp_path: Path, code: str, required: tuple[str, ...] | None) -> None:
    (tmp_path / "own.py").write_text(code)
    assert required_parameters(tmp_path, "own.py:f") == required
