"""The options that a training method has from TRL and PEFT, by their names there.

They are generated (`python -m dreammake.trainers._options`) from the libraries that `constraints.txt` pins, into
one `NAME.json` each, so that planning checks every name, type and default without importing torch. A file is
`{"from": "trl 1.16.0", "options": [{"name", "kinds", "choices"?, "default", "doc", "result"?}, ...]}`, where kinds
are of `bool int float str list dict null`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from dreammake.core.options import Call, Option, OptionSet, Wrong
from dreammake.core.spelling import did_you_mean
from dreammake.core.values import Function
from dreammake.trainers._run_options import RunOptions, StoppingOptions

FOLDER = Path(__file__).parent

_WORDS = {
    "bool": "True or False",
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "list": "a list",
    "dict": "a dict",
    "null": "None",
}
OF_LORA = "take one of PEFT's LoraConfig: r, lora_alpha, lora_dropout, target_modules, …"
_ABOVE_0 = frozenset(
    {
        "num_train_epochs",
        "per_device_train_batch_size",
        "per_device_eval_batch_size",
        "gradient_accumulation_steps",
        "max_length",
        "max_completion_length",
    }
)
_NOT_BELOW_0 = frozenset({"learning_rate", "weight_decay", "warmup_steps"})
"""What the libraries do not check before a training has begun, and then fail of, or do something else."""


class Field(Option[Any]):
    """One generated option: a value of any of its kinds, or one of its choices."""

    def __init__(
        self, doc: str, *, kinds: tuple[str, ...], choices: tuple[str, ...] = (), default: Any, result: bool = True
    ) -> None:
        super().__init__(doc, default=default, result=result)
        self.kinds = kinds
        self.choices = choices

    @property
    def takes(self) -> str:  # type: ignore[override]
        words = [f'"{choice}"' for choice in self.choices] + [_WORDS[kind] for kind in self.kinds]
        return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)

    def check(self, value: Any) -> Any:
        found = self._of_its_kind(value)
        if isinstance(found, int | float):
            if self.name in _ABOVE_0 and not found > 0:
                raise Wrong(f"`{self.name}` is above 0, not {found:g}", code="out-of-range")
            if self.name in _NOT_BELOW_0 and not found >= 0:
                raise Wrong(f"`{self.name}` is at least 0, not {found:g}", code="out-of-range")
        return found

    def _of_its_kind(self, value: Any) -> Any:
        match value:
            case None if "null" in self.kinds:
                return None
            case bool() if "bool" in self.kinds:
                return value
            case bool():
                raise self.wrong(value)
            case int() if "int" in self.kinds:
                return value
            case int() | float() if "float" in self.kinds:
                return float(value)
            case str() if value in self.choices or "str" in self.kinds:
                return value
            case list() | tuple() if "list" in self.kinds:
                return list(value)
            case Mapping() if "dict" in self.kinds:
                return dict(value)
        raise self.wrong(value)


class Lora(Call):
    """`lora(r=8, ...)`: its arguments are those of PEFT's LoraConfig, checked here, with PEFT's defaults filled in."""

    def __init__(self, doc: str, **kwargs: Any) -> None:
        super().__init__(doc, "lora", **kwargs)

    def read(self, value: Any) -> Function:
        call = super().read(value)
        fields = generated("lora")
        if call.args:
            raise Wrong("`lora` takes its arguments by name", "write `lora(r=8)`", "wrong-argument")
        for name in call.kwargs:
            if name not in fields:
                hint = did_you_mean(name, fields) or OF_LORA
                raise Wrong(f"`lora` has no argument `{name}`", hint, "unknown-argument")
        given = {name: fields[name].check(argument) for name, argument in call.kwargs.items()}
        return Function("lora", (), {name: field.default for name, field in fields.items()} | given)


T = TypeVar("T", bound=OptionSet)


def generated(name: str) -> dict[str, Field]:
    """The options of one file, by name, each knowing its name."""
    content = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    fields: dict[str, Field] = {}
    for row in content["options"]:
        field = Field(
            row["doc"],
            kinds=tuple(row["kinds"]),
            choices=tuple(row.get("choices", ())),
            default=row["default"],
            result=row.get("result", True),
        )
        field.name = row["name"]
        fields[field.name] = field
    return fields


def with_trl_options(method: str, own: type[T]) -> type[T]:
    """`own`, and after it the options of a run, and all options of TRL's config for `method` that are not there yet."""
    of_library = generated(method)
    of_run = RunOptions.declared() | (StoppingOptions.declared() if "eval_strategy" in of_library else {})
    fields = {name: option for name, option in (of_run | of_library).items() if name not in own.declared()}
    return type(own.__name__, (own,), {"__doc__": own.__doc__, "__module__": own.__module__, **fields})
