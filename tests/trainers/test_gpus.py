"""Every method on one GPU and on all that there are: bf16, nf4, whole and sharded models, resume, memory given back.

The same trainings as those of `test_ranks`, where processes on the CPU stand for GPUs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dreammake.core.catalog import Catalog
from dreammake.core.diagnostic import DreamError
from dreammake.core.values import Template
from dreammake.trainers.sft import Sft
from tests.support.alike import log_of, trained
from tests.support.methods import PREFERENCE_TEXTS, PREFERENCES, expression, facts_of, options_of
from tests.support.training import LORA, PAIR_TEXTS, PAIRS, Training, sft_options, training_in

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]

ANSWERS = [{**row, "answer": row["good" if n % 2 else "bad"], "fine": bool(n % 2)} for n, row in enumerate(PREFERENCES)]
ONLINE = {"prompt": Template("{{ question }}"), "reward": "rewards.py:letters", "max_completion_length": 6}
IN_GROUPS = ONLINE | {"num_generations": 2, "per_device_train_batch_size": 4}
METHODS: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "sft": (PAIRS, PAIR_TEXTS),
    "dpo": (PREFERENCES, PREFERENCE_TEXTS),
    "orpo": (PREFERENCES, PREFERENCE_TEXTS),
    "reward": (PREFERENCES, PREFERENCE_TEXTS),
    "kto": (
        ANSWERS,
        {
            "prompt": Template("{{ question }}"),
            "completion": Template("{{ answer }}"),
            "label": expression("fine"),
        },
    ),
    "grpo": (PAIRS, IN_GROUPS),
    "rloo": (PAIRS, IN_GROUPS),
    "ppo": (PAIRS, ONLINE | {"per_device_train_batch_size": 4}),
    "classifier": (ANSWERS, {"text": Template("{{ answer }}"), "label": Template("{{ fine }}")}),
}
SPREAD = [method for method in METHODS if Catalog().find("trainers", method).spreads]
SHARDED = [method for method in SPREAD if Catalog().find("trainers", method).shards]
REWARDS = """
def letters(completion):
    return sum(one.isalpha() for one in completion) / max(len(completion), 1)
"""
BF16 = {"bf16": True}
ADAPTER = BF16 | {"peft": LORA}


def on(gpus: int, method: str, folder: Path, **given: Any) -> Training:
    """A training that has run on so many GPUs."""
    rows, options = METHODS[method]
    training = training_in(folder, rows)
    training.gpus = gpus
    (folder / "rewards.py").write_text(REWARDS)
    Catalog().find("trainers", method)().run(options_of(method, **options | given), training)
    return training


def all_gpus() -> int:
    import torch

    return torch.cuda.device_count()


def several_gpus() -> int:
    if all_gpus() < 2:
        pytest.skip("needs two GPUs")
    return all_gpus()


@pytest.mark.parametrize("given", [BF16, ADAPTER, ADAPTER | {"quantization": "nf4"}], ids=["whole", "lora", "nf4"])
@pytest.mark.parametrize("method", METHODS)
def test_one_gpu(tmp_path: Path, method: str, given: dict[str, Any]) -> None:
    training = on(1, method, tmp_path, **given)
    assert facts_of(training)["steps"] == 2
    assert all(entry["loss"] == entry["loss"] for entry in log_of(training) if "loss" in entry)
    assert list(training.folder.glob("*.safetensors"))


@pytest.mark.parametrize("given", [BF16 | {"strategy": "ddp"}, ADAPTER], ids=["whole", "lora"])
@pytest.mark.parametrize("method", SPREAD)
def test_all_gpus_with_the_whole_model_each(tmp_path: Path, method: str, given: dict[str, Any]) -> None:
    training = on(several_gpus(), method, tmp_path, **given)
    assert facts_of(training)["processes"] == all_gpus()
    assert any("each with the whole model (ddp)" in line for line in training.lines)


@pytest.mark.parametrize("method", SHARDED)
def test_all_gpus_with_a_part_of_the_model_each(tmp_path: Path, method: str) -> None:
    training = on(several_gpus(), method, tmp_path, **BF16, strategy="fsdp")
    assert any("each with a part of the model (fsdp)" in line for line in training.lines)
    assert list(training.folder.glob("*.safetensors"))


@pytest.mark.parametrize(
    "given",
    [BF16, ADAPTER, ADAPTER | {"quantization": "nf4"}, {"strategy": "ddp"}],
    ids=["fsdp", "lora", "nf4", "ddp in float32"],
)
def test_all_gpus_learn_what_one_does(tmp_path: Path, given: dict[str, Any]) -> None:
    """The losses are the same, as far as bfloat16 goes."""
    count = several_gpus()
    one, all_ = (training_in(tmp_path / name) for name in ("one", "all"))
    one.gpus, all_.gpus = 1, count
    trained(one, **given, per_device_train_batch_size=2 * count)
    trained(all_, **given, per_device_train_batch_size=2)
    losses = [[entry["loss"] for entry in log_of(training)] for training in (one, all_)]
    assert losses[0] == pytest.approx(losses[1], rel=2e-2 if given.get("bf16") else 1e-3)


def test_a_model_of_gpus_opens_anywhere(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = on(all_gpus(), "sft", tmp_path, **BF16).folder
    words = AutoTokenizer.from_pretrained(folder)("What is 3 and 3?", return_tensors="pt")
    answer = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")(**words)
    assert answer.logits.isfinite().all()


def test_an_interrupted_training_goes_on(tmp_path: Path) -> None:
    whole, stopped = (training_in(tmp_path / name) for name in ("whole", "stopped"))
    whole.gpus = stopped.gpus = all_gpus()
    options = {"max_steps": 4, "save_steps": 1, "per_device_train_batch_size": 2, **ADAPTER}
    trained(whole, **options)
    stopped.stop_at = 3
    with pytest.raises(KeyboardInterrupt):
        trained(stopped, **options)
    stopped.stop_at = None
    trained(stopped, **options)
    assert stopped.told[-1] == "going on from step 2"
    losses = [[entry["loss"] for entry in log_of(training)] for training in (whole, stopped)]
    assert losses[1][-2:] == pytest.approx(losses[0][-2:], rel=2e-2)


def test_the_memory_of_the_gpus_is_given_back(tmp_path: Path) -> None:
    before = _free()
    on(all_gpus(), "sft", tmp_path, **BF16)
    assert _free() == pytest.approx(before, rel=0.01)


def test_out_of_memory_says_what_to_lower(tmp_path: Path) -> None:
    training = training_in(tmp_path, [{"question": "What is it? " * 400, "answer": "It. " * 400}] * 4096)
    training.gpus = 1
    options = sft_options(**PAIR_TEXTS, per_device_train_batch_size=4096, max_length=None, max_steps=1)
    with pytest.raises(DreamError) as error:
        Sft().run(options, training)
    (found,) = error.value.diagnostics
    assert found.code == "out-of-memory"
    assert "per_device_train_batch_size" in found.hint


def _free() -> list[int]:
    """Free bytes of each GPU."""
    import torch

    return [torch.cuda.mem_get_info(number)[0] for number in range(all_gpus())]
