"""What a new cluster contains from its first moment: namespaces, its own Service, default roles."""

import ipaddress
import json
from pathlib import Path
from typing import Any

from labkit.embedded.apiserver import aggregation
from labkit.embedded.apiserver.backend import Backend, new_uid, now

_ROLES = Path(__file__).with_name("data") / "roles.json"
_RBAC = "rbac.authorization.k8s.io"
_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


def create(backend: Backend) -> None:
    """Create what is missing."""
    for name in NAMESPACES:
        _namespace(backend, name)
    _kubernetes_service(backend)
    for name, value in _PRIORITIES.items():
        _priority_class(backend, name, value)
    roles = json.loads(_ROLES.read_text())
    for role in roles["clusterRoles"]:
        _put(backend, f"{_RBAC}/clusterroles", {"kind": "ClusterRole", **role})
    for binding in roles["clusterRoleBindings"]:
        _put(backend, f"{_RBAC}/clusterrolebindings", {"kind": "ClusterRoleBinding", **binding})
    aggregation.update(backend)


def _put(backend: Backend, storage: str, obj: dict[str, Any]) -> None:
    metadata = obj["metadata"]
    if backend.store.get(storage, metadata.get("namespace", ""), metadata["name"]) is not None:
        return
    kind = {"kind": obj["kind"], "apiVersion": obj.get("apiVersion", f"{_RBAC}/v1")}
    server = {"uid": new_uid(), "creationTimestamp": now()}
    backend.store.put(storage, kind | obj | kind | {"metadata": {**metadata, **server}})


def _priority_class(backend: Backend, name: str, value: int) -> None:
    obj = {
        "kind": "PriorityClass",
        "apiVersion": "scheduling.k8s.io/v1",
        "metadata": {"name": name, "generation": 1},
        "value": value,
        "preemptionPolicy": "PreemptLowerPriority",
    }
    _put(backend, "scheduling.k8s.io/priorityclasses", obj)


def _namespace(backend: Backend, name: str) -> None:
    labels = {"kubernetes.io/metadata.name": name}
    obj = {
        "kind": "Namespace",
        "apiVersion": "v1",
        "metadata": {"name": name, "labels": labels},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }
    _put(backend, "namespaces", obj)


def _kubernetes_service(backend: Backend) -> None:
    address = str(next(ipaddress.ip_network(backend.config.service_cidr).hosts()))
    labels = {"component": "apiserver", "provider": "kubernetes"}
    port = {"name": "https", "protocol": "TCP", "port": 443, "targetPort": 6443}
    spec = {
        "ports": [port],
        "clusterIP": address,
        "clusterIPs": [address],
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "internalTrafficPolicy": "Cluster",
    }
    obj = {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
        "spec": spec,
        "status": {"loadBalancer": {}},
    }
    _put(backend, "services", obj)
