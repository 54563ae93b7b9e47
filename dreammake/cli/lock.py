"""Write Dreamfile.lock: the fingerprints of all targets, down to their sources."""

from __future__ import annotations

import argparse

from dreammake.cli.common import add_json, add_place, session_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="only these and what they need (all)")
    parser.add_argument("--offline", action="store_true", help="ask the Hub for no commits")
    add_place(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    from dreammake.display.amounts import count
    from dreammake.session.pinning import pinned
    from dreammake.store.pinned_file import NAME, write_pinned

    session = session_of(arguments)
    found = pinned(session, arguments.targets, asks=not arguments.offline)
    written = write_pinned(found, session.place.root / NAME)
    if arguments.json:
        from dreammake.display.json_lines import document

        targets = {target: pin.fingerprint for target, pin in found.targets.items()}
        print(document({"file": NAME, "written": written, "targets": targets}))
    else:
        print(f"{'wrote' if written else 'nothing changed in'} {NAME} ({count(len(found.targets), 'target')})")
    return 0
