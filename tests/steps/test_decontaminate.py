"""Rows that share a run of words with an evaluation set, against the same in plain Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreammake.core.rows import from_dicts
from dreammake.core.values import Template
from dreammake.steps.decontaminate import Decontaminate
from tests.support.work import TestWork, apply

OPTIONS = {"against": "eval", "text": Template("{{ text }}"), "of": Template("{{ question }}")}


@pytest.fixture
def work(tmp_path: Path) -> TestWork:
    return TestWork(tmp_path)


def clean(work: TestWork, exam: list[Any], texts: list[Any], **options: Any) -> list[Any]:
    work.dataset("eval", [{"question": text} for text in exam], ("question",))
    rows = from_dicts(("text",), [{"text": text} for text in texts])
    return [row["text"] for row in apply(Decontaminate, OPTIONS | options, rows, work)]


texts = st.lists(st.one_of(st.none(), st.lists(st.sampled_from("abc"), max_size=7).map(" ".join)), max_size=6)


@settings(max_examples=60, deadline=None)
@given(exam=texts, given_=texts, n=st.integers(1, 4), overlap=st.sampled_from([0.0, 0.5]))
def test_what_shares_n_words_in_a_row_goes(
    tmp_path_factory: pytest.TempPathFactory, exam: list[Any], given_: list[Any], n: int, overlap: float
) -> None:
    def runs(text: Any) -> list[tuple[str, ...]]:
        words = (text or "").split()
        return [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]

    seen = {run for text in exam for run in runs(text)}
    short = {tuple(text.split()) for text in exam if text and len(text.split()) < n}

    def stays(text: Any) -> bool:
        mine = runs(text)
        whole = tuple((text or "").split())
        return sum(run in seen for run in mine) <= overlap * len(mine) and not (whole and whole in short)

    work = TestWork(tmp_path_factory.mktemp("project"))
    assert clean(work, exam, given_, n=n, overlap=overlap) == [text for text in given_ if stays(text)]


def test_case_punctuation_and_line_ends_do_not_matter(work: TestWork) -> None:
    exam = ["How many legs has a heron that stands in the reeds by the river at dawn?"]
    copied = 'He asked: "how many legs has a heron - that stands\nin the reeds, by the RIVER, at dawn"!'
    assert clean(work, exam, [copied, "How many legs has a heron?", None, "🦦"]) == [
        "How many legs has a heron?",
        None,
        "🦦",
    ]
    assert work.log == ["1 of 4 rows share 13 words in a row with eval"]


def test_nothing_to_be_against(work: TestWork) -> None:
    assert clean(work, [], ["a b c", ""], n=1) == ["a b c", ""]
    assert clean(TestWork(work.folder()), ["a"], [], n=1) == []
