"""Events about pods, with the kubelet's reasons, counted instead of repeated.

Recording never waits and never fails: events are written one after the other in the background,
and dropped when the API server does not want them.
"""

import asyncio
import contextlib
import logging
import time
from typing import Any

from labkit.embedded.kube import KubeClient, KubeError, path_of
from labkit.embedded.node import timestamps

logger = logging.getLogger(__name__)

_QUEUE_LIMIT = 2000
_MEMORY = 2000

Object = dict[str, Any]
_Key = tuple[str, str, str, str]


class EventRecorder:
    """Writes the events of one node."""

    def __init__(self, kube: KubeClient, node: str) -> None:
        self._kube = kube
        self._node = node
        self._queue: asyncio.Queue[tuple[_Key, Object]] = asyncio.Queue(_QUEUE_LIMIT)
        self._last = 0
        self._known: dict[_Key, tuple[str, int]] = {}

    def pod(
        self, pod: Object, reason: str, message: str, *, container: str = "", kind: str = "app"
    ) -> None:
        """Record an event about a pod, or about one of its containers."""
        metadata = pod["metadata"]
        involved = {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "resourceVersion": metadata.get("resourceVersion", ""),
        }
        if container:
            section = "containers" if kind == "app" else "initContainers"
            involved["fieldPath"] = f"spec.{section}{{{container}}}"
        self._record(involved, reason, message, metadata["namespace"])

    def node(self, reason: str, message: str) -> None:
        """Record an event about the node."""
        involved = {"kind": "Node", "name": self._node, "uid": self._node}
        self._record(involved, reason, message, "default")

    def _record(self, involved: Object, reason: str, message: str, namespace: str) -> None:
        now = timestamps.now()
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{involved['name']}.{self._number():x}",
                "namespace": namespace,
            },
            "involvedObject": involved,
            "reason": reason,
            "message": message,
            "type": severity(reason, message),
            "source": {"component": "kubelet", "host": self._node},
            "reportingComponent": "kubelet",
            "reportingInstance": self._node,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        key = (str(involved["uid"]), str(involved.get("fieldPath", "")), reason, message)
        with contextlib.suppress(asyncio.QueueFull):
            self._queue.put_nowait((key, event))

    def _number(self) -> int:
        """The time, strictly rising: names sort as the events happened."""
        self._last = max(self._last + 1, time.time_ns())
        return self._last

    async def run(self) -> None:
        """Write what is recorded, until cancelled."""
        while True:
            key, event = await self._queue.get()
            try:
                await self._write(key, event)
            except KubeError as error:
                logger.debug("event %s was not written: %s", event["reason"], error)

    async def _write(self, key: _Key, event: Object) -> None:
        namespace = event["metadata"]["namespace"]
        name, count = self._known.get(key, ("", 0))
        if name:
            change = {"count": count + 1, "lastTimestamp": event["lastTimestamp"]}
            try:
                await self._kube.patch(path_of("v1", "events", namespace, name), change)
            except KubeError as error:
                if error.status != 404:
                    raise
            else:
                self._known[key] = (name, count + 1)
                return
        await self._kube.create(path_of("v1", "events", namespace), event)
        self._known[key] = (event["metadata"]["name"], 1)
        while len(self._known) > _MEMORY:
            del self._known[next(iter(self._known))]


def severity(reason: str, message: str) -> str:
    """Normal or Warning, as the kubelet has it.

    The same reason stands for waiting before an image is pulled again, which is normal, and before
    a failed container is started again, which is not.
    """
    if reason == "BackOff" and message.startswith("Back-off pulling"):
        return "Normal"
    return "Warning" if reason in _WARNINGS else "Normal"


_WARNINGS = {
    "BackOff",
    "ErrImageNeverPull",
    "Failed",
    "FailedMount",
    "FailedCreatePodSandBox",
    "InspectFailed",
    "Unhealthy",
}
