"""Write a bundle: a workflow with its sources, answers and targets, to be built elsewhere without network."""

from __future__ import annotations

import argparse
from pathlib import Path

from dreammake.cli.common import add_json, add_place, session_of
from dreammake.core.diagnostic import fail


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", metavar="FILE", help="where to write it: bundle.tar.zst")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="only these and what they need (all)")
    parser.add_argument(
        "--sources", action=argparse.BooleanOptionalAction, default=True, help="the files that no rule makes (yes)"
    )
    parser.add_argument(
        "--targets", dest="built", action=argparse.BooleanOptionalAction, default=True, help="what is built (yes)"
    )
    parser.add_argument("--overwrite", action="store_true", help="write over a file that is there")
    add_place(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    from dreammake.display.bundle_text import draw_exported, exported_json
    from dreammake.session.bundling import export

    session = session_of(arguments)
    session.retries_failed_rows = False  # what is built goes along as it is
    found = export(
        session,
        new_file(arguments.bundle, overwrite=arguments.overwrite),
        arguments.targets,
        sources=arguments.sources,
        targets=arguments.built,
        configs=arguments.configfile,
    )
    if arguments.json:
        from dreammake.display.json_lines import document

        print(document(exported_json(found)))
    else:
        print(draw_exported(found))
    return 0


def new_file(name: str, *, overwrite: bool) -> Path:
    """A file that can be written. Raises DreamError `file-exists`, `no-such-file`."""
    path = Path(name)
    if path.is_dir():
        fail("file-exists", f"`{name}` is a folder", hint="choose another name")
    if path.exists() and not overwrite:
        fail("file-exists", f"`{name}` is there already", hint="choose another name, or say --overwrite")
    if not path.parent.is_dir():
        fail("no-such-file", f"there is no folder `{path.parent}`", hint="make it first")
    return path
