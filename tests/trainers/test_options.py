"""The options that come from TRL and PEFT."""

from __future__ import annotations

from typing import Any

import pytest

from dreammake.core.options import Wrong
from dreammake.core.values import Function
from dreammake.trainers._options import FOLDER, OF_LORA
from dreammake.trainers.sft import Sft

DECLARED = Sft.Options.declared()


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("learning_rate", 1e-4, 1e-4),
        ("num_train_epochs", 3, 3.0),
        ("max_length", None, None),
        ("lr_scheduler_type", "cosine", "cosine"),
        ("optim_target_modules", ("a", "b"), ["a", "b"]),
        ("lr_scheduler_kwargs", {"num_cycles": 1}, {"num_cycles": 1}),
        ("pad_to_multiple_of", "auto", "auto"),
        ("pad_to_multiple_of", 8, 8),
        ("eval_strategy", None, None),
        ("eval_strategy", "steps", "steps"),
    ],
)
def test_takes_what_trl_takes(name: str, given: Any, kept: Any) -> None:
    checked = DECLARED[name].check(given)
    assert (checked, type(checked)) == (kept, type(kept))


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("learning_rate", "fast", '`learning_rate` takes a number, not the text "fast"'),
        ("per_device_train_batch_size", 2.5, "`per_device_train_batch_size` takes a whole number, not 2.5"),
        ("per_device_train_batch_size", True, "`per_device_train_batch_size` takes a whole number, not True"),
        ("packing", 1, "`packing` takes True or False, not 1"),
        ("seed", None, "`seed` takes a whole number, not None"),
        ("num_train_epochs", 0, "`num_train_epochs` is above 0, not 0"),
        ("max_length", -1, "`max_length` is above 0, not -1"),
        ("learning_rate", -1e-4, "`learning_rate` is at least 0, not -0.0001"),
        ("eval_strategy", "never", '`eval_strategy` takes "no", "steps", "epoch" or None, not the text "never"'),
    ],
)
def test_refuses_what_trl_cannot_take(name: str, given: Any, message: str) -> None:
    with pytest.raises(Wrong) as wrong:
        DECLARED[name].check(given)
    assert wrong.value.message == message


def test_the_data_stands_first_and_trl_after_it() -> None:
    names = list(DECLARED)
    assert names[:3] == ["base", "prompt", "completion"]
    assert names.index("save_total_limit") < names.index("learning_rate")
    assert all(option.doc for name, option in DECLARED.items()), "every option is described"


def test_where_the_model_goes_is_no_option() -> None:
    assert not {"output_dir", "push_to_hub", "hub_token", "local_rank", "fsdp"} & set(DECLARED)


def test_only_what_can_change_the_model_is_in_its_recipe() -> None:
    outside = {name for name, option in DECLARED.items() if not option.result}
    assert {"logging_steps", "report_to", "save_steps", "dataloader_num_workers", "use_cpu"} <= outside
    assert not {"seed", "learning_rate", "per_device_train_batch_size", "max_length", "dtype", "peft"} & outside


def test_trl_defaults_that_dreammake_changes() -> None:
    options = Sft.Options({"base": "smollm2"})
    assert (options["bf16"], options["seed"], options["report_to"]) == (False, 42, "none")


def test_lora_is_resolved_with_its_defaults() -> None:
    call = DECLARED["peft"].check(Function("lora", (), {"r": 16}))
    assert (call.kwargs["r"], call.kwargs["lora_alpha"], call.kwargs["lora_dropout"]) == (16, 8, 0.0)


@pytest.mark.parametrize(
    ("call", "code", "hint"),
    [
        (Function("lora", (), {"lora_alfa": 16}), "unknown-argument", "did you mean `lora_alpha`?"),
        (Function("lora", (), {"rank": 8}), "unknown-argument", OF_LORA),
        (Function("lora", (8,)), "wrong-argument", "write `lora(r=8)`"),
        (Function("lora", (), {"r": "big"}), "wrong-type", ""),
        (Function("nearest", ()), "wrong-type", ""),
    ],
)
def test_lora_is_checked_before_anything_runs(call: Function, code: str, hint: str) -> None:
    with pytest.raises(Wrong) as wrong:
        DECLARED["peft"].check(call)
    assert (wrong.value.code, wrong.value.hint) == (code, hint)


@pytest.mark.slow
def test_the_files_are_those_of_the_installed_libraries() -> None:
    from dreammake.trainers._options.__main__ import contents

    for file, text in contents().items():
        assert (FOLDER / file).read_text() == text, "run python -m dreammake.trainers._options"
