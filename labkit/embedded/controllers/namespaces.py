"""Namespaces: the end of one. Its pods go first, then everything else, then the namespace itself.

While something remains (a pod in its grace period, an object with a finalizer) the conditions of
the namespace say what, and the controller looks again.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from labkit.embedded.controllers import objects
from labkit.embedded.controllers.discovery import Discovery, Resource
from labkit.embedded.controllers.informers import SharedInformers
from labkit.embedded.controllers.reconciling import Key, enqueue_all, reconcile_forever
from labkit.embedded.informing import WorkQueue
from labkit.embedded.kube import KubeClient, KubeError, Object, path_of

FINALIZER = "kubernetes"
FIRST_LOOK_AGAIN_S = 0.1
LAST_LOOK_AGAIN_S = 2.0


async def run(kube: KubeClient, informers: SharedInformers, *, discovery: Discovery) -> None:
    """Follow namespaces until cancelled."""
    await _Controller(kube, informers, discovery).run()


@dataclass
class _Remains:
    objects: Counter[str] = field(default_factory=Counter)
    finalizers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


@dataclass
class _Controller:
    kube: KubeClient
    informers: SharedInformers
    discovery: Discovery
    queue: WorkQueue[Key] = field(default_factory=WorkQueue)
    looks: Counter[Key] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.namespaces = self.informers.of("v1", "namespaces")

    async def run(self) -> None:
        await self.namespaces.synced()
        enqueue_all(self.queue, self.namespaces)
        await reconcile_forever("namespaces", self.queue, self._reconcile, workers=4)

    async def _reconcile(self, key: Key) -> None:
        namespace = self.namespaces.get(*key)
        if namespace is None or not objects.is_deleting(namespace):
            self.looks.pop(key, None)
            return
        if FINALIZER not in (namespace["spec"].get("finalizers") or []):
            return
        remains = await self._empty(key[1])
        await self._write_conditions(namespace, remains)
        if not remains.objects and not remains.failures:
            await self._finalize(key[1])
            return
        self.looks[key] += 1
        wait_s = FIRST_LOOK_AGAIN_S * 2 ** min(self.looks[key] - 1, 6)
        self.queue.add_after(key, min(wait_s, LAST_LOOK_AGAIN_S))

    async def _empty(self, namespace: str) -> _Remains:
        """Delete what is in the namespace; returns what is still there."""
        resources = [
            resource
            for resource in await self.discovery.resources(fresh=True)
            if resource.namespaced and {"list", "delete"} <= resource.verbs
        ]
        remains = _Remains()
        pods = [r for r in resources if (r.group, r.plural) == ("", "pods")]
        for group in (pods, [r for r in resources if r not in pods]):
            await asyncio.gather(*(self._empty_one(namespace, r, remains) for r in group))
            if remains.objects:
                break  # pods end before what they use
        return remains

    async def _empty_one(self, namespace: str, resource: Resource, remains: _Remains) -> None:
        name = f"{resource.plural}.{resource.group}"
        path = resource.path(namespace)
        try:
            found = (await self.kube.list(path))["items"]
            if not any(not objects.is_deleting(item) for item in found):
                self._count(found, name, remains)
                return
            if "deletecollection" in resource.verbs:
                options = {"propagationPolicy": "Background"}
                body = {"apiVersion": "v1", "kind": "DeleteOptions", **options}
                await self.kube.delete(path, body)
            else:
                for item in found:
                    await self._delete_one(resource, namespace, item)
            self._count((await self.kube.list(path))["items"], name, remains)
        except KubeError as error:
            if error.status not in {404, 405}:
                remains.failures.append(f"{name}: {error.body.get('message', error)}")

    async def _delete_one(self, resource: Resource, namespace: str, item: Object) -> None:
        try:
            await self.kube.delete(resource.path(namespace, item["metadata"]["name"]))
        except KubeError as error:
            if error.status != 404:
                raise

    @staticmethod
    def _count(found: list[Object], name: str, remains: _Remains) -> None:
        if found:
            remains.objects[name] += len(found)
        for item in found:
            remains.finalizers.update(item["metadata"].get("finalizers") or [])

    async def _write_conditions(self, namespace: Object, remains: _Remains) -> None:
        status = namespace.get("status", {})
        known = {condition["type"]: condition for condition in status.get("conditions") or []}
        fresh = []
        for condition in _conditions(remains):
            before = known.get(condition["type"])
            same = before is not None and before["status"] == condition["status"]
            if before is not None and same:
                condition["lastTransitionTime"] = before["lastTransitionTime"]
            fresh.append(condition)
        if fresh == status.get("conditions"):
            return
        body = {"status": {"phase": "Terminating", "conditions": fresh}}
        path = path_of("v1", "namespaces", None, namespace["metadata"]["name"], "status")
        try:
            await self.namespaces.until_seen(await self.kube.patch(path, body))
        except KubeError as error:
            if error.status != 404:
                raise

    async def _finalize(self, name: str) -> None:
        path = path_of("v1", "namespaces", None, name)
        try:
            current = await self.kube.get(path)
            rest = [f for f in current["spec"].get("finalizers") or [] if f != FINALIZER]
            current["spec"]["finalizers"] = rest
            await self.kube.replace(f"{path}/finalize", current)
        except KubeError as error:
            if error.status != 404:
                raise
        self.looks.pop(("", name), None)


def _conditions(remains: _Remains) -> list[Object]:
    def condition(kind: str, reason: str, message: str, *, holds: bool = False) -> Object:
        return {
            "type": kind,
            "status": "True" if holds else "False",
            "lastTransitionTime": objects.now(),
            "reason": reason,
            "message": message,
        }

    discovered = "All resources successfully discovered"
    parsed = "All legacy kube types successfully parsed"
    return [
        condition("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", discovered),
        condition("NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions", parsed),
        condition(
            "NamespaceDeletionContentFailure",
            *_deletion_words(remains.failures),
            holds=bool(remains.failures),
        ),
        condition(
            "NamespaceContentRemaining",
            *_content_words(remains.objects),
            holds=bool(remains.objects),
        ),
        condition(
            "NamespaceFinalizersRemaining",
            *_finalizer_words(remains.finalizers),
            holds=bool(remains.finalizers),
        ),
    ]


def _deletion_words(failures: Sequence[str]) -> tuple[str, str]:
    if not failures:
        return "ContentDeleted", "All content successfully deleted, may be waiting on finalization"
    return "ContentDeletionFailed", f"Failed to delete all resource types: {'; '.join(failures)}"


def _content_words(counts: Mapping[str, int]) -> tuple[str, str]:
    if not counts:
        return "ContentRemoved", "All content successfully removed"
    texts = (f"{name} has {count} resource instances" for name, count in sorted(counts.items()))
    return "SomeResourcesRemain", f"Some resources are remaining: {', '.join(texts)}"


def _finalizer_words(counts: Mapping[str, int]) -> tuple[str, str]:
    if not counts:
        return "ContentHasNoFinalizers", "All content-preserving finalizers finished"
    texts = (f"{name} in {count} resource instances" for name, count in sorted(counts.items()))
    return (
        "SomeFinalizersRemain",
        f"Some content in the namespace has finalizers remaining: {', '.join(texts)}",
    )
