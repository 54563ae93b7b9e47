"""Check a Dreamfile without building: every error at once, and warnings."""

from __future__ import annotations

import argparse
import sys

from dreammake.cli.common import add_json, add_place, session_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="only what these need")
    add_place(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    from dreammake.plan.lint import warnings

    session = session_of(arguments)
    found = warnings(session.plan(session.select_or_all(arguments.targets)))
    if arguments.json:
        from dreammake.display.json_lines import diagnostic_to_json, document

        print(document({"warnings": [diagnostic_to_json(one) for one in found]}))
    elif found:
        from dreammake.cli.terminal import colour_of, width_of
        from dreammake.display.excerpt import draw_all

        print(draw_all(found, colour=colour_of(sys.stdout), width=width_of(sys.stdout)))
    else:
        print("nothing to complain of")
    return 0
