"""Show the page of a step, engine, trainer or executor."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import textwrap

from dreammake.core.catalog import Catalog
from dreammake.core.diagnostic import fail
from dreammake.core.spelling import did_you_mean
from dreammake.display.cells import pad, wrap
from dreammake.display.rows_table import draw_rows
from dreammake.display.style import Style, is_terminal, wants_colour
from dreammake.report.reference import GROUPS, Reference, page, reference


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name",
        nargs="*",
        metavar="STEP",
        help="a step, engine, trainer or executor (`prompt`, `train sft`); without it, all",
    )


def run(arguments: argparse.Namespace) -> int:
    catalog = Catalog()
    style = Style(wants_colour(sys.stdout, os.environ))
    width = min(100, shutil.get_terminal_size().columns)
    print(_page(catalog, arguments.name, style, width) if arguments.name else _list(catalog, style, width))
    return 0


def _page(catalog: Catalog, words: list[str], style: Style, width: int) -> str:
    """The pages of all that have this name: for a terminal with its options as a table, else in Markdown."""
    name = words[-1].rstrip(":")
    groups = ["trainers"] if words[:-1] == ["train"] else ["models"] if words[:-1] == ["engine"] else list(GROUPS)
    found = [(group, catalog.find(group, name)) for group in GROUPS if group in groups]
    found = [(group, cls) for group, cls in found if cls is not None]
    if not found:
        known = {known for group in GROUPS for known in catalog.names(group)}
        fail(
            "unknown-help",
            f"there is no step, engine, trainer or executor called `{name}`",
            hint=did_you_mean(name, known) or "see them all: `dreammake help`",
        )
    if not is_terminal(sys.stdout):
        return "\n".join(page(group, name, cls) for group, cls in found).rstrip("\n")
    return "\n\n".join(_drawn(reference(group, name, cls), style, width) for group, cls in found)


def _drawn(found: Reference, style: Style, width: int) -> str:
    parts = [style.paint(found.title, "bold"), textwrap.indent(found.usage, "    "), found.text]
    if found.paper:
        parts.append(f"In the DataDreamer paper: {found.paper}.")
    if found.options:
        rows = [
            {
                "option": option.name,
                "takes": option.takes,
                "default": option.default or "required",
                "what it is": option.doc + ("" if option.result else " Changes no result."),
            }
            for option in found.options
        ]
        parts.append(draw_rows(list(rows[0]), rows, width=width, colour=style.colour, form="table"))
    if found.example:
        parts.append(style.paint("Example", "bold") + "\n\n" + textwrap.indent(found.example, "    "))
    return "\n\n".join(part for part in parts if part)


def _list(catalog: Catalog, style: Style, width: int) -> str:
    """All names by group, each with its first sentence."""
    blocks = []
    for group, title in GROUPS.items():
        names = catalog.names(group)
        indent = max(map(len, names), default=0) + 4
        lines = [style.paint(title, "bold")]
        for name in names:
            sentence = wrap(reference(group, name, catalog.find(group, name)).sentence, width - indent)
            lines.append(f"  {pad(name, indent - 4)}  {sentence[0]}")
            lines += [" " * indent + line for line in sentence[1:]]
        blocks.append("\n".join(lines) if names else "")
    return "\n\n".join(block for block in blocks if block)
