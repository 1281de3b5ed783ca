"""Who owns which field: the bookkeeping of `metadata.managedFields`.

Writes are tracked as operation Update; server-side apply is in `applying`. The caller must track
before it fills in what the server allocates (cluster addresses, node ports), so that nobody owns
those.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.embedded.apiserver.rules import fieldsets, first_owner
from labkit.embedded.apiserver.rules.fieldsets import FieldSet, FieldSetError
from labkit.embedded.apiserver.rules.patching import PatchError
from labkit.embedded.apiserver.rules.schemas import Schema

_NOBODYS = (
    ("apiVersion",),
    ("kind",),
    *(
        ("metadata", name)
        for name in (
            "name",
            "namespace",
            "creationTimestamp",
            "selfLink",
            "uid",
            "generation",
            "managedFields",
            "resourceVersion",
        )
    ),
)
IGNORED = fieldsets.tree(_NOBODYS)
"""Fields that have no owner."""
_WITHOUT_SPEC = fieldsets.tree((*_NOBODYS, ("spec",)))
_WITHOUT_STATUS = fieldsets.tree((*_NOBODYS, ("status",)))


@dataclass(frozen=True)
class Conflict:
    """One field that another manager owns: `manager` is printed as Kubernetes does."""

    manager: str
    field: str


class ApplyConflict(PatchError):  # noqa: N818 - the name of the fact in Kubernetes
    """409: an apply would change fields of other managers; `causes` fit a Status' details."""

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        super().__init__(_conflict_message(conflicts), 409, "Conflict")
        self.conflicts = tuple(conflicts)
        self.causes = [
            {
                "reason": "FieldManagerConflict",
                "message": f"conflict with {conflict.manager}",
                "field": conflict.field,
            }
            for conflict in conflicts
        ]


def _conflict_message(conflicts: Sequence[Conflict]) -> str:
    if len(conflicts) == 1:
        only = conflicts[0]
        return f"Apply failed with 1 conflict: conflict with {only.manager}: {only.field}"
    lines = []
    for manager in sorted({conflict.manager for conflict in conflicts}):
        lines.append(f"conflicts with {manager}:")
        lines.extend(f"- {c.field}" for c in conflicts if c.manager == manager)
    return f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines)


@dataclass(frozen=True)
class Manager:
    """Identity of an entry of managedFields."""

    name: str
    operation: str
    version: str
    subresource: str

    def __str__(self) -> str:
        text = f'"{self.name}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        return f"{text} using {self.version}" if self.operation == "Update" else text


@dataclass
class Owned:
    """What a manager owns, and when it last changed it (RFC 3339)."""

    fields: FieldSet
    time: str


Managers = dict[Manager, Owned]


def read_managers(obj: Mapping[str, Any] | None) -> Managers:
    """Returns the managers that an object's managedFields name."""
    result: Managers = {}
    for entry in ((obj or {}).get("metadata") or {}).get("managedFields") or ():
        if not isinstance(entry, dict) or not entry.get("operation"):
            continue
        key = Manager(
            str(entry.get("manager") or ""),
            str(entry["operation"]),
            str(entry.get("apiVersion") or ""),
            str(entry.get("subresource") or ""),
        )
        fields = fieldsets.decode(entry.get("fieldsV1") or {})
        result[key] = Owned(fields, str(entry.get("time") or ""))
    return result


def write_managers(obj: dict[str, Any], managers: Managers) -> None:
    """Writes managedFields in Kubernetes' order; managers that own nothing are left out."""
    entries = []
    order = sorted(managers, key=lambda m: (m.operation, managers[m].time, m.name, m.subresource))
    for manager in order:
        owned = managers[manager]
        if not owned.fields:
            continue
        entries.append(_entry(manager, owned.time, fieldsets.encode(owned.fields)))
    metadata = obj.setdefault("metadata", {})
    metadata.pop("managedFields", None)
    if entries:
        metadata["managedFields"] = entries


