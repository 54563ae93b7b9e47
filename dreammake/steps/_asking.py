"""What the steps that ask a model share: options, messages, and what becomes of a request that failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from dreammake.core.diagnostic import fail
from dreammake.core.engine import Answer, Request
from dreammake.core.options import Choice, Float, Int, Model, OptionSet, Strings, Text, Wrong
from dreammake.core.values import ModelSpec, Template

Row = Mapping[str, Any]

SAMPLING = ("temperature", "top_p", "max_tokens", "stop", "seed")
_SHOWN_REASONS = 3


class AskingOptions(OptionSet):
    """Options of every step that asks a model."""

    model = Model("The model that is asked.")
    system = Text("The system prompt; else the model's.", default=None)
    temperature = Float("Randomness of sampling, 0 for none. Else the model's.", default=None, at_least=0)
    top_p = Float("Share of probability that is sampled from. Else the model's.", default=None, at_least=0, at_most=1)
    max_tokens = Int("Longest answer. Else the model's.", unit="tokens", default=None, at_least=1)
    stop = Strings("Texts at which the answer ends. Else the model's.", default=None)
    seed = Int("Seed of the sampling. Else the model's.", default=None)
    on_error = Choice(
        "What becomes of a row whose request failed: the job fails when all were asked, or the row is left out, or its "
        "answer is null.",
        "fail",
        "skip",
        "null",
        default="fail",
    )


def model_of(options: Any) -> ModelSpec:
    """The step's model, with what the step says of its sampling."""
    changes = {name: options[name] for name in SAMPLING if options[name] is not None}
    model: ModelSpec = options.model
    return model.with_options(**changes) if changes else model


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


def request_renderer(
    prompt: Template | None, messages: Any, system: Template | None, columns: Sequence[str]
) -> Callable[[Row, int], Request]:
    """A function from a row and its number to its request: the `prompt` as the user's message, or the `messages`.

    It raises RowError where a text fails on the row.
    """
    from dreammake.lang.row import RowError

    written = [{"role": "user", "content": prompt}] if messages is None else list(messages)
    if system is not None:
        written.insert(0, {"role": "system", "content": system})
    render = renderer(written, columns)

    def request_of(row: Row, number: int) -> Request:
        try:
            return Request(tuple(render(row)))
        except RowError as error:
            raise error.later(number) from None

    return request_of


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


class Failures:
    """Counts the requests that failed; with `on_error: "fail"`, says so when all the others were asked and kept."""

    def __init__(self, on_error: str) -> None:
        self.on_error = on_error
        self.asked = 0
        self._reasons: Counter[str] = Counter()
        self._hint = ""

    def text(self, answer: Answer) -> str | None:
        """The answer's text without blanks around it; None where there is none."""
        self.asked += 1
        if answer.error is not None:
            self._reasons[answer.error.message] += 1
            self._hint = self._hint or answer.error.hint
        return None if answer.text is None else answer.text.strip()

    @property
    def lose_all(self) -> bool:
        """Whether the rows are of no use any more."""
        return self.on_error == "fail" and bool(self._reasons)

    def check(self) -> None:
        """Raise DreamError `prompts-failed` for what failed; the answers that came are in the cache."""
        if not self.lose_all:
            return
        failed = self._reasons.total()
        reasons = [f"{count:,} × {reason}" if count > 1 else reason for reason, count in self._reasons.most_common()]
        shown = "; ".join(reasons[:_SHOWN_REASONS])
        more = f"; and {len(reasons) - _SHOWN_REASONS} other reasons" if len(reasons) > _SHOWN_REASONS else ""
        kept = 'the other answers are kept; build again to ask only these, or say `on_error: "skip"` or "null"'
        fail(
            "prompts-failed",
            f"{failed:,} of {self.asked:,} prompts failed: {shown}{more}",
            hint=f"{self._hint}; {kept}" if self._hint else kept,
            exit_code=1,
        )


def groups(answers: Iterator[Answer], size: int) -> Iterator[list[Answer]]:
    """The answers by so many: those of one row."""
    while group := list(islice(answers, size)):
        yield group
