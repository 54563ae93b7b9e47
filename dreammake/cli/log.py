"""Tell what ran, when, how long, and what it cost."""

from __future__ import annotations

import argparse
import time

from dreammake.cli.common import add_json, add_place


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="only these")
    parser.add_argument("--last", type=int, default=30, metavar="N", help="how many jobs to show (30)")
    add_place(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    from dreammake.display.amounts import duration
    from dreammake.display.wording import facts
    from dreammake.session.place import Place
    from dreammake.store.build_log import BuildLogFile

    place = Place.at(arguments.folder, arguments.file, arguments.state_dir)
    log = BuildLogFile(place.state / "state.sqlite")
    jobs = log.history(10_000 if arguments.targets else arguments.last)
    if arguments.targets:
        jobs = [job for job in jobs if job["target"] in arguments.targets][: arguments.last]
    if arguments.json:
        from dreammake.display.json_lines import document

        print(document({"jobs": jobs}))
        return 0
    if not jobs:
        print("nothing ran yet")
    for job in reversed(jobs):
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job["started"]))
        about = facts(job["facts"])
        print(f"{when}  {job['outcome']:<11} {job['target']}  {duration(job['seconds'])}  {about}".rstrip())
    return 0
