"""`nearest(input.shots, k=3, text="{{ question }}", model=minilm)`: the rows of a dataset that are most like a row.

`text` is embedded for the row, and `of` for each row of the dataset (by default the same text); likeness is the cosine
of the two vectors. The nearest row comes first; of rows that are as near, the one that stands first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dreammake.core.options import Dataset, Wrong, describe
from dreammake.core.spelling import did_you_mean
from dreammake.core.step import Work
from dreammake.core.values import Function, ModelSpec, Template
from dreammake.steps._asking import renderer
from dreammake.steps._top_k import nearest
from dreammake.steps._vectors import embedder, unit

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

Row = Mapping[str, Any]

_EXAMPLE = 'write `nearest(input.shots, k=3, text="{{ question }}", model=minilm)`'


@dataclass(frozen=True, slots=True)
class Nearest:
    """The `k` rows of a dataset whose text `of` is most like a row's `text`, by the vectors of a model."""

    path: str
    model: ModelSpec
    text: Template
    of: Template
    k: int


class ShownFrom(Dataset):
    """A dataset, or the rows of one that are nearest to each row."""

    takes = "an input of the rule (`input.name`), or `nearest(input.name, k=3, text=..., model=...)`"

    def read(self, value: Any) -> Any:
        if not isinstance(value, Function):
            return super().read(value)
        if value.function != "nearest" or len(value.args) != 1 or not isinstance(value.args[0], str):
            raise self.wrong(value)
        for name in value.kwargs:
            if name not in ("k", "text", "of", "model"):
                hint = did_you_mean(name, ("k", "text", "of", "model"))
                raise Wrong(f"`{self.name}`: `nearest` takes no `{name}`", hint, "unknown-argument")
        model = value.kwargs.get("model")
        if not isinstance(model, ModelSpec):
            raise Wrong(f"`{self.name}`: `nearest` needs a `model` that makes embeddings", _EXAMPLE, "wrong-argument")
        embedder(model, self.name)
        for name in ("text", "of"):
            if not isinstance(value.kwargs.get(name, None if name == "text" else ""), str):
                raise Wrong(f"`{self.name}`: `nearest` needs `{name}`, the text to compare", _EXAMPLE, "wrong-argument")
        k = value.kwargs.get("k", 1)
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            message = f"`{self.name}`: the `k` of `nearest` is a whole number of 1 or above, not {describe(k)}"
            raise Wrong(message, _EXAMPLE, "wrong-argument")
        return value


def path_of(value: Any) -> str:
    """The dataset that the option names."""
    return str(value.args[0] if isinstance(value, Function) else value)


def nearest_of(value: Any) -> Nearest | None:
    """How rows are picked; None where all of them are."""
    if not isinstance(value, Function):
        return None
    text = Template(value.kwargs["text"])
    of = Template(value.kwargs["of"]) if "of" in value.kwargs else text
    return Nearest(value.args[0], value.kwargs["model"], text, of, value.kwargs.get("k", 1))


class Picker:
    """The rows of a dataset, and which of them a row is shown: all, or the nearest."""

    def __init__(
        self, value: Any, rows: Sequence[Row], columns: Sequence[str], have: Sequence[str], work: Work
    ) -> None:
        self.rows = rows
        self._nearest = nearest_of(value)
        self._work = work
        self._picked: dict[int, Sequence[int] | Exception] = {}
        if self._nearest is not None:
            text_of = renderer(self._nearest.of, columns)
            self._text = renderer(self._nearest.text, have)
            self._index = self._vectors([text_of(row) for row in rows])

    def meet(self, rows: Sequence[Row]) -> None:
        """Find what is nearest to these rows, all at once."""
        if self._nearest is not None:
            self._picked = dict(zip(map(id, rows), self._near(rows), strict=True))

    def numbers_for(self, row: Row) -> Sequence[int]:
        """The numbers of the rows that a row is shown, the nearest first. Raises `lang.row.RowError`."""
        if self._nearest is None:
            return range(len(self.rows))
        found = self._picked[id(row)] if id(row) in self._picked else next(self._near([row]))
        if isinstance(found, Exception):
            raise found
        return found

    def _near(self, rows: Sequence[Row]) -> Iterator[Sequence[int] | Exception]:
        from dreammake.lang.row import RowError

        assert self._nearest is not None
        texts: list[str] = []
        failed: dict[int, RowError] = {}
        for number, row in enumerate(rows):
            try:
                texts.append(self._text(row))
            except RowError as error:
                failed[number] = error
        vectors = self._vectors(texts) if self.rows else None
        found = iter(_most_like(vectors, self._index, self._nearest.k, len(texts), len(self.rows)))
        for number in range(len(rows)):
            yield failed[number] if number in failed else next(found)

    def _vectors(self, texts: Sequence[str]) -> NDArray[float32] | None:
        """The vectors of texts, at length 1; None where there are none, or they would have to be made in a dry run."""
        assert self._nearest is not None
        made = self._work.embed(self._nearest.model, texts) if texts else None
        return None if made is None else unit(made)


def _most_like(
    vectors: NDArray[float32] | None, index: NDArray[float32] | None, k: int, count: int, rows: int
) -> Iterator[Sequence[int]]:
    """For each vector the numbers of the `k` nearest rows. In a dry run, where there are no vectors, the first ones."""
    if vectors is None or index is None:
        yield from [range(min(k, rows))] * count
        return
    yield from nearest(vectors, index, k)[0].tolist()
