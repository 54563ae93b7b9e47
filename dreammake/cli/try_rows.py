"""Try a target on a few rows and two training steps; the full build reuses the answers."""

from __future__ import annotations

import argparse
import os
import sys

from dreammake.cli.common import add_json, add_place, session_of
from dreammake.core.diagnostic import fail


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", nargs="+", metavar="TARGET", help="what to try, with all that it needs")
    parser.add_argument("--rows", type=int, default=5, metavar="N", help="how many rows of each source (5)")
    parser.add_argument("-j", "--jobs", type=int, metavar="N", help="how many CPUs jobs take at most (all)")
    parser.add_argument("--budget", type=float, metavar="DOLLARS", help="what answers may cost: stop before")
    add_place(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    from dreammake.cli.common import overrides_of
    from dreammake.cli.terminal import display_of, say_waiting
    from dreammake.session.building import Building, BuildOptions
    from dreammake.session.session import Session
    from dreammake.session.trying import trial_of, trial_place

    if arguments.rows < 1:
        fail("bad-arguments", f"--rows is at least 1, not {arguments.rows}")
    session = session_of(arguments)
    plan = session.plan(session.select(arguments.targets))
    makers = set(plan.graph.makers)
    place = trial_place(session.place, plan.graph, arguments.rows)
    trial = Session(place, overrides_of(arguments))
    display = display_of(sys.stdout, as_json=arguments.json)
    options = BuildOptions(
        arguments.targets,
        jobs=arguments.jobs,
        budget=arguments.budget,
        change=lambda job: trial_of(job, arguments.rows, makers),
    )
    try:
        code = Building(trial, options, display.event, display.tick, say_waiting).run()
    finally:
        display.close()
        trial.close()
    if not arguments.json:
        print(f"tried on {arguments.rows} rows, in {os.path.relpath(place.root)}")
    return code
