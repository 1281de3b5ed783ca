"""What Kubernetes demands of pods and pod templates."""

from collections.abc import Mapping, Sequence
from typing import Any

from labkit.embedded.apiserver.rules import (
    containerrules,
    names,
    schedulingrules,
    securityrules,
    volumerules,
)
from labkit.embedded.apiserver.rules.causes import Problems

Object = Mapping[str, Any]
RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
NOT_NEGATIVE = "must be greater than or equal to 0"
INT32 = "must be between 1 and 2147483647, inclusive"
POD_IMMUTABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set "
    "to 1 if it was previously negative)\n"
)
MUTABLE = (
    "activeDeadlineSeconds",
    "tolerations",
    "terminationGracePeriodSeconds",
    "nodeName",
    "schedulingGates",
)


def pod(obj: Object, old: Object | None, problems: Problems) -> None:
    """A Pod: its spec, and on update that only images (and little else) changed."""
    spec = obj.get("spec") or {}
    pod_spec(spec, "spec", problems)
    if old is None:
        if spec.get("ephemeralContainers"):
            problems.forbidden("spec.ephemeralContainers", "cannot be set on create")
        if spec.get("nodeName") and spec.get("schedulingGates"):
            detail = "cannot be set until all schedulingGates have been cleared"
            problems.forbidden("spec.nodeName", detail)
        return
    before = old.get("spec") or {}
    bound = before.get("nodeName") and before["nodeName"] != spec.get("nodeName")
    if bound or _frozen(spec) != _frozen(before):
        problems.forbidden("spec", POD_IMMUTABLE)
    _changed(spec, before, problems)


def _changed(spec: Object, before: Object, problems: Problems) -> None:
    """What may change in one direction only: deadlines shrink, tolerations are added."""
    deadline, had = spec.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds")
    field = "spec.activeDeadlineSeconds"
    if had is not None and deadline is None:
        problems.invalid(field, None, "must not update from a positive integer to nil value")
    elif had is not None and deadline > had:
        problems.invalid(field, deadline, "must be less than or equal to previous value")
    kept = [_untimed(item) for item in spec.get("tolerations") or ()]
    if any(_untimed(item) not in kept for item in before.get("tolerations") or ()):
        detail = "existing toleration can not be modified except its tolerationSeconds"
        problems.forbidden("spec.tolerations", detail)


def _untimed(toleration: Object) -> Object:
    return {key: value for key, value in toleration.items() if key != "tolerationSeconds"}


def _frozen(spec: Object) -> Object:
    result = {key: value for key, value in spec.items() if key not in MUTABLE}
    for kind in ("containers", "initContainers"):
        result[kind] = [{**c, "image": "", "resources": None} for c in spec.get(kind) or ()]
    result.pop("ephemeralContainers", None)
    return result


def template(obj: Object, path: str, problems: Problems, *, restart: Sequence[str]) -> None:
    """A pod template whose restart policy must be one of those given."""
    metadata, spec = obj.get("metadata") or {}, obj.get("spec") or {}
    labels(metadata.get("labels"), f"{path}.labels", problems)
    annotations(metadata.get("annotations"), f"{path}.annotations", problems)
    pod_spec(spec, f"{path}.spec", problems, template=True)
    policy = spec.get("restartPolicy")
    if policy not in restart:
        if restart == ("Always",):
            problems.unsupported(f"{path}.spec.restartPolicy", policy or "", restart)
        else:
            problems.required(f"{path}.spec.restartPolicy", 'valid values: "OnFailure", "Never"')


def not_negative(obj: Object, path: str, problems: Problems) -> None:
    """The number at a path is absent or at least 0."""
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, int) and value < 0:
        problems.invalid(path, value, NOT_NEGATIVE)


labels = schedulingrules.labels


def annotations(values: Any, field: str, problems: Problems) -> None:
    """Keys and total size of annotations."""
    for key in sorted(values or {}):
        problems.invalid(field, key, *names.qualified_name(key.lower()))
    if sum(len(k) + len(str(v)) for k, v in (values or {}).items()) > 256 * 1024:
        problems.too_long(field, 256 * 1024)


