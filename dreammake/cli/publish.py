"""Send a dataset or a model to the Hugging Face Hub, with its card."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from dreammake.cli.common import add_json, add_place, session_of
from dreammake.core.diagnostic import fail

NOBODY_TO_ASK = ("no-hub-token", "hub-offline", "hub-unreachable")
"""Errors that a dry run does without the Hub for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="TARGET", help="a target's path, or the name of a rule without wildcards")
    parser.add_argument("--to", metavar="ORG/NAME", help="where it goes, instead of the rule's `publish:`")
    parser.add_argument("--private", action="store_true", help="a new repository is seen by its owners only")
    parser.add_argument("--revision", metavar="BRANCH", help="the branch to commit to (main)")
    parser.add_argument("--create-pr", action="store_true", help="open a pull request instead")
    parser.add_argument("--tag", metavar="NAME", help="give the commit a name")
    parser.add_argument("-n", "--dry-run", action="store_true", help="show files, sizes and the card; send nothing")
    parser.add_argument("--no-build", action="store_true", help="refuse where the target is stale, instead of building")
    add_place(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    from dreammake.session.publishable import find, kind_of, repository_of
    from dreammake.session.publishing import Publishing

    session = session_of(arguments)
    session.retries_failed_rows = not (arguments.dry_run or arguments.no_build)
    try:
        wanted = find(session, arguments.target)
        repository = repository_of(session, wanted, arguments.to, arguments.revision, pull_request=arguments.create_pr)
        compared = _sign_in(repository, arguments.dry_run)
        if wanted.stale:
            if code := _build(arguments, session, wanted.stale):
                return code
            wanted = find(session, arguments.target)
            repository.kind = kind_of(session, wanted.job)  # where it was not known before
        publishing = Publishing(session, wanted, repository)
        if arguments.dry_run:
            with publishing.rehearsed(compared=compared) as ready:
                _show_dry_run(arguments, repository, ready, compared)
            return 0
        sent = _say_nothing if arguments.json else _say_sent
        with publishing.prepared(private=arguments.private, sent=sent) as ready:
            _show_sending(arguments, repository, ready)
            done = publishing.send(ready, arguments.tag)
        _show_done(arguments, repository, ready, done)
        return 0
    finally:
        session.close()


def _sign_in(repository: Any, dry_run: bool) -> bool:
    """Before a long build: may it be sent at all? A dry run asks the Hub only where it may."""
    from dreammake.core.diagnostic import DreamError

    try:
        repository.sign_in()
    except DreamError as error:
        if dry_run and error.diagnostics[0].code in NOBODY_TO_ASK:
            return False
        raise
    return True


def _build(arguments: argparse.Namespace, session: Any, stale: list[str]) -> int:
    """Build what is stale: its exit code. Raises DreamError `stale-target` where that is not wanted."""
    if arguments.no_build or arguments.dry_run:
        what = f"`{stale[-1]}`" + (f" and {len(stale) - 1} more" if len(stale) > 1 else "")
        hint = f"`dreammake why {arguments.target}` tells why; `dreammake {arguments.target}` builds it"
        fail("stale-target", f"{what} would have to be built first", hint=hint, exit_code=1)
    from dreammake.display.plain import PlainDisplay
    from dreammake.session.building import Building, BuildOptions
    from dreammake.session.locking import waiting_words

    stream = sys.stderr if arguments.json else sys.stdout
    display = PlainDisplay(stream)
    options = BuildOptions([arguments.target])
    building = Building(
        session, options, display.event, display.tick, lambda holder: print(waiting_words(holder), file=sys.stderr)
    )
    try:
        code = building.run()
    finally:
        display.close()
    session.look_again()
    return code


def _say_sent(content: Any) -> None:
    from dreammake.display.amounts import size

    print(f"sent   {content.name}  {size(content.size)}", flush=True)


def _say_nothing(content: Any) -> None:
    """Only the document is wanted."""


def _show_dry_run(arguments: argparse.Namespace, repository: Any, ready: Any, compared: bool) -> None:
    from dreammake.display.publish_text import draw_listing

    if arguments.json:
        _print_document({**_told(repository, ready), "readme": ready.readme})
        return
    print(draw_listing(_source(ready), repository.url, ready.listing()))
    unasked = "" if compared else ", and the Hub was not asked what it holds"
    print(f"\n{ready.readme}\nnothing was sent{unasked}")


def _show_sending(arguments: argparse.Namespace, repository: Any, ready: Any) -> None:
    from dreammake.display.publish_text import draw_conflicts, draw_listing

    if arguments.json:
        return
    derived = ready.card.derived
    print(draw_listing(_source(ready), repository.url, ready.listing()))
    print(draw_conflicts(derived.unknown, derived.conflicts), end="", flush=True)


def _show_done(arguments: argparse.Namespace, repository: Any, ready: Any, done: Any) -> None:
    if arguments.json:
        told = {"commit": done.commit, "commit_url": done.url, "pull_request": done.pull_request}
        _print_document({**_told(repository, ready), **told})
    elif done.pull_request:
        print(f"opened {done.pull_request}")
    else:
        print(f"nothing changed: it is all at {done.url}" if ready.nothing else f"published {done.url}")


def _source(ready: Any) -> str:
    return ", ".join(put.path for put in ready.card.chain.last.job.outputs)


def _told(repository: Any, ready: Any) -> dict[str, Any]:
    derived = ready.card.derived
    return {
        "targets": [put.path for put in ready.card.chain.last.job.outputs],
        "repository": repository.name,
        "kind": repository.kind,
        "url": repository.url,
        "files": [{"action": action, "name": name, "bytes": size} for action, name, size in ready.listing()],
        "license": {**derived.metadata(), "unknown": derived.unknown, "conflicts": derived.conflicts},
    }


def _print_document(values: dict[str, Any]) -> None:
    from dreammake.display.json_lines import document

    print(document(values))
