"""What the readers of judgements understand, and what they refuse to guess."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreammake.core.readers import score, verdict, yes_or_no

REFUSAL = "I'm sorry, but as an AI language model I cannot answer that."

SCORES: dict[str, float | None] = {
    "7": 7,
    "4.5.": 4.5,
    "Hmm... 3": 3,
    " **8** ": 8,
    "[[9]]": 9,
    "10/10": 10,
    "8 out of 10.": 8,
    "8/10 - clear and short": None,
    "Score: 8/10 - clear and short": 8,
    "Score: 7\nIt has 3 errors in 2 lines.": 7,
    "It has 3 errors.\n\nFinal score: 4": 4,
    "**Rating:** 6.5 (solid)": 6.5,
    "Rating (1-10): 6": 6,
    "My rating is 5.": 5,
    "I'd give it a 7.": 7,
    "I would rate this response 7/10": None,
    "I would rate this 7/10": 7,
    '{"score": 7, "reason": "short"}': 7,
    "7\n\nThe text is clear.": 7,
    "Thoughts first.\n7": 7,
    "<think>maybe 3? no, 9</think>\n6": 6,
    "It is $\\boxed{4}$": 4,
    "Sure! Here is my score: 5": None,
    "Sure! Score: 5": 5,
    "+3": 3,
    "": None,
    "   \n": None,
    "Both": None,
    "seven": None,
    REFUSAL: None,
    "4,5": None,
    "1.2.3": None,
    "7-8": None,
    "7 to 8": None,
    "7 or 8": None,
    "Score: 7 or 8": None,
    "Score: 7\nScore: 8": None,
    "7\n8": None,
    "11": None,
    "0": None,
    "-3": None,
    "8/5": None,
    "4/5": None,
    "100%": None,
    "The text has 3 errors": None,
    "The scale goes from 1 to 10": None,
    "The highest score is 10 and the lowest score is 1": None,
    "1. Clear\n2. Short": None,
    "🙂🙂🙂": None,
    "３": 3,
}


@pytest.mark.parametrize(("text", "expected"), SCORES.items())
def test_a_score_is_read_or_not(text: str, expected: float | None) -> None:
    assert score(text, 1, 10) == expected


def test_a_score_without_a_scale_is_any_number() -> None:
    assert [score(text) for text in ("-3", "1000", "0.25", "8/10")] == [-3, 1000, 0.25, None]


VERDICTS: dict[str, str | None] = {
    "A": "A",
    "b": "B",
    "B.": "B",
    "**A**": "A",
    "(B)": "B",
    "[[A]]": "A",
    "Answer: B": "B",
    "answer: B, because A is wrong": "B",
    "Final verdict: [[B]]": "B",
    "The winner is A.": "A",
    "Response B": "B",
    "Response B is better.": "B",
    "Response A is better than Response B": "A",
    "A wins": "A",
    "B\n\nResponse A is wrong about the date.": "B",
    "Response A is long. Response B is short.\nVerdict: A": "A",
    "Hmm, B": "B",
    "<think>A? B?</think>B": "B",
    "I prefer \\boxed{B}": "B",
    '{"verdict": "A"}': "A",
    "": None,
    "Both": None,
    "tie": None,
    "C": None,
    "a good question": None,
    "A good answer names the year.": None,
    "Answer: A good answer names the year.": None,
    "A or B": None,
    "Answer: A or B": None,
    "Answer: A, B": None,
    "A and B": None,
    "A/B": None,
    "A\nB": None,
    "Response A\nIs long.\nResponse B\nIs short.": None,
    "Verdict: A\nVerdict: B": None,
    "B\nVerdict: A": None,
    "Not A": None,
    "A is worse": None,
    "Response A's tone is better": None,
    "AB": None,
    "Verdict:": None,
    REFUSAL: None,
    "🅰": None,
}


@pytest.mark.parametrize(("text", "expected"), VERDICTS.items())
def test_a_verdict_is_read_or_not(text: str, expected: str | None) -> None:
    assert verdict(text, ("A", "B")) == expected


@pytest.mark.parametrize(
    "text", ["Tie", "a tie.", "It's a tie!", "It’s a tie", "Both", "Verdict: tie", "[[Tie]]", "equal"]
)
def test_a_tie_is_read_where_there_may_be_one(text: str) -> None:
    assert verdict(text, ("A", "B"), ties=True) == "tie"
    assert verdict(text, ("A", "B")) is None


@pytest.mark.parametrize("text", ["", "neither", "both are bad", "A tie-breaker: B"])
def test_other_words_are_no_tie(text: str) -> None:
    assert verdict(text, ("A", "B"), ties=True) is None


WORDS: dict[str, bool | None] = {
    "yes": True,
    "No.": False,
    "YES!": True,
    "**No**": False,
    "Answer: yes": True,
    "The answer is no.": False,
    "No, because yes...": False,
    "Yes - it names the year.": True,
    "Yes: it does": True,
    "Sure! Yes": True,
    "It names the year.\nYes": True,
    "It names the year. Yes.": True,
    '{"answer": "no"}': False,
    "": None,
    "Both": None,
    "yes and no": None,
    "Yes, no": None,
    "No. Yes.": None,
    "No, wait, the answer: yes": None,
    "No, it is wrong.\nAnswer: yes": None,
    "No... yes": None,
    "No, hmm, actually, yes.": None,
    "yesterday": None,
    "Nothing is wrong": None,
    "I know": None,
    "There is no way to say yes to this": None,
    "It is not a yes": None,
    "maybe": None,
    REFUSAL: None,
}


@pytest.mark.parametrize(("text", "expected"), WORDS.items())
def test_yes_and_no_are_read_or_not(text: str, expected: bool | None) -> None:
    assert yes_or_no(text) is expected


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    found = score(text, 1, 10)
    assert found is None or 1 <= found <= 10
    assert verdict(text, "ABC", ties=True) in (None, "A", "B", "C", "tie")
    assert yes_or_no(text) in (None, True, False)


@given(st.text("AB\n .:*()[]", max_size=30))
def test_a_verdict_is_one_that_the_text_has(text: str) -> None:
    found = verdict(text, "AB")
    assert found is None or found in text


@pytest.mark.parametrize("part", ["(", "A", "- ", "1", "the ", "1.1", "hm ", "yes ", "A,", "<think>"])
def test_a_hostile_text_takes_no_time(part: str) -> None:
    text = part * 50_000
    assert (score(text, 1, 10), verdict(text, "AB"), yes_or_no(text)) == (None, None, None)
