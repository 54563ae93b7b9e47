from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreammake.core.diagnostic import DreamError
from dreammake.core.values import Template
from dreammake.lang import template as module
from dreammake.lang.row import RowError
from dreammake.lang.syntax import Text
from dreammake.lang.template import compile_template, parse_template
from tests.lang.reading import expression, file, wrong

ROW = {"a": "hi", "nothing": None, "list": [1, "x"], "row": {"k": "v", "items": 3}}
CAPTURED = {"config": {"train": {"lr": 0.1}, "items": 3}}


def parsed(text: str) -> module.ParsedTemplate:
    found = expression(repr(text))
    assert isinstance(found, Text)
    return parse_template(found)


def rendered(source: str, row: dict[str, Any] = ROW, columns: list[str] | None = None) -> str:
    return compile_template(Template(source, CAPTURED), columns or list(row))(row)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("no holes", []),
        ("{{ a }} {{a}} {{ b }}", ["a", "b"]),
        ("{% for x in rows %}{{ x.y }}{{ loop.index }}{% endfor %}", ["rows"]),
        ("{% for x in x %}{{ x }}{% endfor %}", ["x"]),
        ("{% set x = y %}{{ x }}", ["y"]),
        ("{% if a %}{% set x = 1 %}{% endif %}{{ x }}", ["a", "x"]),
        ("{% if a %}{% set x = 1 %}{% else %}{% set x = 2 %}{% endif %}{{ x }}", ["a"]),
        ("{% macro m(x) %}{{ x }}{{ z }}{% endmacro %}{{ m(1) }}", ["z"]),
        ("{% with x = y %}{{ x }}{% endwith %}", ["y"]),
        ("{{ a | default(b) | upper }}{{ c is defined }}", ["a", "b", "c"]),
        ("{% for i in range(n) %}{% endfor %}{{ range }}", ["n", "range"]),
        ("{{ a[b] }}{{ true }}{# {{ c }} #}{% raw %}{{ d }}{% endraw %}", ["a", "b"]),
        ("{{ a.items() }}{{ a['k'].z }}", ["a"]),
    ],
)
def test_the_names_that_a_template_reads(source: str, names: list[str]) -> None:
    assert sorted(parsed(source).names) == sorted(names)


def test_chains() -> None:
    plain = parsed("{{ config.train.lr }}{{ config.n }}{{ a }}")
    jinja = parsed("{% if config.train['lr'] %}{% endif %}{{ config.n + a }}")
    assert plain.chains == jinja.chains == {"config": {("train", "lr"), ("n",)}, "a": {()}}
    assert parsed("{{ config.items() }}{{ config[a] }}").chains["config"] == {()}


@pytest.mark.parametrize("word", ["abstrct", "abstrct | upper"])
def test_names_have_places_in_the_file(word: str) -> None:
    source = f'rule a:\n    prompt: """\n        The abstrct says\n\n            {{{{ {word} }}}}\n        """\n'
    (text,) = file(source).blocks[0].blocks[0].values
    assert isinstance(text, Text)
    span = parse_template(text).names["abstrct"]
    assert (span.text, span.line, span.column) == ("abstrct", 5, 16)


@pytest.mark.parametrize(
    ("source", "underlined"),
    [
        ("x\n{{ a", "{{ a"),
        ("x\n{% if a %}", "{% if a %}"),
        ("{% nosuch %}\nx", "{% nosuch %}"),
        ("{{ a | uper }}", "uper"),
        ("{{ a is evn }}", "evn"),
        ("{% include 'x' %}", "include"),
        ("{{ a b }}", "{{ a b }}"),
    ],
)
def test_a_wrong_template_is_shown_at_its_place(source: str, underlined: str) -> None:
    text = expression('"""' + source + '"""')
    assert isinstance(text, Text)
    (found,) = wrong(lambda: parse_template(text))
    assert found.code == "bad-template" and found.span is not None
    assert found.span.text == underlined
    assert '"' not in found.message and "'" not in found.message


