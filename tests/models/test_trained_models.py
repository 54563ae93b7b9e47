"""What one rule trains, the next one asks: a whole model, an adapter, a hosted model, a GGUF file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dreammake.core.diagnostic import DreamError
from dreammake.core.engine import EngineContext
from dreammake.core.hosted_model import HostedModel
from dreammake.core.prices import price_of
from dreammake.core.values import ModelSpec
from dreammake.models._vllm_command import command_of
from dreammake.models.llamacpp import LlamaCpp
from dreammake.models.transformers import Transformers
from dreammake.models.vllm import VLLM
from dreammake.run.request_key import TO_BE_BUILT, Use, use_for
from dreammake.store.file_digests import FileDigests
from tests.support.asking import engine_of
from tests.support.project import Project
from tests.support.small_model import small_model

ASK = """
model tuned: "models/tuned"
    engine: "transformers"
    max_tokens: 4
    temperature: 0

rule all:
    input: "data/asked"

rule pairs:
    output: "data/pairs"
    rows: [{"q": "colour?", "a": "red"}]

rule tune:
    input: "data/pairs"
    output: "models/tuned"
    train sft:
        base: "BASE"
        prompt: "{{ q }}"
        completion: "{{ a }}"
        learning_rate: 0.001
        max_steps: 1

rule ask:
    output: "data/asked"
    rows: [{"q": "colour?"}]
    prompt y:
        model: tuned
        prompt: "{{ q }}"
