"""The node agent: registers a node and runs the pods that are bound to it.

It meets the rest of the cloud only at the Kubernetes API. One task per pod does the work; this
module matches the tasks with the pods of the watch. It adopts nothing of an earlier daemon:
whoever owns the process table has reaped the leftovers before, and every container starts anew
with one restart more.
"""

import asyncio
import contextlib
import logging
import shutil
from typing import Any

from labkit.embedded.addresses import AddressPool
from labkit.embedded.informing import Informer
from labkit.embedded.kube import KubeClient, path_of
from labkit.embedded.node.config import NodeConfig
from labkit.embedded.node.context import NodeContext
from labkit.embedded.node.events import EventRecorder
from labkit.embedded.node.kubelet_api import KubeletApi
from labkit.embedded.node.node_proxy import NodeProxy
from labkit.embedded.node.pods import PodWorker
from labkit.embedded.node.registration import Registration

logger = logging.getLogger(__name__)

Object = dict[str, Any]

_TAKE_OVER_S = 5.0


class NodeAgent:
    """One node.

    Args:
        name: of the node.
        cluster: of the cluster.
        kube: client with the node's credential.
        config: settings.
        node_proxy: shared by all nodes of the cluster in this daemon; None for one of its own.
    """

    def __init__(
        self,
        name: str,
        cluster: str,
        kube: KubeClient,
        config: NodeConfig,
        *,
        node_proxy: NodeProxy | None = None,
    ) -> None:
        self.name = name
        self._kube = kube
        self._config = config
        self._owns_proxy = node_proxy is None
        self._node = NodeContext(
            name=name,
            cluster=cluster,
            kube=kube,
            config=config,
            addresses=AddressPool(config.pod_cidr, reserved=[]),
            events=EventRecorder(kube, name),
            node_proxy=node_proxy or NodeProxy(cluster, config),
        )
        self._registration = Registration(name, kube, config)
        self.workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ended: set[str] = set()
        self._ready = asyncio.Event()

    async def ready(self) -> None:
        """Wait until the node is registered and watches its pods."""
        await self._ready.wait()

    async def run(self) -> None:
        """Run until cancelled; then stop every container but leave the pod objects."""
        self._config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        api = KubeletApi(self.name, self._config, self.find_worker)
        informer = Informer(
            self._kube,
            path_of("v1", "pods"),
            on_change=self._on_pod,
            fieldSelector=f"spec.nodeName={self.name}",
        )
        try:
            async with asyncio.TaskGroup() as group:
                kubelet = await api.start()
                await self._registration.register(kubelet)
                group.create_task(self._registration.keep_alive(), name=f"lease {self.name}")
                group.create_task(self._node.events.run(), name=f"events {self.name}")
                group.create_task(informer.run(), name=f"pods of {self.name}")
                await informer.synced()
                self._remove_strangers()
                await self._take_over()
                self._ready.set()
        finally:
            await self._stop_pods()
            if self._owns_proxy:
                await self._node.node_proxy.stop()
            await api.stop()

    def find_worker(self, namespace: str, name: str) -> PodWorker | None:
        """The worker of a pod, for the kubelet API."""
        found = [
            worker
            for worker in self.workers.values()
            if (worker.namespace, worker.name) == (namespace, name)
        ]
        return found[-1] if found else None

    def _on_pod(self, change: str, pod: Object) -> None:
        if pod["spec"].get("nodeName") != self.name:
            return
        uid = pod["metadata"]["uid"]
        worker = self.workers.get(uid)
        if change == "DELETED":
            self._ended.discard(uid)
            if worker:
                worker.vanish()
        elif worker:
            worker.update(pod)
        elif uid not in self._ended:
            # A pod of the same name may still be stopping; it is another pod.
            self.workers[uid] = worker = PodWorker(self._node, pod)
            task = asyncio.create_task(worker.run(), name=f"pod {worker.title}")
            self._tasks[uid] = task
            task.add_done_callback(lambda done: self._on_end(uid, done))

    def _on_end(self, uid: str, task: asyncio.Task[None]) -> None:
        worker = self.workers.pop(uid)
        del self._tasks[uid]
        self._ended.add(uid)  # late news about it must not start it again
        if not task.cancelled() and (error := task.exception()):
            logger.error("the work on pod %s failed", worker.title, exc_info=error)

    async def _take_over(self) -> None:
        """Before the node is ready, correct the status of the pods of an earlier daemon."""
        waiting = [asyncio.create_task(worker.taken_over()) for worker in self.workers.values()]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=_TAKE_OVER_S)
            for task in late:
                task.cancel()

    def _remove_strangers(self) -> None:
        """Remove folders of pods that went while no daemon ran."""
        for folder in (self._config.data_dir / "pods").glob("*"):
            if folder.name not in self.workers:
                shutil.rmtree(folder, ignore_errors=True)

    async def _stop_pods(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
