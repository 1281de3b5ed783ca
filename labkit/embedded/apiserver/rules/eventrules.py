"""What Kubernetes demands of events: those of core/v1 may be poor, newer ones must be complete."""

from collections.abc import Mapping
from typing import Any

from labkit.embedded.apiserver.rules import names
from labkit.embedded.apiserver.rules.causes import Problems

Object = Mapping[str, Any]
NEW = "events.k8s.io"
LIMITS = (("reportingInstance", 128), ("action", 128), ("reason", 128))
OLD_FIELDS = {
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}


def event(obj: Object, old: Object | None, problems: Problems) -> None:
    """An event lives in the namespace of what it is about."""
    new = str(obj.get("apiVersion", "")).startswith(NEW)
    about = obj.get("regarding" if new else "involvedObject") or {}
    namespace, other = (obj.get("metadata") or {}).get("namespace", ""), about.get("namespace", "")
    if namespace and (other or "default") != namespace:
        problems.invalid("involvedObject.namespace", other, "does not match event.namespace")
    if obj.get("eventTime"):
        _complete(obj, new, problems)
    if new and old is None:
        _strict(obj, problems)


def _complete(obj: Object, new: bool, problems: Problems) -> None:  # noqa: FBT001
    field = "reportingController" if new else "reportingComponent"
    controller = obj.get(field) or ""
    if not controller:
        problems.required(field)
    problems.invalid(field, controller, *names.qualified_name(controller))
    for name, limit in LIMITS:
        value = obj.get(name) or ""
        if not value:
            problems.required(name)
        elif len(value) > limit:
            problems.invalid(name, "", f"can have at most {limit} characters")
    if len(obj.get("note" if new else "message") or "") > 1024:
        problems.invalid("message", "", "can have at most 1024 characters")


def _strict(obj: Object, problems: Problems) -> None:
    if not obj.get("eventTime"):
        problems.required("eventTime")
    kind = obj.get("type") or ""
    if kind not in ("Normal", "Warning"):
        problems.invalid("type", "", f"has invalid value: {kind}")
    for field, shown in OLD_FIELDS.items():
        if obj.get(field):
            problems.invalid(shown, "", "needs to be unset")
    source = obj.get("deprecatedSource") or {}
    if source.get("component") or source.get("host"):
        problems.invalid("source", "", "needs to be unset")
