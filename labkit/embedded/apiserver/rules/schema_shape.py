"""Whether a custom resource's schema is made of schemas, down to its last part.

Fields that may hold "a schema or something else" have no type of their own in the description of
definitions; what is wrong there must be found before the schema is used.
"""

from collections.abc import Iterator
from typing import Any

_MAPS = ("properties", "patternProperties", "definitions")
_LISTS = ("allOf", "anyOf", "oneOf")


def wrong_parts(schema: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Path and value of each part that must be a schema and is none."""
    if not isinstance(schema, dict):
        yield path, schema
        return
    for name in _MAPS:
        parts = schema.get(name) or {}
        if not isinstance(parts, dict):
            yield f"{path}.{name}", parts
            continue
        for key, part in parts.items():
            yield from wrong_parts(part, f"{path}.{name}[{key}]")
    for name in _LISTS:
        yield from _listed(schema.get(name) or [], f"{path}.{name}")
    items = schema.get("items")
    if isinstance(items, list):
        yield from _listed(items, f"{path}.items")
    elif items is not None:
        yield from wrong_parts(items, f"{path}.items")
    for name in ("additionalProperties", "additionalItems", "not"):
        part = schema.get(name)
        if part is not None and not (isinstance(part, bool) and name != "not"):
            yield from wrong_parts(part, f"{path}.{name}")


def _listed(parts: Any, path: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(parts, list):
        yield path, parts
        return
    for index, part in enumerate(parts):
        yield from wrong_parts(part, f"{path}[{index}]")
