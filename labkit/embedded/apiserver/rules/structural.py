"""Validates custom resources against the OpenAPI schema of their CustomResourceDefinition.

The keywords that structural schemas may use are checked; CEL rules (x-kubernetes-validations) are
not evaluated.
"""

from collections.abc import Mapping
from typing import Any

from labkit.embedded.apiserver.rules import formats, patterns
from labkit.embedded.apiserver.rules.causes import Cause, Problems, shown
from labkit.embedded.apiserver.rules.decoding import fits
from labkit.embedded.apiserver.rules.schemas import Schema


def check(value: Any, schema: Schema, path: str, problems: Problems) -> None:
    """Adds everything that is wrong with a value below a path, in the order of the real server."""
    if value is None:
        if schema.get("type") and not schema.get("nullable") and path:
            _type_problem("null", schema, path, problems)
        return
    loose = schema.get("x-kubernetes-int-or-string")
    if not fits(value, schema) or (
        loose and (not isinstance(value, int | str) or isinstance(value, bool))
    ):
        _type_problem(_kind(value), schema, path, problems)
        return
    _combinations(value, schema, path, problems)
    _texts(value, schema, path, problems)
    _numbers(value, schema, path, problems)
    _lists(value, schema, path, problems)
    if "enum" in schema and value not in schema["enum"]:
        problems.unsupported(path, value, schema["enum"])
    if isinstance(value, dict):
        _objects(value, schema, path, problems)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    names = {str: "string", int: "integer", float: "number", dict: "object", list: "array"}
    return names.get(type(value), "null")


def _type_problem(found: str, schema: Schema, path: str, problems: Problems) -> None:
    loose = schema.get("x-kubernetes-int-or-string")
    wanted = "integer,string" if loose else schema.get("type", "object")
    where = path or "<nil>"
    text = f'Invalid value: "{found}": {where} in body must be of type {wanted}: "{found}"'
    problems.append(Cause("FieldValueTypeInvalid", text, where))


def _numbers(value: Any, schema: Schema, path: str, problems: Problems) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return
    step = schema.get("multipleOf")
    if step and value % step:
        problems.invalid(path, value, f"{path} in body should be a multiple of {step}")
    low, high = schema.get("minimum"), schema.get("maximum")
    if high is not None:
        strict = schema.get("exclusiveMaximum")
        if value > high or (strict and value == high):
            word = "less than" if strict else "less than or equal to"
            problems.invalid(path, value, f"{path} in body should be {word} {high}")
    if low is not None:
        strict = schema.get("exclusiveMinimum")
        if value < low or (strict and value == low):
            word = "greater than" if strict else "greater than or equal to"
            problems.invalid(path, value, f"{path} in body should be {word} {low}")


def _texts(value: Any, schema: Schema, path: str, problems: Problems) -> None:
    if not isinstance(value, str):
        return
    least, most = schema.get("minLength"), schema.get("maxLength")
    if most is not None and len(value) > most:
        problems.too_long(path, most)
    if least is not None and len(value) < least:
        problems.invalid(path, value, f"{path} in body should be at least {least} chars long")
    pattern = schema.get("pattern")
    if pattern and not patterns.matches(pattern, value):
        problems.invalid(path, value, f"{path} in body should match '{pattern}'")
    kind = schema.get("format")
    if kind and not formats.fits(value, kind):
        text = f"{path} in body must be of type {kind}: {shown(value)}"
        problems.append(
            Cause("FieldValueTypeInvalid", f"Invalid value: {shown(value)}: {text}", path)
        )


def _lists(value: Any, schema: Schema, path: str, problems: Problems) -> None:
    if not isinstance(value, list):
        return
    items = schema.get("items")
    for index, item in enumerate(value):
        if isinstance(items, dict):
            check(item, items, f"{path}[{index}]", problems)
    least, most = schema.get("minItems"), schema.get("maxItems")
    if least is not None and len(value) < least:
        problems.invalid(path, len(value), f"{path} in body should have at least {least} items")
    if most is not None and len(value) > most:
        problems.too_many(path, len(value), most)
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
    least = schema.get("minProperties")
    if least is not None and count < least:
        problems.invalid(path, count, f"{path} in body should have at least {least} properties")
    if most is not None and count > most:
        problems.too_many(path, count, most)
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
    """anyOf, allOf, oneOf and not: what the whole says, then what is wrong with the first part."""

    def failures(part: Schema) -> Problems:
        found = Problems()
        check(value, part, path, found)
        return found

    def refuse(text: str, why: Problems | None = None) -> None:
        message = f'Invalid value: "": {shown(path)} must {text}'
        problems.append(Cause("FieldValueInvalid", message, "<nil>"))
        problems.extend(why or ())

    if schema.get("anyOf"):
        found = [failures(part) for part in schema["anyOf"]]
        if all(found):
            refuse("validate at least one schema (anyOf)", found[0])
    if schema.get("oneOf"):
        found = [failures(part) for part in schema["oneOf"]]
        good = len([one for one in found if not one])
        if good != 1:
            count = f"Found {good} valid alternatives" if good else "Found none valid"
            first = next((one for one in found if one), None)
            refuse(f"validate one and only one schema (oneOf). {count}", first)
    if schema.get("allOf"):
        found = [failures(part) for part in schema["allOf"]]
        for one in found:
            problems.extend(one)
        if any(found):
            none = ". None validated" if all(found) else ""
            refuse(f"validate all the schemas (allOf){none}")
    if schema.get("not") and not failures(schema["not"]):
        refuse("not validate the schema (not)")
