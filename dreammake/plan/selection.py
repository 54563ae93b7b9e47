"""What the words of a command line stand for: targets, rules, and selectors over the graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dreammake.core.diagnostic import Errors
from dreammake.core.spelling import did_you_mean
from dreammake.lang.dreamfile import Dreamfile, Rule
from dreammake.plan.graph import Graph, PlannedJob, normal


@dataclass(frozen=True, slots=True)
class Selection:
    """`wanted`: paths and gathering rules to build. `forced`: jobs that `--force` means."""

    wanted: tuple[str | Rule, ...]
    forced: frozenset[str] = frozenset()


MakeGraph = Callable[[Iterable[str | Rule]], Graph]


def select(
    dreamfile: Dreamfile, words: Sequence[str], exclude: Sequence[str], force: bool, graph_of: MakeGraph
) -> Selection:
    """Read the words: paths, rule names, `+x`, `x+`, `tag:t`. Raises DreamError for one that means nothing."""
    if not words:
        default = dreamfile.default_target
        words = [default] if default is not None else []
    errors = Errors()
    wanted: list[str | Rule] = []
    forced: set[str] = set()
    for word in words:
        targets = _targets(dreamfile, word, graph_of, errors)
        wanted += [target for target in targets if target not in wanted]
        if force:
            forced |= _forced(word, targets, graph_of)
    errors.check()
    if exclude:
        wanted = _without(wanted, exclude, dreamfile, graph_of, errors)
        errors.check()
    return Selection(tuple(wanted), frozenset(forced))


def path_named(dreamfile: Dreamfile, word: str) -> str:
    """The one path that a word names: itself, or the output of the rule of that name. Raises DreamError
    `missing-wildcard`, `several-targets`, `unknown-target` for a rule that has none, or more than one."""
    path = normal(word)
    rule = dreamfile.rules.get(path)
    if rule is None or any(output.literal == path for output in rule.outputs):
        return path
    errors = Errors()
    outputs = [target for target in _of_rule(rule, errors) if isinstance(target, str)]
    if len(outputs) > 1:
        message = f"the rule `{path}` makes {len(outputs)} targets"
        errors.add("several-targets", message, rule.span, hint=f"name one of them: {', '.join(outputs)}")
    elif not rule.outputs:
        message = f"the rule `{path}` makes nothing of its own"
        errors.add("unknown-target", message, rule.span, hint="name one of its inputs")
    errors.check()
    return outputs[0]


def _targets(dreamfile: Dreamfile, word: str, graph_of: MakeGraph, errors: Errors) -> list[str | Rule]:
    if word.startswith("tag:"):
        return _tagged(dreamfile, word[4:], errors)
    name = word.removeprefix("+")
    if name.endswith("+"):
        return _downstream(dreamfile, name[:-1], graph_of, errors)
    rule = dreamfile.rules.get(name)
    if (
        rule is None
        and name == "all"
        and all(output.literal != name for one in dreamfile.rules.values() for output in one.outputs)
    ):
        return everything(dreamfile)
    return [normal(name)] if rule is None else _of_rule(rule, errors)


def _of_rule(rule: Rule, errors: Errors) -> list[str | Rule]:
    if not rule.outputs:
        return [rule]
    if rule.wildcards:
        message = f"the rule `{rule.name}` has a wildcard, so its name says too little"
        errors.add("missing-wildcard", message, rule.span, hint=f"name a target, such as {rule.outputs[0].text}")
        return []
    return [normal(output.literal or "") for output in rule.outputs]


def _tagged(dreamfile: Dreamfile, tag: str, errors: Errors) -> list[str | Rule]:
    tags: dict[str, list[Rule]] = {}
    for rule in dreamfile.rules.values():
        setting = rule.settings.get("tags")
        for one in setting.value or () if setting is not None else ():
            tags.setdefault(one, []).append(rule)
    if tag not in tags:
        errors.add("unknown-target", f"no rule has the tag `{tag}`", hint=did_you_mean(tag, tags))
        return []
    return [target for rule in tags[tag] if not rule.wildcards for target in _of_rule(rule, errors)]


def everything(dreamfile: Dreamfile) -> list[str | Rule]:
    """All that can be named without a wildcard: the default target and every plain output."""
    wanted: list[str | Rule] = []
    for rule in dreamfile.rules.values():
        if not rule.outputs:
            wanted.append(rule)
        wanted += [normal(output.literal) for output in rule.outputs if output.literal is not None]
    return wanted


def _downstream(dreamfile: Dreamfile, word: str, graph_of: MakeGraph, errors: Errors) -> list[str | Rule]:
    """The target and all that needs it, among what can be named."""
    rule = dreamfile.rules.get(word)
    starts = _of_rule(rule, errors) if rule is not None else [normal(word)]
    graph = graph_of([*everything(dreamfile), *starts])
    found: dict[str, None] = {}
    stack = [graph.makers[target] for target in starts if isinstance(target, str) and target in graph.makers]
    sources = {target for target in starts if isinstance(target, str) and target in graph.sources}
    stack += [job for job in graph.jobs if any(put.path in sources for put in job.inputs)]
    if not stack:
        errors.add("unknown-target", f"nothing makes or reads `{word}`", hint=did_you_mean(word, graph.makers))
    while stack:
        job = stack.pop()
        if job.id not in found:
            found[job.id] = None
            stack += job.needed_by
    return list(found)


def _forced(word: str, targets: Sequence[str | Rule], graph_of: MakeGraph) -> set[str]:
    """What `--force` builds again: the targets named; all they need after `+x` or a rule that only gathers."""
    graph = graph_of(targets)
    if word.startswith("+") or any(isinstance(target, Rule) for target in targets):
        return {job.id for job in graph.jobs}
    return {graph.makers[target].id for target in targets if isinstance(target, str) and target in graph.makers}


def _without(
    wanted: Sequence[str | Rule], exclude: Sequence[str], dreamfile: Dreamfile, graph_of: MakeGraph, errors: Errors
) -> list[str | Rule]:
    """What was wanted without the excluded targets and all that needs them."""
    graph = graph_of(wanted)
    out: set[PlannedJob] = set()
    for word in exclude:
        rule = dreamfile.rules.get(word)
        stack = [job for job in graph.jobs if job.rule is rule or any(put.path == normal(word) for put in job.outputs)]
        if not stack:
            errors.add("unknown-target", f"`{word}` is not built anyway", hint=did_you_mean(word, graph.makers))
        while stack:
            job = stack.pop()
            if job not in out:
                out.add(job)
                stack += job.needed_by
    return [job.id for job in graph.jobs if job not in out]
