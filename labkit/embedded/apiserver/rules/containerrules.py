"""What Kubernetes demands of the containers of pods and pod templates."""

from collections.abc import Mapping, Sequence
from typing import Any

from labkit.embedded.apiserver.rules import names
from labkit.embedded.apiserver.rules.causes import Problems
from labkit.embedded.apiserver.rules.environmentrules import environment, environment_from
from labkit.embedded.apiserver.rules.resourcerules import resources
from labkit.embedded.apiserver.rules.securityrules import local_path, security_context

Object = Mapping[str, Any]
PROTOCOLS = ("SCTP", "TCP", "UDP")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")
HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
NOT_NEGATIVE = "must be greater than or equal to 0"


def containers(
    spec: Object, path: str, problems: Problems, *, volumes: set[str], template: bool
) -> None:
    """The containers of a pod, then those that run before them."""
    seen: set[str] = set()
    taken: set[str] = set()
    if not spec.get("containers"):
        problems.required(f"{path}.containers")
    grace = spec.get("terminationGracePeriodSeconds")
    for kind in ("containers", "initContainers"):
        for index, item in enumerate(spec.get(kind) or ()):
            where = f"{path}.{kind}[{index}]"
            _container(item, where, problems, volumes=volumes)
            name = item.get("name", "")
            if name in seen:
                problems.duplicate(f"{where}.name", name)
            elif name or kind == "containers":
                seen.add(name)
            if kind == "containers" or item.get("restartPolicy") == "Always":
                _life(item, where, problems, grace)
            else:
                _no_life(item, where, problems)
            _host_ports(item, where, problems, taken if kind == "containers" else set())
    if template:
        return
    for kind in ("containers", "initContainers"):
        for index, item in enumerate(spec.get(kind) or ()):
            image = str(item.get("image") or "")
            if image != image.strip():
                detail = "must not have leading or trailing whitespace"
                problems.invalid(f"{path}.{kind}[{index}].image", image, detail)


def _container(item: Object, path: str, problems: Problems, *, volumes: set[str]) -> None:
    name = item.get("name", "")
    if not name:
        problems.required(f"{path}.name")
    else:
        problems.invalid(f"{path}.name", name, *names.dns_label(name))
    if not item.get("image"):
        problems.required(f"{path}.image")
    policy = item.get("terminationMessagePolicy")
    if policy not in (None, *MESSAGE_POLICIES):
        problems.unsupported(f"{path}.terminationMessagePolicy", policy, MESSAGE_POLICIES)
    _ports(item.get("ports") or (), f"{path}.ports", problems)
    environment(item.get("env") or (), f"{path}.env", problems)
    environment_from(item.get("envFrom") or (), f"{path}.envFrom", problems)
    _mounts(item, f"{path}.volumeMounts", problems, volumes=volumes)
    policy = item.get("imagePullPolicy")
    if policy not in (None, *PULL_POLICIES):
        problems.unsupported(f"{path}.imagePullPolicy", policy, PULL_POLICIES)
    if item.get("resources"):
        resources(item["resources"], f"{path}.resources", problems)
    if item.get("securityContext"):
        security_context(item["securityContext"], f"{path}.securityContext", problems)


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


def _ports(ports: Sequence[Object], path: str, problems: Problems) -> None:
    seen: set[str] = set()
    for index, port in enumerate(ports):
        where, name = f"{path}[{index}]", port.get("name")
        if name:
            wrong = names.port_name(name)
            problems.invalid(f"{where}.name", name, *wrong)
            if name in seen and not wrong:
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


def _host_ports(item: Object, path: str, problems: Problems, taken: set[str]) -> None:
    for index, port in enumerate(item.get("ports") or ()):
        if not port.get("hostPort"):
            continue
        text = f"{port.get('protocol')}/{port.get('hostIP', '')}/{port['hostPort']}"
        if text in taken:
            problems.duplicate(f"{path}.ports[{index}].hostPort", text)
        taken.add(text)


