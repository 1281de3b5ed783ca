"""Server-side apply: what a manager declares, merged into the live object.

Refuses to change what other managers own (unless forced) and removes what the manager no longer
declares and nobody else owns.
"""

import json
from collections.abc import Mapping
from typing import Any

from labkit.embedded.apiserver.rules import fieldsets
from labkit.embedded.apiserver.rules.decoding import fits
from labkit.embedded.apiserver.rules.fieldsets import FieldSet, FieldSetError
from labkit.embedded.apiserver.rules.managed_fields import (
    IGNORED,
    Manager,
    Owned,
    body_of,
    ignored_fields,
    read_managers,
    settle,
    write_managers,
)
from labkit.embedded.apiserver.rules.patching import PatchError, child_schema
from labkit.embedded.apiserver.rules.schemas import Schema
from labkit.embedded.apiserver.rules.values import clone


def server_side_apply(
    live: Mapping[str, Any] | None,
    applied: Mapping[str, Any],
    *,
    manager: str,
    force: bool,
    schema: Schema | None,
    subresource: str = "",
    now: str,
) -> dict[str, Any]:
    """Applies what a manager declares to the live object.

    Args:
        live: the stored object; None creates.
        applied: the declared object (its managedFields must be empty).
        manager: name of the field manager.
        force: take over fields of other managers instead of failing.
        schema: the kind's schema.
        subresource: "" or the subresource applied to.
        now: time for managedFields, RFC 3339.

    Returns:
        The new object with managedFields; equal to `live` when nothing changes.

    Raises:
        ApplyConflict: others own fields with other values.
        PatchError: the object does not fit the schema.
    """
    schema = schema or {}
    ignored = ignored_fields(schema, subresource)
    body = dict(applied)
    for name in ("spec", "status"):
        if f"f:{name}" in ignored:
            body.pop(name, None)
    _check_declared(body, schema)
    managers = read_managers(live)
    me = Manager(manager, "Apply", str(applied.get("apiVersion") or ""), subresource)
    try:
        declared = fieldsets.fields_of(body, schema)
        mine = fieldsets.without(declared, IGNORED)
        old = body_of(live)
        merged: dict[str, Any] = merge(old, body, schema)
        last = managers.get(me)
        others = {key: owned for key, owned in managers.items() if key != me}
        if last is not None:
            kept = declared
            for owned in others.values():
                kept = fieldsets.union(kept, owned.fields)
            merged = _prune(merged, last.fields, kept, schema)
        changed, removed = fieldsets.compare(old, merged, schema)
    except FieldSetError as problem:
        raise _typed_error(applied, str(problem)) from problem
    changed = fieldsets.without(changed, ignored)
    others = settle(others, changed, removed, force=force)
    # As in Kubernetes: an apply that changes no value leaves the manager's time as it was.
    time = now if merged != old else last.time if last is not None else ""
    write_managers(merged, {**others, me: Owned(mine, time)})
    return merged


def merge(old: Any, new: Any, schema: Schema) -> Any:
    """Merges a declared value into a live one by the schema's list and map types."""
    if new is None or fieldsets.is_atomic(new, schema) or type(old) is not type(new):
        return clone(new)
    if isinstance(new, dict):
        result = dict(old)
        for key, value in new.items():
            result[key] = merge(old.get(key), value, child_schema(schema, key))
        return result
    return _merge_list(old, new, schema)


def _merge_list(old: list[Any], new: list[Any], schema: Schema) -> list[Any]:
    """Interleaves: live-only elements keep their place before the next shared element."""
    items = schema.get("items") or {}
    live = {fieldsets.element_key(item, schema): item for item in old}
    declared = {fieldsets.element_key(item, schema): item for item in new}
    shared = [key for key in declared if key in live]
    result, done = [], set()
    waiting = list(live)
    for key, item in declared.items():
        if not shared or key == shared[0]:
            while waiting and waiting[0] != key:
                other = waiting.pop(0)
                if other not in declared:
                    result.append(live[other])
        if key in live:
            shared.remove(key)
            if waiting and waiting[0] == key:
                waiting.pop(0)
        done.add(key)
        result.append(merge(live.get(key), item, items))
    result.extend(live[key] for key in waiting if key not in declared)
    return result


def _prune(value: Any, last: FieldSet, kept: FieldSet, schema: Schema) -> Any:
    """Removes what was declared before, is not now, and has no other owner."""
    if isinstance(value, dict):
        result = dict(value)
        for key in list(result):
            name = f"f:{key}"
            if name not in last:
                continue
            if name not in kept and (fieldsets.MEMBER in last[name] or not last[name]):
                del result[key]
            elif name not in kept:  # only parts of it were declared: the rest stays
                rest = _prune(result[key], last[name], {}, child_schema(schema, key))
                if rest:
                    result[key] = rest
                else:
                    del result[key]
            elif not fieldsets.is_atomic(result[key], child_schema(schema, key)):
                part = child_schema(schema, key)
                result[key] = _prune(result[key], last[name], kept[name], part)
        return result
    if isinstance(value, list):
        items = schema.get("items") or {}
        rest = []
        for item in value:
            name = fieldsets.element_key(item, schema)
            if name in last and name not in kept:
                if fieldsets.MEMBER in last[name]:
                    continue
                item = _prune(item, last[name], {}, items)  # noqa: PLW2901 - the element shrinks
            elif name in last:
                item = _prune(item, last[name], kept[name], items)  # noqa: PLW2901 - as above
            rest.append(item)
        return rest
    return value


def _typed_error(obj: Mapping[str, Any], problem: str) -> PatchError:
    metadata = obj.get("metadata") or {}
    where = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
    group = str(obj.get("apiVersion", ""))
    group = group if "/" in group else f"/{group}"
    kind = obj.get("kind", "")
    message = f"failed to create typed patch object ({where}; {group}, Kind={kind}): {problem}"
    return PatchError(message, 500)


def _check_declared(obj: Mapping[str, Any], schema: Schema) -> None:
    problems = list(_undeclared(obj, schema, ""))
    if not problems:
        return
    text = problems[0]
    if len(problems) > 1:
        text = "errors:\n" + "\n".join(f"  {problem}" for problem in problems)
    raise _typed_error(obj, text)


EXPECTED = {
    "object": "map",
    "array": "list",
    "string": "string",
    "integer": "numeric (int or float)",
    "number": "numeric (int or float)",
    "boolean": "boolean",
}


def _undeclared(value: Any, schema: Schema, path: str) -> list[str]:
    found: list[str] = []
    if not fits(value, schema):
        shown = json.dumps(value)[:64]
        return [f"{path}: expected {EXPECTED.get(str(schema.get('type')))}, got {shown}"]
    if isinstance(value, dict) and "properties" in schema:
        loose = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get(
            "additionalProperties"
        )
        for key, item in value.items():
            if key not in schema["properties"] and not loose:
                found.append(f"{path}.{key}: field not declared in schema")
            found.extend(_undeclared(item, child_schema(schema, key), f"{path}.{key}"))
    elif isinstance(value, dict) and isinstance(schema.get("additionalProperties"), dict):
        for key, item in value.items():
            found.extend(_undeclared(item, schema["additionalProperties"], f"{path}.{key}"))
    elif isinstance(value, list) and schema.get("items"):
        for index, item in enumerate(value):
            try:
                name = fieldsets.element_text(fieldsets.element_key(item, schema))
            except FieldSetError:
                name = f"[{index}]"
            found.extend(_undeclared(item, schema["items"], path + name))
    return found
