"""The fields that whoever creates an object owns: all of them, in the wire form of `fieldsV1`.

That is `encode(without(compare({}, new, schema)[0], ignored))` of `fieldsets` in one walk, with the
names and kinds of fields worked out once for each schema: objects are created far more often than
anybody disputes their fields. Only for built-in kinds, whose schemas live for ever.
"""

from typing import Any

from labkit.embedded.apiserver.rules import fieldsets
from labkit.embedded.apiserver.rules.fieldsets import MEMBER, FieldSet
from labkit.embedded.apiserver.rules.schemas import Schema

_NOTHING: FieldSet = {}


class _Plan:
    """What a schema says about ownership.

    Attributes:
        whole_map: a map has one owner as a whole; `whole_list` says so of a list.
        given: the wire names of fields that are never absent.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.whole_map = schema.get("x-kubernetes-map-type") == "atomic"
        self.whole_list = fieldsets.list_type(schema) not in ("map", "set")
        self.given = fieldsets.given(schema)
        self._names: dict[str, tuple[str, _Plan]] = {}

    def field(self, name: str) -> "tuple[str, _Plan]":
        """The wire name of a field, and the plan of what is below it."""
        known = self._names.get(name)
        if known is not None:
            return known
        properties = self.schema.get("properties") or {}
        if name not in properties:  # a key of a map is anybody's choice, and not kept
            extra = self.schema.get("additionalProperties")
            return f"f:{name}", _plan(extra) if isinstance(extra, dict) else _ANYTHING
        known = self._names[name] = f"f:{name}", _plan(properties[name])
        return known

    def elements(self, value: list[Any]) -> list[tuple[str, Any]]:
        """The elements of a list under their wire names, in order."""
        schema = self.schema
        return sorted(
            [(fieldsets.element_key(item, schema), item) for item in value],
            key=lambda pair: pair[0],
        )

    @property
    def item(self) -> "_Plan":
        """The plan of a list's elements."""
        items = self.schema.get("items")
        return _plan(items) if isinstance(items, dict) else _ANYTHING


_plans: dict[int, _Plan] = {}
"""By identity of the schema, which the plan keeps so that the identity stays its own."""


def _plan(schema: Schema) -> _Plan:
    known = _plans.get(id(schema))
    if known is None:
        known = _plans[id(schema)] = _Plan(schema)
    return known


_ANYTHING = _Plan({})


def wire_of_new(new: Any, schema: Schema, ignored: FieldSet) -> FieldSet:
    """Returns the wire form of the fields that whoever creates an object owns.

    Raises:
        FieldSetError: a list element lacks a key.
    """
    return _wire(new, _plan(schema), ignored)


def _wire(new: Any, plan: _Plan, ignored: FieldSet) -> FieldSet:
    result: FieldSet = {}
    for name in sorted(new):
        key, part = plan.field(name)
        skipped = ignored.get(key, _NOTHING)
        if key in ignored and not skipped:
            continue
        item = new[name]
        if key not in plan.given or not isinstance(item, dict | list):
            result[key] = _all(item, part)
        elif part.whole_map if isinstance(item, dict) else part.whole_list:
            result[key] = {}
        elif isinstance(item, dict) and (below := _wire(item, part, skipped)):
            result[key] = below
        elif isinstance(item, list):
            result.update(_given_list(key, item, part))
    return result


def _given_list(key: str, value: list[Any], plan: _Plan) -> FieldSet:
    """A list that is never absent belongs to nobody, only its elements do."""
    elements = {name: _all(item, plan.item) for name, item in plan.elements(value)}
    return {key: elements} if elements else {}


def _all(value: Any, plan: _Plan) -> FieldSet:
    """A value's own membership, and that of everything below it."""
    if type(value) is dict:
        if plan.whole_map or not value:
            return {}
        result: FieldSet = {MEMBER: {}}
        for name in sorted(value):
            key, part = plan.field(name)
            item = value[name]
            result[key] = _all(item, part) if type(item) is dict or type(item) is list else {}
        return result
    if type(value) is not list or plan.whole_list or not value:
        return {}
    item_plan = plan.item
    return {MEMBER: {}} | {key: _all(item, item_plan) for key, item in plan.elements(value)}
