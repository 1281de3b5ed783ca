"""What Kubernetes warns of in the spec of a pod: things that are accepted, and hardly meant.

Each function yields texts for Warning headers. Left out: volume plugins that are gone, and what
only matters where a node enforces it (AppArmor).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from labkit.embedded.apiserver.rules.quantities import amount

Object = Mapping[str, Any]

NODE_LABELS: Mapping[str, str] = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": (
        'deprecated since v1.17; use "topology.kubernetes.io/region" instead'
    ),
    "failure-domain.beta.kubernetes.io/zone": (
        'deprecated since v1.17; use "topology.kubernetes.io/zone" instead'
    ),
    "beta.kubernetes.io/instance-type": (
        'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead'
    ),
    "app.kubernetes.io/created-by": "deprecated since v1.9",
    "scheduler.alpha.kubernetes.io/preferAvoidPods": (
        "deprecated since v1.22; use Taints and Tolerations instead"
    ),
    "node-role.kubernetes.io/master": 'use "node-role.kubernetes.io/control-plane" instead',
}
ANNOTATIONS: Mapping[str, str] = {
    "scheduler.alpha.kubernetes.io/critical-pod": (
        'non-functional in v1.16+; use the "priorityClassName" field instead'
    ),
    "security.alpha.kubernetes.io/sysctls": (
        'non-functional in v1.11+; use the "sysctls" field instead'
    ),
    "security.alpha.kubernetes.io/unsafe-sysctls": (
        'non-functional in v1.11+; use the "sysctls" field instead'
    ),
}
SECCOMP = "seccomp.security.alpha.kubernetes.io/pod"
CONTAINER_SECCOMP = "container.seccomp.security.alpha.kubernetes.io/"
NO_SECCOMP = 'non-functional in v1.27+; use the "seccompProfile" field instead'
NO_SELECTOR = "a null labelSelector results in matching no pod"
BYTES = ("memory", "ephemeral-storage")


def of_pod(metadata: Object, spec: Object, path: str = "") -> Iterator[str]:
    """Warnings of a pod, or of a template that stands at `path` (with its dot)."""
    yield from _placing(spec, f"{path}spec")
    annotations = metadata.get("annotations") or {}
    for key, message in ANNOTATIONS.items():
        if key in annotations:
            yield f"{path}metadata.annotations[{key}]: {message}"
    yield from _volumes(spec.get("volumes") or (), f"{path}spec.volumes")
    yield from _repeated(spec, f"{path}spec")
    secured = (spec.get("securityContext") or {}).get("seccompProfile")
    if SECCOMP in annotations and not secured:
        yield f"{path}metadata.annotations[{SECCOMP}]: {NO_SECCOMP}"
    found = list(containers(spec, f"{path}spec"))
    for container, where in found:
        key = CONTAINER_SECCOMP + str(container.get("name"))
        if key in annotations and not (container.get("securityContext") or {}).get(
            "seccompProfile"
        ):
            yield f"{path}metadata.annotations[{key}]: {NO_SECCOMP}"
        yield from _resources(container.get("resources") or {}, f"{where}.resources")
        yield from _environment(container.get("env") or (), f"{where}.env")
    yield from _ports(found)
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        text = "must be >= 0; negative values are invalid and will be treated as 1"
        yield f"{path}spec.terminationGracePeriodSeconds: {text}"
    yield from _affinity(spec.get("affinity") or {}, f"{path}spec.affinity")


def containers(spec: Object, path: str) -> Iterator[tuple[Object, str]]:
    """Every container of a pod, with its place."""
    for part in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(part) or ()):
            yield container, f"{path}.{part}[{index}]"


def _placing(spec: Object, path: str) -> Iterator[str]:
    for key in spec.get("nodeSelector") or ():
        if key in NODE_LABELS:
            yield f"{path}.nodeSelector[{key}]: {NODE_LABELS[key]}"
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    where = f"{path}.affinity.nodeAffinity"
    for index, term in enumerate(required.get("nodeSelectorTerms") or ()):
        place = "requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
        yield from _node_term(term, f"{where}.{place}[{index}]")
    preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    for index, choice in enumerate(preferred):
        place = f"preferredDuringSchedulingIgnoredDuringExecution[{index}].preference"
        yield from _node_term(choice.get("preference") or {}, f"{where}.{place}")
    for index, spread in enumerate(spec.get("topologySpreadConstraints") or ()):
        place, key = f"{path}.topologySpreadConstraints[{index}]", spread.get("topologyKey")
        if key in NODE_LABELS:
            yield f"{place}.topologyKey: {key} is {NODE_LABELS[key]}"
        if spread.get("labelSelector") is None:
            yield f"{place}.labelSelector: {NO_SELECTOR}"


def _node_term(term: Object, path: str) -> Iterator[str]:
    for index, expression in enumerate(term.get("matchExpressions") or ()):
        key = expression.get("key")
        if key in NODE_LABELS:
            yield f"{path}.matchExpressions[{index}].key: {key} is {NODE_LABELS[key]}"


def _volumes(volumes: Sequence[Object], path: str) -> Iterator[str]:
    for index, volume in enumerate(volumes):
        if "gitRepo" in volume:
            yield f"{path}[{index}].gitRepo: deprecated in v1.11"


def _repeated(spec: Object, path: str) -> Iterator[str]:
    for field, key in (("hostAliases", "ip"), ("imagePullSecrets", "name")):
        seen = set()
        for index, item in enumerate(spec.get(field) or ()):
            value = item.get(key) or ""
            if value in seen:
                yield f'{path}.{field}[{index}].{key}: duplicate {key} "{value}"'
            seen.add(value)
    for index, secret in enumerate(spec.get("imagePullSecrets") or ()):
        if not secret.get("name"):
            yield f'{path}.imagePullSecrets[{index}].name: invalid empty name ""'


def _resources(resources: Object, path: str) -> Iterator[str]:
    for name in BYTES:
        for part in ("limits", "requests"):
            value = (resources.get(part) or {}).get(name)
            if value is not None and amount(value).denominator != 1:
                text = f'fractional byte value "{value}" is invalid, must be an integer'
                yield f"{path}.{part}[{name}]: {text}"


def _environment(variables: Sequence[Object], path: str) -> Iterator[str]:
    seen = set()
    for index, variable in enumerate(variables):
        name, value = variable.get("name"), str(variable.get("value") or "")
        reference = f"$({name})"
        extends = reference in value and value != reference and not variable.get("valueFrom")
        if name in seen and not extends:
            text = f'hides previous definition of "{name}", which may be dropped when using apply'
            yield f"{path}[{index}]: {text}"
        seen.add(name)


def _ports(found: Sequence[tuple[Object, str]]) -> Iterator[str]:
    """Ports that another container (or this one) has, too."""
    known: dict[tuple[Any, Any], list[tuple[Object, str]]] = {}
    for container, path in found:
        for index, port in enumerate(container.get("ports") or ()):
            where, key = f"{path}.ports[{index}]", (port.get("containerPort"), port.get("protocol"))
            for other, place in known.get(key, ()):
                if how := _clash(port, other):
                    yield f"{where}: {how} port definition with {place}"
            known.setdefault(key, []).append((port, where))


def _clash(port: Object, other: Object) -> str:
    here, there = port.get("hostPort") or 0, other.get("hostPort") or 0
    address, others = port.get("hostIP") or "", other.get("hostIP") or ""
    if (here, address) == (there, others):
        return "duplicate"
    if not here or not there:
        return "overlapping"
    return "dangerously ambiguous" if here == there and bool(address) != bool(others) else ""


def _affinity(affinity: Object, path: str) -> Iterator[str]:
    for kind in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(kind) or {}
        field = "requiredDuringSchedulingIgnoredDuringExecution"
        for index, term in enumerate(terms.get(field) or ()):
            if term.get("labelSelector") is None:
                yield f"{path}.{kind}.{field}[{index}].labelSelector: {NO_SELECTOR}"
        field = "preferredDuringSchedulingIgnoredDuringExecution"
        for index, choice in enumerate(terms.get(field) or ()):
            if (choice.get("podAffinityTerm") or {}).get("labelSelector") is None:
                place = f"{path}.{kind}.{field}[{index}].podAffinityTerm.labelSelector"
                yield f"{place}: {NO_SELECTOR}"
