"""Sets of fields in the notation of `fieldsV1`, and typed comparison of objects by schema.

A set is a tree of dicts: `{"f:spec": {"f:replicas": {".": {}}}}`. Here every member carries "."
(the wire leaves it out for leaves: `decode` and `encode` convert). Lists with keys have elements
`k:{...}`, sets have `v:...`; every other list, and every map marked atomic, is a leaf.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from labkit.embedded.apiserver.rules.schemas import Schema

FieldSet = dict[str, Any]
MEMBER = "."
_CONTAINERS = (dict, list)
_LEAF: FieldSet = {MEMBER: {}}
"""A member with nothing below it; shared, because nobody changes a set in place."""
_json = json.JSONEncoder(separators=(",", ":")).encode
STRUCTS = {"metadata", "spec", "status", "strategy", "updateStrategy", "template", "jobTemplate"}
"""Fields that are never absent in Kubernetes' own types, so that nobody ever adds them."""
_STRUCTS = frozenset(f"f:{name}" for name in STRUCTS)


class FieldSetError(ValueError):
    """An object that does not fit its schema; the message is that of server-side apply."""


def list_type(schema: Schema) -> str:
    """Returns `map`, `set` or `atomic` (the default of lists)."""
    return str(schema.get("x-kubernetes-list-type", "atomic"))


def is_atomic(value: Any, schema: Schema) -> bool:
    """Tells whether a value has one owner as a whole."""
    if isinstance(value, list):
        return list_type(schema) not in ("map", "set")
    return not isinstance(value, dict) or schema.get("x-kubernetes-map-type") == "atomic"


def element_key(item: Any, schema: Schema) -> str:
    """Returns the name of a list element: its keys (defaults filled in) or its value.

    Raises:
        FieldSetError: the element lacks a key that has no default.
    """
    if list_type(schema) == "set":
        return "v:" + _text_of_key(item)
    keys = {}
    items = schema.get("items")
    properties = (items.get("properties") or {}) if isinstance(items, dict) else {}
    for name in schema.get("x-kubernetes-list-map-keys") or ():
        value = item.get(name) if isinstance(item, dict) else None
        if value is None:
            declared = properties.get(name)
            value = declared.get("default") if isinstance(declared, dict) else None
        if value is None and not isinstance(item, dict):
            raise FieldSetError("associative list with keys may not have non-map elements")
        if value is None:
            raise FieldSetError(
                "associative list with keys has an element that omits key field "
                f'"{name}" (and doesn\'t have default value)'
            )
        keys[name] = value
    pairs = [f"{_text_of_key(name)}:{_text_of_key(keys[name])}" for name in sorted(keys)]
    return "k:{" + ",".join(pairs) + "}"


def _text_of_key(value: Any) -> str:
    """Returns the JSON of a value; nearly every key of a list is a plain text or a number."""
    if type(value) is str and value.isascii() and value.replace("-", "").isalnum():
        return f'"{value}"'
    return str(value) if type(value) is int else _json(value)


def children(value: Any, schema: Schema) -> list[tuple[str, Any, Schema]]:
    """Returns (path element, value, schema) of everything one level below a container."""
    if isinstance(value, dict):
        properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
        if not isinstance(extra, dict):
            extra = {}
        return [(f"f:{key}", item, properties.get(key, extra)) for key, item in value.items()]
    if isinstance(value, list):
        items = schema.get("items")
        part = items if isinstance(items, dict) else {}
        return [(element_key(item, schema), item, part) for item in value]
    return []


def fields_of(value: Any, schema: Schema) -> FieldSet:
    """Returns the fields that a manager claims by applying a value: leaves and list elements."""
    result: FieldSet = {}
    for key, item, part in children(value, schema):
        if key in result:
            raise FieldSetError(f"duplicate entries for key {element_text(key)}")
        if is_atomic(item, part) or not item:
            result[key] = {MEMBER: {}}
        else:
            result[key] = fields_of(item, part)
            if not key.startswith("f:"):
                result[key][MEMBER] = {}
    return result


def compare(old: Any, new: Any, schema: Schema) -> tuple[FieldSet, FieldSet]:
    """Compares two containers of one schema.

    Returns:
        The fields that `new` adds or changes, and those that it removes.
    """
    if not old:
        return _added(new or {}, schema), {}
    changed: FieldSet = {}
    removed: FieldSet = {}
    before = {key: (item, part) for key, item, part in children(old, schema)}
    after = {key: (item, part) for key, item, part in children(new or {}, schema)}
    always = given(schema)
    for key, (item, part) in after.items():
        known = before.get(key, _ABSENT)[0]
        if known is not None and known == item:  # most of an object, and quickly seen
            continue
        exists = key in before or (key in always and isinstance(item, _CONTAINERS))
        _compare_one(key, (known, item, part), exists=exists, changed=changed, removed=removed)
    for key, (item, part) in before.items():
        if key not in after:
            removed[key] = _all_fields(item, part)
    return changed, removed


