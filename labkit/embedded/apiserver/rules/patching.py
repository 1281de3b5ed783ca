"""The patches of Kubernetes that need no field ownership: JSON patch, merge patch, strategic merge.

Each function takes the live object and returns a new one; nothing is changed in place. Names,
resource versions and validation of the result are the caller's business. Server-side apply is in
`managed_fields`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jsonpatch
import jsonpointer

from labkit.embedded.apiserver.rules.schemas import Schema
from labkit.embedded.apiserver.rules.values import clone

MARKER = "$patch"
RETAIN_KEYS = "$retainKeys"
SET_ORDER = "$setElementOrder/"
DELETE_FROM = "$deleteFromPrimitiveList/"
REJECTED = "the server rejected our request due to an error in our request"
OPERATIONS = ("add", "remove", "replace", "move", "copy", "test")


class PatchError(Exception):
    """A patch that cannot be applied: `message`, HTTP `status` and Kubernetes' `reason`."""

    def __init__(self, message: str, status: int, reason: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.reason = reason


def apply_json_patch(obj: Mapping[str, Any], ops: Any) -> dict[str, Any]:
    """Applies an RFC 6902 patch, with the leniencies of Kubernetes' implementation.

    Raises:
        PatchError: 400 when `ops` is no list of operations, 422 when one does not apply.
    """
    if not isinstance(ops, list) or not all(isinstance(op, dict) for op in ops):
        kind = "object" if isinstance(ops, dict) else "string"
        message = f"json: cannot unmarshal {kind} into Go value of type []handlers.jsonPatchOp"
        raise PatchError(f"error decoding patch: {message}", 400, "BadRequest")
    result: Any = clone(dict(obj))
    for op in ops:
        if op.get("op") not in OPERATIONS or not isinstance(op.get("path"), str):
            raise PatchError(REJECTED, 422, "Invalid")
        if op["op"] == "test" and op.get("value") is None and _missing(result, op["path"]):
            continue
        try:
            result = jsonpatch.apply_patch(result, [op], in_place=True)
        except (
            jsonpatch.JsonPatchException,
            jsonpointer.JsonPointerException,
            TypeError,
            KeyError,
            ValueError,
        ) as problem:
            raise PatchError(REJECTED, 422, "Invalid") from problem
    if not isinstance(result, dict):
        raise PatchError(REJECTED, 422, "Invalid")
    return result


def _missing(document: Any, path: str) -> bool:
    try:
        jsonpointer.resolve_pointer(document, path)
    except jsonpointer.JsonPointerException:
        return True
    return False


def apply_merge_patch(obj: Any, patch: Any) -> dict[str, Any]:
    """Applies an RFC 7386 patch: null deletes, objects merge, everything else replaces.

    Raises:
        PatchError: 400, the patch is no object.
    """
    if not isinstance(patch, dict):
        raise PatchError("error decoding patch: the patch is not an object", 400, "BadRequest")
    merged: dict[str, Any] = _merge_patch(obj, patch)
    return merged


def _merge_patch(obj: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return clone(patch)
    result = clone(obj) if isinstance(obj, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merge_patch(result.get(key), value)
    return result


def apply_strategic_patch(
    obj: Mapping[str, Any], patch: Mapping[str, Any], schema: Schema | None
) -> dict[str, Any]:
    """Applies a strategic merge patch: lists merge by the schema's merge keys.

    Raises:
        PatchError: 500, with Kubernetes' words, for elements without their key.
    """
    if not isinstance(patch, Mapping):
        raise PatchError("error decoding patch: cannot unmarshal into object", 400, "BadRequest")
    return _merge_map(clone(dict(obj)), clone(dict(patch)), schema or {})


def child_schema(schema: Schema, key: str) -> Schema:
    """Returns the schema of a field (or of a map's value), an empty one when there is none."""
    found = (schema.get("properties") or {}).get(key)
    if found is None:
        found = schema.get("additionalProperties")
    return found if isinstance(found, dict) else {}


def _strategies(schema: Schema) -> list[str]:
    return str(schema.get("x-kubernetes-patch-strategy", "")).split(",")


def _merge_map(original: dict[str, Any], patch: dict[str, Any], schema: Schema) -> dict[str, Any]:
    directive = patch.pop(MARKER, None)
    if directive == "replace":
        replacement: dict[str, Any] = _clean(patch)
        return replacement
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise PatchError(f"unknown patch type found: {directive}", 400, "BadRequest")
    retained = patch.pop(RETAIN_KEYS, None)
    if retained is not None:
        _must_be_list(retained, RETAIN_KEYS)
        if any(key not in retained for key in _plain(patch)):
            raise PatchError(
                "$retainKeys doesn't contain all the keys in the patch", 400, "BadRequest"
            )
        original = {key: value for key, value in original.items() if key in (retained or ())}
    orders = {
        k.removeprefix(SET_ORDER): patch.pop(k) for k in list(patch) if k.startswith(SET_ORDER)
    }
    for name, order in orders.items():
        _must_be_list(order, f"{SET_ORDER}{name}")
    for key in [key for key in patch if key.startswith(DELETE_FROM)]:
        gone, name = patch.pop(key), key.removeprefix(DELETE_FROM)
        _must_be_list(gone, key)
        if isinstance(original.get(name), list):
            original[name] = [item for item in original[name] if item not in gone]
    before: dict[str, Any] = {key: original.get(key) for key in orders}
    for key, value in patch.items():
        _merge_value(original, key, value, schema)
    for key, order in orders.items():
        if isinstance(original.get(key), list):
            part = child_schema(schema, key)
            server = before[key] or []
            original[key] = _ordered(original[key], order, server, _merge_key(part))
    return original


def _must_be_list(value: Any, directive: str) -> None:
    if not isinstance(value, list):
        message = f"invalid patch format of directive {directive}: it needs a list"
        raise PatchError(message, 400, "BadRequest")


def _plain(patch: Mapping[str, Any]) -> list[str]:
    return [key for key in patch if not key.startswith("$") and patch[key] is not None]


def _merge_value(original: dict[str, Any], key: str, value: Any, schema: Schema) -> None:
    current = original.get(key)
    part = child_schema(schema, key)
    if value is None:
        original.pop(key, None)
    elif key not in original or current is None:
        original[key] = _clean(value)
    elif isinstance(current, dict) and isinstance(value, dict):
        if "replace" in _strategies(part):
            original[key] = _clean(value)
        else:
            original[key] = _merge_map(current, value, part)
    elif isinstance(current, list) and isinstance(value, list) and "merge" in _strategies(part):
        original[key] = _merge_list(current, value, part)
    else:
        original[key] = _clean(value)


def _clean(value: Any) -> Any:
    """Removes directives and nulls from a part of a patch that is new to the object."""
    if isinstance(value, list):
        kept = [
            i for i in value if not (isinstance(i, dict) and i.get(MARKER) in ("delete", "replace"))
        ]
        return [_clean(item) for item in kept]
    if isinstance(value, dict):
        return {k: _clean(v) for k, v in value.items() if not k.startswith("$") and v is not None}
    return value


def _merge_key(schema: Schema) -> str | None:
    key = schema.get("x-kubernetes-patch-merge-key")
    return key if isinstance(key, str) else None


def _go_map(value: Mapping[str, Any]) -> str:
    inner = " ".join(f"{key}:{value[key]}" for key in sorted(value))
    return f"map[{inner}]"


def _key_of(item: Any, key: str) -> Any:
    if not isinstance(item, dict) or key not in item:
        shown = _go_map(item) if isinstance(item, dict) else item
        raise PatchError(f"map: {shown} does not contain declared merge key: {key}", 500)
    return item[key]


def _merge_list(current: list[Any], patch: list[Any], schema: Schema) -> list[Any]:
    key = _merge_key(schema)
    if key is None:
        merged = list(current)
        merged.extend(item for item in patch if item not in current)
        return _ordered(list(dict.fromkeys(merged)), patch, current, None)
    items = schema.get("items") or {}
    plain, server = [], list(current)
    replace = any(isinstance(item, dict) and item.get(MARKER) == "replace" for item in patch)
    for item in patch:
        directive = item.get(MARKER) if isinstance(item, dict) else None
        if directive == "delete":
            gone = _key_of(item, key)
            server = [other for other in server if other.get(key) != gone]
        elif directive != "replace":
            plain.append(item)
    if replace:
        return [_clean(item) for item in plain]
    merged = list(server)
    for item in plain:
        wanted = _key_of(item, key)
        at = next((i for i, other in enumerate(merged) if other.get(key) == wanted), None)
        if at is None:
            merged.append(_clean(item))
        else:
            merged[at] = _merge_map(merged[at], dict(item), items)
    return _ordered(merged, plain, server, key)


def _ordered(
    merged: list[Any], patch: Sequence[Any], server: Sequence[Any], key: str | None
) -> list[Any]:
    """Interleaves patched items (in the patch's order) with the others (in the server's order)."""

    def name(item: Any) -> Any:
        return item.get(key) if key is not None and isinstance(item, dict) else item

    patched, live = [name(item) for item in patch], [name(item) for item in server]
    ours = sorted((i for i in merged if name(i) in patched), key=lambda i: patched.index(name(i)))
    rest = [item for item in merged if name(item) not in patched]
    result: list[Any] = []
    while ours and rest:
        left, right = name(rest[0]), name(ours[0])
        first = left in live and right in live and live.index(left) < live.index(right)
        result.append((rest if first else ours).pop(0))
    return result + rest + ours
