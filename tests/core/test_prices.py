"""What a model costs: its own price, the table, nothing."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from dreammake.core import prices
from dreammake.core.options import Wrong
from dreammake.core.prices import FREE, Price, __main__, context_of, own_price, price_of
from dreammake.core.values import ModelSpec


def test_the_table_knows_hosted_models() -> None:
    found = price_of(ModelSpec("m", "openai/gpt-4o"))
    assert found is not None
    assert found == price_of(ModelSpec("m", "gpt-4o"))
    assert 0 < found.cached < found.input < found.output
    assert (context_of("openai/gpt-4o") or 0) >= 100_000
    assert price_of(ModelSpec("m", "anthropic/claude-sonnet-4-5")) is not None


def test_unknown_models_have_no_price_and_local_ones_cost_nothing() -> None:
    assert price_of(ModelSpec("m", "openai/nobody-has-this")) is None
    assert price_of(ModelSpec("m", "gpt-4o", "llamacpp")) == FREE


def test_the_own_price_wins() -> None:
    spec = ModelSpec("m", "openai/gpt-4o", "api", {"price": {"input": 1, "output": 3}})
    assert price_of(spec) == Price(1.0, 3.0, 1.0)
    assert price_of(spec.with_options(price=0)) == FREE


def test_cached_input_has_its_price() -> None:
    assert Price(2.0, 10.0, 0.5).cost(1_000_000, 100_000, 400_000) == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 1.0)


@pytest.mark.parametrize("wrong", ["1", True, -1, {"inptu": 1}, {"input": "1"}, [1]])
def test_a_wrong_price_is_told(wrong: Any) -> None:
    with pytest.raises(Wrong):
        own_price(wrong)


def test_the_table_is_made_of_litellms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = {
        "a": {"mode": "chat", "litellm_provider": "openai", "input_cost_per_token": 2.5e-06, "max_input_tokens": 8},
        "x/b": {
            "mode": "embedding",
            "litellm_provider": "x",
            "input_cost_per_token": 1e-06,
            "output_cost_per_token": 3e-06,
        },
        "c": {"mode": "image_generation", "litellm_provider": "openai", "input_cost_per_token": 1.0},
        "d": {"mode": "chat", "litellm_provider": "openai"},
    }
    wheel = tmp_path / "litellm.whl"
    with zipfile.ZipFile(wheel, "w") as made:
        made.writestr("litellm/model_prices_and_context_window_backup.json", json.dumps(theirs))
    monkeypatch.setattr(__main__, "TABLE", tmp_path / "table.json")
    assert __main__.main([str(wheel)]) == 0
    assert json.loads((tmp_path / "table.json").read_text()) == {
        "openai/a": [2.5, None, None, 8],
        "x/b": [1, 3, None, None],
    }
    assert prices.TABLE.exists()
