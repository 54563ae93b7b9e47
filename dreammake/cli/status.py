"""Show the state of all targets."""

from __future__ import annotations

import argparse
import sys
import time

from dreammake.cli.common import add_json, add_place, session_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="only these and what they need")
    add_place(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    from dreammake.display.status_text import draw_status, status_document

    session = session_of(arguments)
    selection = session.select_or_all(arguments.targets)
    plan = session.plan(selection)
    if arguments.json:
        from dreammake.display.json_lines import document

        print(document(status_document(plan)))
    else:
        from dreammake.cli.terminal import style_of

        print(draw_status(plan, style_of(sys.stdout), time.time()))
    return 0
