"""What Kubernetes demands of the resources that a container asks for."""

import functools
from collections.abc import Mapping
from typing import Any

from labkit.embedded.apiserver.rules import names
from labkit.embedded.apiserver.rules.causes import Problems
from labkit.embedded.apiserver.rules.quantities import amount, canonical

Object = Mapping[str, Any]
NOT_NEGATIVE = "must be greater than or equal to 0"
CONTAINER_RESOURCES = ("cpu", "memory", "ephemeral-storage")
STANDARD_RESOURCES = frozenset(
    (
        *CONTAINER_RESOURCES,
        "pods",
        "services",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "storage",
        "services.nodeports",
        "services.loadbalancers",
        *(f"{kind}.{name}" for kind in ("limits", "requests") for name in CONTAINER_RESOURCES),
        "requests.storage",
    )
)


def resources(given: Object, path: str, problems: Problems) -> None:
    """Names and amounts of limits and requests, and how they go together."""
    limits, requests = given.get("limits") or {}, given.get("requests") or {}
    for name, value in sorted(limits.items()):
        _resource(name, value, f"{path}.limits[{name}]", problems)
    for name, value in sorted(requests.items()):
        _resource(name, value, f"{path}.requests[{name}]", problems)
        free = _is_native(name) and not name.startswith("hugepages-")
        if name not in limits:
            if not free:
                detail = "Limit must be set for non overcommitable resources"
                problems.required(f"{path}.limits", detail)
            continue
        if value == limits[name]:
            continue
        wanted, most = amount(value), amount(limits[name])
        limit = f"{name} limit of {canonical(limits[name])}"
        if wanted != most and not free:
            problems.invalid(f"{path}.requests", canonical(value), f"must be equal to {limit}")
        elif wanted > most:
            detail = f"must be less than or equal to {limit}"
            problems.invalid(f"{path}.requests", canonical(value), detail)
    names_given = {*limits, *requests}
    huge = any(name.startswith("hugepages-") for name in names_given)
    if huge and not names_given & {"cpu", "memory"}:
        problems.forbidden(path, "HugePages require cpu or memory")


def _is_native(name: str) -> bool:
    return "/" not in name or name.partition("/")[0].endswith("kubernetes.io")


@functools.lru_cache(maxsize=256)
def _resource_name(name: str) -> tuple[str, ...]:
    wrong = names.qualified_name(name)
    if wrong:
        return tuple(wrong)
    if "/" not in name and not name.startswith("hugepages-"):
        found = []
        if name not in STANDARD_RESOURCES:
            found.append("must be a standard resource type or fully qualified")
        if name not in CONTAINER_RESOURCES:
            found.append("must be a standard resource for containers")
        return tuple(found)
    if name.startswith("requests."):
        return ("doesn't follow extended resource name standard",)
    return ()


def _resource(name: str, value: Any, field: str, problems: Problems) -> None:
    problems.invalid(field, name, *_resource_name(name))
    number = amount(value)
    if number.numerator < 0:  # a fraction takes its time to be compared
        problems.invalid(field, canonical(value), NOT_NEGATIVE)
    if not _is_native(name) and number.denominator != 1:
        problems.invalid(field, canonical(value), "must be an integer")
