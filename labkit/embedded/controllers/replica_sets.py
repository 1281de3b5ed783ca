"""ReplicaSets: as many pods as asked for, and a status that says how they are.

Pods that match and belong to nobody are adopted, pods that no longer match are released. After
each creation and deletion the controller waits until its own copy of the pods shows it, so that it
never counts wrongly and makes a pod too many.
"""

import asyncio
import copy
import functools
from dataclasses import dataclass, field

from labkit.embedded.controllers import objects
from labkit.embedded.controllers.events import EventWriter, Recorder
from labkit.embedded.controllers.informers import SharedInformers
from labkit.embedded.controllers.reconciling import (
    Key,
    enqueue_all,
    is_ending,
    reconcile_forever,
)
from labkit.embedded.informing import WorkQueue
from labkit.embedded.kube import KubeClient, KubeError, Object, key_of, path_of

API_VERSION = "apps/v1"
KIND = "ReplicaSet"
_BURST = 50
_PHASE_RANKS = {"Pending": 0, "Unknown": 1}


async def run(kube: KubeClient, informers: SharedInformers, events: EventWriter) -> None:
    """Follow ReplicaSets and their pods until cancelled."""
    controller = _Controller(kube, informers, events.recorder("replicaset-controller"))
    await controller.run()


@dataclass
class _Controller:
    kube: KubeClient
    informers: SharedInformers
    recorder: Recorder
    queue: WorkQueue[Key] = field(default_factory=WorkQueue)

    def __post_init__(self) -> None:
        self.sets = self.informers.of(API_VERSION, "replicasets")
        self.pods = self.informers.of("v1", "pods")

    async def run(self) -> None:
        await self.sets.synced()
        await self.pods.synced()
        enqueue_all(self.queue, self.sets)
        self.pods.subscribe(self._pod_changed)
        await reconcile_forever("replica sets", self.queue, self._reconcile, workers=4)

    def _pod_changed(self, _: str, pod: Object) -> None:
        namespace = pod["metadata"]["namespace"]
        owner = objects.controller_of(pod)
        if owner is not None:
            if owner["kind"] == KIND:
                self.queue.add((namespace, owner["name"]))
            return
        for replica_set in self.sets.list(namespace):
            if objects.matches(replica_set["spec"]["selector"], objects.labels_of(pod)):
                self.queue.add(key_of(replica_set))

    async def _reconcile(self, key: Key) -> None:
        replica_set = self.sets.get(*key)
        if replica_set is None:
            return
        pods = await self._claim(replica_set)
        active = [pod for pod in pods if objects.is_pod_active(pod)]
        failure: KubeError | None = None
        if not objects.is_deleting(replica_set):
            missing = int(replica_set["spec"].get("replicas", 1)) - len(active)
            if missing > 0:
                failure = await self._create_pods(replica_set, min(missing, _BURST))
            elif missing < 0:
                await self._delete_pods(replica_set, _first_to_go(active)[:-missing])
            pods = [p for p in self.pods.list(key[0]) if objects.is_controlled_by(p, replica_set)]
        await self._write_status(replica_set, pods, failure)
        if failure is not None and not is_ending(failure):
            raise failure

    async def _claim(self, replica_set: Object) -> list[Object]:
        """The pods of the set, after adopting and releasing."""
        namespace = replica_set["metadata"]["namespace"]
        mine = []
        for pod in self.pods.list(namespace):
            owned = objects.is_controlled_by(pod, replica_set)
            matching = objects.matches(replica_set["spec"]["selector"], objects.labels_of(pod))
            if owned and (matching or objects.is_deleting(pod)):
                mine.append(pod)
            elif objects.is_deleting(replica_set) or objects.is_deleting(pod):
                continue
            elif owned or (matching and objects.controller_of(pod) is None):
                changed = await self._set_owner(pod, replica_set, adopt=not owned)
                if not owned:
                    mine.append(changed)
        return mine

    async def _set_owner(self, pod: Object, replica_set: Object, *, adopt: bool) -> Object:
        uid = replica_set["metadata"]["uid"]
        references = pod["metadata"].get("ownerReferences") or []
        references = [reference for reference in references if reference["uid"] != uid]
        if adopt:
            mine = objects.reference_to(replica_set, api_version=API_VERSION, kind=KIND)
            references = [*references, mine]
        namespace, name = key_of(pod)
        body = {"metadata": {"uid": pod["metadata"]["uid"], "ownerReferences": references or None}}
        changed = await self.kube.patch(path_of("v1", "pods", namespace, name), body)
        await self.pods.until_seen(changed)
        return changed

    async def _create_pods(self, replica_set: Object, count: int) -> KubeError | None:
        namespace = replica_set["metadata"]["namespace"]
        body = _pod_for(replica_set)
        path = path_of("v1", "pods", namespace)
        results = await asyncio.gather(
            *(self.kube.create(path, body) for _ in range(count)), return_exceptions=True
        )
        failure: KubeError | None = None
        for result in results:
            if isinstance(result, KubeError):
                failure = result
            elif isinstance(result, BaseException):
                raise result
            else:
                text = f"Created pod: {result['metadata']['name']}"
                self.recorder.normal(replica_set, "SuccessfulCreate", text)
                await self.pods.until_seen(result)
        if failure is not None and not is_ending(failure):
            text = f"Error creating: {failure.body.get('message', failure)}"
            self.recorder.warning(replica_set, "FailedCreate", text)
        return failure

    async def _delete_pods(self, replica_set: Object, pods: list[Object]) -> None:
        for pod in pods:
            namespace, name = key_of(pod)
            uid = pod["metadata"]["uid"]
            options = {
                "apiVersion": "v1",
                "kind": "DeleteOptions",
                "preconditions": {"uid": uid},
            }
            try:
                await self.kube.delete(path_of("v1", "pods", namespace, name), options)
            except KubeError as error:
                if error.status not in {404, 409}:
                    raise
                continue
            self.recorder.normal(replica_set, "SuccessfulDelete", f"Deleted pod: {name}")
            await self.pods.until(functools.partial(self._is_gone, key_of(pod), uid))

    def _is_gone(self, key: Key, uid: str) -> bool:
        pod = self.pods.get(*key)
        return pod is None or pod["metadata"]["uid"] != uid or objects.is_deleting(pod)

    async def _write_status(
        self, replica_set: Object, pods: list[Object], failure: KubeError | None
    ) -> None:
        namespace, name = key_of(replica_set)
        status, again_s = _status_of(replica_set, pods, failure)
        if again_s is not None:
            self.queue.add_after((namespace, name), again_s)
        if status == replica_set.get("status"):
            return
        body = {**replica_set, "status": status}
        path = path_of(API_VERSION, "replicasets", namespace, name, "status")
        try:
            written = await self.kube.replace(path, body)
        except KubeError as error:
            if error.status == 404:
                return
            raise
        await self.sets.until_seen(written)


