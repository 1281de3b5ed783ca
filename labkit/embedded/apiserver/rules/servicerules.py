"""What Kubernetes demands of Services.

Allocation of addresses and ports is the server's business.
"""

import contextlib
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from labkit.embedded.apiserver.rules import containerrules, names
from labkit.embedded.apiserver.rules.causes import Problems
from labkit.embedded.apiserver.rules.containerrules import PROTOCOLS
from labkit.embedded.apiserver.rules.ingressrules import CIDR
from labkit.embedded.apiserver.rules.schedulingrules import labels

Object = Mapping[str, Any]
SERVICE_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
POLICIES = ("Cluster", "Local")
FAMILIES = ("IPv4", "IPv6")
FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
DISTRIBUTIONS = ("PreferClose", "PreferSameNode", "PreferSameZone")
LONGEST_AFFINITY = 86400
NOT_EXTERNAL = "may not be set for ExternalName services"
ONLY_BALANCED = "may only be used when `type` is 'LoadBalancer'"
SET_ONCE = "may not change once set"


def service(obj: Object, old: Object | None, problems: Problems) -> None:
    """Ports, type, addresses; a cluster address stays."""
    spec = obj.get("spec") or {}
    kind, ports = spec.get("type"), spec.get("ports") or ()
    if old is not None:
        _unchanged(spec, old.get("spec") or {}, problems)
    headless = _is_headless(spec)
    if not ports and not headless and kind != "ExternalName":
        problems.required("spec.ports")
    if headless and kind in ("LoadBalancer", "NodePort"):
        detail = f"may not be set to 'None' for {kind} services"
        problems.invalid("spec.clusterIPs[0]", "None", detail)
    if kind == "ExternalName":
        _external_name(spec, problems)
    _ports(ports, problems)
    labels(spec.get("selector"), "spec.selector", problems)
    _affinity(spec, problems)
    if kind != "ExternalName":
        _addresses(spec, problems)
    for index, address in enumerate(spec.get("externalIPs") or ()):
        details = names.ip_address(address) or names.ordinary_ip(address)
        problems.invalid(f"spec.externalIPs[{index}]", address, *details)
    if kind not in SERVICE_TYPES:
        problems.unsupported("spec.type", kind or "", SERVICE_TYPES)
    _port_clashes(ports, kind, problems)
    _balancer(spec, problems)
    _policies(spec, problems)
    balancer = (obj.get("status") or {}).get("loadBalancer") or {}
    for index, item in enumerate(balancer.get("ingress") or ()):
        if item.get("ip"):
            field = f"status.loadBalancer.ingress[{index}].ip"
            problems.invalid(field, item["ip"], *names.ip_address(item["ip"]))


def _is_headless(spec: Object) -> bool:
    return spec.get("clusterIP") == "None" or (spec.get("clusterIPs") or [""])[0] == "None"


def _given_addresses(spec: Object) -> list[str]:
    return spec.get("clusterIPs") or [ip for ip in [spec.get("clusterIP")] if ip]


def _external_name(spec: Object, problems: Problems) -> None:
    for field, value in (
        ("clusterIPs", _given_addresses(spec)),
        ("ipFamilies", spec.get("ipFamilies")),
        ("ipFamilyPolicy", spec.get("ipFamilyPolicy")),
    ):
        if value:
            problems.forbidden(f"spec.{field}", NOT_EXTERNAL)
    name = str(spec.get("externalName") or "").removesuffix(".")
    if not name:
        problems.required("spec.externalName")
    else:
        problems.invalid("spec.externalName", name, *names.dns_subdomain(name))


def _ports(ports: Sequence[Object], problems: Problems) -> None:
    seen: set[str] = set()
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
        spoken = port.get("appProtocol")
        if spoken is not None:
            problems.invalid(f"{path}.appProtocol", spoken, *names.qualified_name(spoken))


def _affinity(spec: Object, problems: Problems) -> None:
    kind, config = spec.get("sessionAffinity"), spec.get("sessionAffinityConfig")
    if kind not in ("ClientIP", "None"):
        problems.unsupported("spec.sessionAffinity", kind or "", ("ClientIP", "None"))
    field = "spec.sessionAffinityConfig"
    if kind == "None" and config is not None:
        problems.forbidden(field, "must not be set when session affinity is None")
    if kind == "ClientIP":
        client = (config or {}).get("clientIP")
        if client is None or client.get("timeoutSeconds") is None:
            where = f"{field}.clientIP" + ("" if client is None else ".timeoutSeconds")
            problems.required(where, "when session affinity type is ClientIP")
        elif not 0 < client["timeoutSeconds"] <= LONGEST_AFFINITY:
            detail = f"must be greater than 0 and less than {LONGEST_AFFINITY}"
            where = f"{field}.clientIP.timeoutSeconds"
            problems.invalid(where, client["timeoutSeconds"], detail)


