"""Check that targets would be made from what Dreamfile.lock says, and tell what differs."""

from __future__ import annotations

import argparse
import sys

from dreammake.cli.common import add_json, add_place, session_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="only these and what they need (all)")
    parser.add_argument("--strict", action="store_true", help="fail for other versions of libraries, too")
    add_place(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    from dreammake.display.pinned_text import differences_document, draw_differences
    from dreammake.session.pinning import other_versions, verify
    from dreammake.store.pinned_file import NAME, read_pinned

    session = session_of(arguments)
    lock = read_pinned(session.place.root / NAME)
    found, now = verify(session, lock, arguments.targets)
    versions = other_versions(lock, now)
    if arguments.json:
        from dreammake.display.json_lines import document

        print(document(differences_document(found, len(now.targets), versions)))
    else:
        from dreammake.cli.terminal import style_of

        print(draw_differences(found, len(now.targets), versions, style_of(sys.stdout)))
    return 1 if found or (arguments.strict and versions) else 0
