"""Follow one row back to its sources: every rule, step and prompt behind it."""

from __future__ import annotations

import argparse
import sys

from dreammake.cli.common import add_json, add_place, session_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="TARGET", help="a dataset's path, or the rule that makes it")
    parser.add_argument("--row", type=int, required=True, metavar="N", help="which row, from 0 as `show` counts")
    add_place(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    from dreammake.display.trace_text import draw_trace, trace_document
    from dreammake.session.tracing import trace

    session = session_of(arguments)
    session.retries_failed_rows = False  # they make a target stale, and its rows are there all the same
    found = trace(session, arguments.target, arguments.row)
    if arguments.json:
        from dreammake.display.json_lines import document

        print(document(trace_document(found)))
    else:
        from dreammake.cli.terminal import style_of, width_of

        print(draw_trace(found, style_of(sys.stdout), width_of(sys.stdout)))
    return 0
