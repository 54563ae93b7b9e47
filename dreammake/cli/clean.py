"""Remove what was built. Prompt caches stay: answers are not paid for twice."""

from __future__ import annotations

import argparse

from dreammake.cli.common import add_place, session_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="only these (all that the build log knows)")
    parser.add_argument("-n", "--dry-run", action="store_true", help="say what would be removed; remove nothing")
    add_place(parser)


def run(arguments: argparse.Namespace) -> int:
    from dreammake.run.perform import remove
    from dreammake.session.locking import locked
    from dreammake.store.previous import previous_of

    session = session_of(arguments)
    with locked(session, wanted=not arguments.dry_run):
        records = session.log.records()
        if arguments.targets:
            graph = session.graph(session.select(arguments.targets).wanted)
            named = {graph.makers[path].id for path in arguments.targets if path in graph.makers}
            named |= {job.id for job in graph.jobs if job.rule.name in arguments.targets}
            chosen = [record for record in records.values() if record.id in named]
        else:
            chosen = list(records.values())
        removed = 0
        for record in chosen:
            for output in record.outputs:
                place = session.disk.locate(output.path)
                if place.exists():
                    removed += 1
                    print(f"{'would remove' if arguments.dry_run else 'removed'} {output.path}")
                    if not arguments.dry_run:
                        remove(place)
                if not arguments.dry_run:
                    remove(previous_of(session.place.state, output.path))
        if not arguments.dry_run:
            session.log.forget(record.id for record in chosen)
        if not removed:
            print("nothing to remove")
    session.close()
    return 0
