"""Which names a Jinja2 template reads and does not set itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from dreammake.core.diagnostic import Diagnostic, DreamError, Errors
from dreammake.core.spelling import did_you_mean
from dreammake.lang.names import Chain
from dreammake.lang.syntax import Text
from dreammake.lang.template_places import find_name

if TYPE_CHECKING:
    from jinja2 import Environment, nodes

Read = tuple[str, int, Chain]
"""A name, its line in the template, and the constant chain behind it."""
_FUNCTIONS = frozenset({"range", "dict", "namespace", "cycler", "joiner"})


def check_words(tree: nodes.Template, environment: Environment, text: Text) -> None:
    """Refuse filters and tests that are not there, and everything that needs another file."""
    from jinja2 import nodes

    errors = Errors()
    for node in tree.find_all((nodes.Filter, nodes.Test, nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
        if isinstance(node, nodes.Filter | nodes.Test):
            known: Any = environment.filters if isinstance(node, nodes.Filter) else environment.tests
            word = "filter" if isinstance(node, nodes.Filter) else "test"
            if node.name not in known:
                message = f"there is no {word} `{node.name}` in a template"
                errors.add(
                    "bad-template",
                    message,
                    find_name(text, node.name, node.lineno),
                    hint=did_you_mean(node.name, known),
                )
        else:
            word = type(node).__name__.lower().removeprefix("from")
            message = f"a template cannot `{word}` another"
            errors.add(
                "bad-template",
                message,
                find_name(text, word, node.lineno),
                hint="put the text here; `read(path)` reads a file",
            )
    if errors.found:
        raise DreamError(*_distinct(errors.found))


def _distinct(found: list[Diagnostic]) -> Iterable[Diagnostic]:
    return {(d.message, str(d.span)): d for d in found}.values()


def find_reads(tree: nodes.Template) -> list[Read]:
    """Every read of a name that nothing in the template sets before, in the order of the text."""
    return list(_Reader().walk(tree.body, set()))


class _Reader:
    """Walks a template. Jinja2 is imported when the first one is made."""

    def __init__(self) -> None:
        from jinja2 import nodes

        self.nodes = nodes

    def walk(self, node: Any, bound: set[str]) -> Iterator[Read]:
        """`bound` are the names that are set here; an assignment adds to it."""
        n = self.nodes
        root, line, chain = self._chain(node)
        if root is not None:
            if root not in bound:
                yield root, line, chain
            return
        match node:
            case list():
                for part in node:
                    yield from self.walk(part, bound)
            case n.For():
                yield from self.walk(node.iter, bound)
                inner = bound | self._targets(node.target) | {"loop"}
                yield from self.walk([node.test] if node.test else [], inner)
                yield from self.walk(node.body, inner)
                yield from self.walk(node.else_, set(bound))
            case n.If():
                yield from self._branches(node, bound)
            case n.Assign():
                yield from self.walk(node.node, bound)
                bound |= self._targets(node.target)
            case n.AssignBlock():
                yield from self.walk(node.body, set(bound))
                yield from self.walk([node.filter] if node.filter else [], bound)
                bound |= self._targets(node.target)
            case n.Macro():
                bound.add(node.name)
                yield from self.walk(node.defaults, bound)
                yield from self.walk(
                    node.body, bound | {arg.name for arg in node.args} | {"caller", "varargs", "kwargs"}
                )
            case n.CallBlock():
                yield from self.walk([node.call, *node.defaults], bound)
                yield from self.walk(node.body, bound | {arg.name for arg in node.args})
            case n.With():
                yield from self.walk(node.values, bound)
                yield from self.walk(node.body, bound.union(*map(self._targets, node.targets)))
            case n.Call(node=n.Getattr() as method):
                yield from self.walk(method.node, bound)
                yield from self.walk([*node.args, *node.kwargs], bound)
            case n.Call(node=n.Name(name=name)) if name in _FUNCTIONS and name not in bound:
                yield from self.walk([*node.args, *node.kwargs], bound)
            case n.Node():
                scope = set(bound) if isinstance(node, n.Scope | n.Block | n.FilterBlock) else bound
                for part in node.iter_child_nodes():
                    yield from self.walk(part, scope)

    def _branches(self, node: Any, bound: set[str]) -> Iterator[Read]:
        """What all branches set is set after them."""
        yield from self.walk(node.test, bound)
        ends = []
        for branch in (node.body, node.elif_, node.else_):
            inner = set(bound)
            yield from self.walk(branch, inner)
            ends.append(inner)
        bound |= ends[0] & ends[2] if not node.elif_ else set()

    def _targets(self, node: Any) -> set[str]:
        if isinstance(node, self.nodes.Name):
            return {node.name}
        return (
            set().union(*(self._targets(item) for item in node.items)) if isinstance(node, self.nodes.Tuple) else set()
        )

    def _chain(self, node: Any) -> tuple[str | None, int, Chain]:
        n = self.nodes
        keys: list[str] = []
        while True:
            match node:
                case n.Name(name=name, ctx="load"):
                    return name, node.lineno, tuple(reversed(keys))
                case n.Getattr(node=inner, attr=key) | n.Getitem(node=inner, arg=n.Const(value=str() as key)):
                    keys.append(key)
                    node = inner
                case _:
                    return None, 0, ()
