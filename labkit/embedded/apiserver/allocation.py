"""Cluster IPs and node ports: chosen here, checked against every other Service.

The Services in the store are the only record, so nothing can leak or be given twice.
"""

import ipaddress
import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

from labkit.embedded.apiserver import status
from labkit.embedded.apiserver.backend import Backend
from labkit.embedded.apiserver.store import Object

NODE_PORTS = range(30000, 32768)


def allocate(backend: Backend, obj: Object, old: Object | None) -> None:
    """Fill in clusterIP(s) and nodePorts of a Service; 422 when what it asks for is taken."""
    spec = obj["spec"]
    if spec.get("type") == "ExternalName":
        for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            spec.pop(field, None)
        return
    _check_families(obj)
    others = [
        entry.obj["spec"]
        for entry in backend.store.entries("services")
        if entry.obj["metadata"]["uid"] != obj["metadata"].get("uid")
    ]
    _cluster_ip(backend, obj, old, others)
    _node_ports(obj, others)


def _refuse(obj: Object, field: str, message: str) -> status.ApiError:
    cause = {"reason": "FieldValueInvalid", "message": f"Invalid value: {message}", "field": field}
    return status.invalid("Service", obj["metadata"]["name"], [cause])


def _cluster_ip(backend: Backend, obj: Object, old: Object | None, others: list[Object]) -> None:
    spec = obj["spec"]
    wanted = spec.get("clusterIP") or (spec.get("clusterIPs") or [""])[0]
    if not wanted and old is not None:
        wanted = old["spec"].get("clusterIP", "")
    if wanted == "None":
        spec["clusterIP"], spec["clusterIPs"] = "None", ["None"]
        if not spec.get("selector"):  # its endpoints may have any address
            spec.setdefault("ipFamilies", ["IPv4", "IPv6"])
            spec.setdefault("ipFamilyPolicy", "RequireDualStack")
        _families(spec)
        return
    taken = {other.get("clusterIP") for other in others}
    network = ipaddress.ip_network(backend.config.service_cidr)
    if wanted:
        shown = f'["{wanted}"]: failed to allocate IP {wanted}'
        if ipaddress.ip_address(wanted) not in network:
            text = f"{shown}: the provided network does not match the current range"
            raise _refuse(obj, "spec.clusterIPs", text)
        if wanted in taken:
            raise _refuse(obj, "spec.clusterIPs", f"{shown}: provided IP is already allocated")
    else:
        wanted = next(_free_addresses(network, taken))
    spec["clusterIP"], spec["clusterIPs"] = wanted, [wanted]
    _families(spec)


def _check_families(obj: Object) -> None:
    """422 for what a cluster with IPv4 alone cannot do; headless Services may name any family."""
    spec = obj["spec"]
    address = spec.get("clusterIP") or ""
    if ":" in address:
        shown = json.dumps([address])
        raise _refuse(obj, "spec.clusterIPs[0]", f"{shown}: IPv6 is not configured on this cluster")
    if address == "None" and not spec.get("selector"):
        return
    for index, family in enumerate(spec.get("ipFamilies") or ()):
        if family != "IPv4":
            text = f'"{family}": not configured on this cluster'
            raise _refuse(obj, f"spec.ipFamilies[{index}]", text)
    if spec.get("ipFamilyPolicy") == "RequireDualStack":
        text = '"RequireDualStack": this cluster is not configured for dual-stack services'
        raise _refuse(obj, "spec.ipFamilyPolicy", text)


def _families(spec: Object) -> None:
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")


def _free_addresses(network: Any, taken: set[Any]) -> Iterator[str]:
    """Random addresses of the upper part of the range; the lower is for explicit requests."""
    size = network.num_addresses
    low = min(256, size // 16)
    while True:
        address = str(network[random.randrange(low + 1, size - 1)])  # noqa: S311 - no secret
        if address not in taken:
            yield address


def _node_ports(obj: Object, others: list[Object]) -> None:
    spec = obj["spec"]
    exposed = spec.get("type") in ("NodePort", "LoadBalancer")
    wanted = exposed and spec.get("allocateLoadBalancerNodePorts", True)
    taken = {
        (port.get("nodePort"), port.get("protocol", "TCP"))
        for other in others
        for port in other.get("ports") or ()
    }
    for index, port in enumerate(spec.get("ports") or ()):
        if not exposed:
            port.pop("nodePort", None)
            continue
        given, protocol = port.get("nodePort"), port.get("protocol", "TCP")
        if given:
            _check_node_port(obj, index, given, taken=(given, protocol) in taken)
        elif wanted:
            free = [p for p in NODE_PORTS if (p, protocol) not in taken]
            port["nodePort"] = given = random.choice(free)  # noqa: S311 - no secret
        taken.add((given, protocol))
    if spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local":
        _health_port(
            spec, {port for port, _ in taken} | {o.get("healthCheckNodePort") for o in others}
        )


def _health_port(spec: Object, taken: set[Any]) -> None:
    """The port at which nodes tell a load balancer whether they have endpoints."""
    if not spec.get("healthCheckNodePort"):
        free = [port for port in NODE_PORTS if port not in taken]
        spec["healthCheckNodePort"] = random.choice(free)  # noqa: S311 - no secret


def _check_node_port(obj: Object, index: int, port: int, *, taken: bool) -> None:
    field = f"spec.ports[{index}].nodePort"
    if port not in NODE_PORTS:
        raise _refuse(
            obj,
            field,
            f"{port}: provided port is not in the valid range. The range of valid ports"
            " is 30000-32767",
        )
    if taken:
        raise _refuse(obj, field, f"{port}: provided port is already allocated")


def drop_unused(new: Object, old: Object) -> None:
    """A Service that changes its type loses what only the old type needs and was not changed."""
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    _keep_addresses(spec, before)
    exposed = ("NodePort", "LoadBalancer")
    kind = spec.get("type", "ClusterIP")
    if kind == before.get("type", "ClusterIP"):
        return
    if kind not in exposed:
        ports = {port.get("nodePort") for port in before.get("ports") or ()}
        for port in spec.get("ports") or ():
            if port.get("nodePort") in ports:
                port.pop("nodePort", None)
        _drop_unchanged(spec, before, ("externalTrafficPolicy", "healthCheckNodePort"))
    if kind != "LoadBalancer":
        _drop_unchanged(spec, before, ("allocateLoadBalancerNodePorts", "loadBalancerClass"))
        new["status"] = {"loadBalancer": {}}
    if kind == "ExternalName":
        unused = (
            "clusterIP",
            "clusterIPs",
            "ipFamilies",
            "ipFamilyPolicy",
            "internalTrafficPolicy",
        )
        _drop_unchanged(spec, before, unused)
    elif before.get("type") == "ExternalName":
        _drop_unchanged(spec, before, ("externalName",))


def _keep_addresses(spec: Object, before: Object) -> None:
    """Clients may change one of clusterIP and clusterIPs, or send neither."""
    if "ExternalName" in (spec.get("type"), before.get("type")):
        return
    address, addresses = spec.get("clusterIP") or "", spec.get("clusterIPs") or []
    had, had_all = before.get("clusterIP") or "", before.get("clusterIPs") or []
    if address != had and addresses == had_all:
        addresses = [address] if address else []
    address = address or had
    addresses = addresses or (had_all if address == had else [])
    if address:
        spec["clusterIP"] = address
    if addresses:
        spec["clusterIPs"] = list(addresses)


def _drop_unchanged(spec: Object, before: Object, fields: Sequence[str]) -> None:
    for field in fields:
        if field in spec and spec[field] == before.get(field):
            del spec[field]
