"""The objects' file: SQLite with a write-ahead log, and the moment from which a write is on disk.

A thread writes one group after the other, each with all writes that came in meanwhile (group
commit): one transaction, appended to the log, and one fsync of the log. After that the group
outlives kill -9 and a power failure. SQLite itself syncs at checkpoints only (synchronous=NORMAL),
in an order that never leaves the file half written.

A group that SQLite refuses (the disk is full) leaves the file as it was; whoever keeps a copy of
the state forgets the group and everything after it. An fsync that fails leaves unknown what is on
disk, and a second one may lie. So the first failure ends all writing until the file is opened
again.
"""

import itertools
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

Row = tuple[str, str, str, int, bytes | None]
"""(resource, namespace or "", name, version, JSON); without JSON the object is removed"""

_ROWS_AT_ONCE = 32
"""Rows of one statement: one is enough for most groups, and needs no transaction around it."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
  storage TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
  rv INTEGER NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (storage, namespace, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY CHECK (id = 1), rv INTEGER NOT NULL);
INSERT OR IGNORE INTO counter VALUES (1, 0);
"""
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
    """The file. One thread at a time may use it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        path.chmod(0o600)
        for pragma in _PRAGMAS:
            self._db.execute(f"PRAGMA {pragma}").fetchall()
        self._db.executescript(_SCHEMA)
        # What an earlier process wrote and never synced must not be shown before it is on disk.
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        _sync_folder(path.parent)
        self._log = os.open(f"{path}-wal", os.O_RDONLY)

    def rows(self) -> Iterator[tuple[str, str, str, int, bytes]]:
        """All objects, ordered by resource, namespace and name."""
        return self._db.execute(
            "SELECT storage, namespace, name, rv, body FROM objects ORDER BY 1, 2, 3"
        )

    def removed(self) -> int:
        """The version of the last removal: the newest object may be older than that."""
        return int(self._db.execute("SELECT rv FROM counter").fetchone()[0])

    def commit(self, rows: Sequence[Row]) -> None:
        """Bring writes to the disk, all or none.

        Raises:
            sqlite3.Error: SQLite refused them (a full disk); the file is as it was.
            OSError: nobody knows whether they are on disk.
        """
        last = {row[:3]: row for row in rows}  # what follows an earlier write of an object counts
        kept = [row for row in last.values() if row[4] is not None]
        gone = [row[:3] for row in last.values() if row[4] is None]
        removed = max((row[3] for row in rows if row[4] is None), default=0)
        if removed or len(kept) > _ROWS_AT_ONCE:
            self._in_transaction(kept, gone, removed)
        else:
            self._insert(kept)
        _fdatasync(self._log)

    def _in_transaction(self, kept: list[Row], gone: list[Any], removed: int) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for start in range(0, len(kept), _ROWS_AT_ONCE):
                self._insert(kept[start : start + _ROWS_AT_ONCE])
            self._db.executemany(
                "DELETE FROM objects WHERE storage = ? AND namespace = ? AND name = ?", gone
            )
            if removed:
                self._db.execute("UPDATE counter SET rv = ?", (removed,))
            self._db.execute("COMMIT")
        except sqlite3.Error:
            if self._db.in_transaction:  # SQLite ends it by itself when the disk is full
                self._db.execute("ROLLBACK")
            raise

    def _insert(self, rows: list[Row]) -> None:
        """Insert or replace objects in one statement: each would take the interpreter's lock."""
        values = ", ".join(["(?, ?, ?, ?, ?)"] * len(rows))
        self._db.execute(
            f"INSERT OR REPLACE INTO objects VALUES {values}",  # noqa: S608 - question marks
            list(itertools.chain.from_iterable(rows)),
        )

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
