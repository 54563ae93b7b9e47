"""The README: its YAML, its marked section, and what people wrote around them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreammake.hub.front_matter import front_matter, merged, split_front_matter
from dreammake.hub.readme import readme

VALUES = {"license": "mit", "tags": ["dreammake"]}


def test_a_new_readme() -> None:
    values, body = split_front_matter(readme("tweets", VALUES, "All about it."))
    assert values == VALUES
    assert body.startswith("\n# tweets\n\n<!-- dreammake: from here")
    assert body.endswith("All about it.\n\n<!-- dreammake: end -->\n")


@given(st.text("ab<!-> \n#`|é", max_size=60), st.text("ab<!-> \n#`|é", max_size=60), st.text("xy\n-", max_size=40))
def test_what_stands_around_the_section_stays(before: str, after: str, text: str) -> None:
    first = readme("t", VALUES, "first")
    _, body = split_front_matter(first)
    start, _, rest = body.partition("<!-- dreammake: from here")
    theirs = front_matter(VALUES) + f"{start}{before}<!-- dreammake: from here{rest}{after}"
    now = readme("t", VALUES, text, theirs, VALUES)
    assert now == theirs.replace("\n\nfirst\n\n", f"\n\n{text.strip()}\n\n", 1)
    assert readme("t", VALUES, text, now, VALUES) == now


def test_a_text_cannot_end_its_own_section() -> None:
    told = "rows\n\n<!-- dreammake: end -->\n\nmore"
    once = readme("t", VALUES, told)
    assert readme("t", VALUES, told, once, VALUES) == once
    assert "more" not in readme("t", VALUES, "short", once, VALUES)


def test_a_readme_without_a_section_gets_one_at_its_end() -> None:
    now = readme("t", VALUES, "text", "# Mine\n\nwords\n")
    assert now.startswith("---\nlicense: mit\ntags:\n- dreammake\n---\n# Mine\n\nwords\n\n<!-- dreammake: from")


@pytest.mark.parametrize(
    ("mine", "theirs", "before", "result"),
    [
        ({"a": 1}, {}, {}, {"a": 1}),
        ({"a": 2}, {"a": 1}, {"a": 1}, {"a": 2}),
        ({"a": 2}, {"a": 9}, {"a": 1}, {"a": 9}),
        ({"a": 2}, {"b": 3}, {"a": 1}, {"b": 3}),
        ({}, {"a": 1}, {"a": 1}, {}),
        ({}, {"a": 9}, {"a": 1}, {"a": 9}),
        ({"a": [1, 2]}, {"a": [1, 7]}, {"a": [1]}, {"a": [1, 2, 7]}),
        ({"a": [1]}, {"a": [5]}, {}, {"a": [1, 5]}),
    ],
)
def test_values_that_were_changed_on_the_hub(mine: Any, theirs: Any, before: Any, result: Any) -> None:
    assert merged(mine, theirs, before) == result


@pytest.mark.parametrize("text", ["", "# Title\n", "---\nno end", "---\n: : :\n---\nx", "---\n- a list\n---\nx"])
def test_a_text_without_yaml_is_all_text(text: str) -> None:
    assert split_front_matter(text) == ({}, text)
