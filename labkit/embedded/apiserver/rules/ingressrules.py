"""What Kubernetes demands of Ingresses, their classes, and NetworkPolicies."""

import contextlib
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from labkit.embedded.apiserver.rules import names
from labkit.embedded.apiserver.rules.causes import Problems
from labkit.embedded.apiserver.rules.containerrules import PROTOCOLS, port_number, port_or_name
from labkit.embedded.apiserver.rules.schedulingrules import label_selector

Object = Mapping[str, Any]
PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
BAD_PATHS = ("//", "/./", "/../", "%2f", "%2F")
BAD_ENDS = ("/..", "/.")
CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def ingress(obj: Object, old: Object | None, problems: Problems) -> None:
    """Rules with hosts and paths, or a default backend."""
    del old
    spec = obj.get("spec") or {}
    rules, default = spec.get("rules") or (), spec.get("defaultBackend")
    if not rules and default is None:
        detail = "either `defaultBackend` or `rules` must be specified"
        problems.invalid("spec", rules or [], detail)
    if default is not None:
        _backend(default, "spec.defaultBackend", problems)
    for index, rule in enumerate(rules):
        _rule(rule, f"spec.rules[{index}]", problems)
    for index, item in enumerate(spec.get("tls") or ()):
        for number, host in enumerate(item.get("hosts") or ()):
            _host(host, f"spec.tls[{index}].hosts[{number}]", problems)
    name = spec.get("ingressClassName")
    if name is not None:
        problems.invalid("spec.ingressClassName", name, *names.dns_subdomain(name))


def _host(host: str, field: str, problems: Problems) -> None:
    if host.startswith("*"):
        problems.invalid(field, host, *names.wildcard(host))
    else:
        problems.invalid(field, host, *names.dns_subdomain(host))


def _rule(rule: Object, path: str, problems: Problems) -> None:
    host = rule.get("host")
    if host:
        address = not names.ip_address(host)
        if address:
            problems.invalid(f"{path}.host", host, "must be a DNS name, not an IP address")
        _host(host, f"{path}.host", problems)
    http = rule.get("http")
    if http is None:
        return
    if not http.get("paths"):
        problems.required(f"{path}.http.paths")
    for index, item in enumerate(http.get("paths") or ()):
        _path(item, f"{path}.http.paths[{index}]", problems)


def _path(item: Object, where: str, problems: Problems) -> None:
    kind, place = item.get("pathType"), item.get("path") or ""
    if kind is None:
        problems.required(f"{where}.pathType", "pathType must be specified")
    elif kind in ("Exact", "Prefix"):
        if not place.startswith("/"):
            problems.invalid(f"{where}.path", place, "must be an absolute path")
        for part in BAD_PATHS:
            if part in place:
                problems.invalid(f"{where}.path", place, f"must not contain '{part}'")
        for part in BAD_ENDS:
            if place.endswith(part):
                problems.invalid(f"{where}.path", place, f"cannot end with '{part}'")
    elif kind == "ImplementationSpecific":
        if place and not place.startswith("/"):
            problems.invalid(f"{where}.path", place, "must be an absolute path")
    else:
        problems.unsupported(f"{where}.pathType", kind, PATH_TYPES)
    _backend(item.get("backend") or {}, f"{where}.backend", problems)


def _backend(given: Object, path: str, problems: Problems) -> None:
    service, resource = given.get("service"), given.get("resource")
    if resource is not None and service is not None:
        problems.invalid(path, "", "cannot set both resource and service backends")
    elif resource is None and service is None:
        problems.required(path, "resource or service backend is required")
    elif service is not None:
        name, port = service.get("name") or "", service.get("port") or {}
        where = f"{path}.service"
        if not name:
            problems.required(f"{where}.name")
        else:
            problems.invalid(f"{where}.name", name, *names.dns_1035_label(name))
        if port.get("name") and port.get("number"):
            problems.invalid(where, "", "cannot set both port name & port number")
        elif port.get("name"):
            problems.invalid(f"{where}.port.name", port["name"], *names.port_name(port["name"]))
        elif port.get("number"):
            port_number(port["number"], f"{where}.port.number", problems)
        else:
            problems.required(where, "port name or number is required")


