"""Readers of what a judge answers: a score, a verdict, yes or no. What is not clearly said is not read, never guessed.

An answer says its value in these ways, and all that it says must be one and the same:

- a line is the value: `4.5.`, `**A**`, `Response B is better.`, `8/10` on a scale up to 10;
- a sentence names it: `Score: 7`, `Final verdict: B, because ...`, `The answer is no.`;
- it stands in marks that are made for it: `[[A]]`, `\\boxed{A}`;
- for yes or no: the answer begins with the word, set off by a sign: `No, because ...`.

Words that say nothing (`Hmm...`, `Sure!`), emphasis, quotes, brackets around a line, and what a model thinks between
`<think>` tags do not matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

T = TypeVar("T")

TIE = "tie"

_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_BOXED = re.compile(r"\$?\\boxed\{([^{}\n]*)\}\$?")
_EMPHASIS = str.maketrans({"*": "", "`": "", '"': "", "“": "", "”": "", "’": "'"})
_MARKS = re.compile(r"^(?:[#>+-]+\s+)+")
_FILLER = re.compile(r"^(?i:(?:h+m+|u+h*m*|well|ok(?:ay)?|sure|alright|certainly|of course)\b[\s,.!…:-]*)+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")

_FIRST_WORD = re.compile(r"(yes|no)\b", re.IGNORECASE)
_SET_OFF = re.compile(r"(yes|no)(?:\s*$|\s*\n|[,;:!]|\.(?!\.)|\s+[-–—]\s)", re.IGNORECASE)
_LAST_WORD = re.compile(r"[.!?,;:\n]\s*(yes|no)\s*[.!]*\s*$", re.IGNORECASE)

_NAMED = (
    r"(?i:(?:my|the|final|overall|total|\s)*"
    r"(?:score|rating|grade|verdict|answer|winner|decision|judge?ment|choice|preference|label|class|category)"
    r"(?:\s*\([^)]*\)|\s+out of \d+)?"
)
_SAID = _NAMED + r"(?:\s*[:=]|\s+is\s*:|\s+[-–—]\s)\s*)"
"""Before a value that may be followed by reasons."""
_TOLD = _NAMED + r"\s+(?:is|would be|of)\s+)"
"""Before a value that ends its sentence."""
_REASONS = r"\s*(?:$|[.,;!|)\]}–—(]|-\s|(?:because|since)\b)"
_END = r"[)\]}]*[.!,;]*"


@dataclass(frozen=True, slots=True)
class _Ways:
    """The patterns by which one kind of value is said."""

    line: re.Pattern[str]
    said: re.Pattern[str]
    told: re.Pattern[str]
    marked: re.Pattern[str]

    @classmethod
    def of(cls, value: str, lead: str = "") -> _Ways:
        """`lead` may stand before a value that is a whole line."""
        return cls(
            re.compile(lead + value + _END),
            re.compile(_SAID + value + _REASONS),
            re.compile(_TOLD + value + _END),
            re.compile(r"\[\[\s*" + value + r"\s*\]\]"),
        )

    def found_in(self, text: str) -> Iterator[re.Match[str]]:
        for line in _lines(text):
            sentences = _SENTENCE.split(line)
            matches = [self.line.fullmatch(line), *map(self.said.match, sentences)]
            yield from filter(None, matches + [self.told.fullmatch(sentence) for sentence in sentences])
        yield from self.marked.finditer(text)


def score(text: str, low: float | None = None, high: float | None = None) -> float | None:
    """The one number that an answer gives; None where it gives none, several, or one that is off the scale.

    `8/10` and `8 out of 10` are scores where `high` is 10, and on no other scale.
    """

    def value(match: re.Match[str]) -> float | None:
        found = float(match["value"])
        fits = match["most"] is None or float(match["most"]) == high
        within = (low is None or low <= found) and (high is None or found <= high)
        return found if fits and within else None

    return _one(value(match) for match in _numbers().found_in(_plain(text)))


def verdict(text: str, labels: Sequence[str], *, ties: bool = False) -> str | None:
    """The one of the labels (capital letters) that an answer chooses, or TIE where `ties` may be; None where it cannot
    be told."""
    text = _plain(text)
    if re.fullmatch(r"\W*[a-z]\W*", text):
        text = text.upper()
    ways = _letters("".join(labels), ties)
    return _one(match["label"] or TIE for match in ways.found_in(text))


def label(text: str, labels: Sequence[str]) -> str | None:
    """The one of the labels that an answer names, in any case; None where it names none, or several."""
    known = {name.casefold(): name for name in labels}
    ways = _names(tuple(sorted(labels, key=len, reverse=True)))
    found = _one(match["label"].casefold() for match in ways.found_in(_plain(text)))
    return None if found is None else known.get(found)


def yes_or_no(text: str) -> bool | None:
    """Whether an answer says yes; None where it does not say, or says both."""
    text = _plain(text)
    words = [match["word"] for match in _words().found_in(text)]
    if _FIRST_WORD.match(text):
        words.append(match[1] if (match := _SET_OFF.match(text)) else "")
    words += _LAST_WORD.findall(text)
    found = _one(word.lower() for word in words)
    return found == "yes" if found else None


def _one(values: Iterable[T | None]) -> T | None:
    """The value that all agree on."""
    found = set(values)
    return found.pop() if len(found) == 1 else None


def _plain(text: str) -> str:
    """The text without what says nothing."""
    text = _BOXED.sub(r"[[\1]]", _THOUGHT.sub("", text)).translate(_EMPHASIS).strip()
    return _FILLER.sub("", text)


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        line = _MARKS.sub("", line.strip()).lstrip("([{<").strip()
        if line:
            yield line


@cache
def _numbers() -> _Ways:
    number = r"\d+(?:\.\d+)?(?![\d.,]*\d)"
    value = rf"(?P<value>[-+]?{number})(?:\s*(?:/|(?i:out of|of))\s*(?P<most>{number}))?(?:\s*(?i:points?|stars?))?"
    no_range = r"(?!\s*(?:[-–—/]|to\b|or\b|and\b)\s*\d)"
    lead = r"(?i:(?:i'd|i would|i) (?:give|rate|score) (?:(?:it|this|that|the \w+) )?(?:an? |as |at )*|it's an? )?"
    return _Ways.of(value + no_range, lead)


@cache
def _letters(labels: str, ties: bool) -> _Ways:
    noun = r"(?:(?i:the )?(?i:response|answer|option|candidate|choice|assistant|model) )?"
    letter = rf"[{labels}](?![\w'])"
    another = rf"(?!\s*(?:[,/&+-]|or\b|and\b)*\s*{noun}{letter})"
    praise = (
        r"(?: (?i:wins|is (?:the )?(?:clearly |much |slightly |far )?(?:better|best|winner|stronger|strongest)"
        rf"(?: (?:response|answer|option|choice|one))?)(?: than {noun}{letter})?)?"
    )
    chosen = rf"{noun}[(\[]*(?P<label>{letter}){another}{praise}"
    even = r"|(?i:(?:it is |it's )?(?:a )?(?:tie|draw)|both|equal|equally good)" if ties else ""
    return _Ways.of(f"(?:{chosen}{even})")


@cache
def _names(labels: tuple[str, ...]) -> _Ways:
    named = "|".join(map(re.escape, labels))
    return _Ways.of(rf"(?P<label>(?i:{named}))(?![\w'])")


@cache
def _words() -> _Ways:
    return _Ways.of(r"(?P<word>(?i:yes|no))(?![\w'])")
