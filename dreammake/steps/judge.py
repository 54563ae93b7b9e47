from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from string import ascii_uppercase
from typing import Any

from dreammake.core.engine import Answer, Failure, Reader
from dreammake.core.fingerprint import canonical
from dreammake.core.judgement import Form
from dreammake.core.options import Bool, Models, Str, Text, Texts, Wrong
from dreammake.core.readers import TIE, verdict
from dreammake.core.rows import Rows
from dreammake.core.step import Columns, Look, Step, Work
from dreammake.core.values import Template
from dreammake.steps._asked_rows import Question, Read, Row, asked, columns_after
from dreammake.steps._asking import models_of, renderer
from dreammake.steps._judging import ExplainedOptions, Judging, written_columns


class Judge(Step):
    """Asks a model which of several responses is best, and writes its name as the column NAME.

    `responses` is a dict of texts by name: `{"A": "{{ a }}", "B": "{{ b }}"}`. The model sees them as Response A, B
    and so on, in an order of chance, which depends on `seed` and on what the responses say, never on the place of the
    row; the verdict is put back to the names. With `ties` it is "tie" where none is better.

    An answer has to choose one: `B`, `**A**`, `[[A]]`, `Response B is better.` or `Verdict: A, because ...` are read;
    `A or B`, `Both` (without `ties`), a refusal or nothing is none. It is asked for again, then null: never a guess.
    With several models the verdict is what more than half of them chose, else null.
    """

    named = "column"
    paper = "JudgePairsWithPrompt, JudgeGenerationPairsWithPrompt"
    example = """
model critic: "a table of answers"
    engine: "scripted"
    answers: {"Response A:\\\\s+Paris": "A", "Response B:\\\\s+Paris": "Response B is better."}

rule all:
    output: "data/preferences"
    rows: [{"question": "What is the capital of France?", "first": "Lyon", "second": "Paris"}]
    judge winner:
        model: critic
        prompt: "{{ question }}"
        responses: {"A": "{{ first }}", "B": "{{ second }}"}
        rubric: "Only what is true counts."
    map chosen: first if winner == "A" else second
"""

    class Options(ExplainedOptions):
        model = Models("The model that is asked, or several, of which more than half have to agree.")
        responses = Texts("The responses by name: a dict of two texts or more.")
        prompt = Text("What the responses answer; it is shown above them.", default=None)
        rubric = Text("What makes a response good.", default=None)
        instruction = Text("The first words of the question, in place of `Which response is better?`.", default=None)
        ties = Bool('Whether the verdict may be "tie".', default=False)
        order = Str("A column for the order of the names in which the model saw them.", default=None)

    @classmethod
    def columns(cls, options: Any, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        _check(options)
        if name is None:
            return have
        columns = written_columns(name, options.explanation, options.order)
        return None if have is None else columns_after(have, columns)

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        assert name is not None
        models = models_of(options)
        questions = _Comparisons(options, name, rows.columns, len(models))
        return asked(f"judge {name}", options, models, rows, questions, work)


def _check(options: Any) -> None:
    responses = options.responses
    if not isinstance(responses, Mapping) or not all(isinstance(text, Template) for text in responses.values()):
        example = 'write `responses: {"A": "{{ a }}", "B": "{{ b }}"}`'
        raise Wrong("`responses` takes a dict of texts by name", example)
    if len(responses) < 2:
        message = f"`responses` has {len(responses) or 'no'} response{'' if len(responses) == 1 else 's'} to compare"
        raise Wrong(message, "give two or more; `rank` gives a score to one", "too-few-responses")
    if len(responses) > len(ascii_uppercase):
        raise Wrong(f"`responses` has {len(responses)}: more than there are letters", "", "out-of-range")
    if options.ties and TIE in responses:
        message = f'`responses` has one called "{TIE}", which `ties` means otherwise'
        raise Wrong(message, "give it another name", "conflicting-options")


class _Comparisons:
    """Asks which response of each row is best."""

    choosy = False

    def __init__(self, options: Any, name: str, have: Sequence[str], judges: int) -> None:
        self.columns = written_columns(name, options.explanation, options.order)
        self._explanation, self._order = options.explanation, options.order
        self._name = name
        self._judges = judges
        self._names = tuple(options.responses)
        self._responses = [_response(name, text, have) for name, text in options.responses.items()]
        self._seed = options.seed or 0
        self._shown = ascii_uppercase[: len(self._names)]
        self._judging = Judging(options, have, _form(self._shown, options.ties))
        self.reader: Reader | None = self._judging.reader
        default = "Which response is better?" if len(self._names) == 2 else "Which response is best?"
        self._instruction = renderer(default if options.instruction is None else options.instruction, have)
        self._rubric = renderer(options.rubric, have)
        self._prompt = renderer(options.prompt, have)

    def meet(self, rows: Sequence[Row]) -> None:
        """Rows are judged one by one."""

    def about(self, row: Row) -> Question:
        prompt, texts = self._prompt(row), [response(row) for response in self._responses]
        chance = random.Random(canonical([self._seed, prompt, texts]))
        order = chance.sample(range(len(texts)), len(texts))
        parts = [self._instruction(row), self._rubric(row)]
        parts += [] if prompt is None else [f"Prompt:\n{prompt}"]
        parts += [f"Response {letter}:\n{texts[at]}" for letter, at in zip(self._shown, order, strict=True)]
        text = "\n\n".join(part for part in parts if part is not None)
        return Question([self._judging.request(row, text)], partial(self._read, [self._names[at] for at in order]))

    def unanswered(self) -> Read:
        return Read(dict.fromkeys(self.columns))

    def _read(self, order: Sequence[str], answers: Sequence[Answer]) -> Read:
        """`order` holds the names as the letters A, B, ... stood for them."""
        found = [self._judging.judgement(answer) for answer in answers]
        votes = Counter(letter for letter in found if isinstance(letter, str))
        chosen = next((letter for letter, count in votes.items() if count * 2 > self._judges), None)
        if chosen is not None:
            return Read(self._cells(TIE if chosen == TIE else order[self._shown.index(chosen)], order, answers))
        for one, answer in zip(found, answers, strict=True):
            if isinstance(one, Failure):
                return Read(self._cells(None, order, ()), one, answer.text)
        if None in found:
            return self.unanswered()
        disagree = Failure("no-majority", "no response was chosen by more than half of the models")
        return Read(self._cells(None, order, answers), disagree, " / ".join(answer.text or "" for answer in answers))

    def _cells(self, winner: str | None, order: Sequence[str], answers: Sequence[Answer]) -> dict[str, Any]:
        texts = [None if answer.text is None else answer.text.strip() for answer in answers]
        whole = texts if self._judges > 1 else next(iter(texts), None)
        values = {self._name: winner, self._explanation: whole or None, self._order: list(order)}
        return {column: values[column] for column in self.columns}


def _form(letters: str, ties: bool) -> Form[str]:
    wanted = "A or B" if len(letters) == 2 else f"one letter from {letters[0]} to {letters[-1]}"
    if ties:
        wanted += ', or "Tie" where none is better'
    choices = [*letters, *(["Tie"] if ties else [])]
    return Form("verdict", wanted, {"type": "string", "enum": choices}, partial(verdict, labels=letters, ties=ties))


def _response(name: str, text: Template, have: Sequence[str]) -> Callable[[Row], str]:
    """A function from a row to a response. It raises `lang.row.RowError` where that is a column that is null."""
    from dreammake.lang.row import RowError

    render = renderer(text, have)
    hole = text.source.strip().removeprefix("{{").removesuffix("}}").strip()

    def response(row: Row) -> str:
        if hole in row and row[hole] is None:
            raise RowError(text.source, f"the response `{name}` is null", "filter such rows out", 0)
        return str(render(row))

    return response
