"""Which rule makes a path: plain outputs by look-up, patterns by their prefix and then their expression."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dreammake.core.diagnostic import Diagnostic, DreamError, Note
from dreammake.lang.dreamfile import OutputDecl, Rule


@dataclass(frozen=True, slots=True)
class Match:
    rule: Rule
    wildcards: Mapping[str, Any]


class Matcher:
    """Finds the rule of a path. Raises DreamError where two rules could make it."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self.literal: dict[str, Rule] = {}
        self.patterns: list[tuple[Rule, OutputDecl]] = []
        for rule in rules.values():
            for output in rule.outputs:
                if output.literal is not None:
                    self.literal[output.literal.rstrip("/")] = rule
                else:
                    self.patterns.append((rule, output))

    def match(self, path: str) -> Match | None:
        rule = self.literal.get(path)
        if rule is not None:
            return Match(rule, {})
        found: Match | None = None
        first: OutputDecl | None = None
        for rule, output in self.patterns:
            if not path.startswith(output.prefix):
                continue
            assert output.regex is not None
            fits = output.regex.fullmatch(path)
            if fits is None:
                continue
            if found is not None and first is not None and found.rule is not rule:
                _two_makers(path, rule, output, found.rule, first)
            wildcards = {
                name: int(value) if rule.wildcards[name] == "int" else value for name, value in fits.groupdict().items()
            }
            found, first = Match(rule, wildcards), output
        return found


def fill(output: OutputDecl, wildcards: Mapping[str, Any]) -> str:
    """The path of an output for given wildcards."""
    if output.literal is not None:
        return output.literal.rstrip("/")
    parts = [part if isinstance(part, str) else str(wildcards[part[0]]) for part in output.parts]
    return "".join(parts).rstrip("/")


def _two_makers(path: str, rule: Rule, output: OutputDecl, other: Rule, first: OutputDecl) -> None:
    note = Note(f"the rule `{other.name}` makes it here", first.span)
    message = f"the rule `{rule.name}` could make `{path}`, too"
    hint = "rename one output, or constrain its wildcard"
    raise DreamError(Diagnostic("two-makers", message, output.span, hint=hint, notes=(note,)))
