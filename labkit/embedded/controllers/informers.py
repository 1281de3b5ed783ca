"""One local copy of each collection, shared by all controllers of a cluster.

Pods interest five controllers; five copies and five watches would cost five times the memory.
A shared informer also answers the question that keeps controllers from doing things twice: has my
own write arrived here? `until` waits for that.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

from labkit.embedded.informing import Informer
from labkit.embedded.kube import KubeClient, Object, path_of

logger = logging.getLogger(__name__)

Listener = Callable[[str, Object], None]
SEEN_TIMEOUT_S = 5.0


class SharedInformer:
    """A followed collection with any number of listeners, indexed by namespace."""

    def __init__(self, kube: KubeClient, path: str) -> None:
        self._informer = Informer(kube, path, on_change=self._changed)
        self._listeners: list[Listener] = []
        self._waiting: dict[asyncio.Future[None], Callable[[], bool]] = {}
        self._namespaces: dict[str, dict[str, Object]] = {}
        self.synced = self._informer.synced
        self.run = self._informer.run

    def subscribe(self, listener: Listener) -> None:
        """Call `listener(type, object)` for every change, and now for all that is known."""
        self._listeners.append(listener)
        for item in list(self._informer.store.values()):
            listener("ADDED", item)

    def unsubscribe(self, listener: Listener) -> None:
        """Call `listener` no more."""
        self._listeners.remove(listener)

    def get(self, namespace: str, name: str) -> Object | None:
        """An object, None when it is not there."""
        return self._informer.store.get((namespace, name))

    def list(self, namespace: str | None = None) -> list[Object]:
        """The objects of one namespace, or all."""
        if namespace is None:
            return list(self._informer.store.values())
        return list(self._namespaces.get(namespace, {}).values())

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on this copy holds, at most five seconds.

        A copy that stays behind that long is no reason to stop: the controller looks again later.
        """
        if condition():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[future] = condition
        try:
            async with asyncio.timeout(SEEN_TIMEOUT_S):
                await future
        except TimeoutError:
            pass
        finally:
            self._waiting.pop(future, None)

    async def until_seen(self, written: Object) -> None:
        """Wait until a write that the server answered with `written` has arrived here."""
        metadata = written["metadata"]
        namespace, name, uid = metadata.get("namespace", ""), metadata["name"], metadata["uid"]
        version = int(metadata["resourceVersion"])

        def seen() -> bool:
            mine = self.get(namespace, name)
            if mine is None:
                return False
            known = mine["metadata"]
            return known["uid"] != uid or int(known["resourceVersion"]) >= version

        await self.until(seen)

    def _changed(self, change: str, item: Object) -> None:
        metadata = item["metadata"]
        names = self._namespaces.setdefault(metadata.get("namespace", ""), {})
        if change == "DELETED":
            names.pop(metadata["name"], None)
        else:
            names[metadata["name"]] = item
        for listener in list(self._listeners):
            try:
                listener(change, item)
            except Exception:
                logger.exception("a listener failed on %s of %s", change, metadata["name"])
        for future, condition in list(self._waiting.items()):
            if not future.done() and condition():
                future.set_result(None)


class SharedInformers:
    """All shared informers of a cluster; a collection is followed from the first request on."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._informers: dict[str, SharedInformer] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def of(self, api_version: str, plural: str) -> SharedInformer:
        """The informer of a collection, as `of("apps/v1", "deployments")`."""
        path = path_of(api_version, plural)
        known = self._informers.get(path)
        if known is None:
            known = self._informers[path] = SharedInformer(self._kube, path)
            task = asyncio.create_task(known.run(), name=f"informer {path}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return known

    def known(self, path: str) -> SharedInformer | None:
        """The informer of a collection that someone else follows already."""
        return self._informers.get(path)

    async def close(self) -> None:
        """Stop following."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._informers.clear()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, kube: KubeClient) -> AsyncIterator["SharedInformers"]:
        """Shared informers that stop at the end of the block."""
        informers = cls(kube)
        try:
            yield informers
        finally:
            await informers.close()
