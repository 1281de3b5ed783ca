"""What one cluster offers to the world: its public addresses and the sockets behind them.

It watches services, endpoint slices and pods; what to do with the addresses is not decided here.
"""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from labkit.embedded.informing import Informer
from labkit.embedded.kube import KubeClient

Object = dict[str, Any]
Address = tuple[str, int]

SOCKETS = "network.labkit.dev/sockets"
SERVICE_LABEL = "kubernetes.io/service-name"


@dataclass(frozen=True)
class ClusterNetwork:
    """A cluster as the network sees it."""

    name: str
    region: str
    kube: KubeClient


@dataclass(eq=False)
class WatchedCluster:
    """One cluster's services, slices and pods."""

    cluster: ClusterNetwork
    services: Informer
    slices: Informer
    pods: Informer
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    written: dict[str, str] | None = None

    def public(self) -> dict[Address, tuple[str, ...]]:
        """Public address and port → sockets of the ready pods behind it."""
        found: dict[Address, tuple[str, ...]] = {}
        for service in self.services.store.values():
            for ip in _public_ips(service):
                for port in service["spec"].get("ports") or []:
                    if port.get("protocol", "TCP") == "TCP":
                        found[ip, int(port["port"])] = self._targets(service, port)
        return found

    def _targets(self, service: Object, port: Object) -> tuple[str, ...]:
        metadata = service["metadata"]
        targets = set()
        for item in self.slices.select(metadata["namespace"]):
            if (item["metadata"].get("labels") or {}).get(SERVICE_LABEL) != metadata["name"]:
                continue
            numbers = [
                found["port"]
                for found in item.get("ports") or []
                if (found.get("name") or "") == (port.get("name") or "") and found.get("port")
            ]
            for endpoint in item.get("endpoints") or []:
                targets.update(self._sockets(metadata["namespace"], endpoint, numbers))
        return tuple(sorted(targets))

    def _sockets(self, namespace: str, endpoint: Object, numbers: list[int]) -> list[str]:
        reference = endpoint.get("targetRef") or {}
        ready = (endpoint.get("conditions") or {}).get("ready", True)
        pod = self.pods.store.get((namespace, reference.get("name", "")))
        if not ready or pod is None:
            return []
        text = (pod["metadata"].get("annotations") or {}).get(SOCKETS, "{}")
        try:
            sockets = json.loads(text)
        except ValueError:
            return []
        return [sockets[str(number)] for number in numbers if str(number) in sockets]


def _public_ips(service: Object) -> list[str]:
    if service["spec"].get("type") != "LoadBalancer":
        return []
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    return [item["ip"] for item in ingress if item.get("ip")]
