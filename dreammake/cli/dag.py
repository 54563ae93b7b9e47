"""Draw the graph of targets: text, Mermaid, dot or SVG."""

from __future__ import annotations

import argparse

from dreammake.cli.common import add_place, session_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="only these and what they need")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--text", dest="form", action="store_const", const="text", help="an indented tree (default)")
    form.add_argument("--mermaid", dest="form", action="store_const", const="mermaid", help="for Markdown pages")
    form.add_argument("--dot", dest="form", action="store_const", const="dot", help="for Graphviz")
    form.add_argument(
        "--svg", dest="form", action="store_const", const="svg", help="for browsers: dreammake dag --svg > dag.svg"
    )
    parser.set_defaults(form="text")
    add_place(parser)


def run(arguments: argparse.Namespace) -> int:
    from dreammake.report.graph_picture import draw

    session = session_of(arguments)
    plan = session.plan(session.select(arguments.targets))
    if arguments.form == "svg":
        from dreammake.report.graph_svg import draw_svg

        print(draw_svg(plan), end="")
    else:
        print(draw(plan, arguments.form))
    return 0
