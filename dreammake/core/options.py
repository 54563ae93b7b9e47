"""Options: declared once, as class attributes, beside the code that reads them.

    class Options(OptionSet):
        prompt = Text("The text sent for each row.")
        count = Int("How many answers.", unit="answers", default=1, at_least=1)
        timeout = Float("Longest wait for one answer.", unit="s", default=600.0, result=False)

The declaration checks values, makes the reference page, decides what is in a recipe (`result=False` is in
none), and tells when the option is evaluated: once (`reading`), per row (`row`), or per row as a Jinja2
text (`text`). An instance holds the values: `options.count`.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any, ClassVar, Generic, Literal, TypeVar, overload

from dreammake.core.values import Function, ModelSpec, RowExpression, Template

T = TypeVar("T", covariant=True)
When = Literal["reading", "row", "text"]


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Any = _Required()


class Wrong(Exception):
    """A value that an option does not take: one sentence, and what to do."""

    def __init__(self, message: str, hint: str = "", code: str = "wrong-type") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


class Option(Generic[T]):
    """One option.

    `doc` is a sentence; `unit` is what its number counts; `result=False` says that it cannot change what is
    made; `when` says when it is evaluated; `takes` is the word for its type in pages and errors.
    """

    takes: ClassVar[str] = "a value"
    when: ClassVar[When] = "reading"
    name: str = ""

    def __init__(self, doc: str, *, default: Any = REQUIRED, result: bool = True, unit: str = "") -> None:
        self.doc = doc
        self.default = default
        self.result = result
        self.unit = unit

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name.removesuffix("_")

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    @overload
    def __get__(self, instance: None, owner: type) -> Option[T]: ...
    @overload
    def __get__(self, instance: OptionSet, owner: type) -> T: ...
    def __get__(self, instance: OptionSet | None, owner: type) -> Any:
        return self if instance is None else instance.values[self.name]

    def check(self, value: Any) -> Any:
        """The value as the step will see it. Raises Wrong. None is refused unless it is the default."""
        if value is None and self.default is None:
            return None
        return self.read(value)

    def read(self, value: Any) -> Any:
        return value

    def wrong(self, value: Any) -> Wrong:
        return Wrong(f"`{self.name}` takes {self.takes}, not {describe(value)}")


class Anything(Option[Any]):
    takes = "any value"


class Str(Option[str]):
    takes = "a text"

    def read(self, value: Any) -> Any:
        if not isinstance(value, str):
            raise self.wrong(value)
        return value


class Path(Str):
    """A path to a file or folder; one that a rule makes is then an input."""

    takes = "a path"


class Command(Str):
    """A shell command: `{input}`, `{output}`, `{wildcards.x}`, `{config.x}` in it are filled and quoted."""

    takes = "a command"


class Paths(Path):
    """Paths to files or folders; those that rules make are then inputs. One text stands for a list of one."""

    takes = "a path, or a list of paths"

    def read(self, value: Any) -> Any:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
            raise self.wrong(value)
        return list(items)


class Bool(Option[bool]):
    takes = "True or False"

    def read(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise self.wrong(value)
        return value


class _Number(Option[T]):
    def __init__(self, doc: str, *, at_least: float | None = None, at_most: float | None = None, **kwargs: Any) -> None:
        super().__init__(doc, **kwargs)
        self.at_least = at_least
        self.at_most = at_most

    def within(self, value: Any) -> Any:
        if self.at_least is not None and value < self.at_least:
            raise Wrong(f"`{self.name}` is at least {self.at_least:g}, not {value:g}", code="out-of-range")
        if self.at_most is not None and value > self.at_most:
            raise Wrong(f"`{self.name}` is at most {self.at_most:g}, not {value:g}", code="out-of-range")
        return value


class Int(_Number[int]):
    takes = "a whole number"

    def read(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(value)
        return self.within(value)  # type: ignore[no-any-return]


class Float(_Number[float]):
    takes = "a number"

    def read(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(value)
        return float(self.within(value))


class Choice(Option[str]):
    def __init__(self, doc: str, *choices: str, **kwargs: Any) -> None:
        super().__init__(doc, **kwargs)
        self.choices = choices

    @property
    def takes(self) -> str:  # type: ignore[override]
        return "one of " + ", ".join(f'"{choice}"' for choice in self.choices)

    def read(self, value: Any) -> str:
        if value not in self.choices:
            raise self.wrong(value)
        return str(value)


class Strings(Option[list[str]]):
    """A list of texts; one text stands for a list of one."""

    takes = "a text, or a list of texts"

    def read(self, value: Any) -> list[str]:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
            raise self.wrong(value)
        return list(items)


class Functions(Strings):
    """Functions of the user's, each `file.py:function`. The source of each, with what it uses, is in the recipe.

    `forms` are the names that a function may take beside the columns: those of the form whose first name it takes, else
    of the last one. Without forms, what it takes is not checked.
    """

    takes = "a function as `file.py:function`, or a list of them"

    def __init__(self, doc: str, *, forms: tuple[tuple[str, ...], ...] = (), **kwargs: Any) -> None:
        super().__init__(doc, **kwargs)
        self.forms = forms

    def own_names(self, parameters: Container[str]) -> tuple[str, ...]:
        """What a function with these parameters may take beside the columns."""
        return next((form for form in self.forms if form[0] in parameters), self.forms[-1])

    def read(self, value: Any) -> list[str]:
        references = super().read(value)
        for reference in references:
            file, _, name = reference.rpartition(":")
            if not file or not name:
                raise Wrong(f"`{reference}` is no function", 'write it as "file.py:function"')
        return references


class OneOrMore(Option[Any]):
    """A text, or a list of texts; a list of one is that one."""

    takes = "a text, or a list of texts"

    def read(self, value: Any) -> Any:
        if isinstance(value, str):
            return value
        if not isinstance(value, list | tuple) or not value or not all(isinstance(item, str) for item in value):
            raise self.wrong(value)
        return list(value) if len(value) > 1 else value[0]


class ColumnNames(Strings):
    """Names of columns that must exist before the step; checked through the whole graph."""

    takes = "a column name, or a list of them"


class List(Option[list[Any]]):
    takes = "a list"

    def read(self, value: Any) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise self.wrong(value)
        return list(value)


class Dict(Option[dict[str, Any]]):
    takes = "a dict, or an indented block of names"

    def read(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise self.wrong(value)
        return dict(value)


class Model(Option[ModelSpec]):
    takes = "the name of a declared model"

    def read(self, value: Any) -> ModelSpec:
        if not isinstance(value, ModelSpec):
            raise self.wrong(value)
        return value


class Models(Model):
    """A declared model, or a list of them; a list of one is that one."""

    takes = "the name of a declared model, or a list of them"

    def read(self, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return super().read(value)
        if not value:
            raise self.wrong(value)
        models = [Model.read(self, item) for item in value]
        return models if len(models) > 1 else models[0]


class Dataset(Option[str]):
    """The path of a dataset that is an input of the rule: `input.shots`."""

    takes = "an input of the rule (`input.name`)"

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise self.wrong(value)
        return value


class Datasets(Option[list[str]]):
    """Paths of datasets that are inputs of the rule."""

    takes = "an input of the rule, or a list of them"

    def read(self, value: Any) -> list[str]:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
            raise self.wrong(value)
        return list(items)


class Call(Option[Function]):
    """A call such as `lora(r=8)`; only the functions named are taken."""

    def __init__(self, doc: str, *functions: str, **kwargs: Any) -> None:
        super().__init__(doc, **kwargs)
        self.functions = functions

    @property
    def takes(self) -> str:  # type: ignore[override]
        return " or ".join(f"{function}(...)" for function in self.functions)

    def read(self, value: Any) -> Function:
        if not isinstance(value, Function) or value.function not in self.functions:
            raise self.wrong(value)
        return value


class Expression(Option[RowExpression]):
    """An expression over the columns, evaluated per row."""

    takes = "an expression over the columns"
    when = "row"


class Text(Option[Template]):
    """A Jinja2 text over the columns, rendered per row. With `over`, it is over the columns of the dataset that the
    option of that name names. It may read the names `beside` the columns, too."""

    takes = "a text"
    when = "text"

    def __init__(self, doc: str, *, over: str = "", beside: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(doc, **kwargs)
        self.over = over
        self.beside = beside


class Texts(Option[Any]):
    """Lists and dicts whose texts are Jinja2 texts (`messages`, `responses`)."""

    takes = "texts in a list or a dict"
    when = "text"


class OptionSet:
    """The declared options of one step, engine, trainer or executor; an instance holds their values."""

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        """Takes checked values by name; what is left out has its default. Raises KeyError on an unknown name."""
        given = dict(values or {})
        self.values: dict[str, Any] = {
            name: given.pop(name, option.default) for name, option in self.declared().items()
        }
        if given:
            raise KeyError(f"no such options: {', '.join(given)}")

    @classmethod
    def declared(cls) -> dict[str, Option[Any]]:
        """The options by the name that users write, inherited ones first. Cached on the class."""
        found: dict[str, Option[Any]] | None = cls.__dict__.get("_declared")
        if found is None:
            found = dict(cls._gather())
            cls._declared = found  # type: ignore[attr-defined]
        return found

    @classmethod
    def _gather(cls) -> Iterator[tuple[str, Option[Any]]]:
        for kind in reversed(cls.__mro__):
            for option in vars(kind).values():
                if isinstance(option, Option):
                    yield option.name, option

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def describe(value: Any) -> str:
    """A value in words, short enough for an error."""
    match value:
        case None:
            return "None"
        case bool() | int() | float():
            return repr(value)
        case str():
            return f'the text "{value[:30]}…"' if len(value) > 31 else f'the text "{value}"'
        case list() | tuple():
            return f"a list of {len(value)}"
        case Mapping():
            return "a dict"
        case ModelSpec(name):
            return f"the model `{name}`"
        case Function(function):
            return f"`{function}(...)`"
    return f"a {type(value).__name__}"
