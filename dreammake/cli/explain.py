"""Explain an error code."""

from __future__ import annotations

import argparse
import os
import sys

from dreammake.core.codes import codes, page
from dreammake.core.diagnostic import fail
from dreammake.core.spelling import did_you_mean
from dreammake.display.style import Style, wants_colour


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "code", nargs="?", metavar="CODE", help="the word in brackets of an error; without it, all codes"
    )


def run(arguments: argparse.Namespace) -> int:
    style = Style(wants_colour(sys.stdout, os.environ))
    print(_list(style) if arguments.code is None else _page(arguments.code, style))
    return 0


def _page(written: str, style: Style) -> str:
    code = written.strip().lower()
    if code.startswith(("error[", "warning[")):
        code = code.partition("[")[2].rstrip("]:")
    text = page(code)
    if text is None:
        fail("unknown-code", f"there is no error code `{written}`", hint=did_you_mean(code, codes()) or _all_codes())
    title, _, body = text.partition("\n")
    return f"{style.paint(_title(title), 'bold')}\n\n{body.strip()}"


def _list(style: Style) -> str:
    width = max(map(len, codes()))
    return "\n".join(f"{style.paint(code.ljust(width), 'bold')}  {_title(page(code) or '')}" for code in codes())


def _title(text: str) -> str:
    return text.partition("\n")[0].lstrip("# ").strip()


def _all_codes() -> str:
    return "see them all: `dreammake explain`"
