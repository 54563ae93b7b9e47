from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from dreammake.core.engine import Answer, Reader, Request
from dreammake.core.options import Int, Model, Text
from dreammake.core.rows import Rows
from dreammake.core.step import Columns, Step, Work
from dreammake.steps._asked_rows import Question, Read, Row, asked
from dreammake.steps._asking import AskingOptions, models_of, renderer

Message = Mapping[str, Any]


class Converse(Step):
    """Lets two models talk, one as the user, and writes their conversation as the column NAME.

    The user begins with the `prompt`; then the model answers and the user goes on in turn, until the model has answered
    `turns` times. NAME holds the messages as dicts with `role` and `content`, as `train sft` takes them by `messages`.
    Every message is in the prompt cache: raising `turns` asks only for what is new. A row is without a conversation
    where one of its messages fails.
    """

    named = "column"
    example = """
model assistant: "a table of answers"
    engine: "scripted"
    answers: {"next message": "And what is there to eat?", "eat": "Grilled sardines.", "visit": "Lisbon, by train."}

rule all:
    output: "data/talks"
    rows: [{"question": "Where could I visit the sea?"}]
    converse messages:
        model: assistant
        prompt: "{{ question }}"
        persona: "The user plans a journey, and is curious."
        turns: 2
"""

    class Options(AskingOptions):
        prompt = Text("The first message of the user.")
        user = Model("The model that plays the user; else `model` does.", default=None)
        persona = Text("Who the user is and wants, told to the model that plays the user.", default=None)
        turns = Int("How often the model answers.", unit="answers", default=3, at_least=1)

    @classmethod
    def asks(cls, options: Any) -> int:
        return 2 * int(options.turns) - 1

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows:
        assert name is not None
        user = models_of(options)[:1] if options.user is None else [options.user]
        for turn in range(2 * options.turns - 1):
            models, role = (models_of(options), "assistant") if turn % 2 == 0 else (user, "user")
            messages = _Messages(options, name, rows.columns, role, first=turn == 0)
            rows = asked(f"converse {name}", options, models, rows, messages, work)
        return rows


class _Messages:
    """Asks for the next message of each conversation, of the model or of its user."""

    choosy = False

    def __init__(self, options: Any, name: str, have: Sequence[str], role: str, *, first: bool) -> None:
        self.columns: Columns = (name,)
        self.reader: Reader | None = None
        self._name, self._role, self._first = name, role, first
        self._prompt = renderer(options.prompt, have)
        self._system = renderer(options.system, have)
        self._persona = renderer(options.persona, have)

    def meet(self, rows: Sequence[Row]) -> None:
        """Conversations do not know of each other."""

    def about(self, row: Row) -> Question:
        said = [{"role": "user", "content": self._prompt(row)}] if self._first else row[self._name]
        if said is None:
            return Question([], lambda answers: self.unanswered())
        request = self._to_model(row, said) if self._role == "assistant" else self._to_user(row, said)
        return Question([request], partial(self._read, said))

    def unanswered(self) -> Read:
        return Read({self._name: None})

    def _read(self, said: list[Message], answers: Sequence[Answer]) -> Read:
        (answer,) = answers
        if answer.error is not None:
            return replace(self.unanswered(), failure=answer.error, answer=answer.text)
        # In a dry run there is no text yet; the next message is asked for after an empty one, so that it is counted.
        return Read({self._name: [*said, {"role": self._role, "content": (answer.text or "").strip()}]})

    def _to_model(self, row: Row, said: list[Message]) -> Request:
        system = self._system(row)
        before = () if system is None else ({"role": "system", "content": system},)
        return Request((*before, *said))

    def _to_user(self, row: Row, said: list[Message]) -> Request:
        lines = [f"{message['role'].capitalize()}: {message['content']}" for message in said]
        parts = [
            "Below is a conversation between a user and an assistant.",
            self._persona(row),
            "\n\n".join(lines),
            "Write the next message of the user, and nothing else.",
        ]
        return Request(({"role": "user", "content": "\n\n".join(part for part in parts if part is not None)},))
