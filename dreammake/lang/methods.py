"""The methods of texts, lists and dicts: those that are pure, bounded in size. Each takes a Budget first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dreammake.lang.limits import Budget, check_text, made, weigh
from dreammake.lang.namespace import Namespace
from dreammake.lang.operators import Unfit, kind

Method = Callable[..., Any]
_TEXT = """strip lstrip rstrip split rsplit splitlines lower upper title capitalize casefold swapcase startswith
    endswith count find rfind index rindex removeprefix removesuffix partition rpartition isdigit isdecimal isnumeric
    isalpha isalnum isspace isupper islower istitle isascii isidentifier"""
_WITHOUT_ARGUMENTS = frozenset(
    {"strip", "lstrip", "rstrip", "split", "rsplit", "splitlines"}
    | {"lower", "upper", "title", "capitalize", "casefold", "swapcase"}
)
_PADDED = ["ljust", "rjust", "center", "zfill"]


def _of_text(name: str) -> Method:
    call = getattr(str, name)

    def method(budget: Budget, text: str, *args: Any, **kwargs: Any) -> Any:
        if len(text) > 64:
            budget.spend(len(text) >> 3)
        return made(call(text, *args, **kwargs), budget)

    return method


def _padded(name: str) -> Method:
    call = getattr(str, name)

    def method(budget: Budget, text: str, width: Any, *fill: Any) -> Any:
        if width.__class__ is not int:
            raise Unfit(f".{name} takes a width, not {kind(width)}")
        check_text(width)
        return made(call(text, width, *fill), budget)

    return method


def _join(budget: Budget, text: str, values: Any) -> str:
    if not isinstance(values, list | tuple | str | Mapping):
        raise Unfit(f".join takes a list of texts, not {kind(values)}")
    budget.spend(len(values))
    size = 0
    for value in values:
        if value.__class__ is not str:
            hint = f'write `"{text[:10]}".join(str(x) for x in …)`' if value is not None else ""
            raise Unfit(f".join takes a list of texts, and there is {kind(value)} in it", hint)
        size += len(value) + len(text)
    check_text(size - len(text))
    return made(text.join(values), budget)  # type: ignore[no-any-return]


def _replace(budget: Budget, text: str, old: Any, new: Any, count: Any = -1) -> str:
    if old.__class__ is not str or new.__class__ is not str or count.__class__ is not int:
        wrong = next(value for value, fits in ((old, str), (new, str), (count, int)) if value.__class__ is not fits)
        raise Unfit(f".replace takes two texts, and there is {kind(wrong)}")
    found = text.count(old)
    if count >= 0:
        found = min(found, count)
    check_text(len(text) + found * max(0, len(new) - len(old)))
    if len(text) > 64:
        budget.spend(len(text) >> 3)
    return made(text.replace(old, new, count), budget)  # type: ignore[no-any-return]


def _list_count(budget: Budget, values: Any, value: Any) -> int:
    weigh(values, budget)
    return values.count(value)  # type: ignore[no-any-return]


def _list_index(budget: Budget, values: Any, value: Any) -> int:
    weigh(values, budget)
    try:
        return values.index(value)  # type: ignore[no-any-return]
    except ValueError:
        raise Unfit("this value is not in the list") from None


def _get(budget: Budget, values: Mapping[Any, Any], key: Any, default: Any = None) -> Any:
    return values.get(key, default)


def _keys(budget: Budget, values: Mapping[Any, Any]) -> list[Any]:
    return made(list(values), budget)  # type: ignore[no-any-return]


def _values(budget: Budget, values: Mapping[Any, Any]) -> list[Any]:
    return made(list(values.values()), budget)  # type: ignore[no-any-return]


def _items(budget: Budget, values: Mapping[Any, Any]) -> list[Any]:
    return made(list(values.items()), budget)  # type: ignore[no-any-return]


BARE: dict[str, Callable[[str], Any]] = {
    name: getattr(str, name) for name in _TEXT.split() if name.startswith("is") or name in _WITHOUT_ARGUMENTS
}
"""Methods that a text has without arguments: for short texts they need no budget."""
_OF_TEXT: dict[str, Method] = {
    **{name: _of_text(name) for name in _TEXT.split()},
    **{name: _padded(name) for name in _PADDED},
    "join": _join,
    "replace": _replace,
}
_OF_LIST: dict[str, Method] = {"count": _list_count, "index": _list_index}
_OF_DICT: dict[str, Method] = {"get": _get, "keys": _keys, "values": _values, "items": _items}
METHODS: dict[type, dict[str, Method]] = {
    str: _OF_TEXT,
    list: _OF_LIST,
    tuple: _OF_LIST,
    dict: _OF_DICT,
    Namespace: _OF_DICT,
}


def methods_named(name: str) -> dict[type, Method]:
    """The methods of that name, by the class of the value."""
    return {owner: methods[name] for owner, methods in METHODS.items() if name in methods}
