from __future__ import annotations

from typing import Any

from dreammake.core.options import Dict, Int, Text, Wrong
from dreammake.core.rows import Rows, from_dicts
from dreammake.core.step import Columns, Look, Step, Work
from dreammake.steps._answers import AnswerReader, TextQuestions
from dreammake.steps._asked_rows import asked
from dreammake.steps._asking import WritingOptions, models_of
from dreammake.steps._attributes import Attributes, combinations, names_in, space_of


class Generate(Step):
    """Makes rows without any to begin with, each an answer of a model as the column NAME.

    With `count` alone all are answers to one and the same prompt; they differ by chance, so the model's `temperature`
    is above 0. Raising `count` asks only for what is new.

    With `attributes` the prompt has a value of each to read, and each is a column before NAME: one row for every
    combination, or `count` rows. These come in an order of chance (by `seed`), in which none comes again before all
    have come; with `weights`, each is drawn by them. A value may have attributes of its own: then `attributes` has a
    dict in place of the list of values, and their columns are null beside the other values.
    """

    named = "column"
    source = True
    paper = "DataFromPrompt, DataFromAttributedPrompt"
    example = """
model writer: "a table of answers"
    engine: "scripted"
    answers: ["A fox counts the stars.", "Rain writes on the roof.", "The clock forgets noon."]

rule all:
    input: "data/openings", "data/poems"

rule openings:
    output: "data/openings"
    generate opening:
        model: writer
        count: 5
        prompt: "Write the first sentence of a story."

rule poems:
    output: "data/poems"
    generate poem:
        model: writer
        attributes:
            place: ["the sea", "a hill"]
            tone: ["grave", "light"]
        prompt: "Write one {{ tone }} line about {{ place }}."
"""

    class Options(WritingOptions):
        prompt = Text("The user's message; it reads the `attributes`.")
        count = Int("How many rows; without it, all combinations of the `attributes`.", default=None, at_least=0)
        attributes = Attributes(
            "What varies: a list of values for each attribute, or a dict that gives each value its own attributes.",
            default=None,
        )
        weights = Dict(
            "How often the values of an attribute are drawn: a list of numbers, one a value, or a dict of numbers by "
            "value (1 for the others).",
            default=None,
        )

    @classmethod
    def columns(cls, options: Any, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        _check(options)
        if name is None:
            return ()
        varied = names_in(options.attributes)
        made = AnswerReader(options, name).columns
        for column in made:
            if column in varied:
                message = f"`{column}` is one of the `attributes`, and a column of the answer"
                raise Wrong(message, "give one of them another name", "duplicate-column")
        return (*varied, *made)

    @classmethod
    def sees(cls, options: Any) -> Columns:
        return names_in(options.attributes)

    @classmethod
    def most(cls, options: Any, count: int | None) -> int | None:
        if options.count is not None:
            return int(options.count)
        try:
            return space_of(options).size if options.attributes else None
        except Wrong:
            return None

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        assert name is not None
        varied = names_in(options.attributes)
        questions = TextQuestions(options, name, varied)
        if options.attributes is None:
            # Arrow has no rows without a column: these have the first one that the answers fill.
            blank = questions.columns[:1]
            made = from_dicts(blank, ({} for _ in range(options.count)), options.count)
        else:
            found, count = combinations(options, space_of(options))
            made = from_dicts(varied, found, count)
        return asked(f"generate {name}", options, models_of(options), made, questions, work)


def _check(options: Any) -> None:
    if options.attributes is not None:
        space_of(options)
        if options.weights and options.count is None:
            message = "`weights` say how often values are drawn, and all combinations are asked for"
            raise Wrong(message, "say with `count` how many rows to draw", "conflicting-options")
    elif options.weights is not None:
        raise Wrong("`weights` weigh `attributes`, and there are none", "add `attributes`", "missing-option")
    elif options.count is None:
        raise Wrong("`generate` needs `count`, or `attributes`", "say how many rows it makes", "missing-option")