def _entry(manager: Manager, time: str, fields: FieldSet) -> dict[str, Any]:
    """Returns an entry of managedFields."""
    return {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": manager.version,
        **({"time": time} if time else {}),
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        **({"subresource": manager.subresource} if manager.subresource else {}),
    }


def body_of(obj: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns an object without its managedFields (its own metadata dict, the rest shared)."""
    result = dict(obj or {})
    metadata = dict(result.get("metadata") or {})
    metadata.pop("managedFields", None)
    result["metadata"] = metadata
    return result


def ignored_fields(schema: Schema, subresource: str) -> FieldSet:
    """Returns the fields that a write to this endpoint cannot own."""
    if subresource == "status":
        return _WITHOUT_SPEC
    has_status = "status" in (schema.get("properties") or {})
    custom = schema.get("x-labkit-custom") and not schema.get("x-labkit-status")
    return _WITHOUT_STATUS if has_status and not custom else IGNORED


def settle(others: Managers, changed: FieldSet, removed: FieldSet, *, force: bool) -> Managers:
    """Takes changed and removed fields from the other managers; without force that conflicts."""
    conflicts: list[Conflict] = []
    result: Managers = {}
    for other, owned in others.items():
        lost = fieldsets.intersection(owned.fields, changed)
        conflicts.extend(Conflict(str(other), path) for path in fieldsets.paths(lost))
        rest = fieldsets.difference(fieldsets.difference(owned.fields, lost), removed)
        if rest:
            result[other] = Owned(rest, owned.time)
    if conflicts and not force:
        raise ApplyConflict(conflicts)
    return result


def _is_built_in(schema: Schema) -> bool:
    return "properties" in schema and not schema.get("x-labkit-custom")


def _first_owner(
    new: dict[str, Any], manager: Manager, *, schema: Schema, now: str
) -> dict[str, Any]:
    """Returns a new object of a built-in kind with the one who creates it as owner of everything.

    Its metadata belongs to the caller and is changed.
    """
    try:
        fields = first_owner.wire_of_new(new, schema, ignored_fields(schema, manager.subresource))
    except FieldSetError:
        fields = {}
    if fields:
        new["metadata"]["managedFields"] = [_entry(manager, now, fields)]
    return new


def track_update(
    live: Mapping[str, Any] | None,
    new: Mapping[str, Any],
    *,
    manager: str,
    schema: Schema | None,
    subresource: str = "",
    now: str,
    operation: str = "Update",
) -> dict[str, Any]:
    """Returns `new` with managedFields that show what a create, update or patch changed.

    Everything but the metadata is shared with `new`.

    A list `[{}]` in the new object's managedFields forgets all owners; other lists are taken as
    the owners before the change; an absent list stands for the live object's.
    """
    schema = schema or {}
    given = (new.get("metadata") or {}).get("managedFields")
    reset = given == [{}] and not subresource
    managers: Managers = {}
    if not reset:
        managers = (read_managers(new) if not subresource else {}) or read_managers(live)
    result = body_of(new)
    if live is None and not managers and _is_built_in(schema):
        first = Manager(manager, operation, str(result.get("apiVersion") or ""), subresource)
        return _first_owner(result, first, schema=schema, now=now)
    try:
        changed, removed = fieldsets.compare(body_of(live), result, schema)
    except FieldSetError:
        changed, removed = {}, {}
    ignored = ignored_fields(schema, subresource)
    changed, removed = fieldsets.without(changed, ignored), fieldsets.without(removed, ignored)
    if changed or removed:
        managers = settle(managers, changed, removed, force=True)
    if changed:
        me = Manager(manager, operation, str(result.get("apiVersion") or ""), subresource)
        before = managers[me].fields if me in managers else {}
        managers[me] = Owned(fieldsets.union(before, changed), now)
    write_managers(result, managers)
    return result
