"""The LALR tables of `grammar/dreamfile.lark`.

Lark compiles the grammar once, ahead of time, and its tables are kept as JSON beside this file: reading a Dreamfile
then costs no import of Lark and no compilation. Run `python -m dreammake.lang.grammar` after a change of the grammar.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

_TABLES = Path(__file__).with_name("tables.json")
_GRAMMARS = (Path(__file__).with_name("dreamfile.lark"), Path(__file__).parents[2] / "grammar" / "dreamfile.lark")
"""Where the grammar lies in an installed package, and in the repository."""

STARTS = ("top", "expression")


@dataclass(frozen=True, slots=True)
class Rule:
    """`size` symbols become one `origin`, made by the method `make`; without one the only symbol is passed on."""

    origin: str
    size: int
    make: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """A LALR automaton: per state, what each terminal does (n >= 0: shift to n; n < 0: reduce by rule ~n), and
    where each nonterminal leads. `literals` maps the text of an operator or keyword to its terminal."""

    actions: list[dict[str, int]]
    gotos: list[dict[str, int]]
    rules: list[Rule]
    starts: dict[str, tuple[int, int]]
    literals: dict[str, str]
    jumps: dict[tuple[int, str, str], int] = field(default_factory=dict)
    """(state, nonterminal, next terminal) -> the state after all the pass-on rules that follow; filled as met."""

    def jump(self, state: int, origin: str, terminal: str) -> int:
        goto = self.gotos[state]
        to = goto[origin]
        while (action := self.actions[to].get(terminal, 0)) < 0:
            rule = self.rules[~action]
            if rule.make is not None:
                break
            to = goto[rule.origin]
        self.jumps[state, origin, terminal] = to
        return to


@cache
def load_tables() -> Tables:
    """The stored tables, or freshly compiled ones where the grammar has changed since."""
    grammar = _read_grammar()
    try:
        data = json.loads(_TABLES.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        data = None
    if data is None or (grammar is not None and data["grammar"] != _digest(grammar)):
        if grammar is None:
            raise FileNotFoundError(f"neither {_TABLES.name} nor dreamfile.lark is in the package")
        data = compile_grammar(grammar)
    return Tables(
        [data["rows"][i] for i in data["actions"]],
        [data["rows"][i] for i in data["gotos"]],
        [Rule(*rule) for rule in data["rules"]],
        {name: (first, last) for name, (first, last) in data["starts"].items()},
        data["literals"],
    )


def compile_grammar(grammar: str) -> dict[str, Any]:
    """The tables as JSON: equal rows are stored once."""
    from lark import Lark
    from lark.grammar import Rule as LarkRule
    from lark.lexer import Lexer, TerminalDef

    class NoLexer(Lexer):
        def __init__(self, conf: Any) -> None: ...

        def lex(self, lexer_state: Any, parser_state: Any) -> Any: ...

    lark = Lark(grammar, parser="lalr", lexer=NoLexer, start=list(STARTS))
    data, memo = lark.memo_serialize([TerminalDef, LarkRule])
    table = data["parser"]["parser"]
    numbers, rules = _rules(memo)
    order = _order(table)
    rows: dict[str, int] = {}
    actions: list[int] = []
    gotos: list[int] = []
    for state in order:
        action: dict[str, int] = {}
        goto: dict[str, int] = {}
        for token, (is_reduce, target) in table["states"][state].items():
            symbol = table["tokens"][token]
            if is_reduce:
                action[symbol] = ~numbers[target["@"]]
            else:
                (action if symbol.isupper() or symbol == "$END" else goto)[symbol] = order[target]
        for kind, row in ((actions, action), (gotos, goto)):
            kind.append(rows.setdefault(json.dumps(row, sort_keys=True), len(rows)))
    return {
        "grammar": _digest(grammar),
        "literals": {t.pattern.value: t.name for t in lark.terminals if t.pattern is not None},
        "starts": {name: [order[table["start_states"][name]], order[table["end_states"][name]]] for name in STARTS},
        "rules": rules,
        "rows": [json.loads(row) for row in rows],
        "actions": actions,
        "gotos": gotos,
    }


def _order(table: dict[str, Any]) -> dict[int, int]:
    """New numbers for Lark's states, in the order in which a walk meets them: Lark's own differ from run to run."""
    order: dict[int, int] = {}
    waiting = [table["start_states"][name] for name in reversed(STARTS)]
    while waiting:
        state = waiting.pop()
        if state not in order:
            order[state] = len(order)
            moves = table["states"][state].items()
            shifts = sorted((table["tokens"][token], to) for token, (is_reduce, to) in moves if not is_reduce)
            waiting += [to for _, to in reversed(shifts)]
    return order


def _rules(memo: dict[int, Any]) -> tuple[dict[int, int], list[list[Any]]]:
    """Lark's rules as [origin, size, make], and their numbers by Lark's key."""
    found = []
    for key, rule in memo.items():
        if rule["__type__"] == "Rule":
            symbols = [symbol["name"] for symbol in rule["expansion"]]
            passed_on = len(symbols) == 1 and rule["alias"] is None and rule["options"]["expand1"]
            name = rule["origin"]["name"]
            found.append((name, symbols, None if passed_on else rule["alias"] or name, key))
    found.sort(key=lambda item: (item[0], item[1]))
    numbers = {key: number for number, (_, _, _, key) in enumerate(found)}
    return numbers, [[name, len(symbols), make] for name, symbols, make, _ in found]


def _read_grammar() -> str | None:
    for path in _GRAMMARS:
        try:
            return path.read_text(encoding="utf-8")
        except OSError:
            continue
    return None


def _digest(grammar: str) -> str:
    return sha256(grammar.replace("\r\n", "\n").encode()).hexdigest()[:32]


def main() -> None:
    grammar = _read_grammar()
    if grammar is None:
        raise SystemExit("dreamfile.lark is not here")
    text = json.dumps(compile_grammar(grammar), separators=(",", ":"), sort_keys=True)
    _TABLES.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
