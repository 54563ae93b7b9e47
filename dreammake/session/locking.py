"""Holds the lock of a project for a command that changes it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from dreammake.session.session import Session
from dreammake.store.lock import BuildLock


@contextmanager
def locked(session: Session, *, wanted: bool = True) -> Iterator[None]:
    """Wait for a build that runs, then keep others out."""
    if not wanted:
        yield
        return
    with undisturbed(session):
        session.begin_writing()
        yield


@contextmanager
def undisturbed(session: Session, name: str = "lock") -> Iterator[None]:
    """Wait for a build that runs, then keep others out, without writing oneself. Another name is another lock."""
    lock = BuildLock(session.place.state / name)
    lock.acquire(lambda holder: print(waiting_words(holder), file=sys.stderr, flush=True), lambda: 0)
    try:
        yield
    finally:
        lock.release()


def waiting_words(holder: object) -> str:
    """`waiting for the build that runs here (pid 12 on host, since 12:03:44)`."""
    match holder:
        case {"pid": pid, "host": host, "since": since}:
            return f"waiting for the build that runs here (pid {pid} on {host}, since {since})"
    return "waiting for the build that runs here"
