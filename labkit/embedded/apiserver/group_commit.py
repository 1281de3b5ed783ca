"""Group commit: writes that came in while the disk was busy are written together, by a thread."""

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence

from labkit.embedded.apiserver.disk import DiskError, Row

logger = logging.getLogger(__name__)


class GroupCommit:
    """Which versions are on disk: one `commit` at a time, each with all that came before it.

    Outside an event loop every write is committed at once.

    Args:
        commit: returns when some writes are on disk; runs in a thread. A sqlite3.Error says that
            none of them is, an OSError that nobody knows.
        version: what is on disk already.
        on_disk: called in the event loop with each version that is reached.
        on_refusal: called in the event loop when everything after the present version is lost
            and has to be forgotten; nobody has been told of it.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Row]], None],
        *,
        version: int,
        on_disk: Callable[[int], None],
        on_refusal: Callable[[], None],
    ) -> None:
        self.version = version
        self._commit = commit
        self._on_disk = on_disk
        self._on_refusal = on_refusal
        self._rows: list[Row] = []
        self._busy = False
        self._failure: DiskError | None = None
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._jobs: queue.SimpleQueue[tuple[asyncio.AbstractEventLoop, list[Row]] | None]
        self._jobs = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="commit", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """DiskError when the disk has failed: nothing may be written any more."""
        if self._failure is not None:
            raise self._failure

    def add(self, row: Row) -> None:
        """Bring a write to the disk; its version is one more than the last one's."""
        self._rows.append(row)
        if self._busy:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._commit_now()
            return
        self._busy = True
        # Not at once: requests that arrived together share the transaction and the fsync.
        loop.call_soon(self._start, loop)

    def _commit_now(self) -> None:
        rows, self._rows = self._rows, []
        try:
            self._commit(rows)
        except sqlite3.Error:
            self._on_refusal()
            raise
        self._reached(rows[-1][3])

    async def wait(self, version: int) -> None:
        """Return when a version is on disk; DiskError or sqlite3.Error when it will never be."""
        if version <= self.version:
            return
        self.check()
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append((version, waiter))
        await waiter

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        rows, self._rows = self._rows, []
        self._jobs.put((loop, rows))

    def _work(self) -> None:
        """The thread; an executor would cost as much again as everything else here."""
        while (job := self._jobs.get()) is not None:
            loop, rows = job
            error: Exception | None = None
            try:
                self._commit(rows)
            except (sqlite3.Error, OSError) as problem:
                error = problem
            with contextlib.suppress(RuntimeError):  # the loop was closed, nobody waits
                loop.call_soon_threadsafe(self._ended, loop, rows[-1][3], error)

    def _ended(
        self, loop: asyncio.AbstractEventLoop, version: int, error: Exception | None
    ) -> None:
        if error is None:
            self._busy = bool(self._rows)
            if self._busy:
                self._start(loop)
            self._reached(version)
            return
        self._busy = False
        self._rows.clear()
        waiting, self._waiting = self._waiting, []
        if isinstance(error, sqlite3.Error):
            logger.error("the database refused what was written last: %s", error)
            self._on_refusal()
        else:
            logger.critical("the disk has failed, nothing is written any more: %s", error)
            error = self._failure = DiskError(f"the disk has failed: {error}")
        for _, waiter in waiting:
            if not waiter.done():
                waiter.set_exception(error)

    def _reached(self, version: int) -> None:
        self.version = version
        waiting, self._waiting = self._waiting, []
        for wanted, waiter in waiting:  # first: writers wait for their answer, watchers may be many
            if wanted > version:
                self._waiting.append((wanted, waiter))
            elif not waiter.done():  # otherwise its request has been cancelled
                waiter.set_result(None)
        self._on_disk(version)

    def close(self) -> None:
        """Wait for the commit that runs, if one does, and commit what nobody was told of yet."""
        self._jobs.put(None)
        self._thread.join()
        if self._rows and self._failure is None:
            rows, self._rows = self._rows, []
            with contextlib.suppress(sqlite3.Error, OSError):
                self._commit(rows)
