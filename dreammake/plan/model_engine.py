"""Whether the engine of a model can run what a rule makes: found before anything is built."""

from __future__ import annotations

from dreammake.core.catalog import Catalog
from dreammake.core.diagnostic import fail
from dreammake.core.span import Span
from dreammake.core.values import ModelSpec
from dreammake.lang.dreamfile import Rule


def trains_elsewhere(rule: Rule) -> bool:
    """Does an endpoint train the model that the rule makes?"""
    step = rule.steps[-1] if rule.steps else None
    if step is None or step.kind.named != "method":
        return False
    return bool(getattr(Catalog().find("trainers", step.name or ""), "hosted", False))


def check_engine(spec: ModelSpec, maker: Rule, span: Span) -> None:
    """Raises DreamError `wrong-engine` where `maker` trains a model that the engine of `spec` does not run."""
    step = maker.steps[-1] if maker.steps else None
    if step is None or step.kind.named != "method" or spec.options.get("base_url"):
        return
    method = f"`train {step.name}`"
    hosted = trains_elsewhere(maker)
    if hosted and spec.engine != "api":
        said = f"{method} makes {spec.model} at its endpoint, and the engine `{spec.engine}` runs models here"
        hint = f"leave `engine` out where the model `{spec.name}` is declared"
    elif spec.engine == "api" and not hosted:
        said = f"{method} makes {spec.model} here, and the engine `api` asks hosted models only"
        hint = f'say what runs it, where the model `{spec.name}` is declared: `engine: "transformers"`, or `"vllm"`'
    elif spec.engine == "llamacpp":
        said = f"{method} makes {spec.model} a folder for Transformers, and the engine `llamacpp` runs GGUF files"
        hint = 'run it by `engine: "transformers"`, or make a GGUF file of it: dreammake explain wrong-engine'
    else:
        return
    fail("wrong-engine", said, span, hint=hint)
