"""Look at the prompt caches (stats), drop what no target can reach (gc) or answers for good (clear), or export them."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from dreammake.cli.common import add_json, add_place, session_of
from dreammake.core.diagnostic import fail

ACTIONS = ("stats", "gc", "clear", "export")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=ACTIONS, metavar="|".join(ACTIONS), help="what to do")
    parser.add_argument(
        "words", nargs="*", metavar="MODEL", help="only its caches (stats, clear, export FILE MODEL...)"
    )
    parser.add_argument("-n", "--dry-run", action="store_true", help="say what would go; remove nothing")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask before answers are cleared")
    add_place(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    session = session_of(arguments)
    if len(arguments.words) > 1 and arguments.action != "export":
        fail("bad-arguments", f"`cache {arguments.action}` takes one model at most")
    arguments.model = arguments.words[0] if arguments.words else None
    try:
        match arguments.action:
            case "export":
                return _export(session, arguments)
            case "stats":
                return _stats(session, arguments)
            case "gc":
                return _gc(session, arguments)
        return _clear(session, arguments)
    finally:
        session.close()


def _stats(session: Any, arguments: argparse.Namespace) -> int:
    from dreammake.display.cache_text import draw_caches, file_json

    files = _chosen(session, arguments.model)
    if arguments.json:
        return _print_document({"caches": [file_json(file) for file in files]})
    print(draw_caches(files))
    return 0


def _gc(session: Any, arguments: argparse.Namespace) -> int:
    from dreammake.display.cache_text import draw_garbage, file_json
    from dreammake.session.caching import collect, garbage
    from dreammake.session.locking import locked

    if arguments.model is not None:
        fail("bad-arguments", "`cache gc` takes no model: it looks at all that targets can reach")
    dry = arguments.dry_run
    with locked(session, wanted=not dry):
        found = garbage(session)
        if not dry:
            collect(found)
    if arguments.json:
        parts = [
            {**file_json(one.file), "answers": one.amount.answers, "size": one.amount.size, "cost": one.amount.cost}
            for one in found
        ]
        return _print_document({"dry_run": dry, "freed": parts})
    print(draw_garbage([(one.file, one.amount) for one in found], dry_run=dry))
    return 0


def _clear(session: Any, arguments: argparse.Namespace) -> int:
    from dreammake.display.cache_text import draw_cleared, file_json
    from dreammake.session.locking import locked
    from dreammake.store.cache_files import remove_file

    files = _chosen(session, arguments.model)
    if files and not arguments.dry_run and not arguments.yes and not _is_sure(draw_cleared(files, word="drop")):
        return 1
    with locked(session, wanted=bool(files) and not arguments.dry_run):
        if not arguments.dry_run:
            for file in files:
                remove_file(file.path)
    if arguments.json:
        return _print_document({"dry_run": arguments.dry_run, "cleared": [file_json(file) for file in files]})
    print(draw_cleared(files, word="would drop" if arguments.dry_run else "dropped"))
    return 0


def _export(session: Any, arguments: argparse.Namespace) -> int:
    from dreammake.cli.export import new_file
    from dreammake.display.bundle_text import draw_exported, exported_json
    from dreammake.session.bundling import export_answers

    if not arguments.words:
        fail("bad-arguments", "`cache export` takes a file", hint="write `cache export answers.tar.zst`")
    name, *models = arguments.words
    chosen = [file for model in models or [None] for file in _chosen(session, model)]
    _ = session.dreamfile  # what it reads of the environment is secret from then on
    caches = list(dict.fromkeys(file.path for file in chosen if not file.damaged))
    found = export_answers(new_file(name, overwrite=False), caches)
    if arguments.json:
        return _print_document(exported_json(found))
    print(draw_exported(found))
    return 0


def _is_sure(question: str) -> bool:
    """Ask on the terminal. Raises DreamError where there is none."""
    if not sys.stdin.isatty():
        fail("not-confirmed", f"nobody is here to confirm this: {question}", hint="add --yes if you mean it")
    print(question, file=sys.stderr)
    print("sure? They would have to be asked, and paid for, again [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _chosen(session: Any, model: str | None) -> list[Any]:
    """All caches, or those of one model: by the provider's name, by the name in the Dreamfile, or by the file."""
    from dreammake.core.spelling import did_you_mean
    from dreammake.store.cache_files import cache_files

    files = cache_files(session.place.state / "prompts")
    if model is None:
        return files
    spec = session.dreamfile.models.get(model)
    names = {model} if spec is None else {model, spec.model}
    chosen = [file for file in files if file.model in names or file.path.name == model]
    if not chosen:
        hint = did_you_mean(model, {file.name for file in files})
        fail("no-such-cache", f"no answers of `{model}` are kept", hint=hint or "`dreammake cache stats` lists them")
    return chosen


def _print_document(values: dict[str, Any]) -> int:
    from dreammake.display.json_lines import document

    print(document(values))
    return 0