def _pod_for(replica_set: Object) -> Object:
    template = copy.deepcopy(replica_set["spec"]["template"])
    metadata = template.get("metadata") or {}
    kept = {
        key: metadata[key] for key in ("labels", "annotations", "finalizers") if key in metadata
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{replica_set['metadata']['name']}-",
            **kept,
            "ownerReferences": [
                objects.reference_to(replica_set, api_version=API_VERSION, kind=KIND)
            ],
        },
        "spec": template["spec"],
    }


def _first_to_go(pods: list[Object]) -> list[Object]:
    """Pods in the order of deletion: unassigned, pending, not ready, restarted, young first."""

    def rank(pod: Object) -> tuple[object, ...]:
        status = pod.get("status", {})
        restarts = max(
            (c["restartCount"] for c in status.get("containerStatuses") or []), default=0
        )
        cost = objects.annotations_of(pod).get("controller.kubernetes.io/pod-deletion-cost", "0")
        ready = objects.condition_of(pod, "Ready")
        since = ready.get("lastTransitionTime") or ""
        is_ready = ready.get("status") == "True"
        return (
            bool(pod["spec"].get("nodeName")),
            _PHASE_RANKS.get(status.get("phase", ""), 2),
            is_ready,
            int(cost),
            # Negated text: what became ready last goes first.
            [-ord(letter) for letter in since] if is_ready else [],
            -restarts,
            [-ord(letter) for letter in pod["metadata"].get("creationTimestamp") or ""],
        )

    return sorted(pods, key=rank)


def _status_of(
    replica_set: Object, pods: list[Object], failure: KubeError | None
) -> tuple[Object, float | None]:
    """The status, and after how many seconds time alone will change it."""
    active = [pod for pod in pods if objects.is_pod_active(pod)]
    wanted = (replica_set["spec"]["template"].get("metadata") or {}).get("labels") or {}
    labelled = [p for p in active if wanted.items() <= objects.labels_of(p).items()]
    ready = [pod for pod in active if objects.is_pod_ready(pod)]
    minimum = replica_set["spec"].get("minReadySeconds", 0)
    ages = [
        objects.seconds_since(objects.condition_of(pod, "Ready").get("lastTransitionTime"))
        for pod in ready
    ]
    available = [age for age in ages if age >= minimum]
    counts = {
        "fullyLabeledReplicas": len(labelled),
        "readyReplicas": len(ready),
        "availableReplicas": len(available) if minimum else len(ready),
    }
    status: Object = {"replicas": len(active)}
    status |= {name: count for name, count in counts.items() if count}
    status["terminatingReplicas"] = len([pod for pod in pods if objects.is_deleting(pod)])
    status["observedGeneration"] = replica_set["metadata"].get("generation", 0)
    conditions = _conditions(replica_set, failure)
    if conditions:
        status["conditions"] = conditions
    waiting = [minimum - age for age in ages if age < minimum]
    return status, min(waiting) + 0.1 if waiting else None


def _conditions(replica_set: Object, failure: KubeError | None) -> list[Object]:
    known = objects.condition_of(replica_set, "ReplicaFailure")
    if failure is None:
        return []
    message = str(failure.body.get("message", failure))
    if known.get("message") == message:
        return [known]
    return [
        {
            "type": "ReplicaFailure",
            "status": "True",
            "lastTransitionTime": objects.now(),
            "reason": "FailedCreate",
            "message": message,
        }
    ]
