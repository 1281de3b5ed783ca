"""Which addresses and ports stand behind a Service. Pure.

Endpoints and EndpointSlices say the same in two shapes; both are computed here from a Service and
the pods of its namespace, so that they can never disagree.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labkit.embedded.controllers import objects
from labkit.embedded.kube import Object

Ports = tuple[tuple[str, str, int, str], ...]
"""(name, protocol, number, appProtocol) of each port, in the order of the Service."""
SLICE_LIMIT = 100


@dataclass(frozen=True)
class Backend:
    """One pod behind a Service."""

    ip: str
    ports: Ports
    ready: bool
    serving: bool
    terminating: bool
    node: str
    hostname: str
    namespace: str
    name: str
    uid: str

    @property
    def target(self) -> Object:
        """The reference to the pod."""
        return {"kind": "Pod", "namespace": self.namespace, "name": self.name, "uid": self.uid}


def is_headless(service: Object) -> bool:
    """Whether the Service has no cluster IP on purpose."""
    return str(service["spec"].get("clusterIP")) == "None"


def backends(service: Object, pods: Iterable[Object]) -> list[Backend]:
    """The pods behind a Service, ready or not, ordered by address."""
    found = []
    selector = (service["spec"].get("selector") or {}).items()
    for pod in pods:
        status = pod.get("status", {})
        ended = status.get("phase") in {"Succeeded", "Failed"}
        if ended or not status.get("podIP") or not selector <= objects.labels_of(pod).items():
            continue
        found.append(_backend(service, pod))
    return sorted(found, key=lambda backend: (backend.ip, backend.name))


def _backend(service: Object, pod: Object) -> Backend:
    spec, metadata = pod["spec"], pod["metadata"]
    published = bool(service["spec"].get("publishNotReadyAddresses"))
    serving = published or objects.is_pod_ready(pod)
    terminating = objects.is_deleting(pod)
    is_named = spec.get("subdomain") == service["metadata"]["name"]
    return Backend(
        ip=pod["status"]["podIP"],
        ports=_ports(service, pod),
        ready=serving and (published or not terminating),
        serving=serving,
        terminating=terminating,
        node=spec.get("nodeName", ""),
        hostname=spec.get("hostname", "") if is_named else "",
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
    )


def _ports(service: Object, pod: Object) -> Ports:
    ports = []
    for port in service["spec"].get("ports") or []:
        number = _target_number(port, pod)
        if number is not None:
            name, protocol = port.get("name", ""), port.get("protocol", "TCP")
            ports.append((name, protocol, number, port.get("appProtocol", "")))
    return tuple(ports)


def _target_number(port: Object, pod: Object) -> int | None:
    """The number behind a target port; a name is looked up in the pod's containers."""
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target or int(port["port"])
    sidecars = [
        container
        for container in pod["spec"].get("initContainers") or []
        if container.get("restartPolicy") == "Always"
    ]
    for container in [*pod["spec"]["containers"], *sidecars]:
        for declared in container.get("ports") or []:
            same_protocol = declared.get("protocol", "TCP") == port.get("protocol", "TCP")
            if declared.get("name") == target and same_protocol:
                return int(declared["containerPort"])
    return None


def port_objects(ports: Ports, *, always_named: bool = False) -> list[Object]:
    """Ports as the API writes them; slices carry a name even when it is empty."""
    return [
        {
            **({"name": name} if name or always_named else {}),
            "port": number,
            "protocol": protocol,
            **({"appProtocol": app_protocol} if app_protocol else {}),
        }
        for name, protocol, number, app_protocol in ports
    ]


def subsets(service: Object, found: Sequence[Backend]) -> list[Object]:
    """The subsets of an Endpoints object: pods with equal ports together."""
    published = bool(service["spec"].get("publishNotReadyAddresses"))
    groups: dict[Ports, dict[str, list[Object]]] = {}
    for backend in found:
        if backend.terminating and not published:
            continue
        if not backend.ports and not is_headless(service):
            continue
        address: Object = {"ip": backend.ip, "targetRef": backend.target}
        if backend.node:
            address["nodeName"] = backend.node
        if backend.hostname:
            address["hostname"] = backend.hostname
        kind = "addresses" if backend.ready else "notReadyAddresses"
        groups.setdefault(backend.ports, {}).setdefault(kind, []).append(address)
    return [
        {**groups[ports], **({"ports": port_objects(ports)} if ports else {})}
        for ports in sorted(groups)
    ]


def slices(found: Sequence[Backend]) -> list[tuple[Ports, list[Object]]]:
    """The contents of the EndpointSlices: (ports, endpoints), at most 100 endpoints each."""
    groups: dict[Ports, list[Object]] = {}
    for backend in found:
        endpoint: Object = {
            "addresses": [backend.ip],
            "conditions": {
                "ready": backend.ready,
                "serving": backend.serving,
                "terminating": backend.terminating,
            },
            "targetRef": backend.target,
        }
        if backend.node:
            endpoint["nodeName"] = backend.node
        if backend.hostname:
            endpoint["hostname"] = backend.hostname
        groups.setdefault(backend.ports, []).append(endpoint)
    return [
        (ports, endpoints[start : start + SLICE_LIMIT])
        for ports, endpoints in sorted(groups.items())
        for start in range(0, len(endpoints), SLICE_LIMIT)
    ]
