"""Judgements: what a model is asked for, and how its answer is read. What it does not clearly say is no judgement."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from dreammake.core.catalog import Catalog
from dreammake.core.diagnostic import fail
from dreammake.core.engine import Answer, Failure, Reader, Request
from dreammake.core.options import List, Wrong
from dreammake.core.readers import score
from dreammake.core.secrets import SECRETS
from dreammake.core.values import ModelSpec, to_json

T = TypeVar("T")

_ATTEMPTS = 3
"""How often a judge is asked for an answer that can be read."""
_LASTING = ("unclear-answer", "context-overflow")
"""Why there is no score, and will be none when it is asked for again."""
_SHOWN = 60


class Asking(Protocol):
    """What a judge is asked through: a part of `core.step.Work`."""

    def ask(self, model: ModelSpec, requests: Iterable[Request], reader: Reader | None = None) -> Iterator[Answer]: ...

    def say(self, line: str) -> None: ...

    def tell(self, line: str) -> None: ...


class Scale(List):
    takes = "the lowest and the highest score, or None"

    def check(self, value: Any) -> Any:
        if value is None:
            return None
        match self.read(value):
            case [int() | float() as low, int() | float() as high] if low < high:
                return [low, high]
        hint = f"write `{self.name}: [1, 10]`"
        raise Wrong(f"`{self.name}` takes the lowest and the highest score", hint, "out-of-range")


@dataclass(frozen=True, slots=True)
class Form(Generic[T]):
    """What a judgement looks like: its name, what to answer in words and as a JSON Schema, and what a text says."""

    name: str
    wanted: str
    schema: Mapping[str, Any]
    says: Callable[[str], T | None]

    def read(self, text: str) -> T | None:
        """What an answer says, by its field of a JSON object or in words."""
        with suppress(ValueError, RecursionError):
            found = json.loads(text)
            if isinstance(found, dict) and isinstance(found.get(self.name), str | int | float):
                return self.says(str(found[self.name]))
        return self.says(text)

    def closing(self, *, structured: bool, explained: bool) -> str:
        """The end of a question: what to answer, and where the judgement stands when reasons are asked for."""
        if structured:
            return f"Give {'your reasons in a few sentences, and then ' if explained else ''}{self.wanted}."
        if explained:
            name = self.name.capitalize()
            return f"First give your reasons in a few sentences. Then end with one line: `{name}: ` and {self.wanted}."
        return f"Answer with {self.wanted}, and with nothing else."

    def json_schema(self, *, explained: bool) -> dict[str, Any]:
        fields = {**({"reasons": {"type": "string"}} if explained else {}), self.name: dict(self.schema)}
        return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def score_form(scale: Sequence[float] | None) -> Form[float]:
    """A score on a scale (lowest, highest), or any number."""
    if scale is None:
        return Form("score", "one number", {"type": "number"}, score)
    low, high = scale
    schema = {"type": "number", "minimum": low, "maximum": high}
    return Form("score", f"one number from {low:g} to {high:g}", schema, lambda text: score(text, low, high))


def read_answer(answer: Answer, says: Callable[[str], T | None], wanted: str) -> T | Failure | None:
    """What an answer says, or why it says nothing; None only in a dry run. `wanted` is what it should be, in words."""
    if answer.text is None:
        return answer.error
    found = says(answer.text)
    if found is not None:
        return found
    cut = answer.finish_reason == "length"
    message = f"the answer{', cut off by `max_tokens`,' if cut else ''} is not {wanted}"
    hint = "raise `max_tokens`" if cut else "say in the prompt what to answer, or take a larger model"
    return Failure("unclear-answer", message, hint)


def scores(
    work: Asking, judge: ModelSpec, questions: Sequence[str], scale: Sequence[float] | None
) -> list[float | None]:
    """The score that a judge gives for each question, in order; None for an answer that is none, which the log tells.

    A question need not say how to answer: its end is added here. Answers that cannot be read are kept and count, so no
    later build asks for them again. Raises DreamError `not-judged` where requests failed that may go well another time.
    """
    form = score_form(scale)
    closing = form.closing(structured=False, explained=False)
    requests = [Request(({"role": "user", "content": f"{text}\n\n{closing}"},)) for text in questions]
    reader = Reader(lambda text: form.read(text) is not None, _ATTEMPTS, settles=True)
    found: list[float | None] = []
    unclear: list[str] = []
    for answer in list(
        work.ask(judge, requests, reader)
    ):  # all of them: what is answered is kept, also where one fails
        read = read_answer(answer, form.read, form.wanted)
        if isinstance(read, Failure) and read.code not in _LASTING:
            message = f'the judge "{judge.model}" gave no score: {read.message}'
            hint = "what it answered is kept; build again to go on"
            fail("not-judged", message, hint=f"{read.hint}; {hint}" if read.hint else hint, exit_code=1)
        found.append(None if isinstance(read, Failure) else read)
        if isinstance(read, Failure):
            unclear.append(read.message + (f": {_short(answer.text)}" if answer.text else ""))
    if unclear:
        say = work.tell if len(unclear) == len(questions) else work.say
        say(f"{len(unclear)} of {len(questions)} answers of the judge are no score; the first: {unclear[0]}")
    return found


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"


def told(value: Any) -> Any:
    """A model as others may be told of it: without secrets, and without what changes no answer, its key and its pace.
    Any other value is as it is."""
    if not isinstance(value, ModelSpec):
        return value
    declared = Catalog().find("models", value.engine).Options.declared()
    kept = {name: to_json(one) for name, one in value.options.items() if declared[name].result and one is not None}
    return replace(value, options=SECRETS.hide_in(kept))
