"""Which objects a list or watch is about: namespace, name, label and field selectors together."""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from labkit.embedded.apiserver import status
from labkit.embedded.apiserver.requests import Call
from labkit.embedded.apiserver.resources import Resource
from labkit.embedded.apiserver.rules import selectors
from labkit.embedded.apiserver.store import Entry

_COMMON = ("metadata.name", "metadata.namespace")
_EVENTS = (
    *(
        f"involvedObject.{part}"
        for part in (
            "kind",
            "namespace",
            "name",
            "uid",
            "apiVersion",
            "resourceVersion",
            "fieldPath",
        )
    ),
    "reason",
    "reportingComponent",
    "source",
    "type",
)
_FIELDS: dict[str, tuple[str, ...]] = {
    "pods": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    "events": _EVENTS,
    "secrets": ("type",),
    "nodes": ("spec.unschedulable",),
    "namespaces": ("status.phase",),
    "services": ("spec.clusterIP", "spec.type"),
    "replicationcontrollers": ("status.replicas",),
    "apps/replicasets": ("status.replicas",),
    "batch/jobs": ("status.successful",),
    "certificates.k8s.io/certificatesigningrequests": ("spec.signerName",),
}
_CLUSTER_WIDE = {"nodes", "namespaces", "certificates.k8s.io/certificatesigningrequests"}
"""Kinds without a namespace that know it: a selector of others may name one in vain."""

_NO_CONVERSION = {
    "certificates.k8s.io/certificatesigningrequests",
    "pods",
    "secrets",
    "nodes",
    "namespaces",
    "services",
    "events",
    "replicationcontrollers",
}
_EVENT_NAMES = {
    **{name.replace("involvedObject", "regarding"): name for name in _EVENTS if "." in name},
    "reason": "reason",
    "reportingController": "reportingComponent",
    "type": "type",
}
"""Fields of events of events.k8s.io, and what they are called in the stored objects."""

_FALSE_BY_DEFAULT = {"spec.unschedulable", "spec.hostNetwork"}


def _check_field(path: str, resource: Resource) -> None:
    extra: Sequence[str] = _FIELDS.get(resource.storage, ())
    if resource.group == "events.k8s.io":
        extra = tuple(_EVENT_NAMES)
    common = _COMMON[:1] if resource.storage in _CLUSTER_WIDE else _COMMON
    if path in common or path in extra or path in _selectable(resource):
        return
    if resource.storage in _NO_CONVERSION or resource.crd is not None:
        raise status.bad_request(f"field label not supported: {path}")
    if resource.storage == "batch/jobs":
        raise status.bad_request(f'field label "{path}" not supported for batchv1.Job')
    known = ", ".join(f'"{field}"' for field in (*_COMMON, *extra))
    raise status.bad_request(f'"{path}" is not a known field selector: only {known}')


def _selectable(resource: Resource) -> Sequence[str]:
    if resource.crd is None:
        return ()
    return [
        str(field["jsonPath"]).removeprefix(".")
        for version in resource.crd["spec"]["versions"]
        if version["name"] == resource.version
        for field in version.get("selectableFields") or ()
    ]


@dataclass(frozen=True)
class Selection:
    """A filter for stored entries.

    Attributes:
        everything: no selector was given (paging then counts what remains).
    """

    resource: Resource
    namespace: str
    name: str
    labels: Any
    fields: Any

    @functools.cached_property
    def _defaulted(self) -> bool:
        """Whether a field is asked for that counts as false when it is absent."""
        return any(term.key in _FALSE_BY_DEFAULT for term in self.fields)

    @property
    def everything(self) -> bool:
        """Whether neither labels nor fields are asked for."""
        return not self.labels and not self.fields

    def matches(self, entry: Entry | None) -> bool:
        """Whether the entry belongs to the selection."""
        if entry is None:
            return False
        if self.namespace and entry.namespace != self.namespace:
            return False
        if self.name and entry.name != self.name:
            return False
        if self.labels:
            labels = entry.obj["metadata"].get("labels")
            if not selectors.matches_labels(self.labels, labels):
                return False
        return not self.fields or self._fields_match(entry)

    def _fields_match(self, entry: Entry) -> bool:
        obj = entry.obj
        if self.resource.storage == "events":
            obj = {**obj, "source": (obj.get("source") or {}).get("component", "")}
        elif self._defaulted:
            obj = {
                **obj,
                "spec": dict.fromkeys(("unschedulable", "hostNetwork"), False) | obj["spec"],
            }
        return selectors.matches_fields(self.fields, obj)


def selection(call: Call) -> Selection:
    """What a list, watch or deletecollection is about; 400 for a bad selector."""
    try:
        labels = selectors.parse_label_selector(call.query.get("labelSelector", ""))
        fields = selectors.parse_field_selector(call.query.get("fieldSelector", ""))
    except selectors.SelectorError as error:
        raise status.bad_request(str(error)) from error
    for term in fields:
        _check_field(term.key, call.resource)
    if call.resource.group == "events.k8s.io":
        fields = tuple(
            dataclasses.replace(term, key=_EVENT_NAMES.get(term.key, term.key)) for term in fields
        )
    namespace = call.namespace if call.resource.namespaced else ""
    return Selection(call.resource, namespace, call.name, labels, fields)
