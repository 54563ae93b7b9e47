from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from dreammake.core.diagnostic import Diagnostic, DreamError, fail
from dreammake.core.values import Function, ModelSpec, TypeName
from dreammake.lang.evaluate import ContextFunction, Namespace, compile_expr, evaluate
from dreammake.lang.limits import Budget
from tests.lang.reading import expression, value, wrong, wrong_value
from tests.lang.test_parser import RIGHT

PURE = """
1 + 2 * 3 ** 2 - 7 // 2 % 3
10 / 4
"a" + 'b' * 3
[1] + [2] * 2
(1, 2) + (3,)
{"a": 1} | {"b": 2, "a": 3}
5 & 3 | 8 ^ 1 << 2 >> 1
-3, +3, ~3
not [] and 1 or "x"
1 < 2 < 3 != 4
3 < 2 < 1 / 0
"b" in "abc" and 3 not in [1, 2]
None is None, True is not None
"x" if 0 else "y"
[x * y for x in range(3) for y in [1, 2] if x != y]
[[x for x in range(2)] + [x] for x in "ab"]
{k: v + 1 for k, v in {"a": 1}.items()}
any(x > 2 for x in [1, 2, 3]), all([]), sum(x for x in (1, 2.5))
min([3, 1]), max(1, 2, 3), min([], default=7), abs(-2), round(2.567, 2), round(2.5)
sorted([3, 1, 2], reverse=True), sorted("cab")
list_free[0]["k"][-1], "hello"[1:3], [1, 2, 3][::-1], "abc"[-1]
[*"no"] if False else len("abc") + len([1]) + len({"a": 1})
str(3), int("12"), float("1.5"), bool(""), int("ff", 16), str([1, "a", None]), str(1.0)
" a b ".strip().split(), "a,b".split(",", maxsplit=1), "a-b".replace("-", "+"), ",".join(["a", "b"])
"abc".startswith(("a", "b")), "x".upper().lower().title(), "aab".count("a"), "ab".find("z"), "a\\nb".splitlines()
{"a": 1}.get("a"), {"a": 1}.get("b", 2), "7".zfill(3), "a".center(5, "*"), "abc".removeprefix("a")
f"{1 + 1}|{'a'!r:>5}|{3.14159:.2f}|{255:#x}|{1000000:,}|{{}}|{None}|{[1]}|{'x':{'>'}{3}}"
[1, 2, 1].count(1), [5, 6].index(6), "abc".index("c")
2 ** -1, 7 % -3, -7 // 2, True + True
""".strip().splitlines()


@pytest.mark.parametrize("text", [line for line in PURE if "[*" not in line])
def test_pure_expressions_are_pythons(text: str) -> None:
    names = {"list_free": [{"k": [1, 2]}]}
    assert value(f"({text})", **names) == eval(f"({text})", {}, names)


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@settings(max_examples=300, deadline=None)
@given(RIGHT)
def test_any_expression_gives_pythons_value_or_a_clean_error(text: str) -> None:
    names: dict[str, Any] = {"a": 3, "b": [1, 2], "c": "text"}
    try:
        ours = value(text, **names)
    except DreamError as error:
        assert all(found.span is not None for found in error.diagnostics)
        return
    assert ours == eval(text, {"__builtins__": {}, "any": any, **names})


def test_lists_of_pairs() -> None:
    assert value("zip([1, 2], 'ab')") == [(1, "a"), (2, "b")]
    assert value("enumerate('ab', 1)") == [(1, "a"), (2, "b")]
    assert value("{'a': 1}.items()") == [("a", 1)]
    assert value("range(5, 0, -2)") == [5, 3, 1]


def test_config_reads_with_dots_and_brackets() -> None:
    config = Namespace({"n": 3, "train": {"lr": 0.1, "items": [1]}, "table": [{"k": 1}]})
    assert value("config.n + config['train'].lr", config=config) == 3.1
    assert value("[config.train.items, config.train.keys(), config.items()[0]]", config=config) == [
        [1],
        ["lr", "items"],
        ("n", 3),
    ]
    assert value("[k for k in config if k in config]", config=config) == ["n", "train", "table"]
    assert value("config == {'n': 3, 'train': config.train, 'table': [{'k': 1}]}", config=config) is True
    assert value("input[1]", input=Namespace({"a": "x", "b": "y"})) == "y"


def test_models_and_descriptions() -> None:
    teacher = ModelSpec("teacher", "openai/gpt-4o", options={"seed": 1})
    assert value("teacher(temperature=0, **{'top_p': 1})", teacher=teacher).options == {
        "seed": 1,
        "temperature": 0,
        "top_p": 1,
    }
    assert value("teacher.name", teacher=teacher) == "teacher"
    assert value("models[m](seed=2)", models=Namespace({"t": teacher}), m="t").options == {"seed": 2}
    assert value("lora(r=8)") == Function("lora", (), {"r": 8})
    assert value("one_of('a', 'b')") == Function("one_of", ("a", "b"), {})


