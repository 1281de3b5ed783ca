"""The Node object and its heartbeat.

The object carries every field that strict clients insist on (all of ``nodeInfo``), labels as on
DigitalOcean, and the annotation that tells the API server where the kubelet API really listens.
"""

import asyncio
import hashlib
import json
import logging
import platform
from typing import Any

from labkit.embedded.kube import KubeClient, KubeError, path_of
from labkit.embedded.node import timestamps
from labkit.embedded.node.capacity import capacity_of
from labkit.embedded.node.config import KUBELET_VERSION, NodeConfig

logger = logging.getLogger(__name__)

Object = dict[str, Any]

LEASE_PERIOD_S = 10.0
STATUS_PERIOD_S = 300.0
_LEASE_NAMESPACE = "kube-node-lease"
_RETRY_S = (0.1, 5.0)
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def node_object(name: str, config: NodeConfig, *, kubelet: str) -> Object:
    """The whole Node.

    Args:
        name: of the node.
        config: its settings.
        kubelet: where the kubelet API listens, ``127.0.0.1:N``.
    """
    arch = _ARCHITECTURES.get(platform.machine(), platform.machine())
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": arch,
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": arch,
        "node.kubernetes.io/instance-type": config.size,
        "beta.kubernetes.io/instance-type": config.size,
        "topology.kubernetes.io/region": config.region,
        "failure-domain.beta.kubernetes.io/region": config.region,
        "region": config.region,
        "doks.digitalocean.com/version": KUBELET_VERSION.removeprefix("v") + "-do.0",
        "doks.digitalocean.com/node-id": _uuid(f"{config.droplet_id}/{name}"),
        **config.labels,
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": {
                "network.labkit.dev/sockets": json.dumps({"10250": kubelet}),
                "node.alpha.kubernetes.io/ttl": "0",
                "volumes.kubernetes.io/controller-managed-attach-detach": "true",
            },
        },
        "spec": {
            "podCIDR": config.pod_cidr,
            "podCIDRs": [config.pod_cidr],
            "providerID": f"digitalocean://{config.droplet_id or _number(name)}",
        },
        "status": node_status(name, config),
    }


def node_status(name: str, config: NodeConfig) -> Object:
    """The Node's status: Ready."""
    capacity = capacity_of(config.size)
    addresses = [
        {"type": "InternalIP", "address": config.internal_ip},
        {"type": "Hostname", "address": name},
    ]
    if config.external_ip:
        addresses.append({"type": "ExternalIP", "address": config.external_ip})
    return {
        "capacity": capacity.capacity(),
        "allocatable": capacity.allocatable(),
        "conditions": _conditions(),
        "addresses": addresses,
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "bootID": _uuid(name + "/boot"),
            "containerRuntimeVersion": "labkit://0.1.0",
            "kernelVersion": platform.release() or "unknown",
            "kubeProxyVersion": "",
            "kubeletVersion": KUBELET_VERSION,
            "machineID": _uuid(name).replace("-", ""),
            "operatingSystem": "linux",
            "osImage": "labkit embedded cloud",
            "systemUUID": _uuid(name),
        },
        "images": [],
    }


def _conditions() -> list[Object]:
    now = timestamps.now()
    table = [
        (
            "MemoryPressure",
            "False",
            "KubeletHasSufficientMemory",
            "has sufficient memory available",
        ),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "is posting ready status"),
    ]
    return [
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": f"kubelet {text}",
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }
        for kind, status, reason, text in table
    ]


def _uuid(seed: str) -> str:
    text = hashlib.sha256(seed.encode()).hexdigest()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:32]}"


def _number(seed: str) -> int:
    return 400_000_000 + int(hashlib.sha256(seed.encode()).hexdigest()[:7], 16)


class Registration:
    """Registers a node and keeps it alive."""

    def __init__(self, name: str, kube: KubeClient, config: NodeConfig) -> None:
        self._name = name
        self._kube = kube
        self._config = config
        self.uid = ""

    async def register(self, kubelet: str) -> None:
        """Create the Node, or bring an existing one up to date. Tries until it works."""
        wanted = node_object(self._name, self._config, kubelet=kubelet)
        path = path_of("v1", "nodes", None, self._name)
        delay = _RETRY_S[0]
        while True:
            try:
                try:
                    found = await self._kube.create(path_of("v1", "nodes"), wanted)
                except KubeError as error:
                    if error.status != 409:
                        raise
                    metadata = wanted["metadata"]
                    changes = {key: metadata[key] for key in ("labels", "annotations")}
                    found = await self._kube.patch(path, {"metadata": changes})
                self.uid = str(found["metadata"]["uid"])
                await self._write_status(found)
            except KubeError as error:
                logger.warning("node %s cannot register: %s", self._name, error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, _RETRY_S[1])
            else:
                return

    async def _write_status(self, found: Object | None = None) -> None:
        status = node_status(self._name, self._config)
        known = {c["type"]: c for c in ((found or {}).get("status") or {}).get("conditions") or []}
        for condition in status["conditions"]:
            before = known.get(condition["type"], {})
            if before.get("status") == condition["status"]:
                condition["lastTransitionTime"] = before["lastTransitionTime"]
        path = path_of("v1", "nodes", None, self._name, "status")
        await self._kube.patch(path, {"status": status})

    async def keep_alive(self) -> None:
        """Renew the lease, and the status from time to time, until cancelled."""
        rounds = 0
        every = round(STATUS_PERIOD_S / LEASE_PERIOD_S)
        while True:
            try:
                await self._renew()
                rounds += 1
                if rounds % every == 0:
                    path = path_of("v1", "nodes", None, self._name)
                    await self._write_status(await self._kube.get(path))
            except KubeError as error:
                logger.debug("lease of node %s: %s", self._name, error)
            await asyncio.sleep(LEASE_PERIOD_S)

    async def _renew(self) -> None:
        api = "coordination.k8s.io/v1"
        now = timestamps.now_micro()
        path = path_of(api, "leases", _LEASE_NAMESPACE, self._name)
        try:
            await self._kube.patch(path, {"spec": {"renewTime": now}})
        except KubeError as error:
            if error.status != 404:
                raise
            owner = {"apiVersion": "v1", "kind": "Node", "name": self._name, "uid": self.uid}
            body = {
                "apiVersion": api,
                "kind": "Lease",
                "metadata": {
                    "name": self._name,
                    "namespace": _LEASE_NAMESPACE,
                    "ownerReferences": [owner],
                },
                "spec": {
                    "holderIdentity": self._name,
                    "leaseDurationSeconds": 40,
                    "renewTime": now,
                },
            }
            await self._kube.create(path_of(api, "leases", _LEASE_NAMESPACE), body)
