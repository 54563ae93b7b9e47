"""Expressions over the columns, evaluated for millions of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dreammake.core.diagnostic import Diagnostic, DreamError
from dreammake.core.values import RowExpression
from dreammake.lang.evaluate import Scope, compile_expr
from dreammake.lang.limits import ROW_STEPS, Budget
from dreammake.lang.names import free_names
from dreammake.lang.namespace import Namespace
from dreammake.lang.tree_json import from_json


class RowError(DreamError):
    """An expression or a text that fails on one row. `row` counts from 0, in what was given to `map`."""

    def __init__(self, text: str, reason: str, hint: str, row: int) -> None:
        self.shown = f"`{_short(text)}`"
        message = f"{self.shown} fails on row {row}: {reason}"
        super().__init__(Diagnostic("row-error", message, hint=hint), exit_code=1)
        self.text = text
        self.reason = reason
        self.hint = hint
        self.row = row

    def later(self, rows: int) -> RowError:
        """The same error, where `rows` more rows came before."""
        return RowError(self.text, self.reason, self.hint, self.row + rows)


class RowFunction:
    """A compiled row expression. `columns` are those it reads, in the order in which `map` takes their lists."""

    def __init__(self, expression: RowExpression, columns: Sequence[str]) -> None:
        expr = from_json(expression.tree, expression.text)
        read = free_names(expr)
        compiled = compile_expr(expr)
        self.text = expression.text
        self.columns = tuple(name for name in columns if name in read)
        self._code = compiled.code
        self._slots = compiled.slots
        self._captured = {name: _named(value) for name, value in expression.captured.items()}

    def map(self, lists: Sequence[Sequence[Any]], count: int | None = None) -> list[Any]:
        """The value for each row. `lists` holds one list for each of `columns`, all of one length.

        `count` is the number of rows where the expression reads no column. Raises RowError.
        """
        names = dict(self._captured)
        budget = Budget(ROW_STEPS)
        scope = Scope(names, budget, self._slots)
        code, made = self._code, []  # type: ignore[var-annotated]
        add = made.append
        try:
            match self.columns:
                case ():
                    for _ in range(count or 0):
                        budget.left = ROW_STEPS
                        add(code(scope))
                case (name,):
                    for value in lists[0]:
                        names[name] = value
                        budget.left = ROW_STEPS
                        add(code(scope))
                case (first, second):
                    for value, other in zip(*lists, strict=True):
                        names[first] = value
                        names[second] = other
                        budget.left = ROW_STEPS
                        add(code(scope))
                case columns:
                    for values in zip(*lists, strict=True):
                        names.update(zip(columns, values, strict=True))
                        budget.left = ROW_STEPS
                        add(code(scope))
        except DreamError as error:
            found = error.diagnostics[0]
            raise RowError(self.text, found.message, found.hint, len(made)) from None
        return made


def compile_row(expression: RowExpression, columns: Sequence[str]) -> RowFunction:
    """Make a row expression ready for rows with these columns. A column hides any other name."""
    return RowFunction(expression, columns)


def _named(value: Any) -> Any:
    return Namespace(value) if isinstance(value, Mapping) else value


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:59] + "…"
