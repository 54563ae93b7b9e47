"""Write an HTML page of all targets: the chain, prompts, sample rows, models, costs."""

from __future__ import annotations

import argparse
from pathlib import Path

from dreammake.cli.common import add_place, session_of
from dreammake.core.diagnostic import fail


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="only these and what they need")
    parser.add_argument("-o", "--output", default="report.html", metavar="FILE", help="the page (report.html)")
    parser.add_argument("--rows", type=int, default=5, metavar="N", help="sample rows of each dataset (5)")
    add_place(parser)


def run(arguments: argparse.Namespace) -> int:
    from dreammake.session.reporting import report_of

    session = session_of(arguments)
    selection = session.select_or_all(arguments.targets)
    page = report_of(session, session.plan(selection), max(0, arguments.rows))
    try:
        Path(arguments.output).write_text(page, encoding="utf-8")
    except OSError as error:
        fail("bad-arguments", f"`{arguments.output}` cannot be written: {error.strerror}", hint="check -o")
    print(f"wrote {arguments.output}")
    return 0
