"""The strict reader of labels; the step itself is tested with a server, and with a real classifier."""

from __future__ import annotations

import pytest

from dreammake.core.readers import label

LABELS = ["spam", "Ham", "not spam", "C++"]


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        ("spam", "spam"),
        ("Spam.", "spam"),
        ("**HAM**", "Ham"),
        ("Not spam", "not spam"),
        ("The label is ham.", "Ham"),
        ("Label: spam, because it sells", "spam"),
        ("Category: not spam", "not spam"),
        ("Answer: ham\nBecause spam sells.", "Ham"),
        ("[[C++]]", "C++"),
        ("<think>spam?</think>\nham", "Ham"),
        ("spam or ham", None),
        ("It could be spam", None),
        ("spammy", None),
        ("", None),
        ("I cannot say.", None),
        ("Label: ham\nLabel: spam", None),
    ],
)
def test_a_label_is_read_where_it_is_clearly_said(answer: str, read: str | None) -> None:
    assert label(answer, LABELS) == read
