from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dreammake.core.catalog import Catalog
from dreammake.core.engine import Answer, Failure, Reader, Request
from dreammake.core.judgement import Form
from dreammake.core.options import Str, Strings, Text, Wrong
from dreammake.core.readers import label
from dreammake.core.rows import Rows
from dreammake.core.step import Columns, Look, Step, Work
from dreammake.core.values import ModelSpec
from dreammake.steps._asked_rows import Question, Read, Row, asked, columns_after
from dreammake.steps._asking import models_of
from dreammake.steps._judging import Judging, JudgingOptions, written_columns
from dreammake.steps._row_texts import text_of_row


class Classify(Step):
    """Writes the label of a text as the column NAME.

    With an `engine: "classifier"` a classifier of Transformers reads the text (one that `train classifier` made, say):
    the labels are its own, and `score` names a column for how sure it is, from 0 to 1. Where its model gives a text
    several labels, NAME holds lists.

    Any other model is asked to choose one of the `labels` (zero-shot); the step adds how to answer. `Spam.`, `**spam**`
    and `Label: spam, because ...` are read, in any case; an answer that names several labels, or only has one somewhere
    in a sentence, is none: it is asked for again, and then null. A row whose columns are null, or whose text is blank,
    has null, and nobody is asked.
    """

    named = "column"
    paper = "RunTaskModel"
    example = """
model reader: "a table of answers"
    engine: "scripted"
    answers: {"otter": "Animal.", "gear": "Label: thing, because it is made."}

rule all:
    output: "data/labelled"
    rows: [{"text": "an otter"}, {"text": "a gear"}]
    classify kind:
        model: reader
        text: "{{ text }}"
        labels: ["animal", "thing"]
"""

    class Options(JudgingOptions):
        text = Text("What is classified; for a model that is asked, with what it should know.")
        labels = Strings("The labels that a model chooses from; a classifier has its own.", default=None)
        score = Str("A column for the score that a classifier gives its label.", default=None)

    @classmethod
    def columns(cls, options: Any, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        _check(options)
        if name is None or have is None:
            return have
        return columns_after(have, written_columns(name, options.score))

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        assert name is not None
        if _classifies(options.model):
            questions = _Classified(options, written_columns(name, options.score), rows.columns)
            return asked(f"classify {name}", options, [options.model], rows, questions, work)
        return asked(f"classify {name}", options, models_of(options), rows, _Chosen(options, name, rows.columns), work)


def _classifies(model: ModelSpec) -> bool:
    return bool(getattr(Catalog().find("models", model.engine), "classifies", False))


def _check(options: Any) -> None:
    if _classifies(options.model):
        if options.labels is not None or options.system is not None:
            given = "labels" if options.labels is not None else "system"
            message = f"`{given}` is for a model that is asked, and `{options.model.name}` is a classifier"
            raise Wrong(message, "take it out", "conflicting-options")
        return
    if options.score is not None:
        message = f"`score` is what a classifier gives, and the model `{options.model.name}` is asked"
        raise Wrong(message, 'take it out, or take a model of `engine: "classifier"`', "conflicting-options")
    if options.labels is None:
        message = f"the model `{options.model.name}` is asked to choose, and there are no `labels`"
        hint = 'write `labels: ["spam", "ham"]`, or take a model of `engine: "classifier"`'
        raise Wrong(message, hint, "missing-option")
    known = [name.strip().casefold() for name in options.labels]
    if len(known) < 2 or len(set(known)) < len(known) or "" in known:
        raise Wrong("`labels` are two or more, each another text", 'write `labels: ["spam", "ham"]`', "wrong-argument")


class _Classified:
    """Asks about each row that has a text."""

    choosy = False

    def __init__(self, options: Any, columns: Columns, have: Sequence[str]) -> None:
        self.columns = columns
        self.reader: Reader | None = None
        self._text = text_of_row(options.text, have)

    def meet(self, rows: Sequence[Row]) -> None:
        """Rows are classified one by one."""

    def about(self, row: Row) -> Question:
        text = self._text(row)
        if text is None:
            return Question([], lambda answers: self.unanswered())
        return Question([self._request(row, text)], lambda answers: self._read(answers[0]))

    def unanswered(self) -> Read:
        return Read(dict.fromkeys(self.columns))

    def _request(self, row: Row, text: str) -> Request:
        return Request(({"role": "user", "content": text},))

    def _read(self, answer: Answer) -> Read:
        if answer.text is None:
            return replace(self.unanswered(), failure=answer.error)
        said = json.loads(answer.text)
        return Read(dict(zip(self.columns, (said["label"], said["score"]), strict=False)))


class _Chosen(_Classified):
    """Asks a model to choose one of the labels."""

    def __init__(self, options: Any, name: str, have: Sequence[str]) -> None:
        super().__init__(options, (name,), have)
        wanted = f"one of these labels: {', '.join(options.labels)}"
        schema = {"type": "string", "enum": options.labels}
        self._judging = Judging(options, have, Form("label", wanted, schema, lambda text: label(text, options.labels)))
        self.reader = self._judging.reader

    def _request(self, row: Row, text: str) -> Request:
        return self._judging.request(row, text)

    def _read(self, answer: Answer) -> Read:
        found = self._judging.judgement(answer)
        if isinstance(found, Failure):
            return replace(self.unanswered(), failure=found, answer=answer.text)
        return Read(dict.fromkeys(self.columns, found))
