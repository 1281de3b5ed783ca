"""What all pods of one node share, and their common requests to the API server."""

import asyncio
from dataclasses import dataclass
from typing import Any

from labkit.embedded.addresses import AddressPool
from labkit.embedded.kube import KubeClient, KubeError, path_of
from labkit.embedded.node.config import NodeConfig
from labkit.embedded.node.events import EventRecorder
from labkit.embedded.node.node_proxy import NodeProxy

Object = dict[str, Any]


@dataclass(frozen=True)
class NodeContext:
    """One node's identity and tools."""

    name: str
    cluster: str
    kube: KubeClient
    config: NodeConfig
    addresses: AddressPool
    events: EventRecorder
    node_proxy: NodeProxy

    async def read(self, kind: str, namespace: str, name: str) -> Object | None:
        """A secret or config map, or None when it does not exist."""
        try:
            return await self.kube.get(path_of("v1", kind, namespace, name))
        except KubeError as error:
            if error.status == 404:
                return None
            raise

    async def token(self, pod: Object, audience: str | None, seconds: int) -> str:
        """A service-account token bound to a pod."""
        metadata = pod["metadata"]
        account = pod["spec"].get("serviceAccountName") or "default"
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [audience] if audience else [],
                "expirationSeconds": max(600, seconds),
                "boundObjectRef": {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                },
            },
        }
        path = path_of("v1", "serviceaccounts", metadata["namespace"], account, "token")
        answer = await self.kube.create(path, body)
        return str(answer["status"]["token"])


async def pause(delays_s: list[float]) -> None:
    """Sleep the first delay; every call doubles it up to the second."""
    delay, longest = delays_s
    await asyncio.sleep(delay)
    delays_s[0] = min(delay * 2, longest)
