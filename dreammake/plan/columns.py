"""The check of columns and kinds through the whole graph, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dreammake.core.diagnostic import Diagnostic, DreamError, Errors
from dreammake.core.job import Put
from dreammake.core.options import ColumnNames, Dataset, Datasets, Functions, Text, Wrong
from dreammake.core.span import Span
from dreammake.core.spelling import did_you_mean, nearest
from dreammake.core.step import Columns
from dreammake.core.values import Function
from dreammake.lang.dreamfile import PER_JOB, Setting, StepDecl
from dreammake.lang.names import free_names
from dreammake.lang.syntax import Dict, Expr
from dreammake.lang.syntax import Text as TextNode
from dreammake.plan.graph import Graph, PlannedJob, normal
from dreammake.plan.recipe import function_of

HIDEABLE = ("config", "wildcards", "input", "output")
"""Names that a column may hide, and that its user may have meant."""


def check_columns(graph: Graph) -> list[Diagnostic]:
    """Follow the columns of every dataset in the graph. Raises DreamError with every misspelt column and wrong kind;
    gives warnings where a column hides a name that an expression reads."""
    errors = Errors()
    check = _Check(graph, errors)
    for job in graph.jobs:
        check.job(job)
    errors.check()
    return check.hidden


def first_input(job: PlannedJob) -> Put | None:
    """The input that the first step reads: for a training the one named `train`, else the first."""
    if job.rule.steps[0].kind.named == "method":
        for put in job.inputs:
            if put.name == "train":
                return put
    return job.inputs[0] if job.inputs else None


class _Check:
    def __init__(self, graph: Graph, errors: Errors) -> None:
        self.graph = graph
        self.errors = errors
        self.known: dict[str, Columns | None] = {}
        self.unread: dict[str, Diagnostic] = {}
        """Why there are no columns of a dataset on disk: it is damaged, or several in one folder."""
        self.hidden: list[Diagnostic] = []
        self._seen: dict[Any, dict[int, Columns | None]] = {}

    def columns(self, path: str) -> Columns | None:
        if path not in self.known:
            try:
                self.known[path] = self.graph.disk.columns(path)
            except DreamError as error:
                self.known[path] = None
                self.unread[path] = error.diagnostics[0]
        return self.known[path]

    def source(self, path: str) -> Path:
        return self.graph.disk.locate(path)

    def job(self, job: PlannedJob) -> None:
        rule = job.rule
        if job.outputs[0].kind == "file" and len(rule.steps) == 1:
            for put in job.outputs:
                self.known[put.path] = None
            return
        datasets = [put for put in job.inputs if put.kind != "model"]
        per_job = any(setting.value is PER_JOB for step in rule.steps for setting in step.settings.values())
        key = (rule.name, tuple(self.columns(put.path) for put in datasets), job.id if per_job else "")
        found = self._seen.get(key)
        if found is None:
            found = self._seen[key] = self._run(job)
        for at, put in enumerate(job.outputs):
            self.known[put.path] = found[at]

    def _run(self, job: PlannedJob) -> dict[int, Columns | None]:
        """The columns of each output of a job."""
        rule = job.rule
        have: Columns | None = ()
        first = first_input(job)
        if not rule.steps[0].kind.source:
            self._check_readable(job)
            if not self._kind_fits(job):
                return dict.fromkeys(range(len(job.outputs)))
            have = None if first is None or job.unknown else self.columns(first.path)
        names = self.graph.names(job)
        origin = first.path if first is not None else "this rule"
        for number, step in enumerate(rule.steps):
            where = origin if not number else "the row so far"
            have = self._step(step, names, have, where)
        self._check_outputs(job, names)
        if have is None and (given := job.setting("columns")) is not None:
            have = tuple(given)
        return dict.fromkeys(range(len(job.outputs)), have)

    def _check_readable(self, job: PlannedJob) -> None:
        """Are the datasets on disk whole? `load` sees to its own sources."""
        for put in job.inputs:
            if put.path in self.unread:
                spans = {declared.literal or declared.name: declared.span for declared in job.rule.inputs}
                span = spans.get(put.path) or spans.get(put.name) or job.rule.span
                wrong = self.unread[put.path]
                self.errors.add(wrong.code, wrong.message, span, hint=wrong.hint)

    def _step(self, step: StepDecl, names: Mapping[str, Any], have: Columns | None, where: str) -> Columns | None:
        if have is not None:
            self._check_reads(step, names, have, where)
        self._check_arguments(step, names)
        self._check_inputs(step, names)
        try:
            return step.kind.columns(step.options(names), step.name, have, self)
        except Wrong as wrong:
            self.errors.add(wrong.code, wrong.message, _place(step, wrong), hint=wrong.hint)
        except DreamError as error:
            self.errors.take(error)
        return None

    def _check_reads(self, step: StepDecl, names: Mapping[str, Any], have: Columns, where: str) -> None:
        options = step.options(names)
        seen = (*have, *step.kind.sees(options))
        for setting in step.settings.values():
            if setting.option.when == "row":
                self._note_hidden(setting, have)
            known: Columns | None = seen if setting.option.when == "text" else have
            whose = where
            if isinstance(setting.option, Text):
                known = (*seen, *setting.option.beside)
                if setting.option.over:
                    dataset = options[setting.option.over]
                    known, whose = self.columns(dataset), dataset
            if isinstance(setting.option, Functions) and setting.option.forms:
                self._check_calls(setting, setting.option, have)
            if known is None:
                continue
            wanted = dict(setting.columns)
            if isinstance(setting.option, ColumnNames):
                wanted |= dict.fromkeys(setting.value_for(names) or (), setting.expr.span)
            for column, span in wanted.items():
                if column in known:
                    continue
                near = nearest(column, known)
                label = "columns here: " + (
                    ", ".join(known[:12]) + (", …" if len(known) > 12 else "") if known else "none"
                )
                hint = f"did you mean `{near}`?" if near else ""
                reader = setting.name if isinstance(setting.option, Text) else step.word
                message = f"the {reader} reads `{column}`, which {whose} does not have"
                self.errors.add("unknown-column", message, span, label=label, hint=hint)

    def _check_calls(self, setting: Setting, option: Functions, have: Columns) -> None:
        """Does each function of the user's ask for what it is given, and no more?"""
        disk = self.graph.disk
        for reference in setting.value or ():
            known = (*option.own_names(disk.parameters(reference) or ()), *have)
            for parameter in disk.required(reference) or ():
                if parameter not in known:
                    message = f"`{reference}` has the parameter `{parameter}`, which is no column of the rows"
                    self.errors.add("unknown-column", message, setting.expr.span, hint=did_you_mean(parameter, known))

    def _check_arguments(self, step: StepDecl, names: Mapping[str, Any]) -> None:
        """Does the function of a `python` step take the arguments that it is given, and beside them its rows alone?"""
        function, disk = function_of(step), self.graph.disk
        if function is None:
            return
        setting = step.settings.get("args")
        given: Mapping[str, Any] = (setting.value_for(names) if setting is not None else None) or {}
        for name in given:
            if setting is not None and not disk.accepts(function, name):
                hint = did_you_mean(name, (disk.parameters(function) or ())[1:])
                span = _key_span(setting.expr, name) or setting.expr.span
                self.errors.add("unknown-argument", f"`{function}` has no argument `{name}`", span, hint=hint)
        wanted = [name for name in disk.required(function) or () if name not in (*given, "input", "output")]
        if len(wanted) > 1:  # the first takes the rows
            message = f"`{function}` asks for {', '.join(f'`{name}`' for name in wanted[1:])}, too"
            hint = f"give it a value: `args:` and below it `{wanted[1]}: ...`"
            self.errors.add("missing-option", message, step.settings[step.kind.value or ""].expr.span, hint=hint)

    def _check_inputs(self, step: StepDecl, names: Mapping[str, Any]) -> None:
        """Is each dataset that the step names an input of the rule? Another would not be built, nor make it stale."""
        for setting in step.settings.values():
            if not isinstance(setting.option, Dataset | Datasets):
                continue
            value = setting.value_for(names)
            value = value.args[0] if isinstance(value, Function) and value.args else value
            for path in value if isinstance(value, list | tuple) else [value]:
                if isinstance(path, str) and normal(path) not in names["_inputs"]:
                    hint = f'write `input:` and below it `{setting.name}: "{path}"`, and here `input.{setting.name}`'
                    message = f"`{step.word}` reads `{path}`, which is no input of the rule"
                    self.errors.add("not-an-input", message, setting.expr.span, hint=hint)

    def _note_hidden(self, setting: Setting, have: Columns) -> None:
        """A column comes before any other name: say so where an expression reads one of both."""
        for name, span in free_names(setting.expr).items():
            if name in HIDEABLE and name in have:
                message = f"the column `{name}` hides the name `{name}` here"
                hint = "if the name is meant, `rename` the column in an earlier step"
                self.hidden.append(Diagnostic("hidden-name", message, span, hint=hint, severity="warning"))

    def _check_outputs(self, job: PlannedJob, names: Mapping[str, Any]) -> None:
        """Does the last step make each output by its name?"""
        step = job.rule.steps[-1]
        made = step.kind.outputs(step.options(names))
        if made is None:
            return
        setting = step.settings.get(step.kind.block or "") or step.settings.get(step.kind.value or "")
        span = setting.expr.span if setting is not None else step.span
        declared = [output.name for output in job.rule.outputs if output.name]
        for name in made:
            if name not in declared:
                place = _key_span(setting.expr, name) if setting is not None else None
                message = f"the rule has no output `{name}`"
                hint = did_you_mean(name, declared) or f"add `{name}:` to `output`"
                self.errors.add("no-such-output", message, place or span, hint=hint)
        for output in job.rule.outputs:
            if output.name not in made:
                message = f"`{step.word}` does not make the output `{output.name or output.text}`"
                self.errors.add("no-such-output", message, output.span, hint=f"its parts: {', '.join(made)}")

    def _kind_fits(self, job: PlannedJob) -> bool:
        """Is what the first step reads a dataset?"""
        if not job.inputs or not job.rule.steps[0].kind.pure:
            return True
        put = first_input(job) or job.inputs[0]
        kind = put.kind or self.graph.disk.kind(put.path)
        if kind != "model":
            return True
        declared = job.rule.inputs[0].span if job.rule.inputs else job.rule.span
        step = job.rule.steps[0].word
        message = f"`{step}` reads rows, but `{put.path}` is a model"
        self.errors.add("wrong-kind", message, declared, hint="put a dataset first, and the model after it")
        return False


def _key_span(expr: Expr, name: str) -> Span | None:
    """Where a key of a literal dict, or of an indented block, stands."""
    for key, _ in expr.items if isinstance(expr, Dict) else ():
        if isinstance(key, TextNode) and key.value == name:
            return key.span
    return None


def _place(step: StepDecl, wrong: Wrong) -> Any:
    """The narrowest place: the option that the sentence names, else the value, else the step."""
    for name, setting in step.settings.items():
        if f"`{name}`" in wrong.message:
            return setting.expr.span
    value = step.settings.get(step.kind.value or "") or step.settings.get(step.kind.block or "")
    return value.expr.span if value is not None else step.span
