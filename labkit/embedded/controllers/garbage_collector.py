"""The garbage collector: what belongs to nothing any more goes away.

It follows every kind of object that owns or is owned in a lab, keeping only the few fields that
say who belongs to whom. An object whose owners are all gone is deleted (background); an owner that
waits for its dependents (foregroundDeletion) is released when they are gone; the orphan finalizer
cuts the ties first. Before it deletes, it asks the server whether the owner is really gone.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict
from dataclasses import dataclass, field

from labkit.embedded.controllers import objects
from labkit.embedded.controllers.discovery import Discovery, Resource
from labkit.embedded.controllers.informers import SharedInformers
from labkit.embedded.controllers.reconciling import Key, reconcile_forever
from labkit.embedded.informing import Informer, WorkQueue
from labkit.embedded.kube import KubeClient, KubeError, Object

logger = logging.getLogger(__name__)

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
REDISCOVER_S = 60.0
SETTLE_S = 0.2
_DEFINITIONS = "customresourcedefinitions"
_KEPT = ("name", "namespace", "uid", "resourceVersion", "deletionTimestamp", "finalizers")
# Short-lived, or settings of machinery that a lab does not run: never owners nor owned here. Each
# kind that is followed costs a connection.
_IGNORED = frozenset({("", "events"), ("events.k8s.io", "events"), ("", "podtemplates")})
_IGNORED_GROUPS = frozenset(
    {
        "apiregistration.k8s.io",
        "certificates.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "internal.apiserver.k8s.io",
        "node.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
    }
)


async def run(kube: KubeClient, informers: SharedInformers, *, discovery: Discovery) -> None:
    """Follow all kinds of objects until cancelled."""
    await _Collector(kube, informers, discovery).run()


class _SlimStore(dict[tuple[str, str], Object]):
    """An informer's store that forgets everything but the ties between objects."""

    def __setitem__(self, key: tuple[str, str], item: Object) -> None:
        super().__setitem__(key, _slim(item))


def _slim(item: Object) -> Object:
    metadata = item["metadata"]
    kept = {name: metadata[name] for name in _KEPT if name in metadata}
    if metadata.get("ownerReferences"):
        kept["ownerReferences"] = metadata["ownerReferences"]
    return {"apiVersion": item["apiVersion"], "kind": item["kind"], "metadata": kept}


@dataclass
class _Node:
    """One object in the graph."""

    resource: Resource
    item: Object
    owners: frozenset[str]


