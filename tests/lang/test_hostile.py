"""Texts written to hang or crash a reader. Each ends with a clean error, and soon: within a process's time limit."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.lang.reading import file, value, wrong

DEEP = [
    "[" * 10_000,
    "(" * 10_000 + "1" + ")" * 10_000,
    "not " * 10_000 + "1",
    "-" * 10_000 + "1",
    "1" + " + 1" * 10_000,
    "a" + ".b" * 10_000,
    "a" + "[0]" * 10_000,
    "a" + "()" * 10_000,
    "1 if 1 else " * 10_000 + "1",
    "2 ** " * 10_000 + "2",
    "[x for x in " * 101 + "[]" + "]" * 101,
]
LARGE = [
    "9 ** 9 ** 9",
    "'a' * 10 ** 12",
    "range(10 ** 18)",
    "[0] * 10 ** 9",
    "1 << 10 ** 10",
    "2.0 ** 10000",
    "1e308 * 10",
    "str(2 ** 5000)",
    "int('1' * 5000)",
    "f'{1:1000000000}'",
    "f'{1.5:.1000000000f}'",
    "'a'.center(10 ** 10)",
    "('a' * 10 ** 6).replace('a', 'b' * 10 ** 6)",
    "('b' * 10 ** 6).join('a' * 10 ** 6)",
    "[[0 for x in range(10 ** 4)] for y in range(10 ** 6)]",
    "[0 for a in range(999) for b in range(999) for c in range(999) for d in range(999)]",
    "[('a' * 10 ** 7) + str(i) for i in range(1000)]",
    "sorted(['a' * 10 ** 6 + 'b', 'a' * 10 ** 6 + 'c'] * 100000)",
    "['a' * 10 ** 6 + 'b'] * 100000 == ['a' * 10 ** 6 + 'c'] * 100000",
    "round(5, -10 ** 9)",
    "sum(range(10 ** 6 + 1))",
]
DOUBLING = "[1]"
for _level in range(40):
    DOUBLING = f"[[y{_level}, y{_level}] for y{_level} in [{DOUBLING}]]"
CODES = {"too-deep", "too-large", "too-much-work", "bad-expression", "unclosed"}


@pytest.mark.parametrize("text", [*DEEP, *LARGE, DOUBLING, f"str({DOUBLING})"], ids=lambda text: text[:30])
def test_hostile_expressions_end(text: str) -> None:
    names = {"a": 1}
    found = wrong(lambda: value(text, **names))
    assert found[0].code in CODES
    assert found[0].span is not None


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(" " * level + "a:" for level in range(10_000)),
        "rule a:\n    b: " + "[" * 10_000,
        "rule a:\n    b: " + '"' + "\\" * 100_000,
        '"' * 100_001,
        "rule a:\n    b: f'" + "{" * 10_001,
        "\0" * 1000,
        "rule a:\n    b: " + "9" * 100_000,
        "a" * 1_000_000,
        "rule " * 100_000,
        "\n".join('a: """' for _ in range(2001)),
        "\n".join("a: [" for _ in range(2000)),
    ],
    ids=lambda text: repr(text[:20]),
)
def test_hostile_files_end(text: str) -> None:
    assert wrong(lambda: file(text))


def test_all_of_it_in_a_process_with_little_time_and_memory() -> None:
    program = f"""
import resource
resource.setrlimit(resource.RLIMIT_CPU, ({4 * len(LARGE)}, {4 * len(LARGE)}))
resource.setrlimit(resource.RLIMIT_AS, (2 * 1024 ** 3, 2 * 1024 ** 3))
from dreammake.core.diagnostic import DreamError
from dreammake.core.span import Source
from dreammake.lang.evaluate import evaluate
from dreammake.lang.parser import parse_expression
for text in {LARGE!r}:
    try:
        evaluate(parse_expression(text, Source("Dreamfile", text)), {{}})
    except DreamError:
        continue
    raise SystemExit(text)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
