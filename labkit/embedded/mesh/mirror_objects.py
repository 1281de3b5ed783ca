"""The objects that a service mirror writes, as pure functions of what it has read.

Names, labels and annotations are Linkerd's (edge-26.6.3). The mirror Service has no selector; in
gateway mode its Endpoints hold the gateway's addresses with every port mapped to the gateway's
port, and the annotation from which proxies take the identity to expect.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from labkit.embedded.mesh.mirror_link import LinkSpec, Mode

Object = dict[str, Any]

MIRROR_PREFIX = "mirror.linkerd.io/"
MIRRORED_SERVICE = "mirror.linkerd.io/mirrored-service"
MIRRORED_GATEWAY = "mirror.linkerd.io/mirrored-gateway"
CLUSTER_NAME = "mirror.linkerd.io/cluster-name"
REMOTE_NAME = "mirror.linkerd.io/remote-svc-fq-name"
REMOTE_VERSION = "mirror.linkerd.io/remote-resource-version"
GATEWAY_IDENTITY = "mirror.linkerd.io/remote-gateway-identity"
REMOTE_DISCOVERY = "multicluster.linkerd.io/remote-discovery"
REMOTE_SERVICE = "multicluster.linkerd.io/remote-service"
CONTROLLER_NAME = "linkerd.io/service-mirror"

_TOPOLOGY = ("service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode")
_PORT_FIELDS = ("name", "protocol", "appProtocol", "port", "targetPort")


def mirror_name(service: str, link: LinkSpec) -> str:
    """Name of the mirror of a Service."""
    return f"{service}-{link.cluster}"


def remote_fq_name(service: Object, link: LinkSpec) -> str:
    """Full name of a Service inside the target cluster."""
    metadata = service["metadata"]
    return f"{metadata['name']}.{metadata['namespace']}.svc.{link.domain}"


def _excluded(name: str, patterns: Sequence[str]) -> bool:
    return any(
        name.startswith(pattern[:-1]) if pattern.endswith("/*") else name == pattern
        for pattern in patterns
    )


def mirror_labels(remote: Object, link: LinkSpec, mode: Mode) -> dict[str, str]:
    """Labels of the mirror Service and of its Endpoints."""
    labels = {
        name: value
        for name, value in (remote["metadata"].get("labels") or {}).items()
        if not name.startswith(MIRROR_PREFIX) and not _excluded(name, link.excluded_labels)
    }
    labels |= {MIRRORED_SERVICE: "true", CLUSTER_NAME: link.cluster}
    if mode == "remote-discovery":
        labels |= {REMOTE_DISCOVERY: link.cluster, REMOTE_SERVICE: remote["metadata"]["name"]}
    return labels


def mirror_service(remote: Object, link: LinkSpec, mode: Mode) -> Object:
    """The mirror Service of a target's Service."""
    metadata = remote["metadata"]
    annotations = {
        name: value
        for name, value in (metadata.get("annotations") or {}).items()
        if name not in _TOPOLOGY and not _excluded(name, link.excluded_annotations)
    }
    annotations |= {
        REMOTE_NAME: remote_fq_name(remote, link),
        REMOTE_VERSION: metadata["resourceVersion"],
    }
    ports = [
        {field: port[field] for field in _PORT_FIELDS if field in port}
        for port in remote["spec"].get("ports", [])
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": mirror_name(metadata["name"], link),
            "namespace": metadata["namespace"],
            "labels": mirror_labels(remote, link, mode),
            "annotations": annotations,
        },
        "spec": {"ports": ports},
    }


