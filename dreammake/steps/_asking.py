"""What the steps that ask a model share: options, messages, requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from dreammake.core.engine import Request
from dreammake.core.options import Bool, Choice, Float, Int, Model, OptionSet, Strings, Text, Wrong
from dreammake.core.values import ModelSpec, Template, models_in
from dreammake.steps._failures import MostErrors
from dreammake.steps._schema import Schema, json_schema

Row = Mapping[str, Any]


class ShownRows(Protocol):
    """Rows of other datasets that the model is shown (`_shown_rows`)."""

    def meet(self, rows: Sequence[Row]) -> None: ...

    def examples_for(self, row: Row) -> Sequence[Mapping[str, Any]]: ...

    def with_context(self, row: Row) -> Row: ...


SAMPLING = ("temperature", "top_p", "max_tokens", "stop", "seed")


class AskingOptions(OptionSet):
    """Options of every step that asks a model."""

    model = Model("The model that is asked.")
    system = Text("The system prompt; else the model's.", default=None)
    temperature = Float("Randomness of sampling, 0 for none. Else the model's.", default=None, at_least=0)
    top_p = Float("Share of probability that is sampled from. Else the model's.", default=None, at_least=0, at_most=1)
    max_tokens = Int("Longest answer. Else the model's.", unit="tokens", default=None, at_least=1)
    stop = Strings("Texts at which the answer ends. Else the model's.", default=None)
    seed = Int("Seed of the sampling. Else the model's.", default=None)
    max_errors = MostErrors(
        "How many rows may fail, or which share of them (0.01): with more, the job fails and asks no further.",
        default=None,
        result=False,
    )
    on_error = Choice(
        "What becomes of a row that failed: the job fails when all the others were asked, or the row is left out, or "
        "its answer is null. The error table has it in any case, and the next build asks for it again.",
        "fail",
        "skip",
        "null",
        default="fail",
    )


class WritingOptions(AskingOptions):
    """Options of the steps whose answers are texts, or objects that fit a schema."""

    schema = Schema(
        "The fields of a structured answer with their types, or a JSON Schema: each becomes a column.", default=None
    )
    attempts = Int(
        "How often one build asks for an answer that fits the `schema`.", unit="times", default=3, at_least=1
    )
    truncate = Bool(
        "Whether a prompt that is too long for the model loses the end of its last message; else it is an error of its "
        "row.",
        default=False,
    )
    on_length = Choice(
        "What an answer is that `max_tokens` cut off: an answer, or an error of its row.",
        "keep",
        "error",
        default="keep",
    )


def models_of(options: Any) -> list[ModelSpec]:
    """The step's models, with what the step says of their sampling."""
    changes = {name: options[name] for name in SAMPLING if options[name] is not None}
    return [model.with_options(**changes) if changes else model for model in models_in(options.model)]


def renderer(value: Any, columns: Sequence[str]) -> Callable[[Row], Any]:
    """A function from a row to the value with all its templates rendered, in lists and dicts too."""
    from dreammake.lang.template import compile_template

    match value:
        case Template():
            return compile_template(value, columns)
        case Mapping():
            parts = {key: renderer(item, columns) for key, item in value.items()}
            return lambda row: {key: part(row) for key, part in parts.items()}
        case list() | tuple():
            items = [renderer(item, columns) for item in value]
            return lambda row: [item(row) for item in items]
    return lambda row: value


def request_renderer(options: Any, columns: Sequence[str], shown: ShownRows | None = None) -> Callable[[Row], Request]:
    """A function from a row to its request: the `prompt` as the user's message, or the `messages`, with the rows that
    are shown to the model. It raises `lang.row.RowError` where a text fails on the row."""
    messages, system = options.values.get("messages"), options.system
    schema = None if options.schema is None else json_schema(options.schema)
    written = [{"role": "user", "content": options.prompt}] if messages is None else list(messages)
    if system is not None:
        written.insert(0, {"role": "system", "content": system})
    render = renderer(written, columns)
    truncate: bool = options.truncate
    if shown is None:
        return lambda row: Request(tuple(render(row)), schema, truncate=truncate)

    def request(row: Row) -> Request:
        *before, last = render(shown.with_context(row))
        turns = shown.examples_for(row)
        return Request((*before, *turns, last), schema, truncate=truncate, examples=len(turns) // 2)

    return request


def check_messages(prompt: Any, messages: Any) -> None:
    """Raises `Wrong` unless there is a prompt, or messages that are chat messages."""
    if prompt is not None and messages is not None:
        raise Wrong("`prompt` and `messages` exclude each other", "keep one of them", "conflicting-options")
    if prompt is None and messages is None:
        raise Wrong("there is nothing to ask: no `prompt`", 'add `prompt: "..."`', "missing-option")
    if messages is not None and not (
        isinstance(messages, list | tuple)
        and messages
        and all(isinstance(message, Mapping) and {"role", "content"} <= set(message) for message in messages)
    ):
        raise Wrong('`messages` takes a list of dicts such as {"role": "user", "content": "..."}')
