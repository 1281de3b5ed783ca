"""Validates custom resources against the OpenAPI schema of their CustomResourceDefinition.

The keywords that structural schemas may use are checked; CEL rules (x-kubernetes-validations) are
not evaluated.
"""

from collections.abc import Mapping
from typing import Any

from labkit.embedded.apiserver.rules import patterns
from labkit.embedded.apiserver.rules.causes import Cause, Problems, shown
from labkit.embedded.apiserver.rules.decoding import fits
from labkit.embedded.apiserver.rules.schemas import Schema


def check(value: Any, schema: Schema, path: str, problems: Problems) -> None:
    """Adds everything that is wrong with a value below a path."""
    if value is None:
        if schema.get("type") and not schema.get("nullable") and path:
            _type_problem("null", schema, path, problems)
        return
    if not fits(value, schema):
        _type_problem(_kind(value), schema, path, problems)
        return
    if "enum" in schema and value not in schema["enum"]:
        problems.unsupported(path, value, schema["enum"])
    _numbers(value, schema, path, problems)
    _texts(value, schema, path, problems)
    _lists(value, schema, path, problems)
    if isinstance(value, dict):
        _objects(value, schema, path, problems)
    _combinations(value, schema, path, problems)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    names = {str: "string", int: "integer", float: "number", dict: "object", list: "array"}
    return names.get(type(value), "null")


def _type_problem(found: str, schema: Schema, path: str, problems: Problems) -> None:
    wanted = schema.get("type", "object")
    where = path or "<nil>"
    text = f'Invalid value: "{found}": {where} in body must be of type {wanted}: "{found}"'
    problems.append(Cause("FieldValueTypeInvalid", text, where))


def _numbers(value: Any, schema: Schema, path: str, problems: Problems) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None:
        strict = schema.get("exclusiveMinimum")
        if value < low or (strict and value == low):
            word = "greater than" if strict else "greater than or equal to"
            problems.invalid(path, value, f"{path} in body should be {word} {low}")
    if high is not None:
        strict = schema.get("exclusiveMaximum")
        if value > high or (strict and value == high):
            word = "less than" if strict else "less than or equal to"
            problems.invalid(path, value, f"{path} in body should be {word} {high}")
    step = schema.get("multipleOf")
    if step and value % step:
        problems.invalid(path, value, f"{path} in body should be a multiple of {step}")


def _texts(value: Any, schema: Schema, path: str, problems: Problems) -> None:
    if not isinstance(value, str):
        return
    least, most = schema.get("minLength"), schema.get("maxLength")
    if least is not None and len(value) < least:
        problems.invalid(path, value, f"{path} in body should be at least {least} chars long")
    if most is not None and len(value) > most:
        text = f"Too long: may not be more than {most} bytes"
        problems.append(Cause("FieldValueTooLong", text, path))
    pattern = schema.get("pattern")
    if pattern and not patterns.matches(pattern, value):
        problems.invalid(path, value, f"{path} in body should match '{pattern}'")


def _lists(value: Any, schema: Schema, path: str, problems: Problems) -> None:
    if not isinstance(value, list):
        return
    least, most = schema.get("minItems"), schema.get("maxItems")
    if least is not None and len(value) < least:
        problems.invalid(path, len(value), f"{path} in body should have at least {least} items")
    if most is not None and len(value) > most:
        text = f"Too many: {len(value)}: must have at most {most} items"
        problems.append(Cause("FieldValueTooMany", text, path))
    items = schema.get("items")
    for index, item in enumerate(value):
        if isinstance(items, dict):
            check(item, items, f"{path}[{index}]", problems)
    _unique(value, schema, path, problems)


def _unique(value: list[Any], schema: Schema, path: str, problems: Problems) -> None:
    kind = schema.get("x-kubernetes-list-type")
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    seen: list[Any] = []
    for index, item in enumerate(value):
        if kind == "set":
            identity: Any = item
        elif kind == "map" and isinstance(item, dict):
            identity = {key: item.get(key) for key in keys}
        else:
            return
        if identity in seen:
            problems.duplicate(f"{path}[{index}]", identity)
        seen.append(identity)


def _objects(value: Mapping[str, Any], schema: Schema, path: str, problems: Problems) -> None:
    properties = schema.get("properties") or {}
    count, most = len(value), schema.get("maxProperties")
    if most is not None and count > most:
        text = f"Too many: {count}: must have at most {most} items"
        problems.append(Cause("FieldValueTooMany", text, path))
    least = schema.get("minProperties")
    if least is not None and count < least:
        problems.invalid(path, count, f"{path} in body should have at least {least} properties")
    extra = schema.get("additionalProperties")
    for key in sorted(value):
        part = properties.get(key, extra)
        if isinstance(part, dict) and (path or key not in ("metadata", "apiVersion", "kind")):
            where = f"{path}.{key}" if path else key
            check(value[key], part, where, problems)
    for key in schema.get("required") or ():
        if key not in value:
            problems.required(f"{path}.{key}" if path else key)


def _combinations(value: Any, schema: Schema, path: str, problems: Problems) -> None:
    def passes(part: Schema) -> bool:
        found = Problems()
        check(value, part, path, found)
        return not found

    for part in schema.get("allOf") or ():
        check(value, part, path, problems)
    if schema.get("anyOf") and not any(passes(part) for part in schema["anyOf"]):
        message = f"{path} in body must validate at least one schema (anyOf)"
        problems.append(Cause("FieldValueInvalid", f'Invalid value: "": {message}', path))
    if schema.get("oneOf") and sum(passes(part) for part in schema["oneOf"]) != 1:
        message = f"{path} in body must validate one and only one schema (oneOf)"
        problems.append(Cause("FieldValueInvalid", f'Invalid value: "": {message}', path))
    if schema.get("not") and passes(schema["not"]):
        message = f"{path} in body must not validate the schema (not)"
        problems.append(
            Cause("FieldValueInvalid", f"Invalid value: {shown(value)}: {message}", path)
        )