def pod_spec(spec: Object, path: str, problems: Problems, *, template: bool = False) -> None:
    """Volumes, containers, policies, places, names."""
    volumes = volumerules.volumes(spec.get("volumes") or (), f"{path}.volumes", problems)
    containerrules.containers(spec, path, problems, volumes=volumes, template=template)
    if spec.get("hostNetwork"):
        _host_network(spec, path, problems, template=template)
    for field, known in (("restartPolicy", RESTART_POLICIES), ("dnsPolicy", DNS_POLICIES)):
        value = spec.get(field)
        if value not in known:
            problems.unsupported(f"{path}.{field}", value or "", known)
    labels(spec.get("nodeSelector"), f"{path}.nodeSelector", problems)
    if spec.get("securityContext"):
        _security(spec, f"{path}.securityContext", problems)
    if spec.get("affinity"):
        schedulingrules.affinity(spec["affinity"], f"{path}.affinity", problems)
    _dns(spec, f"{path}.dnsConfig", problems)
    for index, gate in enumerate(spec.get("readinessGates") or ()):
        name, where = gate.get("conditionType") or "", f"{path}.readinessGates[{index}]"
        problems.invalid(f"{where}.conditionType", name, *names.qualified_name(name))
    for index, gate in enumerate(spec.get("schedulingGates") or ()):
        name, where = gate.get("name") or "", f"{path}.schedulingGates[{index}]"
        problems.invalid(where, name, *names.qualified_name(name))
    constraints = spec.get("topologySpreadConstraints") or ()
    schedulingrules.spread(constraints, f"{path}.topologySpreadConstraints", problems)
    _names(spec, path, problems)
    tolerations = spec.get("tolerations") or ()
    schedulingrules.tolerations(tolerations, f"{path}.tolerations", problems)
    for index, alias in enumerate(spec.get("hostAliases") or ()):
        where, address = f"{path}.hostAliases[{index}]", alias.get("ip") or ""
        problems.invalid(f"{where}.ip", address, *names.ip_address(address))
        for number, name in enumerate(alias.get("hostnames") or ()):
            problems.invalid(f"{where}.hostnames[{number}]", name, *names.dns_subdomain(name))
    for field in ("priorityClassName", "runtimeClassName"):
        if spec.get(field):
            problems.invalid(f"{path}.{field}", spec[field], *names.dns_subdomain(spec[field]))


def _names(spec: Object, path: str, problems: Problems) -> None:
    for field, accepts in (
        ("serviceAccountName", names.dns_subdomain),
        ("nodeName", names.dns_subdomain),
    ):
        if spec.get(field):
            problems.invalid(f"{path}.{field}", spec[field], *accepts(spec[field]))
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline < 2**31:
        problems.invalid(f"{path}.activeDeadlineSeconds", deadline, INT32)
    for field in ("hostname", "subdomain"):
        if spec.get(field):
            problems.invalid(f"{path}.{field}", spec[field], *names.dns_label(spec[field]))


def _host_network(spec: Object, path: str, problems: Problems, *, template: bool) -> None:
    """Ports of the host are those of the container."""
    for index, item in enumerate(spec.get("containers") or ()):
        for number, port in enumerate(item.get("ports") or ()):
            host = port.get("hostPort") or 0
            if (host or not template) and host != port.get("containerPort"):
                field = f"{path}.containers[{index}].ports[{number}].hostPort"
                detail = "must match `containerPort` when `hostNetwork` is true"
                problems.invalid(field, host, detail)


def _security(spec: Object, path: str, problems: Problems) -> None:
    given = spec["securityContext"]
    for field in ("fsGroup", "runAsUser", "runAsGroup"):
        securityrules.identity(given.get(field), f"{path}.{field}", problems)
    for index, group in enumerate(given.get("supplementalGroups") or ()):
        securityrules.identity(group, f"{path}.supplementalGroups[{index}]", problems)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        detail = "ShareProcessNamespace and HostPID cannot both be enabled"
        problems.invalid(f"{path}.shareProcessNamespace", True, detail)
    policy = given.get("fsGroupChangePolicy")
    if policy is not None and policy not in ("Always", "OnRootMismatch"):
        problems.unsupported(f"{path}.fsGroupChangePolicy", policy, ("Always", "OnRootMismatch"))
    securityrules.seccomp(given.get("seccompProfile"), f"{path}.seccompProfile", problems)


def _dns(spec: Object, path: str, problems: Problems) -> None:
    given = spec.get("dnsConfig")
    servers = (given or {}).get("nameservers") or []
    if spec.get("dnsPolicy") == "None" and not servers:
        if given is None:
            problems.required(path, "must provide `dnsConfig` when `dnsPolicy` is None")
        else:
            detail = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            problems.required(f"{path}.nameservers", detail)
        return
    if given is None:
        return
    if len(servers) > 3:
        problems.invalid(f"{path}.nameservers", servers, "must not have more than 3 nameservers")
    for index, server in enumerate(servers):
        problems.invalid(f"{path}.nameservers[{index}]", server, *names.ip_address(server))
    for index, option in enumerate(given.get("options") or ()):
        if not option.get("name"):
            problems.required(f"{path}.options[{index}]", "must not be empty")
