"""One stored object, several versions: core and events.k8s.io events, custom resources.

Custom resources have no converter: only apiVersion changes. Of the built-in kinds only events
and autoscalers have two versions; the first of autoscalers knows one metric, the usage of CPU.
"""

from labkit.embedded.apiserver.resources import Resource
from labkit.embedded.apiserver.store import Object

_AUTOSCALERS = "autoscaling/horizontalpodautoscalers"
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
    if resource.storage == _AUTOSCALERS:
        return _with_cpu_target(obj, wanted)
    return {**obj, "apiVersion": wanted}


def to_storage(obj: Object, resource: Resource) -> Object:
    """The object of a request as it is stored."""
    if resource.api_version == resource.storage_version:
        return obj
    if resource.storage == "events":
        return _rename(obj, _EVENT_FIELDS_BACK, "v1")
    if resource.storage == _AUTOSCALERS:
        return _with_metrics(obj, resource.storage_version)
    return {**obj, "apiVersion": resource.storage_version}


def _with_metrics(obj: Object, api_version: str) -> Object:
    """An autoscaler of the first version as one of the second."""
    spec = dict(obj.get("spec") or {})
    usage = spec.pop("targetCPUUtilizationPercentage", None)
    if usage is not None:
        target = {"type": "Utilization", "averageUtilization": usage}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    return {**obj, "apiVersion": api_version, "spec": spec}


def _with_cpu_target(obj: Object, api_version: str) -> Object:
    """An autoscaler of the second version as one of the first."""
    spec = dict(obj.get("spec") or {})
    for metric in spec.pop("metrics", None) or ():
        resource = metric.get("resource") or {}
        usage = (resource.get("target") or {}).get("averageUtilization")
        if resource.get("name") == "cpu" and usage is not None:
            spec["targetCPUUtilizationPercentage"] = usage
    status = {"currentReplicas": 0, **(obj.get("status") or {})}
    status.pop("currentMetrics", None)
    return {**obj, "apiVersion": api_version, "spec": spec, "status": status}


def _rename(obj: Object, names: dict[str, str], api_version: str) -> Object:
    found = {names.get(key, key): value for key, value in obj.items() if value != ""}
    found["apiVersion"] = api_version
    return found