def _addresses(spec: Object, problems: Problems) -> None:
    first, given = spec.get("clusterIP") or "", spec.get("clusterIPs") or []
    if first and given and given[0] != first:
        problems.invalid("spec.clusterIPs", given, "first value must match `clusterIP`")
    elif given and not first:
        detail = "must be empty when `clusterIP` is not specified"
        problems.invalid("spec.clusterIPs", given, detail)
    families = spec.get("ipFamilies") or ()
    for index, family in enumerate(families):
        if family not in FAMILIES:
            problems.unsupported(f"spec.ipFamilies[{index}]", family, FAMILIES)
        elif family in families[:index]:
            problems.duplicate(f"spec.ipFamilies[{index}]", family)
    policy = spec.get("ipFamilyPolicy")
    if policy is not None and policy not in FAMILY_POLICIES:
        problems.unsupported("spec.ipFamilyPolicy", policy, FAMILY_POLICIES)
    for index, address in enumerate(given or [ip for ip in [first] if ip]):
        if address == "None" and index == 0:
            if len(given) > 1:
                detail = "'None' must be the first and only value"
                problems.invalid("spec.clusterIPs", given, detail)
            continue
        problems.invalid(f"spec.clusterIPs[{index}]", address, *names.ip_address(address))
    if len(given) > 2:
        problems.invalid("spec.clusterIPs", given, "may only hold up to 2 values")
    for index, address in enumerate(given):
        _same_family(address, index, families, problems)


def _same_family(address: str, index: int, families: Sequence[str], problems: Problems) -> None:
    if index >= len(families):
        return
    with contextlib.suppress(ValueError):
        family = f"IPv{ipaddress.ip_address(address).version}"
        if families[index] in FAMILIES and family != families[index]:
            detail = f"expected an {families[index]} value as indicated by `ipFamilies[{index}]`"
            problems.invalid(f"spec.clusterIPs[{index}]", address, detail)


def _port_clashes(ports: Sequence[Object], kind: Any, problems: Problems) -> None:
    if kind == "ClusterIP":
        for index, port in enumerate(ports):
            if port.get("nodePort"):
                field = f"spec.ports[{index}].nodePort"
                problems.forbidden(field, "may not be used when `type` is 'ClusterIP'")
    seen: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        pair = (port.get("protocol"), port.get("nodePort"))
        if pair[1] and pair in seen:
            problems.duplicate(f"spec.ports[{index}].nodePort", pair[1])
        seen.add(pair)
    seen = set()
    for index, port in enumerate(ports):
        pair = (port.get("protocol"), port.get("port"))
        if pair in seen:
            shape = {"Name": "", "Protocol": pair[0], "AppProtocol": None, "Port": pair[1]}
            problems.duplicate(f"spec.ports[{index}]", {**shape, "TargetPort": 0, "NodePort": 0})
        seen.add(pair)


def _balancer(spec: Object, problems: Problems) -> None:
    balanced = spec.get("type") == "LoadBalancer"
    ranges, field = spec.get("loadBalancerSourceRanges") or (), "spec.LoadBalancerSourceRanges"
    if ranges and not balanced:
        problems.forbidden(field, ONLY_BALANCED)
    for index, value in enumerate(ranges):
        try:
            ipaddress.ip_network(value.strip(), strict=False)
            good = "/" in value
        except ValueError:
            good = False
        if not good:
            problems.invalid(f"{field}[{index}]", value.strip(), CIDR)
    if spec.get("allocateLoadBalancerNodePorts") is not None and not balanced:
        problems.forbidden("spec.allocateLoadBalancerNodePorts", ONLY_BALANCED)
    name = spec.get("loadBalancerClass")
    if name is not None and balanced:
        problems.invalid("spec.loadBalancerClass", name, *names.qualified_name(name))
    elif name is not None:
        problems.forbidden("spec.loadBalancerClass", ONLY_BALANCED)


def _policies(spec: Object, problems: Problems) -> None:
    policy, field = spec.get("externalTrafficPolicy") or "", "spec.externalTrafficPolicy"
    exposed = spec.get("type") in ("LoadBalancer", "NodePort") or (
        spec.get("type") == "ClusterIP" and spec.get("externalIPs")
    )
    if policy and not exposed:
        detail = "may only be set for externally-accessible services"
        problems.invalid(field, policy, detail)
    elif policy and policy not in POLICIES:
        problems.unsupported(field, policy, POLICIES)
    port = spec.get("healthCheckNodePort")
    if port and (spec.get("type") != "LoadBalancer" or policy != "Local"):
        detail = (
            "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        )
        problems.invalid("spec.healthCheckNodePort", port, detail)
    inside = spec.get("internalTrafficPolicy")
    if inside is not None and inside not in POLICIES:
        problems.unsupported("spec.internalTrafficPolicy", inside, POLICIES)
    spread = spec.get("trafficDistribution")
    if spread is not None and spread not in DISTRIBUTIONS:
        problems.unsupported("spec.trafficDistribution", spread, DISTRIBUTIONS)


def _unchanged(spec: Object, before: Object, problems: Problems) -> None:
    if "ExternalName" in (spec.get("type"), before.get("type")):
        return
    given, had = _given_addresses(spec), before.get("clusterIPs") or []
    if had and given and given[0] != had[0]:
        problems.invalid("spec.clusterIPs[0]", given, SET_ONCE)
    families, known = spec.get("ipFamilies") or [], before.get("ipFamilies") or []
    if known and families and families[0] != known[0]:
        problems.invalid("spec.ipFamilies[0]", families, SET_ONCE)
