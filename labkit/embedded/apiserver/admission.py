"""What an object means to other objects: namespaces, service accounts, addresses, webhooks, CRDs.

Run between decoding and storing. Rules that need only the object itself live in `rules`.
"""

from labkit.embedded.apiserver import (
    aggregation,
    allocation,
    crds,
    escalation,
    pod_admission,
    status,
    webhooks,
)
from labkit.embedded.apiserver.backend import Backend
from labkit.embedded.apiserver.requests import Call
from labkit.embedded.apiserver.rules import warning
from labkit.embedded.apiserver.store import Entry, Object

_SLICES = "discovery.k8s.io/endpointslices"
PROTECTED_NAMESPACES = ("default", "kube-system", "kube-public")


def check_namespace(backend: Backend, call: Call) -> None:
    """404 or 403 when an object would be created in a missing or terminating namespace."""
    if not call.resource.namespaced:
        return
    entry = backend.store.get("namespaces", "", call.namespace)
    if entry is None:
        raise status.not_found("namespaces", call.namespace)
    if "deletionTimestamp" not in entry.obj["metadata"]:
        return
    why = (
        f"unable to create new content in namespace {call.namespace} because it is being terminated"
    )
    error = status.forbidden(call.plural, call.name, why, call.group)
    error.body["details"]["causes"] = [
        {
            "reason": "NamespaceTerminating",
            "message": f"namespace {call.namespace} is being terminated",
            "field": "metadata.namespace",
        }
    ]
    raise error


async def mutate(backend: Backend, call: Call, obj: Object, old: Object | None) -> Object:
    """What the server and its webhooks add or change."""
    if old is None and call.resource.storage == "pods":
        pod_admission.complete(backend, call, obj)
    elif call.resource.storage == "pods" and not call.subresource and "spec" in obj:
        pod_admission.tolerate_short_outages(obj["spec"])
    if call.resource.storage == _SLICES and obj.get("addressType") == "FQDN":
        call.warnings.append("spec.addressType: FQDN endpoints are deprecated")
    return await webhooks.mutate(backend, call, obj, old)


async def validating(backend: Backend, call: Call, obj: Object, old: Object | None) -> None:
    """What may only refuse or warn: rights that the writer does not have, and webhooks."""
    escalation.check(backend, call, obj, old)
    await webhooks.validate(backend, call, obj, old)
    if not call.subresource:
        call.warnings += warning.warnings(call.resource.storage, obj, old)


def allocate(backend: Backend, call: Call, obj: Object, old: Object | None) -> None:
    """Addresses and node ports of Services."""
    if call.resource.storage == "services" and not call.subresource:
        allocation.allocate(backend, obj, old)


def stored(backend: Backend, call: Call, entry: Entry) -> None:
    """An object was stored: what follows from it at once."""
    match call.resource.storage:
        case crds.STORAGE:
            crds.serve(backend, entry)
        case aggregation.STORAGE:
            aggregation.update(backend)


def removed(backend: Backend, call: Call, entry: Entry) -> None:
    """An object was removed: what follows from it at once."""
    match call.resource.storage:
        case crds.STORAGE:
            crds.withdraw(backend, entry)
        case aggregation.STORAGE:
            aggregation.update(backend)
        case _ if call.resource.crd is not None:
            name = f"{call.plural}.{call.group}"
            crd = backend.store.get(crds.STORAGE, "", name)
            if crd is not None:
                crds.instance_removed(backend, crd.obj)