def _mounts(item: Object, path: str, problems: Problems, *, volumes: set[str]) -> None:
    seen: set[str] = set()
    privileged = (item.get("securityContext") or {}).get("privileged")
    for index, mount in enumerate(item.get("volumeMounts") or ()):
        where, name, place = f"{path}[{index}]", mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            problems.required(f"{where}.name")
        if name not in volumes:
            problems.not_found(f"{where}.name", name)
        if not place:
            problems.required(f"{where}.mountPath")
        if place in seen:
            problems.invalid(f"{where}.mountPath", place, "must be unique")
        seen.add(place)
        if mount.get("subPath"):
            local_path(mount["subPath"], f"{path}.subPath", problems)
        if mount.get("subPathExpr"):
            if mount.get("subPath"):
                detail = "subPathExpr and subPath are mutually exclusive"
                problems.invalid(f"{where}.subPathExpr", mount["subPathExpr"], detail)
            local_path(mount["subPathExpr"], f"{path}.subPathExpr", problems)
        propagation = mount.get("mountPropagation")
        if propagation is not None and propagation not in PROPAGATIONS:
            problems.unsupported(f"{path}.mountPropagation", propagation, PROPAGATIONS)
        elif propagation == "Bidirectional" and not privileged:
            detail = "Bidirectional mount propagation is available only to privileged containers"
            problems.forbidden(f"{path}.mountPropagation", detail)


def _life(item: Object, path: str, problems: Problems, grace: Any) -> None:
    lifecycle = item.get("lifecycle") or {}
    for hook in ("postStart", "preStop"):
        if lifecycle.get(hook) is not None:
            _handler(lifecycle[hook], f"{path}.lifecycle.{hook}", problems, grace)
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if item.get(probe) is not None:
            _probe(item[probe], f"{path}.{probe}", problems, probe)


def _no_life(item: Object, path: str, problems: Problems) -> None:
    for field in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
        if item.get(field) is not None:
            detail = "may not be set for init containers without restartPolicy=Always"
            problems.forbidden(f"{path}.{field}", detail)


def _handler(given: Object, path: str, problems: Problems, grace: Any) -> None:
    handlers = [key for key in HANDLERS if given.get(key) is not None]
    for extra in handlers[1:]:
        problems.forbidden(f"{path}.{extra}", "may not specify more than 1 handler type")
    if not handlers:
        problems.required(path, "must specify a handler type")
        return
    kind, action = handlers[0], given[handlers[0]]
    where = f"{path}.{kind}"
    if kind == "exec" and not action.get("command"):
        problems.required(f"{where}.command")
    if kind == "httpGet":
        if not action.get("path"):
            problems.required(f"{where}.path")
        port_or_name(action.get("port"), f"{where}.port", problems)
        scheme = action.get("scheme") or ""
        if scheme not in ("HTTP", "HTTPS"):
            problems.unsupported(f"{where}.scheme", scheme, ("HTTP", "HTTPS"))
        for header in action.get("httpHeaders") or ():
            name = header.get("name") or ""
            problems.invalid(f"{where}.httpHeaders", name, *names.header_name(name))
    if kind == "tcpSocket":
        port_or_name(action.get("port"), f"{where}.port", problems)
    if kind == "grpc":
        port_number(action.get("port") or 0, f"{where}.port", problems)
    if kind == "sleep" and grace is not None and not 0 <= action.get("seconds", 0) <= grace:
        detail = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
        problems.invalid(where, action.get("seconds", 0), detail)


def _probe(probe: Object, path: str, problems: Problems, kind: str) -> None:
    _handler({**probe, "sleep": None}, path, problems, None)
    for field in (
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ):
        if (probe.get(field) or 0) < 0:
            problems.invalid(f"{path}.{field}", probe[field], NOT_NEGATIVE)
    grace, field = probe.get("terminationGracePeriodSeconds"), "terminationGracePeriodSeconds"
    if grace is not None and grace <= 0:
        problems.invalid(f"{path}.{field}", grace, "must be greater than 0")
    if kind == "readinessProbe":
        if grace is not None:
            problems.invalid(f"{path}.{field}", grace, "must not be set for readinessProbes")
    elif probe.get("successThreshold", 1) != 1:
        problems.invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1")