@pytest.mark.parametrize("source", ["{{ " + "(" * 10_000, "{{ a" + " + a" * 10_000 + " }}", "{% if a %}" * 10_000])
def test_a_deep_template_is_an_error(source: str) -> None:
    (found,) = wrong(lambda: parsed(source))
    assert found.code in ("too-deep", "bad-template")


def test_reading_computes_nothing_in_a_template() -> None:
    assert parsed("{{ 2 ** 2 ** 99 ** 99 }}{{ 'a' | center(10 ** 12) }}{{ 'a' * 10 ** 12 }}").names == {}


@pytest.mark.parametrize(
    ("source", "made"),
    [
        ("{{ a }}!\n", "hi!"),
        ("a {{ list }} {{ row }}", "a [1, 'x'] {'k': 'v', 'items': 3}"),
        ("{{ nothing or 'none' }}{{ nothing | default('', true) }}{{ nothing | tojson }}", "nonenull"),
        ("{{ row.k }}{{ row['k'] }}", "vv"),
        ("{{ config.train.lr }}{{ config.items }}", "0.13"),
        ("{% for x in list %}\n  {{ x }}\n{% endfor %}\n", "  1\n  x\n"),
        ("  {% if a %}\nyes\n  {% endif %}\nend", "yes\nend"),
        ("{{ row | tojson }} {{ '<é>' | tojson }}", '{"k": "v", "items": 3} "<é>"'),
        ("{{ a ~ 1 | string }}", "hi1"),
    ],
)
def test_texts_of_rows(source: str, made: str) -> None:
    assert rendered(source) == made


def test_a_column_hides_what_was_captured() -> None:
    assert rendered("{{ config }}", {"config": "mine"}) == "mine"
    assert rendered("{{ config | upper }}", {"config": "mine"}) == "MINE"


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(["{{ a }}", "{{list}}", "{{\nrow }}", "x", "\n", " ", "{", "}", "%}", "{{ config.items }}"])
    )
)
def test_the_fast_way_renders_as_jinja_does(pieces: list[str]) -> None:
    source = "".join(pieces)
    if module._plain_parts(source) is None:
        return
    render = module._jinja_render(source, {"config": module.Namespace(CAPTURED["config"])})
    assert rendered(source) == render(ROW)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ x }}", "`x` is not defined"),
        ("a {{ nothing }}", "`nothing` is null"),
        ("{% if a %}{{ nothing }}{% endif %}", "a value in it is null"),
        ("{{ x | upper }}", "`x` is not defined"),
        ("{{ row.nosuch }}", "`dict object` has no attribute `nosuch`"),
        ("{{ a.__class__ }}", "unsafe"),
        ("{{ list.append(3) }}", "unsafe|not safely"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ 'a' * 10 ** 12 }}", "more than 16,777,216 characters"),
        ("{{ 9 ** 9999999 }}", "bits"),
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "too much work"),
        ("{% for i in list * 4000 %}{{ 'a' * 9999 }}{% endfor %}", "more than 16,777,216 characters"),
        ("{% macro f(n) %}{% if n < 40 %}{{ f(n+1) }}{{ f(n+1) }}{% endif %}{% endmacro %}{{ f(0) }}", "too much work"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "nested too deeply"),
    ],
)
def test_a_text_that_fails_is_an_error_of_the_row(source: str, reason: str) -> None:
    with pytest.raises(RowError, match=reason) as caught:
        rendered(source)
    assert caught.value.later(7).row == 7
    assert caught.value.exit_code == 1


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(["{{", "}}", "{%", "%}", "{#", "#}", " a ", "if", "for x in", "set", "=", "|", "'", "(", "\n"])
    )
)
def test_any_text_is_a_template_or_a_clean_error(pieces: list[str]) -> None:
    try:
        parsed("".join(pieces))
    except DreamError as error:
        assert all(found.span is not None for found in error.diagnostics)
