"""Objects on disk: SQLite (WAL), a cache in memory, and the history that watches read.

A write is committed before it is acknowledged and before any watcher hears of it. Committed means
handed to the operating system: it outlives kill -9 of this process, but the last writes may be
lost with the power, because SQLite syncs its log at checkpoints only (synchronous=NORMAL). The
resourceVersion is one counter per cluster, stored with every write, so it never goes back,
also after kill -9. The history is kept in memory only and bounded per resource: after a restart,
or when a client is too far behind, it is told 410 and lists again, as with a real API server.

Stored objects are never changed in place: a writer makes a copy. One thread only (the event
loop); a write takes about 0.1 ms.
"""

import asyncio
import json
import sqlite3
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from labkit.embedded.apiserver.entries import Entry, Event, Expired, Key, Object, encode

__all__ = ["Entry", "Event", "Expired", "Object", "Store", "Subscription"]

_HISTORY = 1000
"""Events kept per resource. A client that is further behind gets 410 and lists again."""

_BACKLOG = 5000
"""Events that wait for one watcher before it is cut off."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
  storage TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
  rv INTEGER NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (storage, namespace, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY CHECK (id = 1), rv INTEGER NOT NULL);
INSERT OR IGNORE INTO counter VALUES (1, 0);
"""


@dataclass
class _Bucket:
    """All objects of one resource, their keys in order, and what happened to them lately."""

    floor: int
    entries: dict[Key, Entry] = field(default_factory=dict)
    keys: list[Key] = field(default_factory=list)
    history: deque[Event] = field(default_factory=deque)
    watchers: set["Subscription"] = field(default_factory=set)


