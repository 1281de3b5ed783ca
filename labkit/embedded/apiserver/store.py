"""Objects on disk, a cache of them in memory, and the history that watches read.

Reads and writes see one state, the newest. It may be ahead of the disk by a few milliseconds: a
write is in the file's log at once, but a power failure could still take it until the log is synced
(`disk`). So nothing may leave the server before it is on disk: a handler's answer waits for
`on_disk`, and watchers hear of a change only then. The resourceVersion is one counter per cluster,
stored with every write, so it never goes back, also after kill -9. The history is kept in memory
only and bounded per resource: after a restart, or when a client is too far behind, it is told 410
and lists again, as with a real API server.

Stored objects are never changed in place: a writer makes a copy. One thread only (the event loop).
"""

import asyncio
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from labkit.embedded.apiserver.disk import Database, DiskError, GroupCommit
from labkit.embedded.apiserver.entries import Entry, Event, Expired, Key, Object, cut_of, encode
from labkit.embedded.encoding import from_json

__all__ = ["DiskError", "Entry", "Event", "Expired", "Object", "Store", "Subscription"]

_HISTORY = 1000
"""Events kept per resource. A client that is further behind gets 410 and lists again."""

_BACKLOG = 5000
"""Events that wait for one watcher before it is cut off."""

_FRESH = 64
"""The last events of a resource keep their objects: watchers are about to look at them."""


@dataclass(eq=False)
class _Bucket:
    """All objects of one resource, their keys in order, and what happened to them lately."""

    floor: int
    entries: dict[Key, Entry] = field(default_factory=dict)
    keys: list[Key] = field(default_factory=list)
    history: deque[Event] = field(default_factory=deque)
    watchers: set["Subscription"] = field(default_factory=set)


class Subscription:
    """The queue of one watcher: what happens after version `rv`.

    Attributes:
        take: takes events at once, where they would otherwise wait until the watcher's task runs;
            False when it cannot. It is asked only while nothing older waits.
        overrun: the watcher did not read and has missed events.
    """

    def __init__(self, rv: int) -> None:
        self._rv = rv
        self._events: deque[Event] = deque()
        self._wake = asyncio.Event()
        self.take: Callable[[Sequence[Event]], bool] | None = None
        self.overrun = False

    def push(self, events: Sequence[Event]) -> None:
        """Hand events over; a watcher that does not read is cut off."""
        if events[0].rv <= self._rv:  # older than the state that the watcher began with
            events = [event for event in events if event.rv > self._rv]
            if not events:
                return
        if self.take is not None and not self._events and self.take(events):
            return
        if len(self._events) + len(events) > _BACKLOG:
            self.overrun = True
        else:
            self._events.extend(events)
        self._wake.set()

    def wake(self) -> None:
        """End the present wait."""
        self._wake.set()

    async def next(self, timeout_s: float) -> list[Event]:
        """All events that wait, after at most `timeout_s` (then possibly none)."""
        if not self._events and timeout_s > 0:
            timer = asyncio.get_running_loop().call_later(timeout_s, self._wake.set)
            try:
                await self._wake.wait()
            finally:
                timer.cancel()
        self._wake.clear()
        events = list(self._events)
        self._events.clear()
        return events


class Store:
    """The objects of one cluster. Open it, use it from one thread, close it."""

    def __init__(self, database: Path) -> None:
        self._database = Database(database)
        self._buckets: dict[str, _Bucket] = {}
        self._unheard: deque[tuple[_Bucket, Event]] = deque()
        self.rv: int = self._database.removed()
        self._load()
        self._commit = GroupCommit(self._database.sync, version=self.rv, on_disk=self._tell)

    def _load(self) -> None:
        for born, storage, namespace, name, rv, raw in self._database.rows():
            bucket = self._bucket(storage)
            obj = from_json(raw)
            entry = Entry(namespace, name, born, rv, obj, raw, cut_of(obj))
            bucket.entries[namespace, name] = entry
            bucket.keys.append((namespace, name))
            self.rv = max(self.rv, rv)
        for bucket in self._buckets.values():
            bucket.keys.sort()
            bucket.floor = self.rv

    def _bucket(self, storage: str) -> _Bucket:
        bucket = self._buckets.get(storage)
        if bucket is None:
            bucket = self._buckets[storage] = _Bucket(floor=self.rv)
        return bucket

    def close(self) -> None:
        """Write everything into the database file and let go of it."""
        self._commit.close()
        self._database.close()

    @property
    def rv_on_disk(self) -> int:
        """The version up to which everything is on disk."""
        return self._commit.version

    async def on_disk(self, rv: int) -> None:
        """Return when everything up to version `rv` is on disk; DiskError when it cannot be."""
        await self._commit.wait(rv)

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

    def changed(self, storage: str) -> int:
        """The version of the last change of a resource (or of the server's start)."""
        bucket = self._bucket(storage)
        return bucket.history[-1].rv if bucket.history else bucket.floor

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
        self._commit.check()
        bucket = self._bucket(storage)
        rv = self.rv + 1
        metadata = obj["metadata"]
        metadata["resourceVersion"] = str(rv)
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        previous = bucket.entries.get((namespace, name))
        born = rv if previous is None else previous.born
        raw, cut = encode(obj)
        self._database.write((born, storage, namespace, name, rv, raw))
        entry = Entry(namespace, name, born, rv, obj, raw, cut)
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
        self._commit.check()
        bucket = self._bucket(storage)
        previous = bucket.entries[namespace, name]
        rv = self.rv + 1
        obj = last if last is not None else previous.obj
        obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(rv)}}
        raw, cut = encode(obj)
        self._database.remove(previous.born, version=rv)
        del bucket.entries[namespace, name]
        del bucket.keys[bisect_left(bucket.keys, (namespace, name))]
        entry = Entry(namespace, name, previous.born, rv, obj, raw, cut)
        self._publish(bucket, Event(rv, "DELETED", entry, previous))
        return entry

    def _publish(self, bucket: _Bucket, event: Event) -> None:
        """Put a change into the history now, and tell watchers of it when it is on disk."""
        history = bucket.history
        history.append(event)
        if len(history) > _FRESH:
            _retire(history[-_FRESH - 1])
        if len(history) > _HISTORY:
            bucket.floor = history.popleft().rv
        self.rv = event.rv
        self._unheard.append((bucket, event))
        self._commit.wrote(event.rv)

    def _tell(self, rv: int) -> None:
        """Everything up to version `rv` is on disk: watchers may hear of it."""
        unheard = self._unheard
        heard: dict[_Bucket, list[Event]] = {}
        while unheard and unheard[0][1].rv <= rv:
            bucket, event = unheard.popleft()
            heard.setdefault(bucket, []).append(event)
        for bucket, events in heard.items():
            for watcher in bucket.watchers:
                watcher.push(events)

    def since(self, storage: str, rv: int) -> Iterator[Event]:
        """What happened after version `rv`; Expired when that is forgotten."""
        bucket = self._bucket(storage)
        if rv < bucket.floor:
            raise Expired(rv, bucket.floor)
        return (event for event in list(bucket.history) if event.rv > rv)

    def subscribe(self, storage: str) -> Subscription:
        """Every change of the resource after the present state."""
        subscription = Subscription(self.rv)
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


def _retire(event: Event) -> None:
    """Keep the JSON only of what an event replaced or removed."""
    if event.previous is not None:
        event.previous.retire()
    if event.type == "DELETED":
        event.entry.retire()
