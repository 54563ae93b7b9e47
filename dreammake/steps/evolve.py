from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from dreammake.core.engine import Answer, Failure, Reader, Request
from dreammake.core.fingerprint import canonical
from dreammake.core.judgement import read_answer
from dreammake.core.options import Int, Str, Strings, Text, Wrong
from dreammake.core.rows import Rows
from dreammake.core.spelling import did_you_mean
from dreammake.core.step import Columns, Look, Step, Work
from dreammake.core.values import Template
from dreammake.steps._asked_rows import Question, Read, Row, asked, columns_after
from dreammake.steps._asking import models_of, renderer
from dreammake.steps._judging import ReadOptions, reader_of, written_columns

_DEEPER = "Rewrite the instruction below into one that is harder to follow, and that a person can still understand: "
WAYS: Mapping[str, str] = {
    "constraint": _DEEPER + "add one constraint or requirement.",
    "depth": _DEEPER + "ask for more depth and breadth on what it is about.",
    "concrete": _DEEPER + "put a more specific thing in place of a general one.",
    "reasoning": _DEEPER + "where a few simple thoughts answer it, ask explicitly for several steps of reasoning.",
    "input": _DEEPER + "add some data to work on, as a table, code, JSON or a text.",
    "breadth": (
        "Write a new instruction inspired by the one below: of the same field, but rarer, of about the same length and "
        "difficulty."
    ),
}
"""The operations of Evol-Instruct (Xu et al., 2023), in depth and in breadth."""
_LEFTOVERS = ("given instruction", "rewritten instruction", "new instruction", "instruction below", "as an ai")


class Evolve(Step):
    """Makes an instruction harder or broader, as Evol-Instruct does, and writes it as the column NAME.

    Each row is rewritten in one of `ways`, chosen by `seed` and by what the instruction says, never by the place of the
    row; with `rounds` above 1, what came out is rewritten again. Ways in depth are `constraint`, `depth`, `concrete`,
    `reasoning` and `input`; `breadth` writes a new instruction of the same field.

    An answer that is empty, says the same as before, or talks about its task ("the rewritten instruction") is none: it
    is asked for again, then null.
    """

    named = "column"
    example = """
model writer: "a table of answers"
    engine: "scripted"
    answers: {"sea": "Describe the sea in three lines without the word blue."}

rule all:
    output: "data/harder"
    rows: [{"instruction": "Describe the sea."}]
    evolve harder:
        model: writer
        instruction: "{{ instruction }}"
        ways: ["constraint", "concrete"]
"""

    class Options(ReadOptions):
        instruction = Text("The instruction to begin with.")
        ways = Strings("How it may be rewritten.", default=tuple(WAYS))
        rounds = Int("How often it is rewritten.", unit="times", default=1, at_least=1)
        way = Str("A column for the ways that were taken: a list, one a round.", default=None)

    @classmethod
    def columns(cls, options: Any, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        for way in options.ways:
            if way not in WAYS:
                raise Wrong(f"`ways` has no way `{way}`", did_you_mean(way, WAYS) or f"known: {', '.join(WAYS)}")
        if not options.ways:
            raise Wrong("`ways` is empty", f"known: {', '.join(WAYS)}")
        if name is None:
            return have
        columns = written_columns(name, options.way)
        return None if have is None else columns_after(have, columns)

    @classmethod
    def asks(cls, options: Any) -> int:
        return int(options.rounds)

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        assert name is not None
        for number in range(options.rounds):
            text = options.instruction if number == 0 else Template(f"{{{{ {name} }}}}")
            questions = _Rewritings(options, name, text, rows.columns, number)
            rows = asked(f"evolve {name}", options, models_of(options), rows, questions, work)
        return rows


class _Rewritings:
    """Asks for the instruction of each row in another way; `number` is that of the round."""

    choosy = False

    def __init__(self, options: Any, name: str, text: Template, have: Sequence[str], number: int) -> None:
        self.columns = written_columns(name, options.way)
        self.reader: Reader | None = reader_of(options, _rewritten)
        self._name, self._way = name, options.way
        self._before = name if number else None
        self._ways: list[str] = list(options.ways)
        self._seed = options.seed or 0
        self._text = renderer(text, have)
        self._system = renderer(options.system, have)

    def meet(self, rows: Sequence[Row]) -> None:
        """Rows are rewritten one by one."""

    def about(self, row: Row) -> Question:
        if self._before is not None and row[self._before] is None:
            return Question([], lambda answers: self.unanswered())
        text = self._text(row)
        way = random.Random(canonical([self._seed, text])).choice(self._ways)
        taken = [*(row[self._way] if self._way and self._before else ()), way]
        system = self._system(row)
        before = () if system is None else ({"role": "system", "content": system},)
        asks = f"{WAYS[way]}\n\nInstruction:\n{text}\n\nAnswer with the new instruction, and with nothing else."
        request = Request((*before, {"role": "user", "content": asks}))
        return Question([request], partial(self._read, text, taken))

    def unanswered(self) -> Read:
        return Read(dict.fromkeys(self.columns))

    def _read(self, text: str, ways: list[str], answers: Sequence[Answer]) -> Read:
        (answer,) = answers
        found = read_answer(answer, _rewritten, "a new instruction")
        if found == text.strip():
            found = Failure("unclear-answer", "the answer is the instruction as it was", "take other `ways`")
        if isinstance(found, Failure):
            return replace(self.unanswered(), failure=found, answer=answer.text)
        # In a dry run there is no text yet; the next round asks about an empty one, so that it is counted.
        values = {self._name: found or "", self._way: ways}
        return Read({column: values[column] for column in self.columns})


def _rewritten(text: str) -> str | None:
    """The instruction that an answer is; None where it is empty, or talks about its task."""
    found = text.strip().removeprefix("Instruction:").strip()
    low = found.lower()
    return found if found and not any(words in low for words in _LEFTOVERS) else None
