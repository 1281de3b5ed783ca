"""What Kubernetes demands of Endpoints and EndpointSlices."""

import ipaddress
from collections.abc import Mapping
from typing import Any

from labkit.embedded.apiserver.rules import containerrules, names
from labkit.embedded.apiserver.rules.causes import Problems
from labkit.embedded.apiserver.rules.containerrules import PROTOCOLS

Object = Mapping[str, Any]


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
