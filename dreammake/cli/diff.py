"""Compare a dataset with the build before, row by row: added, dropped, changed."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from dreammake.cli.common import add_json, add_place, path_of, session_of
from dreammake.core.diagnostic import fail
from dreammake.core.spelling import did_you_mean


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="TARGET", help="a dataset's path, or the rule that makes it")
    parser.add_argument("--rows", type=int, default=10, metavar="N", help="how many rows of each sort to show (10)")
    parser.add_argument("--key", action="append", default=[], metavar="COLUMN", help="what makes two rows the same row")
    parser.add_argument("--with", dest="other", metavar="DIR", help="compare with this folder, or hf://org/name")
    add_place(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    from dreammake.plan.card import card_changes
    from dreammake.store.dataset import open_dataset
    from dreammake.store.previous import card_of
    from dreammake.store.row_diff import compare_rows

    session = session_of(arguments)
    target = path_of(session, arguments.target)
    now = open_dataset(_folder(session, target))
    with tempfile.TemporaryDirectory() as folder:
        before = _before(session, target, arguments.other, Path(folder))
        for column in arguments.key:
            for one in (now, before):
                if column not in one.columns:
                    message = f"`{target}` has no column `{column}` in both versions"
                    fail("unknown-column", message, hint=did_you_mean(column, one.columns))
        found = compare_rows(before, now, arguments.key, max(0, arguments.rows))
        reasons = card_changes(card_of(before.folder), card_of(now.folder))
    if arguments.json:
        from dreammake.display.diff_text import diff_document
        from dreammake.display.json_lines import document

        print(document(diff_document(target, found, reasons)))
    else:
        from dreammake.cli.terminal import style_of, width_of
        from dreammake.display.diff_text import draw_diff

        print(draw_diff(target, found, reasons, style_of(sys.stdout), width_of(sys.stdout)))
    return 0


def _folder(session: Any, target: str) -> Path:
    """Where the target lies. Raises DreamError where it is not there, or no dataset."""
    from dreammake.store.dataset import is_dataset

    place: Path = session.disk.locate(target)
    if not place.exists():
        known = {output.literal for one in session.dreamfile.rules.values() for output in one.outputs if output.literal}
        if target in known:
            fail("not-built", f"`{target}` is not built yet", hint=f"build it: dreammake {target}")
        fail("unknown-target", f"there is no `{target}`", hint=did_you_mean(target, known))
    if not is_dataset(place):
        fail("wrong-kind", f"`{target}` is no dataset: it has no rows", hint="compare a dataset that it was made from")
    return place


def _before(session: Any, target: str, other: str | None, folder: Path) -> Any:
    from dreammake.session.comparing import other_version, version_before
    from dreammake.store.dataset import open_dataset

    if other is None:
        return open_dataset(version_before(session, target))
    return other_version(session, target, other, folder / "rows", lambda line: print(line, file=sys.stderr))
