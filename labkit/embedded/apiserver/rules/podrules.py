"""What Kubernetes demands of pods and pod templates."""

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from labkit.embedded.apiserver.rules import names
from labkit.embedded.apiserver.rules.causes import Problems

Object = Mapping[str, Any]
PROTOCOLS = ("SCTP", "TCP", "UDP")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
SUFFIXES = {
    "": 1.0,
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
    **{f"{letter}i": 1024.0**power for power, letter in enumerate("KMGTPE", 1)},
}
_quantity = re.compile(
    r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?)([a-zA-Z]*)"
).fullmatch
NOT_NEGATIVE = "must be greater than or equal to 0"
POD_IMMUTABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set "
    "to 1 if it was previously negative)\n"
)
MUTABLE = ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "nodeName")


def amount(quantity: Any) -> float:
    """Returns the number that a quantity such as `100m` or `1Gi` stands for."""
    return _amount(str(quantity))


@functools.lru_cache(maxsize=1000)
def _amount(quantity: str) -> float:
    match = _quantity(quantity.strip())
    if match is None:
        return 0.0
    return float(match[1]) * SUFFIXES.get(match[2], 1.0)


def pod(obj: Object, old: Object | None, problems: Problems) -> None:
    """A Pod: its spec, and on update that only images (and little else) changed."""
    spec = obj.get("spec") or {}
    pod_spec(spec, "spec", problems)
    before = (old or {}).get("spec") or {}
    bound = before.get("nodeName") and before["nodeName"] != spec.get("nodeName")
    if old is not None and (bound or _frozen(spec) != _frozen(before)):
        problems.forbidden("spec", POD_IMMUTABLE)


def _frozen(spec: Object) -> Object:
    result = {key: value for key, value in spec.items() if key not in MUTABLE}
    for kind in ("containers", "initContainers"):
        result[kind] = [{**c, "image": "", "resources": None} for c in spec.get(kind) or ()]
    result.pop("ephemeralContainers", None)
    return result


def template(obj: Object, path: str, problems: Problems, *, restart: Sequence[str]) -> None:
    """A pod template whose restart policy must be one of those given."""
    metadata, spec = obj.get("metadata") or {}, obj.get("spec") or {}
    labels(metadata.get("labels"), f"{path}.metadata.labels", problems)
    annotations(metadata.get("annotations"), f"{path}.metadata.annotations", problems)
    pod_spec(spec, f"{path}.spec", problems)
    policy = spec.get("restartPolicy")
    if policy in RESTART_POLICIES and policy not in restart:
        if restart == ("Always",):
            problems.unsupported(f"{path}.spec.restartPolicy", policy, restart)
        else:
            problems.required(f"{path}.spec.restartPolicy", 'valid values: "OnFailure", "Never"')


def not_negative(obj: Object, path: str, problems: Problems) -> None:
    """The number at a path is absent or at least 0."""
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, int) and value < 0:
        problems.invalid(path, value, NOT_NEGATIVE)


def labels(values: Any, field: str, problems: Problems) -> None:
    """Keys and values of labels."""
    for key, value in sorted((values or {}).items()):
        problems.invalid(field, key, *names.qualified_name(key))
        problems.invalid(field, value, *names.label_value(str(value)))


def annotations(values: Any, field: str, problems: Problems) -> None:
    """Keys and total size of annotations."""
    for key in sorted(values or {}):
        problems.invalid(field, key, *names.qualified_name(key.lower()))
    if sum(len(k) + len(str(v)) for k, v in (values or {}).items()) > 256 * 1024:
        problems.too_long(field, 256 * 1024)


def pod_spec(spec: Object, path: str, problems: Problems) -> None:
    """Volumes, containers, policies."""
    volumes = _volumes(spec.get("volumes") or (), f"{path}.volumes", problems)
    seen: set[str] = set()
    if not spec.get("containers"):
        problems.required(f"{path}.containers")
    for kind in ("containers", "initContainers"):
        for index, item in enumerate(spec.get(kind) or ()):
            where = f"{path}.{kind}[{index}]"
            container(item, where, problems, volumes=volumes)
            if item.get("name") and item["name"] in seen:
                problems.duplicate(f"{where}.name", item["name"])
            seen.add(item.get("name", ""))
    for field, known in (("restartPolicy", RESTART_POLICIES), ("dnsPolicy", DNS_POLICIES)):
        value = spec.get(field)
        if value not in known:
            problems.unsupported(f"{path}.{field}", value or "", known)
    account = spec.get("serviceAccountName")
    if account:
        problems.invalid(f"{path}.serviceAccountName", account, *names.dns_subdomain(account))
    grace = spec.get("terminationGracePeriodSeconds")
    if grace is not None and grace < 0:
        detail = "must be greater than or equal to 0"
        problems.invalid(f"{path}.terminationGracePeriodSeconds", grace, detail)
    labels(spec.get("nodeSelector"), f"{path}.nodeSelector", problems)


