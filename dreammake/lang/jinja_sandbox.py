"""The one Jinja2 environment: sandboxed, undefined is an error, no loaders, loops and calls bounded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from dreammake.lang.limits import Budget, check_items, check_text
from dreammake.lang.namespace import Namespace
from dreammake.lang.operators import Unfit, power

if TYPE_CHECKING:
    from jinja2 import Environment, Template
    from jinja2.runtime import Context

BUDGET = "the budget"
"""The name of the render's Budget in a context: no identifier, so no template can read it."""
_BOUNDED = "bounded loop"
"""The name of a filter: no identifier either."""
_CALL_STEPS = 10


@cache
def environment() -> Environment:
    """Made once; importing Jinja2 takes its time."""
    from jinja2 import StrictUndefined, pass_context
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Sandbox(ImmutableSandboxedEnvironment):
        """Names behind a dot of a Namespace are its keys; `*`, `**` and calls are bounded."""

        intercepted_binops = frozenset({"*", "**"})

        def getattr(self, obj: Any, attribute: str) -> Any:
            if isinstance(obj, Namespace) and attribute in obj:
                return obj[attribute]
            return super().getattr(obj, attribute)

        def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
            if operator == "**":
                return power(left, right, context.parent[BUDGET])
            return _multiplied(left, right)

        def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
            context.parent[BUDGET].spend(_CALL_STEPS)
            return super().call(context, obj, *args, **kwargs)

    made = Sandbox(
        undefined=StrictUndefined,
        finalize=_no_null,
        optimized=False,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.loopcontrols"],
        loader=None,
    )
    del made.globals["lipsum"]
    del made.filters["random"]
    made.filters["tojson"] = _tojson
    made.filters[_BOUNDED] = pass_context(_bounded_loop)
    return made


def compile_source(source: str) -> Template:
    """A template whose loops are counted."""
    from jinja2 import nodes

    tree = environment().parse(source)
    for loop in tree.find_all(nodes.For):
        loop.iter = nodes.Filter(loop.iter, _BOUNDED, [], [], None, None, lineno=loop.lineno)
    return environment().from_string(tree)


def _no_null(value: Any) -> Any:
    """What a hole prints. Null would be sent as the word `None`."""
    if value is None:
        raise Unfit("a value in it is null", "write `{{ NAME or '' }}` where it may be null, or filter such rows out")
    return value


def _multiplied(left: Any, right: Any) -> Any:
    for value, times in ((left, right), (right, left)):
        if isinstance(value, str | list | tuple) and isinstance(times, int):
            (check_text if isinstance(value, str) else check_items)(len(value) * max(0, times))
    return left * right


def _bounded_loop(context: Context, values: Any) -> Any:
    """The items that a loop will meet, paid for before it begins."""
    items = values if isinstance(values, list | tuple | str | Mapping | range) else list(values)
    budget: Budget = context.parent[BUDGET]
    budget.spend(_CALL_STEPS * len(items) + 1)
    return items


def _tojson(value: Any, indent: int | None = None) -> str:
    """As chat templates have it: plain JSON, with no escapes for HTML."""
    indent = min(indent, 16) if indent is not None else None
    return json.dumps(value, ensure_ascii=False, indent=indent, default=_json_default)


def _json_default(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)
