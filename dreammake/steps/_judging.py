"""What the steps share that ask a model to judge: options, how they ask, and how they read the answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

from dreammake.core.engine import Answer, Failure, Reader, Request
from dreammake.core.judgement import Form, read_answer
from dreammake.core.options import Bool, Choice, Int, Str, Wrong
from dreammake.core.step import Columns
from dreammake.steps._asked_rows import Question, Read, Row
from dreammake.steps._asking import AskingOptions, renderer

T = TypeVar("T")


class ReadOptions(AskingOptions):
    """Options of the steps that read something out of an answer."""

    attempts = Int(
        "How often an answer is asked for that can be read. Those that cannot be are kept and count, so no later build "
        "asks for them again.",
        unit="times",
        default=3,
        at_least=1,
    )
    on_error = Choice(
        "What becomes of a row that failed, or whose answer cannot be read: what it would say is null, or the row is "
        "left out, or the job fails when all the others were asked. The error table has it in any case.",
        "null",
        "skip",
        "fail",
        default="null",
    )


class JudgingOptions(ReadOptions):
    """Options of the steps that read a judgement out of an answer."""

    structured = Bool(
        "Whether the judgement is asked for as a JSON object: a model that takes a schema can then not answer "
        "otherwise, and another one is told of it.",
        default=False,
    )


class ExplainedOptions(JudgingOptions):
    """Options of the steps whose judgement may come with its reasons."""

    explanation = Str(
        "A column for the whole answer: the model is then asked for its reasons first, and its judgement last.",
        default=None,
    )


class Judging(Generic[T]):
    """How a step asks for judgements of one form, and reads them."""

    def __init__(self, options: Any, have: Sequence[str], form: Form[T]) -> None:
        explained = options.values.get("explanation") is not None
        self._form = form
        self._system = renderer(options.system, have)
        self._end = form.closing(structured=options.structured, explained=explained)
        self._schema = form.json_schema(explained=explained) if options.structured else None
        self.reader = reader_of(options, form.read)

    def request(self, row: Row, text: str) -> Request:
        system = self._system(row)
        before = () if system is None else ({"role": "system", "content": system},)
        return Request((*before, {"role": "user", "content": f"{text}\n\n{self._end}"}), self._schema)

    def judgement(self, answer: Answer) -> T | Failure | None:
        return read_answer(answer, self._form.read, self._form.wanted)


class Judgements(Generic[T]):
    """Asks for a judgement of each row by the step's `prompt`.

    Of `columns` the first holds what the answer says, and the second the whole answer. Rows are kept for which `keeps`
    holds; None stands for what cannot be read.
    """

    def __init__(
        self,
        options: Any,
        have: Sequence[str],
        columns: Columns,
        form: Form[T],
        keeps: Callable[[T | None], bool] | None = None,
    ) -> None:
        self.columns = columns
        self.choosy = keeps is not None
        self._keeps = keeps or (lambda value: True)
        self._prompt = renderer(options.prompt, have)
        self._judging = Judging(options, have, form)
        self.reader: Reader | None = self._judging.reader

    def meet(self, rows: Sequence[Row]) -> None:
        """Rows are judged one by one."""

    def about(self, row: Row) -> Question:
        return Question([self._judging.request(row, self._prompt(row))], self._read)

    def unanswered(self) -> Read:
        return Read(dict.fromkeys(self.columns), kept=self._keeps(None))

    def _read(self, answers: Sequence[Answer]) -> Read:
        (answer,) = answers
        found = self._judging.judgement(answer)
        if found is None:
            return Read(dict.fromkeys(self.columns))
        if isinstance(found, Failure):
            return replace(self.unanswered(), failure=found, answer=answer.text)
        cells = zip(self.columns, (found, (answer.text or "").strip()), strict=False)
        return Read(dict(cells), kept=self._keeps(found))


def reader_of(options: Any, says: Callable[[str], Any]) -> Reader:
    """By which answers are asked for again. What was asked for in vain often enough is not asked for by later builds,
    unless the user wants to hear of each."""
    return Reader(lambda text: says(text) is not None, options.attempts, settles=options.on_error != "fail")


def written_columns(name: str, *more: str | None) -> Columns:
    """The column NAME and the others that are asked for. Raises `Wrong` where two are one."""
    columns = (name, *(column for column in more if column is not None))
    for at, column in enumerate(columns):
        if column in columns[:at]:
            raise Wrong(f"two columns would be called `{column}`", "give one of them another name", "duplicate-column")
    return columns
