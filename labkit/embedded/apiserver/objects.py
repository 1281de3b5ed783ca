"""Small things about objects as dicts: copies, order of fields, empty parts, equality."""

from typing import Any

from labkit.embedded.apiserver.rules.values import clone
from labkit.embedded.apiserver.store import Object


def without_empty(obj: Object, *, keep_nulls: bool) -> Object:
    """Nulls removed, and empty maps and lists of metadata, as a Go server would drop them."""
    found: Object = obj if keep_nulls else _without_nulls(obj)
    metadata = found.get("metadata") or {}
    kept = {k: v for k, v in metadata.items() if v is not None and v not in ({}, [], "")}
    return {**found, "metadata": kept}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def same(new: Object, old: Object) -> bool:
    """Whether an update changes nothing (times of managedFields do not count)."""
    if new.keys() != old.keys():
        return False
    if any(new[key] != old[key] for key in new if key != "metadata"):
        return False
    first, second = dict(new["metadata"]), dict(old["metadata"])
    return _owners(first) == _owners(second) and first == second


def _owners(metadata: dict[str, Any]) -> list[dict[str, Any]]:
    entries = metadata.pop("managedFields", None) or []
    plain = [{k: v for k, v in e.items() if k != "time"} for e in entries]
    return sorted(plain, key=lambda entry: repr(sorted(entry.items(), key=lambda pair: pair[0])))


def thaw(obj: Object) -> Object:
    """A copy that may be changed."""
    copied: Object = clone(obj)
    return copied


def ordered(obj: Object) -> Object:
    """kind, apiVersion and metadata first, then the rest as it was given."""
    head = {key: obj[key] for key in ("kind", "apiVersion", "metadata") if key in obj}
    return head | obj
