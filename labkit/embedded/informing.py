"""Informers (list, watch, list again) and work queues, with the meaning that client-go gives them.

A component keeps local copies of what it follows, and a queue of the objects that need work. Both
live in one event loop; nothing here writes to the API.
"""

import asyncio
import logging
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from labkit.embedded.kube import KubeClient, KubeError, Object, key_of, strip

logger = logging.getLogger(__name__)

BACKOFF_S = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)

Key = TypeVar("Key", bound=Hashable)


class Informer:
    """A local copy of a collection that follows the server.

    `store` maps (namespace or "", name) to the object, which has no managedFields and may be
    shared with other informers: copy it before changing it. `on_change(type, object)` is called in
    the event loop for each ADDED, MODIFIED and DELETED, the first list included. After a broken
    watch the collection is listed again and the differences are reported as changes, so a
    consumer never misses the end state.
    """

    def __init__(
        self,
        kube: KubeClient,
        path: str,
        *,
        on_change: Callable[[str, Object], None] | None = None,
        **query: object,
    ) -> None:
        self.store: dict[tuple[str, str], Object] = {}
        self.path = path
        self._kube = kube
        self._on_change = on_change
        self._query = query
        self._synced = asyncio.Event()

    async def synced(self) -> None:
        """Wait until the first list has been delivered."""
        await self._synced.wait()

    def select(self, namespace: str | None = None) -> list[Object]:
        """Objects of one namespace, or all."""
        return [item for (ns, _), item in self.store.items() if namespace in (None, ns)]

    async def run(self) -> None:
        """Follow the collection until cancelled."""
        failures = 0
        while True:
            try:
                version = await self._relist()
                failures = 0
                while True:
                    version = await self._follow(version)
            except KubeError as error:
                if error.status != 410:
                    logger.debug("informer of %s: %s", self.path, error)
                await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
                failures += 1

    async def _relist(self) -> str:
        answer = await self._kube.list(self.path, **self._query)
        kind = str(answer.get("kind", "")).removesuffix("List")
        fresh = {}
        for item in answer["items"]:
            strip(item)
            # List items carry no kind of their own; consumers expect one.
            typed = {"apiVersion": answer.get("apiVersion", ""), "kind": kind, **item}
            fresh[key_of(typed)] = typed
        for key in [key for key in self.store if key not in fresh]:
            self._report("DELETED", self.store.pop(key))
        for key, item in fresh.items():
            known = self.store.get(key)
            self.store[key] = item
            if known is None:
                self._report("ADDED", item)
            elif known["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
                self._report("MODIFIED", item)
        self._synced.set()
        return str(answer["metadata"]["resourceVersion"])

    async def _follow(self, version: str) -> str:
        events = self._kube.watch(self.path, resource_version=version, **self._query)
        async for event in events:
            item = event["object"]
            version = item["metadata"]["resourceVersion"]
            if event["type"] == "BOOKMARK":
                continue
            if event["type"] == "DELETED":
                self.store.pop(key_of(item), None)
            else:
                self.store[key_of(item)] = item
            self._report(event["type"], item)
            # Events of one packet are still events: let consumers see each state, and others run.
            await asyncio.sleep(0)
        return version

    def _report(self, change: str, item: Object) -> None:
        if self._on_change is None:
            return
        try:
            self._on_change(change, item)
        except Exception:
            logger.exception("a consumer of %s failed on %s", self.path, key_of(item))


class WorkQueue(Generic[Key]):
    """Keys waiting for work: each at most once, never two workers on one key."""

    def __init__(self) -> None:
        self._waiting: dict[Key, None] = {}
        self._working: set[Key] = set()
        self._again: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._ready = asyncio.Event()

    def add(self, key: Key) -> None:
        """Ask for work on a key; asking again before it starts changes nothing."""
        if key in self._working:
            self._again.add(key)
            return
        self._waiting[key] = None
        self._ready.set()

    def add_after(self, key: Key, seconds: float) -> None:
        """Ask for work on a key later; the earlier of two such wishes counts."""
        due = asyncio.get_running_loop().time() + seconds
        timer = self._timers.get(key)
        if timer is not None and not timer.cancelled() and timer.when() <= due:
            return
        if timer is not None:
            timer.cancel()
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, self._due, key)

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    async def get(self) -> Key:
        """Wait for a key; call `done` when the work on it has ended."""
        while not self._waiting:
            self._ready.clear()
            await self._ready.wait()
        key = next(iter(self._waiting))
        del self._waiting[key]
        self._working.add(key)
        return key

    def done(self, key: Key) -> None:
        """End the work on a key; it comes again if it was added meanwhile."""
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)
