"""Build what is missing or stale, and nothing else."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dreammake.cli.common import add_json, add_place, session_of
from dreammake.store import seal

if TYPE_CHECKING:
    from dreammake.core.diagnostic import Diagnostic


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="paths, rules, +x, x+, tag:t; without any: `all`")
    add_place(parser)
    add_json(parser)
    parser.add_argument("-n", "--dry-run", action="store_true", help="say what would be built and why; write nothing")
    parser.add_argument("-j", "--jobs", type=int, metavar="N", help="how many CPUs jobs take at most (all)")
    parser.add_argument("-k", "--keep-going", action="store_true", help="build what does not need the failed")
    parser.add_argument("-F", "--force", action="store_true", help="build the named targets even if they are fresh")
    parser.add_argument("--exclude", action="append", default=[], metavar="TARGET", help="leave it and what needs it")
    parser.add_argument("--pool", action="append", default=[], metavar="NAME=N", help="the size of a pool of your own")
    parser.add_argument("--budget", type=float, metavar="DOLLARS", help="what answers may cost: stop before")
    parser.add_argument("--offline", action="store_true", help="ask no model: answers come from the prompt caches")
    parser.add_argument("--cache-url", metavar="DIR", help="a shared cache to take from and give to: DIR, s3://...")
    parser.add_argument("--cache-read-only", action="store_true", help="give nothing to the shared cache")
    parser.add_argument("--executor", default="local", metavar="NAME", help="where jobs run (local)")
    parser.add_argument("--confirm", action="store_true", help="show the plan and ask before anything runs")
    parser.add_argument("--check", action="store_true", help="exit with 1 if there is work to do; build nothing")
    parser.add_argument("--version", action="store_true", help="print the version")


def run(arguments: argparse.Namespace) -> int:
    if arguments.version:
        from dreammake import __version__

        print(f"dreammake {__version__}")
        return 0
    sealed = _sealed(arguments)
    if sealed is not None:
        return sealed
    if arguments.dry_run or arguments.check:
        return _dry_run(arguments)
    return _build(arguments)


def _sealed(arguments: argparse.Namespace) -> int | None:
    """The quick answer where an earlier verdict of "nothing to do" still stands, else None."""
    if arguments.force or (arguments.dry_run and arguments.json):
        return None
    root = os.path.abspath(arguments.folder or ".")
    facts = seal.check(_seal_path(arguments), _seal_key(arguments), root, os.environ)
    if facts is None:
        return None
    from dreammake.core.events import BuildFinished, BuildStarted
    from dreammake.display.plain import PlainDisplay

    if arguments.json:
        from dreammake.display.json_lines import JsonLinesDisplay

        display: Any = JsonLinesDisplay(sys.stdout)
    else:
        display = PlainDisplay(sys.stdout)
    display.event(BuildStarted(0, 0, facts["fresh"]))
    display.event(BuildFinished(0, 0, 0, facts["fresh"], 0.0))
    display.close()
    return 0


def _seal_key(arguments: argparse.Namespace) -> str:
    from dreammake import __version__

    files = []
    for name in arguments.configfile:
        try:
            with open(os.path.join(arguments.folder or ".", name), encoding="utf-8", errors="replace") as file:
                files.append(file.read())
        except OSError:
            files.append("")
    settings = {"file": arguments.file, "config": arguments.config, "files": files}
    return seal.key_of(__version__, [*arguments.targets, "--exclude", *arguments.exclude], settings)


def _seal_path(arguments: argparse.Namespace) -> str:
    state = os.path.join(arguments.folder or ".", arguments.state_dir or ".dreammake")
    return os.path.join(os.path.abspath(state), "seals", _seal_key(arguments)[:16] + ".json")


def _dry_run(arguments: argparse.Namespace) -> int:
    from dreammake.display.plan_json import plan_document
    from dreammake.display.plan_text import draw_plan
    from dreammake.session.estimating import estimates
    from dreammake.session.pools import pools_here, shortages

    session = session_of(arguments)
    session.retries_failed_rows = not arguments.offline
    selection = session.select(arguments.targets, arguments.exclude, arguments.force)
    plan = session.plan(selection)
    prompts = estimates(session, plan)
    if arguments.json:
        from dreammake.display.json_lines import document

        print(document(plan_document(plan, prompts)))
    else:
        from dreammake.cli.terminal import style_of, width_of

        print(draw_plan(plan, prompts, style=style_of(sys.stdout), width=width_of(sys.stdout)))
    executor = session.catalog.find("executors", arguments.executor)
    _warn_of(shortages(plan, pools_here(_jobs(arguments), _pools(arguments), executor)))
    return 1 if arguments.check and plan.todo else 0


def _warn_of(warnings: Sequence[Diagnostic]) -> None:
    from dreammake.cli.terminal import colour_of, width_of
    from dreammake.display.excerpt import draw_all

    if warnings:
        text = draw_all(warnings, colour=colour_of(sys.stderr), width=width_of(sys.stderr))
        print(f"\n{text}", file=sys.stderr)


def _build(arguments: argparse.Namespace) -> int:
    from dreammake.cli.terminal import display_of, say_waiting
    from dreammake.session.building import Building, BuildOptions

    session = session_of(arguments)
    _check_executor(arguments, session)
    session.retries_failed_rows = not arguments.offline
    display = display_of(sys.stdout, as_json=arguments.json)
    options = BuildOptions(
        arguments.targets,
        arguments.exclude,
        _jobs(arguments),
        arguments.keep_going,
        arguments.force,
        _pools(arguments),
        _asker(session) if arguments.confirm else None,
        _budget(arguments),
        arguments.offline,
        arguments.executor,
        shared=_shared(arguments),
        seal_path=_seal_path(arguments),
        seal_key=_seal_key(arguments),
    )
    building = Building(session, options, display.event, display.tick, say_waiting)
    try:
        return building.run()
    finally:
        display.close()
        session.close()


def _shared(arguments: argparse.Namespace) -> Any:
    """The shared cache that `--cache-url` or the environment names, or None. Raises DreamError where it is no place."""
    from dreammake.session.building import SharedCache
    from dreammake.store.shared_place import open_place

    url = arguments.cache_url or os.environ.get("DREAMMAKE_CACHE_URL", "")
    if not url:
        return None
    if "://" not in url:
        url = os.path.abspath(url)
    open_place(url)
    return SharedCache(url, arguments.cache_read_only)


def _jobs(arguments: argparse.Namespace) -> int | None:
    if arguments.jobs is not None and arguments.jobs < 1:
        from dreammake.core.diagnostic import fail

        fail("bad-arguments", f"-j is at least 1, not {arguments.jobs}", hint="leave it out to use all cores")
    return int(arguments.jobs) if arguments.jobs is not None else None


def _budget(arguments: argparse.Namespace) -> float | None:
    budget: float | None = arguments.budget
    if budget is not None and not 0 <= budget < float("inf"):
        from dreammake.core.diagnostic import fail

        fail("bad-arguments", f"--budget takes dollars, not {budget:g}", hint="write --budget 5.00")
    return budget


def _check_executor(arguments: argparse.Namespace, session: Any) -> None:
    from dreammake.core.diagnostic import fail
    from dreammake.core.spelling import did_you_mean

    known = session.catalog.names("executors")
    if arguments.executor not in known:
        fail(
            "unknown-executor",
            f"there is no executor `{arguments.executor}`",
            hint=did_you_mean(arguments.executor, known),
        )


def _pools(arguments: argparse.Namespace) -> dict[str, int]:
    from dreammake.core.diagnostic import fail

    pools = {}
    for item in arguments.pool:
        name, _, size = item.partition("=")
        if not name or not size.isdigit():
            fail("bad-arguments", f"--pool takes name=number, not `{item}`", hint="write --pool api=4")
        pools[name] = int(size)
    return pools


def _asker(session: Any) -> Any:
    """Shows the plan and asks; without a terminal to ask, the answer is no."""

    def ask(plan: Any) -> bool:
        from dreammake.cli.terminal import style_of, width_of
        from dreammake.display.plan_text import draw_plan
        from dreammake.session.estimating import estimates

        print(draw_plan(plan, estimates(session, plan), style=style_of(sys.stdout), width=width_of(sys.stdout)))
        if not sys.stdin.isatty():
            return False
        return input("build this? [y/N] ").strip().lower() in ("y", "yes")

    return ask