def _volumes(volumes: Sequence[Object], path: str, problems: Problems) -> set[str]:
    found: set[str] = set()
    for index, volume in enumerate(volumes):
        where, name = f"{path}[{index}]", volume.get("name", "")
        if not name:
            problems.required(f"{where}.name")
        else:
            problems.invalid(f"{where}.name", name, *names.dns_label(name))
        if name in found:
            problems.duplicate(f"{where}.name", name)
        sources = [key for key in volume if key != "name" and volume[key] is not None]
        if not sources:
            problems.required(where, "must specify a volume type")
        for extra in sources[1:]:
            problems.forbidden(f"{where}.{extra}", "may not specify more than 1 volume type")
        found.add(name)
    return found


def container(item: Object, path: str, problems: Problems, *, volumes: set[str]) -> None:
    """One container."""
    name = item.get("name", "")
    if not name:
        problems.required(f"{path}.name")
    else:
        problems.invalid(f"{path}.name", name, *names.dns_label(name))
    image = str(item.get("image") or "")
    if not image:
        problems.required(f"{path}.image")
    elif image != image.strip():
        problems.invalid(f"{path}.image", image, "must not have leading or trailing whitespace")
    policy = item.get("imagePullPolicy")
    if policy not in (None, *PULL_POLICIES):
        problems.unsupported(f"{path}.imagePullPolicy", policy, PULL_POLICIES)
    _container_ports(item.get("ports") or (), f"{path}.ports", problems)
    _environment(item.get("env") or (), f"{path}.env", problems)
    _mounts(item.get("volumeMounts") or (), f"{path}.volumeMounts", problems, volumes=volumes)
    _resources(item.get("resources") or {}, f"{path}.resources", problems)
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if item.get(probe) is not None:
            _probe(item[probe], f"{path}.{probe}", problems)


def port_number(value: Any, field: str, problems: Problems) -> None:
    """A port between 1 and 65535."""
    if not isinstance(value, int) or not 0 < value < 65536:
        problems.invalid(field, value, names.PORT_RANGE)


def port_or_name(value: Any, field: str, problems: Problems) -> None:
    """A port number or the name of a port."""
    if isinstance(value, str):
        problems.invalid(field, value, *names.port_name(value))
    else:
        port_number(value or 0, field, problems)


def _container_ports(ports: Sequence[Object], path: str, problems: Problems) -> None:
    seen: set[str] = set()
    for index, port in enumerate(ports):
        where, name = f"{path}[{index}]", port.get("name")
        if name:
            problems.invalid(f"{where}.name", name, *names.port_name(name))
            if name in seen:
                problems.duplicate(f"{where}.name", name)
            seen.add(name)
        if not port.get("containerPort"):
            problems.required(f"{where}.containerPort")
        else:
            port_number(port["containerPort"], f"{where}.containerPort", problems)
        if port.get("hostPort"):
            port_number(port["hostPort"], f"{where}.hostPort", problems)
        if port.get("protocol") not in (None, *PROTOCOLS):
            problems.unsupported(f"{where}.protocol", port["protocol"], PROTOCOLS)


def _environment(env: Sequence[Object], path: str, problems: Problems) -> None:
    for index, item in enumerate(env):
        where, name = f"{path}[{index}]", item.get("name", "")
        if not name:
            problems.required(f"{where}.name")
        else:
            problems.invalid(f"{where}.name", name, *names.env_name(name))
        source = item.get("valueFrom")
        if source is None:
            continue
        kinds = [key for key in source if source[key] is not None]
        if not kinds:
            problems.invalid(
                f"{where}.valueFrom",
                "",
                "must specify one of: `fieldRef`, "
                "`resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
            )
        if item.get("value"):
            detail = "may not be specified when `value` is not empty"
            problems.invalid(f"{where}.valueFrom", "", detail)


def _mounts(mounts: Sequence[Object], path: str, problems: Problems, *, volumes: set[str]) -> None:
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        where, name, place = f"{path}[{index}]", mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            problems.required(f"{where}.name")
        elif name not in volumes:
            problems.not_found(f"{where}.name", name)
        if not place:
            problems.required(f"{where}.mountPath")
        elif place in seen:
            problems.invalid(f"{where}.mountPath", place, "must be unique")
        seen.add(place)


def _resources(resources: Object, path: str, problems: Problems) -> None:
    limits = resources.get("limits") or {}
    for name, value in sorted((resources.get("requests") or {}).items()):
        if name in limits and amount(value) > amount(limits[name]):
            detail = f"must be less than or equal to {name} limit of {limits[name]}"
            problems.invalid(f"{path}.requests", str(value), detail)
    for kind in ("limits", "requests"):
        for name, value in sorted((resources.get(kind) or {}).items()):
            if amount(value) < 0:
                detail = "must be greater than or equal to 0"
                problems.invalid(f"{path}.{kind}[{name}]", str(value), detail)


def _probe(probe: Object, path: str, problems: Problems) -> None:
    handlers = [key for key in HANDLERS if probe.get(key) is not None]
    if not handlers:
        problems.required(path, "must specify a handler type")
    for extra in handlers[1:]:
        problems.forbidden(f"{path}.{extra}", "may not specify more than 1 handler type")
    if handlers and handlers[0] in ("httpGet", "tcpSocket"):
        port_or_name(probe[handlers[0]].get("port"), f"{path}.{handlers[0]}.port", problems)
    for field in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds"):
        if (probe.get(field) or 0) < 0:
            detail = "must be greater than or equal to 0"
            problems.invalid(f"{path}.{field}", probe[field], detail)
