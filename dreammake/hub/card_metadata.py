"""The YAML of a card: what the Hub reads of a repository."""

from __future__ import annotations

from typing import Any

from dreammake.hub.card import Card

_SIZES = ("K", "M", "B", "T")


def metadata(card: Card) -> dict[str, Any]:
    """The values of the README's YAML block, in their order."""
    values: dict[str, Any] = {**card.derived.metadata()}
    languages = sorted({language for facts in card.facts for language in facts.languages})
    if languages:
        values["language"] = languages
    values["tags"] = ["dreammake", *(["synthetic"] if card.synthetic else [])]
    if card.model is None:
        return values | _of_dataset(card)
    return values | _of_model(card)


def _of_dataset(card: Card) -> dict[str, Any]:
    sources = [facts.hub_name for facts in card.datasets() if facts.hub_name]
    return {
        "source_datasets": sources or ["original"],
        "size_categories": [size_category(card.rows)],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split.name, "path": f"data/{split.name}-*"} for split in card.splits],
            }
        ],
    }


def _of_model(card: Card) -> dict[str, Any]:
    assert card.model is not None
    model = card.model
    values: dict[str, Any] = {"library_name": model.library, "pipeline_tag": model.task}
    if model.base:
        values |= {
            "base_model": model.base,
            "base_model_relation": "adapter" if model.form == "adapter" else "finetune",
        }
    datasets = [facts.hub_name for facts in card.datasets() if facts.hub_name]
    if datasets:
        values["datasets"] = datasets
    if model.examples:
        values["widget"] = [
            {"messages": [{"role": "user", "content": text}]} if model.chat else {"text": text}
            for text in model.examples
        ]
    if model.metrics:
        values["model-index"] = [{"name": card.repo.split("/")[-1], "results": [_result(card)]}]
    return values


def _result(card: Card) -> dict[str, Any]:
    """What was measured, on which of the rule's inputs."""
    assert card.model is not None
    measured_on = [put.path for put in card.chain.last.job.inputs if put.name == "eval"]
    path = measured_on[0] if measured_on else "eval"
    return {
        "task": {"type": card.model.task},
        "dataset": {"name": path, "type": path},
        "metrics": [{"type": name, "name": name, "value": value} for name, value in card.model.metrics.items()],
    }


def size_category(rows: int) -> str:
    """`n<1K`, `1K<n<10K`, ... `n>1T`: the Hub's words for how many rows there are."""
    if rows < 1000:
        return "n<1K"
    low = 1000
    while low < 10**12:
        if rows < low * 10:
            return f"{_short(low)}<n<{_short(low * 10)}"
        low *= 10
    return "n>1T"


def _short(number: int) -> str:
    """1000 as `1K`, 10**7 as `10M`."""
    power = 0
    while number >= 1000:
        number //= 1000
        power += 1
    return f"{number}{_SIZES[power - 1]}"
