"""Lay a Dreamfile out in the usual way; comments and meaning stay."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from dreammake.core.diagnostic import fail


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", metavar="FILE", help="files to lay out (Dreamfile)")
    parser.add_argument("-C", dest="folder", metavar="DIR", help="the project's folder, instead of this one")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file would change")


def run(arguments: argparse.Namespace) -> int:
    from dreammake.core.span import Source
    from dreammake.lang.format import format_file
    from dreammake.lang.parser import parse_file

    changed = 0
    for name in arguments.files or ["Dreamfile"]:
        path = Path(arguments.folder or ".") / name
        if not path.is_file():
            fail("no-such-file", f"there is no file `{name}`", hint="name a Dreamfile")
        text = path.read_text(encoding="utf-8-sig")
        laid_out = format_file(parse_file(Source(name, text)))
        if laid_out == text:
            continue
        changed += 1
        print(f"{'would change' if arguments.check else 'changed'} {name}")
        if not arguments.check:
            temporary = path.with_name(f".{path.name}.{os.getpid()}")
            temporary.write_text(laid_out, encoding="utf-8")
            os.replace(temporary, path)
    return 1 if arguments.check and changed else 0
