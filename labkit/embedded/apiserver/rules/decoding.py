"""Does a body fit its schema's types? Decoding errors (400), unknown fields, pruning, defaults.

These are the checks that come before validation: a wrong type cannot even be read. Values are
judged in `validation`.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any

from labkit.embedded.apiserver.rules.schemas import Schema
from labkit.embedded.apiserver.rules.values import clone

QUANTITY = re.compile(
    r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]{1,3})?"
)
TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d")
QUANTITY_MESSAGE = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)
GO_TYPES = {"string": "string", "integer": "int", "boolean": "bool", "number": "float64"}
TYPES = {"string": str, "boolean": bool, "object": dict, "array": list}
LOOSE = ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource")


def _json_name(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    names = {str: "string", int: "number", float: "number", dict: "object", list: "array"}
    return names.get(type(value), "null")


def fits(value: Any, schema: Schema) -> bool:
    """Tells whether a value has the type of its schema (null fits everywhere)."""
    kind = schema.get("type")
    if value is None or kind is None:
        return True
    if schema.get("x-kubernetes-int-or-string"):
        return isinstance(value, str | int) and not isinstance(value, bool)
    if kind == "integer":
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        return whole and not isinstance(value, bool)
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, TYPES.get(kind, object))


def decode_check(obj: Any, schema: Schema | None) -> str | None:
    """Returns why an object cannot be decoded, in the words of Kubernetes' decoder, or None.

    Of a custom resource only the metadata have Go types; the rest is for validation to judge.
    """
    schema = schema or {}
    if not isinstance(obj, Mapping):
        return f"json: cannot unmarshal {_json_name(obj)} into Go value"
    kind = str(obj.get("kind", ""))
    if schema.get("x-labkit-custom"):
        meta = schema["properties"]["metadata"]
        return next(_decode_problems(obj.get("metadata"), meta, kind, ".metadata"), None)
    return next(_decode_problems(dict(obj), schema, kind, ""), None)


def _decode_problems(value: Any, schema: Schema, struct: str, path: str) -> Iterator[str]:
    if value is None:
        return
    if schema.get("x-kubernetes-int-or-string"):
        if problem := _scalar_union(value, schema):
            yield problem
        return
    if not fits(value, schema):
        target = GO_TYPES.get(str(schema.get("type")), f"{struct}{path}")
        target = "[]string" if schema.get("type") == "array" else target
        where = f"{struct}{path}"
        yield (
            f"json: cannot unmarshal {_json_name(value)} into Go struct field {where} "
            f"of type {target}"
        )
        return
    if problem := _format_problem(value, str(schema.get("format")), f"{struct}{path}"):
        yield problem
    fields = schema.get("properties") or {}
    for key, item, part in _below(value, schema):
        name = f"{path}.{key}" if key in fields else path  # lists and maps are no structs
        yield from _decode_problems(item, part, struct, name)


def _format_problem(value: Any, kind: str, where: str) -> str | None:
    """Returns why a value of the right type still cannot be read."""
    if kind == "byte" and isinstance(value, str) and (at := bad_base64(value)) is not None:
        return f"illegal base64 data at input byte {at}"
    if kind == "date-time" and isinstance(value, str) and not TIME.match(value):
        return f'parsing time "{value}" as "2006-01-02T15:04:05Z07:00": cannot parse'
    if kind == "int32" and not -(2**31) <= value < 2**31:
        return f"json: cannot unmarshal number {value} into Go struct field {where} of type int32"
    return None


def _scalar_union(value: Any, schema: Schema) -> str | None:
    quantity = schema.get("format") == "quantity"
    if quantity and isinstance(value, str) and not QUANTITY.fullmatch(value.strip()):
        return QUANTITY_MESSAGE
    if isinstance(value, dict | list | bool):
        return f"json: cannot unmarshal {_json_name(value)} into Go value of type string"
    return None


def bad_base64(text: str) -> int | None:
    """Returns where a text stops to be base64, or None."""
    clean = text.replace("\n", "").replace("\r", "")
    match = re.match(r"[A-Za-z0-9+/]*", clean)
    end = match.end() if match else 0
    if clean[end:].strip("="):
        return end
    try:
        base64.b64decode(clean, validate=True)
    except (binascii.Error, ValueError):
        return len(clean)
    return None


def _below(value: Any, schema: Schema) -> Iterator[tuple[Any, Any, Schema]]:
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        extra = schema.get("additionalProperties")
        for key, item in value.items():
            part = properties.get(key, extra)
            if isinstance(part, dict):
                yield key, item, part
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for index, item in enumerate(value):
            yield index, item, schema["items"]


def _knows(schema: Schema, key: str, *, root: bool) -> bool:
    if root and key in ("apiVersion", "kind", "metadata"):
        return True
    if key in (schema.get("properties") or {}) or schema.get("additionalProperties"):
        return True
    if schema.get("x-kubernetes-embedded-resource") and key in ("apiVersion", "kind", "metadata"):
        return True
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return True
    untyped = "properties" not in schema
    return untyped and schema.get("type") != "object"


def _opaque(schema: Schema) -> bool:
    """Tells whether a built-in object schema declares nothing, so that anything may be in it."""
    return not {"properties", "additionalProperties", *LOOSE} & schema.keys()


def unknown_fields(obj: Any, schema: Schema | None) -> list[str]:
    """Returns the paths of fields that the schema does not declare, e.g. `spec.ports[0].bogus`."""
    schema = schema or {}
    custom = bool(schema.get("x-labkit-custom"))
    return list(_unknown(obj, schema, "", custom=custom, root=True))


def _unknown(value: Any, schema: Schema, path: str, *, custom: bool, root: bool) -> Iterator[str]:
    strict = isinstance(value, dict) and (custom or not _opaque(schema))
    below = {key: (item, part) for key, item, part in _below(value, schema)}
    for key in value if isinstance(value, dict) else below:
        if strict and not _knows(schema, key, root=root):
            yield f"{path}.{key}" if path else key
        if key not in below:
            continue
        item, part = below[key]
        where = (
            f"{path}[{key}]" if isinstance(value, list) else f"{path}.{key}" if path else str(key)
        )
        inner = custom and not (root and key == "metadata")
        yield from _unknown(item, part, where, custom=inner, root=False)


def prune(obj: Any, schema: Schema | None) -> Any:
    """Returns a copy without the fields that the schema does not declare."""
    schema = schema or {}
    return _prune(obj, schema, custom=bool(schema.get("x-labkit-custom")), root=True)


def _prune(value: Any, schema: Schema, *, custom: bool, root: bool = False) -> Any:
    if isinstance(value, list):
        items = schema.get("items")
        if not isinstance(items, dict):
            return clone(value)
        return [_prune(item, items, custom=custom) for item in value]
    if not isinstance(value, dict) or (not custom and _opaque(schema)):
        return clone(value)
    properties = schema.get("properties") or {}
    extra = schema.get("additionalProperties")
    result = {}
    for key, item in value.items():
        part = properties.get(key, extra)
        if isinstance(part, dict):
            inner = custom and not (root and key == "metadata")
            result[key] = _prune(item, part, custom=inner)
        elif _knows(schema, key, root=root):
            result[key] = clone(item)
    return result


ZEROS: Mapping[str, Any] = {"object": {}, "array": [], "string": "", "integer": 0, "boolean": False}


def without_nulls(value: Any, schema: Schema) -> Any:
    """Returns a value as Go reads it: null fields are absent, null elements are zero values."""
    if isinstance(value, dict):
        properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
        return {
            key: without_nulls(item, properties.get(key, extra) or {})
            for key, item in value.items()
            if item is not None
        }
    if isinstance(value, list):
        items = schema.get("items") or {}
        zero = ZEROS.get(str(items.get("type")), "")
        return [zero if item is None else without_nulls(item, items) for item in value]
    return value


def default_from_schema(obj: Any, schema: Schema | None) -> Any:
    """Returns a copy with the defaults that a custom resource's schema declares.

    As in Kubernetes, null is replaced by the default where null is not allowed.
    """
    result = clone(obj)
    _default(result, schema or {})
    return result


def _default(value: Any, schema: Schema) -> None:
    if isinstance(value, dict):
        for key, part in (schema.get("properties") or {}).items():
            missing = key not in value or (value[key] is None and not part.get("nullable"))
            if missing and "default" in part:
                value[key] = clone(part["default"])
    for _, item, part in _below(value, schema):
        _default(item, part)