class Subscription:
    """The queue of one watcher."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._wake = asyncio.Event()
        self.overrun = False

    def push(self, event: Event) -> None:
        """Hand an event over; a watcher that does not read is cut off."""
        if len(self._events) >= _BACKLOG:
            self.overrun = True
        else:
            self._events.append(event)
        self._wake.set()

    def wake(self) -> None:
        """End the present wait."""
        self._wake.set()

    async def next(self, timeout_s: float) -> list[Event]:
        """All events that wait, after at most `timeout_s` (then possibly none)."""
        if not self._events and timeout_s > 0:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._wake.wait()
            except TimeoutError:
                return []
        self._wake.clear()
        events = list(self._events)
        self._events.clear()
        return events


class Store:
    """The objects of one cluster. Open it, use it from one thread, close it."""

    def __init__(self, database: Path) -> None:
        database.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(database, isolation_level=None)
        database.chmod(0o600)
        for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=NORMAL"):
            self._db.execute(f"PRAGMA {pragma}").fetchall()
        self._db.executescript(_SCHEMA)
        self.rv: int = self._db.execute("SELECT rv FROM counter").fetchone()[0]
        self._buckets: dict[str, _Bucket] = {}
        self._load()

    def _load(self) -> None:
        rows = self._db.execute(
            "SELECT storage, namespace, name, rv, body FROM objects ORDER BY 1, 2, 3"
        )
        for storage, namespace, name, rv, body in rows:
            bucket = self._bucket(storage)
            obj = json.loads(body)
            raw, cut = encode(obj)
            bucket.entries[namespace, name] = Entry(namespace, name, rv, obj, raw, cut)
        for bucket in self._buckets.values():
            bucket.keys = sorted(bucket.entries)

    def _bucket(self, storage: str) -> _Bucket:
        bucket = self._buckets.get(storage)
        if bucket is None:
            bucket = self._buckets[storage] = _Bucket(floor=self.rv)
        return bucket

    def close(self) -> None:
        """Write everything into the database file and let go of it."""
        self._db.close()

    @property
    def fresh(self) -> bool:
        """Whether nothing was ever written."""
        return self.rv == 0

    def get(self, storage: str, namespace: str, name: str) -> Entry | None:
        """The stored object, or None."""
        return self._bucket(storage).entries.get((namespace, name))

    def entries(self, storage: str, namespace: str | None = None) -> list[Entry]:
        """All objects, or those of one namespace, ordered by namespace and name."""
        bucket = self._bucket(storage)
        if namespace is None:
            return [bucket.entries[key] for key in bucket.keys]
        start = bisect_left(bucket.keys, (namespace, ""))
        found = []
        for key in bucket.keys[start:]:
            if key[0] != namespace:
                break
            found.append(bucket.entries[key])
        return found

    def entries_at(self, storage: str, namespace: str | None, rv: int) -> list[Entry]:
        """The objects as they were at version `rv`; Expired when that is forgotten."""
        bucket = self._bucket(storage)
        if rv < bucket.floor:
            raise Expired(rv, bucket.floor)
        state: dict[Key, Entry] = dict(bucket.entries)
        for event in reversed(bucket.history):
            if event.rv <= rv:
                break
            key = (event.entry.namespace, event.entry.name)
            if event.previous is None:
                state.pop(key, None)
            else:
                state[key] = event.previous
        return [state[key] for key in sorted(state) if namespace is None or key[0] == namespace]

    def put(self, storage: str, obj: Object) -> Entry:
        """Store an object under a new resourceVersion (written into the stored object).

        The object now belongs to the store: do not change it afterwards.
        """
        bucket = self._bucket(storage)
        rv = self.rv + 1
        metadata = obj["metadata"]
        metadata["resourceVersion"] = str(rv)
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        raw, cut = encode(obj)
        with self._transaction(rv):
            self._db.execute(
                "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?)",
                (storage, namespace, name, rv, raw),
            )
        entry = Entry(namespace, name, rv, obj, raw, cut)
        previous = bucket.entries.get((namespace, name))
        if previous is None:
            insort(bucket.keys, (namespace, name))
        bucket.entries[namespace, name] = entry
        self._publish(bucket, Event(rv, "MODIFIED" if previous else "ADDED", entry, previous))
        return entry

    def remove(self, storage: str, namespace: str, name: str, last: Object | None = None) -> Entry:
        """Remove an object; returns its last state under the version of the removal.

        Args:
            storage: the resource.
            namespace: its namespace, or "".
            name: its name; it must exist.
            last: the last state to show to watchers, when it differs from the stored one.
        """
        bucket = self._bucket(storage)
        previous = bucket.entries[namespace, name]
        rv = self.rv + 1
        obj = last if last is not None else previous.obj
        obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(rv)}}
        raw, cut = encode(obj)
        with self._transaction(rv):
            self._db.execute(
                "DELETE FROM objects WHERE storage = ? AND namespace = ? AND name = ?",
                (storage, namespace, name),
            )
        del bucket.entries[namespace, name]
        del bucket.keys[bisect_left(bucket.keys, (namespace, name))]
        entry = Entry(namespace, name, rv, obj, raw, cut)
        self._publish(bucket, Event(rv, "DELETED", entry, previous))
        return entry

    def _transaction(self, rv: int) -> "_Transaction":
        return _Transaction(self, rv)

    def _publish(self, bucket: _Bucket, event: Event) -> None:
        bucket.history.append(event)
        for entry in (event.previous, event.entry if event.type == "DELETED" else None):
            if entry is not None:
                entry.retire()
        if len(bucket.history) > _HISTORY:
            bucket.floor = bucket.history.popleft().rv
        for watcher in bucket.watchers:
            watcher.push(event)

    def since(self, storage: str, rv: int) -> Iterator[Event]:
        """What happened after version `rv`; Expired when that is forgotten."""
        bucket = self._bucket(storage)
        if rv < bucket.floor:
            raise Expired(rv, bucket.floor)
        return (event for event in list(bucket.history) if event.rv > rv)

    def subscribe(self, storage: str) -> Subscription:
        """From now on, every change of the resource."""
        subscription = Subscription()
        self._bucket(storage).watchers.add(subscription)
        return subscription

    def wake_watchers(self) -> None:
        """Let every watcher look around at once: the server stops."""
        for bucket in self._buckets.values():
            for watcher in bucket.watchers:
                watcher.wake()

    def unsubscribe(self, storage: str, subscription: Subscription) -> None:
        """The watcher has gone."""
        self._bucket(storage).watchers.discard(subscription)


class _Transaction:
    """One write and the counter, both or neither."""

    def __init__(self, store: Store, rv: int) -> None:
        self._store, self._rv = store, rv

    def __enter__(self) -> None:
        self._store._db.execute("BEGIN IMMEDIATE")  # noqa: SLF001 - same module

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        db = self._store._db  # noqa: SLF001 - same module
        if kind is not None:
            if db.in_transaction:  # SQLite ends it by itself when the disk is full
                db.execute("ROLLBACK")
            return
        try:
            db.execute("UPDATE counter SET rv = ?", (self._rv,))
            db.execute("COMMIT")
        except sqlite3.Error:  # a full disk: nothing is acknowledged, nothing is half written
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        self._store.rv = self._rv
