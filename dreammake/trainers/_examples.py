"""Training examples: what a method's templates make of each row."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import fail
from dreammake.core.rows import Rows, from_dicts
from dreammake.core.step import RowError
from dreammake.core.trainer import Training
from dreammake.core.values import Template
from dreammake.trainers._arrow_files import put_down
from dreammake.trainers._processes import ranks

if TYPE_CHECKING:
    from datasets import Dataset

Row = Mapping[str, Any]
Render = Callable[[Row], Any]

ROW = "row"
"""The column of training examples that says which row they are of, by its number from 0."""
EXAMPLES = "examples"
"""The folder beside the checkpoints that holds the examples of the training that runs."""

_ONE_COLUMN = re.compile(r"\{\{\s*(\w+)\s*\}\}")


class Unlearnable(Exception):
    """A row from which no example can be made: a code, and one sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def renderer(value: Any, columns: Sequence[str]) -> Render:
    """What makes an option's value of a row: every template in its lists and dicts is rendered."""
    from dreammake.lang.template import compile_template

    match value:
        case Template():
            return compile_template(value, columns)
        case list() | tuple():
            items = [renderer(item, columns) for item in value]
            return lambda row: [render(row) for render in items]
        case Mapping():
            fields = {name: renderer(item, columns) for name, item in value.items()}
            return lambda row: {name: render(row) for name, render in fields.items()}
    return lambda row: value


def value_renderer(value: Any, columns: Sequence[str]) -> Render:
    """Like `renderer`; but one text that is only `{{ column }}` stands for the value in that column: a list, say."""
    if isinstance(value, Template) and (match := _ONE_COLUMN.fullmatch(value.source.strip())):
        column = match[1]
        if column in columns:
            return lambda row: row[column]
    return renderer(value, columns)


def messages_renderer(value: Any, columns: Sequence[str]) -> Render:
    """The messages of a chat, written out, or in a column that holds them. A row without any is `Unlearnable`."""
    render = value_renderer(value, columns)

    def messages(row: Row) -> Any:
        found = render(row)
        if not found or not isinstance(found, list | tuple) or not all(map(_is_message, found)):
            raise Unlearnable("no-messages", "its `messages` are no list of dicts with `role` and `content`")
        return found

    return messages


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("role"), str) and "content" in value


def chat(system: str | None, **texts: str) -> list[dict[str, str]]:
    """Chat messages in order: the system's where there is one, then one for each role given."""
    roles = ({"system": system} if system else {}) | texts
    return [{"role": role, "content": text} for role, text in roles.items()]


def examples_of(
    rows: Rows, make: Callable[[Row], dict[str, Any]], training: Training, step: str
) -> Iterator[dict[str, Any]]:
    """An example for each row, and its number. One that is `Unlearnable` goes into the table of errors instead, and
    says so where it is of the `eval` input.

    Raises DreamError where a template fails, with the row's number, and where there are rows and no example.
    """
    from dreammake.lang.row import RowError as TemplateError

    made, why = 0, ""
    where = f"{step}, eval" if rows is training.eval else step
    for number, row in enumerate(rows.dicts()):
        try:
            yield {ROW: number, **make(row)}
            made += 1
        except TemplateError as error:
            raise error.later(number) from None
        except Unlearnable as error:
            why = error.message
            training.error(RowError(number, where, error.code, error.message, row, again=False))
    if why and not made:
        hint = "`dreammake show` the dataset that the rule reads"
        fail("empty-dataset", f"no row can be learned from: {why}", hint=hint, exit_code=1)


def leave_out(rows: Rows, numbers: Iterable[int], code: str, message: str, training: Training, step: str) -> None:
    """Put the rows of these numbers into the table of errors."""
    left_out = set(numbers)
    if left_out:
        for number, row in enumerate(rows.dicts()):
            if number in left_out:
                training.error(RowError(number, step, code, message, row, again=False))


def dataset_of(columns: Sequence[str], examples: Iterable[dict[str, Any]], name: str, training: Training) -> Dataset:
    """The examples as a dataset on disk, in files that `without_examples` removes; what is computed of it (tokens, say)
    lies beside them. Raises DreamError when there are none."""
    from datasets import Dataset, concatenate_datasets

    files = ranks.of_first(lambda: _put_down(columns, examples, training.checkpoints / EXAMPLES, name))
    if not files:
        purpose = "measure the model on" if name == "eval" else "learn from"
        fail(
            "empty-dataset",
            f"the `{name}` dataset has no rows, so there is nothing to {purpose}",
            hint="look at the rule that makes it: a filter may drop every row",
            exit_code=1,
        )
    parts = [Dataset.from_file(file) for file in files]
    return parts[0] if len(parts) == 1 else concatenate_datasets(parts)


def without_examples(checkpoints: Path) -> None:
    """Remove the examples of a training."""
    shutil.rmtree(checkpoints / EXAMPLES, ignore_errors=True)


def _put_down(columns: Sequence[str], examples: Iterable[dict[str, Any]], folder: Path, name: str) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    files, _ = put_down(from_dicts(columns, examples).batches(), folder, name)
    return [str(folder / file) for file in files]
