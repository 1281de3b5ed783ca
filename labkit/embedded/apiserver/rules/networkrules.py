"""What Kubernetes demands of Services, Endpoints and EndpointSlices.

Allocation of addresses and ports is the server's business.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from labkit.embedded.apiserver.rules import containerrules, names
from labkit.embedded.apiserver.rules.causes import Problems
from labkit.embedded.apiserver.rules.containerrules import PROTOCOLS

Object = Mapping[str, Any]
SERVICE_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")


def service(obj: Object, old: Object | None, problems: Problems) -> None:
    """Ports, type, addresses; a cluster address stays."""
    spec = obj.get("spec") or {}
    kind = spec.get("type")
    ports = spec.get("ports") or ()
    headless = spec.get("clusterIP") == "None" or (spec.get("clusterIPs") or [""])[0] == "None"
    if not ports and not headless and kind != "ExternalName":
        problems.required("spec.ports")
    if kind == "LoadBalancer" and headless:
        detail = "may not be set to 'None' for LoadBalancer services"
        problems.invalid("spec.clusterIPs[0]", "None", detail)
    if kind == "ExternalName":
        if not spec.get("externalName"):
            problems.required("spec.externalName")
        else:
            name = spec["externalName"].removesuffix(".")
            problems.invalid("spec.externalName", spec["externalName"], *names.dns_subdomain(name))
    _service_ports(ports, kind, problems)
    for key in sorted(spec.get("selector") or {}):
        problems.invalid("spec.selector", key, *names.qualified_name(key))
        value = spec["selector"][key]
        problems.invalid("spec.selector", value, *names.label_value(str(value)))
    if spec.get("sessionAffinity") not in ("ClientIP", "None"):
        given = spec.get("sessionAffinity") or ""
        problems.unsupported("spec.sessionAffinity", given, ("ClientIP", "None"))
    if kind not in SERVICE_TYPES:
        problems.unsupported("spec.type", kind or "", SERVICE_TYPES)
    _service_addresses(spec, old, problems)
    for index, item in enumerate(
        ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    ):
        if item.get("ip"):
            field = f"status.loadBalancer.ingress[{index}].ip"
            problems.invalid(field, item["ip"], *names.ip_address(item["ip"]))


def _service_ports(ports: Sequence[Object], kind: Any, problems: Problems) -> None:
    seen: set[str] = set()
    pairs: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        path, name = f"spec.ports[{index}]", port.get("name") or ""
        if not name and len(ports) > 1:
            problems.required(f"{path}.name")
        elif name:
            problems.invalid(f"{path}.name", name, *names.dns_label(name))
            if name in seen:
                problems.duplicate(f"{path}.name", name)
            seen.add(name)
        containerrules.port_number(port.get("port") or 0, f"{path}.port", problems)
        if port.get("protocol") not in PROTOCOLS:
            problems.unsupported(f"{path}.protocol", port.get("protocol"), PROTOCOLS)
        containerrules.port_or_name(port.get("targetPort"), f"{path}.targetPort", problems)
        if port.get("nodePort") and kind == "ClusterIP":
            problems.forbidden(f"{path}.nodePort", "may not be used when `type` is 'ClusterIP'")
    for index, port in enumerate(ports):
        pair = (port.get("protocol"), port.get("port"))
        if pair in pairs:
            shape = {"Name": "", "Protocol": pair[0], "AppProtocol": None, "Port": pair[1]}
            problems.duplicate(f"spec.ports[{index}]", {**shape, "TargetPort": 0, "NodePort": 0})
        pairs.add(pair)


def _service_addresses(spec: Object, old: Object | None, problems: Problems) -> None:
    given = spec.get("clusterIPs") or [ip for ip in [spec.get("clusterIP")] if ip]
    if spec.get("type") == "ExternalName":
        if spec.get("clusterIP"):
            problems.forbidden("spec.clusterIPs", "may not be set when `type` is 'ExternalName'")
        return
    for index, address in enumerate(given):
        if address not in ("", "None"):
            problems.invalid(f"spec.clusterIPs[{index}]", address, *names.ip_address(address))
    stored = (old or {}).get("spec") or {}
    before = stored.get("clusterIPs") or []
    if given == before and spec.get("clusterIP") != stored.get("clusterIP"):
        given = [ip for ip in [spec.get("clusterIP")] if ip]
    was_external = stored.get("type") == "ExternalName"
    if before and given and not was_external and given[0] != before[0]:
        problems.invalid("spec.clusterIPs[0]", given, "may not change once set")
    for index, address in enumerate(spec.get("externalIPs") or ()):
        details = names.ip_address(address) or names.ordinary_ip(address)
        problems.invalid(f"spec.externalIPs[{index}]", address, *details)


def endpoints(obj: Object, old: Object | None, problems: Problems) -> None:
    """Addresses and ports of the subsets."""
    del old
    for number, subset in enumerate(obj.get("subsets") or ()):
        path = f"subsets[{number}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            problems.required(path, "must specify `addresses` or `notReadyAddresses`")
        for field in ("addresses", "notReadyAddresses"):
            for index, address in enumerate(subset.get(field) or ()):
                ip, where = address.get("ip", ""), f"{path}.{field}[{index}].ip"
                problems.invalid(where, ip, *names.ip_address(ip), *names.ordinary_ip(ip))
        ports = subset.get("ports") or ()
        for index, port in enumerate(ports):
            where = f"{path}.ports[{index}]"
            if len(ports) > 1 and not port.get("name"):
                problems.required(f"{where}.name")
            elif port.get("name"):
                problems.invalid(f"{where}.name", port["name"], *names.dns_label(port["name"]))
            containerrules.port_number(port.get("port") or 0, f"{where}.port", problems)
            if port.get("protocol") not in PROTOCOLS:
                problems.unsupported(f"{where}.protocol", port.get("protocol"), PROTOCOLS)


ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")


def endpoint_slice(obj: Object, old: Object | None, problems: Problems) -> None:
    """Address type, addresses, ports."""
    kind = obj.get("addressType") or ""
    if not kind:
        problems.required("addressType")
    elif kind not in ADDRESS_TYPES:
        problems.unsupported("addressType", kind, ADDRESS_TYPES)
    if old is not None and kind:
        problems.immutable("addressType", kind, old.get("addressType"))
        if kind != old.get("addressType"):
            return
    for number, endpoint in enumerate(obj.get("endpoints") or ()):
        addresses = endpoint.get("addresses") or ()
        path = f"endpoints[{number}].addresses"
        if not addresses:
            problems.required(path, "must contain at least 1 address")
        for index, address in enumerate(addresses):
            _slice_address(address, kind, (path, index), problems)
    seen: set[str] = set()
    for index, port in enumerate(obj.get("ports") or ()):
        name, path = port.get("name") or "", f"ports[{index}]"
        if name:
            problems.invalid(f"{path}.name", name, *names.dns_label(name))
        if name in seen:
            problems.duplicate(f"{path}.name", name)
        seen.add(name)
        if port.get("port") is not None:
            containerrules.port_number(port["port"], f"{path}.port", problems)
        if port.get("protocol") not in PROTOCOLS:
            problems.unsupported(f"{path}.protocol", port.get("protocol"), PROTOCOLS)


def _slice_address(address: str, kind: str, place: tuple[str, int], problems: Problems) -> None:
    path, index = place
    if kind == "FQDN":
        problems.invalid(f"{path}[{index}]", address, *names.dns_subdomain(address))
        return
    if kind not in ADDRESS_TYPES:
        return
    wrong = names.ip_address(address)
    if wrong:
        problems.invalid(f"{path}[{index}]", address, *wrong)
        return
    version = f"IPv{ipaddress.ip_address(address).version}"
    if version != kind:
        article = "an"
        problems.invalid(path, address, f"must be {article} {kind} address")
    else:
        problems.invalid(f"{path}[{index}]", address, *names.ordinary_ip(address))