def ingress_class(obj: Object, old: Object | None, problems: Problems) -> None:
    """The controller, which stays."""
    spec = obj.get("spec") or {}
    controller = spec.get("controller") or ""
    if old is None:
        if not controller:
            problems.required("spec.controller")
        elif "/" not in controller:
            detail = 'must be a domain-prefixed path (such as "acme.io/foo")'
            problems.invalid("spec.controller", controller, detail)
    else:
        before = (old.get("spec") or {}).get("controller")
        problems.immutable("spec.controller", controller, before)


def network_policy(obj: Object, old: Object | None, problems: Problems) -> None:
    """Selectors, ports, blocks of addresses."""
    del old
    spec = obj.get("spec") or {}
    label_selector(spec.get("podSelector"), "spec.podSelector", problems)
    for way, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(way) or ()):
            path = f"spec.{way}[{index}]"
            for number, port in enumerate(rule.get("ports") or ()):
                _port(port, f"{path}.ports[{number}]", problems)
            for number, peer in enumerate(rule.get(peers) or ()):
                _peer(peer, f"{path}.{peers}[{number}]", problems)
    kinds: Sequence[str] = spec.get("policyTypes") or ()
    if len(kinds) > 2:
        detail = "may not specify more than two policyTypes"
        problems.invalid("spec.policyTypes", kinds, detail)
    for index, kind in enumerate(kinds):
        if kind not in ("Ingress", "Egress"):
            problems.unsupported(f"spec.policyTypes[{index}]", kind, ("Ingress", "Egress"))


def _port(port: Object, path: str, problems: Problems) -> None:
    protocol, number, end = port.get("protocol"), port.get("port"), port.get("endPort")
    if protocol is not None and protocol not in PROTOCOLS:
        problems.unsupported(f"{path}.protocol", protocol, PROTOCOLS)
    if number is not None:
        port_or_name(number, f"{path}.port", problems)
        if end is not None and isinstance(number, int):
            if end < number:
                detail = "must be greater than or equal to `port`"
                problems.invalid(f"{path}.endPort", end, detail)
            port_number(end, f"{path}.endPort", problems)
        elif end is not None:
            detail = "may not be specified when `port` is non-numeric"
            problems.forbidden(f"{path}.endPort", detail)
    elif end is not None:
        detail = "may not be specified when `port` is not specified"
        problems.forbidden(f"{path}.endPort", detail)


def _peer(peer: Object, path: str, problems: Problems) -> None:
    kinds = [
        kind
        for kind in ("podSelector", "namespaceSelector", "ipBlock")
        if peer.get(kind) is not None
    ]
    for kind in ("podSelector", "namespaceSelector"):
        label_selector(peer.get(kind), f"{path}.{kind}", problems)
    if "ipBlock" in kinds:
        _block(peer["ipBlock"], f"{path}.ipBlock", problems)
    if not kinds:
        problems.required(path, "must specify a peer")
    elif len(kinds) > 1 and "ipBlock" in kinds:
        problems.forbidden(path, "may not specify both ipBlock and another peer")


def _block(block: Object, path: str, problems: Problems) -> None:
    given = block.get("cidr") or ""
    if not given:
        problems.required(f"{path}.cidr")
        return
    whole = _network(given, f"{path}.cidr", problems)
    for index, part in enumerate(block.get("except") or ()):
        inner = _network(part, f"{path}.except[{index}]", problems)
        if whole is None or inner is None:
            continue
        same = inner.version == whole.version
        if not same or inner == whole or not inner.subnet_of(whole):  # type: ignore[arg-type]
            detail = "must be a strict subset of `cidr`"
            problems.invalid(f"{path}.except[{index}]", part, detail)


def _network(
    text: str, field: str, problems: Problems
) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    with contextlib.suppress(ValueError):
        if "/" in text:
            return ipaddress.ip_network(text, strict=False)
    problems.invalid(field, text, CIDR)
    return None
