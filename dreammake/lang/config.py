"""The `config:` block: defaults in the Dreamfile, changed by `--config` and `--configfile`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dreammake.core.diagnostic import DreamError, Errors
from dreammake.core.options import describe
from dreammake.core.span import Source
from dreammake.core.spelling import did_you_mean
from dreammake.lang.evaluate import evaluate
from dreammake.lang.namespace import Namespace
from dreammake.lang.parser import parse_expression
from dreammake.lang.paths import with_expand
from dreammake.lang.syntax import Block, Sequence


def config_of(
    blocks: list[Block], names: Mapping[str, Any], overrides: Mapping[str, Any], errors: Errors
) -> dict[str, Any]:
    """The values, nested as the blocks are. A later value may use earlier ones (`config.n`)."""
    config: dict[str, Any] = {}
    for block in blocks:
        _fill(block.blocks, config, config, names, overrides, "", errors)
    known = list(_dotted(config))
    for name in overrides:
        if name not in known:
            message = f"the Dreamfile has no config `{name}`"
            errors.add("unknown-config", message, hint=did_you_mean(name, known) or "add it to `config:` first")
    return config


def _fill(
    blocks: tuple[Block, ...],
    into: dict[str, Any],
    config: dict[str, Any],
    names: Mapping[str, Any],
    overrides: Mapping[str, Any],
    prefix: str,
    errors: Errors,
) -> None:
    for block in blocks:
        dotted = prefix + block.keyword
        if block.name is not None:
            errors.add("bad-option", "a config value is `name: value`", block.span)
        elif block.keyword in into:
            errors.add("duplicate-option", f"`config.{dotted}` is set twice", block.keyword_span, hint="keep one")
        elif block.blocks and not block.values:
            into[block.keyword] = {}
            _fill(block.blocks, into[block.keyword], config, names, overrides, dotted + ".", errors)
        elif not block.values:
            errors.add("missing-value", f"`config.{dotted}` has no value", block.span)
        else:
            try:
                default = _value(block, {**names, "config": Namespace(config)})
                into[block.keyword] = _overridden(dotted, default, overrides, block, errors)
            except DreamError as error:
                errors.take(error)
                into[block.keyword] = None


def _value(block: Block, names: Mapping[str, Any]) -> Any:
    if len(block.values) == 1:
        return evaluate(with_expand(block.values[0]), names)
    span = block.values[0].span.to(block.values[-1].span)
    return evaluate(with_expand(Sequence(span, "list", block.values)), names)


def _overridden(name: str, default: Any, overrides: Mapping[str, Any], block: Block, errors: Errors) -> Any:
    """The value given outside, which must be of the default's type (a whole number may stand for a number)."""
    if name not in overrides:
        return default
    value = overrides[name]
    fits = (
        default is None
        or value is None
        or type(value) is type(default)
        or (isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool))
        or (isinstance(default, list | tuple) and isinstance(value, list | tuple))
    )
    if not fits and isinstance(default, str):
        return str(value)
    if not fits:
        message = f"config `{name}` is {describe(default)} by default, and cannot be {describe(value)}"
        errors.add("wrong-type", message, block.values[0].span, label="its default")
    return value


def _dotted(config: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        yield prefix + key
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")


def read_override(text: str) -> Any:
    """The value of `--config name=VALUE`: an expression of the language where it is one, else the text itself."""
    try:
        return evaluate(parse_expression(text, Source("--config", text), 0), {})
    except DreamError:
        return text


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested mapping (of a config file) by dotted names."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
