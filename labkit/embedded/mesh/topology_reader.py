"""Reads Kubernetes objects into the mesh's view of what can be reached.

Pure: dicts of the Kubernetes API in, frozen values out. The rules: an endpoint that is a pod lands
on that pod's socket (annotation `network.labkit.dev/sockets`), with the identity of its service
account when it is meshed; a public address lands where ConfigMap kube-system/network-routes says,
with the identity that a mirrored service's Endpoints name; anything else does not exist.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from labkit.embedded.mesh import names
from labkit.embedded.mesh.policies import PolicyReader
from labkit.embedded.mesh.splits import rules_by_parent
from labkit.embedded.mesh.topology import Endpoint, Pod, Target, Topology

Object = Mapping[str, Any]

_OWNER_KINDS = {"DaemonSet": "daemonset", "StatefulSet": "statefulset", "Job": "job"}
_HTTP2_NAMES = ("grpc", "h2c", "http2")


def _sockets(text: str | None) -> dict[int, str]:
    try:
        return {int(port): str(socket) for port, socket in json.loads(text or "{}").items()}
    except (ValueError, AttributeError):
        return {}


def _ports(text: str) -> frozenset[int]:
    """Numbers of `25,3306,8000-8010`; names of ports are not resolved."""
    ports: set[int] = set()
    for word in text.split(","):
        low, _, high = word.strip().partition("-")
        if low.isdigit() and (not high or high.isdigit()):
            ports.update(range(int(low), int(high or low) + 1))
    return frozenset(ports)


def _opaque(annotations: Mapping[str, str]) -> frozenset[int]:
    text = annotations.get(names.OPAQUE_PORTS_ANNOTATION)
    return names.OPAQUE_PORTS if text is None else _ports(text)


def _is_http2(port: Object) -> bool:
    if port.get("appProtocol") == "kubernetes.io/h2c":
        return True
    return str(port.get("name", "")).startswith(_HTTP2_NAMES)


def read_pod(item: Object, namespace_annotations: Mapping[str, str] | None = None) -> Pod | None:
    """The pod as the mesh sees it; None while the node has not given it its sockets."""
    metadata, spec, status = item["metadata"], item.get("spec", {}), item.get("status", {})
    annotations = {**(namespace_annotations or {}), **(metadata.get("annotations") or {})}
    if names.SOCKETS not in annotations or status.get("phase") in ("Succeeded", "Failed"):
        return None
    containers = [*spec.get("initContainers", ()), *spec.get("containers", ())]
    ports = [port for container in containers for port in container.get("ports") or ()]
    return Pod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        ip=status.get("podIP") or "",
        host_ip=status.get("hostIP") or "",
        service_account=spec.get("serviceAccountName") or "default",
        meshed=any(container["name"] == names.PROXY_CONTAINER for container in containers),
        gateway=annotations.get(names.ENABLE_GATEWAY) == "true",
        sockets=_sockets(annotations.get(names.SOCKETS)),
        app_sockets=_sockets(annotations.get(names.APP_SOCKETS)),
        egress=annotations.get(names.EGRESS, ""),
        labels=_pod_labels(metadata, spec),
        http2_ports=frozenset(port["containerPort"] for port in ports if _is_http2(port)),
        opaque_ports=_opaque(annotations),
        policy=annotations.get(names.INBOUND_POLICY, "all-unauthenticated"),
    )


def _pod_labels(metadata: Object, spec: Object) -> dict[str, str]:
    """Linkerd's `dst_*` labels of a pod."""
    own = metadata.get("labels") or {}
    labels = {
        "dst_namespace": metadata["namespace"],
        "dst_pod": metadata["name"],
        "dst_serviceaccount": spec.get("serviceAccountName") or "default",
    }
    template_hash = own.get("pod-template-hash")
    if template_hash:
        labels["dst_pod_template_hash"] = template_hash
    if "linkerd.io/control-plane-ns" in own:
        labels["dst_control_plane_ns"] = own["linkerd.io/control-plane-ns"]
    for owner in metadata.get("ownerReferences") or ():
        if owner["kind"] == "ReplicaSet" and template_hash:
            labels["dst_deployment"] = owner["name"].removesuffix(f"-{template_hash}")
        elif owner["kind"] in _OWNER_KINDS:
            labels[f"dst_{_OWNER_KINDS[owner['kind']]}"] = owner["name"]
    return labels


