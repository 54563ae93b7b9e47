"""Take a target as it is: it counts as built by the recipe of now."""

from __future__ import annotations

import argparse
import time

from dreammake.cli.common import add_place, session_of
from dreammake.core.diagnostic import fail


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", nargs="+", metavar="TARGET", help="targets that exist, and shall not be built again")
    add_place(parser)


def run(arguments: argparse.Namespace) -> int:
    from dreammake.plan.plan import make_plan
    from dreammake.plan.ports import OutputRecord, Record
    from dreammake.plan.stale import input_fingerprints, inputs_text
    from dreammake.session.locking import locked

    session = session_of(arguments)
    with locked(session):
        graph = session.graph(session.select(arguments.targets).wanted)
        plan = make_plan(graph, session.disk, session.log)
        named = {path.rstrip("/") for path in arguments.targets}
        for job in graph.jobs:
            if not (named & {job.rule.name, *(put.path for put in job.outputs)}):
                continue
            missing = [put.path for put in job.outputs if session.disk.signature(put.path) is None]
            if missing:
                fail("not-built", f"`{missing[0]}` does not exist", hint=f"build it: dreammake {missing[0]}")
            for put in job.inputs:
                if plan.contents.get(put.path) is None and session.disk.signature(put.path) is not None:
                    plan.contents[put.path] = session.disk.fingerprint(put.path)
            inputs = input_fingerprints(job, plan.contents)
            if inputs is None:
                fail("not-built", f"an input of `{job.id}` does not exist", hint="build or accept it first")
            recipe = graph.recipe(job)
            outputs = tuple(
                OutputRecord(put.path, session.disk.fingerprint(put.path), session.disk.signature(put.path) or "")
                for put in job.outputs
            )
            record = Record(
                job.id, job.rule.name, recipe.shared.digest, recipe.own_text, inputs_text(inputs), outputs, time.time()
            )
            session.log.put([(record, recipe.shared, None)])
            for output in outputs:
                plan.contents[output.path] = output.fingerprint
            print(f"accepted {job.id}")
    session.close()
    return 0
