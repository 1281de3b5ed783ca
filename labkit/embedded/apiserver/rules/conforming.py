"""Is there anything at all to say about a value's types? One quick walk, mostly answered by no.

The rules of `decoding` and `validation` find out what exactly is wrong, each in a walk of its own.
Nearly every object that arrives has nothing wrong; `conforms` sees that in a tenth of the time,
with a schema that was compiled into nested functions once. What it does not accept is not wrong
yet: the exact rules judge it. Only built-in kinds are compiled; their schemas live for ever.
"""

from collections.abc import Callable, Mapping
from typing import Any

from labkit.embedded.apiserver.rules import decoding
from labkit.embedded.apiserver.rules.schemas import Schema
from labkit.embedded.apiserver.rules.values import has_null

Check = Callable[[Any], bool]

_compiled: dict[int, tuple[Schema, Check]] = {}
"""By identity of the schema, which is kept so that the identity stays its own."""


def conforms(obj: Any, schema: Schema) -> bool:
    """Tells whether a value of a built-in kind has only known fields with fitting values.

    That is: no null, no wrong type, no text in a wrong format and none outside an enumeration.
    """
    return _compile(schema)(obj)


def _compile(schema: Schema) -> Check:
    known = _compiled.get(id(schema))
    if known is not None:
        return known[1]
    if any(schema.get(word) for word in decoding.LOOSE):
        check: Check = _unsure
    elif schema.get("x-kubernetes-int-or-string"):
        check = _int_or_string if schema.get("format") != "quantity" else _quantity
    elif schema.get("type") == "object" or "properties" in schema:
        return _object(schema)
    elif schema.get("type") == "array" and isinstance(schema.get("items"), dict):
        return _array(schema)
    else:
        check = _with_enum(_scalar(schema), schema.get("enum"))
    _compiled[id(schema)] = schema, check
    return check


def _object(schema: Schema) -> Check:
    if not {"properties", "additionalProperties"} & schema.keys():
        _compiled[id(schema)] = schema, _opaque
        return _opaque
    fields: dict[str, Check] = {}
    extra: list[Check | None] = [None]

    def check_object(value: Any) -> bool:
        if type(value) is not dict:
            return False
        other = extra[0]
        for key, item in value.items():
            part = fields.get(key, other)
            if part is None or not part(item):
                return False
        return True

    _compiled[id(schema)] = schema, check_object  # before what is below: types refer to themselves
    for key, part in (schema.get("properties") or {}).items():
        fields[key] = _compile(part)
    if isinstance(schema.get("additionalProperties"), dict):
        extra[0] = _compile(schema["additionalProperties"])
    return check_object


def _array(schema: Schema) -> Check:
    item: list[Check] = []

    def check_array(value: Any) -> bool:
        return type(value) is list and all(map(item[0], value))

    _compiled[id(schema)] = schema, check_array
    item.append(_compile(schema["items"]))
    return check_array


def _unsure(_: Any) -> bool:
    return False


def _opaque(value: Any) -> bool:
    return type(value) is dict and not has_null(value)


def _anything(value: Any) -> bool:
    return not has_null(value)


def _text(value: Any) -> bool:
    return type(value) is str


def _time(value: Any) -> bool:
    return type(value) is str and decoding.TIME.match(value) is not None


def _base64(value: Any) -> bool:
    return type(value) is str and decoding.bad_base64(value) is None


def _whole(value: Any) -> bool:
    return type(value) is int


def _int32(value: Any) -> bool:
    return type(value) is int and -(2**31) <= value < 2**31


def _number(value: Any) -> bool:
    return type(value) in (int, float)


def _boolean(value: Any) -> bool:
    return type(value) is bool


def _int_or_string(value: Any) -> bool:
    return type(value) in (int, str)


def _quantity(value: Any) -> bool:
    if type(value) is str:
        return decoding.QUANTITY.fullmatch(value.strip()) is not None
    return type(value) is int


_SCALARS: Mapping[tuple[str, str], Check] = {
    ("string", "date-time"): _time,
    ("string", "byte"): _base64,
    ("string", ""): _text,
    ("integer", "int32"): _int32,
    ("integer", ""): _whole,
    ("number", ""): _number,
    ("boolean", ""): _boolean,
}


def _scalar(schema: Schema) -> Check:
    kind, form = str(schema.get("type")), str(schema.get("format", ""))
    return _SCALARS.get((kind, form)) or _SCALARS.get((kind, "")) or _anything


def _with_enum(check: Check, allowed: list[Any] | None) -> Check:
    if not allowed:
        return check
    values = frozenset((*allowed, ""))  # an empty text is an absent one
    return lambda value: type(value) is str and value in values and check(value)
