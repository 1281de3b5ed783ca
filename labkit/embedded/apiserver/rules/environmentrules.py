"""What Kubernetes demands of environment variables and of references to fields and keys."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from labkit.embedded.apiserver.rules import names
from labkit.embedded.apiserver.rules.causes import Problems

Object = Mapping[str, Any]
TWO_SOURCES = "may not have more than one field specified at a time"
ENV_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
KNOWN_FIELDS = frozenset(
    (*ENV_FIELDS, "metadata.labels", "metadata.annotations", "spec.restartPolicy")
)
ENV_RESOURCES = tuple(
    f"{kind}.{name}"
    for kind in ("limits", "requests")
    for name in ("cpu", "ephemeral-storage", "memory")
)


def environment(env: Sequence[Object], path: str, problems: Problems) -> None:
    """Variables and where their values come from."""
    for index, item in enumerate(env):
        where, name = f"{path}[{index}]", item.get("name", "")
        if not name:
            problems.required(f"{where}.name")
        else:
            problems.invalid(f"{where}.name", name, *names.env_name(name))
        if item.get("valueFrom") is not None:
            _value_from(item, f"{where}.valueFrom", problems)


def _value_from(item: Object, path: str, problems: Problems) -> None:
    source = item["valueFrom"]
    kinds = [key for key in source if source[key] is not None]
    if source.get("fieldRef") is not None:
        field_ref(source["fieldRef"], f"{path}.fieldRef", ENV_FIELDS, problems)
    if source.get("resourceFieldRef") is not None:
        resource_ref(source["resourceFieldRef"], f"{path}.resourceFieldRef", problems)
    for kind in ("configMapKeyRef", "secretKeyRef"):
        if source.get(kind) is not None:
            _key_ref(source[kind], f"{path}.{kind}", problems)
    if not kinds:
        detail = (
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, "
            "`secretKeyRef` or `fileKeyRef`"
        )
        problems.invalid(path, "", detail)
    elif item.get("value"):
        problems.invalid(path, "", "may not be specified when `value` is not empty")
    elif len(kinds) > 1:
        problems.invalid(path, "", TWO_SOURCES)


def field_ref(ref: Object, path: str, known: Sequence[str], problems: Problems) -> None:
    """A field of the pod that a variable or a file gets its value from."""
    place = ref.get("fieldPath") or ""
    base, _, subscript = place.partition("['")
    if not place:
        problems.required(f"{path}.fieldPath")
    elif base not in KNOWN_FIELDS:
        detail = f"error converting fieldPath: field label not supported: {place}"
        problems.invalid(f"{path}.fieldPath", place, detail)
    elif subscript:
        key = subscript.removesuffix("']")
        if base not in ("metadata.labels", "metadata.annotations"):
            problems.invalid(path, base, "does not support subscript")
        else:
            key = key.lower() if base == "metadata.annotations" else key
            problems.invalid(path, key, *names.qualified_name(key))
    elif place not in known:
        problems.unsupported(f"{path}.fieldPath", place, sorted(known))


def resource_ref(ref: Object, path: str, problems: Problems, *, volume: bool = False) -> None:
    """A container's limit or request that a variable or a file gets its value from."""
    resource = ref.get("resource") or ""
    if volume and not ref.get("containerName"):
        problems.required(f"{path}.containerName")
    elif not resource:
        problems.required(f"{path}.resource")
    elif resource not in ENV_RESOURCES and not re.match(r"(limits|requests)\.hugepages-", resource):
        problems.unsupported(f"{path}.resource", resource, ENV_RESOURCES)


def _key_ref(ref: Object, path: str, problems: Problems) -> None:
    name, key = ref.get("name") or "", ref.get("key") or ""
    problems.invalid(f"{path}.name", name, *names.dns_subdomain(name))
    if not key:
        problems.required(f"{path}.key")
    else:
        problems.invalid(f"{path}.key", key, *names.config_key(key))


def environment_from(sources: Sequence[Object], path: str, problems: Problems) -> None:
    """ConfigMaps and Secrets whose keys become variables."""
    for index, item in enumerate(sources):
        where, prefix = f"{path}[{index}]", item.get("prefix")
        if prefix:
            problems.invalid(f"{where}.prefix", prefix, *names.env_name(prefix))
        kinds = [kind for kind in ("configMapRef", "secretRef") if item.get(kind) is not None]
        for kind in kinds:
            name = item[kind].get("name") or ""
            if not name:
                problems.required(f"{where}.{kind}.name")
            else:
                problems.invalid(f"{where}.{kind}.name", name, *names.dns_subdomain(name))
        if not kinds:
            problems.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")
        elif len(kinds) > 1:
            problems.invalid(path, "", TWO_SOURCES)
