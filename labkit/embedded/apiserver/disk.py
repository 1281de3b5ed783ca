"""The objects' file: SQLite with a write-ahead log, and the moment from which a write is on disk.

Every write is a transaction of its own, appended to the log at once. With that it is atomic and
outlives kill -9 of this process. That it outlives a power failure, too, takes an fsync of the log,
which is slow but serves everything written before it: a thread does one after the other, each for
all writes that came in meanwhile (group commit). SQLite itself syncs at checkpoints only
(synchronous=NORMAL), in an order that never leaves the file half written.

The key of a row is the version at which its object was created: new objects are appended to the
last page, and a changed one stays where it is. With names as the key, every new object would split
some page in the middle. Nobody looks for a name here: the store has all of them in memory.

An fsync that fails leaves unknown what is on disk, and a second one may lie. So the first failure
ends all writing until the file is opened again.
"""

import asyncio
import contextlib
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

logger = logging.getLogger(__name__)

Row = tuple[int, str, str, str, int, bytes]
"""(version of its creation, resource, namespace or "", name, version, JSON)"""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
  born INTEGER PRIMARY KEY, storage TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
  rv INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY CHECK (id = 1), rv INTEGER NOT NULL);
INSERT OR IGNORE INTO counter VALUES (1, 0);
"""
_FROM_NAMED = """
BEGIN;
INSERT INTO entries SELECT rv, storage, namespace, name, rv, body FROM objects;
DROP TABLE objects;
COMMIT;
"""
"""Files of earlier labs had names as keys."""

_PRAGMAS = (
    "page_size=16384",  # seven pods a page: with four kilobytes a pod is five pages to write
    "locking_mode=EXCLUSIVE",
    "journal_mode=WAL",
    "synchronous=NORMAL",
    "wal_autocheckpoint=250",  # the usual four megabytes
)
_fdatasync = getattr(os, "fdatasync", os.fsync)  # macOS has the slower one only


class DiskError(OSError):
    """The disk does not keep what is written to it."""


class Database:
    """The file. Writes come from one thread; `sync` may run in another."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        path.chmod(0o600)
        for pragma in _PRAGMAS:
            self._db.execute(f"PRAGMA {pragma}").fetchall()
        self._db.executescript(_SCHEMA)
        if self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'objects'").fetchone():
            self._db.executescript(_FROM_NAMED)
        # What an earlier process wrote and never synced must not be shown before it is on disk.
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        _sync_folder(path.parent)
        self._log = os.open(f"{path}-wal", os.O_RDONLY)

    def rows(self) -> Iterator[Row]:
        """All objects, in no order."""
        return self._db.execute("SELECT * FROM entries")

    def removed(self) -> int:
        """The version of the last removal: the newest object may be older than that."""
        return int(self._db.execute("SELECT rv FROM counter").fetchone()[0])

    def write(self, row: Row) -> None:
        """Insert or replace an object; sqlite3.Error (a full disk) leaves all as it was."""
        self._db.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?)", row)

    def remove(self, born: int, *, version: int) -> None:
        """Remove an object and note the version of its removal, both or neither."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.execute("DELETE FROM entries WHERE born = ?", (born,))
            self._db.execute("UPDATE counter SET rv = ?", (version,))
            self._db.execute("COMMIT")
        except sqlite3.Error:
            if self._db.in_transaction:  # SQLite ends it by itself when the disk is full
                self._db.execute("ROLLBACK")
            raise

    def sync(self) -> None:
        """Return when everything that was written is on disk; OSError when it is not."""
        _fdatasync(self._log)

    def close(self) -> None:
        """Bring the log into the file and let go of both."""
        os.close(self._log)
        self._db.close()


def _sync_folder(folder: Path) -> None:
    """Make the names of new files last."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


class GroupCommit:
    """Which versions are on disk: one `sync` at a time, each for all that was written before it.

    Outside an event loop every write is synced at once.

    Args:
        sync: returns when everything written is on disk; runs in a thread.
        version: what is on disk already.
        on_disk: called in the event loop with each version that is reached.
    """

    def __init__(
        self, sync: Callable[[], None], *, version: int, on_disk: Callable[[int], None]
    ) -> None:
        self.version = version
        self._written = version
        self._sync = sync
        self._on_disk = on_disk
        self._busy = False
        self._failure: DiskError | None = None
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._jobs: queue.SimpleQueue[tuple[asyncio.AbstractEventLoop, int] | None]
        self._jobs = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="fsync", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """DiskError when the disk has failed: nothing may be written any more."""
        if self._failure is not None:
            raise self._failure

    def wrote(self, version: int) -> None:
        """A version has been written; bring it to the disk."""
        self._written = version
        if self._busy:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._sync()
            self._reached(version)
            return
        self._busy = True
        # Not at once: requests that arrived together are written first and share the fsync.
        loop.call_soon(self._start, loop)

    async def wait(self, version: int) -> None:
        """Return when a version is on disk; DiskError when it will never be."""
        if version <= self.version:
            return
        self.check()
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append((version, waiter))
        await waiter

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._jobs.put((loop, self._written))

    def _work(self) -> None:
        """The thread; an executor would cost as much again as everything else here."""
        while (job := self._jobs.get()) is not None:
            loop, version = job
            error = None
            try:
                self._sync()
            except OSError as problem:
                error = problem
            with contextlib.suppress(RuntimeError):  # the loop was closed, nobody waits
                loop.call_soon_threadsafe(self._ended, loop, version, error)

    def _ended(self, loop: asyncio.AbstractEventLoop, version: int, error: OSError | None) -> None:
        if error is not None:
            logger.critical("the disk has failed, nothing is written any more: %s", error)
            self._failure = DiskError(f"the disk has failed: {error}")
            self._busy = False
            self._wake(self._written)
            return
        self._busy = self._written > version
        if self._busy:
            self._start(loop)
        self._reached(version)

    def _reached(self, version: int) -> None:
        self.version = version
        self._wake(version)  # first: writers wait for their answer, watchers may be many
        self._on_disk(version)

    def _wake(self, version: int) -> None:
        waiting, self._waiting = self._waiting, []
        for wanted, waiter in waiting:
            if wanted > version:
                self._waiting.append((wanted, waiter))
            elif waiter.done():
                continue  # its request has been cancelled
            elif self._failure is not None:
                waiter.set_exception(self._failure)
            else:
                waiter.set_result(None)

    def close(self) -> None:
        """Wait for the sync that runs, if one does."""
        self._jobs.put(None)
        self._thread.join()
