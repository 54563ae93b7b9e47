"""Compare a dataset with the build before, row by row: added, dropped, changed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from dreammake.cli.common import add_json, add_place, path_of, session_of
from dreammake.core.diagnostic import fail
from dreammake.core.spelling import did_you_mean, nearest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="TARGET", help="a dataset's path, or the rule that makes it")
    parser.add_argument("--rows", type=int, default=10, metavar="N", help="how many rows of each sort to show (10)")
    parser.add_argument("--key", action="append", default=[], metavar="COLUMN", help="what makes two rows the same row")
    parser.add_argument("--with", dest="other", metavar="DIR", help="compare with this dataset folder instead")
    add_place(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    from dreammake.plan.card import card_changes
    from dreammake.store.previous import card_of
    from dreammake.store.row_diff import compare_rows

    session = session_of(arguments)
    target = path_of(session, arguments.target)
    now, before = _folders(session, target, arguments.other)
    rows = _opened(now), _opened(before)
    for column in arguments.key:
        for one in rows:
            if column not in one.columns:
                hint = did_you_mean(column, one.columns)
                fail("unknown-column", f"`{target}` has no column `{column}` in both versions", hint=hint)
    found = compare_rows(rows[1], rows[0], arguments.key, max(0, arguments.rows))
    reasons = card_changes(card_of(before), card_of(now))
    if arguments.json:
        from dreammake.display.diff_text import diff_document
        from dreammake.display.json_lines import document

        print(document(diff_document(target, found, reasons)))
    else:
        from dreammake.cli.terminal import style_of, width_of
        from dreammake.display.diff_text import draw_diff

        print(draw_diff(target, found, reasons, style_of(sys.stdout), width_of(sys.stdout)))
    return 0


def _folders(session: Any, target: str, other: str | None) -> tuple[Path, Path]:
    """Where the target lies, and what it is compared with. Raises DreamError where either is not there."""
    from dreammake.store.previous import KEPT_BYTES, previous_of

    now = session.disk.locate(target)
    if not now.exists():
        known = {output.literal for one in session.dreamfile.rules.values() for output in one.outputs if output.literal}
        if target in known:
            fail("not-built", f"`{target}` is not built yet", hint=f"build it: dreammake {target}")
        near = nearest(target, known)
        fail("unknown-target", f"there is no `{target}`", hint=f"did you mean `{near}`?" if near else "")
    before = Path(other) if other is not None else previous_of(session.place.state, target)
    if other is None and not before.exists():
        hint = f"the next build that changes it keeps this one, a dataset of {KEPT_BYTES // 10**9} GB at most"
        fail("no-build-before", f"no build of `{target}` before this one is kept", hint=hint)
    return now, before


def _opened(folder: Path) -> Any:
    from dreammake.store.dataset import open_dataset

    return open_dataset(folder)
