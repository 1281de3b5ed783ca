"""One stored object, several versions: core and events.k8s.io events, custom resources.

Custom resources have no converter: only apiVersion changes. Everything else has one version.
"""

from labkit.embedded.apiserver.resources import Resource
from labkit.embedded.apiserver.store import Object

_EVENT_FIELDS = {
    # core/v1: events.k8s.io/v1
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
_EVENT_FIELDS_BACK = {new: old for old, new in _EVENT_FIELDS.items()}


def convert(obj: Object, resource: Resource) -> Object:
    """The stored object as the resource's version has it."""
    wanted = resource.api_version
    if obj.get("apiVersion") == wanted:
        return obj
    if resource.storage == "events":
        return _rename(obj, _EVENT_FIELDS, wanted)
    return {**obj, "apiVersion": wanted}


def to_storage(obj: Object, resource: Resource) -> Object:
    """The object of a request as it is stored."""
    if resource.api_version == resource.storage_version:
        return obj
    if resource.storage == "events":
        return _rename(obj, _EVENT_FIELDS_BACK, "v1")
    return {**obj, "apiVersion": resource.storage_version}


def _rename(obj: Object, names: dict[str, str], api_version: str) -> Object:
    found = {names.get(key, key): value for key, value in obj.items() if value != ""}
    found["apiVersion"] = api_version
    return found
