"""Labels of texts: which ones a row has, the ids that a model knows them by, and how well it tells them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import fail
from dreammake.core.options import OptionSet, Wrong
from dreammake.core.rows import Rows
from dreammake.core.spelling import did_you_mean
from dreammake.core.trainer import Training
from dreammake.trainers._examples import Row, Unlearnable, dataset_of, examples_of, renderer, value_renderer

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray

Names = tuple[str, ...]


def needs_labels(method: str, options: OptionSet) -> None:
    """Raises Wrong unless a row has either one label or several."""
    if options["label"] is None and options["labels"] is None:
        hint = 'say `label: "{{ column }}"`; or `labels`, where a row can have several, or none'
        raise Wrong(f"`train {method}` does not say what the label of a row is", hint, "missing-option")
    if options["label"] is not None and options["labels"] is not None:
        raise Wrong(f"`train {method}` takes `label` or `labels`, not both", "keep one of them", "conflicting-options")


def labelled(method: str, options: Any, rows: Rows, training: Training, name: str) -> Dataset:
    """Examples `{"text": ..., "labels": [names]}`; exactly one name each where `label` is given."""
    text = renderer(options.text, rows.columns)
    several = options.labels is not None
    value = value_renderer(options.labels if several else options.label, rows.columns)

    def make(row: Row) -> dict[str, Any]:
        found = value(row)
        return {"text": text(row), "labels": _several(found) if several else [_only(found)]}

    return dataset_of(("text", "labels"), examples_of(rows, make, training, method), name, training)


def _only(value: Any) -> str:
    if isinstance(value, list | tuple | Mapping):
        fail(
            "several-labels",
            f"`label` is one label a row, and a row has {_shown(value)}",
            hint="say `labels`, where a row can have several, or none",
            exit_code=1,
        )
    return name_of(value)


def _several(value: Any) -> list[str]:
    if not isinstance(value, list | tuple):
        if value is None:
            raise Unlearnable("no-label", "the row has null in place of a list of labels")
        fail(
            "not-a-list",
            f"`labels` is a list of labels for each row, and a row has {_shown(value)}",
            hint='say `label` where a row has one; or name a column that holds lists: labels: "{{ tags }}"',
            exit_code=1,
        )
    return sorted({name_of(item) for item in value})


def name_of(value: Any) -> str:
    """The name of a label. Raises Unlearnable where there is none."""
    if value is None or value == "":
        raise Unlearnable("no-label", "the row has no label")
    return str(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def names_in(labels: Iterable[Sequence[str]]) -> Names:
    """All labels in order: as numbers where all are numbers, else by the alphabet."""
    found = {name for row in labels for name in row}
    if all(name.removeprefix("-").isdecimal() for name in found):
        return tuple(sorted(found, key=int))
    return tuple(sorted(found))


def check_known(labels: Iterable[Sequence[str]], known: Names, who: str, hint: str = "") -> None:
    """Raises DreamError for a label that is not among the known ones; `who` knows them."""
    for name in names_in(labels):
        if name not in known:
            listed = ", ".join(f"`{label}`" for label in known[:8]) + (", …" if len(known) > 8 else "")
            fail(
                "unknown-label",
                f"{who} has no label `{name}`: it has {listed}",
                hint=hint or did_you_mean(name, known),
                exit_code=1,
            )


def check_enough(names: Names, *, several: bool) -> None:
    """Raises DreamError where there is nothing to tell apart."""
    if len(names) < (1 if several else 2):
        found = f"every row has the label `{names[0]}`" if names else "no row has a label"
        fail(
            "one-label",
            f"{found}, so there is nothing to tell apart",
            hint="look at the column of labels: `dreammake show` its dataset",
            exit_code=1,
        )


def matrix_of(labels: Sequence[Sequence[str]], names: Names) -> NDArray[Any]:
    """Which labels each row has: booleans, (rows, labels)."""
    import numpy

    places = {name: place for place, name in enumerate(names)}
    matrix = numpy.zeros((len(labels), len(names)), dtype=bool)
    for number, row in enumerate(labels):
        for name in row:
            matrix[number, places[name]] = True
    return matrix


def scores(true: NDArray[Any], guessed: NDArray[Any]) -> dict[str, float]:
    """Of two matrices, (rows, labels): `accuracy`, the part of rows that have all labels right; and `f1`, the mean
    over the labels that occur in either."""
    hits, misses = (true & guessed).sum(0), (true ^ guessed).sum(0)
    occurs = (hits + misses) > 0
    f1 = 2 * hits[occurs] / (2 * hits + misses)[occurs]
    return {"accuracy": float((true == guessed).all(1).mean()), "f1": float(f1.mean()) if occurs.any() else 0.0}


def scores_of_logits(*, several: bool) -> Callable[[Any], dict[str, float]]:
    """`compute_metrics` of a transformers Trainer, for logits of (rows, labels)."""

    def compute(prediction: Any) -> dict[str, float]:
        import numpy

        logits, true = prediction.predictions, prediction.label_ids
        if several:
            return scores(true > 0.5, logits > 0)
        each = numpy.arange(logits.shape[1])
        return scores(true[:, None] == each, logits.argmax(1)[:, None] == each)

    return compute