def mirror_endpoints(
    remote: Object, link: LinkSpec, *, addresses: Sequence[str], alive: bool, has_pods: bool
) -> Object:
    """The Endpoints of a mirror Service in gateway mode.

    Args:
        remote: the target's Service.
        link: the link.
        addresses: resolved addresses of the gateway.
        alive: false moves all addresses to `notReadyAddresses`, so that clients fail fast.
        has_pods: false (the target has no ready pod) leaves no subset at all.
    """
    metadata = remote["metadata"]
    ports = [
        {
            **({"name": port["name"]} if port.get("name") else {}),
            "port": link.gateway_port,
            "protocol": port.get("protocol", "TCP"),
        }
        for port in remote["spec"].get("ports", [])
    ]
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": mirror_name(metadata["name"], link),
            "namespace": metadata["namespace"],
            "labels": mirror_labels(remote, link, "gateway"),
            "annotations": {
                REMOTE_NAME: remote_fq_name(remote, link),
                GATEWAY_IDENTITY: link.gateway_identity,
            },
        },
        "subsets": _subsets(addresses, ports, ready=alive) if has_pods else [],
    }


def probe_endpoints(
    name: str, namespace: str, link: LinkSpec, *, addresses: Sequence[str]
) -> Object:
    """The Endpoints of the probe Service: the gateway, ready whatever the probes say."""
    ports = [{"name": "mc-probe", "port": link.probe.port, "protocol": "TCP"}]
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {MIRRORED_GATEWAY: "true", CLUSTER_NAME: link.cluster},
            "annotations": {GATEWAY_IDENTITY: link.gateway_identity},
        },
        "subsets": _subsets(addresses, ports, ready=True),
    }


def _subsets(addresses: Sequence[str], ports: list[Object], *, ready: bool) -> list[Object]:
    if not addresses:
        return []
    field = "addresses" if ready else "notReadyAddresses"
    return [{field: [{"ip": address} for address in addresses], "ports": ports}]


def has_ready_addresses(endpoints: Mapping[str, Any] | None) -> bool:
    """True if an Endpoints object has at least one ready address."""
    subsets = (endpoints or {}).get("subsets") or []
    return any(subset.get("addresses") for subset in subsets)


def timestamp() -> str:
    """Now, as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def service_reference(namespace: str, name: str) -> Object:
    """A reference in a Link's status."""
    return {"group": "", "kind": "Service", "name": name, "namespace": namespace}


def status_entry(
    remote: tuple[str, str],
    link: LinkSpec,
    *,
    reason: str,
    message: str = "",
    before: Mapping[str, Any] | None = None,
) -> Object:
    """One entry of a Link's `status.mirrorServices`.

    Args:
        remote: namespace and name of the target's Service.
        link: the link.
        reason: `Mirrored`, or why not: `MissingNamespace`, `InvalidService`, `Error`.
        message: details for people.
        before: the entry until now; an unchanged status keeps its transition time.
    """
    namespace, name = remote
    condition = {
        "type": "Mirrored",
        "status": "True" if reason == "Mirrored" else "False",
        "reason": reason,
        "message": message,
        "lastTransitionTime": timestamp(),
        "localRef": service_reference(namespace, mirror_name(name, link)),
    }
    for old in (before or {}).get("conditions", []):
        if old.get("status") == condition["status"] and "lastTransitionTime" in old:
            condition["lastTransitionTime"] = old["lastTransitionTime"]
    return {
        "controllerName": CONTROLLER_NAME,
        "remoteRef": service_reference(namespace, name),
        "conditions": [condition],
    }


def skipped_event(remote: Object, message: str) -> Object:
    """The Event that tells the owner of an exported Service why it is not mirrored."""
    metadata, now = remote["metadata"], timestamp()
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{metadata['name']}.{time.time_ns():x}",
            "namespace": metadata["namespace"],
        },
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Service",
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata.get("uid", ""),
            "resourceVersion": metadata.get("resourceVersion", ""),
        },
        "type": "Normal",
        "reason": "ServiceMirroringSkipped",
        "message": message,
        "source": {"component": "linkerd-service-mirror"},
        "reportingComponent": "linkerd-service-mirror",
        "reportingInstance": "",
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
