"""List the rules, what each makes, and its docstring."""

from __future__ import annotations

import argparse
import sys

from dreammake.cli.common import add_json, add_place, session_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_place(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    from dreammake.cli.terminal import style_of

    dreamfile = session_of(arguments).dreamfile
    if arguments.json:
        from dreammake.display.json_lines import document

        rules = [
            {
                "rule": rule.name,
                "outputs": [output.text for output in rule.outputs],
                "inputs": [declared.span.text for declared in rule.inputs],
                "steps": [step.label for step in rule.steps],
                "doc": rule.doc,
            }
            for rule in dreamfile.rules.values()
        ]
        print(document({"rules": rules}))
        return 0
    style = style_of(sys.stdout)
    for rule in dreamfile.rules.values():
        default = "  (what `dreammake` builds)" if rule.name == dreamfile.default_target else ""
        print(style.paint(rule.name, "bold") + default)
        if rule.doc:
            print(f"    {rule.doc.splitlines()[0]}")
        for output in rule.outputs:
            name = f"{output.name}: " if output.name else ""
            print(f"    -> {name}{output.text}")
        if rule.steps:
            print(style.paint("    " + ", ".join(step.label for step in rule.steps), "dim"))
    return 0
