"""Quantities written as the server writes them, wherever the schema of a kind has any.

The places are found once per kind; an object without quantities is hardly looked at.
"""

import functools
from collections.abc import Callable
from typing import Any

from labkit.embedded.apiserver.rules.quantities import canonical
from labkit.embedded.apiserver.rules.schemas import Schema, definitions

Fix = Callable[[dict[str, Any]], None]


@functools.cache
def _fix_of(group: str, version: str, kind: str) -> Fix | None:
    name = definitions().names.get((group, version, kind))
    return _compile(definitions().linked(name), {}) if name else None


def _is_quantity(schema: Schema) -> bool:
    return schema.get("format") == "quantity"


def _compile(schema: Schema, known: dict[int, Fix | None]) -> Fix | None:
    """A function that mends what is below an object, None when it has no quantities."""
    if id(schema) in known:
        return known[id(schema)]
    known[id(schema)] = None  # types that contain themselves (schemas) have no quantities
    own: list[str] = []
    below: list[tuple[str, Fix]] = []
    lists: list[tuple[str, Fix]] = []
    maps: list[str] = []
    for key, part in (schema.get("properties") or {}).items():
        items, extra = part.get("items"), part.get("additionalProperties")
        if _is_quantity(part):
            own.append(key)
        elif isinstance(extra, dict) and _is_quantity(extra):
            maps.append(key)
        elif isinstance(items, dict):
            fix = _compile(items, known)
            if fix:
                lists.append((key, fix))
        elif fix := _compile(part, known):
            below.append((key, fix))
    if not (own or below or lists or maps):
        return None

    def fix_object(obj: dict[str, Any]) -> None:
        for key in own:
            if obj.get(key) is not None:
                obj[key] = canonical(obj[key])
        for key in maps:
            found = obj.get(key)
            if found and isinstance(found, dict):
                obj[key] = {name: canonical(value) for name, value in found.items()}
        for key, fix in lists:
            for item in obj.get(key) or ():
                if isinstance(item, dict):
                    fix(item)
        for key, fix in below:
            if isinstance(found := obj.get(key), dict):
                fix(found)

    known[id(schema)] = fix_object
    return fix_object


def normalise(obj: dict[str, Any], group: str, version: str, kind: str) -> None:
    """Writes the quantities of a built-in object in their canonical form, in place."""
    fix = _fix_of(group, version, kind)
    if fix is not None:
        fix(obj)
