"""`train sft`: which tokens the loss counts, with packing and without, and what noise on the embeddings changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dreammake.core.diagnostic import DreamError
from dreammake.core.values import Template
from dreammake.trainers.sft import Sft
from tests.support.small_model import small_model
from tests.support.training import LORA, PAIR_TEXTS, PAIRS, Training, sft_options, training_in

STILL = {"peft": LORA, "learning_rate": 0.0, "max_steps": 1, "gradient_checkpointing": False}
"""One step that changes nothing: its loss is the base's own."""


def trained(
    folder: Path, rows: list[dict[str, Any]] = PAIRS, *, base_folder: Path | None = None, **given: Any
) -> Training:
    training = training_in(folder, rows, eval_rows=rows[:2])
    training.base = base_folder or small_model()
    shape = {} if "messages" in given else PAIR_TEXTS
    Sft().run(sft_options(**{**STILL, **shape, **given}), training)
    return training


def facts_of(training: Training) -> dict[str, Any]:
    return json.loads((training.folder / "training.json").read_text())  # type: ignore[no-any-return]


def loss_by_hand(rows: list[dict[str, Any]], *, whole: bool = False) -> float:
    """The mean over the tokens of all completions, each row read alone; with `whole`, over all tokens."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(small_model())
    model = AutoModelForCausalLM.from_pretrained(small_model()).eval()
    total, count = 0.0, 0
    for row in rows:
        asked = row.get("messages") or [{"role": "user", "content": row["question"]}]
        answered = [*asked, {"role": "assistant", "content": row["answer"]}]
        prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
        both = torch.tensor([tokenizer.apply_chat_template(answered, return_dict=False)])
        labels = both.clone()
        labels[0, : 1 if whole else len(prompt)] = -100
        learned = int((labels != -100).sum())
        with torch.no_grad():
            total += model(both, labels=labels).loss.item() * learned
        count += learned
    return total / count


@pytest.mark.slow
def test_packed_rows_do_not_see_each_other(tmp_path: Path) -> None:
    rows = PAIRS[:6]
    training = trained(tmp_path, rows, packing=True, per_device_train_batch_size=1, eval_strategy="no")
    facts = facts_of(training)
    assert (facts["rows"], facts["rows_left_out"], facts["epochs"]) == (6, 0, 1.0), "one step for all rows"
    assert facts["loss"] == pytest.approx(loss_by_hand(rows), rel=1e-3)


@pytest.mark.slow
def test_a_prompt_that_fills_the_length_is_an_error_row_where_rows_are_packed_too(tmp_path: Path) -> None:
    rows = [PAIRS[0], {"question": "why " * 200, "answer": "Because."}, PAIRS[1]]
    training = trained(tmp_path, rows, packing=True, max_length=96, per_device_train_batch_size=1, eval_strategy="no")
    assert [(error.row, error.code) for error in training.errors] == [(1, "context-overflow")]
    assert facts_of(training)["rows_left_out"] == 1
    assert facts_of(training)["loss"] == pytest.approx(loss_by_hand(PAIRS[:2]), rel=1e-3)


@pytest.mark.slow
def test_the_loss_can_count_the_prompt_too(tmp_path: Path) -> None:
    training = trained(tmp_path, PAIRS[:2], completion_only_loss=False)
    assert facts_of(training)["loss"] == pytest.approx(loss_by_hand(PAIRS[:2], whole=True), rel=1e-3)


@pytest.mark.slow
def test_noise_on_the_embeddings_is_there_in_training_only(tmp_path: Path) -> None:
    plain, noisy, again = (
        facts_of(trained(tmp_path / name, PAIRS[:2], neftune_noise_alpha=alpha))
        for name, alpha in (("plain", None), ("noisy", 20.0), ("again", 20.0))
    )
    assert abs(noisy["loss"] - plain["loss"]) > 0.01
    assert noisy["loss"] == again["loss"]
    assert noisy["eval_loss"] == plain["eval_loss"]


@pytest.mark.slow
def test_rows_that_all_are_too_long(tmp_path: Path) -> None:
    with pytest.raises(DreamError) as error:
        trained(tmp_path, [{"question": "why " * 200, "answer": "Because."}], max_length=96)
    assert error.value.diagnostics[0].code == "empty-dataset"
    assert error.value.diagnostics[0].message == "of every `train` row, the prompt alone fills `max_length`"


MARKED = """{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}
{%- if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + '<|im_end|>\\n' }}{% endgeneration %}
{%- else %}{{ message['content'] + '<|im_end|>\\n' }}{% endif %}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
"""A chat template that says which part of a chat the assistant writes."""


@pytest.mark.slow
def test_the_loss_of_a_chat_can_count_the_assistant_only(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    for file in small_model().iterdir():
        (base / file.name).symlink_to(file)
    system = {"role": "system", "content": "You add."}
    chats = [
        {"chat": [system, {"role": "user", "content": "1 and 1?"}, {"role": "assistant", "content": "2."}]},
        {"chat": [system, {"role": "user", "content": "2 and 3?"}, {"role": "assistant", "content": "It is 5."}]},
    ]
    options = {"messages": Template("{{ chat }}"), "assistant_only_loss": True}
    with pytest.raises(DreamError, match="not training-compatible"):
        trained(tmp_path / "unmarked", chats, **options)
    (base / "chat_template.jinja").unlink()
    (base / "chat_template.jinja").write_text(MARKED)
    marked = trained(tmp_path / "marked", chats, base_folder=base, **options)
    pairs = [{"messages": row["chat"][:2], "answer": row["chat"][2]["content"]} for row in chats]
    assert facts_of(marked)["loss"] == pytest.approx(loss_by_hand(pairs), rel=1e-3)
