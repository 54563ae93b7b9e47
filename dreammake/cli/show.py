"""Show rows of a dataset, the facts of a model, or the rows that failed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from dreammake.cli.common import add_json, add_place, path_of, session_of
from dreammake.core.diagnostic import fail
from dreammake.core.spelling import did_you_mean


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="TARGET", help="a dataset or model folder, or the rule that makes it")
    parser.add_argument("--rows", type=int, default=10, metavar="N", help="how many rows (10)")
    parser.add_argument("--skip", type=int, default=0, metavar="N", help="how many rows to leave out first")
    parser.add_argument("--errors", action="store_true", help="the rows that have no result, and why")
    add_place(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    from dreammake.store.dataset import is_dataset

    if arguments.errors:
        return _show_errors(arguments)
    path, place = _find(arguments)
    if place.is_dir() and is_dataset(place):
        _show_rows(arguments, place)
    elif place.is_dir():
        _show_model(arguments, path, place)
    else:
        sys.stdout.write(place.read_text(encoding="utf-8", errors="replace"))
    return 0


def _find(arguments: argparse.Namespace) -> tuple[str, Path]:
    """The path of the target and where it lies. Raises DreamError where it is not built."""
    session = session_of(arguments)
    wanted = path_of(session, arguments.target)
    place = session.disk.locate(wanted)
    if not place.exists():
        known = {output.literal for one in session.dreamfile.rules.values() for output in one.outputs if output.literal}
        if wanted in known:
            fail("not-built", f"`{wanted}` is not built yet", hint=f"build it: dreammake {wanted}")
        fail("unknown-target", f"there is no `{wanted}`", hint=did_you_mean(wanted, known))
    return wanted, place


def _show_errors(arguments: argparse.Namespace) -> int:
    from dreammake.cli.terminal import colour_of, width_of
    from dreammake.display.json_lines import document
    from dreammake.display.rows_table import draw_rows
    from dreammake.store.error_table import read_errors, table_of

    session = session_of(arguments)
    wanted = path_of(session, arguments.target)
    table = table_of(session.place.state, wanted, session.disk.locate(wanted))
    if table is None:
        _find(arguments)  # says so where there is no such target
    found = list(read_errors(table)) if table is not None else []
    first = max(0, arguments.skip)
    shown = found[first : first + max(0, arguments.rows)]
    if arguments.json:
        print(document({"target": wanted, "count": len(found), "errors": shown}))
    elif not found:
        print(f"no row of {wanted} failed")
    else:
        flat = [{**row["values"], **row} for row in shown]
        about = [name for row in shown for name in row if name != "values"]
        columns = tuple(dict.fromkeys([*about, *(name for row in shown for name in row["values"])]))
        width, colour = width_of(sys.stdout), colour_of(sys.stdout)
        print(draw_rows(columns, flat, width=width, colour=colour, first=first, total=len(found)))
    return 0


def _show_rows(arguments: argparse.Namespace, place: Path) -> None:
    from dreammake.cli.terminal import colour_of, width_of
    from dreammake.display.json_lines import document
    from dreammake.display.rows_table import draw_rows
    from dreammake.store.dataset import open_dataset

    dataset = open_dataset(place)
    table = dataset.table.slice(max(0, arguments.skip), max(0, arguments.rows))
    rows: list[dict[str, Any]] = table.to_pylist()
    if arguments.json:
        print(document({"columns": list(dataset.columns), "count": dataset.count, "rows": rows}))
        return
    print(
        draw_rows(
            dataset.columns,
            rows,
            width=width_of(sys.stdout),
            colour=colour_of(sys.stdout),
            first=arguments.skip,
            total=dataset.count,
        )
    )


def _show_model(arguments: argparse.Namespace, path: str, place: Path) -> None:
    from dreammake.display.json_lines import document
    from dreammake.display.model_text import draw_model, model_facts

    facts = model_facts(path, place)
    print(document(facts) if arguments.json else draw_model(facts))
