from __future__ import annotations

from typing import Any

from dreammake.core.options import Int, Text, Texts
from dreammake.core.rows import Rows
from dreammake.core.step import Columns, Look, Step, Work
from dreammake.steps._answers import AnswerReader, TextQuestions
from dreammake.steps._asked_rows import asked, columns_after
from dreammake.steps._asking import WritingOptions, check_messages, models_of
from dreammake.steps._nearest import ShownFrom
from dreammake.steps._shown_rows import CONTEXT, ShownRows, check_shown


class Prompt(Step):
    """Asks a model once for each row, and writes the answer, without blanks around it, as the column NAME.

    With `n` above 1 the column holds lists. With a `schema` the answer is a JSON object, and each of its fields a
    column, too; a text that does not fit is asked for again, and never guessed at. An answer is kept as soon as it
    comes, so a row is asked again only when its request changes: inserting, removing or reordering rows asks nothing
    again, and raising `n` asks the difference. Rows that failed are in the error table, `dreammake show TARGET
    --errors`; so is a row whose text would print a null.

    `examples` come before the question as turns of a chat, in their order, as many as fit: `examples: input.shots`. A
    text reads the rows of the `context` as a list: `{% for row in context %}{{ row.fact }}{% endfor %}`. Both take all
    rows of a dataset, or for each row its own: `nearest(input.shots, k=3, text="{{ question }}", model=minilm)` picks
    the 3 whose text is most like that of the row. `of="{{ fact }}"` is the text of the rows to pick from, where it is
    another one. Vectors are kept in the prompt cache.
    """

    named = "column"
    paper = "Prompt, ProcessWithPrompt, FewShotPrompt, FewShotPromptWithRetrieval, RAGPrompt"
    example = """
model poet: "a table of answers"
    engine: "scripted"
    answers: {"sea": "Salt on the tide's tongue.", "hill": "Grass that holds the sky."}

rule shots:
    output: "data/shots"
    rows: [{"subject": "a fox", "verse": "Red thought crossing the snow."}]

rule all:
    input:
        subjects: "data/subjects"
        shots: "data/shots"
    output: "data/verses"
    prompt verse:
        model: poet
        prompt: "Write one line about {{ subject }}."
        examples: input.shots

rule subjects:
    output: "data/subjects"
    rows: [{"subject": "the sea"}, {"subject": "a hill"}]
"""

    class Options(WritingOptions):
        prompt = Text("The user's message.", default=None)
        messages = Texts("Chat messages in place of `prompt`: dicts with `role` and `content`.", default=None)
        examples = ShownFrom(
            "Rows that show the model what to do: each by the same `prompt`, answered by its own column NAME (or, with "
            "a `schema`, by its fields). Where they are too long for the model, the last ones are left out.",
            default=None,
        )
        max_examples = Int("How many examples at most; the first ones.", default=None, at_least=0)
        context = ShownFrom("Rows that the texts read as `context`: a list of dicts.", default=None)
        n = Int("How many answers a row.", unit="answers", default=1, at_least=1)

    @classmethod
    def columns(cls, options: Any, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        check_messages(options.prompt, options.messages)
        if name is not None:
            check_shown(options, name, have, look)
        if have is None or name is None:
            return have
        return columns_after(have, AnswerReader(options, name).columns)

    @classmethod
    def asks(cls, options: Any) -> int:
        return int(options.n)

    @classmethod
    def sees(cls, options: Any) -> Columns:
        return () if options.context is None else (CONTEXT,)

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        assert name is not None
        shown = (
            None
            if options.examples is None and options.context is None
            else ShownRows(options, name, rows.columns, work)
        )
        questions = TextQuestions(options, name, rows.columns, options.n, shown)
        return asked(f"prompt {name}", options, models_of(options), rows, questions, work)
