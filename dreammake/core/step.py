"""The contract of a step. A step is one file: its declaration is its reference page, and it has one method."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from dreammake.core.job import Kind, Put
from dreammake.core.options import OptionSet
from dreammake.core.rows import Rows
from dreammake.core.values import ModelSpec

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy import float32
    from numpy.typing import NDArray

    from dreammake.core.engine import Answer, Reader, Request

Columns = tuple[str, ...]


class Look(Protocol):
    """What a step may see of the world while the graph is planned: columns, and nothing else."""

    def columns(self, path: str) -> Columns | None:
        """The columns of an input dataset of the rule, or None while they are not known."""

    def source(self, path: str) -> Path:
        """Where a path of the project lies on disk. Raises DreamError if it leaves the project."""


@dataclass(frozen=True, slots=True)
class RowError:
    """A row that has no result: its number in what the step read (from 0), the step, why, and the row's values.

    `answer` is the text that could not be used. `again`: the next build tries the row again, because it may go well
    then; what only an edit can mend is not tried.
    """

    row: int
    step: str
    code: str
    message: str
    values: Mapping[str, Any]
    answer: str | None = None
    again: bool = True


class Work(Protocol):
    """What a running step may use. A dry run gives one that asks no model and writes nothing."""

    inputs: tuple[Put, ...]
    outputs: tuple[Put, ...]
    gpus: tuple[str, ...]
    """The ids of the GPUs that the job has, on each of its machines."""
    nodes: int
    """How many machines the job has: this one is the first."""
    meeting: Path | None
    """A folder that all of them see, where it has several."""

    def open(self, path: str) -> Rows:
        """The rows of an input dataset. They can be read again, and know their count."""

    def path(self, path: str) -> Path:
        """Where a path of the project lies on disk."""

    def folder(self) -> Path:
        """A new empty folder that is gone when the job ends."""

    def output_folder(self) -> Path:
        """The folder that becomes the first output when the job is done."""

    def checkpoint_folder(self) -> Path:
        """A folder that outlives a killed job of the same recipe, and is gone once its target is there."""

    def spool(self, rows: Rows) -> Spooled:
        """The rows written to disk, so that they can be read again and in any order."""

    def ask(self, model: ModelSpec, requests: Iterable[Request], reader: Reader | None = None) -> Iterator[Answer]:
        """One answer a request, in order; from the prompt cache where it is there. Requests are drawn lazily,
        as many ahead as the model answers at once. A failed request is an answer with `error`. With a `reader`, one
        that it cannot read was asked as often as the reader says."""

    def pinned(self, revision: str) -> str | None:
        """The commit that a revision on a hub (`hf://org/name@main`) was pinned to by an earlier build."""

    def pin(self, revision: str, commit: str) -> None:
        """Remember what a revision stands for: later builds read the same commit."""

    def embed(self, model: ModelSpec, texts: Sequence[str]) -> NDArray[float32] | None:
        """One vector a text, in their order: texts x dimensions; from the cache where it is there. None where one would
        have to be made, in a dry run."""

    def kept(self, dataset: str, model: ModelSpec | None, how: Any, make: Callable[[Path], None]) -> Path:
        """A folder that `make` fills once, and that later jobs find again: what is made of an input dataset with the
        vectors of a model, in the way that `how` (JSON) tells. Of another content it is made anew, in its place."""

    def error(self, error: RowError) -> None:
        """Put a row in the target's error table."""

    def progress(self, done: int, total: int | None = None, **measures: float) -> None:
        """How many rows the step has made so far, or training steps with figures of now such as `loss`."""

    def say(self, line: str) -> None:
        """One line for the job's log."""

    def tell(self, line: str) -> None:
        """One line for the job's log, and for the display at once."""

    def meanwhile(self) -> None:
        """A step that waits for something else calls this first: the worker may have other work to do."""


class Spooled(Rows):
    """Rows on disk, memory-mapped: `table` is the whole, without being in memory."""

    table: pa.Table
    count: int


class Step:
    """Base of all steps.

    The docstring of a step is its page: one sentence first. `example` is a whole Dreamfile that runs.
    """

    version: ClassVar[int] = 1
    """Raise it when the same options and rows would give other rows: what was made before is then stale."""
    named: ClassVar[Literal["no", "column", "maybe-column", "method"]] = "no"
    """What the NAME in `STEP NAME:` is."""
    value: ClassVar[str | None] = None
    """The option that the value after the colon sets: `take: 10`."""
    block: ClassVar[str | None] = None
    """The `Dict` option that gathers the names of the indented block which no option declares: `split:`."""
    source: ClassVar[bool] = False
    """It makes rows and takes none, so it stands first."""
    last: ClassVar[bool] = False
    """Its result is the target itself, so it stands last."""
    makes: ClassVar[Kind] = "dataset"
    pure: ClassVar[bool] = True
    """A dry run may run it: it asks only models, through `Work`, and runs no code of the user's."""
    asks_by: ClassVar[str] = ""
    """The option without which the step asks no model, where it can do without: then no `defaults` are for it."""
    model_option: ClassVar[str] = "model"
    """The option that names the models that it asks."""
    embeds: ClassVar[bool] = False
    """Its model makes vectors, and is asked for no answer."""
    Options: ClassVar[type[OptionSet]] = OptionSet
    paper: ClassVar[str] = ""
    """What the DataDreamer paper (Table 2) calls it."""
    example: ClassVar[str] = ""

    @classmethod
    def options_for(cls, name: str | None) -> type[OptionSet]:
        """The options of `STEP NAME:`; only `train METHOD:` has others for each name."""
        return cls.Options

    @classmethod
    def columns(cls, options: OptionSet, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        """The columns after the step, given those before it (None: not known yet).

        Templates, expressions and `ColumnNames` options are checked against `have` before this is called.
        Raises `Wrong` for what only the step can see.
        """
        if have is None or name is None:
            return have
        return have if name in have else (*have, name)

    @classmethod
    def sees(cls, options: Any) -> Columns:
        """Names that the step's templates read beside the columns."""
        return ()

    @classmethod
    def most(cls, options: Any, count: int | None) -> int | None:
        """How many rows there can be after the step, given how many there can be before it; None: nobody knows.

        A dry run counts prompts by it where the rows are still to be made.
        """
        return count

    @classmethod
    def asks(cls, options: Any) -> int:
        """How often it asks each of its models about a row."""
        return 1

    @classmethod
    def elsewhere(cls, options: Any) -> bool:
        """Whether it reads what lies off this machine, a hub or a server: no dry run runs it."""
        return False

    @classmethod
    def outputs(cls, options: Any) -> list[str] | None:
        """The outputs that the step makes by name; None: the only one, or all."""
        return None

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Rows | Mapping[str, Rows]:
        """The rows after the step, made lazily. A `last` step may return rows by output name."""
        raise NotImplementedError
