from __future__ import annotations

import textwrap
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dreammake.display.cells import cells
from dreammake.display.rows_table import draw_rows


def shown(columns: list[str], rows: list[dict[str, Any]], **options: Any) -> str:
    return "\n" + draw_rows(columns, rows, **{"width": 60, **options}) + "\n"


def test_a_small_table() -> None:
    rows = [{"name": "日本", "age": 7, "tags": ["a"]}, {"name": "b", "age": None, "tags": []}]
    assert shown(["name", "age", "tags"], rows, total=1000) == textwrap.dedent("""
        name   age  tags
        ----  ----  -----
        日本     7  ["a"]
        b     null  []
        2 of 1,000 rows
        """)


def test_long_text_wraps_in_its_column() -> None:
    rows = [{"n": 1, "text": "one two three four five six seven"}, {"n": 2, "text": "short"}]
    assert shown(["n", "text"], rows, width=20) == textwrap.dedent("""
        n  text
        -  -----------------
        1  one two three
           four five six
           seven

        2  short
        """)


def test_wide_rows_are_records() -> None:
    columns = [f"column{number}" for number in range(9)]
    rows = [dict.fromkeys(columns, "some text")]
    drawn = draw_rows(columns, rows, width=40, first=3).splitlines()
    assert drawn[:2] == ["row 3", "column0  some text"]
    assert len(drawn) == 10


def test_tall_rows_are_records_with_all_their_text() -> None:
    text = "\n".join(f"line {number}" for number in range(40))
    drawn = draw_rows(["id", "answer"], [{"id": 1, "answer": text}], width=60).splitlines()
    assert drawn[:4] == ["row 0", "id      1", "answer  line 0", "        line 1"]
    assert len(drawn) == 42
    table = draw_rows(["id", "answer"], [{"id": 1, "answer": text}], width=60, form="table").splitlines()
    assert table[-1] == "    line 7…"


def test_a_vector_is_shown_by_its_beginning() -> None:
    assert "[0.25, 0.25, 0.25, … 384 numbers]" in draw_rows(["v"], [{"v": [0.25] * 384}], width=60)
    assert "0.25, 0.25, 0.25, 0.25]" in draw_rows(["v"], [{"v": [0.25] * 4}], width=60)


def test_no_rows_and_no_columns() -> None:
    assert draw_rows(["a"], [], width=40) == "a\n-"
    assert draw_rows([], [], width=40) == ""
    assert draw_rows([], [{}], width=40, total=1) == "row 0"


def test_a_text_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in draw_rows(["a\x1b[2J"], [{"a\x1b[2J": "\x1b[31m"}], width=40)


@given(
    st.lists(st.text(max_size=12), min_size=1, max_size=6, unique=True),
    st.data(),
    st.integers(20, 100),
)
def test_no_line_is_wider_than_the_terminal(columns: list[str], data: st.DataObject, width: int) -> None:
    value = st.none() | st.integers() | st.floats() | st.text() | st.lists(st.integers())
    rows = data.draw(st.lists(st.fixed_dictionaries(dict.fromkeys(columns, value)), max_size=4))
    for line in draw_rows(columns, rows, width=width).split("\n"):
        assert cells(line) <= width
