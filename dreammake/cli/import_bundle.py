"""Take a bundle in: its files, targets and answers. Nothing in it is run."""

from __future__ import annotations

import argparse
from pathlib import Path

from dreammake.cli.common import add_json
from dreammake.core.diagnostic import fail


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", metavar="FILE", help="a bundle of `dreammake export`, or of `dreammake cache export`")
    parser.add_argument("--overwrite", action="store_true", help="take what the bundle has in place of other content")
    parser.add_argument("-C", dest="folder", metavar="DIR", help="where to put it, instead of here")
    parser.add_argument("--state-dir", metavar="DIR", help="where caches, logs and the build log are (.dreammake)")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    from dreammake.display.bundle_text import draw_imported, imported_json
    from dreammake.session.place import Place
    from dreammake.session.session import Session
    from dreammake.session.unbundling import import_bundle

    root = Path(arguments.folder or ".").absolute()
    if not root.is_dir():
        fail("no-such-file", f"there is no folder `{arguments.folder}`", hint="make it first")
    file = Path(arguments.bundle)
    if not file.is_file():
        fail("no-such-file", f"there is no file `{file}`", hint="check the path")
    session = Session(Place(root, state=(root / (arguments.state_dir or ".dreammake")).absolute()))
    try:
        found = import_bundle(session, file, overwrite=arguments.overwrite)
    finally:
        session.close()
    if arguments.json:
        from dreammake.display.json_lines import document

        print(document(imported_json(found)))
    else:
        print(draw_imported(found))
    return 0
