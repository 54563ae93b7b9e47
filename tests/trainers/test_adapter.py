"""Adapters: what `lora(...)` says reaches them, they learn on from round to round, and on weights in fewer bits."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from dreammake.core.diagnostic import DreamError
from dreammake.core.values import Function
from dreammake.trainers import _quantized
from dreammake.trainers.dpo import Dpo
from tests.support.methods import PREFERENCE_TEXTS, PREFERENCES, facts_of, losses_of, options_of, trained
from tests.support.training import LORA, PAIR_TEXTS, PAIRS, Training, digests, training_in

LN2 = math.log(2)
LARGE = {"peft": LORA, "learning_rate": 0.01}
EARLIER = "models/earlier"


def lora(**arguments: Any) -> Function:
    return Function("lora", (), {"r": 4, **arguments})


def weights_of(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")  # type: ignore[no-any-return]


def refusal(folder: Path, **given: Any) -> DreamError:
    with pytest.raises(DreamError) as caught:
        trained("dpo", folder, **PREFERENCE_TEXTS, **given)
    assert caught.value.exit_code == 1
    return caught.value


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Training:
    """The adapter of a first round."""
    return trained("dpo", tmp_path_factory.mktemp("earlier"), **PREFERENCE_TEXTS, **LARGE)


@pytest.fixture
def project(tmp_path: Path, earlier: Training) -> Path:
    """A project whose `models/earlier` is that adapter, and whose `models/small` is its base."""
    shutil.copytree(earlier.folder, tmp_path / EARLIER)
    (tmp_path / "models/small").symlink_to(earlier.base)
    return tmp_path


@pytest.mark.slow
def test_the_kinds_of_lora_reach_the_adapter(tmp_path: Path) -> None:
    training = trained("dpo", tmp_path, **PREFERENCE_TEXTS, peft=lora(use_dora=True, use_rslora=True), max_steps=1)
    config = json.loads((training.folder / "adapter_config.json").read_text())
    assert (config["r"], config["use_dora"], config["use_rslora"]) == (4, True, True)
    assert any("lora_magnitude_vector" in name for name in weights_of(training.folder))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "argument", "hint"),
    [
        (
            {"target_modules": ["q_proj", "k_porj"]},
            "`target_modules` of `lora` names `k_porj`",
            "did you mean `k_proj`?",
        ),
        ({"target_modules": ["query_key_value"]}, "`target_modules`", "known here: down_proj, embed_tokens, gate_proj"),
        ({"modules_to_save": ["lm_haed"]}, "`modules_to_save` of `lora` names `lm_haed`", "did you mean `lm_head`?"),
    ],
)
def test_a_layer_that_the_model_does_not_have(
    tmp_path: Path, arguments: dict[str, Any], argument: str, hint: str
) -> None:
    error = refusal(tmp_path, peft=lora(**arguments)).diagnostics[0]
    assert error.code == "no-such-module"
    assert argument in error.message
    assert error.hint.startswith(hint)


@pytest.mark.slow
def test_an_earlier_adapter_learns_on_and_is_its_own_reference(project: Path) -> None:
    still = trained("dpo", project / "a", **PREFERENCE_TEXTS, peft=LORA, adapter=f"../{EARLIER}", learning_rate=0.0)
    for name, weight in weights_of(project / EARLIER).items():
        assert weight.equal(weights_of(still.folder)[name]), "with no step taken it is the earlier one"
    further = trained("dpo", project / "b", **PREFERENCE_TEXTS, **LARGE, adapter=f"../{EARLIER}")
    first, second = losses_of(further)
    assert (first, second < first) == (pytest.approx(LN2, rel=1e-5), True)
    assert not any(file.is_dir() for file in further.folder.iterdir()), "the reference is not saved"


@pytest.mark.slow
def test_a_later_round_opens_on_the_base_alone(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoModelForCausalLM, AutoTokenizer

    further = trained("dpo", project, **PREFERENCE_TEXTS, **LARGE, adapter=EARLIER)
    monkeypatch.chdir(project)
    words = AutoTokenizer.from_pretrained(further.folder)("What is 3 and 3?", return_tensors="pt")
    as_peft = AutoPeftModelForCausalLM.from_pretrained(further.folder)(**words).logits
    assert as_peft.equal(AutoModelForCausalLM.from_pretrained(further.folder)(**words).logits)
    assert not as_peft.equal(AutoModelForCausalLM.from_pretrained(EARLIER)(**words).logits)


@pytest.mark.slow
def test_an_interrupted_later_round_ends_as_one_that_was_not(project: Path) -> None:
    given = {**PREFERENCE_TEXTS, **LARGE, "adapter": f"../{EARLIER}", "max_steps": 2, "save_steps": 1}
    whole = trained("dpo", project / "whole", **given)
    killed = training_in(project / "killed", PREFERENCES)
    killed.stop_at = 2
    with pytest.raises(KeyboardInterrupt):
        Dpo().run(options_of("dpo", **given), killed)
    again = training_in(project / "killed", PREFERENCES)
    Dpo().run(options_of("dpo", **given), again)
    assert again.steps[0][0] == 2, "it goes on after the checkpoint of step 1"
    assert digests(again.folder) == digests(whole.folder)


@pytest.mark.slow
def test_without_peft_an_earlier_adapter_goes_into_the_weights_and_all_of_them_learn(project: Path) -> None:
    from transformers import AutoModelForCausalLM

    training = trained("dpo", project, **PREFERENCE_TEXTS, adapter=EARLIER, learning_rate=1e-4)
    first, second = losses_of(training)
    assert (first, second < first) == (pytest.approx(LN2, rel=1e-5), True), "the reference has the adapter too"
    trained_layer, old_layer = (
        AutoModelForCausalLM.from_pretrained(folder).model.layers[0].mlp.up_proj.weight
        for folder in (training.folder, training.base)
    )
    assert not trained_layer.equal(old_layer), "a layer that no adapter was on"


@pytest.mark.slow
def test_a_base_that_is_an_adapter_is_merged_and_all_of_it_learns(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    training = trained("dpo", project, **PREFERENCE_TEXTS, base=project / EARLIER, learning_rate=1e-4)
    first, second = losses_of(training)
    assert (first, second < first) == (pytest.approx(LN2, rel=1e-5), True)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sft", "orpo"])
def test_other_methods_go_on_from_it_too(project: Path, method: str) -> None:
    rows, texts = (PAIRS[:4], PAIR_TEXTS) if method == "sft" else (PREFERENCES, PREFERENCE_TEXTS)
    given = {"peft": LORA, "adapter": EARLIER, "learning_rate": 0.0, "max_steps": 1}
    training = trained(method, project, rows, **texts, **given)
    assert all(
        weight.equal(weights_of(training.folder)[name]) for name, weight in weights_of(project / EARLIER).items()
    )


@pytest.mark.slow
def test_an_earlier_adapter_of_another_shape(project: Path) -> None:
    error = refusal(project, peft=lora(r=8), adapter=EARLIER).diagnostics[0]
    assert (error.code, error.message) == (
        "adapter-shape",
        "the adapter models/earlier has r=4, and `peft` says r=8",
    )


@pytest.mark.slow
def test_an_earlier_adapter_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "models/small").mkdir(parents=True)
    error = refusal(tmp_path, peft=LORA, adapter="models/small").diagnostics[0]
    assert (error.code, error.message.startswith("the adapter models/small cannot be put on models/small")) == (
        "no-such-model",
        True,
    )


@pytest.mark.slow
def test_nf4_holds_the_base_while_an_adapter_learns(tmp_path: Path) -> None:
    training = trained("dpo", tmp_path, **PREFERENCE_TEXTS, **LARGE, quantization="nf4")
    assert losses_of(training)[0] == pytest.approx(LN2, rel=1e-3)
    assert facts_of(training)["options"]["quantization"] == "nf4"
    assert not (training.folder / "model.safetensors").exists()


@pytest.mark.slow
def test_merging_puts_the_adapter_into_the_base_with_all_its_bits(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    given = {**PREFERENCE_TEXTS, **LARGE, "quantization": "int8", "max_steps": 1}
    merged = AutoModelForCausalLM.from_pretrained(trained("dpo", tmp_path, **given, merge=True).folder)
    base = AutoModelForCausalLM.from_pretrained(training_in(tmp_path).base)
    assert {weight.dtype for weight in merged.parameters()} == {torch.float32}
    assert merged.model.layers[0].mlp.up_proj.weight.equal(base.model.layers[0].mlp.up_proj.weight)
    assert not merged.model.layers[0].self_attn.q_proj.weight.equal(base.model.layers[0].self_attn.q_proj.weight)


@pytest.mark.slow
def test_a_reward_model_on_few_bits_keeps_its_score_whole(tmp_path: Path) -> None:
    import torch

    training = trained("reward", tmp_path, **PREFERENCE_TEXTS, **LARGE, quantization="nf4")
    scores = [weight for name, weight in weights_of(training.folder).items() if "score" in name]
    assert [(weight.shape, weight.dtype) for weight in scores] == [(torch.Size([1, 576]), torch.float32)]


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (RuntimeError("None of the available devices are supported"), "no-quantization"),
        (ImportError(), "missing-package"),
    ],
)
def test_where_bitsandbytes_cannot_run(trouble: Exception, code: str) -> None:
    with pytest.raises(DreamError) as caught, _quantized.opening("nf4"):
        raise trouble
    assert caught.value.diagnostics[0].code == code
    assert caught.value.exit_code == 1


@pytest.mark.slow
def test_gradient_checkpointing_changes_nothing_but_memory(tmp_path: Path) -> None:
    with_it, without = (
        trained("dpo", tmp_path / str(given), **PREFERENCE_TEXTS, **LARGE, gradient_checkpointing=given)
        for given in (True, False)
    )
    assert losses_of(with_it) == pytest.approx(losses_of(without), rel=1e-5)
