"""Models on the Hub: trained, published with their card, and opened by the lines that the card shows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.hub import LoopbackHub
from tests.support.project import Project
from tests.support.publishing import Publisher, metadata
from tests.support.small_model import small_model

pytestmark = pytest.mark.slow

DREAMFILE = """
    rule pairs:
        output: "data/pairs"
        rows: [{"q": f"What is {n} and {n}?", "a": f"It is {2 * n}."} for n in range(12)]

    rule split:
        input: "data/pairs"
        output:
            train: "data/train"
            eval: "data/eval"
        split:
            train: 0.75
            eval: 0.25

    rule whole:
        input:
            train: "data/train"
            eval: "data/eval"
        output: "models/whole"
        train sft:
            base: "me/base"
            prompt: "{{ q }}"
            completion: "{{ a }}"
            peft: lora(r=4)
            merge: True
            max_steps: 1
            eval_strategy: "steps"
            eval_steps: 1
        publish: "me/whole"

    rule adapter:
        input: "data/train"
        output: "models/adapter"
        train sft:
            base: "models/whole"
            prompt: "{{ q }}"
            completion: "{{ a }}"
            peft: lora(r=4)
            max_steps: 1
        publish: "me/adapter"
"""


def test_a_whole_model_and_an_adapter_of_it(tmp_path: Path) -> None:
    project = Project(tmp_path).write(DREAMFILE)
    project.file("licenses.toml", '[models."me/base"]\nlicense = "gemma"\n')
    with LoopbackHub() as hub:
        hub.upload("me/base", small_model())
        publisher = Publisher(project, hub)
        publisher.ok("whole")
        whole = hub.repo("me/whole").files()
        told = metadata(whole["README.md"])
        assert (told["license"], told["library_name"], told["pipeline_tag"]) == (
            "gemma",
            "transformers",
            "text-generation",
        )
        assert (told["base_model"], told["base_model_relation"]) == ("me/base", "finetune")
        assert told["widget"][0]["messages"][0]["content"].startswith("What is ")
        (result,) = told["model-index"][0]["results"]
        assert result["dataset"]["name"] == "data/eval"
        assert "loss" in {metric["type"] for metric in result["metrics"]}
        assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"} <= set(whole)
        assert not {"training_args.bin", "optimizer.pt"} & set(whole)

        publisher.ok("adapter")
        adapter = hub.repo("me/adapter").files()
        told = metadata(adapter["README.md"])
        assert (told["base_model"], told["base_model_relation"]) == ("me/whole", "adapter")
        assert '"lora_alpha": 8' in adapter["README.md"].decode()  # a default of PEFT's
        assert json.loads(adapter["adapter_config.json"])["base_model_name_or_path"] == "me/whole"
        lines = re.search(r"```python\n(.*?)```", adapter["README.md"].decode(), re.DOTALL)
        assert lines is not None
        assert "assistant" in publisher.python(lines[1])
        uploads = hub.count("PUT", "/lfs/")
        assert "nothing changed" in publisher.ok("adapter").out
        assert hub.count("PUT", "/lfs/") == uploads

        project.edit('publish: "me/whole"', "retries: 0")
        assert publisher.code("adapter") == "local-base"