@dataclass
class _Collector:
    kube: KubeClient
    informers: SharedInformers
    discovery: Discovery
    queue: WorkQueue[Key] = field(default_factory=WorkQueue)
    nodes: dict[str, _Node] = field(default_factory=dict)
    dependents: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    followed: dict[Resource, asyncio.Task[None]] = field(default_factory=dict)
    kinds_changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow_all(group), name="garbage collector discovery")
                group.create_task(
                    reconcile_forever("garbage collector", self.queue, self._attend, workers=4)
                )
        finally:
            for task in self.followed.values():
                task.cancel()

    async def _follow_all(self, group: asyncio.TaskGroup) -> None:
        """Follow each kind that is served; begin with new ones, end with those that went."""
        while True:
            try:
                served = {
                    resource
                    for resource in await self.discovery.resources(fresh=True)
                    if {"list", "watch", "delete"} <= resource.verbs
                    and (resource.group, resource.plural) not in _IGNORED
                    and resource.group not in _IGNORED_GROUPS
                }
            except KubeError as error:
                logger.debug("garbage collector: %s", error)
                await asyncio.sleep(1.0)
                continue
            for resource in served - self.followed.keys():
                self.followed[resource] = group.create_task(
                    self._follow(resource), name=f"garbage collector {resource.plural}"
                )
            for resource in self.followed.keys() - served:
                self.followed.pop(resource).cancel()
            await self._until_kinds_change()

    async def _until_kinds_change(self) -> None:
        """Wait for a change of the custom resources, or a minute."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REDISCOVER_S):
                await self.kinds_changed.wait()
            await asyncio.sleep(SETTLE_S)  # a definition is served a moment after it is made
        self.kinds_changed.clear()

    async def _follow(self, resource: Resource) -> None:
        def changed(change: str, item: Object) -> None:
            self._changed(resource, change, item)

        shared = self.informers.known(resource.path())
        if shared is not None:  # one watch serves all
            shared.subscribe(changed)
            try:
                await asyncio.Event().wait()
            finally:
                shared.unsubscribe(changed)
        informer = Informer(self.kube, resource.path(), on_change=changed)
        informer.store = _SlimStore()
        await informer.run()

    def _changed(self, resource: Resource, change: str, item: Object) -> None:
        if resource.plural == _DEFINITIONS:
            self.kinds_changed.set()
        slim = _slim(item)
        uid = slim["metadata"]["uid"]
        owners = frozenset(r["uid"] for r in slim["metadata"].get("ownerReferences") or [])
        known = self.nodes.get(uid)
        for gone in (known.owners - owners) if known else ():
            self._untie(gone, uid)
        if change == "DELETED":
            self.nodes.pop(uid, None)
            for owner in owners:
                self._untie(owner, uid)
                self.queue.add(("", owner))
            for dependent in self.dependents.get(uid, ()):
                self.queue.add(("", dependent))
            return
        self.nodes[uid] = _Node(resource, slim, owners)
        for owner in owners:
            self.dependents[owner].add(uid)
        if owners or objects.is_deleting(slim):
            self.queue.add(("", uid))
        for owner in owners if objects.is_deleting(slim) else ():
            self.queue.add(("", owner))

    def _untie(self, owner: str, uid: str) -> None:
        ties = self.dependents.get(owner)
        if ties is not None:
            ties.discard(uid)
            if not ties:
                del self.dependents[owner]

    async def _attend(self, key: Key) -> None:
        node = self.nodes.get(key[1])
        if node is None:
            return
        finalizers = node.item["metadata"].get("finalizers") or []
        if objects.is_deleting(node.item):
            if ORPHAN in finalizers:
                await self._orphan(node)
            elif FOREGROUND in finalizers:
                await self._wait_for_dependents(node)
            return
        if node.owners:
            await self._judge(node)

    async def _judge(self, node: _Node) -> None:
        """Delete an object that has owners, none of which is left."""
        references = node.item["metadata"]["ownerReferences"]
        states = [await self._state_of(reference, node) for reference in references]
        if "solid" in states:
            if "absent" in states:
                await self._drop_references(node, states)
            return
        if "waiting" in states:
            # An owner that waits for us: go in the foreground, too, if something hangs on us.
            policy = "Foreground" if self.dependents.get(_uid(node)) else "Background"
        else:
            policy = "Background"
        await self._delete(node, policy)

    async def _state_of(self, reference: Object, node: _Node) -> str:
        """solid, waiting (deleting in the foreground) or absent."""
        known = self.nodes.get(reference["uid"])
        if known is None:
            item = await self._ask(reference, node)
            if item is None or item["metadata"]["uid"] != reference["uid"]:
                return "absent"
        else:
            item = known.item
        waits = FOREGROUND in (item["metadata"].get("finalizers") or [])
        return "waiting" if objects.is_deleting(item) and waits else "solid"

    async def _ask(self, reference: Object, node: _Node) -> Object | None:
        """The owner by the server's word; None when it is not there."""
        resource = next(
            (
                r
                for r in await self.discovery.resources()
                if r.kind == reference["kind"]
                and r.group == reference["apiVersion"].rpartition("/")[0]
            ),
            None,
        )
        if resource is None:
            # Nobody here can tell whether such an owner exists: leave its dependents alone.
            return {"metadata": {"uid": reference["uid"]}}
        namespace = node.item["metadata"].get("namespace")
        if resource.namespaced and not namespace:
            return None
        try:
            return await self.kube.get(resource.path(namespace, reference["name"]))
        except KubeError as error:
            if error.status == 404:
                return None
            raise

    async def _drop_references(self, node: _Node, states: list[str]) -> None:
        metadata = node.item["metadata"]
        pairs = zip(metadata["ownerReferences"], states, strict=True)
        kept = [reference for reference, state in pairs if state != "absent"]
        await self._patch(node, {"ownerReferences": kept})

    async def _wait_for_dependents(self, node: _Node) -> None:
        """Foreground: begin the end of the dependents that block; be released after the last."""
        blocking = []
        for uid in list(self.dependents.get(_uid(node), ())):
            dependent = self.nodes.get(uid)
            if dependent is None:
                continue
            references = dependent.item["metadata"].get("ownerReferences") or []
            if any(r["uid"] == _uid(node) and r.get("blockOwnerDeletion") for r in references):
                blocking.append(dependent)
            if not objects.is_deleting(dependent.item):
                self.queue.add(("", uid))
        if not blocking:
            finalizers = node.item["metadata"].get("finalizers") or []
            await self._patch(node, {"finalizers": [f for f in finalizers if f != FOREGROUND]})

    async def _orphan(self, node: _Node) -> None:
        """Cut the ties of all dependents, then let the object go."""
        for uid in list(self.dependents.get(_uid(node), ())):
            dependent = self.nodes.get(uid)
            if dependent is not None:
                references = dependent.item["metadata"].get("ownerReferences") or []
                kept = [r for r in references if r["uid"] != _uid(node)]
                await self._patch(dependent, {"ownerReferences": kept or None})
        finalizers = node.item["metadata"].get("finalizers") or []
        await self._patch(node, {"finalizers": [f for f in finalizers if f != ORPHAN]})

    async def _delete(self, node: _Node, policy: str) -> None:
        metadata = node.item["metadata"]
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": metadata["uid"]},
            "propagationPolicy": policy,
        }
        try:
            await self.kube.delete(
                node.resource.path(metadata.get("namespace"), metadata["name"]), body
            )
        except KubeError as error:
            if error.status not in {404, 409}:
                raise

    async def _patch(self, node: _Node, changes: Object) -> None:
        metadata = node.item["metadata"]
        body = {"metadata": {"uid": metadata["uid"], **changes}}
        if "finalizers" in changes:  # a list is replaced as a whole: never lose another's
            body["metadata"]["resourceVersion"] = metadata["resourceVersion"]
        try:
            await self.kube.patch(
                node.resource.path(metadata.get("namespace"), metadata["name"]), body
            )
        except KubeError as error:
            if error.status != 404:
                raise


def _uid(node: _Node) -> str:
    return str(node.item["metadata"]["uid"])
