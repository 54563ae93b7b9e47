"""Learning from preferences: what `dpo`, `kto`, `orpo` and `reward` share, from the rows to the model folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from dreammake.core.diagnostic import fail
from dreammake.core.options import Expression, OptionSet, Text, Wrong
from dreammake.core.rows import Rows
from dreammake.core.spelling import nearest
from dreammake.core.step import Columns
from dreammake.core.trainer import Training
from dreammake.trainers._base_model import Head
from dreammake.trainers._examples import ROW, Row, chat, dataset_of, examples_of, leave_out, renderer
from dreammake.trainers._torch_trainer import TorchTrainer
from dreammake.trainers._tuning import Start, check_tuning, finish, open_start

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import Trainer

Example = dict[str, Any]


class Pairs(OptionSet):
    """Two answers to a prompt, of which one is better."""

    prompt = Text("What the model is given.", default=None)
    chosen = Text("The better answer.", default=None)
    rejected = Text("The worse answer.", default=None)
    system = Text("The system prompt of each chat.", default=None)


@dataclass(frozen=True, slots=True)
class Data:
    """The examples in TRL's terms."""

    train: Dataset
    eval: Dataset | None


class PreferenceTrainer(TorchTrainer):
    """A method is one of these; it has `data_options`, `example_of` and `trainer_of`."""

    head: ClassVar[Head] = "text"
    data_options: ClassVar[tuple[str, ...]] = ("prompt", "chosen", "rejected")
    """The options that say what it learns from, and that it cannot be without."""
    columns: ClassVar[tuple[str, ...]] = ("prompt", "chosen", "rejected")
    """TRL's names of what an example holds."""
    too_long: ClassVar[str] = "its prompt alone fills `max_length`"

    @classmethod
    def needs(cls, options: OptionSet, have: Columns | None) -> None:
        """All of the data, and options that go together."""
        super().needs(options, have)
        method = cls.__name__.lower()
        for name in cls.data_options:
            if options[name] is None:
                said = f"`train {method}` does not say what `{name}` is"
                raise Wrong(said, cls._hint_for(name, have or ()), "missing-option")
        check_tuning(method, options)

    @classmethod
    def _hint_for(cls, name: str, have: Columns) -> str:
        near = name if name in have else nearest(name, have)
        column = near or "column"
        written = column if isinstance(cls.Options.declared()[name], Expression) else f'"{{{{ {column} }}}}"'
        known = f"; columns here: {', '.join(have)}" if have and near is None else ""
        return f"say where it is: {name}: {written}{known}"

    def example_of(self, options: Any, columns: Columns, *, has_chat: bool) -> Callable[[Row], Example]:
        """What makes an example of a row."""
        return pair_of(options, columns, has_chat=has_chat)

    def trainer_of(self, start: Start, data: Data, options: Any, training: Training) -> Trainer:
        """TRL's trainer. Raises DreamError where it refuses the options."""
        raise NotImplementedError

    def train(self, options: Any, training: Training) -> None:
        method = type(self).__name__.lower()
        start = open_start(options, training, head=self.head)

        def dataset(rows: Rows, path: str) -> Dataset:
            make = self.example_of(options, rows.columns, has_chat=start.has_chat)
            return dataset_of(
                (*self.columns_for(options), ROW), examples_of(rows, make, training, method), path, training
            )

        data = Data(dataset(training.train, "train"), None if training.eval is None else dataset(training.eval, "eval"))
        trainer = self.trainer_of(start, data, options, training)
        kept = set(trainer.train_dataset[ROW])
        gone = [number for number in data.train[ROW] if number not in kept]
        if not kept:
            hint = "raise `max_length`, or shorten the texts"
            fail("empty-dataset", f"no row can be learned from: of each, {self.too_long}", hint=hint, exit_code=1)
        if gone:
            training.say(f"{len(gone)} of {len(data.train)} rows are left out: of each, {self.too_long}")
            leave_out(training.train, gone, "context-overflow", self.too_long, training, method)
        finish(trainer, start, method, options, training, {"rows": len(data.train), "rows_left_out": len(gone)})

    def columns_for(self, options: Any) -> tuple[str, ...]:
        return self.columns


def pair_of(options: Any, columns: Columns, *, has_chat: bool) -> Callable[[Row], Example]:
    """A prompt with its two answers: messages where the model has a chat template, else texts."""
    asked = asked_of(options, columns, has_chat=has_chat)
    answers = {name: renderer(options[name], columns) for name in ("chosen", "rejected")}

    def make(row: Row) -> Example:
        return {"prompt": asked(row)} | {
            name: chat(None, assistant=render(row)) if has_chat else render(row) for name, render in answers.items()
        }

    return make


def asked_of(options: Any, columns: Columns, *, has_chat: bool) -> Callable[[Row], Any]:
    """What makes the prompt of a row, with its system prompt: messages, or one text."""
    system, prompt = renderer(options.system, columns), renderer(options.prompt, columns)
    if has_chat:
        return lambda row: chat(system(row), user=prompt(row))
    return lambda row: (f"{system(row)}\n\n" if options.system is not None else "") + prompt(row)
