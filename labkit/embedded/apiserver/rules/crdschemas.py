"""Is the schema of a custom resource one that a server can work with?

The schema must be structural (every field has a type, logic only restricts what is declared
outside of it), may not use some keywords of JSON Schema, and its defaults must be valid
themselves. CEL rules (x-kubernetes-validations) are not compiled.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from labkit.embedded.apiserver.rules import patterns, structural
from labkit.embedded.apiserver.rules.causes import Cause, Problems
from labkit.embedded.apiserver.rules.decoding import prune
from labkit.embedded.apiserver.rules.schema_shape import wrong_parts

Schema = Mapping[str, Any]
TYPES = ("array", "boolean", "integer", "number", "object", "string")
JUNCTORS = ("allOf", "oneOf", "anyOf")
INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]
UNSUPPORTED = ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref")
EMPTY_WHEN_NESTED = {
    "type": "must be empty to be structural",
    "additionalProperties": "must be undefined to be structural",
    "default": "must be undefined to be structural",
    "title": "must be empty to be structural",
    "description": "must be empty to be structural",
    "nullable": "must be false to be structural",
    "x-kubernetes-preserve-unknown-fields": "must be false to be structural",
    "x-kubernetes-embedded-resource": "must be false to be structural",
    "x-kubernetes-int-or-string": "must be false to be structural",
    "x-kubernetes-list-map-keys": "must be empty to be structural",
    "x-kubernetes-list-type": "must be undefined to be structural",
    "x-kubernetes-map-type": "must be undefined to be structural",
    "x-kubernetes-validations": "must be empty to be structural",
}
ROOT, ITEM, FIELD = "root", "item", "field"
TYPE_MISSING = {
    ROOT: "must not be empty at the root",
    ITEM: "must not be empty for specified array items",
    FIELD: "must not be empty for specified object fields",
}
META = ("apiVersion", "kind", "metadata")


def check_schema(schema: Schema, path: str, problems: Problems) -> None:
    """Adds everything that is wrong with the schema of a version (`openAPIV3Schema` at a path)."""
    shape = list(wrong_parts(schema, path))
    for where, value in shape:
        problems.invalid(where, value, "must be a schema")
    if shape:
        return
    if schema.get("nullable"):
        problems.forbidden(f"{path}.nullable", "nullable cannot be true at the root")
    found = Problems()
    _structure(schema, ROOT, path, found)
    found.sort(key=lambda cause: f"{cause.field}: {cause.message}")
    if not found:
        _defaults(schema, path, found, root=True)
    problems.extend(found)
    _keywords(schema, path, problems, where=ROOT)


def _structure(schema: Schema, level: str, path: str, problems: Problems) -> None:
    kind, embedded = schema.get("type") or "", schema.get("x-kubernetes-embedded-resource")
    items, properties = schema.get("items"), schema.get("properties") or {}
    if kind == "array" and items is None:
        problems.required(f"{path}.items", "must be specified")
    if isinstance(items, dict):
        _structure(items, ITEM, f"{path}.items", problems)
    for key, part in properties.items():
        _structure(part, FIELD, f"{path}.properties[{key}]", problems)
    extra = schema.get("additionalProperties")
    if extra is not None and level == ROOT:
        problems.forbidden(f"{path}.additionalProperties", "must not be used at the root")
    if isinstance(extra, dict):
        _structure(extra, FIELD, f"{path}.additionalProperties", problems)
    loose = schema.get("x-kubernetes-preserve-unknown-fields")
    if schema.get("x-kubernetes-int-or-string"):
        for word in ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"):
            if schema.get(word):
                detail = "must be false if x-kubernetes-int-or-string is true"
                problems.invalid(f"{path}.{word}", True, detail)
    _logic(schema, path, problems)
    if embedded and kind != "object":
        detail = "must be object if x-kubernetes-embedded-resource is true"
        if kind:
            problems.invalid(f"{path}.type", kind, detail)
        else:
            problems.required(f"{path}.type", detail)
    elif not kind and not schema.get("x-kubernetes-int-or-string") and not loose:
        problems.required(f"{path}.type", TYPE_MISSING[level])
    if level == ROOT and kind and kind != "object":
        problems.invalid(f"{path}.type", kind, "must be object at the root")
    _metadata(schema, level, path, problems)
    if embedded and not loose and not properties:
        detail = (
            "must not be empty if x-kubernetes-embedded-resource is true without "
            "x-kubernetes-preserve-unknown-fields"
        )
        problems.required(f"{path}.properties", detail)


def _metadata(schema: Schema, level: str, path: str, problems: Problems) -> None:
    properties = schema.get("properties") or {}
    if level != ROOT and not schema.get("x-kubernetes-embedded-resource"):
        return
    for name in ("kind", "apiVersion"):
        if name in properties and properties[name].get("type") != "string":
            given = properties[name].get("type") or ""
            problems.invalid(f"{path}.properties[{name}].type", given, "must be string")
    metadata = properties.get("metadata")
    if metadata is None:
        return
    where = f"{path}.properties[metadata]"
    if metadata.get("type") != "object":
        problems.invalid(f"{where}.type", metadata.get("type") or "", "must be object")
    names = set(metadata.get("properties") or {}) <= {"name", "generateName"}
    if level == ROOT and (not names or set(metadata) - {"type", "properties", "default"}):
        detail = (
            "must not specify anything other than name and generateName, but metadata is "
            "implicitly specified"
        )
        problems.forbidden(where, detail)


def _logic(schema: Schema, path: str, problems: Problems) -> None:
    """What stands below allOf, oneOf, anyOf and not may only restrict; patterns must compile."""
    for word in ("anyOf", "allOf", "oneOf"):
        for index, part in enumerate(schema.get(word) or ()):
            if word == "anyOf" and schema[word] == INT_OR_STRING:
                break
            first = word == "allOf" and index == 0 and part.get("anyOf") == INT_OR_STRING
            _nested(part, f"{path}.{word}[{index}]", problems, skip_any=first)
    if schema.get("not") is not None:
        _nested(schema["not"], f"{path}.not", problems)
    pattern = schema.get("pattern")
    if pattern and (wrong := patterns.problem(pattern)):
        detail = f"must be a valid regular expression, but isn't: {wrong}"
        problems.invalid(f"{path}.pattern", pattern, detail)


def _nested(schema: Schema, path: str, problems: Problems, *, skip_any: bool = False) -> None:
    _logic({k: v for k, v in schema.items() if k != "anyOf" or not skip_any}, path, problems)
    if isinstance(schema.get("items"), dict):
        _nested(schema["items"], f"{path}.items", problems)
    for key, part in (schema.get("properties") or {}).items():
        _nested(part, f"{path}.properties[{key}]", problems)
    for word, detail in EMPTY_WHEN_NESTED.items():
        if schema.get(word):
            problems.forbidden(f"{path}.{word}", detail)
    if "metadata" in (schema.get("properties") or {}):
        detail = "must not be specified in a nested context"
        problems.forbidden(f"{path}.properties[metadata]", detail)


def _defaults(schema: Schema, path: str, problems: Problems, *, root: bool = False) -> None:
    if schema.get("default") is not None:
        where, value = f"{path}.default", schema["default"]
        around = {"x-labkit-custom": True, "properties": {"default": schema}}
        if prune({"default": value}, around)["default"] != value:
            problems.invalid(where, value, "must not have unknown fields")
        found = Problems()
        structural.check(value, dict(schema), "", found)
        for cause in found:
            inner = cause.field.removeprefix("<nil>")
            text = cause.message.replace("<nil> in body", " in body")
            problems.append(Cause(cause.reason, text, f"{where}.{inner}" if inner else where))
    if isinstance(schema.get("items"), dict):
        _defaults(schema["items"], f"{path}.items", problems)
    for key, part in sorted((schema.get("properties") or {}).items()):
        if not root or key not in META:
            _defaults(part, f"{path}.properties[{key}]", problems)


def _children(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    extra, items = schema.get("additionalProperties"), schema.get("items")
    if isinstance(extra, dict):
        yield f"{path}.additionalProperties", extra
    for key, part in sorted((schema.get("properties") or {}).items()):
        yield f"{path}.properties[{key}]", part
    if schema.get("not") is not None:
        yield f"{path}.not", schema["not"]
    for word in JUNCTORS:
        for index, part in enumerate(schema.get(word) or ()):
            yield f"{path}.{word}[{index}]", part
    if isinstance(items, dict):
        yield f"{path}.items", items


def _keywords(schema: Schema, path: str, problems: Problems, *, where: str = FIELD) -> None:
    kind = schema.get("type") or ""
    if kind and kind not in TYPES:
        problems.unsupported(f"{path}.type", kind, TYPES)
    for word in UNSUPPORTED:
        if schema.get(word):
            problems.forbidden(f"{path}.{word}", f"{word} is not supported")
    if kind == "null":
        detail = "type cannot be set to null, use nullable as an alternative"
        problems.forbidden(f"{path}.type", detail)
    if isinstance(schema.get("items"), list):
        problems.forbidden(f"{path}.items", "items must be a schema object and not an array")
    if schema.get("uniqueItems"):
        detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        problems.forbidden(f"{path}.uniqueItems", detail)
    if schema.get("properties") and schema.get("additionalProperties") not in (None, True):
        detail = "additionalProperties and properties are mutual exclusive"
        problems.forbidden(f"{path}.additionalProperties", detail)
    for place, part in _children(schema, path):
        if where == ROOT and part.get("default") is not None:
            name = place.removeprefix(f"{path}.properties[").removesuffix("]")
            if name in META:
                detail = f"must not be set in top-level {name}"
                problems.forbidden(f"{place}.default", detail)
        _keywords(part, place, problems)
    if schema.get("x-kubernetes-preserve-unknown-fields") is False:
        word = "x-kubernetes-preserve-unknown-fields"
        problems.invalid(f"{path}.{word}", False, "must be true or undefined")
    _list_and_map_types(schema, path, problems)
    for index, rule in enumerate(schema.get("x-kubernetes-validations") or ()):
        _rule(rule, f"{path}.x-kubernetes-validations[{index}]", problems)


def _list_and_map_types(schema: Schema, path: str, problems: Problems) -> None:
    kind = schema.get("type") or ""
    for word, wanted, values in (
        ("x-kubernetes-map-type", "object", ("atomic", "granular")),
        ("x-kubernetes-list-type", "array", ("atomic", "set", "map")),
    ):
        given = schema.get(word)
        if given is None:
            continue
        if kind != wanted:
            detail = f"must be {wanted} if {word} is specified"
            if kind:
                problems.invalid(f"{path}.type", kind, detail)
            else:
                problems.required(f"{path}.type", detail)
        if given not in values:
            problems.unsupported(f"{path}.{word}", given, values)
    _map_keys(schema, path, problems)


def _map_keys(schema: Schema, path: str, problems: Problems) -> None:
    given = schema.get("x-kubernetes-list-type")
    keys: list[str] = schema.get("x-kubernetes-list-map-keys") or []
    where = f"{path}.x-kubernetes-list-map-keys"
    if keys and given != "map":
        detail = "must be map if x-kubernetes-list-map-keys is non-empty"
        if given is None:
            problems.required(f"{path}.x-kubernetes-list-type", detail)
        else:
            problems.invalid(f"{path}.x-kubernetes-list-type", given, detail)
    items = schema.get("items")
    if given != "map":
        return
    if not keys:
        problems.required(where, "must not be empty if x-kubernetes-list-type is map")
    if items is None:
        detail = "must have a schema if x-kubernetes-list-type is map"
        problems.required(f"{path}.items", detail)
    if not isinstance(items, dict):
        return
    if items.get("type") != "object":
        detail = "must be object if parent array's x-kubernetes-list-type is map"
        problems.invalid(f"{path}.items.type", items.get("type") or "", detail)
        return
    properties = items.get("properties") or {}
    for index, key in enumerate(keys):
        if key not in properties:
            problems.invalid(where, keys, "entries must all be names of item properties")
        elif properties[key].get("type") in ("array", "object"):
            detail = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            problems.invalid(f"{path}.items.properties[{key}].type", "object", detail)
        if key in keys[:index]:
            problems.invalid(where, keys, "must not contain duplicate entries")
    for key in keys:
        part = properties.get(key)
        if part is None:
            continue
        place = f"{path}.items.properties[{key}]"
        if key not in (items.get("required") or ()) and part.get("default") is None:
            detail = (
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be "
                "a required property"
            )
            problems.required(f"{place}.default", detail)
        if part.get("nullable"):
            detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable"
            problems.forbidden(f"{place}.nullable", detail)


def _rule(rule: Schema, path: str, problems: Problems) -> None:
    text, message = str(rule.get("rule") or "").strip(), str(rule.get("message") or "")
    if not text:
        problems.required(f"{path}.rule", "rule is not specified")
    elif message and not message.strip():
        problems.invalid(f"{path}.message", message, "must be non-empty if specified")
    elif re.search(r"[\n\r]", message.strip()):
        problems.invalid(f"{path}.message", message, "must not contain line breaks")
    elif re.search(r"[\n\r]", text) and not message.strip():
        detail = "message must be specified if rule contains line breaks"
        problems.required(f"{path}.message", detail)
    reasons = (
        "FieldValueDuplicate",
        "FieldValueForbidden",
        "FieldValueInvalid",
        "FieldValueRequired",
    )
    if rule.get("reason") is not None and rule["reason"] not in reasons:
        problems.unsupported(f"{path}.reason", rule["reason"], reasons)
