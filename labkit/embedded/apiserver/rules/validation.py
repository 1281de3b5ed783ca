"""Is an object allowed? Metadata, enumerations of the schema, and the rules of its kind.

`validate` returns causes for a 422. Decoding errors (400), unknown fields, pruning and the
defaults of custom resources are in `decoding` and exported here, too.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from labkit.embedded.apiserver.rules import conforming, names, podrules
from labkit.embedded.apiserver.rules.causes import Cause, Problems
from labkit.embedded.apiserver.rules.decoding import (
    decode_check,
    default_from_schema,
    prune,
    unknown_fields,
    without_nulls,
)
from labkit.embedded.apiserver.rules.defaulting import WITH_NULLS
from labkit.embedded.apiserver.rules.kindrules import CHECKS
from labkit.embedded.apiserver.rules.schemas import Schema
from labkit.embedded.apiserver.rules.structural import check
from labkit.embedded.apiserver.rules.values import has_null

__all__ = [
    "Cause",
    "decode_check",
    "default_from_schema",
    "prune",
    "unknown_fields",
    "validate",
]

Object = Mapping[str, Any]
LABEL_NAMES = {("", "Namespace"), ("", "Service")}
FREE_NAMES = {
    ("rbac.authorization.k8s.io", kind)
    for kind in ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")
} | {("apiregistration.k8s.io", "APIService")}
_INDEX = re.compile(r"\[\d+\]")
GENERIC_GROUPS = ("apiextensions.k8s.io", "apiregistration.k8s.io")
"""Groups of servers of their own, which do not know the finalizers of the others."""

STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")


def validate(
    obj: Object, *, old: Object | None = None, schema: Schema | None, conforms: bool = False
) -> list[Cause]:
    """Returns everything that is wrong with an object.

    Args:
        obj: the object after defaulting.
        old: the stored object on an update.
        schema: the schema of the kind.
        conforms: its fields and values are known to fit the schema.

    Returns:
        Causes in Kubernetes' words; empty when the object is valid.
    """
    schema = schema or {}
    custom = schema.get("x-labkit-custom")
    group = str(obj.get("apiVersion", "")).rpartition("/")[0]
    key = (group, str(obj.get("kind", "")))
    plain = not custom and (
        key not in WITH_NULLS or not has_null(obj)
        if conforms
        else conforming.conforms({k: v for k, v in obj.items() if k != "metadata"}, schema)
    )
    if not custom and not plain and has_null(obj):
        obj = without_nulls(dict(obj), schema)
    problems = Problems()
    if key != ("autoscaling", "Scale"):
        _metadata(obj.get("metadata") or {}, key, problems, created=old is None)
        if not custom and key[0] not in GENERIC_GROUPS:
            _standard_finalizers(obj.get("metadata") or {}, problems)
    if custom:
        check(dict(obj), schema, "", problems)
        return list(problems)
    if key in CHECKS:
        CHECKS[key](obj, old, problems)
        if plain:
            return list(problems)
    known = {_INDEX.sub("", cause.field) for cause in problems}
    spec = {name: value for name, value in obj.items() if name not in ("metadata", "status")}
    for cause in _schema_causes(spec, schema, "", required=key not in CHECKS):
        if _INDEX.sub("", cause.field) not in known:
            problems.append(cause)
    return list(problems)


def _name_check(key: tuple[str, str]) -> Callable[[str], list[str]]:
    if key in LABEL_NAMES:
        return names.dns_label
    return names.path_segment if key in FREE_NAMES else names.dns_subdomain


def _metadata(metadata: Object, key: tuple[str, str], problems: Problems, *, created: bool) -> None:
    accepts = _name_check(key)
    prefix, name = metadata.get("generateName") or "", metadata.get("name") or ""
    if prefix and created:
        masked = prefix[:-1] + "a" if prefix.endswith("-") else prefix
        problems.invalid("metadata.generateName", prefix, *accepts(masked))
    if not name:
        problems.required("metadata.name", "name or generateName is required")
    else:
        problems.invalid("metadata.name", name, *accepts(name))
    podrules.labels(metadata.get("labels"), "metadata.labels", problems)
    podrules.annotations(metadata.get("annotations"), "metadata.annotations", problems)
    _owners(metadata.get("ownerReferences") or (), problems)
    for finalizer in metadata.get("finalizers") or ():
        problems.invalid("metadata.finalizers", finalizer, *names.qualified_name(finalizer))


def _standard_finalizers(metadata: Object, problems: Problems) -> None:
    for index, finalizer in enumerate(metadata.get("finalizers") or ()):
        if "/" not in finalizer and finalizer not in STANDARD_FINALIZERS:
            detail = "name is neither a standard finalizer name nor is it fully qualified"
            problems.invalid(f"metadata.finalizers[{index}]", finalizer, detail)


def _owners(owners: Any, problems: Problems) -> None:
    field, controller = "metadata.ownerReferences", ""
    for owner in owners:
        if not owner.get("apiVersion"):
            problems.invalid(f"{field}.apiVersion", "", "version must not be empty")
        if (owner.get("apiVersion"), owner.get("kind")) == ("v1", "Event"):
            problems.invalid(field, owner, "/v1, Kind=Event is disallowed from being an owner")
        for part in ("kind", "name", "uid"):
            if not owner.get(part):
                problems.invalid(f"{field}.{part}", "", "must not be empty")
        if owner.get("controller"):
            if controller:
                detail = (
                    'Only one reference can have Controller set to true. Found "true" in '
                    f"references for {controller} and {owner.get('kind')}/{owner.get('name')}"
                )
                problems.invalid(field, list(owners), detail)
            controller = f"{owner.get('kind')}/{owner.get('name')}"


def _schema_causes(value: Any, schema: Schema, path: str, *, required: bool) -> Iterator[Cause]:
    """Yields what the schema alone tells: values outside enumerations, required fields missing.

    Required fields are checked only for kinds without a check of their own, and only texts and
    lists: a number that is left out is a zero, an object that is left out is an empty one.
    """
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        extra = schema.get("additionalProperties")
        for key, item in value.items():
            part = properties.get(key) or extra
            if isinstance(part, dict):
                where = f"{path}.{key}" if path else key
                yield from _schema_causes(item, part, where, required=required)
        problems = Problems()
        for key in schema.get("required") or () if required else ():
            kind = properties.get(key, {}).get("type")
            if not value.get(key) and kind in ("string", "array"):
                problems.required(f"{path}.{key}" if path else key)
        yield from problems
    elif isinstance(value, list):
        items: Any = schema.get("items")
        for index, item in enumerate(value if isinstance(items, dict) else ()):
            yield from _schema_causes(item, items, f"{path}[{index}]", required=required)
    elif value and "enum" in schema and value not in schema["enum"]:
        problems = Problems()
        problems.unsupported(path, value, schema["enum"])
        yield from problems
