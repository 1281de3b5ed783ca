"""The scheduler: binds pending pods to nodes that are Ready and willing.

Willing means: schedulable, with a free pod slot, taints tolerated, node selector and required node
affinity satisfied. Among those the node with the fewest pods wins. CPU and memory are deliberately
not weighed: in the embedded cloud all nodes are this machine.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from labkit.embedded.controllers import objects
from labkit.embedded.controllers.events import EventWriter, Recorder
from labkit.embedded.controllers.informers import SharedInformers
from labkit.embedded.controllers.reconciling import Key, reconcile_forever
from labkit.embedded.informing import WorkQueue
from labkit.embedded.kube import KubeClient, KubeError, Object, key_of, path_of

SCHEDULER_NAME = "default-scheduler"
RETRY_S = 30.0
_REPELLING = frozenset({"NoSchedule", "NoExecute"})
_DEFAULT_SLOTS = 110
_HOSTNAME_FIELD = "metadata.name"


async def run(kube: KubeClient, informers: SharedInformers, events: EventWriter) -> None:
    """Follow pods and nodes until cancelled."""
    await _Scheduler(kube, informers, events.recorder(SCHEDULER_NAME)).run()


@dataclass
class _Scheduler:
    kube: KubeClient
    informers: SharedInformers
    recorder: Recorder
    queue: WorkQueue[Key] = field(default_factory=WorkQueue)
    waiting: set[Key] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.pods = self.informers.of("v1", "pods")
        self.nodes = self.informers.of("v1", "nodes")
        self.offers: dict[str, object] = {}

    async def run(self) -> None:
        await asyncio.gather(self.pods.synced(), self.nodes.synced())
        self.nodes.subscribe(self._node_changed)
        self.pods.subscribe(self._pod_changed)
        await reconcile_forever("scheduler", self.queue, self._schedule, workers=1)

    def _pod_changed(self, change: str, pod: Object) -> None:
        if change == "DELETED":
            self.waiting.discard(key_of(pod))
            if pod["spec"].get("nodeName"):
                self._try_waiting()
        elif _is_mine(pod):
            self.queue.add(key_of(pod))

    def _node_changed(self, change: str, node: Object) -> None:
        """Heartbeats come often; only a change of what a node offers is worth a new try."""
        offer = None if change == "DELETED" else _offer_of(node)
        if self.offers.get(node["metadata"]["name"]) != offer:
            self.offers[node["metadata"]["name"]] = offer
            self._try_waiting()

    def _try_waiting(self) -> None:
        for key in self.waiting:
            self.queue.add(key)

    async def _schedule(self, key: Key) -> None:
        pod = self.pods.get(*key)
        if pod is None or not _is_mine(pod):
            self.waiting.discard(key)
            return
        used = Counter(
            other["spec"]["nodeName"]
            for other in self.pods.list()
            if other["spec"].get("nodeName") and objects.is_pod_active(other)
        )
        reasons: Counter[str] = Counter()
        fitting = []
        for node in self.nodes.list():
            reason = why_not(pod, node, used=used[node["metadata"]["name"]])
            if reason:
                reasons[reason] += 1
            else:
                fitting.append(node["metadata"]["name"])
        if not fitting:
            self.waiting.add(key)
            self.queue.add_after(key, RETRY_S)
            await self._report_failure(pod, reasons)
            return
        await self._bind(pod, min(fitting, key=lambda name: (used[name], name)))

    async def _bind(self, pod: Object, node: str) -> None:
        namespace, name = key_of(pod)
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace, "uid": pod["metadata"]["uid"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        try:
            await self.kube.create(path_of("v1", "pods", namespace, name, "binding"), binding)
        except KubeError as error:
            if error.status not in {404, 409}:
                raise
            return  # gone, or bound by someone else
        self.waiting.discard((namespace, name))
        text = f"Successfully assigned {namespace}/{name} to {node}"
        self.recorder.normal(pod, "Scheduled", text)

        def bound() -> bool:
            mine = self.pods.get(namespace, name)
            return mine is None or bool(mine["spec"].get("nodeName"))

        await self.pods.until(bound)

    async def _report_failure(self, pod: Object, reasons: Mapping[str, int]) -> None:
        message = _failure_text(len(self.nodes.list()), reasons)
        known = objects.condition_of(pod, "PodScheduled")
        if known.get("status") == "False" and known.get("message") == message:
            return
        self.recorder.warning(pod, "FailedScheduling", message)
        condition = {
            "type": "PodScheduled",
            "observedGeneration": pod["metadata"].get("generation", 1),
            "status": "False",
            "lastProbeTime": None,
            "lastTransitionTime": known.get("lastTransitionTime") or objects.now(),
            "reason": "Unschedulable",
            "message": message,
        }
        path = path_of("v1", "pods", *key_of(pod), "status")
        body = {"status": {"conditions": [condition]}}
        try:
            await self.kube.patch(path, body, kind="strategic")
        except KubeError as error:
            if error.status != 404:
                raise


def _is_mine(pod: Object) -> bool:
    spec = pod["spec"]
    return (
        not spec.get("nodeName")
        and not spec.get("schedulingGates")
        and spec.get("schedulerName", SCHEDULER_NAME) == SCHEDULER_NAME
        and objects.is_pod_active(pod)
    )


def _failure_text(nodes: int, reasons: Mapping[str, int]) -> str:
    if nodes == 0:
        return "no nodes available to schedule pods"
    ordered = sorted(f"{count} {reason}" for reason, count in reasons.items())
    return (
        f"0/{nodes} nodes are available: {', '.join(ordered)}. no new claims to deallocate, "
        f"preemption: 0/{nodes} nodes are available: {nodes} Preemption is not helpful for "
        "scheduling."
    )


def _offer_of(node: Object) -> tuple[object, ...]:
    return (
        bool(node["spec"].get("unschedulable")),
        repr(node["spec"].get("taints")),
        repr(node["metadata"].get("labels")),
        objects.condition_of(node, "Ready").get("status"),
        repr(node.get("status", {}).get("allocatable")),
    )


def why_not(pod: Object, node: Object, *, used: int) -> str:
    """Why a pod cannot go to a node, in the scheduler's words; "" when it can.

    Args:
        pod: the pod.
        node: the node.
        used: how many pods the node has.
    """
    if node["spec"].get("unschedulable") or objects.is_deleting(node):
        return "node(s) were unschedulable"
    ready = objects.condition_of(node, "Ready").get("status")
    if ready != "True":
        return "node(s) were not ready"
    taint = next((t for t in node["spec"].get("taints") or [] if _repels(pod, t)), None)
    if taint is not None:
        value = taint.get("value", "")
        return f"node(s) had untolerated taint {{{taint['key']}: {value}}}"
    if not _is_selected(pod, node):
        return "node(s) didn't match Pod's node affinity/selector"
    slots = node.get("status", {}).get("allocatable", {}).get("pods", _DEFAULT_SLOTS)
    if used >= int(slots):
        return "Too many pods"
    return ""


def _repels(pod: Object, taint: Mapping[str, str]) -> bool:
    if taint.get("effect") not in _REPELLING:
        return False
    return not any(_tolerates(t, taint) for t in pod["spec"].get("tolerations") or [])


def _tolerates(toleration: Mapping[str, str], taint: Mapping[str, str]) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(toleration.get("key")) and toleration.get("value", "") == taint.get("value", "")


def _is_selected(pod: Object, node: Object) -> bool:
    labels = objects.labels_of(node)
    if not (pod["spec"].get("nodeSelector") or {}).items() <= labels.items():
        return False
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    fields = {_HOSTNAME_FIELD: node["metadata"]["name"]}
    return any(
        all(objects.matches_expression(r, labels) for r in term.get("matchExpressions") or [])
        and all(objects.matches_expression(r, fields) for r in term.get("matchFields") or [])
        for term in required["nodeSelectorTerms"]
        if term.get("matchExpressions") or term.get("matchFields")
    )
