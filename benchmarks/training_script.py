"""A training by TRL alone, as one writes it: `training_script.py METHOD BASE STEPS BATCH`, with rows in rows.jsonl."""

from __future__ import annotations

import sys

from datasets import load_dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, TrainerCallback
from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer, SFTConfig, SFTTrainer

METHODS = {"sft": (SFTConfig, SFTTrainer), "dpo": (DPOConfig, DPOTrainer), "reward": (RewardConfig, RewardTrainer)}


class First(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 1:
            print("first step", flush=True)


def example(row, method):
    said = [{"role": "user", "content": row["prompt"]}]
    good = [{"role": "assistant", "content": row["chosen"]}]
    bad = [{"role": "assistant", "content": row["rejected"]}]
    return (
        {"prompt": said, "completion": good} if method == "sft" else {"prompt": said, "chosen": good, "rejected": bad}
    )


def main(method, base, steps, batch):
    config, trainer = METHODS[method]
    kind = AutoModelForSequenceClassification if method == "reward" else AutoModelForCausalLM
    more = {"num_labels": 1} if method == "reward" else {}
    rows = load_dataset("json", data_files="rows.jsonl", split="train")
    rows = rows.map(lambda row: example(row, method), remove_columns=rows.column_names)
    tokenizer = AutoTokenizer.from_pretrained(base)
    made = trainer(
        model=kind.from_pretrained(base, dtype="float32", **more),
        args=config(
            output_dir="checkpoints",
            max_steps=int(steps),
            per_device_train_batch_size=int(batch),
            save_strategy="no",
            logging_steps=1,
            report_to="none",
            use_cpu=True,
            bf16=False,
            disable_tqdm=True,
        ),
        train_dataset=rows,
        processing_class=tokenizer,
        peft_config=LoraConfig(r=8, task_type="SEQ_CLS" if method == "reward" else "CAUSAL_LM"),
        callbacks=[First()],
    )
    made.train()
    made.save_model("model")
    tokenizer.save_pretrained("model")


if __name__ == "__main__":
    main(*sys.argv[1:])
