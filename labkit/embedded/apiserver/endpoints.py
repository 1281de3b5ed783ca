"""From a Service to a real socket: its ready pods and where the node put their ports."""

import json
from collections.abc import Iterator
from typing import Any

from labkit.embedded.apiserver.backend import Backend
from labkit.embedded.apiserver.store import Object

SOCKETS = "network.labkit.dev/sockets"
APP_SOCKETS = "network.labkit.dev/app-sockets"


def sockets_of(obj: Object, annotation: str) -> dict[str, str]:
    """The table of port → socket of a pod or node; empty when there is none."""
    text = (obj["metadata"].get("annotations") or {}).get(annotation, "")
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        return {}
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else {}


def is_ready(pod: Object) -> bool:
    """Whether the pod's Ready condition is true and it is not on its way out."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def pods_of_service(backend: Backend, service: Object) -> Iterator[Object]:
    """The ready pods that the Service selects."""
    wanted: dict[str, Any] = service["spec"].get("selector") or {}
    if not wanted:
        return
    for entry in backend.store.entries("pods", service["metadata"]["namespace"]):
        labels = entry.obj["metadata"].get("labels") or {}
        if all(labels.get(k) == v for k, v in wanted.items()) and is_ready(entry.obj):
            yield entry.obj


def service_port(service: Object, port: str) -> Object | None:
    """The port of a Service by number or name; the only one when `port` is empty."""
    ports = service["spec"].get("ports") or []
    if not port:
        return ports[0] if len(ports) == 1 else None
    return next((p for p in ports if str(p["port"]) == port or p.get("name") == port), None)


def target_port(pod: Object, port: Object) -> int | None:
    """The container port that a Service port leads to in this pod."""
    target: Any = port.get("targetPort", port["port"])
    if isinstance(target, int) or str(target).isdigit():
        return int(target)
    for container in (*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]):
        for declared in container.get("ports") or ():
            if declared.get("name") == target:
                return int(declared["containerPort"])
    return None


def pod_socket(pod: Object, port: int) -> str | None:
    """`127.0.0.1:N` of a pod's port: the container itself when it is known, else the pod's."""
    key = str(port)
    return sockets_of(pod, APP_SOCKETS).get(key) or sockets_of(pod, SOCKETS).get(key)


def pod_socket_of_service(backend: Backend, namespace: str, name: str, port: str) -> str:
    """A socket behind a Service's port; LookupError says what is missing."""
    entry = backend.store.get("services", namespace, name)
    if entry is None:
        raise LookupError(f'service "{name}" not found')
    declared = service_port(entry.obj, port)
    if declared is None:
        raise LookupError(f'no service port "{port}" found for service "{name}"')
    for pod in pods_of_service(backend, entry.obj):
        target = target_port(pod, declared)
        socket = pod_socket(pod, target) if target is not None else None
        if socket is not None:
            return socket
    raise LookupError(f'no endpoints available for service "{name}"')
