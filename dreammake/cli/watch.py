"""Follow the files: show the plan at each change, or build with --build."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
from collections.abc import Callable

from dreammake.cli.common import add_place

SETTLE = 0.3
"""Seconds without a change before the plan is made: editors write in several steps."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="only these and what they need")
    parser.add_argument("--build", action="store_true", help="build at each change, instead of showing the plan")
    add_place(parser)


def run(arguments: argparse.Namespace) -> int:
    place = _place(arguments)
    changed = threading.Event()
    changed.set()
    observer = _observe(place, changed.set)
    try:
        while True:
            changed.wait()
            while changed.is_set():
                changed.clear()
                changed.wait(SETTLE)
            _act(arguments)
            changed.clear()
    except KeyboardInterrupt:
        return 130
    finally:
        observer.stop()
        observer.join()


def _place(arguments: argparse.Namespace) -> str:
    from dreammake.session.place import Place

    return str(Place.at(arguments.folder, arguments.file, arguments.state_dir).root)


def _observe(root: str, tell: Callable[[], None]):  # type: ignore[no-untyped-def]
    from watchdog.events import FileSystemEvent, FileSystemEventHandler
    from watchdog.observers import Observer

    class Handler(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            inside = os.path.relpath(str(event.src_path), root)
            if event.event_type in ("created", "modified", "deleted", "moved") and not inside.startswith(".dreammake"):
                tell()

    observer = Observer()
    observer.schedule(Handler(), root, recursive=True)
    observer.start()
    return observer


def _act(arguments: argparse.Namespace) -> None:
    """Plan in a process of its own: a build forks its workers, which a process with a watching thread must not."""
    words = [word for word in sys.argv[1:] if word not in ("watch", "--build")]
    extra = [] if arguments.build else ["--dry-run"]
    subprocess.run([sys.executable, "-m", "dreammake", "build", *words, *extra], check=False)
    print("watching; Ctrl-C ends it", flush=True)
