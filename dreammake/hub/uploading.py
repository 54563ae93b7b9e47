"""Sends large files in the background, while others are still being written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from dreammake.hub.repository import Content, Head, Repository

AT_ONCE = 2
LARGE = 1_000_000
"""Bytes from which a file is worth a message."""

Sent = Callable[[Content], None]
"""Is told of each file once the Hub has it."""


class Uploads:
    """Files under way to a repository; what its head holds already is not sent."""

    def __init__(self, repository: Repository, head: Head | None, pool: ThreadPoolExecutor, sent: Sent) -> None:
        self._repository = repository
        self._head = head
        self._pool = pool
        self._sent = sent
        self._running: list[Future[None]] = []

    def add(self, content: Content) -> None:
        """Begin to send a file. Raises the DreamError of an earlier one that failed."""
        for one in self._running:
            if one.done():
                one.result()
        if self._head is None or not content.is_there(self._head):
            self._running.append(self._pool.submit(self._upload, content))

    def _upload(self, content: Content) -> None:
        self._repository.upload(content)
        if content.size >= LARGE:
            self._sent(content)

    def wait(self) -> None:
        """Until all are there. Raises the DreamError of the first that failed."""
        for one in self._running:
            one.result()


@contextmanager
def uploads(repository: Repository, head: Head | None, sent: Sent = lambda content: None) -> Iterator[Uploads]:
    """Ends with all files sent, or at once with the first error."""
    pool = ThreadPoolExecutor(AT_ONCE, "upload")
    whole = False
    try:
        under_way = Uploads(repository, head, pool, sent)
        yield under_way
        under_way.wait()
        whole = True
    finally:
        pool.shutdown(wait=whole, cancel_futures=True)
