"""Tell which edits make a target stale, with old and new values."""

from __future__ import annotations

import argparse
import sys

from dreammake.cli.common import add_json, add_place, session_of
from dreammake.core.diagnostic import fail
from dreammake.core.spelling import did_you_mean


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="TARGET", help="a target's path, or the name of a rule without wildcards")
    add_place(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    from dreammake.display.why_text import draw_why, why_document

    session = session_of(arguments)
    plan = session.plan(session.select([arguments.target]))
    wanted = arguments.target.rstrip("/")
    ids = [job.id for job in plan.graph.jobs if wanted in (job.rule.name, *(put.path for put in job.outputs))]
    if not ids:
        rule = session.dreamfile.rules.get(wanted)
        if rule is None:
            hint = did_you_mean(wanted, plan.graph.makers)
            fail("unknown-target", f"no rule makes `{wanted}`: it is a source", hint=hint)
        ids = [job.id for job in plan.graph.jobs if not job.needed_by]
    if arguments.json:
        from dreammake.display.json_lines import document

        print(document(why_document(plan, ids)))
    else:
        from dreammake.cli.terminal import style_of

        print(draw_why(plan, ids, style_of(sys.stdout)))
    return 0
