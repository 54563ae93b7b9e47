"""`train sft`: what is checked before, and real trainings of a small real model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dreammake.core.diagnostic import DreamError
from dreammake.core.options import Wrong
from dreammake.core.values import Template
from dreammake.trainers._noise import noise_to
from dreammake.trainers.sft import Sft
from tests.support.training import LORA, PAIR_TEXTS, PAIRS, Training, digests, sft_options, training_in

TEXT = Template("{{ question }}")
ADAPTER_FILES = {
    "adapter_config.json",
    "adapter_model.safetensors",
    "chat_template.jinja",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "training.json",
    "training_curves.svg",
    "training_log.jsonl",
}


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ({"prompt": TEXT}, "missing-option", "`train sft` has a `prompt` and no `completion`"),
        ({"completion": TEXT}, "missing-option", "`train sft` has a `completion` and no `prompt`"),
        ({}, "missing-option", "`train sft` does not say what it learns from"),
        ({"text": TEXT, "messages": []}, "conflicting-options", "one shape of data, not `messages`, `text`"),
    ],
)
def test_the_data_has_one_shape(given: dict[str, Any], code: str, message: str) -> None:
    with pytest.raises(Wrong) as wrong:
        Sft.needs(sft_options(**given), None)
    assert wrong.value.code == code
    assert message in wrong.value.message


@pytest.mark.parametrize("given", [PAIR_TEXTS, {"text": TEXT}, {"messages": Template("{{ chat }}")}])
def test_each_shape_of_data_is_enough(given: dict[str, Any]) -> None:
    Sft.needs(sft_options(**given), None)


def trained(folder: Path, *, rows: list[dict[str, Any]] = PAIRS, **given: Any) -> Training:
    training = training_in(folder, rows)
    Sft().run(sft_options(**({} if {"text", "messages"} & set(given) else PAIR_TEXTS), **given), training)
    return training


def facts_of(training: Training) -> dict[str, Any]:
    return json.loads((training.folder / "training.json").read_text())  # type: ignore[no-any-return]


def refusal(folder: Path, **given: Any) -> DreamError:
    with pytest.raises(DreamError) as error:
        trained(folder, **given)
    assert error.value.exit_code == 1
    return error.value


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Training:
    """A LoRA adapter, trained with an `eval` input."""
    training = training_in(tmp_path_factory.mktemp("adapter"), eval_rows=PAIRS[:4])
    Sft().run(sft_options(**PAIR_TEXTS, peft=LORA, learning_rate=0.01, max_steps=8), training)
    return training


@pytest.fixture(scope="module")
def four_steps(tmp_path_factory: pytest.TempPathFactory) -> Training:
    """An adapter after four steps that nothing disturbed."""
    return trained(tmp_path_factory.mktemp("four-steps"), peft=LORA)


@pytest.mark.slow
def test_it_learns(adapter: Training) -> None:
    log = [json.loads(line) for line in (adapter.folder / "training_log.jsonl").read_text().splitlines()]
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert len(losses) == 8
    assert losses[-1] < losses[0] - 1
    facts = facts_of(adapter)
    assert (facts["rows"], facts["steps"], facts["rows_left_out"]) == (16, 8, 0)
    assert facts["options"]["learning_rate"] == 0.01
    assert facts["eval_loss"] < losses[0]


@pytest.mark.slow
def test_progress_is_told_step_by_step(adapter: Training) -> None:
    assert [(done, total) for done, total, _ in adapter.steps] == [(step, 8) for step in range(1, 9)]
    assert all("loss" in measures for _, _, measures in adapter.steps[1:4])


@pytest.mark.slow
def test_the_folder_holds_the_adapter_and_nothing_of_the_run(adapter: Training) -> None:
    assert {file.name for file in adapter.folder.iterdir()} == ADAPTER_FILES
    config = json.loads((adapter.folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "models/small"


@pytest.mark.slow
def test_the_folder_opens_with_from_pretrained(adapter: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoModelForCausalLM, AutoTokenizer

    project = adapter.folder.parent
    (project / "models").mkdir()
    (project / "models" / "small").symlink_to(adapter.base)
    monkeypatch.chdir(project)  # the adapter names its base as the Dreamfile does: from the project
    tokenizer = AutoTokenizer.from_pretrained(adapter.folder)
    words = tokenizer("What is 3 and 3?", return_tensors="pt")
    as_peft = AutoPeftModelForCausalLM.from_pretrained(adapter.folder)(**words).logits
    as_model = AutoModelForCausalLM.from_pretrained(adapter.folder)(**words).logits
    base = AutoModelForCausalLM.from_pretrained(adapter.base)(**words).logits
    assert as_peft.equal(as_model)
    assert not as_peft.equal(base)


@pytest.mark.slow
def test_equal_inputs_give_equal_bytes_in_another_process(four_steps: Training, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    command = [sys.executable, "-m", "tests.support.training", str(tmp_path)]
    there = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(there.stdout.splitlines()[-1]) == digests(four_steps.folder)


@pytest.mark.slow
def test_an_interrupted_training_ends_as_one_that_was_not(four_steps: Training, tmp_path: Path) -> None:
    killed = training_in(tmp_path)
    killed.stop_at = 3
    options = sft_options(**PAIR_TEXTS, peft=LORA, save_steps=2)
    with pytest.raises(KeyboardInterrupt):
        Sft().run(options, killed)
    half_written = killed.checkpoints / "checkpoint-3"
    half_written.mkdir()
    (half_written / "trainer_state.json").write_text("{")
    again = training_in(tmp_path)
    Sft().run(options, again)
    assert again.steps[0][0] == 3, "it goes on after the complete checkpoint of step 2"
    assert digests(again.folder) == digests(four_steps.folder)


@pytest.mark.slow
def test_the_loss_counts_the_completion_only(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    training = trained(tmp_path, rows=PAIRS[:1], peft=LORA, max_steps=1, system=Template("Be brief."))
    tokenizer = AutoTokenizer.from_pretrained(training.base)
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": PAIRS[0]["question"]}]
    answered = [*asked, {"role": "assistant", "content": PAIRS[0]["answer"]}]
    prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
    both = torch.tensor([tokenizer.apply_chat_template(answered, return_dict=False)])
    labels = both.clone()
    labels[0, : len(prompt)] = -100
    expected = AutoModelForCausalLM.from_pretrained(training.base)(both, labels=labels).loss
    assert facts_of(training)["loss"] == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.slow
def test_merged_it_is_a_model_of_its_own(tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    given = {"peft": LORA, "learning_rate": 0.01, "max_steps": 2}
    apart = trained(tmp_path / "apart", **given)
    merged = trained(tmp_path / "merged", **given, merge=True)
    assert not (merged.folder / "adapter_config.json").exists()
    words = AutoTokenizer.from_pretrained(merged.folder)("What is 3 and 3?", return_tensors="pt")
    alone = AutoModelForCausalLM.from_pretrained(merged.folder)
    together = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(apart.base), apart.folder)
    assert alone(**words).logits.allclose(together(**words).logits, atol=1e-3)
    assert alone.config.use_cache


@pytest.mark.slow
def test_chats_and_plain_texts(tmp_path: Path) -> None:
    chats = [{"chat": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]}] * 4
    one_column = trained(tmp_path / "column", rows=chats, messages=Template("{{ chat }}"), peft=LORA, max_steps=1)
    written_out = trained(
        tmp_path / "written",
        rows=[{"hi": "Hi"}] * 4,
        messages=[
            {"role": "user", "content": Template("{{ hi }}")},
            {"role": "assistant", "content": Template("Hello!")},
        ],
        peft=LORA,
        max_steps=1,
    )
    assert facts_of(one_column)["loss"] == facts_of(written_out)["loss"]
    plain = trained(tmp_path / "plain", text=Template("{{ question }} {{ answer }}"), peft=LORA, max_steps=1)
    assert facts_of(plain)["rows"] == 16


@pytest.mark.slow
def test_rows_whose_prompt_fills_the_length_are_left_out(tmp_path: Path) -> None:
    rows = [*PAIRS, {"question": "why " * 200, "answer": "Because."}]
    training = trained(tmp_path, rows=rows, peft=LORA, max_steps=1, max_length=96)
    assert facts_of(training)["rows_left_out"] == 1
    reason = "its prompt alone fills `max_length`, 96 tokens"
    assert f"1 of 17 rows are left out: of each, {reason}" in training.lines
    (error,) = training.errors
    assert (error.row, error.code, error.message, error.again) == (16, "context-overflow", reason, False)
    assert error.values == rows[16]


@pytest.mark.slow
def test_what_the_libraries_print_is_in_the_log_only(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    training = trained(tmp_path, peft=LORA, max_steps=1)
    assert capfd.readouterr() == ("", "")
    assert any("'loss'" in line for line in training.lines)


@pytest.mark.slow
def test_a_log_that_is_printed_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    with noise_to(print):
        print("step 1")
        print("step 2", file=sys.stderr)
    assert capsys.readouterr() == ("step 1\nstep 2\n", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"rows": []}, "empty-dataset"),
        ({"per_device_train_batch_size": 4, "padding_free": True}, "refused-options"),
        ({"bf16": True, "fp16": True}, "refused-options"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_words(tmp_path: Path, given: dict[str, Any], code: str) -> None:
    assert refusal(tmp_path, **given).diagnostics[0].code == code


@pytest.mark.slow
def test_a_base_that_is_no_model(tmp_path: Path) -> None:
    training = training_in(tmp_path)
    training.base = tmp_path
    with pytest.raises(DreamError) as error:
        Sft().run(sft_options(**PAIR_TEXTS), training)
    assert error.value.diagnostics[0].code == "no-such-model"


@pytest.mark.slow
def test_an_adapter_cannot_be_the_base_of_an_adapter(adapter: Training, tmp_path: Path) -> None:
    training = training_in(tmp_path)
    training.base = adapter.folder
    with pytest.raises(DreamError) as error:
        Sft().run(sft_options(**PAIR_TEXTS, peft=LORA), training)
    assert error.value.diagnostics[0].code == "adapter-base"


@pytest.mark.slow
def test_a_row_without_a_chat_goes_to_the_error_table(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
    rows = [{"chat": chat}, {"chat": [{"speaker": "user", "content": "Hi"}]}, {"chat": []}, {"chat": None}]
    training = training_in(tmp_path, rows)
    Sft().run(sft_options(messages=Template("{{ chat }}"), peft=LORA, max_steps=1), training)
    assert [(error.row, error.code) for error in training.errors] == [(row, "no-messages") for row in (1, 2, 3)]
