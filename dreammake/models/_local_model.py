"""Model folders on this machine: what one is known by, and how Transformers opens it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import DreamError, fail, first_line
from dreammake.core.embedded import EMBEDDED, base_folder, base_named_by, needed_gguf
from dreammake.core.engine import EngineContext
from dreammake.core.hosted_model import hosted_in
from dreammake.core.values import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ADAPTER_FILE = "adapter_config.json"


def content_of(spec: ModelSpec, path: Callable[[str], Path]) -> Path | None:
    """The file or folder whose content is the model; None for a name on the Hub."""
    return needed_gguf() if spec.model == EMBEDDED else found_at(spec.model, path)


def found_at(name: str, path: Callable[[str], Path]) -> Path | None:
    """The folder of that name on this machine, if there is one."""
    place = path(name)
    return place if place.exists() else None


def source_of(name: str, context: EngineContext) -> str:
    """What `from_pretrained` opens: a folder on this machine, or a name on the Hub."""
    if name == EMBEDDED:
        return str(base_folder(name, context.say))
    found = found_at(name, context.path)
    if found is not None and (hosted := hosted_in(found)) is not None:
        fail(
            "wrong-engine",
            f"the folder {name} only names the hosted model {hosted.model}, which cannot run on this machine",
            hint="leave the `engine` of this model out, so that its endpoint is asked",
            exit_code=1,
        )
    return name if found is None else str(found)


def is_adapter(source: str | Path) -> bool:
    """Does a folder hold a PEFT adapter in place of a whole model?"""
    return (Path(source) / ADAPTER_FILE).is_file()


def base_of(adapter: str | Path, context: EngineContext) -> str:
    """The base model that an adapter names, as `from_pretrained` opens it."""
    return source_of(base_named_by(adapter) or "", context)


def chat_template_of(value: str, path: Callable[[str], Path]) -> str:
    """A chat template, given as its text or as the path of its file. Raises DreamError `no-such-file`."""
    if "{" in value or "\n" in value:
        return value
    try:
        return path(value).read_text("utf-8")
    except OSError:
        fail("no-such-file", f"the chat template `{value}` does not exist", hint="give its path, or its text by read()")


@contextmanager
def opening(spec: ModelSpec, adapter: str = "") -> Iterator[None]:
    """What a library says against a model becomes a DreamError: `no-such-model`, `missing-package`, `out-of-memory`."""
    try:
        from transformers.utils import logging

        logging.disable_progress_bar()
        yield
    except DreamError:
        raise
    except ImportError as error:
        message = f"the model `{spec.name}` needs a package that is not installed: {first_line(error)}"
        fail("missing-package", message, hint="pip install 'dreammake-llm[train]'", exit_code=1)
    except Exception as error:  # whatever a library, or a model's own code, raises
        if is_out_of_memory(error):
            hint = "take a smaller `dtype`, a `quantization`, or a machine with more memory"
            fail("out-of-memory", f"the model `{spec.name}` does not fit into memory", hint=hint, exit_code=1)
        if adapter:
            fail(
                "no-such-model",
                f'the adapter "{adapter}" of the model `{spec.name}` cannot be opened: {first_line(error)}',
                hint="give a folder with a PEFT adapter that fits the model, or a name on the Hugging Face Hub",
                exit_code=1,
            )
        fail(
            "no-such-model",
            f'the model `{spec.name}`, "{spec.model}", cannot be opened: {first_line(error)}',
            hint='give a model folder, a name on the Hugging Face Hub, or "smollm2", the embedded model',
            exit_code=1,
        )


def open_chat_model(
    spec: ModelSpec, options: Mapping[str, Any], context: EngineContext
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model, ready to generate, and its tokenizer, which pads as the model reads. Raises DreamError."""
    with opening(spec):
        source = source_of(spec.model, context)
        adapter = source_of(options["adapter"], context) if options["adapter"] else None
        if is_adapter(source):
            source, adapters = base_of(source, context), [source]
        else:
            adapters = []
        adapters += [adapter] if adapter else []
        model = _load(source, options)
        for folder in adapters:
            with opening(spec, folder):
                model = _with_adapter(model, folder, merge=options["quantization"] is None)
        tokenizer = _tokenizer([*reversed(adapters), source], options)
    if options["chat_template"]:
        tokenizer.chat_template = chat_template_of(options["chat_template"], context.path)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right" if model.config.is_encoder_decoder else "left"
    return model.eval(), tokenizer


def _load(source: str, options: Mapping[str, Any]) -> PreTrainedModel:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    known = {name: options[name] for name in ("revision", "trust_remote_code") if options[name]}
    config = AutoConfig.from_pretrained(source, **known)
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    device = options["device"] or _best_device(torch)
    place = options["device_map"] or (device if options["quantization"] else None)
    more: dict[str, Any] = {"dtype": options["dtype"], **known}
    if place is not None:
        more["device_map"] = place
    if options["quantization"]:
        more["quantization_config"] = _quantization(options)
    model = kind.from_pretrained(source, **more)
    return model if place is not None else model.to(device)


def _best_device(torch: Any) -> str:
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return "cpu" if found is None else str(found)


def _quantization(options: Mapping[str, Any]) -> Any:
    import torch
    from transformers import BitsAndBytesConfig

    if options["quantization"] == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    compute = torch.bfloat16 if options["dtype"] == "auto" else getattr(torch, options["dtype"])
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute)


def _with_adapter(model: Any, folder: str, *, merge: bool) -> Any:
    from peft import PeftModel

    adapted = PeftModel.from_pretrained(model, folder)
    return adapted.merge_and_unload() if merge else adapted


def _tokenizer(sources: list[str], options: Mapping[str, Any]) -> PreTrainedTokenizerBase:
    """That of the adapter, where training kept one beside it; else the base model's."""
    from transformers import AutoTokenizer

    *adapters, base = sources
    source = next((folder for folder in adapters if (Path(folder) / "tokenizer_config.json").is_file()), base)
    known = {name: options[name] for name in ("revision", "trust_remote_code") if options[name] and source == base}
    return AutoTokenizer.from_pretrained(source, **known)


def is_out_of_memory(error: BaseException) -> bool:
    """CUDA has an error of its own for it; the CPU's allocator only says so."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    said = str(error)
    return isinstance(error, RuntimeError) and ("can't allocate memory" in said or "not enough memory" in said)
