"""A plug-in in one file: a step, an engine and an executor. `pip install ./examples/plugin`, and they are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dreammake.core.engine import Answer, Ask, EngineContext, ModelOptions
from dreammake.core.job import Job
from dreammake.core.options import Bool, OptionSet, Text
from dreammake.core.rows import Rows, add_column, with_column
from dreammake.core.step import Step, Work
from dreammake.core.values import ModelSpec
from dreammake.executors.local import Local
from dreammake.lang.template import compile_template


class Initials(Step):
    """Writes the first letters of the words of a text: `initials short: "{{ name }}"`.

    The docstring is the step's page, and the options check themselves: `dreammake help initials`, and a misspelt
    column or option is an error with its place, as for a built-in step.
    """

    named = "column"
    value = "text"
    example = """
rule all:
    output: "data/people"
    rows: [{"name": "ada lovelace"}]
    initials short: "{{ name }}"
        dots: True
"""

    class Options(OptionSet):
        text = Text("The text: a template over the columns of the row.")
        dots = Bool("Whether each letter has a dot.", default=False)

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        assert name is not None
        render = compile_template(options.text, rows.columns)
        end = "." if options.dots else ""

        def change(batch: Any) -> Any:
            texts = (render(row) for row in batch.to_pylist())
            return with_column(batch, name, ["".join(word[0].upper() + end for word in text.split()) for text in texts])

        return rows.then(add_column(rows.columns, name), change, same_count=True)


class Shout:
    """Answers with the prompt in capitals. An engine is `window`, `submit` and `close`; the cache, the retries and the
    budget are dreammake's."""

    version = 1
    window = 8

    class Options(ModelOptions):
        mark = Text("What stands behind each answer.", default="!")

    def __init__(self, spec: ModelSpec, context: EngineContext) -> None:
        self._mark = str(spec.options.get("mark", "!"))

    def submit(self, ask: Ask, done: Callable[[Answer], None]) -> None:
        prompt = str(ask.request.messages[-1]["content"])
        done(Answer(prompt.upper() + self._mark, "stop", len(prompt.split()), len(prompt.split())))

    def close(self) -> None:
        """Nothing is open."""


class Careful(Local):
    """The local executor, which tells of each job that it begins: `dreammake all --executor careful`."""

    def start(self, job: Job, claim: Mapping[str, Any], behind: str | None = None) -> None:
        print(f"careful: {job.id} begins", flush=True)
        super().start(job, claim, behind)
