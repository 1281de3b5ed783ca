"""Deployments: ReplicaSets per pod template, rolled out as the strategy says.

One pass does one step (make the set, grow it, shrink the old ones, write the status); each step's
result comes back as a change of a ReplicaSet and starts the next pass.
"""

from dataclasses import dataclass, field

from labkit.embedded.controllers import deployment_status, objects, rollout
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
KIND = "Deployment"
_DEFAULT_HISTORY = 10


async def run(kube: KubeClient, informers: SharedInformers, events: EventWriter) -> None:
    """Follow Deployments and their ReplicaSets until cancelled."""
    controller = _Controller(kube, informers, events.recorder("deployment-controller"))
    await controller.run()


@dataclass
class _Controller:
    kube: KubeClient
    informers: SharedInformers
    recorder: Recorder
    queue: WorkQueue[Key] = field(default_factory=WorkQueue)

    def __post_init__(self) -> None:
        self.deployments = self.informers.of(API_VERSION, "deployments")
        self.sets = self.informers.of(API_VERSION, "replicasets")
        self.pods = self.informers.of("v1", "pods")

    async def run(self) -> None:
        for informer in (self.deployments, self.sets, self.pods):
            await informer.synced()
        enqueue_all(self.queue, self.deployments)
        self.sets.subscribe(self._set_changed)
        self.pods.subscribe(self._pod_changed)
        await reconcile_forever("deployments", self.queue, self._reconcile, workers=4)

    def _set_changed(self, _: str, replica_set: Object) -> None:
        namespace = replica_set["metadata"]["namespace"]
        owner = objects.controller_of(replica_set)
        if owner is not None:
            if owner["kind"] == KIND:
                self.queue.add((namespace, owner["name"]))
            return
        for deployment in self.deployments.list(namespace):
            selector = deployment["spec"]["selector"]
            if objects.matches(selector, objects.labels_of(replica_set)):
                self.queue.add(key_of(deployment))

    def _pod_changed(self, change: str, pod: Object) -> None:
        """Recreate waits for the last old pod: only its end is of interest here."""
        if change != "DELETED":
            return
        namespace = pod["metadata"]["namespace"]
        owner = objects.controller_of(pod)
        replica_set = self.sets.get(namespace, owner["name"]) if owner else None
        if replica_set is not None:
            self._set_changed("MODIFIED", replica_set)

    async def _reconcile(self, key: Key) -> None:
        deployment = self.deployments.get(*key)
        if deployment is None:
            return
        sets = await self._claim(deployment)
        new = rollout.find_new(deployment, sets)
        old = [item for item in sets if item is not new]
        conditions = list(deployment.get("status", {}).get("conditions") or [])
        if not objects.is_deleting(deployment):
            conditions = self._with_pause(deployment, conditions)
            try:
                if self._is_resized(deployment, sets):
                    await self._resize(deployment, new, sets)
                elif not deployment["spec"].get("paused"):
                    new, conditions = await self._roll(deployment, new, old, conditions)
            except KubeError as error:
                if not is_ending(error):
                    raise
        await self._write_status(deployment, new, conditions)

    async def _claim(self, deployment: Object) -> list[Object]:
        mine = []
        selector = deployment["spec"]["selector"]
        for item in self.sets.list(deployment["metadata"]["namespace"]):
            if objects.is_controlled_by(item, deployment):
                mine.append(item)
                continue
            adoptable = objects.controller_of(item) is None and not objects.is_deleting(item)
            matching = objects.matches(selector, objects.labels_of(item))
            if adoptable and matching and not objects.is_deleting(deployment):
                reference = objects.reference_to(deployment, api_version=API_VERSION, kind=KIND)
                references = [*(item["metadata"].get("ownerReferences") or []), reference]
                body = {"metadata": {"ownerReferences": references}}
                mine.append(await self._patch_set(item, body))
        return mine

    def _with_pause(self, deployment: Object, conditions: list[Object]) -> list[Object]:
        if deployment["spec"].get("progressDeadlineSeconds") is None:
            return conditions
        known = next((c for c in conditions if c["type"] == "Progressing"), None)
        is_marked = known is not None and known["reason"] == "DeploymentPaused"
        failed = known is not None and known["reason"] == "ProgressDeadlineExceeded"
        if deployment["spec"].get("paused") and not is_marked and not failed:
            mark = ("DeploymentPaused", "Deployment is paused")
        elif not deployment["spec"].get("paused") and is_marked:
            mark = ("DeploymentResumed", "Deployment is resumed")
        else:
            return conditions
        fresh = deployment_status.condition("Progressing", "Unknown", *mark)
        return deployment_status.with_condition(conditions, fresh)

    def _is_resized(self, deployment: Object, sets: list[Object]) -> bool:
        wanted = str(rollout.replicas_of(deployment))
        if deployment["spec"].get("paused"):
            return True
        return any(
            objects.annotations_of(item).get(rollout.DESIRED, wanted) != wanted
            for item in sets
            if rollout.replicas_of(item) > 0
        )

    async def _resize(self, deployment: Object, new: Object | None, sets: list[Object]) -> None:
        """Scale without rolling: the one active set, or all of them in proportion."""
        wanted = rollout.replicas_of(deployment)
        active = [item for item in sets if rollout.replicas_of(item) > 0]
        if len(active) <= 1:
            newest = max(sets, key=rollout.revision_of, default=None)
            target = active[0] if active else new or newest
            if target is not None:
                await self._scale(deployment, target, wanted)
            return
        if new is not None and deployment_status.is_complete(
            deployment, {**_status(new), "updatedReplicas": _status(new).get("replicas", 0)}
        ):
            for item in active:
                if item is not new:
                    await self._scale(deployment, item, 0)
            return
        if rollout.is_rolling(deployment):
            sizes = rollout.proportional_sizes(deployment, active)
            for item in active:
                await self._scale(deployment, item, sizes[item["metadata"]["name"]])

    async def _roll(
        self, deployment: Object, new: Object | None, old: list[Object], conditions: list[Object]
    ) -> tuple[Object | None, list[Object]]:
        """One step of a rollout; returns the new set and the conditions."""
        if not rollout.is_rolling(deployment) and await self._clear_old(deployment, old):
            return new, conditions
        new, conditions, made = await self._ensure_new(deployment, new, old, conditions)
        size = rollout.new_set_size(deployment, [*old, new], rollout.replicas_of(new))
        if made or await self._scale(deployment, new, size):
            return new, conditions
        if rollout.is_rolling(deployment):
            sizes = rollout.old_set_sizes(deployment, new, old)
            for item in old:
                if item["metadata"]["name"] in sizes:
                    await self._scale(deployment, item, sizes[item["metadata"]["name"]])
        status = deployment_status.counts(deployment, new, [*old, new])
        if deployment_status.is_complete(deployment, status):
            await self._forget_history(deployment, old)
        return new, conditions

    async def _clear_old(self, deployment: Object, old: list[Object]) -> bool:
        """Recreate: all old pods must be gone first. True while they are not."""
        scaled = False
        for item in old:
            scaled = await self._scale(deployment, item, 0) or scaled
        if scaled:
            return True
        namespace = deployment["metadata"]["namespace"]
        ended = {"Succeeded", "Failed"}
        return any(
            pod.get("status", {}).get("phase") not in ended
            and any(objects.is_controlled_by(pod, item) for item in old)
            for pod in self.pods.list(namespace)
        )

    async def _ensure_new(
        self, deployment: Object, new: Object | None, old: list[Object], conditions: list[Object]
    ) -> tuple[Object, list[Object], bool]:
        """The new set with its revision; made when it is not there yet."""
        revision = max((rollout.revision_of(item) for item in old), default=0) + 1
        made = new is None
        if new is None:
            size = rollout.new_set_size(deployment, old, 0)
            new = await self._create_set(deployment, size, revision)
            reason, text = "NewReplicaSetCreated", "Created new replica set"
        else:
            revision = max(revision, rollout.revision_of(new))
            annotations = rollout.set_annotations(deployment, new, revision)
            if annotations != objects.annotations_of(new):
                new = await self._patch_set(new, {"metadata": {"annotations": annotations}})
            reason, text = "FoundNewReplicaSet", "Found new replica set"
        await self._set_revision(deployment, revision)
        known = any(c["type"] == "Progressing" for c in conditions)
        if deployment["spec"].get("progressDeadlineSeconds") is not None and (made or not known):
            message = f'{text} "{new["metadata"]["name"]}"'
            fresh = deployment_status.condition("Progressing", "True", reason, message)
            conditions = deployment_status.with_condition(conditions, fresh)
        return new, conditions, made

    async def _create_set(self, deployment: Object, size: int, revision: int) -> Object:
        namespace = deployment["metadata"]["namespace"]
        body = rollout.new_set(deployment, replicas=size, revision=revision)
        path = path_of(API_VERSION, "replicasets", namespace)
        try:
            made = await self.kube.create(path, body)
        except KubeError as error:
            if error.status == 409:
                await self._settle_collision(deployment, body["metadata"]["name"])
            raise
        if size > 0:
            text = f"Scaled up replica set {made['metadata']['name']} from 0 to {size}"
            self.recorder.normal(deployment, "ScalingReplicaSet", text)
        await self.sets.until_seen(made)
        return made

    async def _settle_collision(self, deployment: Object, name: str) -> None:
        """Another set has our name: unless it is ours, the next hash must differ."""
        namespace = deployment["metadata"]["namespace"]
        other = await self.kube.get(path_of(API_VERSION, "replicasets", namespace, name))
        if objects.is_controlled_by(other, deployment) and rollout.has_template(other, deployment):
            await self.sets.until_seen(other)
            return
        count = deployment.get("status", {}).get("collisionCount", 0) + 1
        path = path_of(API_VERSION, "deployments", *key_of(deployment), "status")
        body = {"status": {"collisionCount": count}}
        await self.deployments.until_seen(await self.kube.patch(path, body))

    async def _set_revision(self, deployment: Object, revision: int) -> None:
        if objects.annotations_of(deployment).get(rollout.REVISION) == str(revision):
            return
        body = {"metadata": {"annotations": {rollout.REVISION: str(revision)}}}
        path = path_of(API_VERSION, "deployments", *key_of(deployment))
        await self.deployments.until_seen(await self.kube.patch(path, body))

    async def _scale(self, deployment: Object, replica_set: Object, size: int) -> bool:
        """Resize a set; True when its size changed."""
        before = rollout.replicas_of(replica_set)
        notes = rollout.count_annotations(deployment)
        if before == size and notes.items() <= objects.annotations_of(replica_set).items():
            return False
        await self._patch_set(
            replica_set, {"spec": {"replicas": size}, "metadata": {"annotations": notes}}
        )
        if before == size:
            return False
        way = "up" if size > before else "down"
        name = replica_set["metadata"]["name"]
        text = f"Scaled {way} replica set {name} from {before} to {size}"
        self.recorder.normal(deployment, "ScalingReplicaSet", text)
        return True

    async def _patch_set(self, replica_set: Object, body: Object) -> Object:
        path = path_of(API_VERSION, "replicasets", *key_of(replica_set))
        changed = await self.kube.patch(path, body)
        await self.sets.until_seen(changed)
        return changed

    async def _forget_history(self, deployment: Object, old: list[Object]) -> None:
        limit = deployment["spec"].get("revisionHistoryLimit", _DEFAULT_HISTORY)
        idle = [
            item
            for item in sorted(old, key=rollout.revision_of)
            if rollout.replicas_of(item) == 0
            and not _status(item).get("replicas")
            and not objects.is_deleting(item)
        ]
        for item in idle[: max(len(idle) - limit, 0)]:
            await self.kube.delete(path_of(API_VERSION, "replicasets", *key_of(item)))

    async def _write_status(
        self, deployment: Object, new: Object | None, conditions: list[Object]
    ) -> None:
        key = key_of(deployment)
        current = self.deployments.get(*key)
        if current is None or current["metadata"]["uid"] != deployment["metadata"]["uid"]:
            return
        sets = [s for s in self.sets.list(key[0]) if objects.is_controlled_by(s, deployment)]
        if new is not None:
            new = self.sets.get(*key_of(new)) or new
        status = deployment_status.counts(deployment, new, sets)
        available = deployment_status.availability(deployment, status)
        conditions = deployment_status.with_condition(conditions, available)
        if not deployment["spec"].get("paused"):
            conditions = deployment_status.with_progress(deployment, status, conditions, new)
        conditions = deployment_status.with_failure(conditions, sets)
        status["conditions"] = conditions
        progressing = next((c for c in conditions if c["type"] == "Progressing"), None)
        if progressing and progressing["reason"] in {"ReplicaSetUpdated", "NewReplicaSetCreated"}:
            left_s = deployment_status.deadline_left_s(deployment, progressing)
            self.queue.add_after(key, max(left_s, 0) + 1)
        if status == current.get("status"):
            return
        path = path_of(API_VERSION, "deployments", *key, "status")
        written = await self.kube.replace(path, {**current, "status": status})
        await self.deployments.until_seen(written)


def _status(item: Object) -> Object:
    return dict(item.get("status") or {})