def given(schema: Schema) -> Collection[str]:
    """Returns the fields that Kubernetes' own types always have, and required ones."""
    required = [f"f:{name}" for name in schema.get("required") or ()]
    if "properties" not in schema or schema.get("x-labkit-custom"):
        return required
    return _STRUCTS.union(required) if required else _STRUCTS


def _added(new: Any, schema: Schema) -> FieldSet:
    """Returns the fields that a container has more than an empty one."""
    result: FieldSet = {}
    always = given(schema)
    for key, item, part in children(new, schema):
        if not isinstance(item, _CONTAINERS):
            result[key] = _LEAF
        elif key not in always:
            result[key] = _all_fields(item, part)
        elif is_atomic(item, part):
            result[key] = _LEAF
        elif below := _added(item, part):
            result[key] = below
    return result


_ABSENT = (None, None)


def _compare_one(
    key: str,
    values: tuple[Any, Any, Schema],
    *,
    exists: bool,
    changed: FieldSet,
    removed: FieldSet,
) -> None:
    old, new, part = values
    if not exists:
        changed[key] = _all_fields(new, part)
    elif is_atomic(new, part) or (old is not None and type(old) is not type(new)):
        if old != new:
            changed[key] = _LEAF
    else:
        below, gone = compare(old if old is not None else type(new)(), new, part)
        if below:
            changed[key] = below
        if gone:
            removed[key] = gone


def _all_fields(value: Any, schema: Schema) -> FieldSet:
    """Returns a value's own membership and that of everything below it."""
    if not isinstance(value, _CONTAINERS) or is_atomic(value, schema):
        return _LEAF
    result: FieldSet = {MEMBER: {}}
    for key, item, part in children(value, schema):
        result[key] = _all_fields(item, part) if isinstance(item, _CONTAINERS) else _LEAF
    return result


def union(left: FieldSet, right: FieldSet) -> FieldSet:
    """Returns the fields of both sets."""
    result = dict(left)
    for key, value in right.items():
        result[key] = union(result[key], value) if key in result else value
    return result


def difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """Returns the fields of `left` that are not members of `right`."""
    result: FieldSet = {}
    for key, value in left.items():
        if key == MEMBER:
            if MEMBER not in right:
                result[MEMBER] = {}
        elif key not in right:
            result[key] = value
        elif rest := difference(value, right[key]):
            result[key] = rest
    return result


def intersection(left: FieldSet, right: FieldSet) -> FieldSet:
    """Returns the fields that are members of both sets."""
    result: FieldSet = {}
    for key, value in left.items():
        if key in right:
            if key == MEMBER:
                result[MEMBER] = {}
            elif rest := intersection(value, right[key]):
                result[key] = rest
    return result


def tree(paths_of_names: Iterable[tuple[str, ...]]) -> FieldSet:
    """Returns the set whose leaves are some fields, given as paths of their names."""
    result: FieldSet = {}
    for path in paths_of_names:
        below = result
        for name in path:
            below = below.setdefault(f"f:{name}", {})
    return result


def without(fields: FieldSet, ignored: FieldSet) -> FieldSet:
    """Returns the set without the sub-trees at the leaves of another set (see `tree`)."""
    result: FieldSet = {}
    for key, value in fields.items():
        part = ignored.get(key)
        if part is None:
            result[key] = value
        elif part and (rest := without(value, part)):
            result[key] = rest
    return result


def paths(fields: FieldSet, prefix: str = "") -> Iterator[str]:
    """Yields each member as Kubernetes prints it: `.spec.ports[port=80,protocol="TCP"].name`."""
    names = sorted(key for key in fields if key != MEMBER)
    for key in names:
        if MEMBER in fields[key]:
            yield prefix + element_text(key)
    for key in names:
        yield from paths(fields[key], prefix + element_text(key))


def element_text(key: str) -> str:
    """Returns one path element as Kubernetes prints it."""
    kind, _, rest = key.partition(":")
    if kind == "f":
        return f".{rest}"
    if kind == "v":
        return f"[={rest}]"
    if kind == "k":
        pairs = json.loads(rest)
        return "[" + ",".join(f"{k}={json.dumps(v)}" for k, v in sorted(pairs.items())) + "]"
    return f"[{rest}]"


def encode(fields: FieldSet) -> FieldSet:
    """Returns the wire form: a member without anything below it is `{}`."""
    if len(fields) == 1 and MEMBER in fields:
        return {}
    return {key: {} if fields[key] is _LEAF else encode(fields[key]) for key in sorted(fields)}


def decode(fields: Mapping[str, Any]) -> FieldSet:
    """Returns the set of a wire form."""
    result: FieldSet = {}
    for key, value in fields.items():
        if key == MEMBER:
            result[MEMBER] = {}
        elif not isinstance(value, dict) or not value:
            result[key] = _LEAF
        else:
            result[key] = decode(value)
    return result