"""
HOSTED = HostedModel("ft:gpt-4o-mini-2024-07-18:me::a1", "http://127.0.0.1:9/v1")


def refusal(project: Project) -> str:
    result = project.run("--dry-run")
    assert result.code == 2
    return result.out + result.err


def test_a_trained_model_needs_an_engine_of_this_machine(tmp_path: Path) -> None:
    project = Project(tmp_path).write(ASK)
    project.edit('    engine: "transformers"\n', "")
    said = refusal(project)
    assert "error[wrong-engine]: `train sft` makes models/tuned here, and the engine `api` asks hosted models" in said
    assert 'where the model `tuned` is declared: `engine: "transformers"`' in said


def test_a_trained_folder_is_no_gguf_file(tmp_path: Path) -> None:
    project = Project(tmp_path).write(ASK)
    project.edit('engine: "transformers"', 'engine: "llamacpp"')
    assert "error[wrong-engine]: `train sft` makes models/tuned a folder for Transformers" in refusal(project)
    assert "convert_hf_to_gguf.py {input} --outfile {output}" in project.ok("explain", "wrong-engine").out


def test_a_hosted_model_does_not_run_on_this_machine(tmp_path: Path) -> None:
    project = Project(tmp_path).write(ASK)
    project.edit("train sft:", "train openai:")
    project.edit("        learning_rate: 0.001\n        max_steps: 1\n", "")
    assert "error[wrong-engine]: `train openai` makes models/tuned at its endpoint" in refusal(project)
    project.edit('    engine: "transformers"\n', "")
    assert "models/tuned" in project.plan()


def test_who_serves_a_trained_model_himself_says_where(tmp_path: Path) -> None:
    project = Project(tmp_path).write(ASK)
    project.edit('engine: "transformers"', 'base_url: "http://127.0.0.1:9/v1"')
    assert "models/tuned" in project.plan()


@pytest.mark.parametrize("engine", [Transformers, VLLM])
def test_a_folder_that_only_names_a_hosted_model_is_told_apart(tmp_path: Path, engine: type) -> None:
    (tmp_path / "hosted").mkdir()
    HOSTED.write(tmp_path / "hosted")
    spec = ModelSpec("m", "hosted", "x", {"python": "/bin/sh"} if engine is VLLM else {})
    with pytest.raises(DreamError, match=r"wrong-engine: the folder hosted only names the hosted model ft:gpt-4o-mini"):
        engine(spec, EngineContext(tmp_path.joinpath))


def test_a_folder_with_weights_is_not_asked_over_the_net(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "config.json").write_text("{}")
    with pytest.raises(DreamError, match=r"wrong-engine: the model `m` is the folder here"):
        use_for(ModelSpec("m", "here"), engine_of, {}, FileDigests(), tmp_path.joinpath)
    with pytest.raises(DreamError, match=r"wrong-engine: .* llama.cpp runs GGUF files"):
        LlamaCpp.weights(ModelSpec("m", "here", "llamacpp"), tmp_path.joinpath)


def test_a_hosted_model_is_known_by_its_name_and_endpoint(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        HOSTED.write(tmp_path / name)
        (tmp_path / name / "training.json").write_text(name)

    def use(name: str, content: str) -> Use:
        return use_for(ModelSpec("m", name), engine_of, {name: content}, FileDigests(), tmp_path.joinpath)

    first = use("a", "f1")
    assert first.identity == use("b", "f2").identity
    assert (first.spec.model, first.identity["options"]) == (HOSTED.model, {"base_url": HOSTED.base_url})
    with pytest.raises(KeyError):
        use("a", TO_BE_BUILT)


def test_a_fine_tuned_model_has_the_price_of_its_kind() -> None:
    found = price_of(ModelSpec("m", HOSTED.model))
    assert found is not None
    assert (found.input, found.output) == (0.3, 1.2)


def test_vllm_serves_an_adapter_on_the_base_that_it_names(tmp_path: Path) -> None:
    for name in ("base", "tuned"):
        (tmp_path / "models" / name).mkdir(parents=True)
    config = {"base_model_name_or_path": "models/base", "r": 4}
    (tmp_path / "models" / "tuned" / "adapter_config.json").write_text(json.dumps(config))
    options = {name: option.default for name, option in VLLM.Options.declared().items()}
    context = EngineContext(tmp_path.joinpath)
    itself = command_of(ModelSpec("m", "models/tuned", "vllm"), options, context)(81)
    option = command_of(ModelSpec("m", "models/base", "vllm"), options | {"adapter": "models/tuned"}, context)(81)
    for words, served in ((itself, "models/tuned"), (option, "models/base")):
        assert words[words.index("--model") + 1] == str(tmp_path / "models" / "base")
        lora = json.loads(words[words.index("--lora-modules") + 1])
        assert lora == {"name": served, "path": str(tmp_path / "models" / "tuned")}
        assert words[words.index("--max-lora-rank") + 1] == "8"


@pytest.mark.parametrize(("name", "value"), [("use_dora", True), ("modules_to_save", ["lm_head"])])
def test_an_adapter_that_vllm_does_not_run_is_refused(tmp_path: Path, name: str, value: object) -> None:
    config = {"base_model_name_or_path": "org/base", "r": 4, name: value}
    (tmp_path / "tuned").mkdir()
    (tmp_path / "tuned" / "adapter_config.json").write_text(json.dumps(config))
    options = {option: declared.default for option, declared in VLLM.Options.declared().items()}
    with pytest.raises(DreamError, match=rf"wrong-engine: .* was trained with `{name}`"):
        command_of(ModelSpec("m", "tuned", "vllm"), options, EngineContext(tmp_path.joinpath))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_whole_model_is_trained_and_asked(tmp_path: Path) -> None:
    project = Project(tmp_path).write(ASK.replace("BASE", str(small_model())))
    assert project.built() == ["data/asked", "data/pairs", "models/tuned"]
    assert project.rows("data/asked")[0]["y"]
    assert not (tmp_path / "models" / "tuned" / "adapter_config.json").exists()
    assert json.loads((tmp_path / "models" / "tuned" / "training.json").read_text())["base_licence"] == "apache-2.0"
    log = "".join(file.read_text() for file in (tmp_path / ".dreammake" / "jobs").glob("*/*tuned*"))
    assert "licence apache-2.0; the training takes at least" in log
    assert project.built() == []
    project.edit('"a": "red"', '"a": "blue"')
    assert project.plan() == {"data/pairs": "build", "models/tuned": "follow", "data/asked": "follow"}


@pytest.mark.slow
def test_a_gguf_file_that_a_rule_makes_is_run_by_llamacpp(tmp_path: Path) -> None:
    from dreammake.core.embedded import needed_gguf

    project = Project(tmp_path).write(f"""
        model small: "models/small.gguf"
            engine: "llamacpp"
            max_tokens: 4
            temperature: 0

        rule asked:
            output: "data/asked"
            rows: [{{"q": "Say yes."}}]
            prompt y:
                model: small
                prompt: "{{{{ q }}}}"

        rule gguf:
            output: "models/small.gguf"
            shell: "cp {needed_gguf()} {{output}}"
        """)
    assert project.built("data/asked") == ["data/asked", "models/small.gguf"]
    assert project.rows("data/asked")[0]["y"]
    assert project.built("data/asked") == []