def _slice_addresses(item: Object) -> Iterator[tuple[str, str, int]]:
    for port in item.get("ports") or ():
        for endpoint in item.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is False:
                continue
            for ip in endpoint["addresses"]:
                yield port.get("name") or "", ip, port["port"]


def _endpoints_addresses(item: Object) -> Iterator[tuple[str, str, int]]:
    for subset in item.get("subsets") or ():
        for port in subset.get("ports") or ():
            for address in subset.get("addresses") or ():
                yield port.get("name") or "", address["ip"], port["port"]


class TopologyReader:
    """Reads the objects of one cluster into a `Topology`.

    Args:
        pods, services, endpoints, slices, namespaces: objects of the API.
        routes: data of ConfigMap kube-system/network-routes.
        policies: objects of policy.linkerd.io by plural.
        http_routes: HTTPRoutes of both groups.
    """

    def __init__(
        self,
        *,
        pods: Iterable[Object],
        services: Iterable[Object],
        endpoints: Iterable[Object] = (),
        slices: Iterable[Object] = (),
        namespaces: Iterable[Object] = (),
        routes: Mapping[str, str] | None = None,
        policies: Mapping[str, Iterable[Object]] | None = None,
        http_routes: Iterable[Object] = (),
    ) -> None:
        namespaces = list(namespaces)
        inherited = {
            item["metadata"]["name"]: {
                key: value
                for key, value in (item["metadata"].get("annotations") or {}).items()
                if key in (names.OPAQUE_PORTS_ANNOTATION, names.INBOUND_POLICY)
            }
            for item in namespaces
        }
        rights = PolicyReader(policies or {}, namespaces)
        read = (
            (item, read_pod(item, inherited.get(item["metadata"]["namespace"]))) for item in pods
        )
        self._pods = sorted(
            (replace(pod, policies=rights.of_pod(item)) for item, pod in read if pod is not None),
            key=lambda pod: pod.key,
        )
        self._rules = rules_by_parent(http_routes)
        self._by_ip = {pod.ip: pod for pod in self._pods if pod.ip}
        self._services = sorted(
            services, key=lambda item: (item["metadata"]["namespace"], item["metadata"]["name"])
        )
        self._endpoints = {
            (item["metadata"]["namespace"], item["metadata"]["name"]): item for item in endpoints
        }
        self._slices: dict[tuple[str, str], list[Object]] = {}
        for item in slices:
            service = (item["metadata"].get("labels") or {}).get("kubernetes.io/service-name", "")
            self._slices.setdefault((item["metadata"]["namespace"], service), []).append(item)
        self._routes: dict[str, list[str]] = {}
        for key, text in (routes or {}).items():
            ip, _, port = key.rpartition("_")
            self._routes[f"{ip}:{port}"] = json.loads(text)

    def read(self) -> Topology:
        """The topology; a service comes before a pod or address of the same name."""
        targets = [target for item in self._services for target in self._service_targets(item)]
        targets += [target for pod in self._pods for target in self._pod_targets(pod)]
        targets += self._public_targets()
        return Topology(pods=tuple(self._pods), targets=tuple(targets))

    def _addresses(self, key: tuple[str, str]) -> Iterator[tuple[str, str, int]]:
        if key in self._slices:
            for item in self._slices[key]:
                yield from _slice_addresses(item)
        elif key in self._endpoints:
            yield from _endpoints_addresses(self._endpoints[key])

    def _annotation(self, key: tuple[str, str], name: str) -> str | None:
        holders = [self._endpoints.get(key), *self._slices.get(key, ())]
        for holder in holders:
            value = ((holder or {}).get("metadata", {}).get("annotations") or {}).get(name)
            if value:
                return str(value)
        return None

    def _land(self, ip: str, port: int, identity: str | None) -> list[Endpoint]:
        address = f"{ip}:{port}"
        pod = self._by_ip.get(ip)
        if pod is not None:
            socket = pod.sockets.get(port)
            if socket is None:
                return []
            shown = pod.identity if pod.meshed and port != names.TAP_PORT else None
            return [Endpoint(address, socket, shown, {**pod.labels, "dst_zone_locality": "local"})]
        if ip.startswith("127."):
            return [Endpoint(address, address, None)]
        labels = {"dst_zone_locality": "unknown"}
        sockets = self._routes.get(address, ())
        return [Endpoint(address, socket, identity, labels) for socket in sockets]

    def _service_targets(self, item: Object) -> Iterator[Target]:
        metadata, spec = item["metadata"], item.get("spec", {})
        key = (metadata["namespace"], metadata["name"])
        identity = self._annotation(key, names.REMOTE_IDENTITY)
        remote = (metadata.get("annotations") or {}).get(names.REMOTE_NAME)
        found = list(dict.fromkeys(self._addresses(key)))
        ports = spec.get("ports") or []
        default = next((p["port"] for p in ports if p["port"] == 80), None)
        for port in ports:
            number = port["port"]
            wanted = port.get("name") or ""
            landed = [
                endpoint
                for name, ip, at in found
                if name == wanted
                for endpoint in self._land(ip, at, identity)
            ]
            is_default = number == (default or ports[0]["port"])
            full, local = _domains(key[1], key[0], spec.get("clusterIP"), number, bare=is_default)
            yield Target(
                key=f"{key[0]}/{key[1]}/{number}",
                namespace=key[0],
                domains=full,
                local_domains=local,
                authority=names.service_name(key[1], key[0]) + _suffix(number),
                endpoints=tuple(sorted(landed, key=lambda e: (e.address, e.socket))),
                rewrite=f"{remote}:{number}" if remote else None,
                labels=_service_labels(item, number),
                mirrored=(metadata.get("labels") or {}).get(names.MIRRORED) == "true",
                opaque=number in _opaque(metadata.get("annotations") or {}),
                rules=self._rules.get((*key, number)) or self._rules.get((*key, None)) or (),
            )

    def _pod_targets(self, pod: Pod) -> Iterator[Target]:
        for port in pod.sockets:
            if not pod.ip or port in (names.GATEWAY_PORT, names.TAP_PORT):
                continue
            address = f"{pod.ip}:{port}"
            yield Target(
                key=f"pod/{pod.ip}/{port}".replace(".", "-"),
                namespace=pod.namespace,
                domains=(address, pod.ip) if port == 80 else (address,),
                local_domains=(),
                authority=address,
                endpoints=tuple(self._land(pod.ip, port, None)),
                opaque=port in pod.opaque_ports,
                pod=True,
            )

    def _public_targets(self) -> Iterator[Target]:
        for address in self._routes:
            ip, _, port = address.rpartition(":")
            yield Target(
                key=f"public/{ip}/{port}".replace(".", "-"),
                namespace="",
                domains=(address, ip) if port == "80" else (address,),
                local_domains=(),
                authority=address,
                endpoints=tuple(self._land(ip, int(port), None)),
            )


def _suffix(port: int) -> str:
    return "" if port == 80 else f":{port}"


def _domains(
    service: str, namespace: str, cluster_ip: str | None, port: int, *, bare: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(names for everybody, names for its own namespace); `bare`: also without the port."""
    hosts = [f"{service}.{namespace}", f"{service}.{namespace}.svc"]
    hosts.append(names.service_name(service, namespace))
    if cluster_ip and cluster_ip != "None":
        hosts.append(cluster_ip)
    endings = [f":{port}", ""] if bare else [f":{port}"]
    full = tuple(host + ending for host in hosts for ending in endings)
    return full, tuple(service + ending for ending in endings)


def _service_labels(item: Object, port: int) -> dict[str, str]:
    metadata = item["metadata"]
    labels = {
        "dst_service": metadata["name"],
        "dst_namespace": metadata["namespace"],
        "dst_port": str(port),
    }
    own, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    remote = annotations.get(names.REMOTE_NAME, "")
    if own.get(names.MIRRORED) == "true" and remote:
        service, namespace = remote.split(".")[:2]
        labels["dst_target_cluster"] = own.get(names.MIRROR_CLUSTER, "")
        labels["dst_target_service"] = service
        labels["dst_target_service_namespace"] = namespace
    return labels