def test_types_are_values_where_they_are_not_called() -> None:
    assert value('{"name": str, "n": str(3), "tags": [int]}') == {
        "name": TypeName("str"),
        "n": "3",
        "tags": [TypeName("int")],
    }
    assert value("str", str=5) == 5


def test_a_function_can_be_called_though_a_column_has_its_name() -> None:
    assert value("max(1, max)", max=3) == 3


def test_names_of_loops_hide_others_and_end_with_them() -> None:
    assert value("[x for x in [1]] + [x]", x="outer") == [1, "outer"]
    assert value("[[x for x in [x, 2]] for x in [1]]") == [[1, 2]]
    assert wrong_value("[x for x in [1]][x]").code == "unknown-name"


def test_context_functions_get_evaluated_arguments_and_their_errors_a_place() -> None:
    def expand(pattern: str, **lists: Any) -> list[str]:
        if not lists:
            fail("wrong-argument", "expand needs lists")
        return [pattern.replace("{x}", str(x)) for x in lists["x"]]

    names = {"expand": ContextFunction("expand", expand)}
    assert value("expand('a/{x}', x=[1, 1 + 1])", **names) == ["a/1", "a/2"]
    found = wrong_value("[] + expand('a')", **names)
    assert (found.code, found.span and found.span.text) == ("wrong-argument", "expand('a')")


@pytest.mark.parametrize(
    ("text", "code", "underlined", "hint"),
    [
        ("1 + confg.n", "unknown-name", "confg", "did you mean `config`?"),
        ("config.trian.lr", "unknown-key", "trian", "did you mean `train`?"),
        ("config['trian']", "unknown-key", "'trian'", "did you mean `train`?"),
        ("data/tweets", "unknown-name", "data", 'a path needs quotes: "data/tweets"'),
        ("len + 1", "unknown-name", "len", "it is a function: call it, `len(…)`"),
        ("lenn([1])", "unknown-name", "lenn", "did you mean `len`?"),
        ("1 + 'a' * 'b'", "bad-expression", "'a' * 'b'", ""),
        ("'a' + 1", "bad-expression", "'a' + 1", 'write `str(x)`, or an f-string: f"…{x}…"'),
        ("1 / (1 - 1)", "bad-expression", "1 / (1 - 1)", ""),
        ("[1, 2][5]", "unknown-key", "5", ""),
        ("'abc'.uper()", "unknown-key", "uper", "did you mean `upper`?"),
        ("'abc'.upper", "unknown-key", "upper", "call it: `.upper(…)`"),
        ("'{}'.format(1)", "unknown-key", "format", 'write an f-string: f"…{x}…"'),
        ("'%s' % 1", "bad-expression", "'%s' % 1", 'write an f-string: f"…{x}…"'),
        ("1 < 'a'", "bad-expression", "1 < 'a'", ""),
        ("1 < 2 < 'a'", "bad-expression", "2 < 'a'", ""),
        ("{[]: 1}", "bad-expression", "[]", ""),
        ("[a for a, b in [1]]", "bad-expression", "[1]", ""),
        ("[a for a in 3]", "bad-expression", "3", ""),
        ("','.join([1])", "bad-expression", "','.join([1])", 'write `",".join(str(x) for x in …)`'),
        ("max([])", "bad-expression", "max([])", "give what it is then: `max(x, default=0)`"),
        ("none.x.y", "unknown-key", "x", ""),
        ("f'{none:>5}'", "bad-expression", "none", "test for it first: `… if x is not None else …`"),
        ("config.n()", "bad-expression", "config.n()", ""),
        ("sorted(['a', 1])", "bad-expression", "sorted(['a', 1])", ""),
        ("''.split('')", "bad-expression", "''.split('')", ""),
        ("range(1, 2, 0)", "bad-expression", "range(1, 2, 0)", ""),
        ("len(1, 2)", "bad-expression", "len(1, 2)", ""),
        ("(-8) ** 0.5", "bad-expression", "(-8) ** 0.5", ""),
    ],
)
def test_mistakes_are_shown_at_the_narrowest_place(text: str, code: str, underlined: str, hint: str) -> None:
    found = wrong_value(text, config=Namespace({"train": {"lr": 1}, "n": 1}), none=None)
    assert found.span is not None
    assert (found.code, found.span.text, found.hint) == (code, underlined, hint)
    assert "NoneType" not in found.message and "object" not in found.message and "budget" not in found.message


def test_one_budget_serves_many_expressions() -> None:
    budget = Budget(5_000)
    loop = expression("[x for x in range(1000)]")
    with pytest.raises(DreamError) as caught:
        for _ in range(10):
            evaluate(loop, {}, budget)
    assert caught.value.diagnostics[0].code == "too-much-work"


def test_a_compiled_expression_runs_again_and_again() -> None:
    run = compile_expr(expression("[x + n for x in range(2)]"))
    assert [run({"n": n}) for n in (0, 10)] == [[0, 1], [10, 11]]


def test_diagnostics_of_a_call_keep_their_own_place() -> None:
    inner: Diagnostic = wrong_value("nowhere")

    def call() -> None:
        raise DreamError(inner)

    (found,) = wrong(lambda: value("f()", f=ContextFunction("f", call)))
    assert found == inner
